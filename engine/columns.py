"""From the columns of a file to queries and recordings: a guess for the usual names, overridable by the user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from engine.choices import is_missing, plain_text, read_choices
from engine.errors import InputError, NoQueryColumn
from engine.ports import Task
from engine.records import MAX_COLUMNS, Record
from engine.tasks.reply import read_score
from engine.teachers.recorded import Recording
from engine.values import Query, Split, hash_id, make_query

_HEAD = 1000
_BLOCK = 10_000
_BLOCK_BYTES = 32 * 2**20
_MOST_NAMED = 20
MOST_ERRORS = 1000
"""Rows that are told one by one."""
_QUERY_COLUMNS = ("query_id", "id", "qid", "query", "question")
_GUESSES = {
    "query": ("query", "question", "prompt", "problem", "instruction", "input", "text"),
    "choices": ("choices", "options"),
    "gold": ("gold", "answerkey", "gold_label", "answer", "label", "target", "output", "response", "code"),
    "kind": ("kind", "category", "subject"),
    "id": ("id", "query_id", "qid", "key"),
}


@dataclass(frozen=True)
class Columns:
    """Which column holds what; None where the file has none."""

    query: str
    choices: str | None = None
    gold: str | None = None
    kind: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class RowError:
    """What is to be told about a row, counted from 1: why it was left out, or what of it was."""

    row: int
    message: str


@dataclass(frozen=True)
class Span:
    """A row that runs over several lines of its file, as one does whose quote closes too late."""

    row: int
    line: int
    lines: int


@dataclass(frozen=True)
class ImportedQueries:
    """What rows gave: queries (each once), gold labels by query id, rows left out, rows that repeat another.

    `notes` are about rows that were taken without a part of them; `spans` are the rows that run over several lines.
    """

    queries: list[Query]
    golds: dict[str, str]
    errors: list[RowError]
    duplicates: int
    notes: list[RowError] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


def name_columns(records: Iterable[Record]) -> list[str]:
    """The columns that rows have, in the order in which they come.

    Raises:
        InputError: if there are too many.
    """
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.values))
        if len(names) > MAX_COLUMNS:
            raise InputError(f"the file has more than {MAX_COLUMNS:,} columns; give one with fewer")
    return list(names)


def find_columns(names: Sequence[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """The column of each role, by its name or as the user says; without those that the file has none for.

    Raises:
        InputError: if an override names no column.
    """
    lowered = {name.lower(): name for name in names}
    columns: dict[str, str] = {}
    for role, guesses in _GUESSES.items():
        if role in overrides:
            if not overrides[role]:  # the user says that the file has none
                continue
            if overrides[role] not in names:
                raise InputError(f"there is no column {overrides[role]!r}; the file has {_list(names)}")
            columns[role] = overrides[role]
            continue
        taken = {*columns.values(), *overrides.values()}
        match = next((lowered[g] for g in guesses if g in lowered and lowered[g] not in taken), None)
        if match is not None:
            columns[role] = match
    return columns


def guess_columns(names: Sequence[str], overrides: Mapping[str, str]) -> Columns:
    """Map columns by their names.

    Raises:
        NoQueryColumn: if none looks like a query.
        InputError: if an override names no column.
    """
    columns = find_columns(names, overrides)
    if "query" not in columns:
        raise NoQueryColumn(f"which column holds the queries? None looks like it among {_list(names)}")
    return Columns(**columns)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name[:80] for name in names[:_MOST_NAMED]) + more


def read_queries(
    records: Iterable[Record], overrides: Mapping[str, str], heldout: float, task: Task | None = None
) -> Iterator[ImportedQueries]:
    """Turn rows into queries, a block at a time. A share `heldout` of them, by hash of their id, is for scoring only.

    Columns are guessed from the names in the first thousand rows. A `task` with lettered choices makes a row without
    them an error, and a gold label that is none of them a note. Duplicates are those within a block.

    Raises:
        InputError: where the records end in one, after the block of those before it.
    """
    broken: list[InputError] = []
    rest = _until_broken(records, broken)
    head = take_block(rest, _HEAD)
    names = name_columns(head)
    columns = guess_columns(names, overrides) if names else Columns("query")
    rows = chain(head, rest)
    while block := take_block(rows, _BLOCK):
        yield _read_block(block, columns, heldout, task)
    if broken:
        raise broken[0]


def _until_broken(records: Iterable[Record], broken: list[InputError]) -> Iterator[Record]:
    try:
        yield from records
    except InputError as error:
        broken.append(error)


def take_block(records: Iterator[Record], most: int) -> list[Record]:
    """The next rows, at most so many and at most 32 MiB of them."""
    block: list[Record] = []
    size = 0
    while len(block) < most and size < _BLOCK_BYTES and (record := next(records, None)) is not None:
        block.append(record)
        size += record.size
    return block


def _read_block(records: Sequence[Record], columns: Columns, heldout: float, task: Task | None) -> ImportedQueries:
    imported = ImportedQueries([], {}, [], 0)
    queries: dict[str, Query] = {}
    duplicates = 0
    for record in records:
        if record.lines > 1:
            imported.spans.append(Span(record.row, record.line, record.lines))
        try:
            if record.error is not None:
                raise InputError(record.error)
            query = _read_query(record.values, columns, heldout)
            if task is not None and task.lettered and not query.choices:
                raise InputError(f"no choices, but the project's task is {task.title}")
        except InputError as error:
            imported.errors.append(RowError(record.row, f"{error}{_say_lines(record)}"))
            continue
        if query.id in queries:
            duplicates += 1
            continue
        queries[query.id] = query
        gold, problem = _read_gold(record.values, columns, task, query)
        if problem is not None:
            imported.notes.append(RowError(record.row, f"{problem}; the query is taken without it"))
        if gold is not None:
            imported.golds[query.id] = gold
    imported.queries.extend(queries.values())
    return replace(imported, duplicates=duplicates)


def _say_lines(record: Record) -> str:
    return f" (lines {record.line:,} to {record.line + record.lines - 1:,})" if record.lines > 1 else ""


def _read_query(values: Mapping[str, Any], columns: Columns, heldout: float) -> Query:
    text = values.get(columns.query)
    if not isinstance(text, str) or not text.strip():
        raise InputError("empty query")
    choices = read_choices(values[columns.choices]) if columns.choices and _is_given(values, columns.choices) else ()
    key = plain_text(values[columns.id]) if columns.id and not is_missing(values.get(columns.id)) else None
    kind = plain_text(values[columns.kind]) if columns.kind and not is_missing(values.get(columns.kind)) else None
    query = make_query(text.strip(), choices, kind, key)
    if int(hash_id("heldout", query.id)[:8], 16) < heldout * 2**32:
        query = make_query(text.strip(), choices, kind, key, Split.HELDOUT)
    return query


def _is_given(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name)
    return bool(value) and not is_missing(value)


def _read_gold(
    values: Mapping[str, Any], columns: Columns, task: Task | None, query: Query
) -> tuple[str | None, str | None]:
    """The gold label of a row, and what is wrong with it; where the task has lettered choices it must be one."""
    value = values.get(columns.gold) if columns.gold else None
    if is_missing(value) or not plain_text(value):
        return None, None
    if isinstance(value, (dict, list)):
        return None, "the gold label is a list or an object"
    gold = _short_gold(plain_text(value))
    if task is not None and task.lettered and task.normalise(query, gold) is None:
        letters = ", ".join(choice.letter[:10] for choice in query.choices)
        return None, f"the gold label {gold[:40]!r} is none of the choices {letters}"
    return gold, None


def _short_gold(gold: str) -> str:
    """GSM8K writes its answers as a solution that ends in `#### 18`, MetaMathQA in `The answer is: 18`."""
    for mark in ("####", "The answer is:"):
        if mark in gold:
            return gold.rsplit(mark, 1)[1].strip()
    return gold.strip()


@dataclass
class OutputTally:
    """What became of a file's rows: recordings by teacher, rows left out (the first are told), unknown queries.

    `noted` rows were taken without a part of them; `notes` tell the first.
    """

    teachers: dict[str, int] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    rejected: int = 0
    unmatched: int = 0
    notes: list[RowError] = field(default_factory=list)
    noted: int = 0

    def reject(self, row: int, message: str) -> None:
        """Leave a row out."""
        self.rejected += 1
        if self.rejected <= MOST_ERRORS:
            self.errors.append(RowError(row, message))

    def note(self, row: int, messages: Sequence[str]) -> None:
        """Say what of a row was left out."""
        self.noted += bool(messages)
        if messages and self.noted <= MOST_ERRORS:
            self.notes.append(RowError(row, "; ".join(messages)))


Keep = Callable[[str, str, Recording], None]


def read_outputs(records: Iterable[Record], queries: Sequence[Query], teacher: str | None, keep: Keep) -> OutputTally:
    """Turn rows with `query_id` (or the query's text), `rationale`, `answer`, `raw`, `scores` into recordings.

    `teacher` names the teacher where the file has no such column. `keep` is given each teacher, query id and recording
    as they are read, so that no more than one row is held.
    """
    by_key = _index(queries)
    tally = OutputTally()
    seen: set[tuple[str, str]] = set()
    for record in records:
        values = {name.lower(): value for name, value in record.values.items()}
        problem = record.error or _output_problem(values, teacher)
        asked = [plain_text(values[name]) for name in _QUERY_COLUMNS if not is_missing(values.get(name))]
        matches = next((by_key[text] for text in asked if text in by_key), ())
        own = teacher or "" if is_missing(values.get("teacher")) else plain_text(values["teacher"])
        if problem:
            tally.reject(record.row, f"{problem}{_say_lines(record)}")
        elif not matches:
            tally.unmatched += 1
        elif len(matches) > 1:
            tally.reject(record.row, f"{asked[0][:40]!r} stands for {len(matches)} queries of the project")
        elif (own, matches[0]) in seen:
            tally.reject(record.row, "repeats a query of the same teacher; the first one counts")
        else:
            seen.add((own, matches[0]))
            tally.teachers[own] = tally.teachers.get(own, 0) + 1
            recording, left_out = _read_recording(values)
            tally.note(record.row, left_out)
            keep(own, matches[0], recording)
    return tally


def _index(queries: Sequence[Query]) -> dict[str, tuple[str, ...]]:
    """Query ids by the user's key, by id and by text; several where one name stands for several queries."""
    by_name: dict[str, set[str]] = {}
    for query in queries:
        for name in (query.key, query.id, query.text):
            if name is not None:
                by_name.setdefault(name, set()).add(query.id)
    return {name: tuple(sorted(ids)) for name, ids in by_name.items()}


def _pick(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if not is_missing(values.get(name))), None)


