"""Students are read by titles that their plans give; whatever else answers by its own name."""

from __future__ import annotations

import pytest

from engine.plans import PLANS, PlanKind
from engine.plans.order import PlanOrder, read_order
from engine.plans.titles import title_of


@pytest.mark.parametrize("name", PLANS.names())
@pytest.mark.parametrize("stages", ["", "9,40,1"])
def test_every_student_of_every_plan_has_a_title_of_its_own(name: str, stages: str) -> None:
    plan = PLANS.get(name).make(read_order(PlanOrder(plan=name, stages=stages), recorded=False))
    systems = {step.system for step in plan.evaluated} | {step.name for step in plan.trained}
    titles = {system: title_of(system) for system in systems}
    assert len(set(titles.values())) == len(titles), "no two read alike"
    assert [title for title in titles.values() if not title[0].isupper() or "-" in title.replace("-shot", "")] in (
        [],
        ["Step-by-Step", "Step-by-Step, explaining"],
        ["Step-by-Step, explaining", "Step-by-Step"],
    )


def test_a_series_keeps_its_numbers_and_other_names_stay() -> None:
    assert title_of("stage12") == "Stage 12"
    assert title_of("standard-kd-equal-updates") == "Standard KD, equal updates"
    for name in ("gpt-4o", "ann", "stage", "stages2", "", "7"):
        assert title_of(name) == name


def test_a_plan_of_another_package_names_its_students(monkeypatch: pytest.MonkeyPatch) -> None:
    tea = PlanKind("Tea", "Tea.", PLANS.get("twt").make, systems={"brewed": "Brewed", "cup#": "Cup #"})
    monkeypatch.setattr(PLANS, "_entries", {**PLANS._entries, "tea": tea})
    assert (title_of("brewed"), title_of("cup2"), title_of("cup")) == ("Brewed", "Cup 2", "cup")
