"""The colours of systems and teachers, the same in every plot and report."""

from __future__ import annotations

TEACHER_COLOURS = ("#4350d0", "#c2600a", "#0f7d5d", "#9333ea", "#c92a2a", "#0e7490", "#5c8a06", "#c0267b")


def teacher_colour(names: list[str], name: str) -> str:
    """The colour of a teacher: by its place among the project's teachers in order of name."""
    return TEACHER_COLOURS[sorted(names).index(name) % len(TEACHER_COLOURS)]


_STAGES = {
    "vanilla": "#8d97a6",
    "vanilla-fewshot": "#6b7686",
    "stage1": "#4350d0",
    "stage2": "#0e7490",
    "stage3": "#0f7d5d",
    "standard-kd": "#c2600a",
    "standard-kd-equal-updates": "#9a4a06",
}


def stage_colour(name: str) -> str:
    """The colour of a stage or a baseline, the same in every plot; teachers and whatever else are violet."""
    return _STAGES.get(name, "#9333ea")
