"""The choices of a query as files give them: letters with texts, in several shapes."""

from __future__ import annotations

import json
import string
from typing import Any

from engine.errors import InputError
from engine.values import Choice

MOST = len(string.ascii_uppercase)


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: null, an empty text, or the float that stands for no number."""
    return value is None or value == "" or (isinstance(value, float) and value != value)


def plain_text(value: object) -> str:
    """A cell as text. A whole number that a table with gaps made a float is one again: 7, not 7.0."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value) if isinstance(value, float) and whole else value).strip()


def read_choices(value: Any) -> tuple[Choice, ...]:
    """Choices as {"A": text}, {"label": [...], "text": [...]}, a list of texts or of {label, text}, or JSON of these.

    Raises:
        InputError: if they are none of these, two share a letter, or a text is missing.
    """
    pairs = _pair(_load(value))
    if len(pairs) > MOST:
        raise InputError(f"{len(pairs)} choices; at most {MOST} can be lettered")
    filled = [(plain_text(letter), text) for letter, text in pairs if not _is_gap(text)]
    if any(isinstance(text, (dict, list)) or not str(text).strip() for _, text in filled):
        raise InputError("the choices are neither a list nor letters with texts")
    letters = [letter.upper() for letter, _ in filled]
    twice = next((letter for letter in letters if letters.count(letter) > 1), None)
    if twice is not None:
        raise InputError(f"two choices have the letter {twice[:40]}")
    return tuple(Choice(letter, str(text)) for letter, text in filled)


def _is_gap(text: Any) -> bool:
    """A choice that this row does not have, as tables with fewer choices than columns write it."""
    return text is None or (isinstance(text, float) and text != text)


def _load(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise InputError("the choices are not JSON") from None


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that a letter that stands there twice is seen."""


def _pair(value: Any) -> list[tuple[Any, Any]]:
    """Letters and texts, whatever the shape."""
    named = dict(value) if isinstance(value, (_Pairs, dict)) else {}
    if {"label", "text"} <= named.keys():
        letters, texts = named["label"] or [], named["text"] or []
        if not isinstance(letters, list) or not isinstance(texts, list):
            raise InputError("the choices' `label` and `text` are no lists")
        if len(letters) != len(texts):
            raise InputError(f"{len(letters)} letters for {len(texts)} choices")
        return list(zip(letters, texts, strict=True))
    if isinstance(value, (_Pairs, dict)):
        return list(value) if isinstance(value, _Pairs) else list(value.items())
    if not isinstance(value, list):
        raise InputError("the choices are neither a list nor letters with texts")
    if len(value) > MOST:
        raise InputError(f"{len(value)} choices; at most {MOST} can be lettered")
    if value and all(isinstance(part, (dict, _Pairs)) and {"label", "text"} <= dict(part).keys() for part in value):
        return [(dict(part)["label"], dict(part)["text"]) for part in value]
    if value and all(isinstance(part, (list, tuple)) and len(part) == 2 for part in value):
        return [(part[0], part[1]) for part in value]
    return list(zip(string.ascii_uppercase, value, strict=False))
