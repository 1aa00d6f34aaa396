"""Answers that are remembered between two writes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storage.db import Database, Row


class Counting(Database):
    asked = 0

    def rows(self, sql: str, values: Any = ()) -> list[Row]:
        self.asked += 1
        return super().rows(sql, values)


@pytest.fixture
def db(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "x.duckdb")


COUNT = "SELECT count(*) AS n FROM prompts WHERE name <> ?"


def test_an_answer_is_computed_once_until_something_is_written(db: Counting) -> None:
    assert [db.remembered(COUNT, ["a"])[0]["n"] for _ in range(3)] == [0, 0, 0] and db.asked == 1
    assert db.remembered(COUNT, ["b"])[0]["n"] == 0 and db.asked == 2
    with db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('h', 'n', 't')")
    assert db.remembered(COUNT, ["a"])[0]["n"] == 1 and db.asked == 3
    with pytest.raises(ZeroDivisionError), db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('i', 'n', 't')")
        raise ZeroDivisionError
    assert db.remembered(COUNT, ["a"])[0]["n"] == 1


def test_an_answer_is_kept_where_other_tables_are_written_to(db: Counting) -> None:
    votes = "SELECT count(*) AS prompts FROM votes"
    assert (db.remembered(COUNT, ["a"])[0]["n"], db.remembered(votes)[0]["prompts"]) == (0, 0) and db.asked == 2
    for table in ("votes", "prompts"):
        with db.write() as writer:
            writer.run("INSERT INTO prompts VALUES (?, 'n', 't')", [table])
        assert db.remembered(votes)[0]["prompts"] == 0
    assert db.asked == 2
    assert db.remembered(COUNT, ["a"])[0]["n"] == 2 and db.asked == 3
    rows = pa.table({"hash": ["x"], "name": ["n"], "text": ["t"]})
    for change in (
        lambda writer: writer.insert("prompts", rows),
        lambda writer: writer.update("prompts", rows.set_column(1, "name", pa.array(["a"])), ("hash",)),
        lambda writer: writer.run("  DELETE FROM prompts"),
    ):
        with db.write() as writer:
            change(writer)
        db.remembered(COUNT, ["a"])
    assert db.remembered(COUNT, ["a"])[0]["n"] == 0 and db.asked == 6
    with db.write() as writer:
        writer.run("ALTER TABLE votes ADD COLUMN mood VARCHAR")
    db.remembered(COUNT, ["a"])
    assert db.asked == 7, "a statement of another kind may have changed anything"


def test_a_table_that_is_made_later_is_known(db: Counting) -> None:
    with db.write() as writer:
        writer.run("CREATE TABLE embeddings_7 (model VARCHAR)")
    many = "SELECT count(*) AS n FROM embeddings_7"
    assert db.remembered(many)[0]["n"] == 0
    with db.write() as writer:
        writer.run("INSERT INTO embeddings_7 VALUES ('m')")
    assert db.remembered(many)[0]["n"] == 1


def test_work_on_the_store_is_done_once_until_something_is_written(db: Counting) -> None:
    done: list[int] = []

    def work() -> int:
        done.append(1)
        return len(done)

    assert [db.once("how many", work) for _ in range(3)] == [1, 1, 1] and db.once("another", work) == 2
    with db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('h', 'n', 't')")
    assert db.once("how many", work) == 3


def test_whoever_changes_an_answer_changes_it_for_himself_only(db: Counting) -> None:
    db.remembered(COUNT, ["a"])[0]["n"] = 99
    assert db.remembered(COUNT, ["a"])[0]["n"] == 0


def test_many_who_ask_at_once_make_one_computation(db: Counting) -> None:
    threads = [threading.Thread(target=lambda: db.remembered(COUNT, ["a"])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.asked == 1


def test_a_question_that_fails_is_asked_again(db: Counting) -> None:
    with pytest.raises(Exception, match="nowhere"):
        db.remembered("SELECT * FROM nowhere")
    with db.write() as writer:
        writer.run("CREATE TABLE nowhere (x INTEGER)")
    assert db.remembered("SELECT * FROM nowhere") == []


def test_only_so_many_answers_are_held(db: Counting) -> None:
    for number in range(400):
        db.remembered("SELECT ? AS n", [number])
    assert len(db._memory) <= 300
    asked = db.asked
    assert db.remembered("SELECT ? AS n", [399]) == [{"n": 399}] and db.asked == asked
