"""Second draws: what a student answered when it was asked once more, beside its greedy answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.values import SecondDraw
from storage.db import Database, Transaction

SECOND = (
    "CASE WHEN a.second_agrees IS NOT NULL AND a.second_tokens >= 0 AND a.second_temperature > 0 THEN "
    "{'tokens': a.second_tokens, 'latency_s': a.second_latency_s, 'temperature': a.second_temperature, "
    "'agrees': a.second_agrees} END AS second"
)
"""The second draw of a row of `answers a`, whole or not at all."""


def read_second(value: Mapping[str, Any] | None) -> SecondDraw | None:
    """A second draw as `SECOND` gives it."""
    return None if value is None else SecondDraw(**value)


@dataclass(frozen=True)
class Drawn:
    """Of one evaluation: its answers, what they took, and how many of them were `drawn` a second time.

    `coolest` and `hottest` are the temperatures of those draws; None where there are none.
    """

    step: str
    system: str
    answers: int
    tokens: int
    seconds: float
    drawn: int
    coolest: float | None
    hottest: float | None

    @property
    def temperature(self) -> float | None:
        """Of all its second draws; None where an answer has none, or they were drawn at different ones."""
        whole = 0 < self.drawn == self.answers and self.coolest == self.hottest
        return self.coolest if whole else None


class SecondDraws:
    """Table family of second draws; they stand beside the answers."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, run_id: str) -> list[Drawn]:
        """The evaluations of a run that have answers."""
        rows = self._db.remembered(
            "SELECT a.step, any_value(a.system) AS system, count(*) AS answers, sum(a.tokens)::BIGINT AS tokens, "
            "coalesce(sum(a.latency_s), 0) AS seconds, count(a.second_agrees) AS drawn, "
            "min(a.second_temperature) AS coolest, max(a.second_temperature) AS hottest "
            "FROM answers a JOIN steps s ON s.run_id = a.run_id AND s.name = a.step AND s.kind = 'evaluate' "
            "WHERE a.run_id = ? GROUP BY a.step ORDER BY a.step",
            [run_id],
        )
        return [Drawn(**row) for row in rows]

    def drawn_at(self, run_id: str, step: str, temperature: float) -> set[str]:
        """The queries whose answer in a step was drawn a second time at a temperature."""
        sql = "SELECT query_id FROM answers WHERE run_id = ? AND step = ? AND second_temperature = ?"
        return {row["query_id"] for row in self._db.rows(sql, [run_id, step, temperature])}


def put_second_draws(writer: Transaction, run_id: str, draws: Sequence[Mapping[str, Any]]) -> None:
    """Store second draws beside the answers that they were drawn for, in place of earlier ones."""
    columns = ("text", "tokens", "latency_s", "temperature", "agrees")
    rows = [
        {
            "run_id": run_id,
            **{name: draw[name] for name in ("step", "system", "query_id")},
            **{f"second_{name}": draw[name] for name in columns},
        }
        for draw in draws
    ]
    if rows:
        writer.update("answers", pa.Table.from_pylist(rows), ("run_id", "step", "system", "query_id"))
