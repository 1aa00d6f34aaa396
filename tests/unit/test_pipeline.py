"""Which steps come next, and what each works on: values in, values out."""

from __future__ import annotations

import pytest

from engine.config import ReplaySource, StudentConfig, TrainConfig
from engine.datasets.rows import Example
from engine.errors import ConfigError, StateError
from engine.pipeline import Material, Pipeline, find_next, find_systems, pick_shots
from engine.plans import PLANS, Answer, Compress, Evaluate, Plan, Review, Train, make_plan
from engine.plans.order import PlanOrder, adjust_plan
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.registry import Registry
from engine.tasks import get_task
from engine.values import Split, make_query

STAGE = TrainConfig(epochs=1, batch_size=2, validation=0)
PLAN = with_standard_kd(twt_plan(StudentConfig(), (STAGE,) * 3))
QUERIES = [make_query(f"How much is {n} + 1?", kind="even" if n % 2 == 0 else "odd") for n in range(6)]
EXAMPLES = [
    Example(query, f"s{n}{who}", f"{who} adds one to {n}.", str(n + 1), teacher=who)
    for n, query in enumerate(QUERIES[:5])
    for who in ("ann", "bob")
]
HELDOUT = [make_query("How much is 9 + 1?", split=Split.HELDOUT)]
MATERIAL = Material(get_task("custom"), EXAMPLES, asked=QUERIES, heldout=HELDOUT)
TAUGHT = {"compress": {"s0ann": ("0+1", ()), "s1bob": ("1+1", ("kept",)), "gone": ("?", ())}}


def names(plan: Plan, finished: set[str]) -> list[str]:
    return [step.name for step in find_next(plan, finished).steps]


def walk(plan: Plan) -> list[list[str]]:
    """What is done together, up to the end."""
    finished: set[str] = set()
    rounds = []
    while (found := find_next(plan, finished)).steps:
        rounds.append([step.name for step in found.steps])
        finished |= {step.name for step in (*found.passed, *found.steps)}
    return rounds


def test_a_run_goes_through_all_steps_and_compares_at_equal_updates_last() -> None:
    assert walk(PLAN) == [
        ["vanilla", "vanilla-fewshot", "stage1", "evaluate-stage1", "student-rationales"],
        ["compress"],
        ["stage2", "evaluate-stage2", "stage3", "evaluate-stage3", "standard-kd", "evaluate-standard-kd"],
        ["standard-kd-equal-updates", "evaluate-standard-kd-equal-updates"],
    ]


def test_a_review_is_passed_unless_a_person_is_to_look() -> None:
    done = {"vanilla", "vanilla-fewshot", "stage1", "evaluate-stage1", "student-rationales", "compress"}
    passed, steps = find_next(PLAN, done)
    assert [step.name for step in passed] == ["review"] and steps[0].name == "stage2"
    waiting = find_next(adjust_plan(PLAN, review=True), done)
    assert waiting.passed == () and [step.name for step in waiting.steps] == ["review"]


def test_what_is_finished_is_not_done_again_whatever_the_order_it_ended_in() -> None:
    assert names(PLAN, {"stage1", "vanilla-fewshot"})[0] == "vanilla"
    assert names(PLAN, {step.name for step in PLAN.steps}) == []


def test_rows_of_each_dataset() -> None:
    pipeline = Pipeline(PLAN, MATERIAL)
    assert len(pipeline.rows("full")) == 10 and len(pipeline.rows("label")) == 5
    assert pipeline.rows("compressed", "compress") == []
    taught = Pipeline(PLAN, Material(**{**vars(MATERIAL), "taught": TAUGHT}))
    assert [row.completion for row in taught.rows("compressed")] == ["0+1\nAnswer: 1", "1+1\nAnswer: 2"]


def test_a_stage_replays_a_share_that_does_not_go_by_the_order_of_rows() -> None:
    plan = twt_plan(StudentConfig(), (STAGE,) * 3, compressed=False)
    last = plan.trained[-1].model_copy(update={"replay": (ReplaySource(dataset="full", share=0.3),)})
    rows = Pipeline(plan, MATERIAL).training_rows(last)
    backwards = Material(**{**vars(MATERIAL), "examples": EXAMPLES[::-1]})
    assert len(rows) == 5 + 3
    assert {row.id for row in Pipeline(plan, backwards).training_rows(last)} == {row.id for row in rows}


def test_equal_updates_are_those_taken_else_those_that_settings_and_rows_give() -> None:
    taught = {"compress": {e.sample_id or "": ("short", ()) for e in EXAMPLES}}
    planned = Pipeline(PLAN, Material(**{**vars(MATERIAL), "taught": taught}))
    assert planned.count_updates(["stage1", "stage2", "stage3"]) == 5 + 5 + 3
    taken = Pipeline(PLAN, Material(**{**vars(MATERIAL), "taught": taught, "updates": {"stage1": 40}}))
    assert taken.count_updates(["stage1", "stage2", "stage3"]) == 40 + 5 + 3


