"""The card of a pilot: go, not yet or no, why, what to change, and what that goes by."""

from __future__ import annotations

from html import escape

from app.usecases.labelling.pilot_lines import (
    TITLES,
    bound_rows,
    list_changes,
    list_notes,
    say_basis,
    say_count,
    say_dollars,
    say_reason,
    teacher_rows,
)
from app.usecases.labelling.pilots import Pilot
from app.web.parts.code import command_html
from app.web.parts.tables import table_html, titled
from app.web.parts.terms import explained_html
from app.web.parts.tiles import Tile, tiles_html, verdict_html
from engine.evaluation.go_ahead import PilotVerdict, find_right
from engine.evaluation.pilot import PilotFigures
from engine.values.report import Value

_SHARES = ("Replies", "Parsed", "Agrees", "Reliability", "Right")
_COLUMNS = (
    "Agrees: mean share of the other teachers that give the same label. Reliability: accuracy by {term}, from "
    "agreement alone; it needs three teachers. Right: share of labels that are right by gold. Intervals are 95%, "
    "Wilson's for parsed, by a bootstrap over queries for the others."
)


def pilot_html(pilot: Pilot, project: str) -> str:
    """The verdict of a pilot on a project."""
    verdict = pilot.go_ahead.verdict
    changes = "".join(f"<li>{escape(text)}</li>" for text in list_changes(pilot))
    inner = (f"<ul>{changes}</ul>" if changes else "") + tiles_html(_tiles(pilot))
    title = f"Pilot: {TITLES[verdict][:1].lower()}{TITLES[verdict][1:]}"
    head = verdict_html(
        title, say_reason(pilot), verdict is PilotVerdict.GO, inner=inner, against=verdict is PilotVerdict.NO
    )
    return head + _more_html(pilot, project)


def old_pilot_html(pilot: Pilot, project: str) -> str:
    """The same where nothing is left to ask: folded."""
    return (
        "<details class='more'><summary>What the pilot's queries say of the teachers</summary>"
        f"<div>{pilot_html(pilot, project)}</div></details>"
    )


def _tiles(pilot: Pilot) -> list[Tile]:
    figures, decides = pilot.figures, pilot.go_ahead.decides
    if decides is not None and decides.bound.before_all:
        replied = sum(teacher.replied for teacher in figures.teachers)
        return [
            Tile(f"{replied:,} of {figures.asked:,}", "Requests with a reply", "", "warn"),
            Tile(f"{figures.answered:,} of {figures.queries:,}", "Queries answered"),
        ]
    right = find_right(figures)
    tiles = [
        _share_tile("Two teachers agree", figures.agreed),
        _share_tile("Labels right by gold", right, f", {right.n:,} queries" if right else ""),
        _share_tile("Samples kept", figures.kept),
        Tile(say_dollars(figures.cost), "The whole labelling", _between(figures.cost)),
        _each_tile(figures),
    ]
    if figures.kept_in_all is not None:
        tiles.insert(3, Tile(f"{figures.kept_in_all.value:,.0f}", "Kept of the whole", _counts(figures.kept_in_all)))
    return tiles


def _each_tile(figures: PilotFigures) -> Tile:
    """What a kept sample costs."""
    if figures.kept is not None and figures.kept.value == 0:
        return Tile("-", "A kept sample", "nothing is kept")
    return Tile(say_dollars(figures.cost_each), "A kept sample", _between(figures.cost_each))


def _share_tile(label: str, value: Value | None, more: str = "") -> Tile:
    if value is None:
        return Tile("unknown", label)
    low, high = value.low or 0.0, 1.0 if value.high is None else value.high
    return Tile(f"{value.value:.2f}", label, f"{low:.2f}-{high:.2f}{more}")


def _between(value: Value | None) -> str:
    if value is None or value.low is None or value.low == value.high:
        return ""
    if value.high is None:
        return "and more"
    low, high = (say_dollars(Value(end, 1)) for end in (value.low, value.high))
    return "" if low == high else f"{low}-{high}"


def _counts(value: Value) -> str:
    return say_count(value).partition(" [")[2].removesuffix("]").replace(", ", "-")


def _more_html(pilot: Pilot, project: str) -> str:
    """What the verdict goes by: its bounds, the teachers, what could not be told, the command."""
    notes = "".join(f"<p class='quiet'>{escape(note)}</p>" for note in list_notes(pilot))
    columns = _COLUMNS.format(term=explained_html("Dawid-Skene"))
    bounds = "Go: every figure from its bound on. No: one lies below its lower bound with all of its interval."
    return (
        f"<details class='more pilot'><summary>What it goes by: {escape(say_basis(pilot))}</summary><div>"
        + table_html(titled(bound_rows(pilot)), bounds, right=("Pilot", "Go from", "No below"))
        + table_html(titled(teacher_rows(pilot)), "Teachers", right=_SHARES)
        + f"<p class='quiet'>{columns}</p><p class='quiet'>Kept by: {escape(pilot.selection)}.</p>{notes}"
        + command_html(["tacit", "label", project, "--pilot", "--quote"])
        + "</div></details>"
    )
