"""How people read the names that students answer under: plans say it of theirs, a teacher's name is its own title."""

from __future__ import annotations

import re

from engine.plans.registry import PLANS

_NUMBER = re.compile(r"[0-9]+$")


def title_of(system: str) -> str:
    """A system's name as people read it; the name itself where no plan says more.

    Two plans that name a student alike should read it alike; else what the one registered first says counts.
    """
    number = _NUMBER.search(system)
    series = f"{system[: number.start()]}#" if number else ""
    for plan in PLANS.names():
        known = PLANS.get(plan).systems
        if system in known:
            return known[system]
        if number and series in known:
            return known[series].replace("#", number[0])
    return system
