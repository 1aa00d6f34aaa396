from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from engine.config import (
    SELECTION_PRESETS,
    ProjectConfig,
    ReplaySource,
    SelectionConfig,
    StudentConfig,
    TrainConfig,
    read_config,
    read_selection,
)
from engine.errors import ConfigError
from engine.plans import Answer, Compress, Evaluate, Plan, Review, Step, Train
from engine.plans.standard_kd import standard_kd_plan, with_standard_kd
from engine.plans.twt import twt_plan
from engine.train.batches import share_batch

STAGES = (TrainConfig(epochs=1), TrainConfig(epochs=2), TrainConfig(epochs=3))


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 1.1},
        {"threshold": -0.1},
        {"threshold": math.nan},
        {"weights": {"answer": -1}},
        {"weights": {"answer": 0}},
        {"weights": {"answer": math.nan}},
        {"weights": {"answer": math.inf}},
        {"method": "magic"},
        {"treshold": 0.5},
    ],
)
def test_unusable_settings_of_selection_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        read_config(SelectionConfig, values)


def test_an_error_names_every_wrong_setting() -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(TrainConfig, {"epochs": 0, "batch_size": "many", "colour": 1})
    assert all(name in str(caught.value) for name in ("epochs", "batch_size", "colour"))


def test_settings_can_not_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        SelectionConfig().threshold = 0.1  # type: ignore[misc]


def test_fingerprints_follow_content_and_kind() -> None:
    assert SelectionConfig().fingerprint == SelectionConfig(threshold=0.95).fingerprint
    assert SelectionConfig().fingerprint != SelectionConfig(threshold=0.9).fingerprint
    assert TrainConfig().fingerprint != StudentConfig().fingerprint


def test_the_defaults_are_those_of_the_paper() -> None:
    assert SelectionConfig().threshold == 0.95
    train, lora = TrainConfig(), StudentConfig().lora
    assert (train.learning_rate, train.batch_size, train.epochs, train.max_tokens, lora.rank) == (1e-5, 8, 4, 4096, 8)


def test_a_preset_is_taken_with_changes() -> None:
    assert read_selection("paper", None, [], None) == SELECTION_PRESETS["paper"]
    changed = read_selection("recordings", 0.7, ["agreement_ds=2", "format=0.5"], "drop")
    assert changed == SelectionConfig(threshold=0.7, weights={"agreement_ds": 2, "format": 0.5}, disagreement="drop")
    assert read_selection("paper", 0.0, [], None).threshold == 0


