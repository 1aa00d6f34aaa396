"""Code tasks: what of a file is visible, how code is read out of a reply, which answers agree and which are right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.usecases.evaluation.report_lines import more_lines
from engine.columns import read_queries
from engine.errors import InputError, MissingPart
from engine.evaluation.measures import MEASURES
from engine.evaluation.measures.pass_at_k import mean_pass_at_k, pass_at_k
from engine.evaluation.report import summarise
from engine.jobs import run_labels, score
from engine.jobs.context import JobContext
from engine.jobs.events import EventLog
from engine.jobs.score import LabelToVerify, as_line
from engine.jobs.spec import RunLabelsJob, ScoreJob
from engine.lines import read_lines, write_lines
from engine.records import Record
from engine.tasks import code, get_task, require_parts, verify_many
from engine.tasks.code import CodeTask
from engine.tasks.python_text import find_code, rewrite_code
from engine.values import EvalItem, Query, make_query
from tests.fakes.open_sandbox import OpenSandbox

TASK = CodeTask()
SQUARE = "def square(n):\n    return n * n"
MBPP = {
    "task_id": 7,
    "text": "Write a function to square a number.",
    "code": SQUARE,
    "test_list": ["assert square(2) == 4", "assert square(3) == 9", "assert square(-1) == 1"],
    "test_setup_code": "",
    "challenge_test_list": ["assert square(0) == 0"],
}


@pytest.fixture(autouse=True)
def _open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is run here is harmless, so it is run where there may be no sandbox."""
    monkeypatch.setattr(code, "pick", OpenSandbox)


def read(row: Mapping[str, Any]) -> tuple[Query, str | None]:
    (imported,) = read_queries([Record(1, dict(row))], {}, 0.0, TASK)
    assert imported.errors == []
    (query,) = imported.queries
    return query, imported.golds.get(query.id)


QUERY, GOLD = read(MBPP)


def test_the_first_test_is_visible_and_the_rest_are_hidden() -> None:
    assert QUERY.text == MBPP["text"] and QUERY.key == "7"
    assert QUERY.extra == {"tests": ["assert square(2) == 4"], "name": "square"}
    assert json.loads(GOLD or "")["tests"] == [*MBPP["test_list"][1:], *MBPP["challenge_test_list"]]
    shown = TASK.render(QUERY)
    assert "assert square(2) == 4" in shown
    assert "square(3)" not in shown and "return n * n" not in json.dumps([shown, dict(QUERY.extra)])
    assert TASK.show_gold(GOLD or "") == SQUARE


def test_a_file_that_tells_visible_tests_apart_is_believed() -> None:
    row = {"query": "Square.", "visible_tests": MBPP["test_list"][:2], "tests": MBPP["test_list"], "gold_code": SQUARE}
    query, gold = read(row)
    assert query.extra["tests"] == MBPP["test_list"][:2]
    assert json.loads(gold or "")["tests"] == MBPP["test_list"][2:]


@pytest.mark.parametrize(
    "tests",
    [
        json.dumps(MBPP["test_list"]),
        repr(MBPP["test_list"]),
        "\n".join(MBPP["test_list"]),
        MBPP["test_list"],
    ],
)
def test_tests_come_as_lists_or_in_one_cell(tests: Any) -> None:
    query, gold = read({"query": "Square.", "tests": tests})
    assert [*query.extra["tests"], *json.loads(gold or "")["tests"]] == MBPP["test_list"]


def test_a_check_that_is_not_called_is_called() -> None:
    check = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9"
    query, _ = read({"query": "Square.", "tests": [check], "entry_point": "square", "solution": SQUARE})
    _, gold = read({"query": "Square.", "tests": [check], "entry_point": "square", "solution": SQUARE})
    assert TASK.verify(query, SQUARE, gold or "")
    assert not TASK.verify(query, "def square(n): return 4", gold or "")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Square.", "test_list": []}, "no tests"),
        ({"text": "Square.", "test_list": ["assert square(2 == 4"]}, "tests test 1 is no Python"),
        ({"text": "Square.", "test_list": ["assert f(1)"], "test_setup_code": "import ("}, "setup of its tests"),
        ({"text": "Square.", "test_list": {"a": 1}}, "neither a text nor a list"),
    ],
)
def test_a_row_without_usable_tests_says_what_is_wrong(row: dict[str, Any], message: str) -> None:
    (imported,) = read_queries([Record(1, row)], {}, 0.0, TASK)
    assert [message in error.message for error in imported.errors] == [True]


def test_reference_code_that_is_no_python_is_left_out_and_told() -> None:
    (imported,) = read_queries([Record(1, {**MBPP, "code": "def square(n:"})], {}, 0.0, TASK)
    assert (len(imported.queries), imported.golds) == (1, {})
    assert "no Python" in imported.notes[0].message


