"""Evaluate: is it good enough, and what does it save?"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import quote

import gradio as gr

from app.usecases.evaluation.comparisons import System, Terms, say_pay_back
from app.usecases.evaluation.html_report import RunReport
from app.usecases.evaluation.html_tables import kinds_html, plot_html, systems_html
from app.usecases.evaluation.report_lines import more_lines, name_lines
from app.usecases.evaluation.summary import Heading, Summary, best_teacher, systems_csv
from app.web.address import read_named
from app.web.choices import choose_run, enable, run_choices
from app.web.downloads import Downloads, file_name, lay_file, save_after
from app.web.evaluation_form import PRICED, Valuation, lay_head, lay_pay_back, read_points, read_valuation, say_price
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.offers import only_guides
from app.web.pages import differences
from app.web.parts.code import command_html
from app.web.parts.links import Link
from app.web.parts.messages import empty_html, notice_html, term_html
from app.web.parts.risk import risk_html
from app.web.parts.tables import table_html
from app.web.parts.tiles import Tile, tiles_html, verdict_html
from engine.costs import ASSUMED, read_list_price
from engine.errors import InputError
from engine.evaluation.report import MARGIN
from engine.plans.titles import title_of
from storage.projects import Project
from storage.runs import Run

_TO_RUN = "(run) => { window.tacitView({run, first: '', second: '', kind: '', show: '', page: '', open: ''}, true); }"
_UNSCORED = "Scores need held-out queries with gold labels, or with answers of two teachers. The page Data holds them."


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    run, hour, margin, save = lay_head()
    said, table, plot, risk, kinds = (lay_html() for _ in range(5))
    with gr.Column(visible=False) as scored_only:
        student, teacher, prices, paid = lay_pay_back()
        sides = differences.build(frame, run)
    with gr.Accordion("Score again", open=False, visible=False) as folded:
        lay_html(
            notice_html("Scores the stored answers anew, by the gold labels as they are now. Nothing is retrained.")
        )
        again = gr.Button("Score again", interactive=False)
    file = lay_file()

    parts = {"run": run, "hour": hour, "margin": margin, "student": student, "teacher": teacher}
    form = NamedForm(parts | {f"price {number}": part for number, part in enumerate(prices)}, read_valuation)
    asked = [frame.project, *form.inputs]
    report = [said, table, plot, risk, kinds]
    shown = [*report, student, teacher, *sides, again, save, scored_only, folded]
    hidden: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    last = {"trigger_mode": "always_last", **hidden}
    frame.fill_once([margin], do.open)
    frame.fill_view([run], [run], do.choose)
    run.input(None, run, None, js=_TO_RUN)
    run.change(frame.guard(do.list_prices), [frame.project, run], prices, **hidden)
    run.change(frame.guard(do.show, form), [*asked, frame.address], shown, **hidden)
    for event in (hour.change, *(event for price in prices for event in (price.blur, price.submit))):
        event(frame.guard(do.price, form), asked, report, **last).success(
            frame.guard(do.pay_back, form), asked, paid, **hidden
        )
    frame.follow(margin.input(frame.guard(do.set_margin, form), asked, report, **last))
    margin.blur(frame.guard(do.keep_margin), [frame.project, margin], margin, **hidden)
    scored = again.click(frame.guard(do.score), [frame.project, run], said, **frame.quiet)
    frame.follow(scored.success(frame.guard(do.show, form), [*asked, frame.address], shown, **frame.quiet))
    for part in (student, teacher):
        part.change(frame.guard(do.pay_back, form), asked, paid, **last)
    save_after(save.click(frame.guard(do.report, form), asked, file, **frame.quiet), file)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    frame: Frame
    downloads: Downloads = field(default_factory=Downloads)

    @property
    def services(self) -> Any:
        """The use cases."""
        return self.frame.services

    def _run(self, project: str, run: str | None) -> Run:
        record: Run = self.services.reading.run_of(project, run)
        return record

    def _terms(self, run: Run, valuation: Valuation) -> Terms:
        """What is assumed of money.

        Raises:
            InputError: if a list price is none.
        """
        names = list(self.services.compare.list_prices(run))[:PRICED]
        typed = zip(names, valuation.prices, strict=False)
        return Terms(valuation.device_hour, {name: read_list_price(text) for name, text in typed if text.strip()})

    def open(self, project: Project | None) -> str:
        """The margin as it is set."""
        return f"{100 * (project.config.margin if project else MARGIN):g}"

    def choose(self, project: str, address: str, run: str | None) -> Any:
        """The runs; the one of the address, else the one that is chosen, else the newest."""
        runs = self.services.reading.runs_of(self.services.projects.get(project).id)
        return run_choices(runs, choose_run(runs, address, run))

    def list_prices(self, project: str, run: str | None) -> list[Any]:
        """A field for each teacher that bills nothing, with the list price that is assumed for it."""
        listed = self.services.compare.list_prices(self._run(project, run)) if run else {}
        fields = [
            gr.Textbox(say_price(price), label=f"{name} ($/M in / out)", visible=True)
            for name, price in list(listed.items())[:PRICED]
        ]
        return fields + [gr.Textbox("", visible=False) for _ in range(PRICED - len(fields))]

    @only_guides
    def keep_margin(self, project: str, margin: str | None) -> Any:
        """A field that is left empty shows the margin that holds."""
        current = self.services.projects.get(project).config.margin
        return gr.skip() if (margin or "").strip() else f"{100 * current:g}"

    def set_margin(self, project: str, entered: Entered[Valuation]) -> list[Any]:
        """Set the margin; one that can't be is told in the place of the verdict, and the earlier one stays."""
        valuation = entered.read()
        try:
            self.services.compare.set_margin(project, read_points(valuation.margin))
        except InputError as error:
            return [notice_html(str(error), bad=True), *[gr.skip()] * 4]
        return self.price(project, entered)

    def score(self, project: str, run: str | None) -> str:
        self.services.run.score(self._run(project, run).id)
        return notice_html("Scored again by the labels as they are now.", tone="good")

    def show(self, project: str, entered: Entered[Valuation], address: str) -> list[Any]:
        """All that the page says of a run, and who can be compared."""
        run, report = self._read(project, entered.read())
        systems = list(report.systems) if report else []
        names = [system.report.name for system in systems]
        students = [system.report.name for system in systems if system.group != "teacher"]
        teachers = [system.report.name for system in systems if system.group == "teacher"] or names
        pair = _pair(systems)
        return [
            *self._draw(project, run, report),
            _choose(students, pair[0]),
            _choose(teachers, pair[1]),
            _choose(names, read_named(address, "first"), pair[0]),
            _choose(names, read_named(address, "second"), pair[1]),
            differences.kind_choices(self.services, run, read_named(address, "kind")),
            *enable(bool(run), bool(systems)),
            gr.Column(visible=bool(systems)),
            gr.Accordion(visible=bool(run)),
        ]

    def price(self, project: str, entered: Entered[Valuation]) -> list[Any]:
        """Verdict, table, plot and kinds, at the prices of the page."""
        return self._draw(project, *self._read(project, entered.read()))

    def _read(self, project: str, valuation: Valuation) -> tuple[Run | None, RunReport | None]:
        if not valuation.run:
            return None, None
        run = self._run(project, valuation.run)
        return run, self.services.report.read(run, self._terms(run, valuation))

    def _draw(self, project: str, run: Run | None, report: RunReport | None) -> list[Any]:
        if run is None or report is None:
            return [_empty(self._address(project)), *[""] * 4]
        state = self._state_html(run)
        if not report.systems:
            return [state + notice_html(_UNSCORED), *[""] * 4]
        measure = escape(report.systems[0].report.measure.capitalize())
        kinds = f"<h2>{measure} by kind of query</h2>{kinds_html(report.kinds)}" if report.kinds else ""
        plot = f"<h2>{measure} against output tokens</h2>{plot_html(report.systems)}"
        ways = [
            Link("Export", "/exports", self._address(project)),
            Link("Try it", "/playground", self._address(project)),
        ]
        if not report.summary.sure:
            ways = [
                Link("To Train", "/train", self._address(project)),
                Link("To Data", "/data", self._address(project)),
            ]
        return [
            _verdict_html(report.summary, ways) + state + command_html(_command(run, report.terms)),
            _table_html(report, run.id),
            plot,
            risk_html(report.curves, report.colours),
            kinds + "".join(notice_html(f"{note[:1].upper()}{note[1:]}.") for note in report.more),
        ]

    def _address(self, project: str) -> str:
        return self.frame.policy.address(self.services.projects.get(project))

    def _state_html(self, run: Run) -> str:
        """What else whoever reads the table must know: that the run is not finished, or that steps are stale."""
        data = self.services.reading.run(run.id)
        notices = []
        if data["status"] != "finished":
            message = f": {data['message']}" if data["message"] else ""
            notices.append(notice_html(f"The run is {data['status']}{message}.", tone="warn"))
        stale = [step["step"] for step in data["steps"] if step["status"] == "stale"]
        if stale:
            notices.append(
                notice_html(
                    f"Stale: {', '.join(stale)}. What they learned from was changed since. Resume on the page Train "
                    "does them again.",
                    tone="warn",
                )
            )
        return "".join(notices)

    def pay_back(self, project: str, entered: Entered[Valuation]) -> str:
        """When a student pays back against a teacher."""
        valuation = entered.read()
        student, teacher = valuation.student, valuation.teacher
        if not valuation.run or not student or not teacher:
            return ""
        run = self._run(project, valuation.run)
        paid = self.services.compare.pay_back(run, student, teacher, self._terms(run, valuation))
        return notice_html(say_pay_back(paid, title_of(student), teacher))

    def report(self, project: str, entered: Entered[Valuation]) -> str:
        """The report of a run as one file."""
        valuation = entered.read()
        run = self._run(project, valuation.run)
        html = self.services.report.html(run, self._terms(run, valuation))
        path = self.downloads.folder(project, run.id, "report") / f"{file_name(project, run.id[:8], 'report')}.html"
        path.write_text(html, "utf-8")
        return str(path)


