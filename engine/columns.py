"""From the columns of a file to queries and recordings: a guess for the usual names, overridable by the user."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from engine.errors import InputError
from engine.records import Record
from engine.teachers.recorded import Recording
from engine.types import Choice, Query, Split, hash_id, make_query

_HEAD = 1000
_BLOCK = 10_000
MOST_ERRORS = 1000
"""Rejected rows that are told one by one."""
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
    """A row that was left out, counted from 1, and why."""

    row: int
    message: str


@dataclass(frozen=True)
class ImportedQueries:
    """What rows gave: queries (each once), gold labels by query id, rows left out, rows that repeat another."""

    queries: list[Query]
    golds: dict[str, str]
    errors: list[RowError]
    duplicates: int


def guess_columns(names: Sequence[str], overrides: Mapping[str, str]) -> Columns:
    """Map columns by their names.

    Raises:
        InputError: if an override names no column, or no column looks like a query.
    """
    lowered = {name.lower(): name for name in names}
    found: dict[str, str] = {}
    for role, guesses in _GUESSES.items():
        if role in overrides:
            if not overrides[role] and role != "query":  # the user says that the file has none
                continue
            if overrides[role] not in names:
                raise InputError(f"there is no column {overrides[role]!r}; the file has {', '.join(names)}")
            found[role] = overrides[role]
            continue
        match = next((lowered[g] for g in guesses if g in lowered and lowered[g] not in found.values()), None)
        if match is not None:
            found[role] = match
    if "query" not in found:
        raise InputError(f"no column looks like a query among {', '.join(names)}; name it with --column query=NAME")
    return Columns(**found)


def read_queries(
    records: Iterable[Record], overrides: Mapping[str, str], heldout: float, need_choices: bool = False
) -> Iterator[ImportedQueries]:
    """Turn rows into queries, a block at a time. A share `heldout` of them, by hash of their id, is for scoring only.

    Columns are guessed from the names in the first thousand rows. `need_choices` makes a row without choices an error.
    Duplicates are those within a block.
    """
    rest = iter(records)
    head = list(islice(rest, _HEAD))
    names = list(dict.fromkeys(name for record in head for name in record.values))
    columns = guess_columns(names, overrides) if names else Columns("query")
    rows = chain(head, rest)
    while block := list(islice(rows, _BLOCK)):
        yield _read_block(block, columns, heldout, need_choices)


def _read_block(records: Sequence[Record], columns: Columns, heldout: float, need_choices: bool) -> ImportedQueries:
    queries: dict[str, Query] = {}
    golds: dict[str, str] = {}
    errors: list[RowError] = []
    duplicates = 0
    for record in records:
        if record.error is not None:
            errors.append(RowError(record.row, record.error))
            continue
        try:
            query, gold = _read_query(record.values, columns, heldout)
            if need_choices and not query.choices:
                raise InputError("no choices, but the project's task is multiple choice")
        except InputError as error:
            errors.append(RowError(record.row, str(error)))
            continue
        if query.id in queries:
            duplicates += 1
            continue
        queries[query.id] = query
        if gold is not None:
            golds[query.id] = gold
    return ImportedQueries(list(queries.values()), golds, errors, duplicates)


def _read_query(values: Mapping[str, Any], columns: Columns, heldout: float) -> tuple[Query, str | None]:
    text = values.get(columns.query)
    if not isinstance(text, str) or not text.strip():
        raise InputError("empty query")
    choices = _read_choices(values[columns.choices]) if columns.choices and values.get(columns.choices) else ()
    key = str(values[columns.id]) if columns.id and values.get(columns.id) is not None else None
    kind = str(values[columns.kind]) if columns.kind and values.get(columns.kind) not in (None, "") else None
    query = make_query(text.strip(), choices, kind, key)
    if int(hash_id("heldout", query.id)[:8], 16) < heldout * 2**32:
        query = make_query(text.strip(), choices, kind, key, Split.HELDOUT)
    gold = values.get(columns.gold) if columns.gold else None
    return query, None if gold is None or not str(gold).strip() else _short_gold(str(gold))


def _short_gold(gold: str) -> str:
    """GSM8K writes its answers as a solution that ends in `#### 18`, MetaMathQA in `The answer is: 18`."""
    for mark in ("####", "The answer is:"):
        if mark in gold:
            return gold.rsplit(mark, 1)[1].strip()
    return gold.strip()


def _read_choices(value: Any) -> tuple[Choice, ...]:
    """Choices as {"A": text}, {"label": [...], "text": [...]}, a list of texts, or any of these as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise InputError("the choices are not JSON") from None
    if isinstance(value, dict) and {"label", "text"} <= value.keys():
        letters, texts = value["label"] or [], value["text"] or []
        if not isinstance(letters, list) or not isinstance(texts, list):
            raise InputError("the choices' `label` and `text` are no lists")
        if len(letters) != len(texts):
            raise InputError(f"{len(letters)} letters for {len(texts)} choices")
        value = dict(zip(map(str, letters), texts, strict=True))
    if isinstance(value, list):
        if len(value) > len(string.ascii_uppercase):
            raise InputError(f"{len(value)} choices; at most {len(string.ascii_uppercase)} can be lettered")
        value = dict(zip(string.ascii_uppercase, value, strict=False))
    if not isinstance(value, dict) or not all(str(text).strip() for text in value.values()):
        raise InputError("the choices are neither a list nor letters with texts")
    return tuple(Choice(str(letter), str(text)) for letter, text in value.items() if text is not None)


