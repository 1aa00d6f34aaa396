"""A store whose last process was killed while the database wrote one of its blocks: mended if nothing is lost.

A checkpoint writes parts of a metadata block that nothing refers to yet, and with them the whole block of 256 KiB, its
checksum in front. A kill in that instant leaves some pages of it new and some old: what is referred to is as it was,
but not the checksum, and the database refuses the file. What was changed since the last checkpoint stands in the log
beside it, which goes only when the checkpoint is whole. So where there is such a log the checksum is set right and
every table read; where one can't be, the file is put back as it was found.
"""

from __future__ import annotations

import logging
import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

_LOG = logging.getLogger(__name__)
_TORN = re.compile(r"computed checksum (\d+) does not match stored checksum \d+ in block at location (\d+)")
_MOST_BLOCKS = 8


def open_torn(file: Path, error: duckdb.Error, settings: Mapping[str, Any]) -> duckdb.DuckDBPyConnection | None:
    """Open a store that could not be, after a kill in the middle of a checkpoint; None where it is not that.

    What it was is kept beside it, as `NAME.torn.duckdb` with its log.
    """
    logs = sorted(file.parent.glob(f"{file.name}.wal*"))
    if _TORN.search(str(error)) is None or not any(log.stat().st_size for log in logs):
        return None
    kept = {part: part.with_name(part.name.replace(file.stem, f"{file.stem}.torn", 1)) for part in (file, *logs)}
    try:
        for part, copy in kept.items():
            shutil.copy2(part, copy)
        connection = _mend(file, error, settings)
    except OSError:
        return None
    if connection is None:
        for part, copy in kept.items():
            copy.replace(part)
        return None
    _LOG.warning("%s was half written by a process that was killed; it was mended, and is kept as %s", file, kept[file])
    return connection


def _mend(file: Path, error: duckdb.Error, settings: Mapping[str, Any]) -> duckdb.DuckDBPyConnection | None:
    for _ in range(_MOST_BLOCKS):
        torn = _TORN.search(str(error))
        if torn is None:
            return None
        with file.open("r+b") as opened:
            opened.seek(int(torn[2]))
            opened.write(struct.pack("<Q", int(torn[1])))
        connection = None
        try:
            connection = duckdb.connect(str(file), config=dict(settings))
            read_all(connection)
            return connection
        except duckdb.Error as further:
            error = further
            if connection is not None:
                connection.close()
    return None


def read_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Read every column of every table once.

    Raises:
        duckdb.Error: if one can't be.
    """
    for schema, table in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
        connection.execute(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {_quoted(schema)}.{_quoted(table)}").fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
