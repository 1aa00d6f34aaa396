"""The quote of a study: time on the device and money, before any of it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from app.usecases.training.forecasts import ForecastService
from app.usecases.training.plan_sizes import quote_rewriting
from app.usecases.training.studies import StudyService
from app.usecases.workspace.context import Context
from engine.plans import Evaluate, Plan
from engine.study import Grid, list_cells


@dataclass(frozen=True)
class ArmQuote:
    """What one arm takes with all its seeds. Seconds of the device; writing is a range; US dollars, None: unknown.

    `requests` go to teachers, for compressing.
    """

    arm: str
    runs: int
    updates: int
    training_s: float
    writing_low_s: float
    writing_high_s: float
    requests: int
    cost_low: Decimal | None
    cost_high: Decimal | None


@dataclass(frozen=True)
class StudyQuote:
    """What a study takes: by arm, and the untrained student, which is scored once for all."""

    arms: tuple[ArmQuote, ...]
    untrained_low_s: float
    untrained_high_s: float

    @property
    def seconds(self) -> tuple[float, float]:
        """Seconds of the device, least and most."""
        training = sum(arm.training_s for arm in self.arms)
        low = self.untrained_low_s + sum(arm.writing_low_s for arm in self.arms)
        return training + low, training + self.untrained_high_s + sum(arm.writing_high_s for arm in self.arms)

    @property
    def cost(self) -> tuple[Decimal, Decimal] | None:
        """US dollars for teachers, least and most; None where a price is unknown."""
        costs = [(arm.cost_low, arm.cost_high) for arm in self.arms]
        if any(low is None or high is None for low, high in costs):
            return None
        return sum((low or Decimal(0) for low, _ in costs), Decimal(0)), sum(
            (h or Decimal(0) for _, h in costs), Decimal(0)
        )


@dataclass(frozen=True)
class StudyQuoteService:
    """Use cases of quotes for studies."""

    context: Context
    studies: StudyService
    forecasting: ForecastService

    def quote(self, grid: Grid, tell: Callable[[str], None] = lambda text: None) -> StudyQuote:
        """Measure each arm for a moment on the device and reckon all runs. What is recorded already is not taken off.

        A common stage 1 is reckoned for each arm that has one, though it is trained once.

        Raises:
            NotFound: if there is no such project, or nothing was selected yet.
            StateError, WorkerFailed: if an arm can't be measured.
            ConfigError, InputError: if an arm can't be.
        """
        self.studies.check(grid)
        arms, untrained = [], (0.0, 0.0)
        for cell in list_cells(grid)[: len(grid.arms)]:
            plan = self.studies.make_plan(grid.project, cell)
            if self.forecasting.find(grid.project, plan) is None:
                tell(f"{cell.arm.name} is measured")
                self.context.wait(self.forecasting.ask(grid.project, plan).id)
            whole, own = (
                self.forecasting.find(grid.project, plan),
                self.forecasting.find(grid.project, _trained_only(plan)),
            )
            if whole is None or own is None:
                continue
            untrained = max(untrained, (whole.writing_low - own.writing_low, whole.writing_high - own.writing_high))
            money, runs = quote_rewriting(self.studies.running.selecting, grid.project, plan), len(grid.seeds)
            arms.append(
                ArmQuote(
                    arm=cell.arm.name,
                    runs=runs,
                    updates=runs * sum(stage.updates for stage in own.stages),
                    training_s=runs * own.training_s,
                    writing_low_s=runs * own.writing_low,
                    writing_high_s=runs * own.writing_high,
                    requests=runs * money.requests,
                    cost_low=None if money.low is None else runs * money.low,
                    cost_high=None if money.high is None else runs * money.high,
                )
            )
        return StudyQuote(tuple(arms), *untrained)


def _trained_only(plan: Plan) -> Plan:
    """The plan without scoring the untrained student."""
    steps = tuple(step for step in plan.steps if not (isinstance(step, Evaluate) and step.start is None))
    return plan.model_copy(update={"steps": steps})
