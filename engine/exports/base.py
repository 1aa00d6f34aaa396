"""What an exporter is: what it takes out, how it writes that, and how what it wrote is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.config import StudentConfig
from engine.registry import Registry

Rows = Sequence[Mapping[str, Any]]


class Scope(StrEnum):
    """What an exporter takes out."""

    ROWS = "rows"
    """Rows of text: a distillation set, or what a dataset makes of a run's set."""
    STUDENT = "student"
    """The student of a train step."""


@dataclass(frozen=True)
class Student:
    """A trained student: its settings, and the folder of its adapter (None: the base model is all of it)."""

    config: StudentConfig
    adapter: Path | None = None


@dataclass(frozen=True)
class Outgoing:
    """What is taken out: rows, or a student with the texts (card, provenance) that go beside it, by file name.

    `base`: what the base model is called where the student goes.
    """

    rows: Rows = ()
    student: Student | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    base: str = ""


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


EXPORTERS: Registry[Exporter] = Registry("exports", "exporter")
"""The ways to take something out."""
