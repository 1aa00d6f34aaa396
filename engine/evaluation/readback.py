"""Whether an exported student still answers as the scored one did, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.evaluation.report import compare
from engine.ports import Task
from engine.tasks import verify_many
from engine.values import EvalItem, Query, query_from_json
from engine.values.report import Difference

SAMPLE = 50
"""Held-out queries that an export answers, where nobody says how many."""
LIMIT = 0.9
"""Share of its answers that must be the scored student's; an export below it is called changed."""
SCORED, EXPORTED = "scored", "exported"


@dataclass(frozen=True)
class AskedAgain:
    """A held-out query, the text that the scored student answered, and the label to score by (None: there is none)."""

    query: Query
    text: str
    gold: str | None


@dataclass(frozen=True)
class ReadBack:
    """How an export's greedy answers compare with those that were scored.

    Attributes:
        asked: queries that it answered, of the `of` that the scored student answered.
        same: answers with the same label; where neither states one, with the same text.
        same_texts: answers with the same text.
        measure: what both are scored by: accuracy, or agreement with the teachers; "" where there is no label.
        labelled: queries with a label to score by.
        scored, exported: the share of right answers of these queries, of each.
        difference: `exported` minus `scored`, paired by query, with its 95% interval.
        where: the device and number format that the export was run in.
        scored_by: hash of the gold labels that both were scored by; "" where it was not kept.
    """

    asked: int
    of: int
    same: int
    same_texts: int
    measure: str = ""
    labelled: int = 0
    scored: float | None = None
    exported: float | None = None
    difference: Difference | None = None
    where: str = ""
    scored_by: str = ""
    limit: float = field(default=LIMIT)

    @property
    def share(self) -> float:
        """The share of answers that are the same."""
        return self.same / self.asked

    @property
    def changed(self) -> bool:
        """Whether fewer answers are the same than must be."""
        return self.share < self.limit

    def to_dict(self) -> dict[str, Any]:
        """As it is kept in a file."""
        return {**asdict(self), "share": self.share, "changed": self.changed}


def read_back_from(data: Mapping[str, Any]) -> ReadBack:
    """The inverse of `ReadBack.to_dict`."""
    values = {name: value for name, value in data.items() if name not in ("share", "changed")}
    difference = values.get("difference")
    return ReadBack(**{**values, "difference": Difference(**difference) if difference else None})


def as_line(asked: AskedAgain) -> dict[str, Any]:
    """A query as a line of the worker's file."""
    return asdict(asked)


def asked_from_line(line: Mapping[str, Any]) -> AskedAgain:
    """The inverse of `as_line`; other names in the line are left alone."""
    return AskedAgain(query_from_json(line["query"]), line["text"], line["gold"])


def compare_answers(task: Task, asked: Sequence[AskedAgain], answers: Mapping[str, str], measure: str) -> ReadBack:
    """Compare an export's answers, by query id, with those that were scored. The caller knows the rest."""
    labels = {
        name: [task.read_answer(one.query, text) for one, text in zip(asked, texts, strict=True)]
        for name, texts in {
            SCORED: [one.text for one in asked],
            EXPORTED: [answers[one.query.id] for one in asked],
        }.items()
    }
    same_texts = [one.text == answers[one.query.id] for one in asked]
    same = [
        equal
        or (first is not None and second is not None and _key(task, one.query, first) == _key(task, one.query, second))
        for one, equal, first, second in zip(asked, same_texts, labels[SCORED], labels[EXPORTED], strict=True)
    ]
    read_back = ReadBack(len(asked), len(asked), sum(same), sum(same_texts))
    items = [item for name, own in labels.items() for item in _score(task, asked, own, name)]
    difference = compare(items, EXPORTED, SCORED)
    if difference is None:
        return read_back
    right = {name: sum(bool(item.correct) for item in items if item.system == name) for name in labels}
    return ReadBack(
        **{
            **vars(read_back),
            "measure": measure,
            "labelled": difference.n,
            "scored": right[SCORED] / difference.n,
            "exported": right[EXPORTED] / difference.n,
            "difference": difference,
        }
    )


def _key(task: Task, query: Query, label: str) -> str:
    return task.normalise(query, label) or label


def _score(task: Task, asked: Sequence[AskedAgain], labels: Sequence[str | None], system: str) -> list[EvalItem]:
    """The answers to queries that have a label to score by, verified."""
    known = [(one, label) for one, label in zip(asked, labels, strict=True) if one.gold is not None]
    cases = [(one.query, label, one.gold or "") for one, label in known if label is not None]
    right = iter(verify_many(task, cases))
    return [
        EvalItem(system, one.query.id, None, "", label, 0, None, label is not None and next(right))
        for one, label in known
    ]
