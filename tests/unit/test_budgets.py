"""Arms of a study take equally much: amounts are shared by the stages of a plan, and training stops where they end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.budgets import BUDGETS, PlanSize, RowSize, Spent
from engine.budgets.base import split_amount
from engine.config import StudentConfig, TrainConfig
from engine.datasets.encode import count_updates, order_rows
from engine.datasets.rows import Example
from engine.errors import ConfigError
from engine.pipeline import Material, Pipeline, measure_stages
from engine.plans import PLANS, Plan, Train, make_plan
from engine.plans.order import PlanOrder
from engine.plans.twt import twt_plan
from engine.selection.arrays import SelectionInput
from engine.selection.rules import Rule
from engine.selection.rules.one_teacher import OneTeacher
from engine.selection.rules.spending import Spending
from engine.selection.select import select
from engine.selection.settings import SelectionConfig, dcrs
from engine.study import read_grid
from engine.tasks import get_task
from engine.values import COST, make_query

STAGES = tuple(TrainConfig(epochs=epochs, batch_size=4, validation=0) for epochs in (2, 1, 4))
PLAN = twt_plan(StudentConfig(), STAGES)


def size_of(stages: Mapping[str, RowSize], spent: Spent | None = None) -> PlanSize:
    def tell() -> Spent:
        assert spent is not None, "nobody asks what teachers cost"
        return spent

    return PlanSize(stages, tell)


SIZES = size_of({"stage1": RowSize(100, 400.0), "stage2": RowSize(100, 400.0), "stage3": RowSize(50, 100.0)})


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


@pytest.mark.parametrize("name", PLANS.names())
def test_every_plan_of_one_student_takes_just_the_budget_and_others_are_refused(name: str) -> None:
    plan = make_plan(PlanOrder(plan=name, preset="small-student"))
    sizes = size_of({step.name: RowSize(100, 300.0) for step in plan.trained})
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


def make_samples(costs: list[list[float]], order: list[int] | None = None) -> SelectionInput:
    """Samples of queries, one of each teacher; `order` ranks their ids, NaN is an unknown cost."""
    rows = [(query, teacher, cost) for query, own in enumerate(costs) for teacher, cost in enumerate(own)]
    query, teacher, cost = (np.array(column) for column in zip(*rows, strict=True))
    return SelectionInput(
        query=query,
        teacher=teacher,
        label=np.zeros(len(rows), dtype=np.int64),
        order=np.arange(len(rows)) if order is None else np.array(order),
        factors=np.ones((len(rows), 1)),
        names=("ease",),
        embeddings=np.zeros((len(rows), 1), dtype=np.float32),
        sources=("ann", "bob", "cy"),
        evidence={COST: cost.astype(np.float64)},
    )


def keep(samples: SelectionInput, *rules: Rule) -> set[int]:
    """The queries that a selection keeps something of."""
    return set(samples.query[select(samples, SelectionConfig(rules=rules)).kept].tolist())


def test_dollars_pay_for_more_queries_of_one_teacher_than_of_three() -> None:
    samples = make_samples([[1.0, 1.0, 1.0]] * 4)
    assert keep(samples, Spending(most_usd=3)) == {0}, "a query of which a part is paid for is not there"
    assert keep(samples, Spending(most_usd=7)) == {0, 1}
    assert keep(samples, OneTeacher(name="bob"), Spending(most_usd=3)) == {0, 1, 2}
    turned = make_samples([[1.0, 1.0, 1.0]] * 4, order=[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert keep(turned, Spending(most_usd=3)) == {3}, "queries come in the order of their samples' hashes"


@given(st.lists(st.lists(st.floats(0, 9), min_size=3, max_size=3), min_size=1, max_size=12), st.floats(0.1, 60))
def test_what_dollars_keep_is_paid_for_and_part_of_what_more_keep(costs: list[list[float]], dollars: float) -> None:
    samples = make_samples(costs)
    some, more = (keep(samples, Spending(most_usd=most)) for most in (dollars, 2 * dollars))
    assert some <= more and sum(sum(costs[query]) for query in some) <= dollars * 1.000001
    following = len(some)
    assert following == len(costs) or sum(sum(own) for own in costs[: following + 1]) > dollars


def test_a_cost_that_nobody_knows_counts_only_where_it_was_asked_for() -> None:
    samples = make_samples([[1.0, float("nan"), 1.0]] * 2)
    with pytest.raises(ConfigError, match=r"what 2 samples cost is not known.*give the teachers prices"):
        keep(samples, Spending(most_usd=9))
    assert keep(samples, OneTeacher(name="cy"), Spending(most_usd=9)) == {0, 1}


def test_teacher_dollars_are_shared_by_labels_and_rewriting() -> None:
    kind = BUDGETS.get("teacher-dollars")
    plan = kind.apply(PLAN, 1.0, size_of({}, Spent(dcrs(0.8), labels=3.0, compressing=1.0)))
    assert plan.selection is not None and plan.steps == PLAN.steps
    assert [rule.kind for rule in plan.selection.rules] == ["spending", "threshold", "labels", "least-similar-pair"]
    assert plan.selection.rules[0] == Spending(most_usd=0.75)
    one = SelectionConfig(rules=(OneTeacher(),))
    alone = kind.apply(PLAN, 1.0, size_of({}, Spent(one, labels=3.0, compressing=0.0))).selection
    assert alone is not None and alone.rules == (OneTeacher(), Spending(most_usd=1.0))
    with pytest.raises(ConfigError, match="cost nothing"):
        kind.apply(PLAN, 1.0, size_of({}, Spent(one, 0.0, 0.0)))
    with pytest.raises(ConfigError, match=r"cost US \$ 3, less than the budget of 4"):
        kind.apply(PLAN, 4.0, size_of({}, Spent(one, 3.0, 0.0)))


def test_what_is_counted_is_a_whole_number_and_dollars_are_not() -> None:
    table = {"name": "s", "project": "p", "seeds": [1], "contrast": ["a", "b"]}
    arms = [{"name": "a", "plan": "twt"}, {"name": "b", "plan": "standard-kd"}]
    grid = read_grid({"study": {**table, "budget": {"kind": "teacher-dollars", "amount": 0.25}}, "arms": arms})
    assert grid.budget is not None and grid.budget.amount == 0.25
    with pytest.raises(ConfigError, match=r"training tokens is a whole number, as 192000, not 2.5"):
        read_grid({"study": {**table, "budget": {"kind": "training-tokens", "amount": 2.5}}, "arms": arms})
    for amount in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError):
            read_grid({"study": {**table, "budget": {"kind": "teacher-dollars", "amount": amount}}, "arms": arms})


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
