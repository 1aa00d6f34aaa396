"""Rows as Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.exports.base import EXPORTERS, Exporter, Outgoing, Rows, Scope


def write_parquet(given: Outgoing, to: Path) -> None:
    """A column for each name; the file is there when it is whole."""
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    names = list(dict.fromkeys(name for row in given.rows for name in row))
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in given.rows]), part)
    part.replace(to)


def read_parquet(path: Path) -> Rows:
    """The rows, in their order."""
    rows: Rows = pq.read_table(path).to_pylist()
    return rows


EXPORTERS.add(
    "parquet",
    Exporter("Parquet", "Columns, compressed.", Scope.ROWS, write_parquet, read_parquet, suffix=".parquet"),
)
