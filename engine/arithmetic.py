"""Equations that a text spells out in numbers, and whether they hold. Nothing is executed but + - * / on fractions."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

_NUMBER = r"[$€£]?\s?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,9})?(?![\d,]*\d)"
_SIGN = r"[-+*/×÷·−–]|(?<=\s)x(?=\s)"
_TERM = rf"\(*\s*[-−]?\s*{_NUMBER}\s*\)*"
_SIDE = rf"{_TERM}(?:\s*(?:{_SIGN})\s*{_TERM})*"
_EQUATION = re.compile(rf"(?<![\w.)%^]){_SIDE}(?:\s*=\s*{_SIDE})+(?!\s*[%^]|\s*(?:{_SIGN})\s*[\w(]|\w|\.\d)")
_BEFORE = re.compile(r"[-+*/×÷·−–=^%]\s*\Z")
_FIRST = re.compile(rf"\s*[-−]?\s*{_NUMBER}")
_PLAIN = str.maketrans({"×": "*", "·": "*", "x": "*", "÷": "/", "−": "-", "–": "-", ",": "", "$": "", "€": "", "£": ""})
_MOST_TEXT = 100_000
_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def find_wrong_equations(text: str) -> list[str]:
    """The equations of a text that do not hold, as they stand there; what can't be read for sure is left out.

    Decimals may be rounded, and a quotient may be given without its remainder. In a chain as "5 + 3 = 8 - 2 = 6" each
    side has to equal the next one or the number that the next one begins with.
    """
    wrong = []
    for match in _EQUATION.finditer(text[:_MOST_TEXT]):
        sides = match[0].split("=")
        goes_on = _BEFORE.search(text, max(0, match.start() - 8), match.start()) or (
            match[0].startswith(("-", "−")) and text[max(0, match.start() - 8) : match.start()].rstrip()[-1:].isalnum()
        )
        if goes_on or all(_is_number(side) for side in sides):
            continue
        if any(_differs(left, right) for left, right in pairwise(sides)):
            wrong.append(" ".join(match[0].split()))
    return wrong


def _differs(left: str, right: str) -> bool:
    """Whether both sides can be read and are unequal."""
    first = _FIRST.match(right)
    rights = [right, *([first[0]] if first else [])]
    value, others = evaluate(left), [evaluate(side) for side in rights]
    if value is None or others[0] is None:
        return False
    return not any(
        other is not None and _agree(value, left, other, side) for other, side in zip(others, rights, strict=True)
    )


def _agree(value: Fraction, left: str, other: Fraction, right: str) -> bool:
    if value == other:
        return True
    places = [len(side.strip().rpartition(".")[2]) if "." in side else 0 for side in (left, right) if _is_number(side)]
    rounding = max((Fraction(1, 2 * 10**count) for count in places), default=Fraction(0))
    if places and not max(places):  # a whole number stands for what is no whole number: the remainder is left out
        return (value.denominator > 1 or other.denominator > 1) and abs(value - other) < 1
    return abs(value - other) <= rounding


def _is_number(side: str) -> bool:
    return re.fullmatch(rf"\s*[-−]?\s*{_NUMBER}\s*", side) is not None


def evaluate(expression: str) -> Fraction | None:
    """The exact value of a sum or product of numbers; None if it is none, or divides by 0."""
    try:
        return _value(ast.parse(expression.translate(_PLAIN).strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(repr(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("neither a number nor a sum or product of numbers")
