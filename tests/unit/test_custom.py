from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.tasks import get_task
from engine.values import make_query

QUICK = settings(max_examples=100, deadline=None)
EXACT, PATTERN = get_task("custom"), get_task("custom-regex")
QUERY = make_query("Name it.")


def test_an_unknown_task_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="there are choice, custom, custom-regex, math"):
        get_task("poetry")


@pytest.mark.parametrize("label", ["New York", "new york", " New  York. ", "NEW\nYORK", "Ｎew York"])
def test_case_space_and_a_full_stop_do_not_matter(label: str) -> None:
    assert EXACT.verify(QUERY, label, "New York")


@pytest.mark.parametrize("label", ["York", "New York City", "Neu York", "", " . "])
def test_other_texts_are_not_equal(label: str) -> None:
    assert not EXACT.verify(QUERY, label, "New York")


def test_two_empty_labels_are_not_right() -> None:
    assert not EXACT.verify(QUERY, "", "")


@QUICK
@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = EXACT.normalise(QUERY, text)
    assert once is None or EXACT.normalise(QUERY, once) == once


@pytest.mark.parametrize(
    ("gold", "label", "right"),
    [
        ("colou?r", "Color", True),
        ("colou?r", "the color", False),
        (r"\d+ km", " 12 km ", True),
        ("a|b", "b", True),
        ("a|b", "ab", False),
        ("(unclosed", "(unclosed", False),
    ],
)
def test_a_pattern_must_match_the_whole_label(gold: str, label: str, right: bool) -> None:
    assert PATTERN.verify(QUERY, label, gold) is right


@pytest.mark.parametrize("gold", ["(a+)+$", "(a|aa)+$", "(a*)*b"])
def test_a_pattern_that_backtracks_without_end_is_given_up(gold: str) -> None:
    started = time.perf_counter()
    assert PATTERN.verify(QUERY, "a" * 5000 + "!", gold) is False
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Because.\nAnswer: New York", "New York"),
        ("It is \\boxed{New York}", "New York"),
        ("The answer is Rome. Let me check: the answer is wrong because of the river.", None),
        ("New York", "New York"),
        ("one two three four five", "one two three four five"),
        ("one two three four five six", None),
        ("New\nYork", None),
        ("  ", None),
    ],
)
def test_a_students_answer_is_an_answer_line_or_a_few_bare_words(text: str, label: str | None) -> None:
    assert EXACT.read_answer(QUERY, text) == label


def test_a_reply_gives_its_label_as_written() -> None:
    reply = EXACT.parse(QUERY, '{"rationale": "r", "label": "New York.", "scores": {"clarity": "80%"}}')
    assert reply is not None
    assert (reply.label, reply.factors["clarity"]) == ("New York.", 0.8)
    assert EXACT.parse(QUERY, '{"rationale": "r", "label": "..."}') is None
    assert EXACT.parse(QUERY, "New York") is None


@QUICK
@given(st.text(max_size=60), st.text(st.sampled_from("ab.*+?()[]{}|\\^$1"), max_size=12))
def test_nothing_makes_reading_or_verifying_raise(text: str, gold: str) -> None:
    for task in (EXACT, PATTERN):
        task.parse(QUERY, json.dumps({"label": text}))
        task.parse(QUERY, f'{{"label": "{text}')
        task.read_answer(QUERY, f"Answer: {text}")
        task.verify(QUERY, text, gold)
