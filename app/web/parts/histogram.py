"""A histogram as HTML: how often values lie where, with the middle and the largest written out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median

_BARS = 32


def histogram_html(values: Sequence[int], unit: str, title: str, noun: str) -> str:
    """Whole numbers in `unit` as bars of equal width; `noun` are what has them, in the plural."""
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
        bars.append(
            f"<span style='height:{100 * count / most:.1f}%' title='{escape(f'{span} {unit}: {count:,} {noun}')}'>"
            "</span>"
        )
    middle = f"median {median(values):,.0f}"
    facts = f"<span>{low:,}</span><span>{escape(f'{middle} {unit}')}</span><span>{high:,}</span>"
    said = escape(f"{title}: {low:,} to {high:,} {unit}, {middle}")
    return (
        f"<figure class='histogram' role='img' aria-label='{said}'><figcaption>{escape(title)}</figcaption>"
        f"<div class='bars'>{''.join(bars)}</div><div class='axis'>{facts}</div></figure>"
    )
