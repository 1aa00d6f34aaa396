"""What `make bench` writes into the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench_table import BEGIN, END, ROWS, Part, Row, describe_machine, read_rows, render, write_page


def test_rows_of_several_processes_become_a_table_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROWS, str(tmp_path / "rows.jsonl"))
    Part("Import").add("100 queries", "2.5 s", 0.5)
    Part("Labelling").add("plain | gather", "500 requests/s", note="50 ms each")
    Part("Import").measure("nothing", lambda: None)

    first, second, third = read_rows(tmp_path / "rows.jsonl")
    text = render([first, second, third], "Two cores.")

    assert first == Row("Import", "100 queries", "2.5 s", 0.5) and third.peak_gb
    assert text.startswith("Two cores.") and text.count("### ") == 2
    assert text.index("| 100 queries | 2.5 s | 0.50 GB |  |") < text.index("| nothing |") < text.index("### Labelling")
    assert "| plain / gather | 500 requests/s |  | 50 ms each |" in text


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\n## By hand\n")

    write_page(page, "new\n")

    assert page.read_text() == f"# Title\n\n{BEGIN}\nnew\n{END}\n\n## By hand\n"


@pytest.mark.parametrize("text", ["no marks", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_its_marks_stays_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)

    with pytest.raises(ValueError, match=r"must hold one line"):
        write_page(page, "new")

    assert page.read_text() == text


def test_the_machine_is_named_with_its_load_cores_and_versions() -> None:
    said = describe_machine(0.25)

    assert "load average before it 0.2" in said and " cores of " in said and "torch 2" in said and "duckdb" in said
