"""What teachers' answers cost: by the ledger, or by assumed list prices where a teacher bills nothing.

The ledger holds what was really billed and stays as it is. A scripted teacher bills nothing, and its assumed price only
lets one see what a hosted model in its place would cost; tokens are then words and signs of the stored texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.context import Context
from engine.costs import Price, assumed_price
from engine.types import Purpose
from storage.runs import Run

_SIGNS = r"[A-Za-z0-9]+|[^A-Za-z0-9\s]"
_READ = (
    "len(regexp_extract_all(concat_ws(' ', p.text, q.text, CASE WHEN a.purpose = 'compress' THEN concat_ws(' ', "
    "s.rationale, (SELECT any_value(w.text) FROM answers w JOIN steps t ON t.run_id = w.run_id AND t.name = w.step AND "
    "t.kind = 'answer' WHERE w.run_id = j.run_id AND w.query_id = a.query_id)) END), $3))"
)
_TEXTS = (
    f"SELECT a.teacher, a.purpose, count(*) AS n, sum({_READ})::DOUBLE AS read, "
    "sum(len(regexp_extract_all(coalesce(a.raw, ''), $3)))::DOUBLE AS written FROM attempts a "
    "JOIN queries q ON q.project_id = a.project_id AND q.id = a.query_id LEFT JOIN prompts p ON p.hash = a.prompt_hash "
    "LEFT JOIN samples s ON s.project_id = a.project_id AND s.id = a.sample_id LEFT JOIN jobs j ON j.id = a.job_id "
    "WHERE a.project_id = $1 AND list_contains($4, a.teacher) AND a.cost = 0 "
    "AND (a.purpose IN ('label', 'evaluate') OR j.run_id = $2) GROUP BY ALL"
)


@dataclass(frozen=True)
class Bill:
    """A teacher's answers to held-out queries: US dollars a thousand (None: unknown), billed output tokens an answer.

    `assumed`: nothing was billed; the money is by an assumed list price.
    """

    per_1000: float | None
    tokens: float | None
    assumed: bool = False


@dataclass(frozen=True)
class Asking:
    """What asking teachers for a run cost: its labels and its compressions. Money in US dollars.

    `assumed` is what came on top at assumed list prices, had it been billed; `unknown` counts requests whose
    cost is not known.
    """

    spent: float
    assumed: float
    unknown: int


def bills(context: Context, run: Run) -> dict[str, Bill]:
    """By teacher of a run's project."""
    rows = context.db.rows(
        "SELECT teacher, avg(cost)::DOUBLE AS cost, avg(output_tokens)::DOUBLE AS tokens, "
        "count(*) FILTER (WHERE cost IS NULL) AS unknown FROM attempts WHERE project_id = ? AND purpose = ? "
        "AND error IS NULL GROUP BY teacher",
        [run.project_id, Purpose.EVALUATE.value],
    )
    found = {row["teacher"]: Bill(None if row["unknown"] else 1000 * row["cost"], row["tokens"]) for row in rows}
    for teacher, purpose, cost, count in _assumed(context, run):
        if purpose == Purpose.EVALUATE.value and teacher in found:
            found[teacher] = Bill(1000 * cost / count, found[teacher].tokens, assumed=True)
    return found


def asking(context: Context, run: Run) -> Asking:
    """What the labels and compressions cost that a run was made from."""
    row = context.db.row(
        "SELECT coalesce(sum(cost), 0)::DOUBLE AS cost, count(*) FILTER (WHERE a.cost IS NULL) AS unknown "
        "FROM attempts a LEFT JOIN jobs j ON j.id = a.job_id WHERE a.project_id = ? "
        "AND (a.purpose = 'label' OR j.run_id = ?)",
        [run.project_id, run.id],
    ) or {"cost": 0.0, "unknown": 0}
    assumed = sum(cost for _, purpose, cost, _ in _assumed(context, run) if purpose != Purpose.EVALUATE.value)
    return Asking(row["cost"], assumed, row["unknown"])


def _assumed(context: Context, run: Run) -> list[tuple[str, str, float, int]]:
    """By teacher and purpose: what it would have cost at assumed list prices, and of how many requests."""
    prices = {spec.name: price for spec in context.projects.teachers(run.project_id) if (price := assumed_price(spec))}
    if not prices:
        return []
    rows = context.db.remembered(_TEXTS, [run.project_id, run.id, _SIGNS, list(prices)])
    return [
        (row["teacher"], row["purpose"], _cost(prices[row["teacher"]], row["read"], row["written"]), row["n"])
        for row in rows
    ]


def _cost(price: Price, read: float, written: float) -> float:
    return (float(price.input_usd) * read + float(price.output_usd) * written) / 1e6
