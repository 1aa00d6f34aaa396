"""The quote: what a labelling will ask, and what that may cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from app.usecases.labelling.label import LabelOrder, LabelService
from app.usecases.teachers.prompts import teacher_prompt
from app.usecases.workspace.context import Context
from engine.costs import Price, assumed_price, cost_of, find_price
from engine.labelling.online import LabelWork, count_missing
from engine.prompts import Prompt
from engine.tasks import get_task
from engine.teachers.tokens import find_counter
from engine.values import TeacherSpec, Usage
from engine.wording import counted
from storage.projects import Project

PILOT = 5
"""Queries that a pilot asks: enough to measure tokens by."""
_CHARACTERS_A_TOKEN = (2.5, 5.0)
"""Of texts in European languages and code, under the tokenizers in use: between few and many."""
_SECONDS = (1.0, 30.0)
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


@dataclass(frozen=True)
class QuoteService:
    """Use cases of money: quotes before, the ledger after."""

    context: Context
    label: LabelService

    def quote(self, project_name: str, order: LabelOrder) -> list[Quote]:
        """What a labelling would ask each teacher, were no request to fail.

        Tokens come from the replies that the teacher has given to this prompt, where it has given any (a pilot of five
        queries will do), else from the length of the prompts and the bound on a reply.

        Raises:
            ConfigError: if a teacher is unknown.
            StateError: if the project has no live teacher.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        prompt = teacher_prompt(self.context, project)
        settings = {"limit": order.limit, "retry": list(order.retry)}
        works = [self.label.plan_work(project, task, (), split, settings) for split in order.splits]
        return [self._quote(project, spec, works, prompt) for spec in self.label.choose(project, order.teachers)]

    def _quote(self, project: Project, spec: TeacherSpec, works: list[LabelWork], prompt: Prompt) -> Quote:
        requests = sum(count_missing(work, spec) for work in works)
        measured = self.context.ledger.measured(project.id, spec.name, prompt.hash)
        if measured["n"]:
            reading, writing = _measured(measured)
            basis = f"measured on {counted(measured['n'], 'reply')}"
        else:
            reading, writing, how = _estimate(works, spec)
            basis = f"{how}; a pilot of {PILOT} queries measures replies"
        seconds = _times(spec, requests, measured)
        low = Usage(round(requests * reading.low), round(requests * writing.low))
        high = Usage(round(requests * reading.high), round(requests * writing.high))
        price = find_price(spec)
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
            price=_tell(price, assumed_price(spec)),
            basis=basis,
        )

    def spend(self, project_name: str) -> dict[str, Any]:
        """The ledger of a project: by teacher and purpose, by job, and the whole."""
        project = self.context.projects.get(project_name)
        rows = self.context.ledger.totals(project.id)
        return {
            "rows": rows,
            "jobs": self.context.ledger.by_job(project.id),
            "cost_usd": sum((row["cost_usd"] for row in rows), Decimal(0)),
            "unknown_cost": sum(row["unknown_cost"] for row in rows),
        }


def _times_price(spec: TeacherSpec, reading: float, writing: float, requests: int) -> Decimal | None:
    """The price of one middling request, times their number: prices may depend on a request's length."""
    one = cost_of(spec, Usage(round(reading), round(writing)))
    return None if one is None else one * requests


def _measured(row: dict[str, Any]) -> tuple[_Range, _Range]:
    reads, writes = float(row["input_tokens"] or 0), float(row["output_tokens"])
    spread = _SPREAD + 1 / (1 + row["n"])
    high = max(writes * (1 + spread), (writes + float(row["p95_output_tokens"])) / 2)
    return _Range(reads * (1 - _SPREAD), reads * (1 + _SPREAD)), _Range(writes * (1 - spread), high)


def _estimate(works: list[LabelWork], spec: TeacherSpec) -> tuple[_Range, _Range, str]:
    """Tokens of a middling prompt and of a reply, and what the prompts were counted by."""
    writing = _Range(20, spec.sampling.max_tokens)
    prompts = [prompt for work in works for prompt in _some_prompts(work)]
    counter = find_counter(spec)
    if counter is not None and prompts:
        mean = sum(counter.lengths(prompts)) / len(prompts)
        return _Range(mean, mean + _ROLES), writing, f"prompts counted by {counter.name}, replies by their bound"
    few, many = _CHARACTERS_A_TOKEN
    mean = sum(map(len, prompts)) / len(prompts) if prompts else 0.0
    return _Range(mean / many, mean / few), writing, "bounds"


def _some_prompts(work: LabelWork) -> Iterator[str]:
    """Prompts of a work, evenly out of all: enough of them to know the middling one by."""
    for query in work.queries[:: max(1, len(work.queries) // _COUNTED)]:
        yield "\n".join(work.prompt.render(query=work.task.render(query), factors=", ".join(work.task.factors)))


def _times(spec: TeacherSpec, requests: int, measured: dict[str, Any]) -> _Range:
    told = measured.get("latency_s") if measured["n"] else None
    low, high = (float(told) * 0.7, float(told) * 1.5) if told else _SECONDS
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
