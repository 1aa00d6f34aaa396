"""One row of a file, and the bounds that every row keeps, whatever format it came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_CELL = 100_000
"""Characters of a cell."""
MAX_ROW = 4 * 2**20
"""Characters of a row, as it stands in its file."""
MAX_COLUMNS = 1_000
MAX_DEPTH = 100
"""Lists and objects in one another."""
_dump = json.JSONEncoder(ensure_ascii=False, default=str).encode
"""One encoder for all: `json.dumps` with settings of its own makes a new one for every call."""


class RawRow(NamedTuple):
    """A row as it was read: its number, what it holds or why it can't be read, where it begins, over how many lines."""

    row: int
    values: Any
    error: str | None = None
    line: int = 0
    lines: int = 1
    dump: Callable[[Any], str] = _dump


@dataclass(frozen=True)
class Record:
    """One row, counted from 1: its values, or why it can't be used.

    `size` is about what the row takes in memory, in bytes. `line` is where it begins in a file of lines, `lines` over
    how many it runs.
    """

    row: int
    values: dict[str, Any]
    error: str | None = None
    size: int = 0
    line: int = 0
    lines: int = 1


def check_row(row: int, values: Any) -> Record:
    """A row as a record, with an error where it has no named fields, breaks a bound, or can't be stored as text."""
    _, size, error = measure(values, MAX_CELL)
    return Record(row, {} if error else {str(k): v for k, v in values.items()}, error, size)


def measure(values: Any, max_cell: int, dump: Callable[[Any], str] = _dump) -> tuple[str, int, str | None]:
    """The JSON form of a row, about what it takes in memory, and what is wrong with it, which leaves no form."""
    if not isinstance(values, dict):
        return "", 0, "not an object with named fields"
    if len(values) > MAX_COLUMNS:
        return "", 0, f"{len(values):,} fields; a row has at most {MAX_COLUMNS:,}"
    long = f"a cell is longer than {max_cell:,} characters"
    if any(isinstance(value, str) and len(value) > max_cell for value in values.values()):
        return "", 0, long
    try:
        text = dump(values)
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "", 0, "a text holds half a character (a lone surrogate or a byte that is not UTF-8)"
    except RecursionError:
        return "", 0, "lists or objects in one another without end"
    if size > 4 * MAX_ROW:
        return "", size, f"the row is longer than {MAX_ROW:,} characters"
    if size > max_cell and any(len(dump(v)) > max_cell for v in values.values() if not isinstance(v, str)):
        return "", size, long
    opened = text.count("[") + text.count("{")
    if opened > MAX_DEPTH and _is_deep(values, MAX_DEPTH):
        return "", size, f"more than {MAX_DEPTH} lists or objects in one another"
    weight = size + 100 * opened + 60 * text.count('",') + 30 * text.count(",")
    return text, weight, "a text holds a NUL character" if "\\u0000" in text and _holds_nul(values) else None


def _is_deep(value: Any, left: int) -> bool:
    if isinstance(value, dict):
        return left == 0 or any(_is_deep(part, left - 1) for part in value.values())
    if isinstance(value, (list, tuple)):
        return left == 0 or any(_is_deep(part, left - 1) for part in value)
    return False


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(_holds_nul(part) for part in value)
    return isinstance(value, str) and "\0" in value
