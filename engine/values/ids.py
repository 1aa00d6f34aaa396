"""Ids as hashes of content."""

from __future__ import annotations

import hashlib
import json


def hash_id(*parts: object) -> str:
    """96 bits of SHA-256 over the JSON form of the parts, as 24 hex digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
