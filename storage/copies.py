"""A project's rows as a whole: copied inside the store, written to Parquet files, read from them, removed for good."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from engine.errors import InputError, StoreError
from storage.db import Database, Transaction
from storage.migrate import read_migrations

TABLES = ("queries", "golds", "teachers", "samples", "evidence", "attempts", "overrules", "project_prompts")
"""What a project is, besides its settings: without selections (made anew at once) and runs."""
_LATER = ("evidence",)
"""Those that older files lack."""


class Part(NamedTuple):
    """A table of what runs bring: which of its rows are a project's, and the columns with ids that are made anew."""

    table: str
    where: str
    remade: tuple[str, ...]


_OF_RUN = "run_id IN (SELECT id FROM runs WHERE project_id = $1)"
RUN_PARTS = (
    Part("selections", "project_id = $1", ("id",)),
    Part("selection_rows", "selection_id IN (SELECT id FROM selections WHERE project_id = $1)", ("selection_id",)),
    Part("runs", "project_id = $1", ("id", "selection_id")),
    Part("steps", _OF_RUN, ("run_id", "job_id")),
    Part("rationales", "project_id = $1", ("run_id",)),
    Part("approvals", _OF_RUN, ("run_id",)),
    Part("metrics", _OF_RUN, ("run_id",)),
    Part("answers", _OF_RUN, ("run_id",)),
    Part("report_values", _OF_RUN, ("run_id",)),
    Part("differences", _OF_RUN, ("run_id",)),
    Part("jobs", f"project_id = $1 AND {_OF_RUN}", ("id", "run_id")),
    Part(
        "events",
        f"job_id IN (SELECT id FROM jobs WHERE project_id = $1 AND {_OF_RUN}) "
        "AND type IN ('step_started', 'step_finished', 'threads')",
        ("job_id",),
    ),
)
"""What a project's runs leave, in the order in which it is read."""
_OF_THIS_MACHINE = {
    "runs": "'' AS folder, '' AS message",
    "jobs": "'' AS folder, '' AS message, NULL AS handle, NULL AS cancel_at",
}
"""What a file says nothing about."""
_TAKEN = {
    "runs": "SELECT * REPLACE (CASE WHEN status IN ('finished', 'stopped') THEN status ELSE 'stopped' END AS status, "
    "'' AS folder) FROM read_parquet($2)",
    "jobs": "SELECT * REPLACE ('' AS folder, NULL AS cancel_at, '{}' AS spec) "
    "FROM read_parquet($2) WHERE kind IN ('student', 'compress', 'again', 'second-draws') AND status = 'finished' "
    "AND run_id IS NOT NULL",
}
"""How tables are read whose rows make something happen: nothing that a file says runs, is cancelled or is a path."""
OLDER_REPORT = "report_rows"
"""A report as older files hold it: a row a system and kind, with a column a measure."""
_OLDER_MEASURES = {
    "score": "accuracy",
    "read": "parse_rate",
    "tokens": "mean_output_tokens",
    "tokens-p95": "p95_output_tokens",
    "seconds": "mean_latency_s",
}
_LOCAL = {"jobs": ("backend", "handle")}
"""Columns that are never read from a file: what it says runs nowhere."""
_OWN = ("project_id", "number")
"""Columns that are given anew."""
_VECTORS = "vectors"
_NTH = "(SELECT {give} FROM (SELECT number, row_number() OVER (ORDER BY number) AS nth FROM overrules WHERE "
_NTH += "project_id = $1) WHERE {take} = edit)"
"""Decisions are numbered over all projects; a file names an edit by its place among its project's decisions."""


