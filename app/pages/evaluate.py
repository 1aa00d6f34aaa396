"""Evaluate: is it good enough, and what does it save?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.console import kinds_lines
from app.pages.frame import Frame
from app.pages.picking import run_choices
from app.pages.plots import tradeoff
from app.services import Services
from app.usecases.comparing import PAGE, PayBack, System
from app.view import columns_html, table_html, told_html
from engine.errors import InputError
from storage.projects import Project
from storage.runs import Run

_EMPTY = "No run yet. The page Train starts one; its stages are scored on the held-out queries."
_ANY = "either"


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    gr.Markdown("## Evaluate\nStudents, teachers and baselines on the same held-out queries.")
    do = _Handlers(frame.services)
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True)
        hour = gr.Textbox(label="An hour of the device in US $", placeholder="unknown", max_length=20)
        again = gr.Button("Score again")
    said = gr.HTML(padding=False)
    table = gr.HTML(padding=False)
    with gr.Row():
        plot = gr.Plot(label="score against output tokens", visible=False)
        with gr.Column(min_width=320):
            with gr.Row():
                student = gr.Dropdown([], label="Student", interactive=True, min_width=120)
                teacher = gr.Dropdown([], label="instead of", interactive=True, min_width=120)
                price = gr.Textbox(
                    label="its 1,000 answers, US $", placeholder="as measured", max_length=20, min_width=120
                )
            paid = gr.HTML(padding=False)
    kinds = gr.HTML(padding=False)
    gr.Markdown("### Where two of them differ")
    with gr.Row():
        first = gr.Dropdown([], label="One", interactive=True)
        second = gr.Dropdown([], label="The other", interactive=True)
        alone = gr.Dropdown([_ANY], value=_ANY, label="Right is only", interactive=True)
        start, forward = gr.Button("First page"), gr.Button("Next page")
    items, begin = gr.HTML(padding=False), gr.State(0)

    report = [said, table, plot, kinds, student, teacher, first, second, alone]
    frame.fill_once([run], do.choices)
    run.change(frame.guard(do.show), [frame.project, run, hour], report, **frame.quiet)
    hour.change(
        frame.guard(do.price), [frame.project, run, hour], report[:4], show_progress="hidden", **frame.quiet
    ).success(frame.guard(do.pay_back), [frame.project, run, hour, student, teacher, price], paid, **frame.quiet)
    scored = again.click(frame.guard(do.score), [frame.project, run], said, **frame.quiet)
    scored.success(frame.guard(do.show), [frame.project, run, hour], report, **frame.quiet)
    back: dict[str, Any] = {
        "inputs": [frame.project, run, hour, student, teacher, price],
        "outputs": paid,
        "show_progress": "hidden",
        **frame.quiet,
    }
    for part in (student, teacher, price):
        part.change(frame.guard(do.pay_back), **back)
    asked = [frame.project, run, first, second, alone]
    for event in (first.change, second.change, alone.change, start.click):
        event(frame.guard(do.first), asked, [items, begin], show_progress="hidden", **frame.quiet)
    forward.click(frame.guard(do.turn), [*asked, begin], [items, begin], **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    services: Services

    def _run(self, project: str, run: str | None) -> Run:
        return self.services.reading.run_of(project, run)

    def choices(self, project: Project | None) -> Any:
        return run_choices(self.services.context.runs.all(project.id) if project else [])

    def score(self, project: str, run: str | None) -> str:
        self.services.run.score(self._run(project, run).id)
        return told_html("Scored again by the labels as they are now.")

    def show(self, project: str, run: str | None, hour: str) -> list[Any]:
        empty = [gr.Dropdown([], value=None) for _ in range(4)]
        if not run:
            return [told_html(_EMPTY), "", gr.Plot(visible=False), "", *empty, gr.Dropdown([_ANY], value=_ANY)]
        found = self._run(project, run)
        systems = self.services.compare.systems(found, read_price(hour))
        data = self.services.reading.run(found.id)
        if not systems:
            told = f"{data['status']}: {data['message'] or 'nothing is scored yet'}. "
            told += "Scores need held-out queries with labels, or with answers of two teachers."
            return [told_html(told), "", gr.Plot(visible=False), "", *empty, gr.Dropdown([_ANY], value=_ANY)]
        names = [system.report.name for system in systems]
        pair = _pair(systems)
        return [
            _told(systems, data, self.services.compare.ship_by_kind(found)),
            table_html([_line(system) for system in systems], _caption(systems)),
            gr.Plot(tradeoff(systems), visible=True),
            table_html(
                kinds_lines(self.services.context.reports.rows(found.id)), f"{systems[0].report.measure} by kind"
            ),
            _choose([s.report.name for s in systems if s.group != "teacher"], pair[0]),
            _choose([s.report.name for s in systems if s.group == "teacher"] or names, pair[1]),
            _choose(names, pair[0]),
            _choose(names, pair[1]),
            gr.Dropdown([_ANY, *pair], value=_ANY),
        ]

    def price(self, project: str, run: str | None, hour: str) -> list[Any]:
        """What a price of the device changes; what was chosen below stays."""
        return self.show(project, run, hour)[:4]

    def pay_back(
        self, project: str, run: str | None, hour: str, student: str | None, teacher: str | None, price: str
    ) -> str:
        if not run or not student or not teacher:
            return ""
        compare = self.services.compare
        found = compare.pay_back(self._run(project, run), student, teacher, read_price(hour), read_price(price))
        return told_html(pay_back_text(found, student, teacher))

    def first(self, project: str, run: str | None, first: str | None, second: str | None, alone: str) -> list[Any]:
        return self._items(project, run, (first, second, alone), 0)

    def turn(
        self, project: str, run: str | None, first: str | None, second: str | None, alone: str, begin: int
    ) -> list[Any]:
        return self._items(project, run, (first, second, alone), begin + PAGE)

    def _items(self, project: str, run: str | None, asked: tuple[str | None, str | None, str], begin: int) -> list[Any]:
        first, second, alone = asked
        if not run or not first or not second:
            return ["", 0]
        only = "" if alone == _ANY else alone
        rows = self.services.compare.differing(self._run(project, run), first, second, begin, only)
        parts = [_item_html(row, first, second) for row in rows]
        told = f"{begin + 1}-{begin + len(rows)} of the queries on which they differ" if rows else "No such query here."
        return [told_html(told) + "".join(parts), begin]


def read_price(text: str | None) -> float | None:
    """An amount of US dollars as somebody typed it; None where nothing was.

    Raises:
        InputError: if it is no amount.
    """
    if text is None or not text.strip():
        return None
    try:
        amount = float(text.strip().removeprefix("$"))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e9:
        raise InputError(f"{text}: give an amount in US dollars as 0.80, or leave it empty for unknown.")
    return amount


def _choose(names: list[str], value: str) -> Any:
    return gr.Dropdown(names, value=value if value in names else names[0] if names else None)


def _pair(systems: list[System]) -> tuple[str, str]:
    """Whom to compare first: the stage to ship, with the best teacher or else with whoever stands first."""
    ship = next((s for s in systems if s.ship), systems[-1])
    teachers = [s for s in systems if s.group == "teacher"]
    other = max(teachers, key=lambda s: s.report.accuracy) if teachers else systems[0]
    return ship.report.name, other.report.name


def _told(systems: list[System], data: dict[str, Any], by_kind: dict[str, str]) -> str:
    ship = next((s for s in systems if s.ship), None)
    told = []
    if ship is not None:
        row = ship.report
        told.append(
            f"Ship {row.name}: {row.measure} {row.accuracy:.2f} with {row.mean_output_tokens:.1f} output tokens."
        )
        above = [s.report for s in systems if s.group == "baseline" and s.report.accuracy > row.accuracy]
        if above:
            named = ", ".join(f"{r.name} ({r.accuracy:.2f}, {r.mean_output_tokens:.1f} tokens)" for r in above)
            told.append(f"That is the best of the stages. Above it, having learned answers only: {named}.")
        others = {kind: name for kind, name in by_kind.items() if name != row.name}
        if others:
            told.append("By kind otherwise: " + ", ".join(f"{name} for {kind}" for kind, name in others.items()) + ".")
    if data["status"] != "finished":
        told.append(f"The run is {data['status']}{': ' + data['message'] if data['message'] else ''}.")
    stale = [step["step"] for step in data["steps"] if step["status"] == "stale"]
    if stale:
        told.append(
            f"{', '.join(stale)} are stale: what they learned from was changed since; Resume on the page Train does "
            "them again."
        )
    return told_html(" ".join(told)) + "".join(told_html(note) for note in data["notes"])


def _line(system: System) -> dict[str, Any]:
    row, gained = system.report, system.gained
    return {
        "system": f"{row.name}, ship this" if system.ship else row.name,
        f"{row.measure} (95%)": f"{row.accuracy:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]",
        "over few-shot vanilla": "-" if gained is None else _gain(gained.difference, gained.ci_low, gained.ci_high),
        "tokens, p95": f"{row.mean_output_tokens:.1f}, {row.p95_output_tokens:.0f}",
        "billed": "-" if system.billed_tokens is None else f"{system.billed_tokens:.0f}",
        "seconds": "-" if row.mean_latency_s is None else f"{row.mean_latency_s:.2f}",
        "$ / 1,000": "unknown" if system.cost_per_1000 is None else f"{system.cost_per_1000:.4f}",
        "read": f"{row.parse_rate:.0%}",
    }


def _caption(systems: list[System]) -> str:
    return (
        f"{systems[0].report.n:,} held-out queries; tokens are the student tokenizer's, for length; billed ones are "
        "the provider's, for money; read: answers that could be"
    )


def _gain(difference: float, low: float, high: float) -> str:
    return f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]"


def pay_back_text(found: PayBack, student: str, teacher: str) -> str:
    """When it pays back, and what that is reckoned from; or what is missing to say so."""
    asking = f"${found.asking:.4f}"
    if found.unknown_requests:
        asking += f" and {found.unknown_requests:,} requests of unknown price"
    device = "at an unknown price" if found.device is None else f"(${found.device:.4f})"
    basis = f"Asking teachers cost {asking}, training and writing took {found.device_hours:.2f} device hours {device}."
    each = f"A thousand answers: {teacher} {_money(found.teacher_cost)}, {student} {_money(found.student_cost)}."
    if found.queries is not None:
        told = f"Pays back after {found.queries:,.0f} queries."
    elif None in (found.device, found.teacher_cost, found.student_cost) or found.unknown_requests:
        told = "When it pays back is not known: a price is missing (the device's hour, or the teacher's answers)."
    else:
        told = f"It does not pay back: an answer of {teacher} costs no more than one of {student}."
    return f"{told} {basis} {each}"


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}"


def _item_html(row: dict[str, Any], first: str, second: str) -> str:
    heads = []
    for name, side in ((first, "first"), (second, "second")):
        verdict = {True: "right", False: "wrong", None: "not scored"}[row[f"{side}_correct"]]
        heads.append((f"{name}: {row[f'{side}_label'] or 'no answer read'} ({verdict})", row[f"{side}_text"] or ""))
    gold = f"\nGold: {row['gold']}" if row["gold"] is not None else ""
    kind = f"[{row['kind']}] " if row["kind"] else ""
    told = told_html(f"{kind}{row['query']}{gold}")
    return f"<div class='item'>{told}{columns_html(heads)}</div>"
