"""A step of a plan as files for the worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.config import TrainConfig
from engine.datasets.rows import row_to_json
from engine.jobs.spec import WorkerStep
from engine.lines import write_lines
from engine.pipeline import Pipeline, as_line
from engine.plans import Answer, Evaluate, Train


def write_step(
    pipeline: Pipeline, step: Train | Answer | Evaluate, folder: Path, place: Callable[[str], Path]
) -> WorkerStep:
    """Write a step's rows or prompts into a folder, and describe the step to the worker.

    `place` gives the folder in which a train step keeps its checkpoints and its adapter.

    Raises:
        StateError: if there is nothing to train on, or nothing to evaluate on.
    """
    start = place(step.start) / "adapter" if step.start else None
    if isinstance(step, Train):
        file = write_lines(folder / f"{step.name}.jsonl", map(row_to_json, pipeline.training_rows(step)))
        train = _settle(pipeline, step)
        return WorkerStep(kind="train", name=step.name, file=file, start=start, folder=place(step.name), train=train)
    file = write_lines(folder / f"{step.name}.jsonl", map(as_line, pipeline.asks(step)))
    limit = pipeline.plan.student.generate_tokens
    until = pipeline.material.task.stop if isinstance(step, Evaluate) and step.stops_behind_answer else ""
    return WorkerStep(kind="write", name=step.name, file=file, start=start, max_new_tokens=limit, until=until)


def _settle(pipeline: Pipeline, step: Train) -> TrainConfig:
    """The settings with the number of updates, where that is another steps'."""
    if not step.equal_updates_to:
        return step.train
    return step.train.model_copy(update={"updates": pipeline.count_updates(step.equal_updates_to)})