OTHER = "def helper(n):\n    return n"
REPLIES = {
    "json": json.dumps({"rationale": "It is easy.", "label": SQUARE, "scores": {"reasoning": 0.9}}),
    "json with a fence in it": json.dumps({"rationale": "It is easy.", "label": f"```python\n{SQUARE}\n```"}),
    "json in a fence": f"```json\n{json.dumps({'rationale': 'It is easy.', 'label': SQUARE})}\n```",
    "fence": f"It is easy.\n```python\n{SQUARE}\n```\nThis passes.",
    "fence without a language": f"It is easy.\n\n```\n{SQUARE}\n```",
    "fence that never ends": f"It is easy.\n```python\n{SQUARE}",
    "prose and no fence": f"It is easy.\n\n{SQUARE}\n\nThis passes all the tests, I'm sure.",
    "several blocks": f"It is easy.\n```python\n{OTHER}\n```\nor\n```python\n{SQUARE}\n```\n```\nsquare(2)\n```",
    "the wanted one is not the last": f"It is easy.\n```python\n{SQUARE}\n```\nand\n```python\n{OTHER}\n```",
    "another language": f"It is easy.\n```bash\npip install square\n```\n```python\n{SQUARE}\n```",
    "thought": f"<think>def square(n): return 0</think>It is easy.\n```python\n{SQUARE}\n```",
    "answer line": f"Answer: {SQUARE}",
}


@pytest.mark.parametrize("case", REPLIES)
def test_code_is_read_out_of_any_dress(case: str) -> None:
    parsed = TASK.parse(QUERY, REPLIES[case])
    assert parsed is not None and parsed.label == SQUARE
    assert case == "answer line" or "It is easy." in parsed.rationale
    assert TASK.read_answer(QUERY, REPLIES[case]) == SQUARE


def test_scores_of_the_three_factors_are_read() -> None:
    scores = {"reasoning": 0.9, "readability": "80%", "robustness": 0.7}
    parsed = TASK.parse(QUERY, json.dumps({"rationale": "r", "label": SQUARE, "scores": scores}))
    assert parsed is not None and parsed.factors == {"reasoning": 0.9, "readability": 0.8, "robustness": 0.7}
    assert TASK.factors == tuple(scores)


def test_a_function_of_another_name_is_told_as_it_is_and_fails() -> None:
    parsed = TASK.parse(QUERY, f"```python\n{OTHER}\n```")
    assert parsed is not None and parsed.label == OTHER
    assert not TASK.verify(QUERY, parsed.label, GOLD or "")


@pytest.mark.parametrize(
    "text",
    ["", "I can't.", "```python\ndef square(n:\n```", "def square(n", '{"label": 4}', "<think>" + SQUARE, "x = 1"],
)
def test_no_code_is_invented(text: str) -> None:
    assert TASK.parse(QUERY, text) is None
    assert TASK.read_answer(QUERY, text) is None


def test_a_completion_comes_back_whatever_stands_in_it() -> None:
    hard = 'def square(n):\n    """\n    ```python\n    square(2)\n    ```\n    """\n    return n * n'
    for rationale in ("", "Easy.", f"As\n```python\n{OTHER}\n```\nshows:"):
        assert TASK.split_completion(TASK.complete(rationale, hard)) == (rationale, hard)
        assert TASK.read_answer(QUERY, TASK.complete(rationale, SQUARE)) == SQUARE
    written = f"{TASK.complete('', SQUARE)}\nsince"
    assert TASK.read_answer(QUERY, written[: written.index(TASK.stop) + len(TASK.stop)]) == SQUARE


def test_layout_comments_and_docstrings_do_not_count_in_the_form_of_code() -> None:
    other = 'def square( n ):\n    """Square."""\n    # multiply\n    return (n*n)\n'
    assert rewrite_code(other) == rewrite_code(SQUARE) == TASK.normalise(QUERY, SQUARE)
    assert rewrite_code("def f(:") is None
    assert rewrite_code("(" * 5000) is None
    assert find_code("no code here") is None


def test_only_what_passes_hidden_tests_too_is_right() -> None:
    answers = [SQUARE, "def square(n): return 4", "def square(n): return abs(n) ** 2", "while True: break", "def f(:"]
    cases = [(QUERY, answer, GOLD or "") for answer in answers]
    assert list(verify_many(TASK, cases)) == [True, False, True, False, False]
    assert TASK.verify(QUERY, SQUARE, GOLD or "")


def test_what_tests_compare_with_can_not_be_brought_by_an_answer() -> None:
    row = {"query": "Halve.", "tests": ["assert half(1) == 0.5", "assert isclose(half(3), 1.5)"]}
    query, gold = read({**row, "code": "def half(n): return n / 2", "test_setup": "from math import isclose"})
    assert TASK.verify(query, "def half(n): return n * 0.5", gold or "")
    query, gold = read({**row, "code": "def half(n): return n / 2"})
    fake = "def half(n): return 0.5\ndef isclose(a, b): return True"
    assert not TASK.verify(query, fake, gold or "")


