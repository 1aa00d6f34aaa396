from __future__ import annotations

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.tasks import get_task
from engine.values import Choice, Query, make_query

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
        *("pear tree, as being a tree means that", "Pear tree, for nothing else is one", "B, as nothing else is one"),
    ],
)
def test_every_way_to_write_a_choice_means_its_letter(label: str) -> None:
    if label.startswith("Ｂ"):
        assert TASK.normalise(QUERY, label) in (None, "B")
    else:
        assert TASK.normalise(QUERY, label) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: A. B",
        "Answer: A. apple. B. pear tree",
        "Answer: A. apple B. pear tree",
        "Answer: A. apple (B) pear tree",
        "Answer: B. pear tree. C is also right.",
        "Answer: B. pear tree. C would be equally good.",
        "Answer: A. The pear tree too",
        "Answer: A. or B",
        "Answer: A. Also plum.",
    ],
)
def test_several_choices_over_two_sentences_stay_unread(reply: str) -> None:
    assert TASK.read_answer(QUERY, reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: A. B is wrong because it is a tree.",
        "Answer: A. apple. It has vitamin C. Nothing else does.",
        "Answer: A. apple. Unlike a pear tree, it is eaten.",
        "Answer: A. apple. A is also the first.",
        "Answer: A. The apple too.",
    ],
)
def test_an_explanation_behind_a_choice_is_no_other_choice(reply: str) -> None:
    assert TASK.read_answer(QUERY, reply) == "A"


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


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *(
            ("\\boxed{B}", "B"),
            ("$\\boxed{\\text{B}}$", "B"),
            ("\\boxed{\\text{(B) pear tree}}", "B"),
            ("\\text{B}", "B"),
        ),
        *(("[B]", "B"), ("$B$", "B"), ("**B**", "B"), ("\\(B\\)", "B"), ("{B}", "B"), ("“B”", "B"), ("<B>", "B")),
        *(("A because apples are red", "A"), ("B since it bears pears", "B"), ("D, fig", "D"), ("B - pear tree", "B")),
        *(("fig", "D"), ("Fig.", "D"), ("the fig", "D"), ("pear tree because it bears pears", "B"), ("an apple", "A")),
        *(("A because a plum is blue", None), ("D, plum", None), ("D - plum", None), ("D because of (C)", None)),
        *(
            ("A plum", None),
            ("[A, B]", None),
            ("\\boxed{A, B}", None),
            ("\\boxed{A} or \\boxed{B}", None),
            ("A/B", None),
        ),
        ("Thus (B).\nThe answer is \\boxed{B}.", "B"),
        ("The answer is $B$.", "B"),
        ("Answer: [B]", "B"),
        ("### Answer\n(B) pear tree", "B"),
        ("The answer is **(B) pear tree**.", "B"),
        ("So the answer is (b) pear trees.", "B"),
        ("The answer is (B) peartree.", "B"),
        ("The answer is (B) apple.", None),
        ("Therefore, among A through E, the answer is B.", "B"),
        ("The answer is most likely (B) pear tree.", "B"),
        ('The answer is "a" because apples are red.', "A"),
        ("The answer is fig, as it is sweet.", "D"),
        ("The answer is in the fig.", "D"),
        ("The correct option is B.", "B"),
        ("Option (B) pear tree is the correct answer.", "B"),
        ("The answer is (B) because it fits. The other answers are no plants.", "B"),
        ("Answer: D. fig\nExplanation: figs are sweet. A is wrong.", "D"),
        ("Hence the answer is Choice: (c)", "C"),
        ('{"reasoning": "r", "answer": "pear tree"}', "B"),
        ("The answer is B and D.", None),
        ("The answer is (A), (B), and (C).", None),
        ("The answer is not B.", None),
        ("The answer is B. Wait, no.", None),
        ("The answer is all of the above (A, B, C, D, and E).", None),
        ("A) apple\nB) pear tree\nC) plum\nD) fig\nE) date palm", None),
    ],
)
def test_a_choice_is_read_in_every_dress_and_several_in_none(text: str, label: str | None) -> None:
    reply = TASK.parse(QUERY, text)
    assert (reply.label if reply else None) == label
    assert TASK.read_answer(QUERY, text) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("People like to eat a fig.", "D"),
        ("fig\nA fig is sweet, a plum is sour.", "D"),
        ("Fig: it is sweet.", "D"),
        ("(D) fig\n\nFigs are sweet.", "D"),
        ("What might grow there? A pear tree might grow there.", "B"),
        ("People do not like to eat a fig.", None),
        ("Perhaps it is a fig.", None),
        ("It is a fig or a plum.", None),
        ("Is it a fig?", None),
        ("It was going to be a fig, but then the", None),
        ("(A)\n\nThe fig is sweet.", None),
        ("Nothing of the kind.", None),
        ("D) fig - This is a sweet fruit, which does not make sense here.", None),
        ("D) fig - This option usually consists of many seeds in", None),
        ("D) fig - This is a sweet fruit.", "D"),
        ("fig,", None),
    ],
)
def test_a_remark_without_an_answer_line_is_read_where_it_affirms_one_choice_alone(
    text: str, label: str | None
) -> None:
    assert TASK.read_answer(QUERY, text) == label


def test_a_choice_that_the_question_names_is_not_read_from_its_echo() -> None:
    query = make_query("Who planted the fig?", QUERY.choices)
    assert TASK.read_answer(query, "Somebody planted the fig.") is None


letters = st.sampled_from("ABCDE")


@QUICK
@given(
    letters, letters, st.sampled_from(["{} and {}", "{} or {}", "({}) ({})", "{}, {}", "either {} or {}", "[{}, {}]"])
)
def test_two_letters_are_never_read_as_one(one: str, other: str, form: str) -> None:
    assume(one != other)
    label = form.format(one, other)
    for text in (label, f"The answer is {label}.", f"Answer: {label}", json.dumps({"label": label})):
        assert TASK.read_answer(QUERY, text) is None, text


@QUICK
@given(
    letters,
    letters,
    st.sampled_from(["({}) {}", "{}) {}", "{}. {}", "{}, {}", "{} - {}", "[{}] {}", "\\boxed{{{}}} {}"]),
)
def test_a_letter_counts_only_with_its_own_text(one: str, other: str, form: str) -> None:
    text = {choice.letter: choice.text for choice in QUERY.choices}[other]
    for label in (form.format(one, text), form.format(one, f"a {text}")):
        assert TASK.normalise(QUERY, label) == (one if one == other else None), label


def test_verifying_compares_choices() -> None:
    assert TASK.verify(QUERY, "(b)", "B")
    assert TASK.verify(QUERY, "pear tree", "B")
    assert TASK.verify(QUERY, "B", "pear tree")
    assert not TASK.verify(QUERY, "C", "B")
    assert not TASK.verify(QUERY, "banana", "banana")
