"""Files of traces, read row by row: which format each is in, and requests joined with their replies."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from engine.errors import InputError
from engine.records import MAX_ROW, Record, read_records
from engine.traces.base import FORMATS, Joining, Row, Trace, TraceFormat
from engine.wording import counted

_SAMPLE = 100
_LEAST = 0.2
"""A format that fewer rows of a file look like is not taken for it."""
_STRANGE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What code that reads a stranger's row raises where the row is not what it seems."""


@dataclass(frozen=True)
class TraceFile:
    """A file and the name of its format."""

    path: Path
    format: str


@dataclass(frozen=True)
class TraceItem:
    """What a row gave: a trace, or why it gave none. `size` is in bytes of the row."""

    file: str
    row: int
    trace: Trace | None
    error: str = ""
    size: int = 0


def find_formats(paths: Sequence[Path], name: str = "") -> list[TraceFile]:
    """The format of each file, by looking at its first rows; `name` where it is said.

    Raises:
        InputError: if a file can't be read, or looks like no format.
        ConfigError: if there is no format of that name.
    """
    if name:
        FORMATS.get(name)
    if not paths:
        raise InputError("no file was given")
    return [TraceFile(path, name or _recognise(path)) for path in paths]


def _recognise(path: Path) -> str:
    records = islice(read_records(path, MAX_ROW), _SAMPLE)
    rows = [record.values for record in records if record.error is None]
    scores = {name: _score(FORMATS[name], rows) for name in FORMATS}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < _LEAST:
        titles = ", ".join(FORMATS[name].title for name in FORMATS)
        what = "its rows look like no format of traces" if rows else "none of its first rows can be read"
        raise InputError(f"{path.name}: {what}. Known are {titles}; if it is one of them, say which")
    return best


def _score(kind: TraceFormat, rows: Sequence[Row]) -> float:
    try:
        return float(kind.recognise(rows))
    except _STRANGE:
        return 0.0


def read_traces(files: Sequence[TraceFile]) -> Iterator[TraceItem]:
    """What the rows of some files give, file by file. Files of a format that joins rows are read together.

    Raises:
        InputError: where a file breaks off.
    """
    for name in dict.fromkeys(file.format for file in files):
        kind, same = FORMATS[name], [file.path for file in files if file.format == name]
        if kind.joins is not None:
            yield from _read_joined(kind, kind.joins, same)
            continue
        for path in same:
            for record in read_records(path, MAX_ROW):
                yield from _read_record(kind, path.name, record)


def _read_record(kind: TraceFormat, file: str, record: Record) -> Iterator[TraceItem]:
    if record.error is not None:
        yield TraceItem(file, record.row, None, record.error, record.size)
        return
    try:
        parts = list(kind.parts(record.values))
    except _STRANGE as error:
        yield TraceItem(file, record.row, None, _say(kind, error), record.size)
        return
    for part in parts:
        yield _read_part(kind, file, record, part)


def _read_part(kind: TraceFormat, file: str, record: Record, part: Row) -> TraceItem:
    try:
        return TraceItem(file, record.row, kind.read(part), "", record.size)
    except InputError as error:
        return TraceItem(file, record.row, None, str(error), record.size)
    except _STRANGE as error:
        return TraceItem(file, record.row, None, _say(kind, error), record.size)


def _say(kind: TraceFormat, error: Exception) -> str:
    return f"it can't be read as {kind.title}: {type(error).__name__}"


class _Requests:
    """Requests by their key, in a file that has no name and is gone with this process: only their places are held."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, str, int]] = {}
        self._answered: set[str] = set()

    def keep(self, key: str, file: str, record: Record) -> bool:
        """Keep one; False where there is one of that key."""
        if key in self._places:
            return False
        self._places[key] = (self._file.seek(0, 2), file, record.row)
        self._file.write(json.dumps(record.values).encode() + b"\n")
        return True

    def find(self, key: str | None) -> Mapping[str, object]:
        """The request of that key; nothing where there is none."""
        if key is None or key not in self._places:
            return {}
        self._answered.add(key)
        self._file.seek(self._places[key][0])
        request: Mapping[str, object] = json.loads(self._file.readline())
        return request

    def unanswered(self) -> Iterator[tuple[str, int]]:
        """File and row of each that no reply was found for."""
        return ((file, row) for key, (_, file, row) in self._places.items() if key not in self._answered)


def _read_joined(kind: TraceFormat, joins: Joining, paths: Sequence[Path]) -> Iterator[TraceItem]:
    with tempfile.TemporaryFile() as file:
        requests = _Requests(file)
        for path in paths:
            for record in read_records(path, MAX_ROW):
                if record.error is None and joins.asks(record.values):
                    key = joins.key(record.values)
                    if key is None or not requests.keep(key, path.name, record):
                        yield TraceItem(
                            path.name, record.row, None, "a request before it has the same key", record.size
                        )
        for path in paths:
            for record in read_records(path, MAX_ROW):
                if record.error is not None:
                    yield TraceItem(path.name, record.row, None, record.error, record.size)
                elif not joins.asks(record.values):
                    whole = {**requests.find(joins.key(record.values)), **record.values}
                    yield _read_part(kind, path.name, record, whole)
        for name, row in requests.unanswered():
            yield TraceItem(name, row, None, "its reply is not in the files")


def say_formats(files: Sequence[TraceFile]) -> str:
    """Which formats were found, in words."""
    counts: dict[str, int] = {}
    for file in files:
        counts[file.format] = counts.get(file.format, 0) + 1
    named = [f"{FORMATS[name].title} ({counted(count, 'file')})" for name, count in counts.items()]
    return ", ".join(named)
