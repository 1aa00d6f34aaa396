from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from engine.errors import StoreError
from storage.db import Database
from storage.migrate import Migration, migrate, read_migrations

ONE = Migration(1, "0001_first", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")
TWO = Migration(2, "0002_second", "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 5")
BROKEN = Migration(2, "0002_broken", "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.duckdb"


def tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_a_blank_file_gets_every_migration_once(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        known = read_migrations()
        assert migrate(connection, None, known) == len(known) >= 1
        assert {"projects", "queries", "golds", "samples", "events", "jobs", "runs"} <= tables(connection)
        assert migrate(connection, None, known) == 0
        rows = connection.execute("SELECT number, name, checksum FROM migrations ORDER BY number").fetchall()
        assert rows == [(m.number, m.name, m.checksum) for m in known]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [m.number for m in read_migrations()] == list(range(1, len(read_migrations()) + 1))


def test_reopening_a_workspace_keeps_its_data_and_applies_nothing(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "folder" / "tacit.duckdb"
    first = Database(file)
    with first.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('h', 'n', 't')")
    first.close()
    second = Database(file)
    assert second.rows("SELECT name FROM prompts") == [{"name": "n"}]
    second.close()
    assert [path.name for path in file.parent.iterdir()] == ["tacit.duckdb"]


def test_a_migration_changed_since_is_refused(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        migrate(connection, file, [ONE])
        changed = Migration(1, "0001_first", ONE.sql + " -- changed")
        with pytest.raises(StoreError, match="0001_first has changed"):
            migrate(connection, file, [changed, TWO])
        assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]


def test_a_newer_workspace_is_refused(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        migrate(connection, file, [ONE, TWO])
        with pytest.raises(StoreError, match="newer Tacit"):
            migrate(connection, file, [ONE])


def test_only_what_is_missing_is_applied_and_the_old_file_is_copied(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        migrate(connection, file, [ONE])
        assert migrate(connection, file, [ONE, TWO]) == 1
        assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 5)]
    copies = [path for path in file.parent.iterdir() if "before-0002_second" in path.name]
    assert len(copies) == 1
    with duckdb.connect(str(copies[0])) as old:
        assert old.execute("SELECT * FROM a").fetchall() == [(1,)]
        assert old.execute("SELECT number FROM migrations").fetchall() == [(1,)]


def test_a_failing_migration_leaves_nothing_behind(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        with pytest.raises(StoreError, match="0002_broken failed"):
            migrate(connection, file, [ONE, BROKEN])
        assert tables(connection) == {"migrations", "a"}
        assert connection.execute("SELECT number FROM migrations").fetchall() == [(1,)]
        assert migrate(connection, file, [ONE, TWO]) == 1


def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.write_bytes(b"these are my notes\n" * 1000)
    with pytest.raises(StoreError, match="can't be opened"):
        Database(file)
    assert file.read_bytes().startswith(b"these are my notes")


def test_a_refused_workspace_can_be_opened_by_another_program(tmp_path: Path) -> None:
    file = tmp_path / "tacit.duckdb"
    with duckdb.connect(str(file)) as connection:
        migrate(connection, file, [*read_migrations(), Migration(9999, "9999_future", "SELECT 1")])
    with pytest.raises(StoreError, match="schema 9999"):
        Database(file)
    duckdb.connect(str(file)).close()


def test_rationales_get_the_step_that_asked_for_them_and_reports_keep_their_whole(file: Path) -> None:
    migrations = read_migrations()
    place = next(n for n, migration in enumerate(migrations) if migration.name.endswith("_rounds"))
    with duckdb.connect(str(file)) as connection:
        migrate(connection, None, migrations[:place])
        for row in ("('r', 0, 'stage1', 'train'", "('r', 1, 'short', 'compress'", "('bare', 0, 'stage1', 'train'"):
            connection.execute(f"INSERT INTO steps VALUES {row}, 'finished', NULL, NULL, '{{}}')")
        connection.execute(
            "INSERT INTO rationales VALUES ('p', 'r', 's', 'compressed', 1, 'brief', '[]', now()::TIMESTAMP, NULL)"
        )
        for kind in ("all", "sums"):
            connection.execute(
                f"INSERT INTO report_rows VALUES ('r', 'stage1', '{kind}', 4, 1, 0, 1, 1, 1, 1, 1, 0, 'accuracy')"
            )
        connection.execute(
            "INSERT INTO report_rows (run_id, name, kind, n, accuracy) VALUES ('r', 'bare', 'sums', 4, 0.5)"
        )
        migrate(connection, None, migrations)
        assert connection.execute("SELECT step, outdated, text FROM rationales").fetchall() == [
            ("short", False, "brief")
        ]
        kinds = connection.execute("SELECT DISTINCT kind FROM report_values ORDER BY ALL").fetchall()
        assert kinds == [("",), ("sums",)]
        score = "SELECT value, low, high, n, scored_by FROM report_values WHERE kind = '' AND measure = 'score'"
        assert connection.execute(score).fetchall() == [(1.0, 0.0, 1.0, 4, "accuracy")]
        assert connection.execute("SELECT count(*) FROM report_values").fetchone() == (11,), "a row that lacks some too"
