"""One connection to one file; a cursor a call; one writer at a time."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import psutil
import pyarrow as pa

from engine.errors import InputError, StoreError, WorkspaceBusy
from storage.changes import Changes
from storage.mending import open_torn
from storage.migrate import migrate, read_migrations

T = TypeVar("T")
Row = dict[str, Any]
_MOST_REMEMBERED = 300
_SQUEEZED = 256 * 2**20
"""What the database may hold for a moment when it is told to let go, in bytes."""
_BOUND = 512 * 2**20
"""What it may hold, in bytes, while a great many rows are stored."""
_PART = 10_000
"""Rows that a query brings at a time where it is read part by part."""
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
}
"""The database loads and fetches nothing; all that is used of it is built in."""
_MARK, _MARK_AT = b"DUCK", 8
"""What a database file holds, and where. https://duckdb.org/docs/stable/internals/storage"""
_OTHERS = {b"SQLite format 3\0": "an SQLite file", b"PK\x03\x04": "a zip file", b"PAR1": "a Parquet file"}
_FULL = re.compile(r"No space left|Disk quota exceeded|not enough disk|File too large", re.IGNORECASE)
_DAMAGED = re.compile(r"corrupt|checksum|deserializ|serialization error|Failed to load metadata", re.IGNORECASE)


