"""Parquet, decoded batch by batch; only where memory is bounded, as in the process of `engine/records/worker.py`.

A Parquet file of a few hundred bytes can say that it holds gigabytes: by a dictionary of long cells, by runs of
repeated values, by prefixes that cells share. What its metadata say about sizes need not be true, so nothing but the
memory of whoever decodes it can be trusted. https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import InputError
from engine.records.row import MAX_CELL, MAX_COLUMNS, RawRow

T = TypeVar("T")
_BATCH_ROWS = 256
_FOOTER = 16 * 2**20
"""Bytes of a text, and number of parts, in the description of the file."""
_TEXTS = ("string", "large_string", "binary", "large_binary")
"""Types whose columns can be read as indices."""
PART = 16 * 2**20
"""Bytes of a part of a table, unless a single row is longer."""
_ROW_BYTES = 16
"""What a row counts for at least."""
_BROKEN = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, ValueError, OverflowError)


def read_table(path: Path) -> Iterator[RawRow]:
    """Rows of a Parquet file.

    Raises:
        InputError: if it is none, or has too many columns.
    """
    row = 0
    for batch in _batches(path):
        columns = [_values(column) for column in batch.columns]
        for cells in zip(*columns, strict=True) if columns else ([] for _ in range(batch.num_rows)):
            row += 1
            error = next((cell.why for cell in cells if isinstance(cell, _Unusable)), None)
            yield RawRow(row, dict(zip(batch.schema.names, cells, strict=True)), error, dump=_dump)


def read_parts(path: Path, max_cell: int) -> Iterator[tuple[pa.Table, int]]:
    """A Parquet file in parts of some rows, and how many bytes of memory each takes.

    Raises:
        InputError: as `read_table`, or if a text has more than `max_cell` bytes.
    """
    for batch in _batches(path):
        sizes = np.full(batch.num_rows, _ROW_BYTES, np.int64)
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                lengths = pc.binary_length(column.dictionary)
                longest = pc.max(lengths).as_py() or 0
                if longest > max_cell:
                    raise InputError(
                        f"{path.name} holds a cell of {longest // 2**20:,} MiB; at most {max_cell // 2**20} are read"
                    )
                sizes += pc.fill_null(lengths.take(column.indices), 0).to_numpy(zero_copy_only=False)
            elif batch.num_rows:
                sizes += column.nbytes // batch.num_rows
        for begin, end in _split(sizes):
            part = batch.slice(begin, end - begin)
            columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in part.columns]
            yield pa.Table.from_arrays(columns, names=batch.schema.names), int(sizes[begin:end].sum())


def _split(sizes: np.ndarray[Any, Any]) -> Iterator[tuple[int, int]]:
    """Rows from and to, some megabytes at a time; a table without rows has one part."""
    begin = total = 0
    for row, size in enumerate(sizes.tolist()):
        if total and total + size > PART:
            yield begin, row
            begin, total = row, 0
        total += size
    yield begin, len(sizes)


def write_parts(parts: Iterator[tuple[pa.Table, int]], path: Path) -> None:
    """Write such parts to a Parquet file, in groups of some megabytes."""
    writer: pq.ParquetWriter | None = None
    tables: list[pa.Table] = []
    size = 0
    try:
        for table, more in parts:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            tables.append(table)
            size += more
            if size > PART:
                writer.write_table(pa.concat_tables(tables))
                tables, size = [], 0
        if writer is not None:
            writer.write_table(pa.concat_tables(tables) if tables else writer.schema.empty_table())
    finally:
        if writer is not None:
            writer.close()


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of rows in which texts are indices into a dictionary: a text that is repeated is held once; at least one.

    Raises:
        InputError: as `read_table`.
    """
    batches = _tell(path, lambda: _open(path))
    while (batch := _tell(path, lambda: next(batches, None))) is not None:
        yield batch


def _tell(path: Path, work: Callable[[], T]) -> T:
    try:
        return work()
    except MemoryError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path.name} is no readable Parquet file; write it anew") from error


def _open(path: Path) -> Iterator[pa.RecordBatch]:
    options = {"pre_buffer": False, "buffer_size": 2**20}
    limits = {"thrift_string_size_limit": _FOOTER, "thrift_container_size_limit": _FOOTER}
    with pq.ParquetFile(path, **options, **limits) as file:
        schema = file.schema_arrow
        if len(schema) > MAX_COLUMNS or file.metadata.num_columns > 10 * MAX_COLUMNS:
            raise InputError(f"{path.name} has {file.metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read")
        texts = [field.name for field in schema if str(field.type) in _TEXTS and not _is_delta(file, field.name)]
    with pq.ParquetFile(path, read_dictionary=texts, **options, **limits) as file:
        rows = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            rows += batch.num_rows
            yield batch
        if not rows:
            yield pa.RecordBatch.from_pylist([], file.schema_arrow)


def _is_delta(file: pq.ParquetFile, name: str) -> bool:
    """Whether a column is written as differences of cells, which can't be read as indices."""
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return any(
        chunk.path_in_schema == name and any(word.startswith("DELTA") for word in chunk.encodings) for chunk in chunks
    )


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


_dump = json.JSONEncoder(ensure_ascii=False, default=_plain).encode
