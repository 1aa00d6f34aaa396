"""Cosines of the rationales within each query, kept beside the store: vectors are read once, and then no more.

What is kept is found by what it was made of, a hash of a query's rationales in their order, so it is right whatever was
written since: queries that are others than before are reckoned anew, and a file that is lost or damaged is too.

Shapes: N samples, R rows, G groups (a query's rows), D dimensions, P pairs.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.selection.arrays import group_rows
from engine.selection.cosines import Groups, KnownCosines, Singles, VectorCosines
from engine.values import hash_id
from storage.db import Database
from storage.sample_arrays import SampleArrays, numbers, read_arrays

Embedder = tuple[str, str, int]
"""Model, revision, dimension."""
_Marks = NDArray[np.uint64]
_ROOM_BYTES = 64 * 2**20
"""Vectors that are in memory together."""
_BATCH = 16_384
_SQUEEZE_BYTES = 128 * 2**20
"""Of what the database reads, after how much it is asked to let go of it."""
_FEW = 10
"""Less than one vector in so many is looked up; more are read from the whole table."""
_ODD, _SIZE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


class _Kept(NamedTuple):
    """What was reckoned before: marks of queries (G), rising, how many rows each has (G), and its cosines (P)."""

    mark: _Marks
    size: NDArray[np.int64]
    values: Singles


class CosineStore:
    """The cosines of projects' samples, by embedder."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._folder = db.file.parent / "cosines"

    def find(self, project_id: str, embedder: Embedder, arrays: SampleArrays) -> KnownCosines | None:
        """The cosines of a project's samples; None where a rationale has no vector of this embedder."""
        groups, file = arrays.groups, self._file(project_id, embedder)
        mark = _mark(groups, arrays.text)
        values, lacking = _look_up(_read(file), mark, groups)
        if not lacking.any():
            return KnownCosines(groups, values)
        part = group_rows(groups.rows[np.repeat(lacking, groups.sizes)], arrays.query)
        reckoned = self._reckon(embedder, arrays.text, part)
        if reckoned is None:
            return None
        for whole, own in zip(groups.alike(wanted=lacking), part.alike(), strict=True):
            values[whole.pairs] = reckoned[own.pairs]
        _write(file, mark, groups, values)
        return KnownCosines(groups, values)

    def take(self, embedder: Embedder, hashes: pa.ChunkedArray, vectors: Singles) -> None:
        """Keep the cosines of queries all of whose rationales are among these: vectors (R, D) by their texts' hashes.

        Called where vectors are stored; of what it leaves out `find` sees to the rest.
        """
        incoming = pa.table({"text_hash": hashes})
        given = numbers(self._db.arrow("SELECT hash(text_hash) AS text FROM incoming", incoming=incoming)["text"])
        row = np.argsort(given)
        projects = self._db.arrow(
            "SELECT DISTINCT project_id FROM samples WHERE split = 'distill' AND text_hash IN "
            "(SELECT text_hash FROM incoming)",
            incoming=incoming,
        )
        for project_id in projects["project_id"].to_pylist():
            arrays = read_arrays(self._db, project_id, ())
            place = np.minimum(np.searchsorted(given[row], arrays.text), len(row) - 1)
            row_N, groups = row[place], arrays.groups
            whole = np.logical_and.reduceat((given[row_N] == arrays.text)[groups.rows], groups.begins)
            file, mark = self._file(project_id, embedder), _mark(groups, arrays.text)
            values, lacking = _look_up(_read(file), mark, groups)
            compact = Groups(row_N[groups.rows[np.repeat(whole, groups.sizes)]], _begins(groups.sizes[whole]))
            cosines = VectorCosines(vectors).within(compact)
            for block, part in zip(groups.alike(wanted=whole), compact.alike(), strict=True):
                values[block.pairs] = cosines[part.pairs]
            _write(file, mark, groups, values, whole | ~lacking)

    def forget(self, project_id: str) -> None:
        """Remove what is kept of a project."""
        for file in self._folder.glob(f"{project_id}-*.npz"):
            file.unlink(missing_ok=True)

    def _file(self, project_id: str, embedder: Embedder) -> Path:
        return self._folder / f"{project_id}-{hash_id('embedder', *embedder)}.npz"

    def _reckon(self, embedder: Embedder, text: _Marks, groups: Groups) -> Singles | None:
        """The cosines of groups, (P,), a part of the groups in memory at a time; None where a vector is missing."""
        room = max(1, _ROOM_BYTES // (4 * embedder[2]))
        part_G = (groups.begins + groups.sizes - 1) // room
        part_R = np.repeat(part_G, groups.sizes)
        values, begin_P = np.empty(groups.firsts[-1], dtype=np.float32), groups.firsts
        with ExitStack() as stack:
            parts = [_Part(stack, self._db.file.parent) for _ in range(int(part_G[-1]) + 1)]
            for row_R, vectors in self._stream(embedder, text[groups.rows]):
                own = part_R[row_R]
                order = np.argsort(own, kind="stable")
                for number, at in enumerate(np.split(order, np.searchsorted(own[order], np.arange(1, len(parts))))):
                    parts[number].add(row_R[at], vectors[at])
            if sum(part.count for part in parts) < len(groups.rows):
                return None
            for number, part in enumerate(parts):
                own_G = np.flatnonzero(part_G == number)
                if not len(own_G):
                    continue
                begins = groups.begins[own_G] - groups.begins[own_G[0]]
                compact = Groups(np.arange(int(groups.sizes[own_G].sum())), begins)
                vectors = part.read(int(groups.begins[own_G[0]]), len(compact.rows), embedder[2])
                values[begin_P[own_G[0]] : begin_P[own_G[-1] + 1]] = VectorCosines(vectors).within(compact)
        return values

    def _stream(self, embedder: Embedder, wanted: _Marks) -> Iterator[tuple[NDArray[np.int64], Singles]]:
        """Vectors part by part: rows of `wanted` (R,) and the vectors of their texts, each row once."""
        model, revision, dimension = embedder
        table = f"embeddings_{int(dimension)}"
        values: list[Any] = [model, revision]
        order = np.argsort(wanted)
        ranked = wanted[order]
        where = "model = ? AND revision = ?"
        if len(wanted) * _FEW < int(self._db.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"]):
            of_these = "hash(text_hash) IN (SELECT unnest(?::UBIGINT[]))"
            rows = self._db.rows(f"SELECT rowid FROM {table} WHERE {where} AND {of_these}", [*values, ranked.tolist()])
            where, values = "rowid IN (SELECT unnest(?::BIGINT[]))", [[row["rowid"] for row in rows]]
        sql = f"SELECT hash(text_hash) AS text, vector FROM {table} WHERE {where}"
        seen = 0
        for batch in self._db.batches(sql, values, _BATCH):
            text = numbers(batch.column("text"))
            first, last = (np.searchsorted(ranked, text, side) for side in ("left", "right"))
            source = np.repeat(np.arange(len(text)), last - first)
            at = np.arange(len(source)) - np.repeat(np.cumsum(last - first) - last, last - first)
            vectors = numbers(batch.column("vector").flatten()).reshape(-1, dimension)
            yield order[at], vectors[source]
            seen += batch.nbytes
            if seen > _SQUEEZE_BYTES:
                self._db.squeeze()
                seen = 0
        self._db.squeeze()


class _Part:
    """Vectors of rows that are to be in memory together, in a file without a name until all of them are there."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.count = 0
        self._rows: list[NDArray[np.int64]] = []
        self._file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - the stack's

    def add(self, rows: NDArray[np.int64], vectors: Singles) -> None:
        """Put vectors, (R, D), to the others."""
        self._rows.append(rows)
        self._file.write(vectors.data)
        self.count += len(rows)

    def read(self, begin: int, count: int, dimension: int) -> Singles:
        """The vectors of so many rows from `begin` on, (count, D)."""
        vectors = np.empty((count, dimension), dtype=np.float32)
        self._file.seek(0)
        for rows in self._rows:
            data = self._file.read(4 * len(rows) * dimension)
            vectors[rows - begin] = np.frombuffer(data, dtype=np.float32).reshape(-1, dimension)
        return vectors


def _begins(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where groups of some sizes begin that stand one behind the other, (G,)."""
    return np.cumsum(sizes) - sizes


def _mark(groups: Groups, text: _Marks) -> _Marks:
    """A hash of each group's texts in their order, (G,)."""
    place = np.arange(len(groups.rows)) - np.repeat(groups.begins, groups.sizes)
    mixed = text[groups.rows] * (place.astype(np.uint64) * np.uint64(2) + np.uint64(1)) ^ (
        place.astype(np.uint64) * _ODD
    )
    return np.asarray(np.add.reduceat(mixed * _ODD, groups.begins) + groups.sizes.astype(np.uint64) * _SIZE)


def _look_up(kept: _Kept | None, mark: _Marks, groups: Groups) -> tuple[Singles, NDArray[np.bool_]]:
    """The cosines of all pairs, (P,), as far as they are kept, and which groups they are not of, (G,)."""
    values = np.full(groups.firsts[-1], np.nan, dtype=np.float32)
    if kept is None or not len(kept.mark):
        return values, np.ones(len(mark), dtype=bool)
    place = np.minimum(np.searchsorted(kept.mark, mark), len(kept.mark) - 1)
    there = (kept.mark[place] == mark) & (kept.size[place] == groups.sizes)
    first = _begins(kept.size * (kept.size - 1) // 2)[place[there]]
    pairs = (groups.sizes * (groups.sizes - 1) // 2)[there]
    within = np.arange(int(pairs.sum())) - np.repeat(_begins(pairs), pairs)
    values[np.repeat(groups.firsts[:-1][there], pairs) + within] = kept.values[np.repeat(first, pairs) + within]
    return values, ~there


def _read(file: Path) -> _Kept | None:
    """What a file keeps; None where it is not there, or not whole."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            kept = _Kept(arrays["mark"], arrays["size"].astype(np.int64), arrays["values"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    is_whole = len(kept.mark) == len(kept.size) and int((kept.size * (kept.size - 1) // 2).sum()) == len(kept.values)
    return kept if is_whole else None


def _write(file: Path, mark: _Marks, groups: Groups, values: Singles, wanted: NDArray[np.bool_] | None = None) -> None:
    """Keep the cosines of the wanted groups, or of all; where the disk has no room they are reckoned each time."""
    order = np.argsort(mark)
    if wanted is not None:
        order = order[wanted[order]]
    order = order[np.diff(mark[order], prepend=mark[order][:1] + np.uint64(1)) != 0]
    pairs = (groups.sizes * (groups.sizes - 1) // 2)[order]
    within = np.arange(int(pairs.sum())) - np.repeat(_begins(pairs), pairs)
    kept = values[np.repeat(groups.firsts[:-1][order], pairs) + within]
    part = file.with_name(f"{file.stem}.{os.getpid()}.part")
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        with part.open("wb") as opened:
            np.savez(opened, mark=mark[order], size=groups.sizes[order].astype(np.int32), values=kept)
        part.replace(file)
