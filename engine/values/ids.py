"""Ids as hashes of content."""

from __future__ import annotations

import hashlib
import json

_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
"""One encoder for all: `json.dumps` with settings of its own makes a new one for every call."""


def hash_id(*parts: object) -> str:
    """96 bits of SHA-256 over the JSON form of the parts, as 24 hex digits."""
    text = _ENCODE(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