def _command(run: Run, terms: Terms) -> list[str]:
    """The command that writes the report at the prices of the page."""
    command = ["tacit", "report", run.id[:8], "--html", "report.html"]
    command += [] if terms.device_hour is None else ["--device-hour", f"{terms.device_hour:g}"]
    for name, price in terms.prices.items():
        command += ["--price", f"{name}={price.input_usd:g}/{price.output_usd:g}"]
    return command


def _choose(names: list[str], *values: str) -> Any:
    """The first of some values that is among the names."""
    titles = [(title_of(name), name) for name in names]
    return gr.Dropdown(titles, value=next((value for value in values if value in names), names[0] if names else None))


def _pair(systems: list[System]) -> tuple[str, str]:
    """Whom to compare first: what to ship (else the best trained), with the best teacher, else with the first."""
    if not systems:
        return "", ""
    trained = [s for s in systems if s.group in ("stage", "baseline")] or systems
    ship = next((s for s in systems if s.ship), max(trained, key=lambda s: s.report.accuracy))
    return ship.report.name, (best_teacher(systems) or systems[0]).report.name


def _empty(address: str) -> str:
    return empty_html(
        "No run yet",
        "Train starts one. Its stages are then scored on the held-out queries, beside the untrained student, the "
        "baselines and the teachers.",
        Link("To Train", "/train", address),
    )


