"""One page of what is found, for lists that the store pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows; the first one is number `begin` (from 0) of `total` that were found."""

    rows: list[R]
    begin: int
    total: int


Rows = Page[dict[str, Any]]
"""A page of rows of the store."""


def turn_to(page: int, size: int, find: Callable[[int], tuple[list[R], int]]) -> Page[R]:
    """Page number `page`, from 1, of `size` rows; the last one where there are fewer.

    `find` gives the rows of one page behind the first so many, and how many there are in all.
    """
    begin = (page - 1) * size
    rows, total = find(begin)
    if not rows and total:
        begin = (total - 1) // size * size
        rows, total = find(begin)
    return Page(rows, begin if rows else 0, total)
