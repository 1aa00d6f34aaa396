"""Ids as hashes of content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
"""One encoder for all: `json.dumps` with settings of its own makes a new one for every call."""


def hash_id(*parts: object) -> str:
    """96 bits of SHA-256 over the JSON form of the parts, as 24 hex digits."""
    text = _ENCODE(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def hash_list(before: Sequence[object], parts: Iterable[Sequence[object]], after: Sequence[object] = ()) -> str:
    """What `hash_id(*before, whole, *after)` is, where `whole` is a long list that comes part by part."""
    text = hashlib.sha256()

    def add(piece: str) -> None:
        text.update(piece.encode("utf-8", "surrogatepass"))

    add("".join(["[", *(f"{_ENCODE(part)}, " for part in before), "["]))
    filled = (part for part in parts if len(part))
    for number, part in enumerate(filled):
        add(", " * (number > 0) + _ENCODE(list(part))[1:-1])
    add("".join(["]", *(f", {_ENCODE(part)}" for part in after), "]"]))
    return text.hexdigest()[:24]
