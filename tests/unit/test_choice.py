from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks import get_task
from engine.types import Choice, Query, make_query

QUICK = settings(max_examples=150, deadline=None)
TASK = get_task("choice")


def ask(*texts: str) -> Query:
    return make_query("Which one?", tuple(Choice(letter, text) for letter, text in zip("ABCDE", texts, strict=False)))


QUERY = ask("apple", "pear tree", "plum", "fig", "date palm")
OPTIONS = "apple pear tree plum fig date palm"
snippets = st.lists(
    st.sampled_from(
        ["A", "B", "(C)", "d)", " ", ".", ":", "and", "or", "not", "apple", "pear tree", "fig", "\n", "**"]
    ),
    max_size=8,
).map("".join)


def test_a_query_is_shown_with_its_lettered_choices() -> None:
    assert TASK.render(ask("apple", "pear")) == "Which one?\n(A) apple\n(B) pear"


@pytest.mark.parametrize(
    "label",
    [
        *("B", "b", "(B)", "(b)", "B.", "B)", "B:", " B ", "**B**", '"B"', "B. pear tree", "(B) pear tree"),
        *("B) Pear Tree", "B: pear tree.", "pear tree", "Pear  Tree.", "PEAR-TREE", "B pear tree", "B\npear tree"),
        *("B. pear tree, because it bears pears", "Ｂ) pear tree", "choice b) pear tree", "option (B)", "Option B"),
        *("a pear tree", "the pear tree.", "The Pear Tree"),
    ],
)
def test_every_way_to_write_a_choice_means_its_letter(label: str) -> None:
    if label.startswith("Ｂ"):
        assert TASK.normalise(QUERY, label) in (None, "B")
    else:
        assert TASK.normalise(QUERY, label) == "B"


@pytest.mark.parametrize(
    "label",
    [
        *(
            "",
            "F",
            "(F)",
            "?",
            "banana",
            "B) apple",
            "A plum",
            "option",
            "choice of fig",
            "B) plum and D) fig",
            "A or B",
            "A and B",
            "AB",
            "Both",
            "I say B",
        ),
        *("B, C", "(A) (B)", "not B", "B) pear tree, or (C) plum", "A pear", "apple pear tree", "none of these", "A/B"),
    ],
)
def test_what_is_ambiguous_or_no_choice_is_not_guessed(label: str) -> None:
    assert TASK.normalise(QUERY, label) is None


def test_a_letter_with_the_beginning_of_another_choice_is_a_contradiction() -> None:
    numbers = ask("1", "10", "car", "car park", "carpet")
    assert TASK.normalise(numbers, "A) 10") is None
    assert TASK.normalise(numbers, "C) carpet") is None
    assert TASK.normalise(numbers, "C) car park") is None
    assert TASK.normalise(numbers, "D) car park") == "D"
    assert TASK.normalise(numbers, "C) car, since it has wheels") == "C"


def test_a_bare_letter_is_the_letter_even_where_a_choice_reads_like_it() -> None:
    vitamins = ask("C", "D", "A", "E")
    assert [TASK.normalise(vitamins, letter) for letter in "ABCD"] == ["A", "B", "C", "D"]
    assert TASK.normalise(vitamins, "E") == "D"
    assert TASK.normalise(vitamins, "(A) C") == "A"


def test_choices_of_equal_text_are_told_apart_by_letter_only() -> None:
    twice = ask("same", "same", "other")
    assert TASK.normalise(twice, "same") is None
    assert TASK.normalise(twice, "B) same") == "B"


@QUICK
@given(st.one_of(snippets, st.text(max_size=40)))
def test_a_label_is_one_of_the_letters_and_stands_in_the_text(text: str) -> None:
    found = TASK.normalise(QUERY, text)
    if found is not None:
        assert found in "ABCDE"
        own = {c.letter: c.text for c in QUERY.choices}[found]
        folded = " ".join(text.casefold().replace("-", " ").split())
        assert found.casefold() in folded or own in folded
        assert TASK.normalise(QUERY, found) == found


@QUICK
@given(st.one_of(snippets, st.text(max_size=80)), snippets)
def test_nothing_makes_reading_raise(text: str, more: str) -> None:
    for whole in (text, f"Answer: {text}", json.dumps({"label": text, "rationale": more}), f'{{"label": "{text}{more}'):
        TASK.parse(QUERY, whole)
        TASK.read_answer(QUERY, whole)
        TASK.verify(QUERY, whole, text)


def test_a_reply_gives_rationale_letter_and_scores() -> None:
    reply = TASK.parse(QUERY, '{"rationale": "r", "label": "(B) pear tree", "scores": {"answer": 0.5}}')
    assert reply is not None
    assert (reply.rationale, reply.label, dict(reply.factors)) == ("r", "B", {"answer": 0.5})


def test_a_reply_with_a_label_that_is_no_choice_is_unusable() -> None:
    assert TASK.parse(QUERY, '{"rationale": "r", "label": "F"}') is None
    assert TASK.parse(QUERY, '{"rationale": "r", "label": "B) plum and D) fig"}') is None
    assert TASK.parse(QUERY, '{"rationale": "r", "label": "B') is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("It grows.\nAnswer: (B)", "B"),
        ("Answer: B\nQ: next\nAnswer: C", "B"),
        ("B", "B"),
        ("pear tree", "B"),
        ("It may be B.", None),
        ("Answer: none of them", None),
        ("", None),
    ],
)
def test_a_students_answer_is_read_from_its_answer_line_or_alone(text: str, label: str | None) -> None:
    assert TASK.read_answer(QUERY, text) == label


def test_verifying_compares_choices() -> None:
    assert TASK.verify(QUERY, "(b)", "B")
    assert TASK.verify(QUERY, "pear tree", "B")
    assert TASK.verify(QUERY, "B", "pear tree")
    assert not TASK.verify(QUERY, "C", "B")
    assert not TASK.verify(QUERY, "banana", "banana")
