"""A histogram as HTML: how often values lie where, with the middle and the largest written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

_BARS = 32


@dataclass(frozen=True)
class Limit:
    """A value that should not be passed, and what it is called."""

    value: int
    name: str


def histogram_html(values: Sequence[int], unit: str, title: str, noun: str, limit: Limit | None = None) -> str:
    """Whole numbers in `unit` as bars of equal width; `noun` are what has them, in the plural.

    With a limit it is told how many pass it, and it is drawn where it lies among the values.
    """
    if not values:
        return ""
    low, high = min(values), max(values)
    width = max(1, -(-(high - low + 1) // _BARS))
    counts = [0] * ((high - low) // width + 1)
    for value in values:
        counts[(value - low) // width] += 1
    most = max(counts)
    bars = []
    for place, count in enumerate(counts):
        begin = low + place * width
        span = f"{begin:,}" if width == 1 else f"{begin:,} to {begin + width - 1:,}"
        note = escape(f"{span} {unit}: {count:,} {noun}")
        bars.append(f"<span{_kind(begin, limit)} style='height:{100 * count / most:.1f}%' title='{note}'></span>")
    middle = f"median {median(values):,.0f}"
    facts = f"<span>{low:,}</span><span>{escape(f'{middle} {unit}')}</span><span>{high:,}</span>"
    said = escape(f"{title}: {low:,} to {high:,} {unit}, {middle}")
    line, note = "", ""
    if limit is not None:
        beyond = sum(value > limit.value for value in values)
        share = (limit.value + 1 - low) / (width * len(counts))
        line = f"<i class='limit' style='left:{100 * share:.1f}%'></i>" if 0 < share < 1 else ""
        kind = " class='limit beyond'" if beyond else " class='limit'"
        note = f"{limit.name}: {limit.value:,} {unit}, {beyond:,} of {len(values):,} {noun} beyond"
        note = f"<p{kind}>{escape(note)}</p>"
    return (
        f"<figure class='histogram' role='img' aria-label='{said}'><figcaption>{escape(title)}</figcaption>"
        f"<div class='bars'>{''.join(bars)}{line}</div><div class='axis'>{facts}</div>{note}</figure>"
    )


def _kind(begin: int, limit: Limit | None) -> str:
    return " class='beyond'" if limit is not None and begin > limit.value else ""
