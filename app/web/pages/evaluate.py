"""Evaluate: is it good enough, and what does it save?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.evaluation.comparisons import ASSUMED_HOUR, PAGE, System, say_pay_back
from app.usecases.evaluation.report_lines import kinds_lines, more_lines, show_measure
from app.usecases.evaluation.verdicts import say_difference, say_verdict
from app.web.choices import enable, run_choices
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.offers import only_guides
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.parts.texts import columns_html
from app.web.plots import tradeoff
from engine.costs import ASSUMED
from engine.errors import InputError
from engine.evaluation.report import MARGIN, Verdict
from engine.values.report import READ, SCORE, SECONDS, TOKENS, TOKENS_P95, ReportRow
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run

_EMPTY = "No run yet. The page Train starts one; its stages are scored on the held-out queries."
_ANY = "either"
_MORE = "more of the same answers, with 95% intervals"


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    run, hour, margin, again = _lay_head()
    said, table = lay_html(), lay_html()
    with gr.Row():
        plot = gr.Plot(label="score against output tokens", visible=False)
        with gr.Column(min_width=320):
            student, teacher, price, paid = _lay_pay_back()
    kinds = lay_html()
    first, second, alone = _bind_differing(frame, do, run)

    report = [said, table, plot, kinds, student, teacher, first, second, alone, again]
    hidden: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_once([run, margin], do.open)
    run.change(frame.guard(do.show), [frame.project, run, hour], report, **frame.quiet)
    back = [frame.project, run, hour, student, teacher, price]
    hour.change(frame.guard(do.price), [frame.project, run, hour], report[:4], **hidden).success(
        frame.guard(do.pay_back), back, paid, **frame.quiet
    )
    frame.follow(
        margin.input(
            frame.guard(do.set_margin),
            [frame.project, run, hour, margin],
            report[:4],
            trigger_mode="always_last",
            **hidden,
        )
    )
    margin.blur(frame.guard(do.keep_margin), [frame.project, margin], margin, **hidden)
    scored = again.click(frame.guard(do.score), [frame.project, run], said, **frame.quiet)
    frame.follow(scored.success(frame.guard(do.show), [frame.project, run, hour], report, **frame.quiet))
    for part in (student, teacher, price):
        part.change(frame.guard(do.pay_back), back, paid, **hidden)


def _lay_head() -> list[Any]:
    """Which run, at which price of the device, and how far below the best a shorter student may lie."""
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True)
        hour = gr.Textbox(
            f"{ASSUMED_HOUR:.2f}",
            label="An hour of the device in US $",
            info="assumed: two rented processors; put yours",
            placeholder="unknown",
            max_length=20,
        )
        margin = gr.Textbox(
            label="Points a shorter one may lose",
            info="against the best; for all runs of the project",
            max_length=10,
        )
        again = gr.Button("Score again", interactive=False)
    return [run, hour, margin, again]


def _lay_pay_back() -> list[Any]:
    """Which student instead of which teacher, at what price of the teacher's, and what that comes to."""
    with gr.Row():
        student = gr.Dropdown([], label="Student", interactive=True, min_width=120)
        teacher = gr.Dropdown([], label="instead of", interactive=True, min_width=120)
        price = gr.Textbox(label="its 1,000 answers, US $", placeholder="as measured", max_length=20, min_width=120)
    return [student, teacher, price, lay_html()]


