"""Math: the label is a number or an expression, compared with math-verify."""

from __future__ import annotations

import re
from fractions import Fraction

from engine.tasks.reply import find_answer_line, read_reply
from engine.types import ParsedReply, Query

_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?,?|\.\d+)(?:\s*/\s*\d+)?")
_MIXED = re.compile(r"(?<![\d.,/])(\d{1,9})\s+(\d{1,9})\s*/\s*(\d{1,9})(?![\d.,/])")
_DECORATION = re.compile(r"\\boxed\{(.*)\}|\\text\{.*?\}|\\[!,; ]|[$€£%°]|\*\*|\\\(|\\\)|\\\[|\\\]", re.DOTALL)
_RISKY = re.compile(r"!|\^\s*\{?\s*-?\d{4,}|\^.*\^|\*\*.*\*\*|\d{300,}|binom\W*\d{4,}|choose|Gamma")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WIDE = re.compile(r"[A-Za-z][^^]*[)\]}]\s*(?:\^|\*\*)\s*\{?\s*-?\d{2,}")
_MAX_EXPRESSION = 200


def read_number(text: str) -> Fraction | None:
    """The number that a label is, if it is one number with or without signs of currency, commas and a unit word.

    "$1,234.50" is 1234.5, "12 apples" is 12 and "3 1/2" is 3.5; "3 or 4", "1,2" and "x = 3 + y" are no number.
    """
    if len(text) > _MAX_EXPRESSION:
        return None
    text = _MIXED.sub(_as_improper, _undecorate(text))
    numbers = list(_NUMBER.finditer(text))
    if len(numbers) != 1:
        return None
    rest = text[: numbers[0].start()] + text[numbers[0].end() :]
    if not re.fullmatch(r"[\s.]*(?:[A-Za-z]\w*\s*=)?[\s.]*(?:[A-Za-z]+(?:[\s.]+|\Z)){0,4}", rest):
        return None
    return _to_fraction(numbers[0].group())


def _as_improper(mixed: re.Match[str]) -> str:
    whole, above, below = (int(part) for part in mixed.groups())
    return f"{whole * below + above}/{below}"


def _to_fraction(text: str) -> Fraction | None:
    whole = text.replace(",", "").replace(" ", "").rstrip(".")
    if len(whole) > _MAX_EXPRESSION:
        return None
    try:
        above, _, below = whole.partition("/")
        return Fraction(above.rstrip(".")) / Fraction(below) if below else Fraction(above)
    except (ValueError, ZeroDivisionError):
        return None


def _undecorate(text: str) -> str:
    for _ in range(3):
        text = _DECORATION.sub(lambda m: m[1] if m[1] is not None else " ", text)
    return text.strip()


class MathTask:
    """Word problems with a numeric or symbolic answer, as GSM8K and MetaMath."""

    name = "math"
    factors = ("reasoning", "answer", "clarity")

    def render(self, query: Query) -> str:
        """The problem as it is."""
        return query.text

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it gives no number or expression."""
        reply = read_reply(text)
        if reply is None:
            return None
        label = self._clean(reply.label)
        return None if self.normalise(query, label) is None else ParsedReply(reply.rationale, label, reply.scores)

    def _clean(self, label: str) -> str:
        number = read_number(label)
        return _undecorate(label) if number is None else _show(number)

    def read_answer(self, query: Query, text: str) -> str | None:
        """What the last answer line gives, or the whole text if it is one number."""
        marked = find_answer_line(text)
        if marked is None:
            return self._clean(text) if read_number(text) is not None and len(text) < _MAX_EXPRESSION else None
        label = self._clean(marked[1])
        return None if self.normalise(query, label) is None else label

    def normalise(self, query: Query, label: str) -> str | None:
        """A number as a reduced fraction; another expression in the form math-verify gives it."""
        number = read_number(label)
        if number is not None:
            return str(number)
        parsed = _parse(label)
        return str(parsed[0]) if parsed else None

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Equality of numbers (of others than whole ones within 1e-6), else math-verify's equality of expressions."""
        mine, theirs = read_number(label), read_number(gold)
        if mine is not None and theirs is not None:
            if mine.denominator == theirs.denominator == 1:
                return mine == theirs
            return abs(mine - theirs) <= Fraction(1, 1_000_000) * max(abs(mine), abs(theirs))
        left, right = _parse(gold), _parse(label)
        if not left or not right:
            return False
        import math_verify  # noqa: PLC0415 - see _parse

        return bool(math_verify.verify(left, right, timeout_seconds=None))


def _show(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    decimal = f"{float(number):.10g}"
    return decimal if Fraction(decimal) == number else str(number)


def _parse(text: str) -> list[object]:
    # math-verify's own time limit needs signals, which only work in a main thread: what could run long is left out.
    text = _undecorate(text)
    if not text or len(text) > _MAX_EXPRESSION or _RISKY.search(text) or not re.search(r"\d|\\|=|\^", text):
        return []
    if _WIDE.search(_COMMAND.sub(" ", text)):
        return []
    import math_verify  # noqa: PLC0415 - brings sympy: half a second of every start, and only this task needs it

    try:
        return list(math_verify.parse(f"${text}$", parsing_timeout=None))
    except Exception:  # noqa: BLE001 - sympy and ANTLR raise whatever they like on text by strangers
        return []
