"""Names that students answer under, which no teacher can have: reports tell systems apart by name alone."""

from __future__ import annotations

import re
from functools import lru_cache

from engine.errors import ConfigError
from engine.plans.order import PlanOrder, read_order
from engine.plans.registry import PLANS

STUDENT = "student"
"""The system as which the student writes rationales of its own."""
_NUMBER = re.compile(r"[0-9]+$")


def is_reserved(name: str) -> bool:
    """Whether a student of any plan that is registered is called so.

    How many stages a plan has may be up to its order, so a name that ends in a number stands for all of that series.
    """
    return name == STUDENT or _NUMBER.sub("#", name) in _series(tuple(PLANS.names()))


@lru_cache(maxsize=4)
def _series(plans: tuple[str, ...]) -> frozenset[str]:
    """What the plans of the usual order train and score, with # for a number at the end."""
    names = set[str]()
    for ordered in plans:
        try:
            plan = PLANS.get(ordered).make(read_order(PlanOrder(), recorded=False))
        except ConfigError:  # it takes more than the usual order, so nobody trains by it in passing
            continue
        names |= {step.name for step in plan.trained} | {step.system for step in plan.evaluated}
    return frozenset(_NUMBER.sub("#", name) for name in names)
