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
from engine.values import make_query

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
        *(("5 €", "5"), ("15 £ a week", "15"), ("1.5 million €", "1500000"), ("5 € each", "5"), ("50 $", "50")),
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
        "from engine.tasks import get_task; from engine.values import make_query; import sys\n"
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
    assert TASK.parse(QUERY, "The answer is unknown.") is None
    assert TASK.parse(QUERY, "The answer is 10:00.") is None
    assert TASK.read_answer(QUERY, "First 3, then 4 are left.") is None


def test_numbers_need_no_computer_algebra() -> None:
    started = time.perf_counter()
    assert all(TASK.verify(QUERY, f"{n:,} km", f"{n}.0") for n in range(2000))
    assert time.perf_counter() - started < 2


FORMS = [
    *("9", "9.0", "$9", "9 apples", "(14 - 5).", "14 - 5 = 9", "\\boxed{9}", "nine", "3^2", "\\sqrt{81}", "18/2", "9%"),
    *("0.5", "50 cents", "1/2", "\\frac{1}{2}", "half", "½", "2^{-1}", "\\frac{\\sqrt{4}}{4}", "0.500000", ".5"),
    *("1/3", "0.3333333", "0.333333", "0.3333", "\\frac{2}{6}", "0.33", "a third", "0.334", "33%"),
    *("\\sqrt{2}", "1.41421356", "1.414214", "1.4142", "2^{1/2}", "\\frac{2}{\\sqrt{2}}", "\\pi", "3.14159265", "22/7"),
    *(
        "3x",
        "x + 2x",
        "3*x",
        "y = 3x",
        "2x",
        "x^2 + 2x + 1",
        "(x+1)^2",
        "(x + 1)(1 + x)",
        "X^2+2X+1",
        "2^{n+1}",
        "2*2^n",
    ),
    *("1,000", "1 000", "10^3", "1 thousand", "1000000", "1.5 million", "1.5e6", "1,500,000", "3 dozen", "36", "-36"),
    *("10:00", "1/0", "5/0", "not 5 but 6", "7x = 14", "3 or 4", "none", "", "(175, 5)", "3-4", "zoo", "nan"),
]


@pytest.mark.parametrize("left", FORMS)
def test_labels_verify_each_other_exactly_where_their_keys_are_equal(left: str) -> None:
    key = TASK.normalise(QUERY, left)
    for right in FORMS:
        other = TASK.normalise(QUERY, right)
        assert TASK.verify(QUERY, left, right) == (key is not None and key == other), (left, right)
    assert key is None or TASK.normalise(QUERY, key) == key


def test_equal_labels_have_one_key_and_others_another() -> None:
    groups = [
        ("9", "9.0", "$9", "9 apples", "(14 - 5).", "14 - 5 = 9", "\\boxed{9}", "nine", "3^2", "\\sqrt{81}", "18/2"),
        ("0.5", "50 cents", "1/2", "half", "½", "2^{-1}", "\\frac{\\sqrt{4}}{4}"),
        ("1/3", "0.3333333", "0.333333", "0.3333", "\\frac{2}{6}", "a third"),
        ("\\sqrt{2}", "1.41421356", "1.414214", "2^{1/2}", "\\frac{2}{\\sqrt{2}}"),
        ("x^2 + 2x + 1", "(x+1)^2", "(x + 1)(1 + x)"),
        ("3x", "x + 2x", "y = 3x"),
        ("X^2+2X+1",),
        ("0.33",),
        ("36", "3 dozen"),
        ("-36", "minus 36", "-(30 + 6)"),
    ]
    keys = [{TASK.normalise(QUERY, label) for label in group} for group in groups]
    assert [len(key) for key in keys] == [1] * len(groups)
    assert None not in set().union(*keys)
    assert len(set().union(*keys)) == len(groups)


coefficients = st.lists(st.integers(-9, 9), min_size=2, max_size=4).filter(lambda c: any(c[1:]))


def polynomial(coefficients: list[int], backwards: bool) -> str:
    terms = [f"{c} \\cdot x^{{{power}}}" if power else f"{c}" for power, c in enumerate(coefficients) if c]
    return " + ".join(f"({term})" for term in (terms[::-1] if backwards else terms))


