from __future__ import annotations

import subprocess
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks import get_task
from engine.tasks.math import read_number
from engine.types import make_query

QUICK = settings(max_examples=100, deadline=None)
TASK = get_task("math")
QUERY = make_query("How many?")
whole = st.integers(-(10**12), 10**12)


def spellings(number: int) -> list[str]:
    return [
        *(f"{number}", f"{number:,}", f"{number}.0", f"{number:,}.00", f"${number:,}", f"{number}.", f" {number} "),
        *(f"\\boxed{{{number}}}", f"${number}$", f"{number} apples", f"x = {number}", f"**{number}**", f"{number}%"),
        *(f"\\boxed{{{number}\\text{{ km}}}}", f"\\({number}\\)", f"€{number}"),
    ]


@QUICK
@given(whole)
def test_a_number_equals_itself_however_it_is_written(number: int) -> None:
    for text in spellings(number):
        assert read_number(text) == number, text
        assert TASK.verify(QUERY, text, str(number)), text
        assert TASK.verify(QUERY, str(number), text), text


@QUICK
@given(whole, st.sampled_from([1, -1, 2, 10, 1000]))
def test_a_number_never_equals_another(number: int, step: int) -> None:
    assert not any(TASK.verify(QUERY, text, str(number + step)) for text in spellings(number))


@QUICK
@given(st.integers(-999, 999), st.integers(1, 999))
def test_fractions_and_their_decimals_are_equal(above: int, below: int) -> None:
    assert TASK.verify(QUERY, f"{above}/{below}", f"{above / below:.9f}") == (
        abs(above / below) > 1e-3 or above == 0 or Fraction(f"{above / below:.9f}") == Fraction(above, below)
    )
    assert TASK.verify(QUERY, f"{3 * above}/{3 * below}", f"{above}/{below}")
    assert TASK.normalise(QUERY, f"{above}/{below}") == str(Fraction(above, below))
    assert not TASK.verify(QUERY, f"{above}/{below}", f"{above + 1}/{below}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3 1/2", "7/2"), ("-2 1/4", "-9/4"), ("2 1/2 cups", "5/2"), ("1,234.50", "2469/2"), (".5", "1/2")),
        *(("$1,000,000", "1000000"), ("n = 12", "12"), ("12,", "12"), ("about 12 km", "12")),
    ],
)
def test_numbers_of_word_problems_are_read(text: str, value: str) -> None:
    assert read_number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text", ["3 or 4", "x = 3 + y", "5 - 3", "1,2", "12, 13", "1/0", "", "none", "10 - x", "2x + 1", "1.2.3", "9" * 500]
)
def test_what_is_not_one_number_is_not_read_as_one(text: str) -> None:
    assert read_number(text) is None


def test_a_list_of_solutions_is_no_number() -> None:
    assert not TASK.verify(QUERY, "12", "1,2")
    assert not TASK.verify(QUERY, "1,2", "12")


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("2\\sqrt{2}", "\\sqrt{8}", True),
        ("x^2+2x+1", "(x+1)^2", True),
        ("\\boxed{\\frac{3}{4}}", "0.75", True),
        ("\\frac{1}{2}", "1/2", True),
        ("−5", "-5", True),
        ("−5", "5", False),
        ("2\\sqrt{2}", "\\sqrt{7}", False),
        ("x+1", "x+2", False),
        ("\\frac{1}{2}", "1/3", False),
        ("", "", False),
        ("none", "none", False),
    ],
)
def test_expressions_are_compared_by_value(left: str, right: str, equal: bool) -> None:
    assert TASK.verify(QUERY, left, right) is equal


RISKY = (
    *("9^{9^{9^9}}", "2**3**4**5", "99999!", "10^{99999999}", "(x+1)^{999}", "\\left(x+y+z+w\\right)^{99}"),
    *("\\binom{999999999}{99999999}", "9" * 400, "(" * 150, "\\Gamma(99999999)"),
)


def test_expressions_that_could_run_for_ever_are_refused_fast() -> None:
    code = (
        "from engine.tasks import get_task; from engine.types import make_query; import sys\n"
        "task, query = get_task('math'), make_query('?')\n"
        "for text in sys.argv[1:]:\n"
        "    task.normalise(query, text), task.verify(query, text, '5x+1'), task.verify(query, '5x+1', text)\n"
    )
    subprocess.run([sys.executable, "-c", code, *RISKY], check=True, timeout=30, capture_output=True)


def test_powers_of_plain_numbers_are_still_compared() -> None:
    assert TASK.verify(QUERY, "\\left(\\frac{1}{2}\\right)^{10}", "\\frac{1}{1024}")


pieces = st.sampled_from(
    [*"0123456789+-*/^=.,(){}$% xyi", "\\frac{", "\\sqrt", "\\boxed{", "}", "\\text{", "\\", "&", "\n", "π", "²", "٣"]
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.lists(pieces, max_size=10).map("".join), st.text(max_size=15)))
def test_no_text_makes_reading_or_verifying_raise(text: str) -> None:
    read_number(text)
    TASK.parse(QUERY, f"Answer: {text}")
    TASK.parse(QUERY, f'{{"label": "{text}')
    TASK.read_answer(QUERY, text)
    TASK.verify(QUERY, text, "7")


@QUICK
@given(whole)
def test_a_label_read_from_a_reply_is_the_number_in_it(number: int) -> None:
    for text in (
        f'{{"rationale": "r", "label": "{number:,}"}}',
        f"So.\nAnswer: ${number:,}.00",
        f'{{"label": {number}}}',
    ):
        reply = TASK.parse(QUERY, text)
        assert reply is not None
        assert reply.label == str(number)
    assert TASK.read_answer(QUERY, f"Thus.\nThe answer is {number}.") == str(number)
    assert TASK.read_answer(QUERY, f"{number}") == str(number)


def test_a_reply_without_number_or_expression_is_unusable() -> None:
    assert TASK.parse(QUERY, '{"rationale": "r", "label": "unknown"}') is None
    assert TASK.parse(QUERY, "There are 12.") is None
    assert TASK.read_answer(QUERY, "First 3, then 4 are left.") is None


def test_numbers_need_no_computer_algebra() -> None:
    started = time.perf_counter()
    assert all(TASK.verify(QUERY, f"{n:,} km", f"{n}.0") for n in range(2000))
    assert time.perf_counter() - started < 2
