"""Stepwise internalisation: what is taken off a rationale, in which stages, and in how many updates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.datasets import DATASETS, Materials
from engine.datasets.rows import Example
from engine.datasets.stepwise import draw_offset, remove_first
from engine.pipeline import Material, Pipeline
from engine.plans import Plan, Train, make_plan
from engine.plans.order import PlanOrder
from engine.tasks import get_task
from engine.values import make_query

TASK = get_task("custom")
WORDS = [f"w{n}" for n in range(20)]
KEYS = [f"key {n}" for n in range(4000)]


def make_examples(count: int) -> list[Example]:
    queries = [make_query(f"What is {n} + 1?") for n in range(count)]
    return [Example(q, f"s{n}", "One more\n than " + " ".join(WORDS), str(n + 1)) for n, q in enumerate(queries)]


def test_words_go_from_the_left_and_the_rest_stays_as_it_was_written() -> None:
    plain = next(key for key in KEYS if draw_offset(key) == 0)
    more = next(key for key in KEYS if draw_offset(key) == 1)
    text = "  First, 3 + 4 = 7.\nThen  7 * 2 = 14. "
    assert remove_first(text, 0.5, plain) == "Then  7 * 2 = 14."
    assert remove_first(text, 0.5, more) == "7 * 2 = 14."
    assert remove_first("seven times two", 0.9, more) == ""
    assert remove_first("", 0.5, more) == ""


def test_offsets_have_the_original_s_distribution() -> None:
    """P(o) = (1 - e^-4) e^-4o: 98.2% are 0, and of the others again 98.2% are 1."""
    drawn = [draw_offset(key) for key in (f"{n}" for n in range(40_000))]
    assert sum(o == 0 for o in drawn) / len(drawn) == pytest.approx(0.9817, abs=0.003)
    assert sum(o == 1 for o in drawn) > 0 and max(drawn) <= 5


def test_rows_do_not_go_by_the_order_of_samples_and_stages_see_them_in_other_orders() -> None:
    examples = make_examples(30)
    rows = {tenths: DATASETS.get(f"without-first-{tenths}0").rows(TASK, Materials(examples)) for tenths in (2, 8)}
    again = DATASETS.get("without-first-20").rows(TASK, Materials(examples[::-1]))
    assert [row.id for row in again] == [row.id for row in rows[2]]
    assert [row.query_id for row in rows[2]] != [row.query_id for row in rows[8]]
    for tenths, made in rows.items():
        lengths = [len(row.completion.split("\n")[-2].split()) for row in made]
        assert max(lengths) == 23 - int(23 * tenths / 10) and all(row.completion.count("Answer: ") == 1 for row in made)


def shares(plan: Plan) -> list[str]:
    return [step.dataset for step in plan.trained]


@pytest.mark.parametrize(
    ("stages", "taught"),
    [
        ("", ["full", *(f"without-first-{n}0" for n in (2, 4, 6, 8)), "label"]),
        ("2,1,4@5e-4", ["full", "without-first-30", "without-first-70", "label"]),
        ("1,0.1,1", ["full", "without-first-50", "label"]),
        ("1,20,1", ["full", *(f"without-first-{n}0" for n in (1, 2, 3, 4, 6, 7, 8, 9)), "label"]),
    ],
)
def test_the_order_s_second_stage_says_how_often_something_is_taken_away(stages: str, taught: list[str]) -> None:
    assert shares(make_plan(PlanOrder(plan="stepwise", stages=stages))) == taught


def test_all_stages_go_on_from_each_other_and_take_as_many_updates_as_twt() -> None:
    examples = [replace(example, flags=()) for example in make_examples(80)]
    taught = {"compress": {str(e.sample_id): (e.rationale, ()) for e in examples}}
    for order in (PlanOrder(stages="3,2,4"), PlanOrder(preset="smoke"), PlanOrder()):
        counts = {}
        for name in ("stepwise", "twt"):
            plan = make_plan(order.model_copy(update={"plan": name}))
            trained = [step for step in plan.steps if isinstance(step, Train)]
            assert [step.start for step in trained] == [None, *(step.name for step in trained[:-1])]
            pipeline = Pipeline(plan, Material(TASK, examples, taught))
            counts[name] = pipeline.count_updates([step.name for step in trained])
        assert counts["twt"] <= counts["stepwise"] <= counts["twt"] + 8, "each stage rounds up to a whole update"
