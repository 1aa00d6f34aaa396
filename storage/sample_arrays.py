"""A project's distillation samples as arrays, read without an object for each of them.

Shapes: N samples, F factors, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.selection.arrays import group_rows, rank_rows
from engine.selection.cosines import Groups
from storage.db import Database

_CODES = ("teacher", "label_key")
_BATCH = 50_000


@dataclass(frozen=True)
class SampleArrays:
    """A project's samples by id as arrays: codes of query, teacher and label, and factor scores.

    Attributes:
        id_column: the samples' ids in their order, (N,).
        query_column: the queries' ids by their code, (Q,).
        sources: the teachers' names by their code.
        query, teacher, label: codes, int64 (N,).
        factors: scores, NaN where missing, float64 (N, F).
        text: a hash of each rationale, uint64 (N,).
    """

    id_column: pa.Array
    query_column: pa.Array
    sources: tuple[str, ...]
    query: NDArray[np.int64]
    teacher: NDArray[np.int64]
    label: NDArray[np.int64]
    factors: NDArray[np.float64]
    text: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.query)

    @cached_property
    def ids(self) -> list[str]:
        """The samples' ids, N strings: for few samples, or where nothing else does."""
        return list(self.id_column.to_pylist())

    @cached_property
    def query_ids(self) -> list[str]:
        """The id of each sample's query, N strings, as `ids`."""
        return list(self.query_column.take(as_column(self.query)).to_pylist())

    @cached_property
    def teachers(self) -> list[str]:
        """The name of each sample's teacher, (N,)."""
        return [self.sources[code] for code in self.teacher.tolist()]

    @cached_property
    def groups(self) -> Groups:
        """The samples by query, and within a query by id."""
        return group_rows(rank_rows(self.query, np.arange(len(self))), self.query)


def read_arrays(db: Database, project_id: str, factors: Sequence[str]) -> SampleArrays:
    """The distillation samples as arrays, ordered by id. Reads no gold label."""
    names = _checked(factors)
    scores = "".join(f", coalesce(factors['{name}'], 'nan'::DOUBLE) AS factor_{n}" for n, name in enumerate(names))
    parts: dict[str, list[Any]] = {name: [] for name in ("id", "query_id", *_CODES, "text", "factors")}
    sql = (
        f"SELECT id, query_id, {', '.join(_CODES)}, hash(text_hash) AS text {scores} FROM samples "
        "WHERE project_id = ? AND split = 'distill' ORDER BY id"
    )
    for batch in db.batches(sql, [project_id], _BATCH):
        for name in ("id", "query_id"):
            parts[name].append(batch.column(name))
        for name in _CODES:
            parts[name].append(batch.column(name).dictionary_encode())
        parts["text"].append(numbers(batch.column("text")).copy())
        columns = [numbers(batch.column(f"factor_{n}")) for n in range(len(names))]
        parts["factors"].append(np.stack(columns, axis=1) if columns else np.empty((batch.num_rows, 0)))
    db.squeeze()
    query, query_column = _encode(_join(parts.pop("query_id"), pa.string()))
    teacher, label = (_join(parts.pop(name), pa.dictionary(pa.int32(), pa.string())) for name in _CODES)
    teacher_code, sources = _encode(teacher)
    return SampleArrays(
        id_column=_join(parts.pop("id"), pa.string()),
        query_column=query_column,
        sources=tuple(sources.to_pylist()),
        query=query,
        teacher=teacher_code,
        label=_encode(label)[0],
        factors=np.concatenate(parts["factors"] or [np.empty((0, len(names)))]),
        text=np.concatenate(parts["text"] or [np.empty(0, dtype=np.uint64)]),
    )


def _join(parts: list[pa.Array], kind: pa.DataType) -> pa.Array:
    """Columns as one; dictionaries as one too."""
    return pa.chunked_array(parts, kind).unify_dictionaries().combine_chunks()


def _encode(column: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Each string's place among the different ones in their order, and those."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    order = numbers(pc.array_sort_indices(encoded.dictionary)).astype(np.int64)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[numbers(encoded.indices)], encoded.dictionary.take(as_column(order))


def numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers without nulls as an array. `to_numpy` would do it too, and import pandas first."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = np.dtype(whole.type.to_pandas_dtype())
    if not len(whole):
        return np.empty(0, dtype=kind)
    return np.frombuffer(whole.buffers()[1], dtype=kind)[whole.offset : whole.offset + len(whole)]


def as_column(values: NDArray[np.int64]) -> pa.Array:
    """Whole numbers as a column. `pa.array` would do it too, and import pandas first."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _checked(names: Sequence[str]) -> Sequence[str]:
    if any(not name.isidentifier() for name in names):
        raise ValueError(f"not names of factors: {names}")
    return names
