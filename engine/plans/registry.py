"""The plans that can be ordered, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.errors import ConfigError
from engine.plans.order import PlanOrder, PlanSettings, adjust_plan, read_order
from engine.plans.steps import Compress, Plan
from engine.registry import Registry
from engine.selection.settings import PRESETS


@dataclass(frozen=True)
class PlanKind:
    """A plan that can be ordered: its title, a line of help, and what makes it of the settings.

    `systems`: how people read the names that its students answer under, where that is not the name itself. One that
    ends in # stands for all that end in a number, which takes the place of the # in what is read.
    """

    title: str
    help: str
    make: Callable[[PlanSettings], Plan]
    compresses: bool = False
    """Whether it compresses wherever somebody can."""
    systems: Mapping[str, str] = field(default_factory=dict)


PLANS: Registry[PlanKind] = Registry("plans", "plan")


def lacks_compression(plan: Plan) -> bool:
    """Whether a plan that compresses where somebody can was ordered where nobody could."""
    kind = PLANS.get(plan.name) if plan.name in PLANS.names() else None
    return bool(kind and kind.compresses) and not any(isinstance(step, Compress) for step in plan.steps)


def check_plan(plan: Plan) -> None:
    """Whether all that a plan names is there.

    Raises:
        ConfigError: if something is not installed.
    """
    if plan.missing:
        raise ConfigError(f"the plan {plan.name} needs what is not installed here: {', '.join(plan.missing)}")


def make_plan(order: PlanOrder, recorded: bool = False) -> Plan:
    """A plan as ordered. `recorded`: some of the project's teachers are recordings, which can't compress.

    Raises:
        ConfigError: if a name is unknown or the stages can't be read.
    """
    kind = PLANS.get(order.plan)
    plan = kind.make(read_order(order, recorded))
    if order.selection is not None:
        if plan.selection is not None:
            raise ConfigError(f"the plan {order.plan} brings a selection of its own; leave the other one out")
        plan = plan.model_copy(update={"selection": PRESETS.get(order.selection).config})
    plan = plan.model_copy(update={"backend": order.backend})
    check_plan(plan)
    return adjust_plan(plan, order.review, order.check_level, order.compress_cap)
