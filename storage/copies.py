"""A project's rows as a whole: copied inside the store, written to Parquet files, read from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from engine.errors import InputError
from storage.db import Database, Writer
from storage.migrate import read_migrations

TABLES = ("queries", "golds", "teachers", "samples", "attempts", "overrules", "project_prompts")
"""What a project is, besides its settings: without selections (made anew at once) and runs (exported by themselves)."""
_OWN = ("project_id", "number")
"""Columns that are given anew."""


class Copies:
    """All tables of a project at once."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    @property
    def schema(self) -> int:
        """The number of this schema; files of a higher one can't be read."""
        return len(read_migrations())

    def copy(self, source_id: str, target_id: str, tables: Sequence[str]) -> None:
        """Give a project the rows of another."""
        with self._db.write() as writer:
            for table in tables:
                names = _names(_columns(writer, table))
                writer.run(
                    f"INSERT INTO {table} (project_id, {names}) SELECT ?, {names} FROM {table} WHERE project_id = ? "
                    f"ORDER BY {_order(table)}",
                    [target_id, source_id],
                )

    def purge(self, project_id: str) -> None:
        """Take a project back whose rows came in only in part."""
        with self._db.write() as writer:
            for table in TABLES:
                writer.run(f"DELETE FROM {table} WHERE project_id = ?", [project_id])
            writer.run("DELETE FROM projects WHERE id = ?", [project_id])

    def write_files(self, project_id: str, folder: Path) -> None:
        """Write TABLE.parquet for each table, and the texts of the prompts that its samples were asked with."""
        with self._db.read() as writer:
            for table in TABLES:
                names = _names(_columns(writer, table))
                sql = f"SELECT {names} FROM {table} WHERE project_id = ? ORDER BY {_order(table)}"
                writer.run(f"COPY ({sql}) TO '{_quoted(folder / f'{table}.parquet')}' (FORMAT parquet)", [project_id])
            prompts = "SELECT * FROM prompts WHERE hash IN (SELECT prompt_hash FROM attempts WHERE project_id = ?)"
            writer.run(f"COPY ({prompts}) TO '{_quoted(folder / 'prompts.parquet')}' (FORMAT parquet)", [project_id])

    def read_files(self, project_id: str, folder: Path) -> None:
        """Give a project the rows of such files, all or none.

        Raises:
            InputError: if a file is missing or does not hold what it should.
        """
        try:
            with self._db.write() as writer:
                for table in TABLES:
                    file = str(folder / f"{table}.parquet")
                    there = {row[0] for row in writer.run("SELECT name FROM parquet_schema(?)", [file])}
                    missing = [name for name in _columns(writer, table, needed=True) if name not in there]
                    if missing:
                        raise InputError(f"{table}.parquet has no column {missing[0]}. Nothing was stored.")
                    names = _names([name for name in _columns(writer, table) if name in there])
                    sql = f"INSERT INTO {table} (project_id, {names}) SELECT ?, {names} FROM read_parquet(?)"
                    writer.run(sql, [project_id, file])
                prompts = str(folder / "prompts.parquet")
                writer.run(
                    "INSERT INTO prompts SELECT hash, name, text FROM read_parquet(?) "
                    "WHERE left(sha256(text), 24) = hash ON CONFLICT DO NOTHING",
                    [prompts],
                )
        except duckdb.Error as error:
            told = str(error).splitlines()[0][:200]
            raise InputError(f"this is no whole export of a project ({told}). Nothing was stored.") from None


def _columns(writer: Writer, table: str, needed: bool = False) -> list[str]:
    """A table's columns; only those that no row may leave empty, where `needed`."""
    rows = writer.run(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND NOT (? AND is_nullable) "
        "ORDER BY column_index",
        [table, needed],
    )
    return [row[0] for row in rows if row[0] not in _OWN]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _order(table: str) -> str:
    return "number" if table == "overrules" else "ALL"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
