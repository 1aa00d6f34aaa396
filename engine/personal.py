"""Personal data and keys in texts, found by pattern, and masked.

Patterns find what has a form: e-mail addresses, telephone, card and account numbers, keys of APIs, addresses of
machines. Names, places and whatever else is written in words they do not find, and a number may look like a telephone's
and be none. Card numbers are checked by Luhn's digit (ISO/IEC 7812), account numbers by their remainder of 97
(ISO 13616), which all but a hundredth of other numbers fail.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_uppercase
from typing import NamedTuple


@dataclass(frozen=True)
class PersonalKind:
    """A kind of personal data.

    Attributes:
        name: as it stands in a mask: "[email 1]".
        title: what several are called.
        pattern: what one looks like.
        may: whether a text may hold one: says quickly of nearly all texts without any that they have none.
        holds: whether a match is one.
        in_numbers: whether only the stretches are looked at that have the digits of a number.
        within: whether one may begin within a match that is none.
        plain: a value without what equal ones may differ in.
    """

    name: str
    title: str
    pattern: re.Pattern[str]
    may: Callable[[str], bool] = lambda text: True
    holds: Callable[[str], bool] = lambda text: True
    in_numbers: bool = False
    within: bool = True
    plain: Callable[[str], str] = str

    def find(self, text: str, numbers: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Where all of this kind begin and end in a text; `numbers` are its stretches of digits."""
        for place, end in numbers if self.in_numbers else [(0, len(text))]:
            while match := self.pattern.search(text, place, end):
                place = match.start() + 1 if self.within else match.end()
                if own := self._cut(match[0]):
                    yield match.start(), (place := match.start() + len(own))

    def _cut(self, matched: str) -> str:
        """What of a match is one: all, or all before one of its spaces, behind which other words stand; "": nothing."""
        while matched and not self.holds(matched):
            matched = matched[: max(0, matched.rfind(" "))]
        return matched


class PersonalMatch(NamedTuple):
    """One place where personal data stands; `value` is what equal ones have in common."""

    kind: str
    begin: int
    end: int
    value: str


_NO_DIGITS, _NO_NUMBER = re.compile(r"[^0-9]+"), re.compile(r"[^0-9+]+")
_AS_DIGITS = {ord(letter): str(int(letter, 36)) for letter in ascii_uppercase}


def _digits(text: str) -> str:
    return _NO_DIGITS.sub("", text)


def _is_card(text: str) -> bool:
    digits = _digits(text)
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_account(text: str) -> bool:
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int(turned.translate(_AS_DIGITS)) % 97 == 1


_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b")
_AMERICAN = re.compile(r"\d{3}[-. ]\d{3}[-. ]\d{4}|\(\d{3}\) ?\d{3}[-. ]?\d{4}|1[-. ]\d{3}[-. ]\d{3}[-. ]\d{4}")
_IN_PAIRS = re.compile(r"0\d(?:[ .-]\d{2}){4}")
_NATIONAL = re.compile(r"\(?0\d{2,4}\)?[ /-]\d[\d /-]{3,12}\d")


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    if not 8 <= len(digits) <= 15 or _DATE.fullmatch(text):
        return False
    if text.startswith("+") or (text.startswith("00") and len(digits) >= 11):
        return True
    return any(form.fullmatch(text) for form in (_AMERICAN, _IN_PAIRS, _NATIONAL))


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and sum(bool(part) for part in text.split(":")) < 3:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


