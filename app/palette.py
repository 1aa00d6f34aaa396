"""The colours of systems: teachers, stages and baselines, the same on every page and in every report.

Each is seen on light and on dark surfaces (3 to 1 or more), so that no theme needs others; text is never drawn in them.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.plans import Plan

TEACHER_COLOURS = ("#7b56d8", "#928a07", "#df58ac", "#4a85fe", "#f05846", "#9e5598", "#d03866", "#bd67e0")
ACCENT = "#5f6fe6"
"""Of what stands for nobody: a line or a mark on its own."""
_STAGES = {
    "vanilla": "#838d9d",
    "vanilla-fewshot": "#667182",
    "stage1": "#1d73b6",
    "stage2": "#0796b2",
    "stage3": "#0f825e",
    "standard-kd": "#cc7200",
    "standard-kd-equal-updates": "#bb4d2b",
}
_MORE = ("#1f9a1c", "#8e7fc9", "#bb7582", _STAGES["stage1"], _STAGES["stage2"], _STAGES["stage3"])
STAGE_COLOURS = tuple(dict.fromkeys((*_STAGES.values(), *_MORE)))


def teacher_colour(names: Sequence[str], name: str) -> str:
    """The colour of a teacher: by its place among the project's teachers in order of name.

    One that is not among them, as after it was removed, has that of the place behind them.
    """
    known = sorted(names)
    place = known.index(name) if name in known else len(known)
    return TEACHER_COLOURS[place % len(TEACHER_COLOURS)]


def students_of(plan: Plan) -> list[str]:
    """The names of all students of a plan, trained ones first; colours go by their places."""
    return list(dict.fromkeys([*(step.name for step in plan.trained), *(step.system for step in plan.evaluated)]))


def stage_colour(name: str, stages: Sequence[str] = ()) -> str:
    """The colour of a stage or a baseline: its own, else by its place among those of its plan that have none."""
    if name in _STAGES:
        return _STAGES[name]
    others = [stage for stage in stages if stage not in _STAGES]
    return _MORE[others.index(name) % len(_MORE)] if name in others else _MORE[0]


def system_colour(name: str, teachers: Sequence[str], stages: Sequence[str]) -> str:
    """The colour of whatever answers: a student of the plan with these `stages`, else one of the `teachers`."""
    if name in stages or name in _STAGES or name not in teachers:
        return stage_colour(name, stages)
    return teacher_colour(teachers, name)
