"""A look at a file of queries before any of it is stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from app.usecases.data.imports import follow_families, longest_spans
from app.usecases.workspace.context import Context
from engine.choices import is_missing
from engine.columns import ImportedQueries, RowError, Span, find_columns, name_columns, read_outputs, read_queries
from engine.errors import InputError, MissingColumn
from engine.hub import open_records
from engine.packaged import packaged_student_folder, read_context
from engine.ports import Task
from engine.records import Record
from engine.tasks import TASKS, get_task
from engine.teachers.recorded import Recording
from engine.teachers.tokens import find_in_files
from engine.values import Query

LOOKED_AT = 20_000
LOOKED_AT_BYTES = 64 * 2**20
_NAMED = 1000
_SHOWN = 5
_COLUMNS = 8
_CLIPPED = 120
_SAMPLES = 3
_SAMPLE = 60
_ERRORS = 20
_MEASURED = 5_000
_MEASURED_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Preview:
    """What the first rows of a file would give.

    `rows` are queries as a teacher reads them. `lengths` are of up to 5,000 queries or a million characters of them, in
    `unit`: tokens of the packaged student where its tokenizer is on this machine, else characters. `asked` is what the
    person must say before anything can be taken; `rows` are then those of the file. `notes` are about rows that are
    taken without a part of them. `broke_off` says why the file can't be read to its end. `samples` are a few values of
    each column, shortened. `limit` is the longest text that the student reads, in `unit`; None where it is not known.
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
    paraphrases: int = 0
    samples: dict[str, list[str]] = field(default_factory=dict)
    limit: int | None = None


@dataclass(frozen=True)
class OutputPreview:
    """What the first rows of a file of outputs would give; `rows` are the first of them as they were read.

    `teachers` counts rows by teacher; `unmatched` belong to no query of the project, `rejected` can't be used, of which
    `errors` tell the first. `broke_off` says why the file can't be read to its end.
    """

    teachers: dict[str, int]
    rows: list[dict[str, Any]]
    unmatched: int
    rejected: int
    noted: int
    errors: list[RowError]
    notes: list[RowError]
    looked_at: int
    partly: bool
    broke_off: str


@dataclass(frozen=True)
class PreviewService:
    """Use cases of looking before storing."""

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
            blocks = list(read_queries(iter(seen.records), known, heldout, task))
            firsts = follow_families(
                self.context, project.id, list({q.id: q for block in blocks for q in block.queries}.values())[:_SHOWN]
            )
            described = _describe(seen, names, columns, blocks, task, firsts)
            return replace(described, samples=_sample(seen.records, names))
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
                samples=_sample(seen.records, names),
            )

    def look_at_outputs(self, project_name: str, path: Path, teacher: str | None = None) -> OutputPreview:
        """As `look`, of a file of outputs that teachers gave; `teacher` where the file has no such column.

        Raises:
            InputError: if the file can't be read.
        """
        project = self.context.projects.get(project_name)
        seen = _read_some(open_records(path))
        if not seen.records:
            raise InputError(seen.broke_off or f"{path.name} has no rows")
        queries = self.context.queries.get(project.id)
        texts = {query.id: query.text for query in queries}
        rows: list[dict[str, Any]] = []

        def keep(name: str, query_id: str, recording: Recording) -> None:
            if len(rows) < _SHOWN:
                cells = (name, texts[query_id], recording.answer, recording.rationale or recording.raw or "")
                values = ["" if value is None else str(value)[:_CLIPPED] for value in cells]
                rows.append(dict(zip(("teacher", "query", "answer", "rationale or reply"), values, strict=True)))

        tally = read_outputs(seen.records, queries, teacher, keep)
        errors, notes = tally.errors[:_ERRORS], tally.notes[:_ERRORS]
        return OutputPreview(
            teachers=tally.teachers,
            rows=rows,
            unmatched=tally.unmatched,
            rejected=tally.rejected,
            noted=tally.noted,
            errors=errors,
            notes=notes,
            looked_at=len(seen.records),
            partly=seen.partly,
            broke_off=seen.broke_off,
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


def _sample(records: Sequence[Record], names: Sequence[str]) -> dict[str, list[str]]:
    """The first values of each column that are not empty, each once."""
    columns: dict[str, list[str]] = {name: [] for name in names}
    for record in records[:_NAMED]:
        for name, value in record.values.items():
            values = columns.get(name)
            if values is None or len(values) == _SAMPLES or is_missing(value):
                continue
            text = " ".join(str(value)[:_CLIPPED].split())[:_SAMPLE]
            if text and text not in values:
                values.append(text)
    return columns


def _as_sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."


def _clip(values: Mapping[str, Any]) -> dict[str, str]:
    """A row as it stands in its file: its first columns, shortened."""
    return {name[:40]: str(value)[:_CLIPPED] for name, value in list(values.items())[:_COLUMNS]}


def _describe(
    seen: _Seen,
    names: list[str],
    columns: dict[str, str | None],
    blocks: Sequence[ImportedQueries],
    task: Task,
    firsts: Sequence[Query],
) -> Preview:
    """What the rows would give, in `blocks`; `firsts` are shown."""
    queries = {query.id: query for block in blocks for query in block.queries}
    total = sum(len(block.queries) for block in blocks)
    errors = [error for block in blocks for error in block.errors]
    notes = [note for block in blocks for note in block.notes]
    spans = [span for block in blocks for span in block.spans]
    golds = {key: task.show_gold(gold) for block in blocks for key, gold in block.golds.items()}
    rows = [
        {"query": task.render(query), "split": query.split.value, "label": golds.get(query.id, "-")} for query in firsts
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
        limit=None if unit == "characters" else read_context(packaged_student_folder()),
        errors=errors[:_ERRORS],
        notes=notes[:_ERRORS],
        noted=len(notes),
        spanning=len(spans),
        spans=longest_spans(spans),
        broke_off=seen.broke_off,
        paraphrases=sum(query.origin is not None for query in queries.values()),
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