def _bind_differing(frame: Frame, do: _Handlers, run: Any) -> list[Any]:
    """The part that shows where two systems differ."""
    gr.Markdown("### Where two of them differ")
    with gr.Row():
        first = gr.Dropdown([], label="One", interactive=True)
        second = gr.Dropdown([], label="The other", interactive=True)
        alone = gr.Dropdown([_ANY], value=_ANY, label="Right is only", interactive=True)
        start, forward = (gr.Button(name, interactive=False) for name in ("First page", "Next page"))
    items, begin = lay_html(), gr.State(0)
    asked = [frame.project, run, first, second, alone]
    for event in (first.change, second.change, alone.change, start.click):
        event(frame.guard(do.first), asked, [items, begin, start, forward], show_progress="hidden", **frame.quiet)
    forward.click(frame.guard(do.turn), [*asked, begin], [items, begin, start, forward], **frame.quiet)
    return [first, second, alone]


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    services: Services

    def _run(self, project: str, run: str | None) -> Run:
        return self.services.reading.run_of(project, run)

    def open(self, project: Project | None) -> list[Any]:
        """The runs, and the margin as it is set."""
        runs = self.services.reading.runs_of(project.id) if project else []
        return [run_choices(runs), f"{100 * (project.config.margin if project else MARGIN):g}"]

    @only_guides
    def keep_margin(self, project: str, margin: str | None) -> Any:
        """A field that is left empty shows the margin that holds."""
        current = self.services.projects.get(project).config.margin
        return gr.skip() if (margin or "").strip() else f"{100 * current:g}"

    def set_margin(self, project: str, run: str | None, hour: str, margin: str | None) -> list[Any]:
        """Set the margin; one that can't be is told in the place of the verdict, and the earlier one stays."""
        try:
            self.services.compare.set_margin(project, read_points(margin))
        except InputError as error:
            return [notice_html(str(error), bad=True), gr.skip(), gr.skip(), gr.skip()]
        return self.show(project, run, hour)[:4]

    def score(self, project: str, run: str | None) -> str:
        self.services.run.score(self._run(project, run).id)
        return notice_html("Scored again by the labels as they are now.")

    def show(self, project: str, run: str | None, hour: str) -> list[Any]:
        empty = [gr.Dropdown([], value=None) for _ in range(4)]
        none = ["", gr.Plot(visible=False), "", *empty, gr.Dropdown([_ANY], value=_ANY), *enable(False)]
        if not run:
            return [notice_html(_EMPTY), *none]
        run_record = self._run(project, run)
        systems = self.services.compare.systems(run_record, read_price(hour))
        data = self.services.reading.run(run_record.id)
        if not systems:
            message = f"{data['status']}: {data['message'] or 'nothing is scored yet'}. "
            message += "Scores need held-out queries with labels, or with answers of two teachers."
            return [notice_html(message), *none]
        names = [system.report.name for system in systems]
        pair = _pair(systems)
        return [
            _summary_html(data, self.services.compare.verdict(run_record), self.services.compare.verdicts(run_record)),
            _tables_html(systems),
            gr.Plot(tradeoff(systems), visible=True),
            table_html(kinds_lines(self.services.reading.report(run_record)), f"{systems[0].report.measure} by kind"),
            _choose([s.report.name for s in systems if s.group != "teacher"], pair[0]),
            _choose([s.report.name for s in systems if s.group == "teacher"] or names, pair[1]),
            _choose(names, pair[0]),
            _choose(names, pair[1]),
            gr.Dropdown([_ANY, *pair], value=_ANY),
            *enable(True),
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
        payback = compare.pay_back(self._run(project, run), student, teacher, read_price(hour), read_price(price))
        return notice_html(say_pay_back(payback, student, teacher))

    def first(self, project: str, run: str | None, first: str | None, second: str | None, alone: str) -> list[Any]:
        return self._items(project, run, (first, second, alone), 0)

    def turn(
        self, project: str, run: str | None, first: str | None, second: str | None, alone: str, begin: int
    ) -> list[Any]:
        return self._items(project, run, (first, second, alone), begin + PAGE)

    def _items(self, project: str, run: str | None, asked: tuple[str | None, str | None, str], begin: int) -> list[Any]:
        first, second, alone = asked
        if not run or not first or not second:
            return ["", 0, *enable(False, False)]
        only = "" if alone == _ANY else alone
        rows = self.services.compare.differing(self._run(project, run), first, second, begin, only)
        parts = [_item_html(row, first, second) for row in rows]
        message = (
            f"{begin + 1}-{begin + len(rows)} of the queries on which they differ" if rows else "No such query here."
        )
        return [notice_html(message) + "".join(parts), begin, *enable(begin > 0, len(rows) == PAGE)]


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


def read_points(text: str | None) -> float:
    """A margin in points of a hundred as somebody typed it, as a share.

    Raises:
        InputError: if it is none.
    """
    try:
        points = float((text or "").strip().removesuffix("%"))
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise InputError("Give the points as a number from 0 to 100, as 2; until then the earlier margin holds.")
    return points / 100


def _choose(names: list[str], value: str) -> Any:
    return gr.Dropdown(names, value=value if value in names else names[0] if names else None)


def _pair(systems: list[System]) -> tuple[str, str]:
    """Whom to compare first: the stage to ship, with the best teacher or else with whoever stands first."""
    ship = next((s for s in systems if s.ship), systems[-1])
    teachers = [s for s in systems if s.group == "teacher"]
    other = max(teachers, key=lambda s: s.report.accuracy) if teachers else systems[0]
    return ship.report.name, other.report.name


def _summary_html(data: dict[str, Any], verdict: Verdict | None, by_kind: dict[str, Verdict]) -> str:
    """What to ship and why, by kind where that differs, and what else whoever reads the table must know."""
    sentences = []
    if verdict is not None:
        sentences.append(say_verdict(verdict, [ReportRow.from_dict(row) for row in data["rows"]]))
        others = [
            (kind, kind_verdict.ship)
            for kind, kind_verdict in by_kind.items()
            if kind_verdict.ship not in (None, verdict.ship)
        ]
        if others:
            sentences.append("By kind otherwise: " + ", ".join(f"{name} for {kind}" for kind, name in others) + ".")
        none = [kind for kind, kind_verdict in by_kind.items() if kind_verdict.ship is None]
        if none and verdict.ship is not None:
            sentences.append(f"No gain is shown on {', '.join(none)} alone.")
    if data["status"] != "finished":
        sentences.append(f"The run is {data['status']}{': ' + data['message'] if data['message'] else ''}.")
    stale = [step["step"] for step in data["steps"] if step["status"] == "stale"]
    if stale:
        sentences.append(
            f"{', '.join(stale)} are stale: what they learned from was changed since; Resume on the page Train does "
            "them again."
        )
    return notice_html(" ".join(sentences)) + "".join(notice_html(note) for note in data["notes"])


def _tables_html(systems: list[System]) -> str:
    """The comparison, and below it the measures that not every report has."""
    more = more_lines([system.report for system in systems])
    return table_html([_line(system) for system in systems], _caption(systems)) + table_html(more, _MORE)


def _line(system: System) -> dict[str, Any]:
    row, gained = system.report, system.gained
    return {
        "system": f"{row.name}, ship this" if system.ship else row.name,
        f"{row.measure} (95%)": show_measure(row, SCORE),
        "over few-shot vanilla": "-" if gained is None else say_difference(gained),
        "tokens, p95": f"{show_measure(row, TOKENS)}, {show_measure(row, TOKENS_P95)}",
        "billed": "-" if system.billed_tokens is None else f"{system.billed_tokens:.0f}",
        "seconds": show_measure(row, SECONDS),
        "$ / 1,000": _each(system),
        "read": show_measure(row, READ),
    }


def _each(system: System) -> str:
    if system.cost_per_1000 is None:
        return "unknown"
    return f"{system.cost_per_1000:.4f}{f' ({ASSUMED})' if system.assumed else ''}"


def _caption(systems: list[System]) -> str:
    assumed = any(system.assumed for system in systems)
    return (
        f"{counted(systems[0].report.n, 'held-out query')}; tokens are the student tokenizer's, for length; "
        "billed ones are the provider's, for money; read: answers that could be"
        + ("; assumed: a teacher that bills nothing at a list price, the device at the price above" if assumed else "")
    )


def _item_html(row: dict[str, Any], first: str, second: str) -> str:
    heads = []
    for name, side in ((first, "first"), (second, "second")):
        verdict = {True: "right", False: "wrong", None: "not scored"}[row[f"{side}_correct"]]
        heads.append((f"{name}: {row[f'{side}_label'] or 'no answer read'} ({verdict})", row[f"{side}_text"] or ""))
    gold = f"\nGold: {row['gold']}" if row["gold"] is not None else ""
    kind = f"[{row['kind']}] " if row["kind"] else ""
    query_html = notice_html(f"{kind}{row['query']}{gold}")
    return f"<div class='item'>{query_html}{columns_html(heads)}</div>"
