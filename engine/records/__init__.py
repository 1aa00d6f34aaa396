"""Reads the rows of a user's file one by one: JSONL, JSON, CSV, TSV, Parquet or plain text, gzipped or not.

A bad row is an error with its number; the good ones go on. Files are streamed, and what they unpack to is bounded. They
are parsed in a process of its own (`engine/records/apart.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.records.apart import limits_of, read_apart, read_lists
from engine.records.kinds import PARQUET, find_kind
from engine.records.row import MAX_CELL, MAX_COLUMNS, MAX_ROW, Record, check_row
from engine.records.text import MAX_FILE, MAX_UNPACKED, Ceiling

__all__ = ["MAX_CELL", "MAX_COLUMNS", "MAX_FILE", "MAX_ROW", "Record", "check_row", "read_records"]
_FREE, _FREE_PACKED = 64 * 2**20, 256 * 2**20
"""Bytes of rows that any file may give."""
_TIMES, _TIMES_PACKED = 50, 1_000
"""How many times its size the rows of a file may take: each names its columns, and a packed file may repeat much."""


def read_records(path: Path, max_cell: int = MAX_CELL) -> Iterator[Record]:
    """Rows of a file in its order. `max_cell`: characters of a cell at most; of a Parquet file `MAX_CELL` at most.

    Raises:
        InputError: if the file is missing, empty, of an unknown kind, or broken as a whole.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path.name} is empty")
    if size > MAX_FILE:
        raise InputError(f"{path.name} is larger than {MAX_FILE // 2**30} GiB; split it")
    kind = find_kind(path)
    return _read(path, size, kind == PARQUET or path.suffix.lower() == ".gz", max_cell)


def _read(path: Path, size: int, packed: bool, max_cell: int) -> Iterator[Record]:
    free, times = (_FREE_PACKED, _TIMES_PACKED) if packed else (_FREE, _TIMES)
    most = MAX_UNPACKED if packed else _TIMES * MAX_FILE
    ceiling = Ceiling(path.name, size, free, times, "; name its columns shorter, or split it", most, "gives rows of")
    lines = read_apart("engine.records.worker", [str(path.absolute()), str(max_cell)], limits_of(size), path.name)
    for rows in read_lists(_count(lines, ceiling), path.name):
        for row in rows:
            yield _record(row, path.name)


def _count(lines: Iterator[bytes], ceiling: Ceiling) -> Iterator[bytes]:
    for line in lines:
        ceiling.add(len(line))
        yield line


def _record(row: Any, name: str) -> Record:
    try:
        number, error, size, line, lines, values = row
    except (TypeError, ValueError):
        raise InputError(f"{name} can't be read: it is damaged") from None
    return Record(number, values, error, size, line, lines)
