"""What compressing a selection will cost, before anything is asked: a range, from the lengths of what is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from engine.costs import cost_of
from engine.datasets.rows import Example
from engine.labelling.quote import CHARACTERS_A_TOKEN
from engine.values import TeacherSpec, Usage

_AROUND = 2_500
"""Characters of the prompt around a query and two rationales, about."""
_SHORTEST = 0.2
"""Of a rationale, what its short form has at least."""
_CHECKS = {1: 0, 2: 2}
"""Requests of a check, by its level."""


@dataclass(frozen=True)
class CompressQuote:
    """Requests of compressing, and US dollars; None where a price is unknown."""

    requests: int
    low: Decimal | None
    high: Decimal | None


def quote_compressing(
    examples: Sequence[Example], specs: Mapping[str, TeacherSpec], compressor: str | None, level: int
) -> CompressQuote:
    """What it costs that each rationale is rewritten once by who wrote it, or by the compressor for recordings.

    The student's own rationale is taken to be as long as the teacher's; the checks of level 2 to cost as much as a
    rewriting each. Those who can't be asked cost nothing: the start of a run refuses them.
    """
    few, many = CHARACTERS_A_TOKEN
    requests, low, high = 0, Decimal(0), Decimal(0)
    unknown = False
    for example in examples:
        own = specs.get(example.teacher)
        asked = own if own is not None and own.provider != "recorded" else specs.get(compressor or "")
        if asked is None:
            continue
        each = 1 + _CHECKS[level]
        requests += each
        read, write = _AROUND + len(example.query.text) + 2 * len(example.rationale), len(example.rationale)
        least = cost_of(asked, Usage(round(read / many), round(_SHORTEST * write / many)))
        most = cost_of(asked, Usage(round(read / few), round(write / few)))
        unknown = unknown or least is None or most is None
        low, high = low + each * (least or 0), high + each * (most or 0)
    return CompressQuote(requests, None if unknown else low, None if unknown else high)
