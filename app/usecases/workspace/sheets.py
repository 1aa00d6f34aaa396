"""Lists as CSV files: all that a search and a filter find, written row by row, so that a long list costs no memory."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?")


@dataclass(frozen=True)
class Sheet:
    """A table: the names of its columns, and its rows one after the other; they can be read once."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


def write_sheet(sheet: Sheet, path: Path) -> int:
    """Write a table as CSV in UTF-8; nobody finds half a file there. Returns how many rows it has.

    Unknown values are empty, moments are UTC in ISO 8601. A text that a spreadsheet would run as a formula
    (https://owasp.org/www-community/attacks/CSV_Injection) begins with an apostrophe; plain numbers stay as they are.
    """
    count = 0
    with NamedTemporaryFile("w", encoding="utf-8", newline="", dir=path.parent, delete=False) as file:
        try:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(sheet.columns)
            for row in sheet.rows:
                writer.writerow([make_cell(value) for value in row])
                count += 1
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)
    return count


def make_cell(value: Any) -> Any:
    """A value as it stands in a CSV file; see `write_sheet`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def read_moment(at: float | None) -> datetime | None:
    """A moment of the store (Unix time, seconds) in UTC; None where it is not known."""
    return datetime.fromtimestamp(at, UTC) if at else None
