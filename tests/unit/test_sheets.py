"""Lists as CSV files: what a spreadsheet must not run, and that a long list is never held whole."""

from __future__ import annotations

import csv
import os
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from app.usecases.workspace.sheets import Sheet, make_cell, write_sheet


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "-", "--1"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert make_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+3.25", "-1,200", "-1e-3", "-12%", "a=b", "", "'already"])
def test_plain_numbers_and_texts_stay_as_they_are(text: str) -> None:
    assert make_cell(text) == text


def test_a_file_holds_what_the_rows_hold(tmp_path: Path) -> None:
    rows = [("a, b", None, True, datetime(2026, 11, 30, 1, 2, 3)), ('"x"\ny', -5, False, None)]
    path = tmp_path / "list.csv"
    assert write_sheet(Sheet(("text", "n", "ok", "at"), rows), path) == 2
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["text", "n", "ok", "at"],
            ["a, b", "", "yes", "2026-11-30 01:02:03"],
            ['"x"\ny', "-5", "no", ""],
        ]


def test_what_breaks_off_leaves_the_earlier_file_and_no_rest(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str]]:
        yield ("one",)
        raise OSError("the disk is full")

    path = tmp_path / "list.csv"
    write_sheet(Sheet(("a",), [("old",)]), path)
    with pytest.raises(OSError, match="full"):
        write_sheet(Sheet(("a",), broken()), path)
    assert path.read_text() == "a\nold\n" and os.listdir(tmp_path) == ["list.csv"]


def test_a_long_list_is_written_row_by_row(tmp_path: Path) -> None:
    tracemalloc.start()
    write_sheet(Sheet(("text",), (("x" * 1_000,) for _ in range(20_000))), tmp_path / "list.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000 < (tmp_path / "list.csv").stat().st_size
