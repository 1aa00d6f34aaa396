"""Brings a database file to the schema of this program: numbered SQL files, each once, in order, checked by hash."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.errors import StoreError

FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Migration:
    """One SQL file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations by number."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.name[:4]), file.stem, file.read_text("utf-8")) for file in files]


def migrate(connection: duckdb.DuckDBPyConnection, file: Path | None, migrations: list[Migration]) -> int:
    """Apply what is missing, each file in a transaction; an existing database file is copied first.

    Returns:
        How many were applied.

    Raises:
        StoreError: if an applied migration was changed since, or the file is newer than this program.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name VARCHAR, checksum VARCHAR)"
    )
    applied = dict(connection.execute("SELECT number, checksum FROM migrations").fetchall())
    known = {migration.number: migration for migration in migrations}
    for number, checksum in applied.items():
        if number not in known:
            raise StoreError(f"this workspace was written by a newer Tacit (schema {number}); install that version")
        if known[number].checksum != checksum:
            raise StoreError(f"migration {known[number].name} has changed since this workspace was made")
    copy: Path | None = None
    missing = [migration for migration in migrations if migration.number not in applied]
    if missing and applied and file is not None:
        connection.execute("CHECKPOINT")
        copy = file.with_suffix(f".before-{missing[0].name}.duckdb")
        shutil.copy2(file, copy)
    for migration in missing:
        connection.execute("BEGIN")
        try:
            connection.execute(migration.sql)
            values = [migration.number, migration.name, migration.checksum]
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", values)
            connection.execute("COMMIT")
        except duckdb.Error as error:
            connection.execute("ROLLBACK")
            raise StoreError(
                f"the workspace could not be brought to this version: change {migration.name} failed and was undone"
                f"{_say_copy(copy)}"
            ) from error
    return len(missing)


def _say_copy(copy: Path | None) -> str:
    return f". It stands as it was in {copy}: open that with the version that wrote it" if copy else ""
