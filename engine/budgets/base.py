"""What a budget is: how much every arm of a comparison may take, and how a plan's stages share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.plans import Plan, Train
from engine.registry import Registry
from engine.selection.settings import SelectionConfig


class RowSize(NamedTuple):
    """Of what a train step fits: how many rows, and characters of a row, prompt and completion, on average."""

    rows: int
    characters: float


Sizes = Mapping[str, RowSize]
"""By name of a train step. Where its rows are not known yet, of those that stand in for them."""


class Spent(NamedTuple):
    """What teachers cost a plan that has no budget, in US dollars, and what it selects by.

    `labels` is what its selection asked for cost; `compressing` what rewriting all that it keeps is expected to.
    """

    selection: SelectionConfig
    labels: float
    compressing: float


@dataclass(frozen=True)
class PlanSize:
    """How much a plan takes by itself; what nobody asks for is not measured.

    Attributes:
        stages: what each train step fits.
        spent: what its teachers cost; raises ConfigError where that is not known.
    """

    stages: Sizes
    spent: Callable[[], Spent]


@dataclass(frozen=True)
class BudgetKind:
    """Something of which all arms of a study take equally much.

    Attributes:
        title: what it is, as a person reads it.
        help: one line on how a plan is made to take so much.
        apply: the plan that takes `amount` of it.
        example: an amount, as a person enters it.
        whole: whether it is counted in whole numbers.
    """

    title: str
    help: str
    apply: Callable[[Plan, float, PlanSize], Plan]
    example: str
    whole: bool = True

    def check_amount(self, amount: float) -> None:
        """Raise ConfigError if there can't be so much of it."""
        if self.whole and amount != int(amount):
            raise ConfigError(f"a budget of {self.title} is a whole number, as {self.example}, not {amount}")


BUDGETS: Registry[BudgetKind] = Registry("budgets", "budget")


def split_amount(amount: int, shares: Sequence[float]) -> list[int]:
    """Whole parts of an amount in proportion to shares, which sum to it; each at least 1.

    Raises:
        ConfigError: if the amount is less than the number of shares.
    """
    if amount < len(shares):
        raise ConfigError(f"a budget of {amount:,} is too small for {len(shares)} stages; give at least {len(shares)}")
    left, rest, parts = amount, sum(shares), []
    for place, share in enumerate(shares):
        most = left - (len(shares) - place - 1)
        part = min(most, max(1, round(left * share / rest))) if rest > 0 else most
        parts.append(part)
        left, rest = left - part, rest - share
    parts[-1] += left
    return parts


def list_stages(plan: Plan) -> list[Train]:
    """The train steps of a plan that makes one student, each going on from the one before.

    Raises:
        ConfigError: if the plan trains nothing, or several students, of which a budget would be for all together.
    """
    stages = plan.trained
    if not stages:
        raise ConfigError(f"the plan {plan.name} trains nothing, so no budget fits it")
    starts = [None, *(step.name for step in stages)]
    if any(step.equal_updates_to or step.start != start for step, start in zip(stages, starts, strict=False)):
        raise ConfigError(
            f"the plan {plan.name} trains several students, and a budget is for one; make each an arm of its own"
        )
    return stages


def count_planned(step: Train, size: RowSize) -> float:
    """Rows that a step would read by its own settings, with those read again."""
    train = step.train
    return train.updates * train.batch_size if train.updates else train.epochs * size.rows


def replace_settings(plan: Plan, settings: Mapping[str, TrainConfig]) -> Plan:
    """The plan with other settings of some train steps, by name."""
    steps = tuple(
        step.model_copy(update={"train": settings[step.name]})
        if isinstance(step, Train) and step.name in settings
        else step
        for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps})
