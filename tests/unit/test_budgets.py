"""Arms of a study take equally much: amounts are shared by the stages of a plan, and training stops where they end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.budgets import BUDGETS, RowSize
from engine.budgets.base import split_amount
from engine.config import StudentConfig, TrainConfig
from engine.datasets.encode import count_updates, order_rows
from engine.datasets.rows import Example
from engine.errors import ConfigError
from engine.pipeline import Material, Pipeline, measure_stages
from engine.plans import PLANS, Plan, Train, make_plan
from engine.plans.order import PlanOrder
from engine.plans.twt import twt_plan
from engine.study import read_grid
from engine.tasks import get_task
from engine.values import make_query

STAGES = tuple(TrainConfig(epochs=epochs, batch_size=4, validation=0) for epochs in (2, 1, 4))
PLAN = twt_plan(StudentConfig(), STAGES)
SIZES = {"stage1": RowSize(100, 400.0), "stage2": RowSize(100, 400.0), "stage3": RowSize(50, 100.0)}


def settings(plan: Plan) -> dict[str, TrainConfig]:
    return {step.name: step.train for step in plan.trained}


def test_training_tokens_are_shared_as_the_stages_would_read_by_themselves() -> None:
    plan = BUDGETS.get("training-tokens").apply(PLAN, 14_000, SIZES)
    assert {name: train.tokens for name, train in settings(plan).items()} == {
        "stage1": 8_000,
        "stage2": 4_000,
        "stage3": 2_000,
    }
    assert plan.model_copy(update={"steps": PLAN.steps}) == PLAN, "nothing else of the plan changes"


def test_updates_are_shared_over_all_stages_or_given_to_the_last() -> None:
    updates = {n: t.updates for n, t in settings(BUDGETS.get("updates").apply(PLAN, 100, SIZES)).items()}
    assert updates == {"stage1": 40, "stage2": 20, "stage3": 40}
    last = {n: t.updates for n, t in settings(BUDGETS.get("label-updates").apply(PLAN, 77, SIZES)).items()}
    assert last == {"stage1": None, "stage2": None, "stage3": 77}


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_of_one_student_takes_just_the_budget_and_others_are_refused(name: str) -> None:
    plan = make_plan(PlanOrder(plan=name, preset="small-student"))
    sizes = {step.name: RowSize(100, 300.0) for step in plan.trained}
    several = any(step.equal_updates_to for step in plan.trained)
    for kind, field in (("training-tokens", "tokens"), ("updates", "updates")):
        apply = BUDGETS.get(kind).apply
        if several:
            with pytest.raises(ConfigError, match="several students"):
                apply(plan, 30_000, sizes)
            continue
        spent = [getattr(train, field) for train in settings(apply(plan, 30_000, sizes)).values()]
        assert sum(spent) == 30_000 and len(spent) == len(plan.trained)


def test_a_budget_that_is_too_small_or_unknown_is_refused() -> None:
    with pytest.raises(ConfigError, match="too small for 3 stages"):
        BUDGETS.get("updates").apply(PLAN, 2, SIZES)
    table = {"name": "s", "project": "p", "seeds": [1], "contrast": ["a", "b"]}
    arms = [{"name": "a", "plan": "twt"}, {"name": "b", "plan": "standard-kd"}]
    with pytest.raises(ConfigError, match=r"no budget 'time'; there are .*training-tokens"):
        read_grid({"study": {**table, "budget": {"kind": "time", "amount": 3}}, "arms": arms})


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=8), st.integers(8, 10**9))
def test_parts_are_whole_and_sum_to_the_amount(shares: list[float], amount: int) -> None:
    parts = split_amount(amount, shares)
    assert sum(parts) == amount and min(parts) >= 1
    for part, share in zip(parts, shares, strict=True):
        assert abs(part - amount * share / sum(shares)) <= len(shares) + 1


@given(
    st.lists(st.integers(5, 900), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 40_000),
    st.integers(0, 99),
)
def test_training_ends_nearest_to_its_tokens(lengths: list[int], batch: int, tokens: int, seed: int) -> None:
    updates = count_updates(TrainConfig(tokens=tokens, batch_size=batch), lengths, seed)

    def read(count: int) -> int:
        return sum(lengths[row] for row in order_rows(len(lengths), batch, count, seed))

    gap = abs(read(updates) - tokens)
    assert updates >= 1 and gap <= abs(read(updates + 1) - tokens)
    assert updates == 1 or gap <= abs(read(updates - 1) - tokens)


def test_rows_are_measured_and_compressed_ones_by_those_that_stand_in() -> None:
    query = make_query("How much is 1 + 1?")
    examples = [Example(query, who, f"{who} adds one to one.", "2", teacher=who) for who in ("ann", "bob")]
    sizes = measure_stages(Pipeline(PLAN, Material(get_task("custom"), examples)))
    assert sizes["stage1"] == sizes["stage2"] and sizes["stage1"].rows == 2 and sizes["stage3"].rows == 1
    assert sizes["stage1"].characters > sizes["stage3"].characters > len(query.text)


def test_a_step_of_so_many_tokens_has_a_fingerprint_of_its_own_and_others_keep_theirs() -> None:
    def fingerprint(train: TrainConfig) -> str:
        step = Train(name="s", dataset="label", train=train)
        example = Example(make_query("q"), "s1", "so", "2", teacher="ann")
        plan = Plan(name="p", steps=(step,))
        return Pipeline(plan, Material(get_task("custom"), [example])).fingerprint(step)

    assert fingerprint(TrainConfig(tokens=90)) == fingerprint(TrainConfig(tokens=90, epochs=9, updates=3))
    assert len({fingerprint(TrainConfig(tokens=n)) for n in (90, 91)} | {fingerprint(TrainConfig())}) == 3