def test_answers_agree_by_what_they_do() -> None:
    answers = [
        SQUARE,
        "def square(n): return n ** 2",
        "def square(n): return n + 1",
        "import nothing_like_this",
        "1 // 0",
    ]
    keys = list(TASK.find_keys((QUERY, answer) for answer in answers))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert all(map(TASK.is_settled, keys))
    assert not TASK.is_settled(TASK.normalise(QUERY, SQUARE) or "")
    assert list(TASK.verify_many([(QUERY, answer, keys[0]) for answer in answers])) == [True, True, False, False, False]


def test_a_typed_query_brings_its_tests() -> None:
    typed = TASK.read_typed("Square a number.\nassert square(2) == 4")
    assert (typed.text, typed.extra["tests"]) == ("Square a number.", ["assert square(2) == 4"])
    assert TASK.read_typed("Square a number.").extra == {}


def test_without_a_sandbox_it_is_said_before_anything_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> OpenSandbox:
        raise MissingPart("there is no sandbox; install one")

    monkeypatch.setattr(code, "pick", refuse)
    with pytest.raises(MissingPart, match="install one"):
        require_parts("code")
    with pytest.raises(MissingPart, match="install one"):
        get_task("code").verify(QUERY, SQUARE, GOLD or "")
    require_parts("math")


def context(folder: Path, stopped: bool = False) -> JobContext:
    return JobContext(folder, EventLog(folder / "events.jsonl"), lambda: stopped)


def test_a_worker_runs_labels_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    lines = [
        run_labels.as_line(QUERY, answer, gold)
        for answer in (SQUARE, "def square(n): return 5")
        for gold in (GOLD, None)
    ]
    file, output = write_lines(tmp_path / "labels.jsonl", lines), tmp_path / "results.jsonl"
    job = RunLabelsJob(task="code", file=file, output=output)
    assert run_labels.run(job, context(tmp_path, stopped=True)) is False
    assert not output.exists()
    assert run_labels.run(job, context(tmp_path)) is True
    found = read_lines(output)
    assert [found[0], found[2]] == [True, False]
    assert found[1] == next(TASK.find_keys([(QUERY, SQUARE)])) != found[3]


def test_scoring_runs_answers_together(tmp_path: Path) -> None:
    texts = [f"Easy.\n```python\n{SQUARE}\n```", "```python\ndef square(n): return 4\n```", "I can't."]
    asked = [
        LabelToVerify(
            "evaluate", make_query(QUERY.text, key=str(n), extra=QUERY.extra), GOLD or "", True, item(text, str(n))
        )
        for n, text in enumerate(texts)
    ]
    file = write_lines(tmp_path / "answers.jsonl", map(as_line, asked))
    job = ScoreJob(task="code", file=file, output=tmp_path / "scored.json", measure="accuracy", references=())
    assert score.run(job, context(tmp_path))
    (row,) = json.loads((tmp_path / "scored.json").read_text("utf-8"))["rows"]
    assert row["values"]["score"]["value"] == pytest.approx(1 / 3)
    assert row["values"]["read"]["value"] == pytest.approx(2 / 3)


def item(text: str, query_id: str = "q", correct: bool | None = None) -> EvalItem:
    return EvalItem("student", query_id, None, text, None, 3, 0.1, correct)


def test_pass_at_k_is_the_unbiased_estimate() -> None:
    assert pass_at_k(5, 2, 1) == pytest.approx(2 / 5)
    assert pass_at_k(5, 2, 3) == pytest.approx(1 - 1 / 10)
    assert pass_at_k(5, 5, 5) == 1.0 and pass_at_k(5, 0, 5) == 0.0 and pass_at_k(4, 3, 2) == 1.0
    value = mean_pass_at_k({"a": (5, 2), "b": (5, 0)}, 1)
    assert (value.value, value.n) == (pytest.approx(0.2), 2)
    with pytest.raises(InputError, match="at least 6 draws"):
        pass_at_k(5, 2, 6)


def test_a_table_has_no_column_for_what_no_row_has() -> None:
    once, twice = [item("", "a", True)], [item("", "a", True), item("", "a", False)]
    assert all("Pass@k" not in row for row in more_lines(summarise(once)))
    assert more_lines(summarise(twice))[0]["Pass@k"].startswith("1.00")


def test_a_report_has_pass_at_k_where_there_are_several_draws() -> None:
    measure = MEASURES.get("pass-at-k")
    once = [item("", "a", True), item("", "b", False)]
    assert measure.of(once) is None
    value = measure.of([*once, item("", "a", False), item("", "b", False)])
    assert value is not None and value.value == pytest.approx(0.5)
    assert measure.show(value).startswith("0.50 [")
