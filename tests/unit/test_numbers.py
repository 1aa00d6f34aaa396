from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.tasks.decimals import canonical
from engine.tasks.numbers import read_quantity

QUICK = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("minus 3", "-3"), ("negative three", "-3"), ("-$3", "-3"), ("$-3", "-3"), ("−5", "-5"), ("–5", "-5")),
        *(("1.5 million", "1500000"), ("$1.5 million", "1500000"), ("5 thousand", "5000"), ("2 hundred", "200")),
        *(("3 dozen", "36"), ("2 dozens of eggs", "24"), ("a dozen", "12"), ("half a dozen", None)),
        *(("50 cents", "1/2"), ("50¢", "1/2"), ("$0.50 cents", "1/2"), ("5 dollars and 50 cents", "11/2")),
        *(("half of 12", "6"), ("two thirds of 12", "8"), ("50% of 12", "6"), ("1/2 of 12", "6"), ("a third", "1/3")),
        *(("2½", "5/2"), ("½", "1/2"), ("two and a half", "5/2"), ("3 1/2 cups", "7/2"), ("-2 1/4", "-9/4")),
        *(("1 000", "1000"), ("1\u2009000", "1000"), ("1\u00a0000\u00a0000", "1000000"), ("1{,}000", "1000")),
        *(("$12\\,000$", "12000"), ("52,500/year", "52500"), ("60 miles/hour", "60"), ("5 km/h", "5")),
        *(("twenty-five", "25"), ("one hundred and twenty", "120"), ("two thousand five hundred", "2500")),
        *(("25%", "25"), ("25 percent", "25"), ("10% discount", "10"), ("60^\\circ", "60"), ("60°", "60")),
        *(("\\boxed{12\\text{ cm}^2}", "12"), ("12 m²", "12"), ("5kg", "5"), ("331 g", "331"), ("5th", "5")),
        *(("Rs. 500", "500"), ("USD 12", "12"), ("12 EUR", "12"), ("£12.50", "25/2"), ("\\$12", "12")),
        *(("12 feet longer than it is wide", "12"), ("37 buses are needed to take the trip.", "37")),
        *(("Janet makes $18 every day", "18"), ("Total: 25", "25"), ("a total of 12", "12"), ("18 eggs!", "18")),
        *(
            ("12 times", "12"),
            ("12 times as many", "12"),
            ("-12°C", "-12"),
            ("He can buy 5 books", "5"),
            ("12 (rounded)", "12"),
        ),
    ],
)
def test_sign_scale_part_and_unit_are_read(text: str, value: str | None) -> None:
    assert read_quantity(text) == (None if value is None else Fraction(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("(14 - 5).", "9"), ("14 - 5", "9"), ("((8 + 12) - 3).", "17"), ("21 - (-4)", "25"), ("-7 - 12", "-19")),
        *(
            ("(74 * 67) + (156 * 165).", "30698"),
            ("240 / (8 / 36)", "1080"),
            ("(95 * 118) + (11,210 / 84)", "476425/42"),
        ),
        *(("(5 + 3) x 2 = 16", "16"), ("5 times 3", "15"), ("20% of 50 = 10", "10"), ("$100 - $25 = $75", "75")),
        *(("66 x 28", "1848"), ("3 × 4", "12"), ("12 ÷ 4", "3"), ("10^6", "1000000"), ("2**5", "32"), ("5²", "25")),
        *(("3 \\times 10^8", "300000000"), ("\\frac{3}{4}", "3/4"), ("\\dfrac12", "1/2"), ("1.5e6", "1500000")),
        *(("\\frac{2^{3}}{4}", "2"), ("2(3+4)", "14"), ("(3)(4)", "12"), ("2^{-1}", "1/2"), ("1/3 + 1/6", "1/2")),
    ],
)
def test_arithmetic_is_worked_out_exactly(text: str, value: str) -> None:
    assert read_quantity(text) == Fraction(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("14 - 5 = 9", "9"), ("14 - 5 = 9 apples.", "9"), ("66 x 28 = 1,848.", "1848"), ("x = 5", "5")),
        *(("f(2) = 5", "5"), ("Total cost = $25", "25"), ("10 / (4 + 6) = 10 / 10 = 1", "1"), ("10/3 ≈ 3.33", "3.33")),
        *(
            ("557 g - 17 g = 540 g", "540"),
            ("13 shirts - 3 shirts = 10 shirts / 8 shirts per minute = 1.25 hours", "1.25"),
        ),
    ],
)
def test_of_an_equation_the_right_hand_side_counts(text: str, value: str) -> None:
    assert read_quantity(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        *("3x", "2x + 1", "7x = 14", "(7x = 14)", "x + 5 = 14", "x = 1, y = 2", "x = 1 or x = 2", "(some - 18)"),
        *("10:00", "5 pm", "3 p.m.", "12 o'clock", "2020-05-01", "5/12/2020", "1/0", "5/0", "(1/0)", "0^{-1}"),
        *("not 5 but 6", "not 5", "3 or 4", "5 or six", "more than 5", "at least 5", "twice 5", "3 squared", "5!"),
        *(
            "25 apples and -9 peaches",
            "(34 + 40) and (62 - 17).",
            "(175, 5)",
            "1 hour 30 minutes",
            "3 hours and a half",
        ),
        *("3-4", "7 - 10 days", "- 5", "1,2", "12,3456", "1.2.3", "(9 + 6", "((415 - 309) - (41", "", ".", "$", "x"),
        *("3 quarters", "25 hundredths", "one of them", "5x3", "6 hours 30 minutes", "12 or so", "5 apples, not 6"),
        *("one of them is 5", "3 remainder 2", "2 pi", "+-5", "(8 action figures + 10 cabinets) * 4 shelves"),
        *("9" * 300, "10**10**10", "9^9^9^9", "7^{1000}", "(" * 90 + "1" + ")" * 90 + "^9999"),
    ],
)
def test_what_is_not_certainly_one_number_is_none(text: str) -> None:
    assert read_quantity(text) is None


