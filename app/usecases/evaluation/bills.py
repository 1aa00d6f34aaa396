"""What teachers' answers cost: by the ledger, or by assumed list prices where a teacher bills nothing.

The ledger holds what was really billed and stays as it is. A scripted teacher bills nothing, and its assumed price only
lets one see what a hosted model in its place would cost; tokens are then words and signs of the stored texts. Recorded
answers were billed before they came here, if at all: where their traces say for how much, that is what they cost, and
where they only say how many tokens, a list price of their model is assumed. Neither was spent to make a student.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.costs import Price, assumed_price, find_price
from engine.evaluation.money import AskingCost, price_tokens
from engine.values import Purpose
from storage.runs import Run

Prices = Mapping[str, Price]
"""List prices that somebody assumes for teachers that bill nothing, by teacher; of the others the product's hold."""
NO_PRICES: Prices = {}


@dataclass(frozen=True)
class TeacherBill:
    """A teacher's answers to held-out queries: US dollars a thousand (None: unknown), billed output tokens an answer.

    `assumed`: nothing was billed; the money is by an assumed list price.
    """

    per_1000: float | None
    tokens: float | None
    assumed: bool = False


def bills(context: Context, run: Run, prices: Prices = NO_PRICES) -> dict[str, TeacherBill]:
    """By teacher of a run's project."""
    rows = {row["teacher"]: row for row in context.ledger.evaluations(run.project_id)}
    by_teacher = {
        name: TeacherBill(None if row["unknown"] else 1000 * row["cost"], row["tokens"]) for name, row in rows.items()
    }
    for teacher, purpose, cost, count in _assumed(context, run, prices):
        if purpose == Purpose.EVALUATE.value and teacher in by_teacher:
            row = rows[teacher]
            mean = (row["before_usd"] + cost) / (row["before"] + count)
            by_teacher[teacher] = TeacherBill(1000 * mean, row["tokens"], assumed=True)
    return by_teacher


def list_prices(context: Context, project_id: str, given: Prices = NO_PRICES) -> dict[str, Price | None]:
    """The assumed list price of each teacher of a project that bills nothing; None: nothing is assumed for it."""
    free = [
        spec
        for spec in context.projects.teachers(project_id)
        if (price := find_price(spec)) is not None and price.input_usd == price.output_usd == 0
    ]
    return {spec.name: given.get(spec.name) or assumed_price(spec) for spec in free}


def sum_asking(context: Context, run: Run, prices: Prices = NO_PRICES) -> AskingCost:
    """What the labels and compressions cost that a run was made from."""
    spent, unknown = context.ledger.asked_for(run.project_id, run.id)
    recorded = _recorded(context, run.project_id) - prices.keys()
    assumed = sum(
        cost
        for teacher, purpose, cost, _ in _assumed(context, run, prices)
        if purpose != Purpose.EVALUATE.value and teacher not in recorded
    )
    return AskingCost(spent, assumed, unknown)


def _assumed(context: Context, run: Run, given: Prices) -> list[tuple[str, str, float, int]]:
    """By teacher and purpose: what it would have cost at assumed list prices, and of how many requests."""
    prices = {name: price for name, price in list_prices(context, run.project_id, given).items() if price is not None}
    if not prices:
        return []
    counted = _recorded(context, run.project_id) - given.keys()
    rows = context.ledger.unbilled(run.project_id, run.id, list(prices), sorted(counted))
    return [
        (row["teacher"], row["purpose"], price_tokens(prices[row["teacher"]], row["read"], row["written"]), row["n"])
        for row in rows
    ]


def _recorded(context: Context, project_id: str) -> set[str]:
    """Teachers that are recordings."""
    return {spec.name for spec in context.projects.teachers(project_id) if spec.provider == "recorded"}
