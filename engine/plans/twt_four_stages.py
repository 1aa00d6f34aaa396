"""TwT with four stages (arXiv 2503.24198, Table 3): the student answers and teachers compress twice."""

from __future__ import annotations

from engine.errors import ConfigError
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan
from engine.plans.twt import twt_plan

_NAME = "twt-4stage"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order; the second round of compression has the settings of the first.

    Raises:
        ConfigError: if nobody can compress.
    """
    if not settings.compressed:
        raise ConfigError(f"{_NAME} compresses twice, and nobody can: name a live teacher as compressor")
    full, short, bare = settings.stages
    plan = twt_plan(
        settings.student,
        (full, short, short, bare),
        compressor=settings.compressor,
        compress_by=settings.compress_by,
    )
    return plan.model_copy(update={"name": _NAME})


PLANS.add(_NAME, PlanKind("TwT with four stages", "Answered and compressed twice (Table 3).", make, compresses=True))
