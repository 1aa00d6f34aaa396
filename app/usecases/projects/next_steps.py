"""How far a project is, and what to do in it next: one rule for the list of projects and for the overview of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.values import RunStatus
from storage.standings import Standing

Status = Literal["archived", "empty", "running", "waits for you", "stopped", "finished", "in progress"]


@dataclass(frozen=True)
class NextStep:
    """The page to go to, and what is done there."""

    page: str
    path: str
    what: str


def status_of(standing: Standing) -> Status:
    """A project's state in a word or two."""
    if standing.archived:
        return "archived"
    if standing.jobs or standing.last_run == RunStatus.RUNNING:
        return "running"
    if standing.last_run == RunStatus.WAITING:
        return "waits for you"
    if standing.last_run == RunStatus.STOPPED:
        return "stopped"
    if standing.reported:
        return "finished"
    return "in progress" if standing.queries else "empty"


_STEPS: tuple[tuple[Callable[[Standing, bool], object], NextStep], ...] = (
    (lambda at, _: not at.queries, NextStep("Data", "/data", "Import the queries to distill from.")),
    (lambda at, _: not at.teachers, NextStep("Teachers", "/teachers", "Add the models that answer your queries.")),
    (
        lambda at, _: at.last_run == RunStatus.WAITING,
        NextStep("Compress", "/compress", "Review the short rationales: the run waits for you."),
    ),
    (lambda at, _: at.last_run == RunStatus.RUNNING, NextStep("Train", "/train", "Watch the run that is going on.")),
    (
        lambda at, _: not at.samples,
        NextStep("Label", "/label", "Have the teachers answer, after a look at the price."),
    ),
    (lambda at, _: not at.selections, NextStep("Select", "/select", "Choose the samples to train on.")),
    (
        lambda at, _: at.last_run == RunStatus.STOPPED,
        NextStep("Train", "/train", "The last run stopped: see why, and resume it."),
    ),
    (lambda at, _: not at.runs, NextStep("Train", "/train", "Train a student in stages.")),
    (
        lambda at, _: not at.reported,
        NextStep("Evaluate", "/evaluate", "Score the student on the held-out queries."),
    ),
    (
        lambda _, ships: not ships,
        NextStep("Evaluate", "/evaluate", "No student is worth shipping yet: see where it fails."),
    ),
    (
        lambda at, _: not at.exports,
        NextStep("Save", "/save", "See what asking the student first saves, and at what risk."),
    ),
)
"""In the order of the work: when a step is the next one, and the step."""
_AFTER_ALL = NextStep("Playground", "/playground", "Ask the student and its teachers the same query.")


def next_step(standing: Standing, ships: bool) -> NextStep:
    """The first step of the work that is not done yet; `ships`: there is a student that is worth taking out."""
    return next((step for is_due, step in _STEPS if is_due(standing, ships)), _AFTER_ALL)
