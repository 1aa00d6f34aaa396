"""Samples for the page Kit: the parts about projects, runs, what students came to, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from app.usecases.evaluation.comparisons import System
from app.usecases.evaluation.verdicts import Group
from app.usecases.exports.artefacts import Artefact
from app.usecases.exports.artefacts import State as ArtefactState
from app.usecases.playground.panes import Pane
from app.usecases.projects.next_steps import next_step, status_of
from app.usecases.projects.results import Result, ResultExample
from app.usecases.projects.status import ProjectCard
from app.usecases.serving.child import ChildState
from app.usecases.serving.meter import Meter, Saved
from app.usecases.serving.savings import SaveOrder, Saving
from app.usecases.training.progress import Progress, StepProgress
from app.web.address import View
from app.web.pages.kit_basics import below
from app.web.parts.artefacts import artefacts_html
from app.web.parts.gateway import key_html, state_html, use_html
from app.web.parts.ladder import rungs_html
from app.web.parts.listing import Listing, listing_html
from app.web.parts.meters import meters_html
from app.web.parts.panes import asked_html, panes_html
from app.web.parts.pipeline import Narrowing, State, funnel_html, pipeline_html
from app.web.parts.projects import project_cards_html
from app.web.parts.results import example_html, result_html
from app.web.parts.risk import risk_html
from app.web.parts.runs import COLUMNS, run_html, run_row
from app.web.theme import stage_colour, teacher_colour
from engine.evaluation.money import PayBack
from engine.evaluation.report import Verdict
from engine.evaluation.risk_coverage import RiskCoverage
from engine.plans.order import PlanOrder
from engine.plans.registry import make_plan
from engine.remaining import Left
from engine.serving.certificate import Losses
from engine.serving.deferral.confidence import Confidence
from engine.serving.drift import DriftState
from engine.serving.outcomes import Outcomes
from engine.serving.saving import Effort, Ladder, LadderStep, Single, StepChoice
from engine.values import JobStatus, RunStatus, make_query
from engine.values.query import Choice
from engine.values.report import READ, SCORE, TOKENS, TOKENS_P95, WHOLE, ReportRow, Value
from storage.runs import Run
from storage.standings import Standing

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_COLOURS = {"stage3": stage_colour("stage3"), "stage1": stage_colour("stage1"), "ann": teacher_colour(["ann"], "ann")}


def _score(name: str, score: float, tokens: float) -> ReportRow:
    values = {
        SCORE: Value(score, 96, score - 0.05, score + 0.04),
        READ: Value(1.0, 96),
        TOKENS: Value(tokens, 96),
        TOKENS_P95: Value(2 * tokens, 96),
    }
    return ReportRow(name, WHOLE, 96, values)


def _run(status: RunStatus, message: str = "", name: str = "", note: str = "") -> Run:
    plan, created = make_plan(PlanOrder(review=True)), datetime(2026, 11, 1, 9)
    return Run("f82305461c", "p", "s", plan, "", status, message, name, note, number=2, created_at=created)


def _progress() -> dict[str, Progress]:
    losses = [3.0, 2.1, 1.4, 1.2]
    running = Progress(
        *(_run(RunStatus.RUNNING), 7, 15, "stage2", 40, 150, losses, "stage2", 812.0, 200.0, Left(1_500.0, True)),
        queued=False,
    )
    queued = Progress(_run(RunStatus.RUNNING), 0, 15, "", None, None, [], "", None, None, None, queued=True)
    over = replace(running, left=None, left_s=None, update=None, of=None)
    waits = replace(over, run=_run(RunStatus.WAITING, "48 rationales wait for review."), steps_done=6, step="review")
    done = replace(over, run=_run(RunStatus.FINISHED, "", "A named run", "The second try."), steps_done=15, step="")
    failed = replace(over, run=_run(RunStatus.STOPPED, "stage2: the device ran out of memory."))
    return {
        "Queued": queued,
        "Running": running,
        "Waits for review": waits,
        "Finished": replace(done, best=_score("stage3", 0.7, 4.9)),
        "Failed": failed,
        "Cancelled": replace(over, run=_run(RunStatus.STOPPED, "The run was cancelled.")),
    }


def _runs() -> Mapping[str, str]:
    runs = _progress()
    rows = [{**run_row(run), "id": name} for name, run in runs.items()]
    listing = Listing(rows, COLUMNS, View(), 0, len(rows), 10, "runs", {}, empty="No runs yet.")
    plan = make_plan(PlanOrder(review=True))
    drawn = {name: run_html(run, _steps(run), _stale(name)) for name, run in runs.items()}
    none = replace(listing, rows=[], total=0)
    return {"In a list": listing_html(listing), "None": listing_html(none), "A plan": pipeline_html(plan), **drawn}


def _steps(run: Progress) -> list[StepProgress]:
    """The steps of a run as far as it is: those before its present one are done."""
    names = [step.name for step in run.run.plan.steps]
    statuses = {RunStatus.RUNNING: JobStatus.RUNNING, RunStatus.STOPPED: JobStatus.CANCELLED}
    present = statuses.get(run.run.status, JobStatus.QUEUED)
    return [
        StepProgress(name, JobStatus.FINISHED, 60.0 + at, 480)
        if at < run.steps_done
        else StepProgress(name, present if name == run.step else JobStatus.QUEUED, None, None)
        for at, name in enumerate(names)
    ]


def _stale(name: str) -> list[str]:
    return ["stage3"] if name == "Finished" else []


def _pipelines() -> Mapping[str, str]:
    plan = make_plan(PlanOrder(review=True))
    every: tuple[State, ...] = ("done", "running", "failed", "stale", "queued")
    states = {step.name: every[at % len(every)] for at, step in enumerate(plan.steps)}
    order = PlanOrder(stages="1,2@1e-4,1", selection="paper")
    steps = [
        Narrowing("Queries", 480, "", "#"),
        Narrowing("Samples", 1_440, "22 failed", "#", "3 teachers"),
        Narrowing("Kept", 875, "565 rejected", "#"),
        Narrowing("Compressed", 0, "", "#"),
    ]
    return {
        "A plan in all states": pipeline_html(plan, {"stage2": "update 40 of 150"}, states),
        "With a selection of its own": pipeline_html(make_plan(order)),
        "A funnel": funnel_html(steps),
        "An empty one": funnel_html([Narrowing("Queries", 0, "", "#")]),
    }


def _projects() -> Mapping[str, str]:
    changed, spent = _NOW.replace(tzinfo=None), Decimal("1.25")
    full = Standing("1", "sample", False, 300, 875, 3, 1, 1, "running", 0, 0, 0, spent, 3, changed)
    standings = [
        replace(full, name="sample-running"),
        replace(full, name="sample-waiting", last_run="waiting"),
        replace(full, name="sample-stopped", last_run="stopped"),
        replace(full, name="sample-finished", last_run="finished", reported=1),
        replace(full, name="sample-" * 8, last_run=None, runs=0, unknown_cost=0),
        Standing("2", "sample-empty", False, 0, 0, 0, 0, 0, None, 0, 0, 0, Decimal(0), 0, changed),
        replace(full, name="sample-archived", last_run="finished", archived=True, changed=datetime(2026, 9, 1)),
    ]
    cards = [ProjectCard(at, "multiple choice", status_of(at), next_step(at, ships=False)) for at in standings]
    return {"In all states": project_cards_html(cards, _NOW), "None": project_cards_html([], _NOW)}


def _results() -> Mapping[str, str]:
    def of(row: ReportRow, group: Group, cost: float | None, ship: bool = False) -> System:
        return System(row, group, cost, None, None, ship, assumed=True, colour=_COLOURS.get(row.name, "#838d9d"))

    student, teacher = of(_score("stage3", 0.7, 4.9), "stage", 0.004, True), of(_score("ann", 0.9, 80), "teacher", 1.4)
    systems = [student, teacher, of(_score("vanilla", 0.08, 30), "untrained", 0.02)]
    free = [of(_score("stage3", 0.7, 0), "stage", None, True), of(_score("ann", 0.0, 80), "teacher", None)]
    ship = Verdict("stage3", "stage3", "vanilla", None, None, 96, 0.02)
    run = _run(RunStatus.FINISHED)
    query = make_query("What is 4 + 5?", choices=(Choice("A", "9"), Choice("B", "8")))
    return {
        "A student to ship": result_html(Result("sample", run, ship, systems)),
        "Nothing to ship": result_html(Result("sample", run, replace(ship, ship=None), systems)),
        "Nothing is known of money, or of any length": result_html(Result("sample", run, ship, free)),
        "No teacher was scored": result_html(Result("sample", run, ship, [student])),
        "An answer of each": example_html(
            ResultExample(query, "stage3", "A", 2, "ann", "4 and 5 make 9.\nAnswer: A", 12)
        ),
    }


def _risk() -> Mapping[str, str]:
    share = tuple(n / 10 for n in range(1, 11))
    values = Value(0.81, 96, 0.7, 0.9), Value(0.12, 96, 0.08, 0.2), Value(0.05, 96, 0.03, 0.1)
    curves = [
        RiskCoverage("stage3", 96, share, tuple(0.3 * at for at in share), *values),
        RiskCoverage("stage1", 100, share, tuple(0.1 + 0.3 * at for at in share), None, *values[1:]),
    ]
    return {"Curves": risk_html(curves, _COLOURS), "Nothing known": risk_html([], {})}


def _ladders() -> Mapping[str, str]:
    shares = {"Two students before a teacher": (0.5, 0.3, 0.2), "One that is never asked": (0.0, 0.6, 0.4)}
    drawn = {name: rungs_html(_saving(("stage3", "stage1"), each)) for name, each in shares.items()}
    return {**drawn, "The teacher alone": rungs_html(_saving((), (1.0,)))}


def _saving(students: tuple[str, ...], shares: tuple[float, ...]) -> Saving:
    rules = tuple(Confidence(threshold=0.9 if share else None) for share in shares[:-1])
    effort, losses, nothing = Effort(20.0, 0.0004, 0.5), Losses(2, 1, 45), np.zeros((0, 0))
    step = LadderStep(rules, losses, losses, 0.88, shares, effort)
    systems = (*students, "ann")
    seen = Outcomes(systems, (), (), nothing.astype(bool), nothing, nothing, nothing, nothing)
    ladder = Ladder(systems, (step,), (Single("ann", 0.9, effort),), 48, 48, seen)
    pays = PayBack(1.25, 0.0, 0, 0.5, 0.2, 0.0014, 0.00001, 1_040.0)
    order = SaveOrder(students=students, reference="ann")
    return Saving(order, ladder, StepChoice(step, 0, True, None, {}), "gold", (), (), pays, _COLOURS)


def _meters() -> Mapping[str, str]:
    calm = DriftState(40, 38, 0.95, "policy", 0.9, 0.4, None)
    saved = Saved(70.0, 60.0, 80.0, 84_000.0, 1_200, "shadows")
    money = Saved(0.00125, 0.001, 0.0015, 1.5, 1_200, "policy")
    busy = Meter(
        *("sample", "p", "f82305461c", "127.0.0.1:8080", 0.0, 60.0, 1_200, {"stage3": 1_000, "ann": 200}, 0, 0, {}, 0),
        *({}, {}, 0.3, 40, 0.05, 0.2, 1.1, saved, money, calm),
    )
    errors = {"every rung failed": 3, "too long": 1}
    bad = replace(busy, fallbacks=2, errors=errors, refused=5, cut_off=1, cut_off_most=0.02)
    lost = replace(money, mean=-0.0004, low=-0.002, high=0.001, total=-0.5)
    alarmed = replace(bad, drift=DriftState(60, 30, 0.95, "policy", 0.9, 40.0, 52), dollars_saved=lost)
    unknown = replace(busy, requests=0, by_rung={}, address="", p50_s=None, tokens_saved=None, dollars_saved=None)
    return {
        "No gateway": meters_html([]),
        "No request yet": meters_html([replace(unknown, drift=DriftState(0, 0, None, "first", None, 1.0, None))]),
        "In order": meters_html([busy]),
        "An alarm, and requests that failed": meters_html([alarmed]),
    }


def _gateway() -> Mapping[str, str]:
    states = {
        "None": ChildState("none"),
        "Starting": ChildState("starting"),
        "Open": ChildState("open", "http://127.0.0.1:8080/v1", ("tacit", "stage3", "ann")),
        "Ended by itself": ChildState("ended", words="The port 8080 is taken."),
        "Ended without a word": ChildState("ended"),
    }
    drawn = {name: below(state_html(state), use_html(state)) for name, state in states.items()}
    return {**drawn, "Its key": key_html("tacit-sample-key")}


def _artefacts() -> Mapping[str, str]:
    notes: dict[ArtefactState, str] = {
        "ready": "96 of 96 answers are the scored student's.",
        "not checked": "Not read back yet.",
        "changed": "90 of 96 answers are the scored student's.",
        "not prepared": "",
        "preparing": "Being prepared in the background.",
        "checking": "It answers held-out queries.",
        "failed": "The disk is full.",
        "refused": "This student is none that can be merged.",
        "missing": "This run has trained no stage yet.",
    }
    cards = [
        Artefact(
            f"student-{at}", f"A student, {state}", "What it is for.", "4.2 MB", state, (("adapter", "zip"),), note
        )
        for at, (state, note) in enumerate(notes.items())
    ]
    forms = ("jsonl", "JSONL"), ("parquet", "Parquet")
    rows = Artefact("rows-full", "Training rows: full reasoning", "What stage 1 learned.", "875 rows", "ready", forms)
    main = replace(cards[1], id="student-adapter", title="The student as it comes by default, not checked")
    return {
        "In all states": artefacts_html([main, *cards, rows, replace(rows, id="rows-other", used=False)]),
        "Where nothing can be prepared": artefacts_html(cards[1:5], prepares=False),
        "None": artefacts_html([]),
    }


def _answers() -> Mapping[str, str]:
    panes = [
        Pane("stage3 · f8230546", "Answer: 9", 5, 0.2, over=True, right=True, log_prob=-0.03, label_tokens=3),
        Pane("ann", "First 4 and 5.\nAnswer: 8", 40, 2.1, 0.0021, over=True, right=False),
        Pane("ben", "First", over=False),
        Pane("dan", "", over=False),
        Pane("eve", "", over=True),
        Pane("cem", over=True, message="rate_limit: slow down"),
    ]
    return {
        "A query with its gold label": asked_html("What is 4 + 5?", ("q", "What is 4 + 5?"), "9"),
        "Too long for a link": asked_html("What is 4 + 5? " * 20, None),
        "Right, wrong, writing, waiting, silent, failed": panes_html(panes, {panes[0].name: _COLOURS["stage3"]}),
    }


STUDENTS: dict[str, Callable[[], Mapping[str, str]]] = {
    "Projects": _projects,
    "Plans and funnels": _pipelines,
    "Runs": _runs,
    "Results": _results,
    "Risk and coverage": _risk,
    "Ladders": _ladders,
    "Gateway": _gateway,
    "Meters": _meters,
    "Artefacts": _artefacts,
    "Answers": _answers,
}
"""Parts by title."""