@dataclass
class _Memory:
    """One remembered answer, how many writes there had been when it was computed, and which tables it was read from.

    No tables: it may rest on anything.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    version: int = -1
    tables: frozenset[str] = frozenset()
    answer: Any = None


class Database:
    """A DuckDB file with the current schema. Safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        """Open or create the file.

        Raises:
            InputError: if its path is none that the database takes.
            WorkspaceBusy: if another process has it open.
            StoreError: if it is no database of this program, or is damaged, or its disk is full.
        """
        if "?" in str(file):
            raise InputError(f"a workspace can't lie in {file.parent}: the database takes no path with a `?`")
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        _refuse_foreign(file)
        try:
            self._connection = duckdb.connect(str(file), config=_SETTINGS)
        except duckdb.Error as error:
            mended = open_torn(file, error, _SETTINGS)
            if mended is None:
                raise _busy(file, error) or _explain(file, error) or _unusable(file) from error
            self._connection = mended
        self._write_lock = threading.RLock()
        self._changes = Changes()
        self._memory: OrderedDict[str, _Memory] = OrderedDict()
        self._memory_lock = threading.Lock()
        try:
            with self._explained():
                migrate(self._connection, file, read_migrations())
            self._changes.learn(self._list_tables())
        except BaseException:
            self._connection.close()
            raise

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self._file

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong with the file or its disk becomes a message that says what to do."""
        try:
            yield
        except duckdb.Error as error:
            explanation = _explain(self._file, error)
            if explanation is None:
                raise
            raise explanation from error

    def _list_tables(self) -> list[str]:
        with self._connection.cursor() as cursor:
            return [row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Run a query and fetch everything, a dict a row."""
        with self._explained(), self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def remembered(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """As `rows`, for questions that are dear and asked again and again.

        Answered once between two writes to the tables that it reads.
        """
        rows = self._recall(f"{sql} {list(values)!r}", lambda: self.rows(sql, values), self._changes.find_tables(sql))
        return [dict(row) for row in rows]

    def remembered_arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """As `arrays`, answered once as `remembered`; nobody may change them."""
        tables = self._changes.find_tables(sql)
        return self._recall(f"arrays of {sql} {list(values)!r}", lambda: self.arrays(sql, values), tables)

    def once(self, question: str, work: Callable[[], T]) -> T:
        """What `work` makes of nothing but the store, computed once between two writes; nobody may change it.

        Whoever asks while another computes the same answer waits for it instead of computing it too.
        """
        return self._recall(question, work, frozenset())

    def _recall(self, question: str, work: Callable[[], T], tables: frozenset[str]) -> T:
        """An answer, computed once between two writes to some tables, or (none named) to any."""
        key = hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()
        with self._memory_lock:
            memory = self._memory.setdefault(key, _Memory())
            self._memory.move_to_end(key)
            while len(self._memory) > _MOST_REMEMBERED:
                self._memory.popitem(last=False)
        with memory.lock:
            version = self._changes.number
            if memory.version < self._changes.newest(memory.tables):
                memory.answer, memory.version, memory.tables = work(), version, tables
            answer: T = memory.answer
            return answer

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, values)), None)

    def arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """Run a query and fetch it as numpy arrays by column."""
        with self._explained(), self._connection.cursor() as cursor:
            return cursor.execute(sql, values).fetchnumpy()

    def arrow(self, sql: str, values: Sequence[Any] = (), incoming: pa.Table | None = None) -> pa.Table:
        """Run a query and fetch it as an Arrow table; `incoming` is a table that it may read by that name."""
        with self._explained(), self._connection.cursor() as cursor:
            if incoming is not None:
                cursor.register("incoming", incoming)
            return cursor.sql(sql, params=list(values)).to_arrow_table()

    def batches(self, sql: str, values: Sequence[Any], size: int) -> Iterator[pa.RecordBatch]:
        """Run a query and fetch it part by part, at most so many rows at a time."""
        with self._explained(), self._connection.cursor() as cursor:
            yield from cursor.sql(sql, params=list(values)).to_arrow_reader(size)

    def squeeze(self) -> None:
        """Have the database let go of what it holds in memory of the file, which is on the disk anyway."""
        with suppress(duckdb.Error), self._held_to(_SQUEEZED):
            pass
        pa.default_memory_pool().release_unused()

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Meanwhile the database holds little in memory, where it might else fill most of the machine's."""
        with ExitStack() as stack:
            with suppress(duckdb.Error):
                stack.enter_context(self._held_to(_BOUND))
            yield

    @contextmanager
    def _held_to(self, most: int) -> Iterator[None]:
        """A limit in bytes of what the database holds in memory, unless a lower one is set already.

        Raises:
            Error: of DuckDB, if it can't let go of enough.
        """
        with self._connection.cursor() as cursor:
            limit = cursor.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
            try:
                cursor.execute(f"SET memory_limit = least({most}, parse_formatted_bytes('{limit}')) || 'B'")
                yield
            finally:
                cursor.execute(f"SET memory_limit = '{limit}'")

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a query and fetch it part by part, a tuple a row."""
        with self._explained(), self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            while part := cursor.fetchmany(_PART):
                yield from part

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction: all of it or nothing. Writers wait for each other."""
        with self._write_lock, self._explained(), self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            writer = Transaction(cursor)
            try:
                yield writer
            except BaseException:
                with suppress(duckdb.Error):  # a failure that ended the transaction itself is told, not this one
                    cursor.execute("ROLLBACK")
                raise
            try:
                cursor.execute("COMMIT")
            finally:
                if writer.has_made:
                    self._changes.learn(self._list_tables())
                self._changes.add(writer.written)

    @contextmanager
    def alone(self) -> Iterator[Transaction]:
        """Statements that no transaction may hold, as attaching a file; writers wait."""
        with self._write_lock, self._explained(), self._connection.cursor() as cursor:
            yield Transaction(cursor)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One view of the store for several statements that change nothing; nobody waits for it."""
        with self._explained(), self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield Transaction(cursor)
            finally:
                with suppress(duckdb.Error):
                    cursor.execute("ROLLBACK")


class Transaction:
    """Statements inside one transaction."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.written: list[str] = []
        """The statements that may have changed something."""

    @property
    def has_made(self) -> bool:
        """Whether a statement may have made a table, or removed one."""
        return any(not statement.startswith(("INSERT", "UPDATE", "DELETE")) for statement in self.written)

    def _note(self, sql: str) -> None:
        statement = sql.lstrip()
        if not statement.upper().startswith("SELECT"):
            self.written.append(statement)

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch what it returns."""
        self._note(sql)
        return self._cursor.execute(sql, values).fetchall()

    def insert(self, table: str, data: pa.Table, on_conflict: str = "") -> int:
        """Insert an Arrow table by column name, in bulk; returns how many rows went in.

        `on_conflict` is a clause such as `ON CONFLICT DO NOTHING`. Table and column names come from this package only.
        """
        if data.num_rows == 0:
            return 0
        columns = ", ".join(f'"{name}"' for name in data.column_names)
        self._cursor.register("incoming", data)
        try:
            sql = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming {on_conflict}"
            self.written.append(f"INSERT INTO {table}")
            result = self._cursor.execute(sql).fetchone()
        finally:
            self._cursor.unregister("incoming")
        return int(result[0]) if result else 0

    def update(self, table: str, data: pa.Table, keys: Sequence[str]) -> None:
        """Overwrite columns of the rows that share the keys with an Arrow table, in bulk."""
        changed = ", ".join(f'"{name}" = incoming."{name}"' for name in data.column_names if name not in keys)
        same = " AND ".join(f'{table}."{name}" = incoming."{name}"' for name in keys)
        self.written.append(f"UPDATE {table}")
        self._cursor.register("incoming", data)
        try:
            self._cursor.execute(f"UPDATE {table} SET {changed} FROM incoming WHERE {same}")
        finally:
            self._cursor.unregister("incoming")

    def delete_others(self, table: str, data: pa.Table, where: Mapping[str, str]) -> None:
        """Of the rows that match `where`, delete those whose `query_id` stands in an Arrow table but not their `id`."""
        if data.num_rows == 0:
            return
        condition = " AND ".join(f'"{name}" = ?' for name in where)
        self.written.append(f"DELETE FROM {table}")
        self._cursor.register("incoming", data)
        try:
            self._cursor.execute(
                f"DELETE FROM {table} WHERE {condition} AND query_id IN (SELECT query_id FROM incoming) "
                "AND id NOT IN (SELECT id FROM incoming)",
                list(where.values()),
            )
        finally:
            self._cursor.unregister("incoming")


def _refuse_foreign(file: Path) -> None:
    """See that a file is a database before the library looks at it, which would fetch an extension for some others.

    Raises:
        StoreError: if it is something else.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(32)
    except OSError:  # not there yet; or the library says what is wrong
        return
    if head and head[_MARK_AT : _MARK_AT + len(_MARK)] != _MARK:
        raise _unusable(file, next((what for begin, what in _OTHERS.items() if head.startswith(begin)), ""))