def _output_problem(values: Mapping[str, Any], teacher: str | None) -> str | None:
    if _pick(values, *_QUERY_COLUMNS) is None:
        return "no query id and no query"
    if not teacher and is_missing(values.get("teacher")):
        return "no teacher named, neither in a column `teacher` nor for the whole file"
    if _pick(values, "answer", "label", "raw", "output", "rationale") is None:
        return "no answer, no rationale and no raw reply"
    if isinstance(_pick(values, "answer"), (dict, list)):
        return "the answer is a list or an object"
    return None


def _read_recording(values: Mapping[str, Any]) -> tuple[Recording, list[str]]:
    """The recording of a row, and what of the row was left out."""
    raw = _pick(values, "raw", "output", "reply")
    # Beside a raw reply a column `label` is more likely the data's gold label than the teacher's answer.
    answer = _pick(values, "answer") if raw is not None else _pick(values, "answer", "label")
    factors, left_out = _read_scores(_pick(values, "scores", "factors"))
    rationale = str(_pick(values, "rationale", "reasoning", "explanation") or "")
    label = None if answer is None else plain_text(answer)
    return Recording(rationale, label, None if raw is None else str(raw), factors), left_out


def _read_scores(scores: Any) -> tuple[dict[str, float], list[str]]:
    """Scores as they are read in a live reply, and those left out."""
    if isinstance(scores, str):
        try:
            scores = json.loads(scores)
        except (ValueError, RecursionError):
            scores = []
    if scores is None:
        return {}, []
    if not isinstance(scores, dict):
        return {}, ["its scores are no names with numbers, and are left out"]
    given = {str(name): value for name, value in scores.items() if not is_missing(value)}
    read = {name: read_score(value) for name, value in given.items()}
    left_out = [
        f"its score {name[:40]} is {str(given[name])[:20]!r}, not a number from 0 to 1, and is left out"
        for name, score in read.items()
        if score is None
    ]
    return {name: score for name, score in read.items() if score is not None}, left_out
