"""Numbers and what happened in words, for the pages and for the terminal alike."""

from __future__ import annotations


def say(count: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 row, 2 rows; 1 query, 2 queries with `many` given."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
