"""Colours of systems: teachers and students are told apart, on light and on dark."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from app.palette import ACCENT, STAGE_COLOURS, TEACHER_COLOURS, stage_colour, students_of, system_colour, teacher_colour
from engine.plans import Evaluate, Plan, Train

_TOKENS = Path(__file__).parents[2].joinpath("app/web/style/tokens.css").read_text("utf-8")
_SURFACES = re.findall(r"--t-(?:canvas|surface): (#[0-9a-f]{6})", _TOKENS)
_TEXTS = re.findall(r"--t-ink-2: (#[0-9a-f]{6})", _TOKENS)


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_no_teacher_has_the_colour_of_a_student() -> None:
    assert not set(TEACHER_COLOURS) & set(STAGE_COLOURS)
    assert len(set(TEACHER_COLOURS)) == len(TEACHER_COLOURS) == 8


@pytest.mark.parametrize("colour", [*TEACHER_COLOURS, *STAGE_COLOURS, ACCENT])
def test_a_colour_is_seen_on_light_and_on_dark(colour: str) -> None:
    assert len(_SURFACES) == 4
    assert min(contrast(colour, surface) for surface in _SURFACES) >= 3


def test_text_of_plots_is_read_on_light_and_on_dark() -> None:
    light, dark = _TEXTS
    assert min(contrast(light, surface) for surface in _SURFACES[:2]) >= 4.5
    assert min(contrast(dark, surface) for surface in _SURFACES[2:]) >= 4.5


def test_stages_of_other_plans_go_by_their_place() -> None:
    names = ["outline", "draft", "polish"]
    train = [Train(name=name) for name in names]
    plan = Plan(name="essay", steps=(*train, *(Evaluate(name=f"score_{name}", start=name) for name in names)))
    assert students_of(plan) == names
    colours = [stage_colour(name, names) for name in names]
    assert all(one != other for one, other in combinations(colours, 2)) and set(colours) <= set(STAGE_COLOURS)


def test_a_system_has_the_same_colour_whoever_else_is_shown() -> None:
    teachers = ["tabulate", "eliminate", "forward"]
    assert system_colour("forward", teachers, ["stage1"]) == teacher_colour(teachers, "forward") in TEACHER_COLOURS
    assert system_colour("stage1", teachers, ["stage1"]) == stage_colour("stage1") in STAGE_COLOURS
    assert teacher_colour(["eliminate"], "was removed") in TEACHER_COLOURS
