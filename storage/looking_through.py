"""A look through a database file that comes from elsewhere, before the program opens it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from engine.errors import InputError
from storage.mending import read_all

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "enable_external_access": False,
    "memory_limit": "256MiB",
    "threads": 1,
}
_MORE_THAN_TABLES = (
    ("SELECT view_name FROM duckdb_views() WHERE NOT internal", "a view"),
    ("SELECT function_name FROM duckdb_functions() WHERE NOT internal", "a function"),
    ("SELECT type_name FROM duckdb_types() WHERE NOT internal", "a type of its own"),
)


def look_through(file: Path) -> None:
    """Read every table of a store once: it is whole, and holds tables alone. To be done in a process with limits.

    Raises:
        InputError: if it does not.
    """
    try:
        connection = duckdb.connect(str(file), read_only=True, config=_SETTINGS)
    except duckdb.Error as error:
        raise InputError("its store is no database of this program, or damaged") from error
    try:
        for question, what in _MORE_THAN_TABLES:
            if connection.execute(question).fetchone() is not None:
                raise InputError(f"its store holds {what}, which no store of this program does")
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        if ("main", "migrations") not in tables:
            raise InputError("its store is none of this program")
        read_all(connection)
    except duckdb.Error as error:
        raise InputError("its store is damaged") from error
    finally:
        connection.close()
