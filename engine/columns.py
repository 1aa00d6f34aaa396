"""From the columns of a file to queries and recordings: found by usual names, unless the user names them.

A task says which columns it reads, and what it makes of a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from engine.choices import is_missing, plain_text
from engine.errors import InputError, MissingColumn
from engine.ports import Task
from engine.records import MAX_COLUMNS, Record
from engine.tasks.reply import read_score
from engine.teachers.recorded import Recording, name_problem
from engine.values import Query, Split, hash_id

_HEAD = 1000
_BLOCK = 10_000
_BLOCK_BYTES = 32 * 2**20
_MOST_NAMED = 20
MOST_ERRORS = 1000
"""Rows that are told one by one."""
_QUERY_COLUMNS = ("query_id", "id", "qid", "query", "question")


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


def find_columns(names: Sequence[str], overrides: Mapping[str, str], task: Task) -> dict[str, str]:
    """The column of each role of a task, by its name or as the user says; without those that the file has none for.

    `overrides` are columns by role; "": the file has none.

    Raises:
        InputError: if an override names no column, or no role of the task.
    """
    roles = [role.name for role in task.roles]
    foreign = next((role for role, name in overrides.items() if name and role not in roles), None)
    if foreign is not None:
        raise InputError(
            f"no column is {foreign[:40]!r} to a task of {task.title}: give ROLE=NAME with a role of {', '.join(roles)}"
        )
    lowered = {name.lower(): name for name in names}
    columns: dict[str, str] = {}
    for role in task.roles:
        if role.name in overrides:
            given = overrides[role.name]
            if given and given not in names:
                raise InputError(f"there is no column {given!r}; the file has {_list(names)}")
            columns |= {role.name: given} if given else {}
            continue
        taken = {*columns.values(), *overrides.values()}
        match = next((lowered[g] for g in role.names if g in lowered and lowered[g] not in taken), None)
        columns |= {} if match is None else {role.name: match}
    return columns


def match_columns(names: Sequence[str], overrides: Mapping[str, str], task: Task) -> dict[str, str]:
    """As `find_columns`, of a file that has what the task needs.

    Raises:
        MissingColumn: if a column is missing that the task requires.
        InputError: as `find_columns`.
    """
    columns = find_columns(names, overrides, task)
    missing = next((role for role in task.roles if role.required and role.name not in columns), None)
    if missing is not None:
        message = f"which column holds {missing.help}? None looks like it among {_list(names)}"
        raise MissingColumn(message, missing.name)
    return columns


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name[:80] for name in names[:_MOST_NAMED]) + more


def read_queries(
    records: Iterable[Record], overrides: Mapping[str, str], heldout: float, task: Task
) -> Iterator[ImportedQueries]:
    """Turn rows into queries, a block at a time. A share `heldout` of them is for scoring only: by hash of
    the id, of paraphrases by that of their original question.

    Columns are found among the names in the first thousand rows. What the task can't use of a row is an error, a gold
    label that can't be right a note. Duplicates are those within a block.

    Raises:
        MissingColumn: if the file lacks a column that the task requires.
        InputError: where the records end in one, after the block of those before it.
    """
    broken: list[InputError] = []
    rest = _until_broken(records, broken)
    head = take_block(rest, _HEAD)
    names = name_columns(head)
    columns = match_columns(names, overrides, task) if names else {}
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


def _read_block(records: Sequence[Record], columns: Mapping[str, str], heldout: float, task: Task) -> ImportedQueries:
    imported = ImportedQueries([], {}, [], 0)
    queries: dict[str, Query] = {}
    duplicates = 0
    for record in records:
        if record.lines > 1:
            imported.spans.append(Span(record.row, record.line, record.lines))
        try:
            if record.error is not None:
                raise InputError(record.error)
            cells = _pick_cells(record.values, columns)
            query = task.read_row(cells)
        except InputError as error:
            imported.errors.append(RowError(record.row, f"{error}{_say_lines(record)}"))
            continue
        if query.id in queries:
            duplicates += 1
            continue
        queries[query.id] = hold_out(query, heldout)
        try:
            gold = task.read_gold(query, cells)
        except InputError as error:
            imported.notes.append(RowError(record.row, f"{error}; the query is taken without it"))
            continue
        if gold is not None:
            imported.golds[query.id] = gold
    imported.queries.extend(queries.values())
    return replace(imported, duplicates=duplicates)


def _say_lines(record: Record) -> str:
    return f" (lines {record.line:,} to {record.line + record.lines - 1:,})" if record.lines > 1 else ""


def _pick_cells(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """What a row holds by role, without cells that are empty."""
    return {role: values[name] for role, name in columns.items() if not is_missing(values.get(name))}


def hold_out(query: Query, share: float) -> Query:
    """The query in its split, a share of all being held out by hash; a paraphrase is where its original question is."""
    is_heldout = int(hash_id("heldout", query.family)[:8], 16) < share * 2**32
    return replace(query, split=Split.HELDOUT) if is_heldout else query


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
        problem = problem or name_problem(own)
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