@settings(max_examples=12, deadline=None)
@given(coefficients, coefficients)
def test_polynomials_have_equal_keys_exactly_where_they_are_equal(one: list[int], other: list[int]) -> None:
    product = [0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            product[i + j] += a * b
    factored = f"({polynomial(one, True)})({polynomial(other, False)})"
    assert TASK.verify(QUERY, factored, polynomial(product, False))
    assert TASK.normalise(QUERY, factored) == TASK.normalise(QUERY, polynomial(product, True))
    shifted = [product[0] + 1, *product[1:]]
    assert not TASK.verify(QUERY, factored, polynomial(shifted, False))


values = st.fractions(min_value=-1000, max_value=1000, max_denominator=60)


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_equal_numbers_have_equal_keys_in_every_spelling(one: Fraction, other: Fraction) -> None:
    texts = {
        value: [
            *(
                str(value),
                f"({value})",
                f"x = {value}",
                f"{value} km",
                f"\\frac{{{value.numerator}}}{{{value.denominator}}}",
            ),
            *(f"({value} - 1) + 1", f"2 * ({value}) / 2", f"{float(value):.12f}"),
        ]
        for value in (one, other)
    }
    for left in texts[one]:
        for right in texts[other]:
            equal = TASK.verify(QUERY, left, right)
            assert equal == (TASK.normalise(QUERY, left) == TASK.normalise(QUERY, right)), (left, right)
            assert equal == (one == other), (left, right)


def test_three_x_is_no_three_and_no_time_is_another() -> None:
    assert TASK.normalise(QUERY, "3x") == "3*x"
    assert not TASK.verify(QUERY, "3x", "3")
    assert not TASK.verify(QUERY, "1/0", "5/0")
    assert not TASK.verify(QUERY, "10:00", "11:00")
    assert TASK.normalise(QUERY, "10:00") is None


def test_cents_keep_their_scale_unless_the_query_asks_for_cents() -> None:
    cents = make_query("How many cents does a pen cost?")
    assert TASK.verify(QUERY, "50 cents", "$0.50")
    assert not TASK.verify(QUERY, "50 cents", "50")
    assert TASK.verify(cents, "50 cents", "50")
    assert TASK.read_answer(cents, "The answer is 50 cents.") == "50"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("He has 6 * 7 = 42.\n#### 42", "42"),
        ("Therefore, the answer (arabic numerals) is 255.", "255"),
        ("So x is twelve.\n\\boxed{12}", "12"),
        ("Thus\n\n$$\\boxed{12}$$", "12"),
        ("The final answer is: $\\boxed{12}$", "12"),
        ("### Final Answer\n\n$12$", "12"),
        ("Final Answer: The final answer is $12$. I hope it is correct.", "12"),
        ("So the answer is (14 - 5).", "9"),
        ("Hence the answer is 12 / 3 = 4 invitations in each pack. Answer: 4", "4"),
        ("Hence the answer is Answer: 66 x 28 = 1,848.", "1848"),
        ("The answer is 9 apples because 14 - 5 = 9.", "9"),
        ("Answer: 12\n\nExplanation: 14 - 2 = 12", "12"),
        ("The answer is 12.\n\nQ: Bob has 5. How many?\nA: The answer is 5.", "12"),
        ('```json\n{"reasoning": "a", "answer": "$18 per day"}\n```', "18"),
        ('{"reasoning": "a", "final answer": 18.0}', "18"),
        (" 97 - 72 = 25 blocks", "25"),
        ("397", "397"),
        ("The answer is 5. Actually, the answer is 6.", "6"),
        ("The answer is 3x + 2.", "3x + 2"),
        ("The answer is 9. Let me check: the answer is wrong because 10.", None),
        ("The answer is 5. Wait, no, it should be 6.", None),
        ("The answer is not 5 but 6.", None),
        ("Answer: Janet has 16 eggs. She eats 3, so she has 13 left.", None),
        ("Answer: 16 eggs. She eats 3, so 13 are left.", None),
        ("Answer:\n16 - 3 - 4 = 9 eggs are left.\n9 * 2 = $18", None),
        ("Answer:\n16 eggs are laid per day.\nShe eats 3.", None),
        ("Answer: 5\n\nExplanation: 3 + 3 = 6, minus 1.", "5"),
        ("The final answer is 18. This answer is correct because 9 * 2 = 18.", "18"),
        ("The answer is 1 cracker and 1 cake.", None),
        ("#### 12\n\nBob has 7 pens.\n#### 7", None),
        ("450 students suggested mashed potatoes.", None),
        ("150780 kids spent their summer break at the camp compared to those who stayed home.", None),
    ],
)
def test_an_answer_is_read_as_it_is_stated_or_not_at_all(text: str, label: str | None) -> None:
    assert TASK.read_answer(QUERY, text) == label
    reply = TASK.parse(QUERY, text)
    assert (reply.label if reply else None) == label


HOSTILE = (
    *("10**10**10", "((x^20)^20)^20", "99999!", "(" * 90 + "x" + ")" * 90, "\\sqrt{" * 30 + "x", "(a+b+c+d)^{20}"),
    *("(x+1)(y+2)(x+3)(y+4)(x+5)(y+6)(x+7)", "x^{20} + y^{20} - 1", "\\frac{x^{12}-y^{12}}{x^{9}-y^{9}}", "2^{x^{y}}"),
    *("\\sin(\\cos(\\tan(x)))^{20}", "\\sqrt{123456789012345678}", "(x^3+y^2+1)^{4}", "((x+y)^3+x)^{3}", "e^{e^{x}}"),
)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(HOSTILE), st.sampled_from(["", "*y", "+1", "^2", "/x"]))
def test_whatever_is_written_an_answer_comes_in_time(text: str, more: str) -> None:
    started = time.monotonic()
    TASK.verify(QUERY, text + more, "5x+1")
    assert time.monotonic() - started < 15
