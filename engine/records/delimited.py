"""CSV and TSV: lines joined to records by their quotes, each record parsed by the csv module.

The module alone takes all lines behind a quote that never closes for one cell, and says nothing. So the quotes are
followed here, by the module's own rules: a quote opens at the beginning of a cell only, and two of them are one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from engine.errors import InputError
from engine.records.row import MAX_COLUMNS, MAX_ROW, RawRow
from engine.records.text import find_problem, read_pieces, too_long

_QUOTED_PART = re.compile(r'"[^"]*"')
_MISSING = ("NaN", "nan")
"""How programs print a missing value into a file that has no types. A cell that is nothing else is one."""


class _At(Enum):
    """Where in a record one is."""

    BEGIN = 0
    PLAIN = 1
    QUOTED = 2
    CLOSING = 3


class _Lines(NamedTuple):
    """The lines of one record: where they begin, their number, their text, what is wrong with them."""

    first: int
    number: int
    texts: list[str]
    problem: str | None


def read_delimited(path: Path) -> Iterator[RawRow]:
    """Rows below a header. A cell `NaN` is a missing value.

    Raises:
        InputError: if the header can't be used, or a quote never closes.
    """
    delimiter = _find_delimiter(path)
    csv.field_size_limit(2 * MAX_ROW)
    header: list[str] | None = None
    row = 0
    for lines in _join_lines(path, delimiter):
        cells = next(csv.reader(lines.texts, delimiter=delimiter), [])
        if header is None:
            header = _read_header(path.name, cells, lines.problem)
            continue
        if not cells and lines.problem is None:
            continue
        row += 1
        problem = lines.problem
        if problem is None and len(cells) != len(header):
            problem = f"{len(cells)} cells, but the header has {len(header)}"
        values = {name: float("nan") if cell in _MISSING else cell for name, cell in zip(header, cells, strict=False)}
        yield RawRow(row, values, problem, lines.first, lines.number)


def _read_header(name: str, cells: list[str], problem: str | None) -> list[str]:
    if problem is not None:
        raise InputError(f"{name}: its header can't be used: {problem}")
    if len(cells) > MAX_COLUMNS:
        raise InputError(f"{name} has {len(cells):,} columns; at most {MAX_COLUMNS:,} are read")
    header = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1)]
    if len(set(header)) != len(header):
        raise InputError(f"{name}: two columns have the same name")
    return header


def _find_delimiter(path: Path) -> str:
    if ".tsv" in [suffix.lower() for suffix in path.suffixes]:
        return "\t"
    header = _QUOTED_PART.sub("", next(read_pieces(path), ""))
    return max(",;\t|", key=header.count)


def _join_lines(path: Path, delimiter: str) -> Iterator[_Lines]:
    """The lines of each record. Of a record with a problem no text is kept.

    Raises:
        InputError: if a quote never closes, with the line that it opened in.
    """
    at, opened, done, first = _At.BEGIN, 0, 0, 1
    texts: list[str] = []
    size, problem, whole = 0, None, True
    for piece in read_pieces(path):
        size += len(piece)
        problem = problem or find_problem(piece) or (too_long() if size > MAX_ROW else None)
        texts = [] if problem else texts
        if problem is None and texts and not whole:
            texts[-1] += piece
        elif problem is None:
            texts.append(piece)
        whole = piece[-1] in "\r\n"
        if '"' in piece or (at is not _At.QUOTED and not (whole and at is _At.BEGIN)):
            at, opens = _follow(at, piece, delimiter)
            opened = done + 1 if opens else opened
        done += whole
        if whole and at is not _At.QUOTED:
            yield _Lines(first, done - first + 1, texts, problem)
            at, texts, size, problem, first = _At.BEGIN, [], 0, None, done + 1
    done += not whole
    if at is _At.QUOTED:
        inside = done - opened + 1
        raise InputError(
            f"{path.name}: the quote opened in line {opened:,} never closes; "
            f"{'1 line is' if inside == 1 else f'{inside:,} lines are'} inside. Close it, or write it twice where it "
            "belongs to the text, and import the file again"
        )
    if size:
        yield _Lines(first, done - first + 1, texts, problem)


def _follow(at: _At, text: str, delimiter: str) -> tuple[_At, bool]:
    """Where one is behind a text, and whether a quote opened in it."""
    place, opens = 0, False
    while place < len(text):
        if at is _At.QUOTED:
            quote = text.find('"', place)
            if quote < 0:
                return at, opens
            at, place = _At.CLOSING, quote + 1
        elif at is _At.CLOSING:
            at, place = (_At.QUOTED, place + 1) if text[place] == '"' else (_At.PLAIN, place)
        elif at is _At.BEGIN and text[place] == '"':
            at, place, opens = _At.QUOTED, place + 1, True
        else:
            end = text.find(delimiter, place)
            if end < 0:
                return _At.PLAIN, opens
            at, place = _At.BEGIN, end + 1
    return at, opens