def _unusable(file: Path, what: str = "") -> StoreError:
    reason = f"it is {what} and no" if what else "it is no"
    return StoreError(f"{file} can't be opened: {reason} database of this program. Nothing was changed.")


def _explain(file: Path, error: duckdb.Error) -> StoreError | None:
    """What an error of the file or its disk means, and what to do; None for any other."""
    message = str(error)
    restore = (
        "Keep the file as it is, and restore a backup into a new folder: `tacit restore BACKUP --workspace NEW_FOLDER`"
    )
    if _FULL.search(message):
        return StoreError(
            f"the disk that holds {file.parent} is full. What was stored before is kept, what was about to be stored "
            "is not. Free some space and do it again"
        )
    if _DAMAGED.search(message):
        return StoreError(f"{file} is damaged: a part of it can't be read. {restore}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"there is not enough memory for what {file} was asked. Close other programs and try again")
    if isinstance(error, (duckdb.FatalException, duckdb.InternalException)):
        return StoreError(f"the database {file} failed and was closed. Start again; if it fails again: {restore}")
    if isinstance(error, duckdb.IOException):
        return StoreError(f"{file} can't be read or written. Is its disk there, and may this user write to it?")
    return None


def _busy(file: Path, error: duckdb.Error) -> WorkspaceBusy | None:
    """Who holds the file; None if that is not what is wrong."""
    holder = re.search(r"PID (\d+)", str(error)) if isinstance(error, duckdb.IOException) else None
    if holder is None:
        return None
    pid = int(holder[1])
    try:
        what = _name_command(psutil.Process(pid).cmdline())
    except psutil.Error:
        what = "a process that can't be named"
    return WorkspaceBusy(
        f"the workspace {file.parent} is in use by process {pid} ({what}). Nothing was changed. Wait until it is done, "
        f"stop it, or give another folder with --workspace."
    )


def _name_command(words: Sequence[str]) -> str:
    """What a process runs, as "python -m app serve": never an argument, which may be a password or a query."""
    program = Path(words[0]).name if words else ""
    if not program.startswith("python"):
        return program[:100] or "a process that can't be named"
    if words[1:2] == ["-m"]:
        ran = list(words[1:3])
    else:
        ran = [Path(word).name for word in words[1:2] if not word.startswith("-")]
    if ran[-1:] in (["app"], ["tacit"]):
        ran += [word for word in words[1 + len(ran) :][:1] if re.fullmatch("[a-z][a-z-]{1,30}", word)]
    return " ".join(word[:100] for word in (program, *ran))
