"""The process that reads the rows of a file: `python -m engine.records.worker LIMITS... FILE MAX_CELL`.

A line is a list of rows: number, error, size, line, lines, values.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.errors import InputError
from engine.records.child import serve
from engine.records.delimited import read_delimited
from engine.records.jsonfile import read_json, read_json_lines
from engine.records.kinds import PARQUET, find_kind, name_content
from engine.records.row import MAX_CELL, RawRow, measure
from engine.records.text import open_bytes, read_lines

_BLOCK = 2**18
"""Characters of a line, unless a single row is longer."""
_MOST_ROWS = 1000
_HEAD = 600


def read_rows(words: Sequence[str]) -> Iterator[bytes]:
    """The rows of a file, checked, some a line.

    Raises:
        InputError: if the file is broken as a whole.
    """
    path, max_cell = Path(words[0]), int(words[1])
    max_cell = min(max_cell, MAX_CELL) if find_kind(path) == PARQUET else max_cell
    block: list[str] = []
    size = 0
    try:
        for raw in _read(path):
            text, weight, error = measure(raw.values, max_cell, raw.dump) if raw.error is None else ("{}", 0, raw.error)
            problem = "null" if error is None else json.dumps(error)
            values = "{}" if error else text
            block.append(f"[{raw.row},{problem},{weight},{raw.line},{raw.lines},{values}]")
            size += len(values)
            if size > _BLOCK or len(block) >= _MOST_ROWS:
                yield f"[{','.join(block)}]".encode()
                block, size = [], 0
    except InputError:
        yield f"[{','.join(block)}]".encode()
        raise
    yield f"[{','.join(block)}]".encode()


def _read(path: Path) -> Iterator[RawRow]:
    kind = find_kind(path)
    if kind != PARQUET and (content := name_content(_head(path))):
        raise InputError(f"{path.name} is {content}")
    return _READERS[kind](path)


def _head(path: Path) -> bytes:
    """The first bytes of a file; none where it can't be read, which is told by whoever reads on."""
    try:
        with open_bytes(path) as file:
            return file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def _read_text(path: Path) -> Iterator[RawRow]:
    for row, (line, error) in enumerate(read_lines(path), 1):
        if error or line.strip():
            yield RawRow(row, {"query": line.strip()}, error, row)


def _read_parquet(path: Path) -> Iterator[RawRow]:
    from engine.records.columnar import read_table  # noqa: PLC0415 - a fifth of a second, for this kind only

    return read_table(path)


_READERS: Mapping[str, Callable[[Path], Iterator[RawRow]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": _read_text,
    PARQUET: _read_parquet,
}
if __name__ == "__main__":
    import sys

    if sys.argv[4].lower().endswith(PARQUET):
        import engine.records.columnar  # noqa: F401 - before the limits are set
    serve(read_rows, lambda words: Path(words[0]).name)
