"""What an exporter is: what it takes out, how it writes that, and how what it wrote is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.config import StudentConfig
from engine.datasets.rows import ChatText
from engine.registry import Registry

Rows = Sequence[Mapping[str, Any]]


class Scope(StrEnum):
    """What an exporter takes out."""

    ROWS = "rows"
    """Rows of text: a distillation set, or what a dataset makes of a run's set."""
    STUDENT = "student"
    """The student of a train step."""
    ITEMS = "items"
    """The held-out queries with their gold labels, as an evaluation harness reads them, and a student's answers."""


@dataclass(frozen=True)
class Student:
    """A trained student: its settings, and the folder of its adapter (None: the base model is all of it)."""

    config: StudentConfig
    adapter: Path | None = None


@dataclass(frozen=True)
class PromptFrame:
    """How a student was trained to be asked: the system message, and what stands around the query in the user's turn.

    `max_tokens` is how long it may write, `until` the text with which its scored answers were over ("": none).
    """

    system: str = ""
    before: str = ""
    behind: str = ""
    max_tokens: int = 256
    until: str = ""


@dataclass(frozen=True)
class Item:
    """A held-out query as the student was asked, its gold label, and what the student answered.

    `gold` and `label` are in the form in which equal labels are equal strings. `label` None: none could be read.
    """

    id: str
    kind: str
    prompt: ChatText
    gold: str
    answer: str
    label: str | None
    correct: bool
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ScoredAnswers:
    """A student's scored answers: `name` fits a file, `model` is what the student is called, `at` a time (ISO 8601)."""

    name: str
    model: str
    items: tuple[Item, ...]
    asking: PromptFrame
    at: str


@dataclass(frozen=True)
class Outgoing:
    """What is taken out: rows, a student with the texts (card, provenance) that go beside it by file name, or answers.

    `base`: what the base model is called where the student goes. `asking`: how the student is asked.
    """

    rows: Rows = ()
    student: Student | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    asking: PromptFrame = PromptFrame()
    scored: ScoredAnswers | None = None


@dataclass(frozen=True)
class Use:
    """A program that serves what was exported: its name, what is typed in the export's folder, and where it listens.

    In `text` are filled in: `{base}`, `{rank}` of the adapter, and `{tokens}` that an answer may have. `port` is where
    it answers chat completions as OpenAI's API has them; 0: it does not. `model`: what the student is called there.
    `note`: one sentence that a card says of it.
    """

    title: str
    text: str
    port: int = 0
    model: str = "student"
    note: str = ""


def refuse_nothing(config: Mapping[str, Any]) -> str:
    """Any model can be taken out."""
    return ""


@dataclass(frozen=True)
class Exporter:
    """A way to take something out.

    Attributes:
        title: what comes out, as a person reads it.
        help: one line on it.
        scope: what it takes out.
        write: writes to a path that is not there yet: a file with the suffix, or a folder where the suffix is empty.
        read: what it wrote, read back: rows, or a student that can be asked.
        suffix: how the name of its file ends.
        needs_worker: whether writing takes long, or loads torch, so that a worker does it.
        library: of a student: the library that loads it, as the Hub calls it.
        load: of a student: Python that imports, and Python that makes `model` of `folder`; `{base!r}` is filled in.
        tokenizer: of a student: Python that makes its tokenizer of `folder`.
        uses: of a student: further programs that take it.
        refuses: of a student: why a model of this `config.json` can't be taken out so; "": it can.
    """

    title: str
    help: str
    scope: Scope
    write: Callable[[Outgoing, Path], None]
    read: Callable[[Path], Rows | Student]
    suffix: str = ""
    needs_worker: bool = False
    library: str = ""
    load: tuple[str, str] = ("", "")
    tokenizer: str = "AutoTokenizer.from_pretrained(folder)"
    uses: tuple[Use, ...] = ()
    refuses: Callable[[Mapping[str, Any]], str] = refuse_nothing


def write_notes(folder: Path, notes: Mapping[str, str]) -> None:
    """Write the texts that go beside a student, over those that are there; a name may lie one folder deeper."""
    for name, text in notes.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)  # it may be a link: what it links to stays as it is
        file.write_text(text, "utf-8")


EXPORTERS: Registry[Exporter] = Registry("exports", "exporter")
"""The ways to take something out."""
