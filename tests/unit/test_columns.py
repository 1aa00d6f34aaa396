from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from engine import columns
from engine.columns import ImportedQueries, RowError, match_columns
from engine.errors import InputError, MissingColumn
from engine.records import Record
from engine.tasks import DEFAULT_TASK, get_task
from engine.teachers.recorded import Recording
from engine.values import Choice, Query, Split, make_query


class Outputs(NamedTuple):
    recordings: dict[str, dict[str, Recording]]
    errors: list[RowError]
    unmatched: int


def records(*rows: dict[str, Any]) -> list[Record]:
    return [Record(number, row) for number, row in enumerate(rows, 1)]


def read_queries(rows: Any, named: dict[str, str], heldout: float, task: str = DEFAULT_TASK) -> ImportedQueries:
    """All rows of a short file, which is one block."""
    (block,) = columns.read_queries(rows, named, heldout, get_task(task))
    return block


def only(row: dict[str, Any], task: str = DEFAULT_TASK) -> Query:
    found = read_queries(records(row), {}, 0, task)
    assert found.errors == []
    return found.queries[0]


@pytest.mark.parametrize(
    ("task", "names", "expected"),
    [
        (
            "choice",
            ["Question", "Options", "AnswerKey", "id"],
            {"query": "Question", "choices": "Options", "gold": "AnswerKey", "id": "id"},
        ),
        ("custom", ["question", "answer"], {"query": "question", "gold": "answer"}),
        ("custom", ["prompt", "output", "category"], {"query": "prompt", "gold": "output", "kind": "category"}),
        ("custom", ["text", "label"], {"query": "text", "gold": "label"}),
        ("math", ["problem", "query"], {"query": "query"}),
        ("custom", ["type", "query", "original_question", "response"], {"query": "query", "gold": "response"}),
        ("custom", ["task_id", "text", "code", "test_list"], {"query": "text", "gold": "code"}),
        ("math", ["question", "options", "answer"], {"query": "question", "gold": "answer"}),
    ],
)
def test_usual_names_of_columns_are_understood(task: str, names: list[str], expected: dict[str, str]) -> None:
    assert match_columns(names, {}, get_task(task)) == expected


def test_a_named_column_goes_before_a_guess() -> None:
    found = match_columns(["question", "hint", "answer"], {"query": "hint", "gold": "question"}, get_task("custom"))
    assert found == {"query": "hint", "gold": "question"}


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no column 'qestion'; the file has question, answer"):
        read_queries(records({"question": "a", "answer": "b"}), {"query": "qestion"}, 0)
    with pytest.raises(MissingColumn, match=r"which column holds the queries.* foo") as told:
        read_queries(records({"foo": "a"}), {}, 0)
    assert "--" not in str(told.value), "pages show this too"


def test_a_role_that_the_task_does_not_read_is_refused_with_those_it_does() -> None:
    row = {"question": "a", "options": ["x", "y"]}
    with pytest.raises(InputError, match=r"'choices' to a task of math.* ROLE=NAME .* query, gold, kind, id"):
        read_queries(records(row), {"choices": "options"}, 0, "math")
    assert len(read_queries(records(row), {"choices": ""}, 0, "math").queries) == 1, "and there is none of it"


def test_a_column_that_the_task_requires_is_asked_for_by_its_role() -> None:
    with pytest.raises(MissingColumn, match=r"which column holds the lettered choices\? .* question, picks") as told:
        read_queries(records({"question": "a", "picks": ["x", "y"]}), {}, 0, "choice")
    assert told.value.role == "choices"
    assert read_queries(records({"question": "a", "picks": ["x", "y"]}), {"choices": "picks"}, 0, "choice").queries


def test_rows_become_queries_with_gold_apart() -> None:
    found = read_queries(records({"query": " 1+1? ", "gold": 2, "kind": "sums", "id": 7}), {}, 0)
    assert found.queries == [make_query("1+1?", (), "sums", "7")]
    assert found.golds == {found.queries[0].id: "2"}


@pytest.mark.parametrize(
    "choices",
    [
        {"label": ["A", "B"], "text": ["x", "y"]},
        ["x", "y"],
        {"A": "x", "B": "y"},
        '["x", "y"]',
        '{"label": ["A", "B"], "text": ["x", "y"]}',
        '{"A": "x", "B": "y"}',
        {"A": "x", "B": "y", "C": None},
    ],
)
def test_choices_come_in_many_shapes(choices: Any) -> None:
    assert only({"question": "q", "choices": choices}, "choice").choices == (Choice("A", "x"), Choice("B", "y"))


