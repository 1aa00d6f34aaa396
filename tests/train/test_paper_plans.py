"""Every plan of the paper's tables, and those beside it, trains a student and scores it in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.compression import COMPRESSORS, assign, compress
from engine.datasets import DATASETS, Materials
from engine.datasets.rows import Example, row_from_json, row_to_json
from engine.errors import ConfigError
from engine.exports import EXPORTERS, Outgoing
from engine.inference.writer import find_holders, load_tokenizer
from engine.jobs.inline import Heard, InlineRun, label_queries
from engine.labelling.online import LabelWork
from engine.losses import LOSSES
from engine.pipeline import Material, Pipeline, prompt_of
from engine.plans import PLANS, AnyStep, Compress, Evaluate, Plan, Train, make_plan
from engine.plans.order import PlanOrder
from engine.plans.registry import lacks_compression
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.selection import arrange, select
from engine.selection.settings import SelectionConfig, read_selection
from engine.tasks import get_task
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Generation, Query, Sample, make_query

TASK = get_task("custom")


@pytest.fixture(scope="module")
def labelled() -> tuple[list[Query], dict[str, str], list[Sample]]:
    """Fourteen puzzles, ten of them answered by three teachers; the answers of all."""
    puzzles = generate_puzzles(14, seed=5)
    queries = [make_query(puzzle.text, kind=puzzle.kind) for puzzle in puzzles]
    golds = {query.id: puzzle.answer for query, puzzle in zip(queries, puzzles, strict=True)}
    work = LabelWork(TASK, load_prompt("teacher", "custom"), queries[:10], SCRIPTED_TEACHERS)
    return queries, golds, label_queries(work)


def choose(samples: Sequence[Sample], config: SelectionConfig) -> list[Sample]:
    arrays = arrange(samples, (), np.zeros((len(samples), 1), dtype=np.float32))
    return [sample for sample, keep in zip(samples, select(arrays, config).kept, strict=True) if keep]


def make_examples(queries: Sequence[Query], samples: Sequence[Sample], plan: Plan | None = None) -> list[Example]:
    by_id = {query.id: query for query in queries}
    kept = choose(samples, plan.selection) if plan is not None and plan.selection is not None else samples
    return [Example(by_id[s.query_id], s.id, s.rationale, s.label, teacher=s.teacher) for s in kept]


def shorten(step: AnyStep) -> AnyStep:
    """Two updates are enough to see that a step trains."""
    if not isinstance(step, Train):
        return step
    return step.model_copy(update={"train": step.train.model_copy(update={"updates": 2})})


ELSEWHERE = {"twt", "standard-kd", "twt+standard-kd"}
"""Plans that the demo and others run from beginning to end."""


@pytest.mark.parametrize("name", [name for name in PLANS if name not in ELSEWHERE])
def test_a_plan_trains_and_scores_its_students(
    name: str, tiny_student: Path, tmp_path: Path, labelled: tuple[list[Query], dict[str, str], list[Sample]]
) -> None:
    torch.set_num_threads(1)
    queries, golds, samples = labelled
    plan = make_plan(PlanOrder(plan=name, preset="smoke", student=str(tiny_student)))
    student = plan.student.model_copy(update={"generate_tokens": 12})
    steps = tuple(
        step.model_copy(update={"train": step.train.model_copy(update={"updates": 2})})
        if isinstance(step, Train)
        else step
        for step in plan.steps
    )
    plan = plan.model_copy(update={"student": student, "steps": steps})
    material = Material(TASK, make_examples(queries, samples, plan), asked=queries[:10], heldout=queries[10:])
    run = InlineRun(plan, material, tmp_path, {teacher.spec.name: teacher for teacher in SCRIPTED_TEACHERS})
    run.go()
    assert run.finished == {step.name for step in plan.steps}
    systems = {step.system for step in plan.evaluated}
    scored = run.score(golds)
    assert {item.system for item in scored} == systems and len(scored) == 4 * len(systems)
    assert all(np.isfinite(run.results[step.name]["first_loss"]) for step in plan.trained)


def test_four_stages_compress_twice_and_need_somebody_who_can() -> None:
    plan = make_plan(PlanOrder(plan="twt-4stage", preset="smoke"))
    assert [step.name for step in plan.trained] == ["stage1", "stage2", "stage3", "stage4"]
    assert sum(isinstance(step, Compress) for step in plan.steps) == 2
    with pytest.raises(ConfigError, match="name a live teacher"):
        make_plan(PlanOrder(plan="twt-4stage", preset="smoke"), recorded=True)


def test_plans_without_selection_or_with_one_teacher_bring_their_own(
    labelled: tuple[list[Query], dict[str, str], list[Sample]],
) -> None:
    _, _, samples = labelled
    kept = {name: make_plan(PlanOrder(plan=name)).selection for name in ("no-dcrs", "single-teacher", "twt")}
    assert kept["twt"] is None and kept["no-dcrs"] is not None and kept["single-teacher"] is not None
    assert choose(samples, kept["no-dcrs"]) == samples
    first = min(sample.teacher for sample in samples)
    assert choose(samples, kept["single-teacher"]) == [sample for sample in samples if sample.teacher == first]
    last = max(sample.teacher for sample in samples)
    named = read_selection(SelectionConfig(rules=()), {}, [], [f"one-teacher:name={last}"])
    assert {sample.teacher for sample in choose(samples, named)} == {last}
    with pytest.raises(ConfigError, match="no sample is of a teacher 'nobody'"):
        choose(samples, read_selection(SelectionConfig(rules=()), {}, [], ["one-teacher:name=nobody"]))


def rows_of(name: str, examples: Sequence[Example]) -> list[str]:
    return [row.completion for row in DATASETS.get(name).rows(TASK, Materials(examples))]


def test_answer_first_rows_begin_with_the_answer_and_end_with_the_rationale(
    labelled: tuple[list[Query], dict[str, str], list[Sample]],
) -> None:
    queries, _, samples = labelled
    examples = make_examples(queries, samples)
    for example, text in zip(examples, rows_of("answer-first", examples), strict=True):
        assert text == f"Answer: {example.label}\n{example.rationale.strip()}".rstrip()


def test_shuffled_rationales_are_never_ones_own_and_do_not_go_by_the_order(
    labelled: tuple[list[Query], dict[str, str], list[Sample]],
) -> None:
    queries, _, samples = labelled
    examples = make_examples(queries, samples)
    rows = DATASETS.get("shuffled").rows(TASK, Materials(examples))
    assert len(rows) == len(examples)
    own = {(example.query.id, example.rationale.strip()) for example in examples}
    assert not {(row.query_id, row.completion.partition("\n")[2]) for row in rows} & own
    again = DATASETS.get("shuffled").rows(TASK, Materials(examples[::-1]))
    assert sorted(row.id for row in again) == sorted(row.id for row in rows)
    alone = [example for example in examples if example.query.id == examples[0].query.id]
    assert DATASETS.get("shuffled").rows(TASK, Materials(alone)) == []


def test_rows_of_several_tasks_are_told_apart_by_their_prompts_and_parts(
    labelled: tuple[list[Query], dict[str, str], list[Sample]],
) -> None:
    queries, _, samples = labelled
    examples = make_examples(queries, samples)
    labels = len(rows_of("label", examples))
    for name, prefixes in {
        "mixed": {"direct: ": labels, "reason: ": len(examples)},
        "two-tasks": {"predict: ": labels, "explain: ": len(examples)},
    }.items():
        users = [row.prompt[-1][1] for row in DATASETS.get(name).rows(TASK, Materials(examples))]
        assert {prefix: sum(user.startswith(prefix) for user in users) for prefix in prefixes} == prefixes
    rows = DATASETS.get("teacher-tasks").rows(TASK, Materials(examples))
    teachers = {example.teacher for example in examples}
    assert {row.part for row in rows} == {"", *teachers}
    assert all(row.prompt[-1][1].startswith(f"explain as {row.part}: ") for row in rows if row.part)
    assert [row_from_json(row_to_json(row)) for row in rows] == rows


def test_losses_over_parts_weigh_each_by_its_own_tokens() -> None:
    losses = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0, 10.0])
    rows = torch.tensor([0, 0, 0, 0, 1, 2])
    batch = {"part": torch.tensor([0, 1, 2]), "token_losses": lambda: (losses, rows)}
    assert float(LOSSES.get("sum-of-tasks").of(None, batch, lambda: None)) == pytest.approx(1 + 4 + 10)
    assert float(LOSSES.get("half-and-half").of(None, batch, lambda: None)) == pytest.approx(0.5 * 1 + 0.5 * 7)
    alone = {"part": torch.tensor([0]), "token_losses": lambda: (losses[:4], rows[:4])}
    assert float(LOSSES.get("half-and-half").of(None, alone, lambda: None)) == pytest.approx(1)


def test_a_student_that_is_stopped_behind_its_answer_writes_one_line(tiny_student: Path) -> None:
    plan = make_plan(PlanOrder(plan="answer-first", preset="smoke", student=str(tiny_student)))
    assert [step.stops_behind_answer for step in plan.evaluated if step.start] == [True]
    tokenizer = load_tokenizer(plan.student)
    ends = find_holders(tokenizer, "\n")
    assert ends and all("\n" in tokenizer.decode([token]) for token in ends)
    assert not any("\n" in tokenizer.decode([token]) for token in range(len(tokenizer)) if token not in ends)


def test_a_student_is_asked_as_it_was_taught(labelled: tuple[list[Query], dict[str, str], list[Sample]]) -> None:
    queries, _, samples = labelled
    plan = make_plan(PlanOrder(plan="distilling-step-by-step", preset="smoke"))
    pipeline = Pipeline(plan, Material(TASK, make_examples(queries, samples), heldout=queries[10:]))
    asked = {
        step.system: pipeline.asks(step)[0].prompt[-1][1].partition(" ")[0]
        for step in plan.steps
        if isinstance(step, Evaluate) and step.start
    }
    assert asked == {"step-by-step": "predict:", "step-by-step-explain": "explain:"}
    assert [prompt_of(plan, step) for step in ("step-by-step", "")] == ["predict", "vanilla"]
    assert prompt_of(make_plan(PlanOrder(plan="twt", preset="smoke")), "stage3") == "answer"


def test_whatever_compresses_is_ordered_by_its_name() -> None:
    for name in COMPRESSORS:
        plan = make_plan(PlanOrder(plan="twt", preset="smoke", compress_by=name))
        assert {step.by for step in plan.steps if isinstance(step, Compress)} == {name}


def test_a_fixed_length_is_the_median_of_what_the_student_wrote(
    labelled: tuple[list[Query], dict[str, str], list[Sample]],
) -> None:
    queries, _, samples = labelled
    examples = make_examples(queries, samples)
    teachers = {teacher.spec.name: teacher for teacher in SCRIPTED_TEACHERS}
    texts = ["one two three\nAnswer: 1", "one two three four five\nAnswer: 2", "", "a b c d e f g"]
    students = {str(n): Generation(str(n), text, 9, True, 0.1) for n, text in enumerate(texts)}
    for name in ("fixed-length", "truncated"):
        by = COMPRESSORS.get(name)
        work = assign(TASK, examples, teachers, students, None, 1, by)
        assert {item.words for item in work} == {5}
        results = asyncio.run(compress(TASK, work, by, 1, Heard()))
        shortened = [r for r in results if not any(flag.startswith("kept original") for flag in r.flags)]
        assert len(results) == len(examples) and shortened
        if_cut = [r for r in shortened if name == "truncated"]
        assert all(len(r.rationale.split()) <= 5 for r in if_cut)
        (nothing,) = asyncio.run(compress(TASK, assign(TASK, examples[:1], teachers, {}, None, 1, by), by, 1, Heard()))
        assert nothing.rationale == examples[0].rationale and "the student wrote nothing" in nothing.flags[-1]


def test_an_ablation_does_not_take_another_selection_nor_a_baseline_another_loss() -> None:
    with pytest.raises(ConfigError, match="brings a selection of its own"):
        make_plan(PlanOrder(plan="no-dcrs", selection="paper"))
    for name in ("tinyllm", "distilling-step-by-step"):
        with pytest.raises(ConfigError, match="is its own"):
            make_plan(PlanOrder(plan=name, loss="sum-of-tasks"))
    plans = {name: make_plan(PlanOrder(plan=name), recorded=True) for name in ("twt", "mixed", "no-dcrs")}
    said = {name: lacks_compression(plan) for name, plan in plans.items()}
    assert said == {"twt": True, "mixed": False, "no-dcrs": True}


def test_the_part_of_a_row_is_in_a_parquet_file_too(
    labelled: tuple[list[Query], dict[str, str], list[Sample]], tmp_path: Path
) -> None:
    queries, _, samples = labelled
    made = DATASETS.get("two-tasks").rows(TASK, Materials(make_examples(queries, samples)))
    rows = [row_to_json(row) for row in made]
    exporter = EXPORTERS.get("parquet")
    exporter.write(Outgoing(rows=rows), tmp_path / "rows.parquet")
    back = exporter.read(tmp_path / "rows.parquet")
    assert isinstance(back, list) and {row["part"] for row in back} == {None, "rationale"}
