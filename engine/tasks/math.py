"""Math: the label is a number or a real expression, read by a grammar; equal labels have equal keys."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from engine.tasks.algebra import AlgebraError, canonical_form
from engine.tasks.base import TextTask, read_label
from engine.tasks.decimals import canonical
from engine.tasks.expressions import read_expression
from engine.tasks.notation import MAX_LABEL, plain
from engine.tasks.numbers import read_quantity
from engine.tasks.registry import TASKS
from engine.tasks.reply import read_reply_as, split_thought
from engine.tasks.solutions import find_result
from engine.tasks.statements import Statement, first_sentence
from engine.values import ParsedReply, Query, make_query

_BARE = re.compile(r"\s*(?:[-+−$€£(\\.*\d=]|[A-Za-z]+(?:-[a-z]+)?\s*\Z)")
_BARE_WORDS = 3
_TERSE_WORDS = 3
_BECAUSE = re.compile(r"[,;]?\s+(?:because|since)\b.*", re.IGNORECASE | re.DOTALL)
_SUM = re.compile(r"\d\s*[-+*×·]\s*\(?\s*\d")
_WORDS = re.compile(r"[^\W\d_]{2,}")
_LAST_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def read_number(text: str) -> Fraction | None:
    """The number that a label is, if it is one number with or without signs of currency, commas, scale and unit words.

    "$1,234.50" is 1234.5, "12 apples" is 12 and "3 1/2" is 3.5; "3 or 4", "1,2" and "x = 3 + y" are no number. Nor is
    "5 - 3", which only the task works out: a sum is a label, but not yet a number.
    """
    shown = plain(text) if len(text) <= MAX_LABEL else ""
    return None if _SUM.search(shown) and not re.search(r"[(=^]", shown) else read_quantity(text)


class MathTask(TextTask):
    """Word problems with a numeric or symbolic answer, as GSM8K and MetaMath."""

    name = "math"
    title = "math: a number or an expression"
    factors = ("reasoning", "answer", "clarity")

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """The text in the column of gold labels; of a worked solution what it ends in."""
        gold = read_label(cells)
        return None if gold is None else find_result(gold)

    def read_typed(self, text: str) -> Query:
        """The problem as it is typed."""
        return make_query(text)

    def render(self, query: Query) -> str:
        """The problem as it is."""
        return query.text

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it states no number or expression, or leaves open which."""
        reply = read_reply_as(text, lambda statement: _read_statement(query, statement), query.text)
        if reply is not None:
            return ParsedReply(reply.rationale, reply.label, reply.scores)
        bare = _read_bare(query, text)
        return None if bare is None else ParsedReply("", bare)

    def read_answer(self, query: Query, text: str) -> str | None:
        """What the last answer line gives, or the whole text if it is one number."""
        parsed = self.parse(query, text)
        return None if parsed is None else parsed.label

    def normalise(self, query: Query, label: str) -> str | None:
        """A number as a fraction, an expression in the form computer algebra gives it; None for what is neither.

        A real number that is no fraction stands for itself to six places, and so do its decimals.
        """
        number = _read_number(label, query.text)
        if number is not None:
            return str(canonical(number))
        expression = read_expression(label)
        if expression is None:
            return None
        try:
            form = canonical_form(expression.latex)
        except AlgebraError:
            return None
        if form is None:
            return None
        return str(canonical(Fraction(form))) if re.fullmatch(r"-?[\d.]+(?:e[-+]?\d+)?", form) else form

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Whether both have the same key, so that a label that is right also votes with the right ones."""
        mine = self.normalise(query, label)
        return mine is not None and mine == self.normalise(query, gold)


@functools.lru_cache(10_000)
def _read_number(label: str, asked: str) -> Fraction | None:
    return read_quantity(label, asked)


def _read_statement(query: Query, statement: Statement) -> str | None:
    """The label that a statement gives, in plain writing."""
    first, more = first_sentence(statement.label)
    first = _BECAUSE.sub("", first)
    number = _read_number(first, query.text)
    if number is None:
        return _read_expression(first)
    goes_on = f"{more} {statement.after}".strip()
    if goes_on and not _BARE.match(first) and _WORDS.search(first):
        return None  # "Answer: Janet has 16 eggs. She eats 3 ..." is no answer yet
    terse = len(_WORDS.findall(first)) <= _TERSE_WORDS and not _SUM.search(first)
    if statement.mark == "colon" and not _ends_in(number, more if terse else goes_on):
        return None
    return _show(number)


def _ends_in(number: Fraction, text: str) -> bool:
    """Whether a text behind "Answer: ..." does not go on to another number."""
    numbers = _LAST_NUMBER.findall(text)
    return not numbers or Fraction(numbers[-1].replace(",", "")) == number


def _read_expression(label: str) -> str | None:
    expression = read_expression(label)
    if expression is None:
        return None
    try:
        return expression.text if canonical_form(expression.latex) is not None else None
    except AlgebraError:
        return None


def _read_bare(query: Query, text: str) -> str | None:
    """The whole of a short reply that is nothing but a number or an equation that ends in one."""
    _, visible = split_thought(text)
    bare = (visible or "").strip()
    if not bare or len(bare) > MAX_LABEL or "\n" in bare or not _BARE.match(bare):
        return None
    number = _read_number(bare, query.text) if len(_WORDS.findall(bare)) <= _BARE_WORDS else None
    return None if number is None else _show(number)


def _show(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    decimal = f"{float(number):.10g}"
    return decimal if Fraction(decimal) == number else str(number)


TASKS.add("math", MathTask())