class Copies:
    """All tables of a project at once."""

    def __init__(self, db: Database) -> None:
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

    def copy_queries(self, source_id: str, target_id: str, most: dict[str, int]) -> None:
        """Give a project so many queries of each split of another, evenly out of all; labels, teachers, prompts too."""
        with self._db.write() as writer:
            for split, limit in most.items():
                writer.run(
                    "INSERT INTO queries (project_id, id, key, text, choices, kind, split, extra, origin, position) "
                    "SELECT ?, id, key, text, choices, kind, split, extra, origin, position FROM (SELECT *, "
                    "row_number() OVER (ORDER BY position) AS place, count(*) OVER () AS total "
                    "FROM queries WHERE project_id = ? AND split = ?) "
                    "WHERE place * ? // total > (place - 1) * ? // total OR total <= ? ORDER BY position",
                    [target_id, source_id, split, limit, limit, limit],
                )
            writer.run(
                "INSERT INTO golds SELECT ?, query_id, label FROM golds WHERE project_id = ? "
                "AND query_id IN (SELECT id FROM queries WHERE project_id = ?)",
                [target_id, source_id, target_id],
            )
            for table in ("teachers", "project_prompts"):
                names = _names(_columns(writer, table))
                sql = f"INSERT INTO {table} (project_id, {names}) SELECT ?, {names} FROM {table} WHERE project_id = ?"
                writer.run(sql, [target_id, source_id])

    def purge(self, project_id: str) -> None:
        """Remove a project for good, with all that stands about it in any table; vectors that others use stay."""
        with self._db.write() as writer:
            jobs = "job_id IN (SELECT id FROM jobs WHERE project_id = $1)"
            writer.run(f"DELETE FROM events WHERE {jobs}", [project_id])
            for table in _vector_tables(writer):
                writer.run(
                    f"DELETE FROM {table} WHERE text_hash IN (SELECT text_hash FROM samples WHERE project_id = $1) "
                    "AND text_hash NOT IN (SELECT text_hash FROM samples WHERE project_id <> $1)",
                    [project_id],
                )
            for part in reversed(RUN_PARTS):
                if part.table not in ("events", "jobs", "runs", "selections"):
                    writer.run(f"DELETE FROM {part.table} WHERE {part.where}", [project_id])
            for table in ("jobs", "runs", "selections", "votes", "intents", *TABLES):
                writer.run(f"DELETE FROM {table} WHERE project_id = ?", [project_id])
            writer.run("DELETE FROM projects WHERE id = ?", [project_id])

    def write_files(self, project_id: str, folder: Path, with_runs: bool = False) -> None:
        """Write TABLE.parquet for each table, and the texts of the prompts that its samples were asked with.

        With runs: their tables too, and vectors_N.parquet of its samples.
        """
        with self._db.read() as writer:
            for table in TABLES:
                names = _names(_columns(writer, table))
                sql = f"SELECT {names} FROM {table} WHERE project_id = $1 ORDER BY {_order(table)}"
                _copy_to(writer, sql, folder / f"{table}.parquet", project_id)
            prompts = "SELECT * FROM prompts WHERE hash IN (SELECT prompt_hash FROM attempts WHERE project_id = $1)"
            _copy_to(writer, prompts, folder / "prompts.parquet", project_id)
            if not with_runs:
                return
            for part in RUN_PARTS:
                own = _OF_THIS_MACHINE.get(part.table, "")
                own = f"{_NTH.format(give='nth', take='number')} AS edit" if _has_edits(part) else own
                names = f"* {_but(writer, part.table)}" + (f" REPLACE ({own})" if own else "")
                order = "number" if part.table == "jobs" else "ALL"
                sql = f"SELECT {names} FROM {part.table} WHERE {part.where} ORDER BY {order}"
                _copy_to(writer, sql, folder / f"{part.table}.parquet", project_id)
            for table in _vector_tables(writer):
                sql = (
                    f"SELECT * FROM {table} WHERE text_hash IN (SELECT text_hash FROM samples WHERE project_id = $1) "
                    "ORDER BY text_hash"
                )
                name = table.replace("embeddings", _VECTORS)
                _copy_to(writer, sql, folder / f"{name}.parquet", project_id)

    def read_files(self, project_id: str, folder: Path) -> None:
        """Give a project the rows of such files, all or none; those of runs where they are there.

        Raises:
            InputError: if a file is missing or does not hold what it should.
        """
        try:
            with self._db.write() as writer:
                for table in TABLES:
                    if table in _LATER and not (folder / f"{table}.parquet").is_file():
                        continue
                    names = _names(_readable(writer, table, folder))
                    sql = f"INSERT INTO {table} (project_id, {names}) SELECT ?, {names} FROM read_parquet(?)"
                    writer.run(sql, [project_id, str(folder / f"{table}.parquet")])
                prompts = str(folder / "prompts.parquet")
                writer.run(
                    "INSERT INTO prompts SELECT hash, name, text FROM read_parquet(?) "
                    "WHERE left(sha256(text), 24) = hash ON CONFLICT DO NOTHING",
                    [prompts],
                )
                if (folder / "runs.parquet").is_file():
                    _read_runs(writer, project_id, folder)
        except (duckdb.Error, StoreError) as error:
            if isinstance(error, StoreError) and str(folder) not in str(error.__cause__):
                raise  # it is the workspace that fails, not a file of the export
            raise InputError(
                "this is no whole export of a project: its tables don't fit together. Nothing was stored."
            ) from error

    def relocate(self, workspace: Path) -> None:
        """Say where runs and jobs lie now, if the workspace was moved or unpacked elsewhere since."""
        with self._db.write() as writer:
            for table in ("runs", "jobs"):
                root = f"{workspace / table}/"
                writer.run(f"UPDATE {table} SET folder = ? || id WHERE folder <> ? || id", [root, root])

    def copy_store(self, file: Path) -> None:
        """Write the whole store, as it is at one moment, to a new file."""
        with self._db.alone() as writer:
            here = writer.run("SELECT current_database()")[0][0]
            writer.run(f"ATTACH '{_quoted(file)}' AS backup_copy")
            try:
                writer.run(f'COPY FROM DATABASE "{here}" TO backup_copy')
            finally:
                writer.run("DETACH backup_copy")


