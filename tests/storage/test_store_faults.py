"""A damaged file, a full disk and a path that the database does not take are told, and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from engine.errors import InputError, StoreError
from storage.db import Database
from tests.fakes.forks import run

BLOCK = 256 * 1024
HEADERS = 3 * 4096
SELECT = "SELECT sum(length(raw)) AS n, max(message) AS m FROM attempts"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "tacit.duckdb"
    db = Database(file)
    columns = {"project_id": "'p'", "id": "'a' || range", "job_id": "'j'", "raw": "repeat(sha256('' || range), 8)"}
    more = dict.fromkeys(("sample_id", "query_id", "teacher", "prompt_hash"), "'x' || range") | {"purpose": "'label'"}
    values = {**columns, **more, "message": "sha256('m' || range)"}
    with db.write() as writer:
        names, given = ", ".join(values), ", ".join(values.values())
        writer.run(f"INSERT INTO attempts ({names}) SELECT {given} FROM range(6000)")
    db.close()
    return file


def test_no_damaged_block_is_more_than_a_message(filled: Path, tmp_path: Path) -> None:
    size = filled.stat().st_size
    told: list[str] = []
    opened = 0
    for start in range(HEADERS, size, BLOCK):
        file = tmp_path / f"{start}" / "tacit.duckdb"
        file.parent.mkdir()
        shutil.copy(filled, file)
        with file.open("r+b") as stream:
            stream.seek(start + 1000)
            stream.write(os.urandom(300))
        try:
            db = Database(file)
        except StoreError as error:
            told.append(str(error))
            continue
        try:
            opened += 1
            db.rows(SELECT)
            db.arrow("SELECT * FROM attempts")
        except StoreError as error:
            told.append(str(error))
        finally:
            db.close()
    assert opened > 0 and len(told) > 1
    assert all("is damaged" in message and "tacit restore BACKUP" in message for message in told)
    assert not any("checksum" in message for message in told)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "tacit.duckdb"
    file.write_text("hello")
    with pytest.raises(StoreError, match="no database of this program"):
        Database(file)
    assert file.read_text() == "hello"


def test_a_path_that_the_database_does_not_take_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no path with a `\?`"):
        Database(tmp_path / "what?" / "tacit.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_the_cause_of_a_failed_transaction_is_told(tmp_path: Path) -> None:
    db = Database(tmp_path / "tacit.duckdb")
    with pytest.raises(ValueError, match="the cause"), db.write() as writer:
        writer.run("ROLLBACK")
        raise ValueError("the cause")
    with pytest.raises(ZeroDivisionError), db.read() as reader:
        reader.run("COMMIT")
        raise ZeroDivisionError
    with pytest.raises(duckdb.ConstraintException), db.write() as writer:
        writer.run("INSERT INTO queries (project_id) VALUES ('p')")
    with db.write() as writer:
        assert writer.run("SELECT 1") == [(1,)]
    db.close()


def test_a_full_disk_is_told_and_what_was_stored_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "queries.txt"
    file.write_text("\n".join(f"query {n} {'x' * 400} {os.urandom(200).hex()}?" for n in range(15_000)))
    few = tmp_path / "few.txt"
    few.write_text("one?\ntwo?\n")
    workspace = tmp_path / "ws"

    def tacit(*words: str) -> subprocess.CompletedProcess[str]:
        return run("tests.fakes.small_disk", *words, "--workspace", str(workspace))

    assert tacit("import-queries", "p", str(few)).returncode == 0
    full = tacit("import-queries", "p", str(file))
    assert full.returncode == 3 and "disk that holds" in full.stderr and "Traceback" not in full.stderr
    assert "p" in tacit("projects", "list").stdout
