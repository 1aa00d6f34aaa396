"""Keys taken out of texts, also where somebody wrote them in another way: escaped, as hex, as base64.

A provider may echo the key it was sent. JSON writers escape `/` (PHP's default) or any character (`\\u0073`), web
servers write `%2F` or `&#47;`, logs hold `Authorization` headers in base64 (RFC 4648), at any of its three alignments.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "[key]"
_SHORTEST = 4
_SHORTEST_DISGUISED = 8
"""Shorter keys are looked for as they are only: their base64 stands in texts that have nothing to do with it."""
_CODED = re.compile(r"\\+u\{?0*([0-9a-f]{2})\}?|\\+x([0-9a-f]{2})|%(?:25)*([0-9a-f]{2})|&#x0*([0-9a-f]{1,2});", re.I)
_DECIMAL = re.compile(r"&#0*([0-9]{1,3});")
_LINE_END = r"(?:\\+[rn]|[\r\n])*"
_LEFT_OUT = ("\\n", "\\r", "\\", "\n", "\r")
"""What flattening drops, in this order."""
_BASE64 = r"[A-Za-z0-9+/_\-]"


def redact(text: str, key: str | None) -> str:
    """The text without the key, in whatever dress an endpoint may echo it."""
    return _forms(key).redact(text) if key and len(key) >= _SHORTEST else text


def spoken_forms(key: str) -> tuple[str, ...]:
    """The key as it is, and as hex and base64: what may grow letter by letter at the end of a text."""
    return _forms(key).forms


class Redactor:
    """Takes any of several keys out of what is written down."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __repr__(self) -> str:
        return f"Redactor(of {len(self._keys)} keys)"

    def add(self, key: str) -> None:
        """Look for this key too, from now on."""
        if len(key) >= _SHORTEST and key not in self._keys:
            self._keys = {*self._keys, key}

    def finds(self, text: str) -> bool:
        """Whether a key stands in the text."""
        return any(_forms(key).stand_in(text) for key in self._keys)

    def text(self, text: str) -> str:
        """The text without keys."""
        for key in self._keys:
            text = redact(text, key)
        return text

    def clean(self, value: Any) -> Any:
        """A JSON value without keys in any of its strings, names of fields included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.clean(name): self.clean(part) for name, part in value.items()}
        return [self.clean(part) for part in value] if isinstance(value, (list, tuple)) else value


class _Forms:
    """How one key may be written. Looking is quick; only where something is found does the thorough pattern run."""

    def __init__(self, key: str) -> None:
        self.key = key
        hidden = [key] if len(key) < _SHORTEST_DISGUISED else [key, *_encoded(key.encode("utf-8", "surrogatepass"))]
        self.forms = tuple(dict.fromkeys(hidden))
        self._flat = tuple(dict.fromkeys(map(_flatten, self.forms)))

    def stand_in(self, text: str) -> bool:
        """Whether the key is there in any form."""
        if any(form in text for form in self.forms):
            return True
        if len(self.key) < _SHORTEST_DISGUISED:
            return False
        flat = _flatten(text)
        return flat is not text and any(form in flat for form in self._flat)

    def redact(self, text: str) -> str:
        if not self.stand_in(text):
            return text
        text = _compile(self.forms).sub(HIDDEN, text)
        if self.stand_in(text):  # written in a way that the pattern does not know: the text is flattened to be sure
            text = _flatten(text)
            for form in (*self.forms, *self._flat):
                text = text.replace(form, HIDDEN)
        return text


@lru_cache(maxsize=64)
def _forms(key: str) -> _Forms:
    return _Forms(key)


@lru_cache(maxsize=64)
def _compile(forms: tuple[str, ...]) -> re.Pattern[str]:
    key, *encoded = (_LINE_END.join(map(_written, form)) for form in forms)
    around = [f"{_BASE64}{{0,3}}{form}{_BASE64}{{0,3}}={{0,2}}" for form in encoded]
    return re.compile("|".join([*sorted(around, key=len, reverse=True), key]))


def _encoded(key: bytes) -> list[str]:
    """The key as hex, and what of its base64 is the same whatever stands before and behind it."""
    forms = [key.hex(), key.hex().upper()]
    for before in range(3):
        coded = base64.b64encode(bytes(before) + key).decode("ascii")
        first, last = -(-before * 8 // 6), (before + len(key)) * 8 // 6
        forms.append(coded[first:last])
    return [*forms, *(form.translate(str.maketrans("+/", "-_")) for form in forms[2:])]


def _written(character: str) -> str:
    """One character as it is, or escaped, as a pattern."""
    code = ord(character)
    if code > 0xFF:
        return rf"\\*{re.escape(character)}"
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    coded = rf"\\+[uU]\{{?0*{digits}\}}?|\\+x{digits}|%(?:25)*{digits}|&#[xX]0*{digits};|&#0*{code};"
    return rf"(?:{coded}|\\*{re.escape(character)})"


def _flatten(text: str) -> str:
    """The text with escapes undone and lines joined; the very same object where there are none."""
    flat = text
    if "\\u" in flat or "%" in flat or "&#" in flat or "\\x" in flat or "\\U" in flat:
        flat = _CODED.sub(_decode, flat)
        flat = _DECIMAL.sub(_decode_decimal, flat)
    for piece in _LEFT_OUT:
        flat = flat.replace(piece, "")
    return flat


def _decode(match: re.Match[str]) -> str:
    return chr(int(next(group for group in match.groups() if group), 16))


def _decode_decimal(match: re.Match[str]) -> str:
    return chr(int(match[1])) if int(match[1]) < 256 else match[0]