def remade_id(project_id: str, old_id: str) -> str:
    """The id that a run, a selection or a job of a file gets in the project that it is read into."""
    return hashlib.sha256(f"{project_id}{old_id}".encode()).hexdigest()[:24]


def _read_runs(writer: Transaction, project_id: str, folder: Path) -> None:
    """Take runs in under ids of their own, since the same file may be brought twice."""
    if (folder / f"{OLDER_REPORT}.parquet").is_file():
        _lengthen_report(writer, folder)
    _name_steps(writer, folder)
    for part in RUN_PARTS:
        file = str(folder / f"{part.table}.parquet")
        columns = _readable(writer, part.table, folder)
        given = [name for name in columns if name != "edit"]
        values = [f'left(sha256($1 || "{name}"), 24)' if name in part.remade else f'"{name}"' for name in given]
        if _has_edits(part):
            given, values = [*given, "edit"], [*values, _NTH.format(give="number", take="nth")]
        if "project_id" in _columns(writer, part.table, own=True):
            given, values = ["project_id", *given], ["$1", *values]
        source = _TAKEN.get(part.table, "SELECT * FROM read_parquet($2)")
        sql = f"INSERT INTO {part.table} ({_names(given)}) SELECT {', '.join(values)} FROM ({source})"
        writer.run(sql, [project_id, file])
    writer.run("UPDATE attempts SET job_id = left(sha256($1 || job_id), 24) WHERE project_id = $1", [project_id])
    for file_ in sorted(folder.glob(f"{_VECTORS}_*.parquet")):
        size = int(file_.stem.removeprefix(f"{_VECTORS}_"))
        table = f"embeddings_{size}"
        writer.run(
            f"CREATE TABLE IF NOT EXISTS {table} (model VARCHAR, revision VARCHAR, text_hash VARCHAR, "
            f"vector FLOAT[{size}], PRIMARY KEY (model, revision, text_hash))"
        )
        writer.run(
            f"INSERT INTO {table} SELECT model, revision, text_hash, vector::FLOAT[{size}] FROM read_parquet($2) "
            "WHERE text_hash IN (SELECT text_hash FROM samples WHERE project_id = $1) ON CONFLICT DO NOTHING",
            [project_id, str(file_)],
        )


def _lengthen_report(writer: Transaction, folder: Path) -> None:
    """Write an older file's report as a row a measure beside it.

    Older still is the whole of a report by the name `all`; in newer ones its kind is empty, and `all` is a user's kind.
    """
    older = str(folder / f"{OLDER_REPORT}.parquet")
    there = {row[0] for row in writer.run("SELECT name FROM parquet_schema(?)", [older])}
    lacking = [column for name, column in _OLDER_MEASURES.items() if column not in there and name != "seconds"]
    if lacking:
        raise InputError(f"{OLDER_REPORT}.parquet has no column {lacking[0]}. Nothing was stored.")
    scored_by = "measure" if "measure" in there else "'accuracy'"
    kind = "CASE WHEN kind = 'all' AND NOT bool_or(kind = '') OVER (PARTITION BY run_id, name) THEN '' ELSE kind END"
    rows = " UNION ALL ".join(
        f"SELECT run_id, position, name, {kind} AS kind, {scored_by} AS scored_by, '{name}' AS measure, "
        f"{column}::DOUBLE AS value, {'ci_low' if name == 'score' else 'NULL::DOUBLE'} AS low, "
        f"{'ci_high' if name == 'score' else 'NULL::DOUBLE'} AS high, n FROM read_parquet('{_quoted(Path(older))}')"
        for name, column in _OLDER_MEASURES.items()
        if column in there
    )
    target = _quoted(folder / "report_values.parquet")
    writer.run(f"COPY (SELECT * FROM ({rows}) WHERE value IS NOT NULL) TO '{target}' (FORMAT parquet)")


