from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from engine.config import ProjectConfig, ReplaySource, StudentConfig, TrainConfig, read_config
from engine.errors import ConfigError
from engine.plans import Answer, Compress, Evaluate, Plan, Review, Step, Train
from engine.plans.registry import check_plan, lacks_compression
from engine.plans.standard_kd import standard_kd_plan, with_standard_kd
from engine.plans.twt import twt_plan
from engine.selection.rules.labels import Labels
from engine.selection.rules.least_similar_pair import LeastSimilarPair
from engine.selection.rules.threshold import Threshold
from engine.selection.settings import NONE, PAPER, RECORDINGS, SelectionConfig, dcrs, read_selection
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
        SelectionConfig().temperature = 0.1  # type: ignore[misc]


def test_fingerprints_follow_content_and_kind() -> None:
    assert SelectionConfig().fingerprint == dcrs(threshold=0.95).fingerprint
    assert SelectionConfig().fingerprint != dcrs(threshold=0.9).fingerprint
    assert TrainConfig().fingerprint != StudentConfig().fingerprint


def test_the_defaults_are_those_of_the_paper() -> None:
    assert SelectionConfig().cut == 0.95 and SelectionConfig() == dcrs()
    train, lora = TrainConfig(), StudentConfig().lora
    assert (train.learning_rate, train.batch_size, train.epochs, train.max_tokens, lora.rank) == (1e-5, 8, 4, 4096, 8)


def test_a_preset_is_taken_with_changes() -> None:
    assert read_selection(PAPER.config, {"threshold": None}) == PAPER.config
    changes = {"threshold": 0.7, "disagreement": "drop", "temperature": None}
    changed = read_selection(RECORDINGS.config, changes, ["agreement_ds=2", "format=0.5"])
    assert changed == dcrs(threshold=0.7, weights={"agreement_ds": 2, "format": 0.5}, disagreement="drop")
    assert read_selection(PAPER.config, {"threshold": 0.0}).cut == 0


def test_rules_that_are_given_replace_the_presets() -> None:
    alone = read_selection(PAPER.config, {}, [], ["least-similar-pair:few=require_three", "threshold: threshold=0.9"])
    assert [rule.kind for rule in alone.rules] == ["least-similar-pair", "threshold"] and alone.cut == 0.9
    assert alone.weights == PAPER.config.weights and "few require_three" in alone.title
    more = read_selection(PAPER.config, {"disagreement": "drop"}, [], ["threshold", "least-similar-pair"])
    assert more == dcrs(disagreement="drop"), "a rule that has the setting is chosen with it, in its place"
    assert read_selection(NONE.config, {"disagreement": "majority"}).rules == (Labels(disagreement="majority"),)
    with pytest.raises(ConfigError, match=r"no rule has a setting hope; the rules are .*labels"):
        read_selection(PAPER.config, {"hope": 1})
    assert read_selection(PAPER.config, {}, [], ["threshold:kind=labels"]).rules == (Threshold(),)
    with pytest.raises(ConfigError, match="each rule can be used once"):
        read_selection(PAPER.config, {}, [], ["threshold", "threshold:threshold=0.5"])
    with pytest.raises(ConfigError, match=r"there is no rule 'hope'; there are .*labels, .*one-teacher, .*threshold"):
        read_selection(PAPER.config, {}, [], ["hope"])
    with pytest.raises(ConfigError, match="threshold: give a number from 0 to 1"):
        read_selection(PAPER.config, {}, [], ["threshold:threshold=2"])


def test_settings_of_a_rule_that_is_gone_are_kept_and_can_not_be_used() -> None:
    stored = {"rules": [{"kind": "hope", "strength": 3}, {"kind": "threshold", "threshold": 0.5}]}
    read = read_config(SelectionConfig, stored)
    assert read.missing == ["the rule hope"] and read.cut == 0.5
    assert json.loads(read.model_dump_json())["rules"][0] == {"kind": "hope", "strength": 3}
    step = {"kind": "train", "name": "t", "dataset": "songs", "train": {"loss": "grief"}}
    plan = read_config(Plan, {"name": "p", "steps": [{"kind": "compress", "name": "c", "by": "elves"}, step]})
    assert plan.missing == ["the compressor elves", "the dataset songs", "the loss grief"]
    assert not plan.asks_to_compress and not lacks_compression(plan)
    with pytest.raises(ConfigError, match="needs what is not installed here: the compressor elves"):
        check_plan(plan)


def test_a_rule_takes_the_place_of_its_kind_else_stands_behind_earlier_stages() -> None:
    assert dcrs().with_rule(Labels(disagreement="drop")) == dcrs(disagreement="drop")
    bare = NONE.config.with_rule(LeastSimilarPair()).with_rule(Threshold(threshold=0.5)).with_rule(Labels())
    assert bare.rules == dcrs(threshold=0.5).rules


@pytest.mark.parametrize(
    ("older", "now"),
    [
        ({"method": "confidence", "threshold": 0.8, "few": "require_three", "disagreement": "majority"}, 3),
        ({"method": "none", "threshold": 0.95, "few": "keep", "disagreement": "keep"}, 0),
        ({"method": "none", "threshold": 0.95, "few": "keep", "disagreement": "drop"}, 1),
    ],
)
def test_settings_of_before_there_were_rules_are_read(older: dict[str, Any], now: int) -> None:
    read = read_config(SelectionConfig, {**older, "weights": {"answer": 1.0}, "temperature": 2.0})
    assert len(read.rules) == now and read.weights == {"answer": 1.0} and read.temperature == 2.0
    changed = dcrs(0.8, {"answer": 1.0}, "majority", "require_three", 2.0)
    assert now < 3 or read == changed
    assert read_config(SelectionConfig, json.loads(read.model_dump_json())) == read


@pytest.mark.parametrize(
    ("weights", "disagreement"),
    [(["answer"], None), (["answer=much"], None), ([], "shrug")],
)
def test_a_selection_that_can_not_be_read_is_refused(weights: list[str], disagreement: str | None) -> None:
    with pytest.raises(ConfigError):
        read_selection(PAPER.config, {"disagreement": disagreement}, weights)


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
            "t teaches compressed reasoning",
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
