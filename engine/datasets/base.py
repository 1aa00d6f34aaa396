"""What a dataset is: how selected samples become the rows that a train step fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.datasets.rows import Example
from engine.ports import Task
from engine.registry import Registry
from engine.values import StageRow

Text = tuple[str, tuple[str, ...]]
"""A rewritten rationale and its flags."""


@dataclass(frozen=True)
class Materials:
    """What rows are made of: the selected samples, and by sample id what a compress step made of their rationales."""

    examples: Sequence[Example]
    compressed: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetKind:
    """A dataset that a train step can fit.

    Attributes:
        title: what is taught, as a person reads it.
        help: one line on its rows.
        rows: makes them.
        length: how long a student's answer is against a middling rationale once it has learned this; a guess until it
            has run.
        reasons: whether rows hold rationales.
        stand_in: the dataset whose rows stand in for its own in forecasts until a compress step made these; "" where
            they need none.
    """

    title: str
    help: str
    rows: Callable[[Task, Materials], list[StageRow]]
    length: float
    reasons: bool = True
    stand_in: str = ""

    @property
    def needs_compress(self) -> bool:
        """Whether its rows are known only once a compress step ran."""
        return bool(self.stand_in)


DATASETS: Registry[DatasetKind] = Registry("datasets", "dataset")