def _name_steps(writer: Transaction, folder: Path) -> None:
    """Write an older file's rationales and approvals with the compress step they belong to: of a run there was one."""
    file = {name: _quoted(folder / f"{name}.parquet") for name in ("steps", "rationales", "approvals")}
    if "step" not in _columns_of(writer, folder / "rationales.parquet"):
        given = "SELECT *, NULL::VARCHAR AS step, FALSE AS outdated"
    else:
        given = "SELECT * REPLACE (coalesce(outdated, FALSE) AS outdated)"
    last = f"SELECT run_id, max_by(name, position) AS last FROM read_parquet('{file['steps']}') WHERE kind = 'compress'"
    rationales = (
        f"SELECT v.* REPLACE (coalesce(v.step, s.last, '') AS step) FROM ({given} FROM "
        f"read_parquet('{file['rationales']}')) v LEFT JOIN ({last} GROUP BY run_id) s USING (run_id)"
    )
    _rewrite(writer, rationales, folder / "rationales.parquet")
    if "step" not in _columns_of(writer, folder / "approvals.parquet"):
        approvals = (
            f"SELECT a.*, v.step FROM read_parquet('{file['approvals']}') a "
            f"JOIN read_parquet('{file['rationales']}') v USING (run_id, sample_id, version)"
        )
        _rewrite(writer, approvals, folder / "approvals.parquet")


def _rewrite(writer: Transaction, sql: str, file: Path) -> None:
    """Put what a query gives in the place of a Parquet file."""
    part = file.with_name(f"{file.stem}.part.parquet")
    writer.run(f"COPY ({sql}) TO '{_quoted(part)}' (FORMAT parquet)")
    part.replace(file)


def _columns_of(writer: Transaction, file: Path) -> set[str]:
    """The columns of a Parquet file."""
    return {row[0] for row in writer.run("SELECT name FROM parquet_schema(?)", [str(file)])}


def _has_edits(part: Part) -> bool:
    return part.table == "selection_rows"


def _readable(writer: Transaction, table: str, folder: Path) -> list[str]:
    """The columns of a table that a file brings.

    Raises:
        InputError: if one is missing that no row may leave empty.
    """
    file = str(folder / f"{table}.parquet")
    there = {row[0] for row in writer.run("SELECT name FROM parquet_schema(?)", [file])}
    missing = [name for name in _columns(writer, table, needed=True) if name not in there]
    if missing:
        raise InputError(f"{table}.parquet has no column {missing[0]}. Nothing was stored.")
    return [name for name in _columns(writer, table) if name in there and name not in _LOCAL.get(table, ())]


def _columns(writer: Transaction, table: str, needed: bool = False, own: bool = False) -> list[str]:
    """A table's columns; only those that no row may leave empty, where `needed`; those given anew too, with `own`."""
    rows = writer.run(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND database_name = current_database() "
        "AND NOT (? AND (is_nullable OR column_default IS NOT NULL)) ORDER BY column_index",
        [table, needed],
    )
    return [row[0] for row in rows if own or row[0] not in _OWN]


def _but(writer: Transaction, table: str) -> str:
    """The clause that leaves out the columns that are given anew."""
    own = [name for name in _OWN if name in _columns(writer, table, own=True)]
    return f"EXCLUDE ({', '.join(own)})" if own else ""


def _vector_tables(writer: Transaction) -> list[str]:
    rows = writer.run("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'embeddings_%' ORDER BY ALL")
    return [row[0] for row in rows]


def _copy_to(writer: Transaction, sql: str, file: Path, project_id: str) -> None:
    writer.run(f"COPY ({sql}) TO '{_quoted(file)}' (FORMAT parquet, COMPRESSION zstd)", [project_id])


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _order(table: str) -> str:
    return "number" if table == "overrules" else "ALL"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
