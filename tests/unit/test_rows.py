"""No row of a file vanishes: each is a query, repeats one, or is told with its number."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.columns import ImportedQueries, read_outputs, read_queries
from engine.errors import InputError
from engine.records import Record, read_records
from engine.tasks import get_task
from engine.teachers.recorded import Recording
from engine.values import make_query

CELLS = st.text(st.sampled_from('ab 1,;"\t\n\r\0é🦓\\|'), max_size=12) | st.sampled_from(["nan", "NaN", "A", ""])
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12)
NAMES = ("query", "gold", "id")


def write(folder: Path, kind: str, rows: list[tuple[str, ...]]) -> Path:
    path = folder / f"rows.{kind}"
    if kind in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, delimiter="," if kind == "csv" else "\t", quoting=csv.QUOTE_ALL)
            table.writerows([NAMES, *rows])
    elif kind == "parquet":
        pq.write_table(pa.table({name: [row[n] for row in rows] for n, name in enumerate(NAMES)}), path)
    else:
        named = [dict(zip(NAMES, row, strict=True)) for row in rows]
        path.write_text(json.dumps(named) if kind == "json" else "".join(f"{json.dumps(row)}\n" for row in named))
    return path


def read_blocks(path: Path) -> tuple[list[Record], ImportedQueries]:
    """The rows of a short file, and what they gave."""
    records = list(read_records(path))
    blocks = list(read_queries(iter(records), {}, 0, get_task("custom")))
    return records, blocks[0] if blocks else ImportedQueries([], {}, [], 0)


def test_a_few_nuls_behind_ends_of_lines_make_no_utf_16(tmp_path: Path) -> None:
    for query in ("11\n\x001", "111\r1é"):
        (record,), _ = read_blocks(write(tmp_path, "csv", [(query, "11\n\x001éé", "11\n\x001éé")]))
        assert (record.row, record.error) == (1, "a text holds a NUL character")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=TABLES)
@example(rows=[("a", "1", "x"), ("a\nb", "nan", "NaN"), ("a", "1", "x"), ("", "", "")])
def test_rows_in_are_queries_and_rows_told(kind: str, rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records, found = read_blocks(write(Path(folder), kind, rows))
    assert [record.row for record in records] == list(range(1, len(rows) + 1))
    assert len(found.queries) + found.duplicates + len(found.errors) == len(rows)
    texts = {query.text for query in found.queries}
    told = {error.row for error in found.errors}
    nothing = ("nan", "NaN") if kind in ("csv", "tsv") else ()
    for number, (text, _, _) in enumerate(rows, 1):
        assert number in told or (text.strip() in texts and text not in nothing)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(rows=TABLES)
def test_rows_of_parquet_are_queries_and_rows_told(rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records, found = read_blocks(write(Path(folder), "parquet", rows))
    assert len(records) == len(rows) == len(found.queries) + found.duplicates + len(found.errors)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('ab,"\n\r x'), max_size=60))
@example('a,b\n"')
@example('a,b\nx"y,1\n"p""q",2\n"p"q,3\n')
def test_any_text_is_split_as_the_csv_module_splits_it_or_refused(text: str) -> None:
    plain = list(csv.reader(io.StringIO(text, newline=""), strict=False))
    rows = [cells for cells in plain[1:] if cells]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(f"x{text}", newline="")
        plain = list(csv.reader(io.StringIO(f"x{text}", newline="")))
        rows = [cells for cells in plain[1:] if cells]
        try:
            records = list(read_records(path))
        except InputError as error:
            assert "never closes" in str(error) or "same name" in str(error)
            return
    assert len(records) == len(rows)
    good = [list(record.values.values()) for record in records if record.error is None]
    assert good == [cells for cells in rows if len(cells) == len(plain[0])]


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text)
    return path


def test_a_quote_that_never_closes_is_told_with_its_line_and_keeps_what_came_before(tmp_path: Path) -> None:
    lines = ["query,gold", *(f"q{n},{n}" for n in range(10)), '"broken,5', *(f"r{n},{n}" for n in range(19_999))]
    blocks = read_queries(read_records(write_csv(tmp_path, "\n".join(lines) + "\n")), {}, 0, get_task("custom"))
    assert len(next(blocks).queries) == 10
    with pytest.raises(InputError, match="quote opened in line 12 never closes; 20,000 lines are inside"):
        next(blocks)


def test_rows_over_several_lines_are_told_with_their_lines(tmp_path: Path) -> None:
    text = 'query,gold\none,1\n"two\nlines",2\n"three\nlines\nlong",3,4\nlast,5\n'
    records, found = read_blocks(write_csv(tmp_path, text))
    assert [(span.row, span.line, span.lines) for span in found.spans] == [(2, 3, 2), (3, 5, 3)]
    assert [(error.row, error.message) for error in found.errors] == [
        (3, "3 cells, but the header has 2 (lines 5 to 7)")
    ]
    assert records[3].line == 8


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet", "csv"])
def test_a_number_that_is_none_is_no_id_and_no_gold(tmp_path: Path, kind: str) -> None:
    rows: list[dict[str, Any]] = [
        {"query": "a", "gold": math.nan, "id": math.nan},
        {"query": "b", "gold": 3.0, "id": 7.0},
    ]
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        path.write_text("query,gold,id\na,NaN,nan\nb,3,7\n")
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "".join(f"{json.dumps(row)}\n" for row in rows))
    _, found = read_blocks(path)
    assert [query.key for query in found.queries] == [None, "7"]
    assert list(found.golds.values()) == ["3"]


def test_nan_as_a_text_of_a_typed_file_is_that_text(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"query": "What is bread in Hindi?", "gold": "nan"}\n')
    assert list(read_blocks(tmp_path / "rows.jsonl")[1].golds.values()) == ["nan"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.txt", "rows.json"])
def test_a_nul_costs_its_row_and_is_told(tmp_path: Path, name: str) -> None:
    content = {
        "rows.csv": "query\na\0b\nc\n",
        "rows.jsonl": '{"query": "a\\u0000b"}\n{"query": "a \\\\u0000 c"}\n',
        "rows.json": '[{"query": "x", "choices": ["a\\u0000b"]}, {"query": "c"}]',
        "rows.txt": "a\0b\nc\n",
    }[name]
    (tmp_path / name).write_text(content)
    _, found = read_blocks(tmp_path / name)
    assert [(error.row, error.message) for error in found.errors] == [(1, "a text holds a NUL character")]
    assert len(found.queries) == 1


def test_a_gold_label_outside_the_choices_is_told_and_the_query_is_kept() -> None:
    choices = {"A": "cat", "B": "dog"}
    golds = ["A", "dog", "(b)", "E", "horse", ["A"]]
    rows = [Record(n, {"query": f"q{n}", "choices": choices, "gold": gold}) for n, gold in enumerate(golds, 1)]
    (found,) = read_queries(rows, {}, 0, get_task("choice"))
    assert len(found.queries) == 6 and len(found.golds) == 3 and found.errors == []
    assert [note.row for note in found.notes] == [4, 5, 6]
    assert "'E' is none of the choices A, B" in found.notes[0].message and "without it" in found.notes[0].message


@pytest.mark.parametrize(
    "choices",
    [
        {"label": ["A", "A"], "text": ["x", "y"]},
        {"label": ["a", "A"], "text": ["x", "y"]},
        {"A": "x", "a ": "y"},
        '{"A": "x", "A": "y"}',
        [{"label": "A", "text": "x"}, {"label": "A", "text": "y"}],
        [["A", "x"], ["A", "y"]],
    ],
)
def test_two_choices_of_one_letter_cost_their_row(choices: Any) -> None:
    (found,) = read_queries([Record(1, {"query": "q", "choices": choices})], {}, 0, get_task("choice"))
    assert [(error.row, error.message) for error in found.errors] == [(1, "two choices have the letter A")]


def test_a_field_that_stands_twice_in_a_row_costs_the_row(tmp_path: Path) -> None:
    for name, content in (
        ("a.jsonl", '{"query": "x", "query": "y"}\n{"query": "z"}\n'),
        ("a.json", '[{"query": "x", "query": "y"}, {"query": "z"}]'),
    ):
        (tmp_path / name).write_text(content)
        _, found = read_blocks(tmp_path / name)
        assert [(e.row, e.message) for e in found.errors] == [(1, "two fields have the name 'query'")]
        assert len(found.queries) == 1


QUERY = make_query("first?")


def recorded(row: dict[str, Any]) -> tuple[Recording | None, list[str], list[str]]:
    """The recording of a row, why it was left out, and what of it was."""
    kept: list[Recording] = []
    records = [Record(1, {"query": "first?", "teacher": "ann", **row})]
    tally = read_outputs(records, [QUERY], None, lambda name, query_id, recording: kept.append(recording))
    return next(iter(kept), None), [e.message for e in tally.errors], [n.message for n in tally.notes]


@pytest.mark.parametrize(
    ("given", "read"),
    [("95%", 0.95), ("9/10", 0.9), ("0.5", 0.5), (1, 1.0), (0.25, 0.25), ("100 %", None), (True, None)],
)
def test_a_recorded_score_is_read_as_one_of_a_live_reply(given: Any, read: float | None) -> None:
    recording, errors, notes = recorded({"answer": "a", "scores": {"clarity": given}})
    expected = {} if read is None and given != "100 %" else {"clarity": 1.0 if read is None else read}
    assert recording is not None and errors == []
    assert recording.factors == expected and bool(notes) is (not expected)


@pytest.mark.parametrize("score", [10**400, -(10**400), 7, -0.1, 1e308, "high", "1/0", [1]])
def test_a_recorded_score_that_is_none_is_told_and_the_answer_is_kept(score: Any) -> None:
    recording, errors, notes = recorded({"answer": "a", "scores": {"clarity": 0.5, "answer": score}})
    assert recording is not None and errors == [] and recording.factors == {"clarity": 0.5}
    assert len(notes) == 1 and "score answer" in notes[0] and len(notes[0]) < 120


def test_a_number_that_is_none_is_no_answer() -> None:
    recording, errors, _ = recorded({"answer": math.nan, "rationale": "so it is 5"})
    assert recording is not None and recording.answer is None and errors == []
    assert recorded({"answer": math.nan})[1] == ["no answer, no rationale and no raw reply"]


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "query": st.sampled_from(["first?", "second?", "", None, math.nan, 5]),
                "teacher": st.sampled_from(["ann", "bob", "", None, math.nan]),
                "answer": st.none() | st.text(max_size=3) | st.floats() | st.lists(st.integers(), max_size=2),
                "raw": st.none() | st.text(max_size=5),
                "scores": st.none() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.floats()),
            },
        ),
        max_size=12,
    )
)
def test_every_output_is_recorded_unmatched_or_told(rows: list[dict[str, Any]]) -> None:
    kept: list[Recording] = []
    records = [Record(number, row) for number, row in enumerate(rows, 1)]
    tally = read_outputs(records, [QUERY], None, lambda name, query_id, recording: kept.append(recording))
    assert len(kept) + tally.unmatched + tally.rejected == len(rows)
    assert len(kept) == sum(tally.teachers.values()) and tally.rejected == len(tally.errors)
    assert all(0 <= score <= 1 for recording in kept for score in recording.factors.values())