@pytest.mark.parametrize("choices", ["x or y", 5, ["x", " "], '"text"', [["x"], ""], "{"])
def test_choices_that_can_not_be_read_cost_their_row(choices: Any) -> None:
    rows = records({"question": "q", "choices": choices}, {"question": "r", "choices": ["x"]})
    found = read_queries(rows, {}, 0, "choice")
    assert [error.row for error in found.errors] == [1]
    assert [query.text for query in found.queries] == ["r"]


@pytest.mark.parametrize("choices", [None, [], "", {"label": None, "text": None}, {"label": [], "text": []}])
def test_a_task_without_choices_takes_a_row_that_has_none_and_reads_none(choices: Any) -> None:
    assert only({"question": "q", "choices": choices}).choices == ()
    assert only({"question": "q", "choices": ["x", "y"]}, "math") == make_query("q")


def test_the_answer_behind_the_hashes_is_the_gold_of_gsm8k() -> None:
    solution = "She has 3 * 6 = <<3*6=18>>18 eggs.\n#### 18"
    rows = records({"question": "q", "answer": solution}, {"question": "r", "answer": " yes "})
    for task in ("math", "custom"):
        assert list(read_queries(rows, {}, 0, task).golds.values()) == ["18", "yes"]


@pytest.mark.parametrize("gold", [None, "", "  "])
def test_a_row_without_gold_is_a_query_all_the_same(gold: Any) -> None:
    found = read_queries(records({"question": "q", "answer": gold}), {}, 0)
    assert (len(found.queries), found.golds) == (1, {})


def test_zero_is_a_gold_label() -> None:
    assert list(read_queries(records({"question": "q", "answer": 0}), {}, 0).golds.values()) == ["0"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "empty query"), ("   ", "empty query"), (None, "empty query"), (["a"], "a list"), (True, "true or false")],
)
def test_a_row_without_a_query_is_an_error(text: Any, why: str) -> None:
    found = read_queries(records({"question": "good"}, {"question": text}), {}, 0)
    ((row, message),) = [(error.row, error.message) for error in found.errors]
    assert row == 2 and why in message


def test_a_number_is_a_query_as_text() -> None:
    found = read_queries(records({"question": 12}, {"question": 7.0}, {"question": 2.5}), {}, 0)
    assert [query.text for query in found.queries] == ["12", "7", "2.5"] and not found.errors


def test_broken_rows_keep_their_numbers_and_messages() -> None:
    rows = [Record(1, {}, "not JSON"), Record(2, {"question": "a"}), Record(3, {}, "too long")]
    found = read_queries(rows, {}, 0)
    assert [(error.row, error.message) for error in found.errors] == [(1, "not JSON"), (3, "too long")]
    assert len(found.queries) == 1


def test_repeated_queries_are_counted_and_the_first_stays() -> None:
    rows = records(
        {"question": "a", "answer": "1"},
        {"question": " a ", "answer": "2"},
        {"question": "a", "answer": "1", "id": "other"},
    )
    found = read_queries(rows, {}, 0)
    assert (len(found.queries), found.duplicates) == (1, 2)
    assert list(found.golds.values()) == ["1"]


def test_a_column_that_the_first_row_lacks_is_found() -> None:
    found = read_queries(records({"question": "a"}, {"question": "b", "answer": "2"}), {}, 0)
    assert list(found.golds.values()) == ["2"]


def test_where_choices_are_needed_a_row_without_them_is_an_error() -> None:
    rows = records({"question": "a"}, {"question": "b", "choices": ["x", "y"]})
    found = read_queries(rows, {}, 0, "choice")
    assert [error.row for error in found.errors] == [1]
    assert [query.text for query in found.queries] == ["b"]


def test_more_choices_than_letters_cost_their_row() -> None:
    rows = records({"question": "a", "choices": [f"option {n}" for n in range(27)]})
    assert "27 choices" in read_queries(rows, {}, 0, "choice").errors[0].message


def test_the_same_text_with_other_choices_is_another_query() -> None:
    rows = records({"question": "a", "choices": ["x"]}, {"question": "a", "choices": ["y"]})
    assert read_queries(rows, {}, 0, "choice").duplicates == 0


def test_the_held_out_share_is_stable_and_about_what_was_asked() -> None:
    rows = [{"question": f"query {n}"} for n in range(1000)]
    found = {q.text: q.split for q in read_queries(records(*rows), {}, 0.2).queries}
    again = {q.text: q.split for q in read_queries(records(*rows[::-1], {"question": "new"}), {}, 0.2).queries}
    assert again.items() >= found.items()
    held = {text for text, split in found.items() if split is Split.HELDOUT}
    assert 150 < len(held) < 250
    more = read_queries(records(*rows), {}, 0.4).queries
    assert held < {q.text for q in more if q.split is Split.HELDOUT}
    assert {q.split for q in read_queries(records(*rows), {}, 0).queries} == {Split.DISTILL}
    assert {q.split for q in read_queries(records(*rows), {}, 1).queries} == {Split.HELDOUT}