@pytest.mark.parametrize(
    ("preset", "weights", "disagreement"),
    [("papre", [], None), ("paper", ["answer"], None), ("paper", ["answer=much"], None), ("paper", [], "shrug")],
)
def test_a_selection_that_can_not_be_read_is_refused(preset: str, weights: list[str], disagreement: str | None) -> None:
    with pytest.raises(ConfigError):
        read_selection(preset, None, weights, disagreement)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([Train(name="a"), Evaluate(name="a")], "two steps are named a"),
        ([Evaluate(name="e", start="a"), Train(name="a")], "no earlier train step"),
        ([Review(name="r"), Evaluate(name="e", start="r")], "no earlier train step"),
        ([Train(name="t", equal_updates_to=("x",))], "no earlier train step"),
        ([Train(name="t", start="t")], "no earlier train step"),
        ([Train(name="t", dataset="compressed"), Compress(name="c")], "no compress step"),
        (
            [Train(name="t", replay=(ReplaySource(dataset="compressed", share=1),))],
            "t teaches compressed rationales",
        ),
        (
            [
                Train(name="t"),
                Evaluate(name="e", start="t"),
                Evaluate(name="f", start="t"),
            ],
            "f scores t, which an earlier step scores",
        ),
    ],
)
def test_a_plan_whose_steps_do_not_fit_is_refused(steps: list[Step], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read_config(Plan, {"name": "p", "steps": [step.model_dump() for step in steps]})


def test_twt_trains_three_stages_on_one_adapter() -> None:
    plan = twt_plan(StudentConfig(), STAGES)
    trained = [(s.name, s.dataset, s.start, s.train.epochs) for s in plan.steps if s.kind == "train"]
    assert trained == [
        ("stage1", "full", None, 1),
        ("stage2", "compressed", "stage1", 2),
        ("stage3", "label", "stage2", 3),
    ]
    names = [step.name for step in plan.steps]
    assert names.index("stage1") < names.index("student-rationales") < names.index("compress") < names.index("stage2")
    evaluated = {step.start for step in plan.steps if step.kind == "evaluate"}
    assert evaluated == {None, "stage1", "stage2", "stage3"}


def test_without_compression_stage_3_follows_stage_1() -> None:
    plan = twt_plan(StudentConfig(), STAGES, compressed=False)
    assert not [s for s in plan.steps if s.kind in ("compress", "review", "answer") or s.name == "stage2"]
    assert next(s for s in plan.steps if s.name == "stage3").start == "stage1"


def test_standard_kd_is_compared_at_equal_epochs_and_at_equal_updates() -> None:
    plan = with_standard_kd(twt_plan(StudentConfig(), STAGES))
    steps = {step.name: step for step in plan.steps}
    equal = steps["standard-kd-equal-updates"]
    assert (steps["standard-kd"].start, steps["standard-kd"].train) == (None, STAGES[2])
    assert (equal.start, equal.equal_updates_to) == (None, ("stage1", "stage2", "stage3"))
    assert {"standard-kd", "standard-kd-equal-updates"} <= {s.start for s in plan.steps if s.kind == "evaluate"}
    assert read_config(Plan, plan.model_dump(mode="json")) == plan
    with pytest.raises(ConfigError):
        with_standard_kd(Plan(name="x", steps=()))
    alone = standard_kd_plan(StudentConfig(), STAGES[0]).steps
    assert [s.start for s in alone if s.kind == "evaluate"] == [None, None, "standard-kd"], (
        "it must gain over something"
    )
    assert [s.name for s in alone if s.kind == "train"] == ["standard-kd"]


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_project_needs_a_name_of_reasonable_length(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        read_config(ProjectConfig, {"name": name, "task": "math"})


@pytest.mark.parametrize(("batch", "processes", "each"), [(8, 1, 8), (8, 4, 2), (6, 3, 2), (3, 3, 1)])
def test_processes_share_a_batch_exactly(batch: int, processes: int, each: int) -> None:
    assert share_batch(batch, processes) == each


@pytest.mark.parametrize(("batch", "processes"), [(8, 3), (2, 4), (1, 2)])
def test_a_batch_that_cannot_be_shared_equally_is_refused(batch: int, processes: int) -> None:
    with pytest.raises(ConfigError, match=f"a batch of {batch} rows can't be shared equally by {processes}"):
        share_batch(batch, processes)


def test_a_plan_of_four_stages_answers_and_compresses_twice() -> None:
    plan = twt_plan(StudentConfig(), (*STAGES, TrainConfig(epochs=5)))
    trained = [(s.name, s.dataset, s.start, s.train.epochs) for s in plan.steps if s.kind == "train"]
    assert trained == [
        ("stage1", "full", None, 1),
        ("stage2", "compressed", "stage1", 2),
        ("stage3", "compressed", "stage2", 3),
        ("stage4", "label", "stage3", 5),
    ]
    assert [s.start for s in plan.steps if s.kind == "answer"] == ["stage1", "stage2"]
    assert [plan.before(name, Compress) for name in ("stage2", "stage3", "stage1")] == ["compress", "compress-2", ""]
    assert plan.before("compress-2", Answer) == "student-rationales-2"
    assert not plan.reviews("compress-2")
    with pytest.raises(ConfigError, match="three stages or more"):
        twt_plan(StudentConfig(), STAGES[:2])