def test_a_scale_is_a_unit_where_the_query_asks_for_it() -> None:
    assert read_quantity("50 cents", "How many cents does it cost?") == 50
    assert read_quantity("50 cents", "What is the price in cents?") == 50
    assert read_quantity("50 cents", "How much money is that?") == Fraction(1, 2)
    assert read_quantity("3 dozen", "How many dozen eggs?") == 3
    assert read_quantity("three quarters", "How many quarters does he have?") == 3
    assert read_quantity("3 quarters", "How many quarters does he have?") == 3
    assert read_quantity("five million", "How many millions?") == 5


numbers = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=5000)


@QUICK
@given(numbers)
def test_the_fraction_that_stands_for_a_number_stands_for_itself(number: Fraction) -> None:
    once = canonical(number)
    assert canonical(once) == once
    assert abs(once - number) <= Fraction(1, 10**6) * max(1, abs(number))


@QUICK
@given(st.integers(-9999, 9999), st.integers(1, 30), st.integers(4, 12), st.booleans())
def test_a_long_decimal_is_the_fraction_it_was_cut_from(above: int, below: int, places: int, cut: bool) -> None:
    exact = Fraction(above, below)
    scaled = exact * 10**places
    written = Fraction(int(scaled) if cut else round(scaled), 10**places)
    assume(written.denominator > 1000)  # others are short decimals, or fractions in their own right
    assume((written * 10 ** (places - 1)).denominator > 1)  # all places are needed
    assert canonical(written) == exact


@QUICK
@given(st.integers(-999_999, 999_999), st.integers(0, 3))
def test_short_decimals_stand_for_themselves(digits: int, places: int) -> None:
    assert canonical(Fraction(digits, 10**places)) == Fraction(digits, 10**places)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"0123456789+-*/^=.,:()$% xg!½²", "half ", "and ", "million ", "cents ", "\\frac{", "}", " of "]
        ),
        max_size=14,
    ).map("".join)
)
def test_no_text_makes_the_grammar_raise_or_invent_digits(text: str) -> None:
    if read_quantity(text) is not None:
        assert any(sign.isdigit() for sign in text) or "half" in text or "½" in text or "million" in text