QUERIES = [make_query("first?", key="k1"), make_query("second?", key="2"), make_query("third?")]


def read_outputs(rows: Any, queries: list[Query], teacher: str | None) -> Outputs:
    recordings: dict[str, dict[str, Recording]] = {}
    tally = columns.read_outputs(
        rows, queries, teacher, lambda name, query_id, said: recordings.setdefault(name, {}).update({query_id: said})
    )
    assert tally.teachers == {name: len(by_query) for name, by_query in recordings.items()}
    assert tally.rejected == len(tally.errors)
    return Outputs(recordings, tally.errors, tally.unmatched)


def test_outputs_find_their_query_by_id_key_or_text() -> None:
    rows = records(
        {"query_id": QUERIES[0].id, "teacher": "ann", "rationale": "r1", "answer": "a1"},
        {"id": 2, "teacher": "ann", "rationale": "r2", "answer": "a2"},
        {"Question": " third? ", "Teacher": "ann", "Answer": "a3"},
        {"query_id": "k1", "teacher": "bob", "raw": "Answer: 5"},
        {"query_id": "unknown", "teacher": "ann", "answer": "x"},
        {"query": "fourth?", "teacher": "ann", "answer": "x"},
    )
    found = read_outputs(rows, QUERIES, None)
    assert (found.errors, found.unmatched) == ([], 2)
    ids = [query.id for query in QUERIES]
    assert {i: (r.rationale, r.answer) for i, r in found.recordings["ann"].items()} == dict(
        zip(ids, [("r1", "a1"), ("r2", "a2"), ("", "a3")], strict=True)
    )
    bob = found.recordings["bob"][ids[0]]
    assert (bob.answer, bob.raw) == (None, "Answer: 5")


def test_an_output_whose_text_stands_for_several_queries_is_not_guessed() -> None:
    twins = [make_query("same?", (Choice("A", text),)) for text in ("x", "y")]
    found = read_outputs(records({"query": "same?", "teacher": "ann", "answer": "A"}), twins, None)
    assert (found.recordings.get("ann", {}), len(found.errors)) == ({}, 1)


def test_an_id_of_the_file_itself_does_not_hide_the_text_of_the_query() -> None:
    row = {"id": 999, "query": "first?", "teacher": "ann", "answer": "a"}
    assert list(read_outputs(records(row), QUERIES, None).recordings["ann"]) == [QUERIES[0].id]


def test_a_teacher_can_be_named_for_the_whole_file() -> None:
    rows = records({"query": "first?", "answer": "a"}, {"query": "second?", "answer": "b", "teacher": "bob"})
    found = read_outputs(rows, QUERIES, "ann")
    assert {name: len(by_query) for name, by_query in found.recordings.items()} == {"ann": 1, "bob": 1}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"teacher": "ann", "answer": "a"}, "no query id"),
        ({"query": "first?", "answer": "a"}, "no teacher"),
        ({"query": "first?", "teacher": "ann"}, "no answer"),
    ],
)
def test_an_output_that_lacks_a_part_is_an_error(row: dict[str, Any], why: str) -> None:
    found = read_outputs(records(row), QUERIES, None)
    assert found.recordings == {}
    assert why in found.errors[0].message


def test_the_first_of_two_outputs_of_a_teacher_stays() -> None:
    rows = records(*({"query": "first?", "teacher": "ann", "answer": answer} for answer in "ab"))
    assert read_outputs(rows, QUERIES, None).recordings["ann"][QUERIES[0].id].answer == "a"


@pytest.mark.parametrize("scores", [{"clarity": 0.5, "mood": "high"}, '{"clarity": 0.5}'])
def test_scores_of_an_output_are_taken_where_they_are_numbers(scores: Any) -> None:
    row = {"query": "first?", "teacher": "ann", "answer": 0, "scores": scores}
    recording = read_outputs(records(row), QUERIES, None).recordings["ann"][QUERIES[0].id]
    assert (recording.answer, dict(recording.factors)) == ("0", {"clarity": 0.5})


def test_scores_that_are_no_json_are_left_out() -> None:
    row = {"query": "first?", "teacher": "ann", "answer": "a", "scores": "good"}
    assert read_outputs(records(row), QUERIES, None).recordings["ann"][QUERIES[0].id].factors == {}


def test_a_long_file_comes_in_blocks_with_row_numbers_going_on() -> None:
    rows = [Record(n, {"question": f"q{n}"}) for n in range(1, 10_801)]
    rows[10_499] = Record(10_500, {}, "bad")
    blocks = list(columns.read_queries(iter(rows), {}, 0, get_task(DEFAULT_TASK)))
    assert [len(block.queries) for block in blocks] == [10_000, 799]
    assert [error.row for error in blocks[1].errors] == [10_500]
