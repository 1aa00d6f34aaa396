"""Reports as values: what systems came to by measure, and paired differences between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.values import EvalItem

WHOLE = ""
"""The kind of a report's row over all queries. No kind of a user's can be called so: an empty kind is none."""


SCORE, READ, TOKENS, TOKENS_P95, SECONDS, COST = "score", "read", "tokens", "tokens-p95", "seconds", "cost"
EVERY_REPORT = frozenset({SCORE, READ, TOKENS, TOKENS_P95, SECONDS, COST})
"""The measures that every report has; seconds and cost where they are known."""


@dataclass(frozen=True)
class Value:
    """What a measure came to over `n` answers, with a 95% interval from `low` to `high` where it has one."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ReportRow:
    """What one system's `n` answers to one kind of query (`WHOLE`: to all) came to, by measure.

    `measure` says what the score is: accuracy by gold labels, or agreement with the teachers' consensus. Tokens are the
    student tokenizer's.
    """

    name: str
    kind: str
    n: int
    values: Mapping[str, Value]
    measure: str = "accuracy"

    @property
    def accuracy(self) -> float:
        """The score."""
        return self.values[SCORE].value

    @property
    def ci_low(self) -> float:
        """The lower end of the score's interval."""
        return self.values[SCORE].low or 0.0

    @property
    def ci_high(self) -> float:
        """The upper end of the score's interval."""
        high = self.values[SCORE].high
        return 1.0 if high is None else high

    @property
    def parse_rate(self) -> float:
        """Share of the answers that hold a label."""
        return self.values[READ].value

    @property
    def mean_output_tokens(self) -> float:
        """Mean output tokens."""
        return self.values[TOKENS].value

    @property
    def p95_output_tokens(self) -> float:
        """What 95% of the answers do not pass in output tokens."""
        return self.values[TOKENS_P95].value

    @property
    def mean_latency_s(self) -> float | None:
        """Mean seconds an answer; None where nobody measured."""
        seconds = self.values.get(SECONDS)
        return None if seconds is None else seconds.value

    def to_dict(self) -> dict[str, Any]:
        """The row for machines: what every report has under names of its own, and all measures under `values`."""
        names = ("accuracy", "ci_low", "ci_high", "parse_rate", "mean_output_tokens", "p95_output_tokens")
        head = {"name": self.name, "kind": self.kind, "n": self.n, **{name: getattr(self, name) for name in names}}
        values = {name: asdict(value) for name, value in self.values.items()}
        return {**head, "mean_latency_s": self.mean_latency_s, "measure": self.measure, "values": values}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> ReportRow:
        """The inverse of `to_dict`."""
        values = {name: Value(**value) for name, value in row["values"].items()}
        return cls(row["name"], row["kind"], row["n"], values, row["measure"])


@dataclass(frozen=True)
class Difference:
    """Accuracy of `name` minus accuracy of `baseline` on the same queries, with a 95% interval."""

    name: str
    baseline: str
    n: int
    difference: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class ScoredRun:
    """What the scoring of a run brought: verified answers by step, the table and the paired differences."""

    items: Mapping[str, Sequence[EvalItem]]
    rows: Sequence[ReportRow]
    differences: Sequence[Difference]

    def to_dict(self) -> dict[str, Any]:
        """All of it for a file; of an answer only whose it is, its label and its verdict."""
        items = {
            step: [[item.system, item.query_id, item.label, item.correct] for item in members]
            for step, members in self.items.items()
        }
        differences = [asdict(row) for row in self.differences]
        return {"items": items, "rows": [row.to_dict() for row in self.rows], "differences": differences}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoredRun:
        """The inverse of `to_dict`; answers without kind, text, tokens and seconds."""
        items = {
            step: [EvalItem(system, query, None, "", label, 0, None, correct) for system, query, label, correct in rows]
            for step, rows in data["items"].items()
        }
        rows = [ReportRow.from_dict(row) for row in data["rows"]]
        return cls(items, rows, [Difference(**row) for row in data["differences"]])