@dataclass
class OutputTally:
    """What became of a file's rows: recordings by teacher, rows left out (the first are told), unknown queries."""

    teachers: dict[str, int] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    rejected: int = 0
    unmatched: int = 0

    def reject(self, row: int, message: str) -> None:
        """Leave a row out."""
        self.rejected += 1
        if self.rejected <= MOST_ERRORS:
            self.errors.append(RowError(row, message))


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
        asked = [str(values[name]) for name in _QUERY_COLUMNS if values.get(name) not in (None, "")]
        matches = next((by_key[key] for text in asked for key in (text, text.strip()) if key in by_key), ())
        own = str(values.get("teacher") or teacher)
        if problem:
            tally.reject(record.row, problem)
        elif not matches:
            tally.unmatched += 1
        elif len(matches) > 1:
            tally.reject(record.row, f"{asked[0][:40]!r} stands for {len(matches)} queries of the project")
        elif (own, matches[0]) in seen:
            tally.reject(record.row, "repeats a query of the same teacher; the first one counts")
        else:
            seen.add((own, matches[0]))
            tally.teachers[own] = tally.teachers.get(own, 0) + 1
            keep(own, matches[0], _read_recording(values))
    return tally


def _index(queries: Sequence[Query]) -> dict[str, tuple[str, ...]]:
    """Query ids by the user's key, by id and by text; several where one name stands for several queries."""
    found: dict[str, set[str]] = {}
    for query in queries:
        for name in (query.key, query.id, query.text):
            if name is not None:
                found.setdefault(name, set()).add(query.id)
    return {name: tuple(sorted(ids)) for name, ids in found.items()}


def _pick(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def _output_problem(values: Mapping[str, Any], teacher: str | None) -> str | None:
    if _pick(values, *_QUERY_COLUMNS) is None:
        return "no query id and no query"
    if not (values.get("teacher") or teacher):
        return "no teacher named; give the column `teacher` or --teacher NAME"
    if _pick(values, "answer", "label", "raw", "output", "rationale") is None:
        return "no answer, no rationale and no raw reply"
    return None


def _read_recording(values: Mapping[str, Any]) -> Recording:
    raw = _pick(values, "raw", "output", "reply")
    # Beside a raw reply a column `label` is more likely the data's gold label than the teacher's answer.
    answer = _pick(values, "answer") if raw is not None else _pick(values, "answer", "label")
    scores = _pick(values, "scores", "factors")
    if isinstance(scores, str):
        try:
            scores = json.loads(scores)
        except ValueError:
            scores = None
    factors = (
        {str(n): float(v) for n, v in scores.items() if isinstance(v, (int, float)) and abs(v) < 2**1000}
        if isinstance(scores, dict)
        else {}
    )
    rationale = str(_pick(values, "rationale", "reasoning", "explanation") or "")
    return Recording(rationale, None if answer is None else str(answer), None if raw is None else str(raw), factors)
