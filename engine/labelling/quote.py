"""The quote of a labelling: how many requests, tokens, US dollars and seconds, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from engine.costs import Price, assumed_price, cost_of, find_price
from engine.labelling.online import LabelWork, count_missing
from engine.teachers.tokens import find_counter
from engine.values import TeacherSpec, Usage
from engine.wording import counted

CHARACTERS_A_TOKEN = (2.5, 5.0)
"""Of texts in European languages and code, under the tokenizers in use: between few and many."""
_SECONDS = (1.0, 30.0)
T = TypeVar("T")
_SPREAD = 0.15
_COUNTED = 500
"""Prompts of a split that are counted."""
_ROLES = 20
"""Tokens that a chat format puts around a system and a user message, at most."""


@dataclass(frozen=True)
class Quote:
    """What one teacher will be asked. Money in US dollars, None where the price is unknown; time in seconds.

    `basis` says what the tokens were estimated from.
    """

    teacher: str
    model: str
    requests: int
    input_low: int
    input_high: int
    output_low: int
    output_high: int
    cost_low: Decimal | None
    cost_high: Decimal | None
    seconds_low: float
    seconds_high: float
    price: str
    basis: str


@dataclass(frozen=True)
class _Range:
    low: float
    high: float


def reckon_quote(spec: TeacherSpec, works: Sequence[LabelWork], measured: Mapping[str, Any] | None) -> Quote:
    """What one teacher would be asked, were no request to fail.

    `measured`: what its replies to this prompt took, where it gave any: n, the means input_tokens, output_tokens and
    latency_s (seconds), and p95_output_tokens. Else tokens come from the lengths of prompts and the bound on a reply.
    """
    requests = sum(count_missing(work, spec) for work in works)
    prompts = [prompt for work in works for prompt in _some_prompts(work)] if measured is None else []
    return reckon(spec, requests, prompts, measured)


def reckon(spec: TeacherSpec, requests: int, prompts: Sequence[str], measured: Mapping[str, Any] | None) -> Quote:
    """As `reckon_quote`, for so many requests of whatever kind; `prompts` are some of them, evenly out of all."""
    if measured is not None:
        reading, writing = _measured(measured)
        basis = f"measured on {counted(measured['n'], 'reply')}"
    else:
        reading, writing, basis = _estimate(prompts, spec)
    seconds = _times(spec, requests, measured)
    low = Usage(round(requests * reading.low), round(requests * writing.low))
    high = Usage(round(requests * reading.high), round(requests * writing.high))
    return Quote(
        teacher=spec.name,
        model=spec.model,
        requests=requests,
        input_low=low.input_tokens or 0,
        input_high=high.input_tokens or 0,
        output_low=low.output_tokens or 0,
        output_high=high.output_tokens or 0,
        cost_low=_times_price(spec, reading.low, writing.low, requests),
        cost_high=_times_price(spec, reading.high, writing.high, requests),
        seconds_low=seconds.low,
        seconds_high=seconds.high,
        price=_tell(find_price(spec), assumed_price(spec)),
        basis=basis,
    )


def _times_price(spec: TeacherSpec, reading: float, writing: float, requests: int) -> Decimal | None:
    """The price of one middling request, times their number: prices may depend on a request's length."""
    one = cost_of(spec, Usage(round(reading), round(writing)))
    return None if one is None else one * requests


def _measured(row: Mapping[str, Any]) -> tuple[_Range, _Range]:
    reads, writes = float(row["input_tokens"] or 0), float(row["output_tokens"])
    spread = _SPREAD + 1 / (1 + row["n"])
    high = max(writes * (1 + spread), (writes + float(row["p95_output_tokens"])) / 2)
    return _Range(reads * (1 - _SPREAD), reads * (1 + _SPREAD)), _Range(writes * (1 - spread), high)


def _estimate(prompts: Sequence[str], spec: TeacherSpec) -> tuple[_Range, _Range, str]:
    """Tokens of a middling prompt and of a reply, and what the prompts were counted by."""
    writing = _Range(20, spec.sampling.max_tokens)
    counter = find_counter(spec)
    if counter is not None and prompts:
        mean = sum(counter.lengths(prompts)) / len(prompts)
        return _Range(mean, mean + _ROLES), writing, f"prompts counted by {counter.name}, replies by their bound"
    few, many = CHARACTERS_A_TOKEN
    mean = sum(map(len, prompts)) / len(prompts) if prompts else 0.0
    return _Range(mean / many, mean / few), writing, "bounds"


def take_some(items: Sequence[T]) -> Sequence[T]:
    """Of many items, evenly out of all, as many as are looked at to know the middling one."""
    return items[:: max(1, len(items) // _COUNTED)]


def _some_prompts(work: LabelWork) -> Iterator[str]:
    """Prompts of a work, evenly out of all: enough of them to know the middling one by."""
    for query in take_some(work.queries):
        yield "\n".join(work.prompt.render(query=work.task.render(query), factors=", ".join(work.task.factors)))


def _times(spec: TeacherSpec, requests: int, measured: Mapping[str, Any] | None) -> _Range:
    mean = measured.get("latency_s") if measured is not None else None
    low, high = (float(mean) * 0.7, float(mean) * 1.5) if mean else _SECONDS
    floor = requests * 60 / spec.requests_per_minute if spec.requests_per_minute else 0.0
    return _Range(max(floor, requests * low / spec.concurrency), max(floor, requests * high / spec.concurrency))


def _tell(price: Price | None, assumed: Price | None) -> str:
    if price is None:
        return "unknown"
    if assumed is not None:
        return f"{price.source}; {_each(assumed)} are {assumed.source}, for comparing only"
    if price.input_usd == price.output_usd == 0:
        return price.source
    return f"{_each(price)} ({price.source}, read {date.today().isoformat()})"


def _each(price: Price) -> str:
    return f"${price.input_usd.normalize():f} in, ${price.output_usd.normalize():f} out a million"
