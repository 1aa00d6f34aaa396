"""Parquet, decoded in a process of its own whose memory the system bounds.

A Parquet file of a few hundred bytes can say that it holds gigabytes: by a dictionary of long cells, by runs of
repeated values, by prefixes that cells share. What its metadata say about sizes need not be true, so nothing but the
memory of whoever decodes it can be trusted. https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.environment import environment_for
from engine.errors import InputError
from engine.records.row import Record
from engine.records.text import Ceiling

MEMORY = 512 * 2**20
"""Bytes that decoding a Parquet file may take, beyond the process itself."""
FREE_DECODED = 256 * 2**20
MOST_TIMES = 1_000
"""A column that repeats a long text is a thousandth of itself in a Parquet file; rows are read one by one, though."""
_ROW_BYTES = 16
"""What a row counts for at least."""


def read_parquet(path: Path) -> Iterator[Record]:
    """Rows of a Parquet file.

    Raises:
        InputError: if it is none, or decodes to too much.
    """
    ceiling = Ceiling(path.name, path.stat().st_size, FREE_DECODED, MOST_TIMES)
    for row, (error, size, values) in enumerate(_decode("rows", [path]), 1):
        ceiling.add(max(size, _ROW_BYTES))
        yield Record(row, values, error, size)


def check_tables(paths: Sequence[Path], max_cell: int) -> None:
    """See that Parquet files decode to a reasonable size before anything else reads them.

    Raises:
        InputError: if one is none, holds a text of over `max_cell` bytes, or decodes to too much.
    """
    ceilings = {path.name: Ceiling(path.name, path.stat().st_size, hint="") for path in paths}
    for name, size, longest in _decode("sizes", paths):
        if longest > max_cell:
            raise InputError(f"{name} holds a cell of {longest // 2**20:,} MiB; at most {max_cell // 2**20} are read")
        ceilings[name].add(size)


def _decode(what: str, paths: Sequence[Path]) -> Iterator[list[Any]]:
    """The worker's lines; it ends with one that says how it ended."""
    worker = [sys.executable, "-m", "engine.records.parquet_worker", what, str(MEMORY), *map(str, paths)]
    process = subprocess.Popen(
        worker, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    )
    if process.stdout is None:
        raise RuntimeError("a pipe was asked for")
    problem: str | None = (
        f"needs more than {MEMORY // 2**20} MiB of memory to read; write it with shorter cells or rows"
    )
    try:
        for line in process.stdout:
            data = json.loads(line)
            if isinstance(data, dict):
                problem = data["problem"]
                break
            yield data
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    if problem is not None:
        names = ", ".join(path.name for path in paths[:1])
        raise InputError(f"{names} {problem}" if len(paths) == 1 else f"one of its tables {problem}")


def _environment() -> dict[str, str]:
    """Without secrets; memory comes from the system, so that its bound holds."""
    own = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    return {**environment_for(), **own}
