"""Runs as HTML: a line each in the list, and one of them whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any, Literal

from app.usecases.training.progress import Progress, StepProgress
from app.usecases.training.run_settings import plan_title
from app.web.parts.listing import Column
from app.web.parts.messages import notice_html
from app.web.parts.pipeline import State, pipeline_html, title_steps
from app.web.parts.shell import bar_html
from app.web.parts.tables import Raw, Spark
from app.web.parts.tiles import Tile, badge_html, tiles_html
from engine.plans.titles import title_of
from engine.remaining import Left
from engine.values import JobStatus, RunStatus
from engine.wording import counted, say_span

COLUMNS = (
    Column("name", "Run", "name"),
    Column("plan", "Plan", "plan"),
    Column("status", "Status", "status"),
    Column("steps", "Steps"),
    Column("loss", "Loss"),
    Column("speed", "Tokens/s"),
    Column("left", "Left"),
    Column("score", "Score"),
)
_STATES: dict[JobStatus, State] = {
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "running",
    JobStatus.FINISHED: "done",
}


def run_row(progress: Progress) -> dict[str, Any]:
    """A run as a row of the list."""
    return {
        "id": progress.run.id,
        "name": progress.run.title,
        "plan": plan_title(progress.run.plan),
        "status": Raw(status_html(progress), progress.run.status.value),
        "steps": Raw(_steps_html(progress), f"{progress.steps_done}"),
        "loss": Spark(progress.losses),
        "speed": round(progress.tokens_per_second) if progress.tokens_per_second else None,
        "left": say_left(progress.left) or "-",
        "score": f"{progress.best.accuracy:.3f}" if progress.best else "-",
    }


def status_html(progress: Progress) -> str:
    """How a run stands, in a badge."""
    text, tone = _say_status(progress)
    return badge_html(text, tone)


def _say_status(progress: Progress) -> tuple[str, Literal["", "good", "warn", "bad", "accent"]]:
    status = progress.run.status
    if status is RunStatus.RUNNING:
        return ("Queued", "") if progress.queued else ("Running", "accent")
    if status is RunStatus.WAITING:
        return "Waiting for review", "warn"
    if status is RunStatus.FINISHED:
        return "Finished", "good"
    return ("Cancelled", "") if "cancelled" in progress.run.message[:40] else ("Failed", "bad")


def _steps_html(progress: Progress) -> str:
    share = f"{progress.steps_done} of {progress.steps}"
    return f"<div class='share'>{bar_html(progress.steps_done, progress.steps)}<span>{share}</span></div>"


def say_left(left: Left | None) -> str:
    """The time that is left of a run; "" where it is over, or nobody can tell."""
    if left is None:
        return ""
    return say_span(left.seconds) + (" and compressing" if left.open else "")


def run_html(progress: Progress, steps: Sequence[StepProgress], stale: Sequence[str] = ()) -> str:
    """One run: what it is called, its numbers, and its steps as far as they are."""
    run = progress.run
    begun = f"started {say_time(run.created_at)}" if run.created_at else ""
    facts = " · ".join(filter(None, (plan_title(run.plan), begun, f"id {run.id[:8]}")))
    note = f"<p class='said'>{escape(run.note)}</p>" if run.note else ""
    failed = run.status is RunStatus.STOPPED and _say_status(progress)[1] == "bad"
    tone: Literal["", "bad"] = "bad" if failed else ""
    states = states_of(steps, stale)
    if failed and progress.step in states:
        states[progress.step] = "failed"
    notes = {step.name: _say_step(step, progress) for step in steps}
    return (
        f"<div class='run-head'><h2>{escape(run.title)}</h2>{status_html(progress)}"
        f"<span class='quiet'>{escape(facts)}</span></div>{note}{notice_html(run.message, tone=tone)}"
        f"<div class='run-tiles'>{tiles_html(_tiles(progress, steps))}</div>{pipeline_html(run.plan, notes, states)}"
    )


def states_of(steps: Sequence[StepProgress], stale: Sequence[str]) -> dict[str, State]:
    """Where each step stands, by its name."""
    return {step.name: "stale" if step.name in stale else _STATES.get(step.status, "failed") for step in steps}


def _say_step(step: StepProgress, progress: Progress) -> str:
    """What is known of a step: rows, and the time that it took; how far it is while it runs."""
    if step.status is JobStatus.RUNNING and progress.step == step.name and progress.update is not None:
        left = f"{say_span(progress.left_s)} left" if progress.left_s is not None else ""
        return " · ".join(filter(None, (f"update {progress.update:,} of {progress.of:,}", left)))
    rows = counted(step.rows, "row") if step.rows is not None else ""
    took = say_span(step.seconds) if step.seconds is not None and step.status is JobStatus.FINISHED else ""
    return " · ".join(filter(None, (rows, took)))


def _tiles(progress: Progress, steps: Sequence[StepProgress]) -> list[Tile]:
    took = [step.seconds for step in steps if step.seconds is not None]
    tiles = [
        Tile(
            f"{progress.steps_done} of {progress.steps}",
            "Steps done",
            progress.step and f"now {title_steps(progress.run.plan).get(progress.step, progress.step)}",
        )
    ]
    if progress.run.status is RunStatus.RUNNING:
        tiles.append(Tile(say_left(progress.left) or "unknown", "Left, scoring included"))
    elif took:
        tiles.append(Tile(say_span(sum(took)), "On the device", "all steps together"))
    if progress.losses:
        tiles.append(Tile(f"{progress.losses[-1]:.3f}", "Loss", title_of(progress.trained)))
    if progress.tokens_per_second:
        tiles.append(Tile(f"{progress.tokens_per_second:,.0f}", "Tokens/s", "last update"))
    if progress.best:
        best = progress.best
        tiles.append(
            Tile(
                f"{best.accuracy:.3f}",
                _capital(best.measure),
                f"{title_of(best.name)}, {best.ci_low:.3f} to {best.ci_high:.3f}",
            )
        )
    return tiles


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def say_time(moment: datetime) -> str:
    """A moment of the store, which is in UTC."""
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