def _verdict_html(summary: Summary, ways: list[Link]) -> str:
    """The verdict with its figures, and what would help where there is nothing to ship."""
    helps = "".join(f"<li>{escape(text)}</li>" for text in summary.helps)
    inner = f"<ul>{helps}</ul>" if helps else ""
    tiles = [Tile(figure.value, figure.label, figure.note, figure.tone) for figure in summary.figures]
    return verdict_html(summary.title, summary.text, summary.sure, *ways, inner=inner + tiles_html(tiles))


def _table_html(report: RunReport, run: str) -> str:
    """The comparison, and folded the measures that not every report has."""
    systems = list(report.systems)
    name = f"{file_name(report.project, run[:8], 'systems')}.csv"
    csv = f"data:text/csv;charset=utf-8,{quote(systems_csv(systems))}"
    link = f"<a class='button small' download='{escape(name)}' href='{csv}'>Download CSV</a>"
    assumed = f" Prices marked {ASSUMED} are nobody's bill." if any(system.assumed for system in systems) else ""
    n = systems[0].report.n
    return (
        f"<div class='section-head'><h2>All systems</h2><span class='quiet'>{n:,} held-out queries.{assumed}</span>"
        f"<span class='space'></span>{link}</div>"
        f"{systems_html(report.table, _term)}"
        "<details class='more'><summary>Calibration, coverage and agreement</summary>"
        f"<div>{_more_html(systems)}</div></details>"
    )


def _more_html(systems: list[System]) -> str:
    """The measures that not every report has."""
    more = name_lines(more_lines([system.report for system in systems]))
    old = "This report was scored by an earlier version. Score again adds what can be told of its answers."
    return table_html(more, "95% intervals; the same answers") if more else notice_html(old)


def _term(column: Heading) -> str:
    return term_html(column.title, column.help)
