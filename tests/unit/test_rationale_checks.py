from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rationale_checks import find_flaw, holds_reasoning, repeats_itself
from engine.tasks import get_task
from engine.values import Choice, make_query

MATH, CHOICE = get_task("math"), get_task("choice")
SUM = make_query("Ann has 8 pens, gets 1 and gives 2 away. How many are left?")
WHICH = make_query("Where do fish live?", (Choice("A", "tree"), Choice("B", "deep sea")))
ORIGINAL = "Ann starts with 8 pens. Then she gets one more, which makes 9. She gives two away, so 7 are left."


@pytest.mark.parametrize(
    ("rationale", "flaw"),
    [
        ("8+1=9. 9-2=7.", None),
        ("9 pens, minus the two given away", None),
        ("7", "holds no reasoning"),
        ("The answer is 7.", "holds no reasoning"),
        ("So: 7", "holds no reasoning"),
        ("blah " * 18, "holds no reasoning"),
        ("blah blub " * 9, "repeats itself"),
        ("blah " * 200, "longer than the original"),
        (ORIGINAL + " Really.", "longer than the original"),
        ("8+1=10. 10-2=7.", "wrong arithmetic: 8+1=10"),
        ("8 + 1 = 9 pens in all. The answer is 9.", "names another answer"),
        ("8 + 1 = 9, 9 - 2 = 7. The answer is 7.", None),
    ],
)
def test_what_speaks_against_a_rewritten_rationale(rationale: str, flaw: str | None) -> None:
    assert find_flaw(MATH, SUM, "7", rationale, ORIGINAL) == flaw


@pytest.mark.parametrize("rationale", ["B", "(B)", "deep sea", "The answer is (B) deep sea.", "option B", "", "sea"])
def test_a_bare_choice_is_no_reasoning(rationale: str) -> None:
    assert not holds_reasoning(WHICH, "B", rationale)


@pytest.mark.parametrize("rationale", ["Fish need water.", "no water in a tree", "鱼住在水里", "2 * 3 is 6"])
def test_few_words_may_be_reasoning(rationale: str) -> None:
    assert holds_reasoning(WHICH, "B", rationale)


@pytest.mark.parametrize(
    "text",
    [
        "Ann is not the tallest. Ben is not the tallest. Cleo is not the tallest. Dan is not the tallest.",
        "apple is a fruit, pear is a fruit, plum is a fruit, lemon is a fruit, cherry is a fruit",
        "2, 4, 6, 8, 10, 12, 14, 16, 18, 20",
        "no no no no",
        "",
    ],
)
def test_an_enumeration_is_no_loop(text: str) -> None:
    assert not repeats_itself(text)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12),
    st.lists(st.sampled_from("stuvwxyz"), max_size=20, unique=True),
)
def test_the_same_words_again_and_again_are_a_loop_wherever_they_begin(span: list[str], before: list[str]) -> None:
    times = max(5, -(-12 // len(span)))
    assert repeats_itself(" ".join([*before, *span * times]))
    assert not repeats_itself(" ".join(before))