_KEY = (
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,200}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,100}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36,100}|github_pat_[A-Za-z0-9_]{22,100}|glpat-[A-Za-z0-9_-]{20,60}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,100}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,60}|gsk_[A-Za-z0-9]{40,80}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]{20,8000}-----END [A-Z ]{0,20}PRIVATE KEY-----)?)"
)
_KEY_BEGINS = (
    *("sk-", "k_live_", "k_test_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    *("xox", "AIza", "hf_", "gsk_", "eyJ", "-----BEGIN"),
)
_BEFORE, _BEHIND = 2, 3
"""Characters around a stretch that patterns look at."""
_NUMBER = re.compile(r"[0-9](?:[ ()./-]{0,3}[0-9]){7,}+")
"""A stretch that has the digits of a number of any kind."""
_LONGEST_DATE = 10
_ACCOUNT = re.compile(r"[A-Z]{2}[0-9]{2}")
_FOURTH = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_SIXTH = re.compile(r"(?:[0-9a-fA-F]{1,4}:){2}")


def _may_hold_key(text: str) -> bool:
    return any(map(text.__contains__, _KEY_BEGINS))


def _may_hold_address(text: str) -> bool:
    return _FOURTH.search(text) is not None or (text.count(":") > 2 and _SIXTH.search(text) is not None)


PERSONAL_KINDS = (
    PersonalKind("key", "API keys", re.compile(_KEY), may=_may_hold_key),
    PersonalKind(
        "email",
        "e-mail addresses",
        re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"),
        may=lambda text: "@" in text,
        plain=str.casefold,
    ),
    PersonalKind(
        "iban",
        "bank account numbers (IBAN)",
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        may=lambda text: _ACCOUNT.search(text) is not None,
        holds=_is_account,
        plain=lambda value: value.replace(" ", ""),
    ),
    PersonalKind(
        "card",
        "card numbers",
        re.compile(
            r"(?<![\w.-])(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
            r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{5})(?!\w)"
        ),
        holds=_is_card,
        in_numbers=True,
        plain=_digits,
    ),
    PersonalKind(
        "ip",
        "IP addresses",
        re.compile(
            r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.]*[0-9])"
            r"|(?<![\w.:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])"
        ),
        may=_may_hold_address,
        holds=_is_address,
        plain=lambda value: str(ipaddress.ip_address(value)),
    ),
    PersonalKind(
        "phone",
        "telephone numbers",
        re.compile(
            r"(?<![\w.+/-])\+?(?:\(\+?[0-9]{1,5}\)|[0-9])(?:[ ./-]{0,2}(?:\([0-9]{1,4}\)|[0-9])){5,14}"
            r"(?!\w|[.,/-][0-9])"
        ),
        holds=_is_phone,
        in_numbers=True,
        within=False,
        plain=lambda value: _NO_NUMBER.sub("", value),
    ),
)
"""What is looked for; where two kinds claim the same characters, the first one has them."""
PERSONAL_TITLES = {kind.name: kind.title for kind in PERSONAL_KINDS}


@lru_cache(maxsize=256)
def find_personal(text: str) -> tuple[PersonalMatch, ...]:
    """Where personal data stands in a text, in order; no two places overlap.

    What was found in the last texts is remembered, since a trace is looked through before it is masked, and system
    prompts recur.
    """
    matches: list[PersonalMatch] = []
    taken = bytearray(len(text))
    numbers = [
        (max(0, match.start() - _BEFORE), min(len(text), match.end() + _BEHIND))
        for match in _NUMBER.finditer(text)
        if match.end() - match.start() > _LONGEST_DATE or not _DATE.fullmatch(match[0])
    ]
    for kind in PERSONAL_KINDS:
        if (kind.in_numbers and not numbers) or not kind.may(text):
            continue
        for begin, end in kind.find(text, numbers):
            if not any(taken[begin:end]):
                taken[begin:end] = b"\1" * (end - begin)
                matches.append(PersonalMatch(kind.name, begin, end, kind.plain(text[begin:end])))
    return tuple(sorted(matches, key=lambda one: one.begin))


@dataclass
class Masks:
    """Masks that belong together, as those of one trace: what is equal has the same mask."""

    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def apply(self, text: str) -> str:
        """The text with masks in place of personal data."""
        matches = find_personal(text)
        if not matches:
            return text
        return "".join(self._pieces(text, matches))

    def _pieces(self, text: str, matches: Sequence[PersonalMatch]) -> Iterator[str]:
        place = 0
        for one in matches:
            yield text[place : one.begin]
            yield self._name(one.kind, one.value)
            place = one.end
        yield text[place:]

    def _name(self, kind: str, value: str) -> str:
        if (kind, value) not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[kind, value] = f"[{kind} {self._counts[kind]}]"
        return self._names[kind, value]
