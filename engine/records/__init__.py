"""Reads the rows of a user's file one by one: JSONL, JSON, CSV, TSV, Parquet or plain text, gzipped or not.

A bad row is an error with its number; the good ones go on. Files are streamed, and what they unpack to is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engine.errors import InputError
from engine.records.columnar import read_parquet
from engine.records.delimited import read_delimited
from engine.records.jsonfile import read_json, read_json_lines
from engine.records.row import MAX_CELL, MAX_COLUMNS, MAX_ROW, Record, check_row
from engine.records.text import MAX_FILE, read_lines

__all__ = ["MAX_CELL", "MAX_COLUMNS", "MAX_FILE", "MAX_ROW", "Record", "check_row", "read_records"]
_READERS: Mapping[str, Callable[[Path, int], Iterator[Record]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".parquet": lambda path, max_cell: read_parquet(path),
}


def read_records(path: Path, max_cell: int = MAX_CELL) -> Iterator[Record]:
    """Rows of a file in its order. `max_cell`: characters of a cell at most; of a Parquet file `MAX_CELL` at most.

    Raises:
        InputError: if the file is missing, empty, of an unknown kind, or broken as a whole.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty")
    if path.stat().st_size > MAX_FILE:
        raise InputError(f"{path.name} is larger than {MAX_FILE // 2**30} GiB; split it")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind == ".txt":
        return _read_text(path)
    if kind not in _READERS or (kind == ".parquet" and suffixes[-1] == ".gz"):
        raise InputError(
            f"{path.name}: of unknown kind; give .jsonl, .json, .csv, .tsv or .txt, or these .gz, or .parquet"
        )
    return _READERS[kind](path, max_cell)


def _read_text(path: Path) -> Iterator[Record]:
    for row, (line, error) in enumerate(read_lines(path), 1):
        if error or line.strip():
            yield check_row(row, {"query": line.strip()}, error, row)
