"""Tokens, money and seconds as traces state them, under whatever name; what can't be is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from engine.teachers.answers import read_count
from engine.traces.turns import load_json
from engine.values import MOST_COST, Usage

_INPUT = ("prompttokens", "inputtokens", "input", "promptusage", "inputusage", "prompt", "prompttokencount")
_OUTPUT = ("completiontokens", "outputtokens", "output", "completion", "outputusage", "candidatestokencount")
_CACHED = ("cachedtokens", "inputcachedtokens", "cachereadinputtokens", "cacheread", "inputcacheread")
_ALL = (_INPUT, _OUTPUT, _CACHED)
_COST = ("totalcost", "calculatedtotalcost", "costusd", "cost", "usagecost", "total")
_LONGEST_S = 86_400.0


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A field's name without case, underscores and dots: totalCost, total_cost and Total Cost are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def pick(row: Mapping[str, Any], *names: str) -> Any:
    """The first of some fields that holds something, by their plain names."""
    plain = {plain_name(name): value for name, value in row.items()}
    return next((plain[name] for name in names if plain.get(name) not in (None, "")), None)


def read_tokens(usage: Any) -> Usage:
    """Tokens of a usage object; None each where it tells none, or none that can be."""
    usage = load_json(usage)
    if not isinstance(usage, Mapping):
        return Usage()
    details = next((pick(usage, name) for name in ("prompttokensdetails", "inputtokensdetails")), None)
    cached = pick(usage, *_CACHED)
    if cached is None and isinstance(details, Mapping):
        cached = pick(details, *_CACHED)
    return Usage(*(_count(value) for value in (pick(usage, *_INPUT), pick(usage, *_OUTPUT), cached)))


def read_row_tokens(row: Mapping[str, Any]) -> Usage:
    """The same of a row whose own fields name tokens; a field `input` is what was asked there."""
    return Usage(*(_count(pick(row, *(n for n in names if "token" in n or "usage" in n))) for names in _ALL))


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return read_count(value)


def read_cost(value: Any) -> Decimal | None:
    """US dollars of one request: a number, or an object with a total; None where it states none that can be."""
    value = load_json(value)
    if isinstance(value, Mapping):
        value = pick(value, *_COST)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MOST_COST else None


def read_seconds(value: Any) -> float | None:
    """Seconds that a reply took; None where that is no time between nothing and a day."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LONGEST_S else None


def read_span(begin: Any, end: Any) -> float | None:
    """Seconds between two times, given as ISO 8601."""
    try:
        times = [datetime.fromisoformat(str(value).replace("Z", "+00:00")) for value in (begin, end)]
        return read_seconds((times[1] - times[0]).total_seconds())
    except (ValueError, TypeError):
        return None
