"""The values that move through the method. All frozen; ids are hashes of content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

MOST_TOKENS = 10**9
"""No request has more tokens than this; whatever claims more has not counted, and its tokens are unknown."""
MOST_COST = Decimal(10**8)
"""US dollars that no request costs; whatever comes to more has a wrong price or count, and is unknown."""


LOCAL = "local"
"""The backend that every installation has: workers on this machine."""


def hash_id(*parts: object) -> str:
    """96 bits of SHA-256 over the JSON form of the parts, as 24 hex digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class Split(StrEnum):
    """What a query is for: making the distillation set, or scoring only."""

    DISTILL = "distill"
    HELDOUT = "heldout"


class Purpose(StrEnum):
    """What a request to a teacher is for; stored with every attempt."""

    LABEL = "label"
    COMPRESS = "compress"
    CHECK = "check"
    EVALUATE = "evaluate"
    PROBE = "probe"
    PLAY = "play"


class Reason(StrEnum):
    """Why selection kept or rejected a sample."""

    KEPT_PAIR = "kept_pair"
    KEPT_FEW = "kept_few"
    KEPT_UNSELECTED = "kept_unselected"
    KEPT = "kept"
    """It passed every rule, and no rule says more."""
    KEPT_BY_HAND = "kept_by_hand"
    DROPPED_BY_HAND = "dropped_by_hand"
    BELOW_THRESHOLD = "below_threshold"
    NO_CONFIDENCE = "no_confidence"
    TEACHERS_DIFFER = "teachers_differ"
    NOT_IN_PAIR = "not_in_pair"
    TOO_FEW_TEACHERS = "too_few_teachers"
    LABEL_MINORITY = "label_minority"
    LABELS_DISAGREE = "labels_disagree"
    REJECTED = "rejected"
    """A rule rejected it and says no more."""

    @property
    def kept(self) -> bool:
        """Whether a sample with this reason belongs to the distillation set."""
        return self.value.startswith("kept")


class RationaleOrigin(StrEnum):
    """Who wrote a version of a rationale."""

    COMPRESSED = "compressed"
    EDITED = "edited"
    RESTORED = "restored"


class JobStatus(StrEnum):
    """The life of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    NEEDS_KEY = "needs_key"
    CAPPED = "capped"
    QUARANTINED = "quarantined"
    """It ended, and its journal can't be taken in: kept as it is, to be taken in later."""

    @property
    def over(self) -> bool:
        """Whether nothing works on the job any more."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class RunStatus(StrEnum):
    """The life of a run of a plan."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True)
class Choice:
    """One lettered option of a multiple-choice query."""

    letter: str
    text: str


@dataclass(frozen=True)
class Query:
    """An unlabeled query x_i. There is deliberately no field for a gold label.

    `extra` is what its task needs beside text and choices, by name, in JSON's values.
    """

    id: str
    text: str
    choices: tuple[Choice, ...] = ()
    kind: str | None = None
    key: str | None = None
    split: Split = Split.DISTILL
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def make_query(
    text: str,
    choices: tuple[Choice, ...] = (),
    kind: str | None = None,
    key: str | None = None,
    split: Split = Split.DISTILL,
    extra: Mapping[str, Any] | None = None,
) -> Query:
    """Build a query whose id is the hash of what a teacher would see; `key` is the user's own id."""
    seen = [text, [(choice.letter, choice.text) for choice in choices], *([extra] if extra else [])]
    return Query(hash_id("query", *seen), text, choices, kind, key, split, extra or {})


def query_from_json(data: Mapping[str, Any]) -> Query:
    """A query from what `dataclasses.asdict` made of it."""
    choices = tuple(Choice(**choice) for choice in data["choices"])
    split, extra = Split(data["split"]), data.get("extra") or {}
    return Query(data["id"], data["text"], choices, data["kind"], data["key"], split, extra)


@dataclass(frozen=True)
class Usage:
    """Tokens that a provider bills for one request; None where it reports nothing.

    `output_tokens` takes in hidden reasoning; `cached_tokens` are those of the input that were read from a cache.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True)
class Sampling:
    """What decides the distribution of a reply."""

    temperature: float = 0.0
    top_p: float = 0.95
    max_tokens: int = 2048


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher T_j as the user configured it. Holds the name of a key's variable, never a key.

    Prices are US dollars a million tokens and go before those of the price table; `draws` samples a query.
    """

    name: str
    provider: str
    model: str
    endpoint: str = ""
    key_variable: str | None = None
    sampling: Sampling = Sampling()
    concurrency: int = 8
    draws: int = 1
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 120.0
    input_price: float | None = None
    output_price: float | None = None


@dataclass(frozen=True)
class Reply:
    """What a teacher sent back. `raw` is the provider's text, `text` the part that holds the answer."""

    text: str
    raw: str
    usage: Usage = Usage()
    finish_reason: str = "stop"
    latency_s: float | None = None


@dataclass(frozen=True)
class ParsedReply:
    """Rationale, label and factor scores read out of a reply."""

    rationale: str
    label: str
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """O_ij = (r_ij, y_ij, factor scores): one usable reply. `label_key` is the normalised label."""

    id: str
    query_id: str
    teacher: str
    rationale: str
    label: str
    label_key: str
    factors: Mapping[str, float]
    draw: int = 0
    split: Split = Split.DISTILL


@dataclass(frozen=True)
class SampleKey:
    """Everything that can change a reply. Concurrency, timeouts and the teacher's display name stay out."""

    query_id: str
    endpoint: str
    model: str
    prompt_hash: str
    sampling: Sampling
    draw: int

    @property
    def id(self) -> str:
        """The sample's id."""
        s = self.sampling
        return hash_id(
            "sample",
            self.query_id,
            self.endpoint,
            self.model,
            self.prompt_hash,
            [s.temperature, s.top_p, s.max_tokens],
            self.draw,
        )


@dataclass(frozen=True)
class SelectionRow:
    """What selection decided for one sample. `edit` numbers the edit that stands in place of its rationale."""

    sample_id: str
    query_id: str
    teacher: str
    confidence: float | None
    renormalised: bool
    reason: Reason
    pair_similarity: float | None = None
    edit: int | None = None


@dataclass(frozen=True)
class StageRow:
    """One training example: the query, what the student must write, and where it came from."""

    id: str
    query_id: str
    prompt: tuple[tuple[str, str], ...]
    completion: str
    sample_id: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """What a student wrote. `tokens` counts generated ids, the end-of-sequence token included."""

    query_id: str
    text: str
    tokens: int
    finished: bool
    latency_s: float


@dataclass(frozen=True)
class EvalItem:
    """One answer of one system to one query, scored when a gold label exists."""

    system: str
    query_id: str
    kind: str | None
    text: str
    label: str | None
    tokens: int
    latency_s: float | None
    correct: bool | None


@dataclass(frozen=True)
class Event:
    """One line of a journal. `seq` grows from 1, with a gap where a line is damaged; `at` is Unix time in seconds."""

    seq: int
    type: str
    at: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A job as the store keeps it.

    `offset` is how far its journal has been ingested, in bytes. `handle` is what its backend finds its worker by, as
    long as there is one.
    """

    id: str
    project_id: str
    run_id: str | None
    kind: str
    status: JobStatus
    spec: Mapping[str, Any]
    folder: str
    offset: int = 0
    backend: str = LOCAL
    handle: str | None = None
    cancel_at: float | None = None
    message: str = ""

    @property
    def path(self) -> Path:
        """The job's folder."""
        return Path(self.folder)
