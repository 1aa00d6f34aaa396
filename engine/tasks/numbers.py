"""The grammar of numeric labels: from "(14 - 5)." or "about 1.5 million dollars" to an exact fraction, or to nothing.

A label is read only if every word and sign in it is accounted for. Whatever could be meant in two ways is no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from engine.tasks.notation import MAX_LABEL, plain
from engine.tasks.words import (
    ADVERBS,
    ATTACHED,
    CENTS,
    PARTS,
    SCALES,
    UNCLEAR,
    UNIT_LETTERS,
    VERBS,
    WORD_VALUES,
    LabelToken,
    tokenise,
)

_AREA = re.compile(
    r"(?<=[A-Za-z\s])(mm|cm|m|km|in|ft|yd|mi|inch(?:es)?|feet|foot|met(?:er|re)s?|units?)\s*\^\s*\(?[23]\)?",
    re.IGNORECASE,
)
_MAX_WORDS = 14
_MAX_BITS = 2048
_MAX_EXPONENT = 400


def read_quantity(text: str, asked: str = "") -> Fraction | None:
    """The number that a label states, exactly; None if it states none, or several, or one that is not certain.

    "$1,234.50" is 1234.5, "half of 12" is 6, "14 - 5 = 9 apples" and "(14 - 5)" are 9, "1.5 million" is 1500000. Cents
    are hundredths and dozens are twelves, unless the query asks for cents or dozens. A percentage is its number.

    Args:
        text: the label.
        asked: the query's text, which tells the unit that it asks for.
    """
    if len(text) > MAX_LABEL:
        return None
    tokens = tokenise(_AREA.sub(r"\1", plain(text)))
    if not tokens or (len(tokens) > 1 and tokens[0].text == "-" and tokens[1].spaced):  # a sign, or an item of a list?
        return None
    stated = _right_hand_side(tokens)
    if not stated:
        return None
    try:
        return _Reader(stated, asked.casefold()).read()
    except (ZeroDivisionError, _UnclearError):
        return None


class _UnclearError(Exception):
    """The label is not certainly one number."""


def _right_hand_side(tokens: list[LabelToken]) -> list[LabelToken]:
    """What stands behind the last equals sign of a chain of equal things; nothing where it is no such chain."""
    sides: list[list[LabelToken]] = [[]]
    for token in tokens:
        if token.text in ("=", "≈"):
            sides.append([])
        else:
            sides[-1].append(token)
    *left, right = sides
    if left and not (_names(left[0]) or _computes(left[0])):
        return []
    return right if all(_computes(side) for side in left[1:]) else []


def _names(side: list[LabelToken]) -> bool:
    """Whether it is nothing, one symbol, a function of numbers, or a few words: "x", "f(2)", "Total cost"."""
    words = [token for token in side if token.kind == "word"]
    if len(side) == len(words):
        clear = not {token.word for token in words} & (UNCLEAR | {"and"})
        return clear and (len(side) <= 1 or all(len(token.word) > 1 for token in words))
    inside = [token.text for token in side[1:]]
    return (
        len(words) == 1 and words[0] is side[0] and len(side[0].text) == 1 and inside[:1] == ["("] and inside[-1] == ")"
    )


def _computes(side: list[LabelToken]) -> bool:
    """Whether it is arithmetic on numbers, which may have units: no unknown, no second statement."""
    for before, token in zip([None, *side], side, strict=False):
        if token.kind == "word":
            if token.word in UNCLEAR or token.word == "and":
                return False
            if len(token.word) == 1 and not _is_unit_or_times(before, token):
                return False
        elif token.text in (",", ";", ":", "!"):
            return False
    return any(token.kind == "number" for token in side)


def _is_unit_or_times(before: LabelToken | None, token: LabelToken) -> bool:
    """Whether a single letter is a unit ("331 g") or a sign of multiplication ("66 x 28", "(5 + 3) x 2")."""
    if before is None or not token.spaced:
        return False
    number = before.kind == "number"
    return (number and token.word in UNIT_LETTERS) or (token.word == "x" and (number or before.text == ")"))


@dataclass
class _Reader:
    """Reads the tokens of one side from left to right: lead-in, arithmetic, unit."""

    tokens: list[LabelToken]
    asked: str
    place: int = 0
    currency: bool = False
    numbers: list[LabelToken] = field(default_factory=list)

    def read(self) -> Fraction:
        self._check_range()
        self._skip_lead_in()
        value = self._sum()
        value = self._add_cents(value)
        self._check_rest()
        return value

    def _peek(self, ahead: int = 0) -> LabelToken:
        index = self.place + ahead
        return self.tokens[index] if index < len(self.tokens) else LabelToken("end", "", True)

    def _take(self, *texts: str) -> str | None:
        """The next token if it is one of these (words in lower case)."""
        token = self._peek()
        text = token.word or token.text
        if text not in texts or not text:
            return None
        self.place += 1
        return text

    def _check_range(self) -> None:
        """Refuse "3-4" and "7 - 10 days", which are ranges, and "2020-05-01" or "5/12/2020", which are dates."""
        kinds = "".join(token.text if token.text in ("-", "/", "(") else token.kind[0] for token in self.tokens)
        for match in re.finditer("n([-/])n", kinds):
            low, sign, high = self.tokens[match.start() : match.end()]
            tight = not (sign.spaced or high.spaced)
            if tight and kinds[match.end() : match.end() + 2] == f"{match[1]}n":
                raise _UnclearError
            rising = match[1] == "-" and "(" not in kinds and _value(low.text) < _value(high.text)
            if rising and (tight or kinds[match.end() : match.end() + 1] == "w"):
                raise _UnclearError

    def _skip_lead_in(self) -> None:
        """Skip "about", "a total of", "Total:" or "Janet makes"; anything else before the number makes it unclear."""
        start = self.place
        while not self._starts_amount():
            token = self._peek()
            if token.kind != "word" and token.text not in (":", ","):
                raise _UnclearError
            self.place += 1
        words = [token.word or token.text for token in self.tokens[start : self.place]]
        if set(words) & UNCLEAR or len(words) > _MAX_WORDS:
            raise _UnclearError
        while words and ((words[-1] in ADVERBS and words[-1] not in VERBS) or words[-1] == ","):
            words.pop()
        if words and words[-1] not in VERBS and words[-1] != ":":
            raise _UnclearError

    def _starts_amount(self) -> bool:
        token, after = self._peek(), self._peek(1)
        if token.kind == "end":
            raise _UnclearError
        if token.kind in ("number", "currency") or token.text in ("-", "+", "("):
            return True
        word = token.word
        if word in ("a", "an", "one"):
            return after.word in PARTS or after.word in SCALES or word == "one"
        return word in WORD_VALUES or word in ("half", "minus", "negative") or word in SCALES

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-", "plus", "minus"):
            other = self._product()
            value = value + other if sign in ("+", "plus") else value - other
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while True:
            closed = self.tokens[self.place - 1].text == ")"
            if self._peek().text == "(" and (closed or not self._peek().spaced):
                value = _bounded(value * self._factor())
            elif self._peek().word == "x" and self._peek().spaced and self._peek(1).kind in ("number", "currency"):
                self.place += 1
                value = _bounded(value * self._factor())
            elif self._is_per() or (self._peek().word == "times" and not self._number_follows(1)):
                return value
            elif sign := self._take("*", "/", "times"):
                other = self._factor()
                value = _bounded(value / other if sign == "/" else value * other)
            else:
                return value

    def _is_per(self) -> bool:
        """Whether a unit follows behind a slash: "52,500/year"."""
        return self._peek().text == "/" and self._peek(1).kind == "word"

    def _factor(self) -> Fraction:
        if sign := self._take("-", "+", "minus", "negative"):
            if self._peek().text in ("-", "+"):
                raise _UnclearError
            value = self._factor()
            return value if sign == "+" else -value
        value = self._atom()
        if self._take("^", "**"):
            exponent = self._factor()
            if exponent.denominator != 1 or abs(exponent) > _MAX_EXPONENT:
                raise _UnclearError
            bits = max(value.numerator.bit_length(), value.denominator.bit_length())
            if bits * abs(exponent) > _MAX_BITS:
                raise _UnclearError
            value = value ** int(exponent)
        return value

    def _atom(self) -> Fraction:
        if self._peek().kind == "currency":
            self.place += 1
            self.currency = True
            return self._factor()
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise _UnclearError
            return value
        return self._amount()

    def _amount(self) -> Fraction:
        value, part = self._base()
        if self._take("%", "percent"):
            if self._peek().word == "of" and self._number_follows(1):
                self.place += 1
                return value / 100 * self._factor()
            return value
        while (word := self._scale()) is not None:
            value *= SCALES[word]
        if self._peek().kind == "currency" and not self.currency:  # "5 €"
            self.place += 1
            self.currency = True
        if self._peek().word in CENTS or self._peek().text == "¢":
            self.place += 1
            return value if self.currency or self._asks_for("cent") else value / 100
        part = part or (value.denominator > 1 and self.tokens[self.place - 2].text == "/")
        if part and self._peek().word == "of" and self._number_follows(1):
            self.place += 1
            self._take("the")
            return value * self._factor()
        return value

    def _base(self) -> tuple[Fraction, bool]:
        """A number in figures or words, and whether it is a part ("half", "two thirds", "1/2")."""
        token = self._peek()
        if token.kind == "number":
            self.place += 1
            self.numbers.append(token)
            value = _value(token.text)
            mixed = self._mixed(value)
            if mixed is not None:
                return mixed, False
            below = self._peek(1)
            if self._peek().text == "/" and below.kind == "number" and self._peek(2).word == "of":
                self.place += 2
                return value / _value(below.text), True
            return self._and_a_half(value), False
        value = self._in_words()
        word = self._peek().word
        if word.rstrip("s") in PARTS and value and not self._asks_for(word.rstrip("s")):
            self.place += 1
            return value / PARTS[word.rstrip("s")], True
        return self._and_a_half(value), False

    def _mixed(self, whole: Fraction) -> Fraction | None:
        above, line, below = (self._peek(ahead) for ahead in range(3))
        joined = above.kind == below.kind == "number" and line.text == "/" and whole.denominator == 1
        if not joined or not above.text.isdigit() or not below.text.isdigit():
            return None
        self.place += 3
        part = _value(above.text) / _value(below.text)
        if part >= 1:
            raise _UnclearError
        return whole + part

    def _and_a_half(self, value: Fraction) -> Fraction:
        words = [self._peek(ahead).word for ahead in range(3)]
        if words[0] == "and" and words[1] in ("a", "one") and words[2] in ("half", "quarter", "third"):
            self.place += 3
            return value + Fraction(1, PARTS[words[2]])
        return value

    def _in_words(self) -> Fraction:
        """ "twelve", "twenty five", "one hundred and twenty", "half", "a dozen" (without its scale)."""
        if self._peek().word == "half" or self._take("a", "an") or self._peek().word in SCALES:
            return Fraction(1)
        if self._peek().word == "one" and self._peek(1).word == "of":
            raise _UnclearError
        total, current, seen = 0, 0, False
        while True:
            word = self._peek().word
            if word in WORD_VALUES and (
                not seen or current % 100 == 0 or (current % 10 == 0 and WORD_VALUES[word] < 10)
            ):
                current += WORD_VALUES[word]
            elif word == "hundred" and seen and 0 < current < 100:
                current *= 100
            elif word in ("thousand", "million") and seen and not self._asks_for(word):
                total, current = total + current * SCALES[word], 0
            elif word == "and" and seen and current % 100 == 0 and self._peek(1).word in WORD_VALUES:
                pass
            else:
                break
            seen = True
            self.place += 1
        if not seen:
            raise _UnclearError
        return Fraction(total + current)

    def _scale(self) -> str | None:
        """The next word if it multiplies ("million", "dozens"), and is not the very unit that the query asks for."""
        word = self._peek().word.removesuffix("s")
        if word not in SCALES:
            return None
        self.place += 1
        return None if self._asks_for(word) else word

    def _asks_for(self, unit: str) -> bool:
        return re.search(rf"\b(?:how many|in|number of)\s+(?:\w+\s+)?{unit}s?\b", self.asked) is not None

    def _number_follows(self, ahead: int) -> bool:
        token = self._peek(ahead)
        if token.word == "the":
            token = self._peek(ahead + 1)
        return token.kind in ("number", "currency") or token.word in WORD_VALUES or token.text == "("

    def _add_cents(self, value: Fraction) -> Fraction:
        """Five dollars and 50 cents are 5.5."""
        start = self.place
        dollars = self._take("dollar", "dollars") or self.currency
        self._take("and")
        cents = self._peek()
        if dollars and cents.kind == "number" and self._peek(1).word in CENTS and Fraction(_value(cents.text)) < 100:
            self.place += 2
            return value + _value(cents.text) / 100
        self.place = start
        return value

    def _check_rest(self) -> None:
        """Whatever is left must be a unit or a few harmless words."""
        rest = self.tokens[self.place :]
        if len(rest) > 2 * _MAX_WORDS:
            raise _UnclearError
        for before, token in zip(self.tokens[self.place - 1 :], rest, strict=False):
            if token.kind == "word":
                self._check_word(before, token)
            elif token.text in (")", "/", "-", "!") and (before.kind == "word" or token.text == "/"):
                continue
            elif token.text not in (".", ",", ";", ":", "("):
                raise _UnclearError

    def _check_word(self, before: LabelToken, token: LabelToken) -> None:
        word = token.word
        if (
            (word in UNCLEAR and not self._asks_for(word.removesuffix("s")))
            or (word in WORD_VALUES and word != "one")
            or word.removesuffix("s") in SCALES
        ):
            raise _UnclearError
        if before.kind == "number" and not token.spaced and word not in ATTACHED:
            raise _UnclearError
        if len(word) == 1 and word not in UNIT_LETTERS | {"a"}:
            raise _UnclearError


def _value(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _UnclearError
    return value
