"""The words and signs of numeric labels: numbers, scales, units, and words that leave open what is meant."""

from __future__ import annotations

import re
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORD_VALUES = {
    **{word: value for value, word in enumerate(_SMALL)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
    **{f"{tens}-{_SMALL[one]}": 10 * value + one for value, tens in enumerate(_TENS, 2) for one in range(1, 10)},
}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
CENTS = _words("cent cents ¢")
UNIT_LETTERS = _words("g m l h s")
"""Units of one letter, where a space is before them; "3x", and "3m" too, are products."""
ATTACHED = _words(
    """km cm mm kg mg lb lbs oz ml ft yd hr hrs min mins sec secs mph kph kmh gb mb kb st nd rd th usd eur gbp cents"""
)
"""Words that stand right behind a number without being a product of letters."""
ADVERBS = _words(
    """a an the so thus therefore hence then is are be about approximately approx around roughly exactly only just
    total of in all simply equal equals to altogether usd eur gbp rs inr ca"""
)
VERBS = _words(
    """is are was were be been equals has have had makes made make costs cost spent spend spends earns earned earn
    needs need needed gets get got pays paid pay saves saved bought buys sold sells ate eats read reads used uses
    takes took take receive receives received give gives gave weigh weighs weighed score scores scored run runs
    ran walk walks walked drive drives drove drink drinks drank leave leaves left collect collects collected bake
    bakes baked owe owes owed lose loses lost win wins won find finds found keep keeps kept contain contains
    contained work works worked charge charges charged raise raises raised grow grows grew travel travels traveled
    produce produces produced buy sell eat use pay save remain remains hold holds held finish finishes finished"""
)
"""Verbs that a number may follow: "Janet makes $18"."""
UNCLEAR = _words(
    """not no or but nor neither either if unless never cannot can't isn't aren't wasn't don't doesn't wrong
    incorrect maybe perhaps possibly probably might unknown unclear undefined instead rather between versus vs
    negative minus plus squared cubed half halves third thirds quarter quarters fourths fifth fifths sixth sixths
    seventh sevenths eighth eighths ninth ninths tenth tenths hundredth hundredths thousandth thousandths double
    twice triple infinity factorial choose mod modulo pi sqrt root sin cos tan log ln exp am pm a.m p.m o'clock
    oclock hundreds thousands millions billions"""
)
"""Words beside a number that deny it, double it, ask for work to be done with it, or make it a time of day."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?:\ \d{3})+(?!\ ?\d)(?!\s*/)|\d+)(?![\d]|,\d)(?:\.\d+)?
        (?:[eE][+-]?\d{1,2}(?!\w))?
        |\.\d+)
    |(?P<word>[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*)
    |(?P<currency>(?:US|A|C)?[$€£¥₹])
    |(?P<sign>\*\*|[-+*/^()=≈%¢:;,.°!])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class LabelToken:
    """A number, word, currency or sign of a label, and whether a space is before it."""

    kind: str
    text: str
    spaced: bool

    @property
    def word(self) -> str:
        """The word in lower case; "" for anything else."""
        return self.text.casefold().replace("\u2019", "'") if self.kind == "word" else ""


def tokenise(text: str) -> list[LabelToken] | None:
    """The tokens of a plain label without its final punctuation; None where a sign belongs to no number."""
    tokens: list[LabelToken] = []
    place, spaced = 0, False
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            return None
        if match.lastgroup != "space":
            tokens.append(LabelToken(str(match.lastgroup), match.group(), spaced))
        spaced = match.lastgroup == "space"
        place = match.end()
    while tokens and tokens[-1].text in (".", ",", ";", ":"):
        tokens.pop()
    return tokens
