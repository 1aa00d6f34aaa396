"""What the method asks of the world outside it. Fakes in tests stand here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.values import Event, Job, ParsedReply, Purpose, Query, Reply, TeacherSpec


@dataclass(frozen=True)
class Request:
    """One request to a teacher: the rendered prompt, and the parts it was rendered from.

    `key` is the same whenever this very request is sent again, for providers that know idempotency keys.
    """

    query: Query
    purpose: Purpose
    system: str
    user: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    draw: int = 0
    key: str = ""


class Teacher(Protocol):
    """A teacher model T_j."""

    @property
    def spec(self) -> TeacherSpec:
        """How the user configured it."""
        ...

    @property
    def live(self) -> bool:
        """Whether it can answer requests it has never seen (a recording can't)."""
        ...

    async def ask(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            TeacherError: with the kind that decides whether to retry.
        """
        ...


@dataclass(frozen=True)
class Role:
    """What a column of a file is to a task.

    Attributes:
        name: by which it is given, as in `--column query=NAME`.
        help: what stands in it, as "the queries".
        names: such columns' usual names, in lower case, the likeliest first.
        required: whether a file without it is of no use.
    """

    name: str
    help: str
    names: tuple[str, ...] = ()
    required: bool = False


class Task(Protocol):
    """One kind of task: which columns it reads, how it is asked, read, taught and verified.

    One whose labels are programs is a `RunsLabels` beside it.
    """

    @property
    def name(self) -> str:
        """The name in prompts: teachers are asked with `prompts/teacher/NAME`."""
        ...

    @property
    def title(self) -> str:
        """What an answer is, as a person reads it."""
        ...

    @property
    def roles(self) -> tuple[Role, ...]:
        """The columns that it reads, in the order in which a file's columns are given to them."""
        ...

    @property
    def factors(self) -> tuple[str, ...]:
        """The confidence factors m_1..m_n that teachers score."""
        ...

    def read_row(self, cells: Mapping[str, Any]) -> Query:
        """The query of a row; its split is decided elsewhere. `cells` are values by role, without those that are empty.

        What a teacher sees beside text and choices goes into `Query.extra`, the question that it paraphrases into
        `Query.origin`; what a teacher must not see, `read_gold` reads.

        Raises:
            InputError: if the row is of no use.
        """
        ...

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """The gold label of a row; None if it has none.

        It is stored apart from the query, is given to `verify` and `show_gold` alone, and may be a document of the
        task's own (JSON with hidden tests, say): nothing that labels, selects or trains is ever given it.

        Raises:
            InputError: if it can't be right; the query is taken without it.
        """
        ...

    def show_gold(self, gold: str) -> str:
        """A gold label as a person reads it."""
        ...

    def read_typed(self, text: str) -> Query:
        """A query as a person types it; `text` is not empty."""
        ...

    def render(self, query: Query) -> str:
        """The query as a teacher and a student read it."""
        ...

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it holds no label. Never raises, never invents a label."""
        ...

    def read_answer(self, query: Query, text: str) -> str | None:
        """Read the label out of a student's completion; None if there is none."""
        ...

    @property
    def stop(self) -> str:
        """The text with which a label is over that stands first in a completion, as a line's end or a closing fence."""
        ...

    def complete(self, rationale: str, label: str) -> str:
        """The completion of [x; r; y]; without a rationale that of [x; y]."""
        ...

    def split_completion(self, text: str) -> tuple[str, str]:
        """Rationale and label of a completion: of what `complete` made, just these, the rationale's ends trimmed.

        Of any other text, as a student's, what would be rationale, and "" where no label stands. Never raises.
        """
        ...

    def normalise(self, query: Query, label: str) -> str | None:
        """The form in which equal labels are equal strings; None if it is no label for this query."""
        ...

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Whether the label is right.

        `gold` is what `read_gold` made; where a project has no gold labels, the label that most teachers gave.
        """
        ...


@runtime_checkable
class RunsLabels(Protocol):
    """A task that runs labels to verify or to compare them: many at a time, in a sandbox, and in workers alone."""

    def require(self) -> None:
        """See to it that labels can be run here.

        Raises:
            MissingPart: if not; the message says what to install.
        """
        ...

    def verify_many(self, cases: Iterable[tuple[Query, str, str]]) -> Iterator[bool]:
        """As `Task.verify` of each query, label and gold label. A gold label may be a key of `find_keys` too."""
        ...

    def find_keys(self, cases: Iterable[tuple[Query, str]]) -> Iterator[str]:
        """The keys of labels: equal strings where labels of a query do the same. `Task.normalise` only reads them."""
        ...

    def is_settled(self, key: str) -> bool:
        """Whether a label's key is one of `find_keys`; else it is one of `Task.normalise`."""
        ...


class Embedder(Protocol):
    """Turns rationales into vectors."""

    @property
    def model(self) -> str:
        """Model name, part of the cache key."""
        ...

    @property
    def revision(self) -> str:
        """Version of the weights, part of the cache key."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (texts, dimensions)."""
        ...


class EventSink(Protocol):
    """Where a running job tells what happens."""

    def emit(self, type_: str, **data: Any) -> None:
        """Append one event; when this returns, a killed process has not lost it."""
        ...


class JobStore(Protocol):
    """What the supervisor needs of the store."""

    def unfinished_jobs(self) -> list[Job]:
        """Queued and running jobs, oldest first."""
        ...

    def get_job(self, job_id: str) -> Job:
        """One job."""
        ...

    def update_job(self, job_id: str, **changes: Any) -> None:
        """Change columns of a job."""
        ...

    def ingest(self, job: Job, events: Iterable[Event], offset: int) -> None:
        """Take events in, each (job, seq) once, with all they mean, in one transaction."""
        ...
