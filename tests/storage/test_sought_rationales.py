"""Rationales of a run as a list: sought, sorted, counted, and the next one to approve."""

from __future__ import annotations

import pytest

from engine.values import (
    RationaleOrigin,
    make_query,
)
from storage.db import Database
from storage.queries import Queries
from storage.rationales import RationaleMeasures, Rationales, Sought, Version
from storage.runs import Run


@pytest.fixture
def reviewed(db: Database, run: Run) -> Rationales:
    """Four rewritten rationales, of the queries `ann 1` to `ann 4`; the second is approved."""
    queries = [make_query(f"ann {n}") for n in range(1, 5)]
    Queries(db).add("p", queries, {})
    with db.write() as writer:
        writer.run("INSERT INTO steps VALUES ('run1', 2, 'short', 'compress', 'finished', NULL, NULL, '{}')")
        for n, query in enumerate(queries, 1):
            writer.run(
                "INSERT INTO samples (project_id, id, query_id, teacher, rationale, label, label_key, factors, draw, "
                "split, text_hash) VALUES ('p', ?, ?, 'ann', 'a long rationale', 'B', 'B', MAP {}, 0, 'distill', 'h')",
                [f"s{n}", query.id],
            )
            writer.run(
                "INSERT INTO selection_rows (selection_id, sample_id, query_id, teacher, reason) "
                "VALUES ('sel1', ?, ?, 'ann', 'kept')",
                [f"s{n}", query.id],
            )
    held = Rationales(db)
    for n, approved in enumerate((False, True, False, False), 1):
        held.add(run, f"s{n}", Version(RationaleOrigin.COMPRESSED, f"short {n}%", approved=approved))
    return held


KNOWN = RationaleMeasures(
    ["s1", "s2", "s3", "s4"], [9, 9, 9, 9], [5, 2, 7, 11], [False, False, True, False], [False, False, False, True]
)


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(), "s1 s2 s3 s4"),
        (Sought(sort="tokens"), "s2 s1 s3 s4"),
        (Sought(sort="-query"), "s4 s3 s2 s1"),
        (Sought(which="unapproved"), "s1 s3 s4"),
        (Sought(which="approved"), "s2"),
        (Sought(which="changed"), "s3"),
        (Sought(which="kept"), "s4"),
        (Sought(which="longer"), "s4"),
        (Sought(which="edited"), ""),
        (Sought("ANN 3"), "s3"),
        (Sought("short 2%"), "s2"),
        (Sought("%"), "s1 s2 s3 s4"),
        (Sought("_"), ""),
    ],
)
def test_rationales_are_sought_sorted_and_counted(reviewed: Rationales, sought: Sought, found: str) -> None:
    rows, total = reviewed.find_page("run1", "", KNOWN, sought, 0, 10)
    assert " ".join(row["sample"] for row in rows) == found and total == len(rows)
    rows, total = reviewed.find_page("run1", "", KNOWN, sought, 1, 1)
    assert [row["sample"] for row in rows] == found.split()[1:2] and total == len(found.split())


def test_characters_count_where_no_tokenizer_is_at_hand(reviewed: Rationales) -> None:
    rows, total = reviewed.find_page("run1", "", RationaleMeasures(), Sought(which="longer", sort="-tokens"), 0, 10)
    assert rows == [] and total == 0
    rows, _ = reviewed.find_page("run1", "", RationaleMeasures(), Sought(), 0, 10)
    assert set(rows[0]) == set(reviewed.listed("run1", "")[0])


@pytest.mark.parametrize(
    ("sought", "at", "found"),
    [
        (Sought(), "s1", ("s3", 2)),
        (Sought(), "s4", ("s1", 0)),
        (Sought(which="unapproved"), "s1", ("s3", 0)),
        (Sought(which="unapproved", sort="tokens"), "s3", ("s4", 1)),
        (Sought(which="approved"), "s2", None),
        (Sought("ann 2"), "s2", None),
    ],
)
def test_the_next_unapproved_stands_behind_in_the_order_that_is_sought(
    reviewed: Rationales, sought: Sought, at: str, found: tuple[str, int] | None
) -> None:
    reviewed.approve("run1", [(at, 1)])
    assert reviewed.find_next("run1", "", KNOWN, sought, at) == found


def test_the_stamp_of_rationales_changes_by_what_is_written_and_not_by_approving(
    reviewed: Rationales, run: Run
) -> None:
    before = reviewed.stamp("run1")
    reviewed.approve("run1", [("s1", 1)])
    assert reviewed.stamp("run1") == before and reviewed.count_approved("run1") == 2
    reviewed.add(run, "s1", Version(RationaleOrigin.EDITED, "by hand", approved=False))
    assert reviewed.stamp("run1") != before and reviewed.count_approved("run1") == 1
    assert [row["sample"] for row in reviewed.find_page("run1", "", KNOWN, Sought(which="edited"), 0, 9)[0]] == ["s1"]
