"""The main job on the embedded default: generated puzzles, scripted teachers, TwT beside Standard KD."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.recipe import SEED, SELECTION, Puzzles, Recipe
from app.services import Services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import InputError, NotFound
from engine.puzzles import Puzzle, generate_puzzles
from engine.study import Grid
from engine.tasks import DEFAULT_TASK
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Event, Query, RunStatus, Split, make_query
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run
from storage.selections import StoredSelection

Tell = Callable[[str], None]


@dataclass(frozen=True)
class DemoResult:
    """What a demo leaves: its run, and what went into it."""

    run: Run
    seconds: float
    selection: dict[str, Any]
    auroc: dict[str, float | None]


def run_demo(services: Services, recipe: Recipe, tell: Tell, on_event: Callable[[Event], None]) -> DemoResult:
    """Run a recipe from nothing to its report, or go on with one that was cut off.

    Raises:
        WorkerFailed: if a job ended before its time; the same command goes on from there.
    """
    started = time.monotonic()
    project, selection = prepare_puzzles(services, recipe, tell, on_event)
    auroc = services.calibrate.measure_scores(project.name)
    run = _open_run(services, project, recipe)
    tell(f"{selection.counts['kept']} of {counted(selection.counts['samples'], 'sample')} kept; {run.title} trains")
    run = services.run.wait(run.id, on_event)
    return DemoResult(run, time.monotonic() - started, dict(selection.counts), auroc)


def prepare_puzzles(
    services: Services, puzzles: Puzzles, tell: Tell, on_event: Callable[[Event], None]
) -> tuple[Project, StoredSelection]:
    """A project of generated puzzles whose teachers have answered, with what is selected of it."""
    project = open_project(services, puzzles)
    tell(
        f"three scripted teachers answer {counted(puzzles.queries, 'query')}, and {puzzles.heldout} held-out ones "
        "for comparison"
    )
    scripted = [teacher.spec.name for teacher in SCRIPTED_TEACHERS]
    job = services.label.start(project.name, LabelOrder(scripted, (Split.DISTILL, Split.HELDOUT)))
    services.jobs.wait(job.id, on_event)
    tell("rationales are embedded and selected")
    return project, services.select.select(project.name, SELECTION, on_event)


def prepare_study(services: Services, grid: Grid, tell: Tell, on_event: Callable[[Event], None]) -> None:
    """Make the project of a study that brings its own puzzles, unless it is there and selected from already.

    Raises:
        InputError: if there is such a project, of other queries, from which nothing is selected.
    """
    if grid.puzzles is None:
        return
    puzzles = Puzzles(grid.project, grid.puzzles.queries, grid.puzzles.heldout)
    try:
        project = services.projects.get(grid.project)
    except NotFound:
        tell(f"the project {grid.project} is made")
    else:
        if services.select.is_selected(project.id):
            return
        drawn = {_query(puzzle, Split.DISTILL).id for half in make_puzzles(puzzles) for puzzle in half}
        if any(query.id not in drawn for query in services.data.queries_of(project.id)):
            raise InputError(
                f"the project {grid.project} is there, has other queries than the study's puzzles, and nothing is "
                "selected of them. Select first, or give the study's project another name; nothing was changed."
            )
    prepare_puzzles(services, puzzles, tell, on_event)


def open_project(services: Services, puzzles: Puzzles) -> Project:
    """A project of puzzles with its queries and teachers, made if it is not there yet."""
    try:
        project = services.projects.get(puzzles.project)
    except NotFound:
        config = ProjectConfig(name=puzzles.project, task=DEFAULT_TASK, embedder="packaged")
        project = services.data.create_project(config)
    train, heldout = make_puzzles(puzzles)
    drawn = [(p, _query(p, Split.DISTILL)) for p in train] + [(p, _query(p, Split.HELDOUT)) for p in heldout]
    golds = {query.id: puzzle.answer for puzzle, query in drawn}
    services.data.add_queries(project.id, [query for _, query in drawn], golds)
    services.label.add_scripted_teachers(project.id)
    return project


def make_puzzles(puzzles: Puzzles) -> tuple[list[Puzzle], list[Puzzle]]:
    """Training and held-out puzzles; no held-out text repeats a training one."""
    train = generate_puzzles(puzzles.queries, SEED)
    heldout = generate_puzzles(puzzles.heldout, SEED + 1, frozenset(puzzle.text for puzzle in train))
    return train, heldout


def _query(puzzle: Puzzle, split: Split) -> Query:
    return make_query(puzzle.text, (), puzzle.kind, None, split)


def _open_run(services: Services, project: Project, recipe: Recipe) -> Run:
    """Go on with the newest run where it was cut off, else start a new one."""
    runs = services.reading.runs_of(project.id)
    if runs and runs[0].plan == recipe.plan and runs[0].status is not RunStatus.FINISHED:
        stopped = runs[0].status is RunStatus.STOPPED
        return services.run.resume(runs[0].id) if stopped else runs[0]
    return services.run.start(project.name, recipe.plan)


def describe(services: Services, result: DemoResult) -> dict[str, Any]:
    """The demo's result for machines."""
    data = services.reading.run(result.run.id)
    return {
        "run": result.run.id,
        "seconds": round(result.seconds, 1),
        **{name: data[name] for name in ("rows", "differences", "ship", "verdict", "notes")},
        "selection": result.selection,
        "auroc": result.auroc,
        "failures": services.answers.failures(services.projects.get(result.run.project_id)),
    }
