"""The process that decodes Parquet: `python -m engine.records.parquet_worker rows|sizes MEMORY FILE...`.

It writes one JSON list a row (error, size, values) or a batch (file, bytes, longest cell), and an object at its end:
what went wrong, or null. One that needs more than MEMORY bytes ends without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.records.row import MAX_CELL, MAX_COLUMNS, check_row

_BATCH_ROWS = 256
_FOOTER = 16 * 2**20
"""Bytes of a text, and number of parts, in the description of the file."""
_TEXTS = ("string", "large_string", "binary", "large_binary")
"""Types whose columns can be read as indices."""


def main(what: str, memory: int, paths: Sequence[Path]) -> str | None:
    """Write what is asked for of the files; returns what went wrong."""
    _bound_memory(memory)
    try:
        for path in paths:
            for line in _rows(path) if what == "rows" else _sizes(path):
                sys.stdout.write(line + "\n")
    except _TooMany as error:
        return str(error)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, ValueError, OverflowError):
        return "is no readable Parquet file; write it anew"
    return None


class _TooMany(Exception):
    """The file has too many columns."""


def _bound_memory(memory: int) -> None:
    """Let this process take so many bytes more than it has; where the system can't bound them, it goes without."""
    try:
        import resource  # noqa: PLC0415 - not on every system

        here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (here + memory, here + memory))
    except (ImportError, OSError, ValueError):
        return


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of rows in which texts are indices into a dictionary: a text that is repeated is held once."""
    options = {"pre_buffer": False, "buffer_size": 2**20}
    limits = {"thrift_string_size_limit": _FOOTER, "thrift_container_size_limit": _FOOTER}
    with pq.ParquetFile(path, **options, **limits) as file:
        schema = file.schema_arrow
        if len(schema) > MAX_COLUMNS or file.metadata.num_columns > 10 * MAX_COLUMNS:
            raise _TooMany(f"has {file.metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read")
        texts = [field.name for field in schema if str(field.type) in _TEXTS and not _is_delta(file, field.name)]
    with pq.ParquetFile(path, read_dictionary=texts, **options, **limits) as file:
        yield from file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)


def _is_delta(file: pq.ParquetFile, name: str) -> bool:
    """Whether a column is written as differences of cells, which can't be read as indices."""
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return any(
        chunk.path_in_schema == name and any(word.startswith("DELTA") for word in chunk.encodings) for chunk in chunks
    )


def _rows(path: Path) -> Iterator[str]:
    for batch in _batches(path):
        columns = [_values(column) for column in batch.columns]
        for cells in zip(*columns, strict=True) if columns else ([] for _ in range(batch.num_rows)):
            values = dict(zip(batch.schema.names, cells, strict=True))
            error = next((cell.why for cell in cells if isinstance(cell, _Unusable)), None)
            checked = check_row(0, values, error)
            yield json.dumps([checked.error, checked.size, checked.values], ensure_ascii=True, default=_plain)


class _Unusable:
    """Stands for a cell that is not read."""

    def __init__(self, why: str) -> None:
        self.why = why


def _values(column: pa.Array) -> list[Any]:
    """Python values of a column; a text that stands in many rows is one object."""
    if not pa.types.is_dictionary(column.type):
        return [_value(cell) for cell in column]
    lengths = pc.binary_length(column.dictionary).to_pylist()
    long = _Unusable(f"a cell is longer than {MAX_CELL:,} characters")
    texts = [
        long if length is not None and length > 4 * MAX_CELL else _value(cell)
        for cell, length in zip(column.dictionary, lengths, strict=True)
    ]
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]


def _value(cell: pa.Scalar) -> Any:
    try:
        return _plain_bytes(cell.as_py())
    except UnicodeDecodeError:
        return _Unusable("a text is not UTF-8")


def _plain_bytes(value: Any) -> Any:
    """Bytes as the text that they are; None where they are none, as those of a picture."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _plain(value: Any) -> Any:
    return _plain_bytes(value) if isinstance(value, bytes) else str(value)


def _sizes(path: Path) -> Iterator[str]:
    for batch in _batches(path):
        size, longest = 0, 0
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                lengths = pc.binary_length(column.dictionary)
                longest = max(longest, pc.max(lengths).as_py() or 0)
                size += pc.sum(lengths.take(column.indices)).as_py() or 0
            else:
                size += column.nbytes
        yield json.dumps([path.name, max(size, 16 * batch.num_rows), longest])


if __name__ == "__main__":
    ended = main(sys.argv[1], int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
    sys.stdout.write(json.dumps({"problem": ended}) + "\n")