def test_the_student_answers_what_it_is_taught_on_and_is_scored_on_what_is_held_out() -> None:
    pipeline = Pipeline(PLAN, MATERIAL)
    answer = next(step for step in PLAN.steps if isinstance(step, Answer))
    assert [ask.query_id for ask in pipeline.asks(answer)] == [query.id for query in QUERIES[:5]]
    scored = {step.system: pipeline.asks(step) for step in PLAN.evaluated}
    assert all([ask.query_id for ask in asks] == [HELDOUT[0].id] for asks in scored.values())
    assert len(scored["vanilla-fewshot"][0].prompt) > len(scored["vanilla"][0].prompt)
    assert {asks[0].system for asks in scored.values()} == set(find_systems(PLAN))
    with pytest.raises(StateError, match="no held-out queries"):
        Pipeline(PLAN, Material(**{**vars(MATERIAL), "heldout": ()})).asks(PLAN.evaluated[0])


def test_shots_are_of_as_many_kinds_as_there_are() -> None:
    shots = pick_shots(EXAMPLES, 2)
    assert {shot.query.kind for shot in shots} == {"even", "odd"}
    assert pick_shots(EXAMPLES[::-1], 2) == shots and len(pick_shots(EXAMPLES, 99)) == len(EXAMPLES)


def test_every_plan_can_be_ordered_and_knows_the_role_of_each_student() -> None:
    roles = {}
    for name in PLANS.names():
        plan = make_plan(PlanOrder(plan=name))
        assert plan.evaluated[0].role == "untrained" and PLANS.get(name).title and PLANS.get(name).help
        roles |= {step.system: step.role for step in plan.evaluated}
    assert roles["stage3"] == "stage" and roles["standard-kd-equal-updates"] == "baseline"
    with pytest.raises(ConfigError, match=r"no plan 'nothing'; there are .*twt"):
        make_plan(PlanOrder(plan="nothing"))


def test_recordings_have_no_compressed_stage_unless_a_live_teacher_compresses() -> None:
    assert not any(isinstance(step, Compress) for step in make_plan(PlanOrder(plan="twt"), recorded=True).steps)
    named = make_plan(PlanOrder(plan="twt", compressor="ann"), recorded=True)
    assert any(isinstance(step, Compress) for step in named.steps) and named.compressor == "ann"


OLDER = {"start": None, "dataset": "full", "replay": [], "train": TrainConfig().model_dump(mode="json")}
OLDER |= {"equal_updates_to": [], "shots": 0, "approve": "all"}


def test_a_plan_that_was_stored_before_steps_had_kinds_of_their_own_is_read_as_it_was_meant() -> None:
    steps = [
        {**OLDER, "kind": "evaluate", "name": "vanilla-fewshot", "shots": 3},
        {**OLDER, "kind": "train", "name": "stage1"},
        {**OLDER, "kind": "evaluate", "name": "evaluate-stage1", "start": "stage1"},
        {**OLDER, "kind": "answer", "name": "student-rationales", "start": "stage1"},
        {**OLDER, "kind": "compress", "name": "compress"},
        {**OLDER, "kind": "review", "name": "review", "approve": "person"},
        {**OLDER, "kind": "train", "name": "standard-kd", "dataset": "label"},
        {**OLDER, "kind": "evaluate", "name": "evaluate-standard-kd", "start": "standard-kd"},
    ]
    plan = Plan.model_validate({"name": "twt", "steps": steps})
    assert [(s.system, s.role, s.reference, s.shots) for s in plan.evaluated] == [
        ("vanilla-fewshot", "untrained", True, 3),
        ("stage1", "stage", False, 0),
        ("standard-kd", "baseline", False, 0),
    ]
    assert plan.reviewed and isinstance(plan.step("review"), Review)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_setting_that_a_step_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="shots"):
        Plan.model_validate({"name": "x", "steps": [{"kind": "train", "name": "t", "shots": 3}]})
    assert Train(name="t").dataset == "full" and Evaluate(name="e").system == "e"


def test_a_registry_tells_its_names_and_keeps_one_entry_a_name() -> None:
    registry: Registry[object] = Registry("nothing", "thing")
    first = registry.add("first", object())
    assert registry.get("first") is first and registry.add("first", first) is first
    with pytest.raises(ConfigError, match="two of the name 'first' among the things"):
        registry.add("first", object())
    with pytest.raises(ConfigError, match="there is no thing 'second'; there are first"):
        registry.get("second")
    assert registry.names() == ("first",)
