"""A look at a file of queries before any of it is stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from app.usecases.data.imports import longest_spans
from app.usecases.workspace.context import Context
from engine.columns import RowError, Span, find_columns, name_columns, read_queries
from engine.errors import InputError, MissingColumn
from engine.hub import open_records
from engine.packaged import packaged_student_folder
from engine.ports import Task
from engine.records import Record
from engine.tasks import TASKS, get_task
from engine.teachers.tokens import find_in_files

LOOKED_AT = 20_000
LOOKED_AT_BYTES = 64 * 2**20
_NAMED = 1000
_SHOWN = 5
_COLUMNS = 8
_CLIPPED = 120
_ERRORS = 20
_MEASURED = 5_000
_MEASURED_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Preview:
    """What the first rows of a file would give.

    `rows` are queries as a teacher reads them. `lengths` are of up to 5,000 queries or a million characters of them, in
    `unit`: tokens of the packaged student where its tokenizer is on this machine, else characters. `asked` is what the
    person must say before anything can be taken; `rows` are then those of the file. `notes` are about rows that are
    taken without a part of them. `broke_off` says why the file can't be read to its end.
    """

    names: list[str]
    columns: dict[str, str | None]
    good: int
    bad: int
    duplicates: int
    partly: bool
    looked_at: int
    rows: list[dict[str, Any]]
    lengths: list[int]
    unit: str
    errors: list[RowError]
    notes: list[RowError] = field(default_factory=list)
    noted: int = 0
    spanning: int = 0
    spans: list[Span] = field(default_factory=list)
    asked: str = ""
    broke_off: str = ""


@dataclass(frozen=True)
class PreviewService:
    """Use case of looking before storing."""

    context: Context

    def roles(self, project_name: str) -> tuple[str, ...]:
        """What a file's columns can be to the project's task; nothing where that is not installed here."""
        task = self.context.projects.get(project_name).config.task
        return tuple(role.name for role in TASKS[task].roles) if task in TASKS else ()

    def look(self, project_name: str, source: str | Path, overrides: Mapping[str, str], heldout: float) -> Preview:
        """Read up to 20,000 rows, or 64 MiB of them, and store nothing.

        Raises:
            InputError: if the file can't be read.
        """
        project = self.context.projects.get(project_name)
        seen = _read_some(open_records(source))
        names = name_columns(seen.records[:_NAMED])
        if not names:
            first = next((record.error for record in seen.records), None) or "it has no rows"
            raise InputError(seen.broke_off or f"no row of this file can be read: {first}")
        known = {role: name for role, name in overrides.items() if name in names or not name}
        task = get_task(project.config.task)
        matched = find_columns(names, known, task)
        columns = {role.name: matched.get(role.name) for role in task.roles}
        try:
            return _describe(seen, names, columns, known, task, heldout)
        except MissingColumn as error:
            rows = [_clip(record.values) for record in seen.records if record.error is None][:_SHOWN]
            return Preview(
                names,
                columns,
                0,
                0,
                0,
                seen.partly,
                len(seen.records),
                rows,
                [],
                "",
                [],
                asked=_as_sentence(str(error)),
            )


@dataclass
class _Seen:
    """The first rows of a file; `partly` if there are more, `broke_off` why the file can't be read further."""

    records: list[Record]
    partly: bool = False
    broke_off: str = ""


def _read_some(records: Iterable[Record]) -> _Seen:
    seen, size = _Seen([]), 0
    try:
        for record in records:
            if len(seen.records) == LOOKED_AT or size > LOOKED_AT_BYTES:
                seen.partly = True
                break
            seen.records.append(record)
            size += record.size
    except InputError as error:
        seen.broke_off = str(error)
    return seen


def _as_sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."


def _clip(values: Mapping[str, Any]) -> dict[str, str]:
    """A row as it stands in its file: its first columns, shortened."""
    return {name[:40]: str(value)[:_CLIPPED] for name, value in list(values.items())[:_COLUMNS]}


def _describe(
    seen: _Seen, names: list[str], columns: dict[str, str | None], known: Mapping[str, str], task: Task, heldout: float
) -> Preview:
    """What the rows would give."""
    blocks = list(read_queries(iter(seen.records), known, heldout, task))
    queries = {query.id: query for block in blocks for query in block.queries}
    total = sum(len(block.queries) for block in blocks)
    errors = [error for block in blocks for error in block.errors]
    notes = [note for block in blocks for note in block.notes]
    spans = [span for block in blocks for span in block.spans]
    golds = {key: task.show_gold(gold) for block in blocks for key, gold in block.golds.items()}
    rows = [
        {"query": task.render(query), "split": query.split.value, "label": golds.get(query.id, "-")}
        for query in list(queries.values())[:_SHOWN]
    ]
    texts = [task.render(query) for query in queries.values()]
    lengths, unit = _measure(_take_some(texts[:: max(1, len(texts) // _MEASURED)]))
    return Preview(
        names=names,
        columns=columns,
        good=len(queries),
        bad=len(errors),
        duplicates=sum(block.duplicates for block in blocks) + total - len(queries),
        partly=seen.partly,
        looked_at=len(seen.records),
        rows=rows,
        lengths=lengths,
        unit=unit,
        errors=errors[:_ERRORS],
        notes=notes[:_ERRORS],
        noted=len(notes),
        spanning=len(spans),
        spans=longest_spans(spans),
        broke_off=seen.broke_off,
    )


def _take_some(texts: Sequence[str]) -> Sequence[str]:
    """As many of the texts as are quickly measured."""
    sizes = list(accumulate(len(text) for text in texts))
    return texts[: max(1, bisect_right(sizes, _MEASURED_CHARACTERS))]


def _measure(texts: Sequence[str]) -> tuple[list[int], str]:
    counter = find_in_files(str(packaged_student_folder()))
    if counter is None:
        return [len(text) for text in texts], "characters"
    return counter.lengths(texts), "tokens of the packaged student"
