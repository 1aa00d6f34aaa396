"""Label: what will it cost, and how is it going?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.labelling.answers import FAILURES, Labelling
from app.usecases.labelling.grades import GradeOrder
from app.usecases.labelling.label import LabelOrder, read_money
from app.usecases.labelling.pilots import PILOT_COST, is_pilot
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.pages import failed_replies
from app.web.parts.code import command_html
from app.web.parts.labelling import (
    GO_ON,
    ended_html,
    progress_html,
    quote_table_html,
    quote_tiles_html,
    say_cost,
    sum_costs,
)
from app.web.parts.links import Link
from app.web.parts.messages import empty_html, guide_html, notice_html
from app.web.parts.pilot import old_pilot_html, pilot_html
from app.web.parts.tables import table_html
from app.web.parts.texts import replies_html
from engine.errors import InputError, TacitError
from engine.evaluation.pilot import PILOT
from engine.labelling.quote import Quote
from engine.values import Split
from engine.wording import counted, verb
from storage.projects import Project

_ANY = "any"
_ENGINES = [("From this machine", "process"), ("Batch API: half price, within 24 h", "batch")]


_PILOT = (
    f"A pilot asks at most {PILOT} queries, for at most ${PILOT_COST} where all prices are known, or your cap, and "
    "says whether the teachers are worth the whole: go, not yet or no."
)


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    guide = lay_html()
    with gr.Column(elem_classes="live-box"):
        live = lay_html(js_on_load=GO_ON)
        pause = gr.Button("Pause", interactive=False, visible=False)
    judged = lay_html()
    with gr.Column() as setup:
        form, start, pilot, said, tiles, by_teacher = _lay_setup()
    counts = lay_html()
    with gr.Column(visible=False) as missing:
        kinds = failed_replies.lay_kinds()
        with gr.Row():
            retry = gr.Button("Retry failed", interactive=False)
            which = [("All kinds", _ANY), *((title, kind.value) for kind, title in FAILURES.items())]
            kind = gr.Dropdown(which, value=_ANY, label="Kind to retry", min_width=160, scale=0)
            again = gr.Button("Re-parse replies", interactive=False)
        reread = lay_html()
        parsed = again.click(frame.guard(do.parse_again), frame.project, reread, **frame.quiet)
        failed_replies.build(frame, kinds, parsed)
    frame.follow(parsed)
    with gr.Column() as after:
        grades, grades_quoted, ask_grades, grade = _lay_grades()
        with gr.Accordion("Latest replies, as text", open=False):
            replies = lay_html()
    frame.fill([live, counts, grades, replies, said], do.progress)
    frame.fill([judged], do.judge)
    frame.fill([setup, missing, after], do.sections)
    frame.fill_once([form.parts["teachers"]], do.choices)
    frame.fill([guide, pilot, start, pause, retry, again, ask_grades, grade], do.guide)
    frame.fill_live([tiles, by_teacher], form.inputs, do.show_quote, form)
    order = [frame.project, *form.inputs]
    calm: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    for part in form.inputs:
        part.input(frame.guard(do.show_quote, form), order, [tiles, by_teacher], trigger_mode="always_last", **calm)
    parsed.success(frame.guard(do.show_quote, form), order, [tiles, by_teacher], **calm)
    ask_grades.click(frame.guard(do.quote_grades, form), order, grades_quoted, **frame.quiet)
    pressed = [said, frame.timer, start, pilot, retry, pause]
    for button, work, inputs in (
        (start, do.begin, order),
        (pilot, do.begin_pilot, order),
        (grade, do.begin_grading, order),
        (retry, do.begin_retry, [*order, kind]),
    ):
        button.click(frame.guard(work, form), inputs, pressed, **frame.quiet)
    pause.click(frame.guard(do.stop), frame.project, said, **frame.quiet)
    live.click(frame.guard(do.ask_now), frame.project, said, **calm)


def _lay_setup() -> tuple[NamedForm[LabelOrder], gr.Button, gr.Button, gr.HTML, gr.HTML, gr.HTML]:
    """What is asked for on the left; on the right what it will cost, and the buttons that begin it."""
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=1, min_width=270):
            parts = {
                "teachers": gr.CheckboxGroup([], label="Teachers"),
                "heldout": gr.Checkbox(False, label="Also the held-out queries, for comparison only"),
                "engine": gr.Radio(_ENGINES, value="process", label="Mode"),
            }
            with gr.Row(elem_classes="caps"):
                parts["max_cost"] = gr.Textbox(label="Cap in US $", placeholder="none", max_length=20, min_width=110)
                parts["max_requests"] = gr.Textbox(
                    label="Cap on requests", placeholder="none", max_length=20, min_width=110
                )
        with gr.Column(scale=3, min_width=320):
            tiles = lay_html()
            with gr.Row():
                start = gr.Button("Start labelling", variant="primary", interactive=False)
                pilot = gr.Button(f"Run a pilot of {PILOT}", interactive=False)
            lay_html(f"<p class='quiet'>{escape(_PILOT)}</p>")
            said = lay_html()
    by_teacher = lay_html()
    return NamedForm(parts, _read_order), start, pilot, said, tiles, by_teacher


def _lay_grades() -> tuple[gr.HTML, gr.HTML, gr.Button, gr.Button]:
    """What is graded so far, what more would cost, and the buttons that quote and ask for grades."""
    with gr.Accordion("Grades: teachers judge their own answers, for hard rejection", open=False):
        gr.Markdown(
            "Each teacher is shown its own answers again and grades them Good, Medium or Poor, one request an answer. "
            "Teachers and caps are those above. The rule `hard rejection` on the page Select keeps what is Good."
        )
        grades = lay_html()
        with gr.Row():
            quote = gr.Button("Get a quote for grades", interactive=False)
            grade = gr.Button("Ask for grades", interactive=False)
        quoted = lay_html()
    return grades, quoted, quote, grade


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame

    @property
    def services(self) -> Services:
        return self.frame.services

    def guide(self, project: Project | None) -> list[Any]:
        """What stands here and what comes next, and which buttons can do something now."""
        if project is None:
            return ["", *enable(*[False] * 7)]
        standing = self.services.answers.labelling(project)
        running, failed = bool(self.services.label.running(project)), bool(self.services.answers.missing(project))
        askable = standing.askable and standing.queries > 0
        pilot, start = enable(askable and not running, askable and not running)
        pause = gr.Button(interactive=running, visible=running)
        gradable = self.services.grade.can_grade(project)
        more = (askable and failed and not running, failed, gradable, gradable and not running)
        return [guide_of(standing, self.frame.policy.address(project)), pilot, start, pause, *enable(*more)]

    def sections(self, project: Project | None) -> list[Any]:
        """Whether there is anybody to ask, whether samples are missing, and whether anybody could have answered."""
        if project is None:
            return [gr.Column(visible=False)] * 3
        standing = self.services.answers.labelling(project)
        can_ask, failed = standing.askable and standing.queries, self.services.answers.missing(project)
        ready = standing.queries and (standing.askable or standing.recorded)
        return [gr.Column(visible=bool(can)) for can in (can_ask, failed, ready)]

    def judge(self, project: Project | None) -> str:
        """What a pilot says of the teachers; nothing while one is running."""
        if project is None or self.services.label.running(project):
            return ""
        try:
            pilot = self.services.pilot.look(project.name)
        except TacitError as error:
            return notice_html(str(error))
        if pilot is None:
            return ""
        live = self.services.answers.labelling(project).askable
        draw = pilot_html if pilot.left or not live else old_pilot_html
        return draw(pilot, project.name)

    def choices(self, project: Project | None) -> Any:
        specs = self.services.projects.teachers(project) if project else []
        names = [spec.name for spec in specs if spec.provider != "recorded"]
        return gr.CheckboxGroup(names, value=names, visible=bool(names))

    def show_quote(self, project: str, order: Entered[LabelOrder]) -> list[str]:
        """What the choices on the page will cost, and the command that does the same."""
        record = self.frame.open(project)
        standing = self.services.answers.labelling(record) if record else None
        if record is None or standing is None or not standing.askable or not standing.queries:
            return ["", ""]
        if self.services.label.running(record):
            return [notice_html("The quote for what is left returns when the running job has ended."), ""]
        try:
            asked = order.read()
        except InputError as error:
            return [notice_html(str(error), tone="warn"), ""]
        quotes = self.services.quote.quote(project, replace(asked, max_cost=None, max_requests=None))
        batch = asked.engine == "batch"
        live = [spec.name for spec in self.services.projects.teachers(record) if spec.provider != "recorded"]
        notes = notice_html(_note_of(quotes, asked), tone="warn" if any(q.requests for q in quotes) else "good")
        notes += notice_html(_say_unpriced(quotes), tone="warn")
        table = quote_table_html(quotes, batch) if len(quotes) > 1 or any(q.requests for q in quotes) else ""
        command = command_html(command_of(project, asked, set(asked.teachers) == set(live)))
        return [quote_tiles_html(quotes, batch) + notes, table + command]

    def quote_grades(self, project: str, order: Entered[LabelOrder]) -> str:
        quotes = self.services.grade.quote(project, _grade_order(order.read()))
        return quote_tiles_html(quotes) + quote_table_html(quotes)

    def begin_grading(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        self.services.grade.start(project, _grade_order(order.read()))
        return self._started()

    def begin(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        return self._begin(project, order.read())

    def _begin(self, project: str, order: LabelOrder) -> list[Any]:
        self.services.label.start(project, order)
        return self._started()

    def _started(self) -> list[Any]:
        message = "Started. It goes on when this tab is closed; what came in is kept at any moment."
        off, on = gr.Button(interactive=False), gr.Button(interactive=True, visible=True)
        return [notice_html(message), gr.Timer(active=True), off, off, off, on]

    def begin_pilot(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        return self._begin(project, self.services.pilot.order(project, order.read()))

    def begin_retry(self, project: str, order: Entered[LabelOrder], kind: str) -> list[Any]:
        """Ask again what the list of failures holds, which is of both splits."""
        again = "all" if kind == _ANY else kind
        return self._begin(project, replace(order.read(), splits=_splits(True), retry=(again,)))

    def parse_again(self, project: str) -> str:
        by_teacher = self.services.label.parse_again(project)
        lines = [
            f"{name}: {row['read_now']:,} of {row['unread']:,} can be parsed now" for name, row in by_teacher.items()
        ]
        return notice_html("; ".join(lines) or "No reply is waiting to be parsed: nothing to do.")

    def stop(self, project: str) -> str:
        project_record = self.frame.open(project)
        jobs = self.services.label.running(project_record) if project_record else []
        for job in jobs:
            self.services.standing.cancel(job.id)
        message = "Pausing: requests in flight are finished, then it stops. Start labelling asks for the rest."
        return notice_html(message if jobs else "Nothing is running.")

    def ask_now(self, project: str, event: gr.EventData) -> str:
        """Wait no longer for the provider of a teacher."""
        waited = self.services.teachers.go_on(project, str(event.teacher))
        return notice_html(f"{event.teacher} is asked again now." if waited else "No teacher is waiting any more.")

    def progress(self, project: Project | None) -> list[Any]:
        """What runs or how the last job ended, the samples so far, the grades, and the latest replies.

        What was said when a job began stands until it is over.
        """
        if project is None:
            return [""] * 5
        answers = self.services.answers
        asking = answers.progress(project)
        running = asking is not None and not asking.job.status.over
        last = answers.progress(project, "label", "batch", "ray-label")
        what = "pilot" if last and is_pilot(last.job) else "labelling"
        live = progress_html(asking) if asking and running else ended_html(last, what)
        shown = asking if running else last
        for given_up in self.services.label.stopped(shown.job.id) if shown else []:
            mentioned = shown is not None and given_up.partition(": ")[2] in shown.job.message
            live += "" if mentioned else notice_html(given_up, tone="warn")
        replies = replies_html(answers.last_replies(project)) or notice_html("No reply yet.")
        said = gr.skip() if running else ""
        return [live, _counts_html(self.services, project), _grades_html(self.services, project), replies, said]


def _read_order(named: dict[str, Any]) -> LabelOrder:
    """What is to be labelled, from components by name.

    Raises:
        InputError: if no teacher is chosen, or a cap can't be read.
    """
    cap, most = read_money(named["max_cost"]), _read_count(named["max_requests"])
    return LabelOrder(_named(named["teachers"]), _splits(named["heldout"]), cap, most, engine=named["engine"])


def _grade_order(order: LabelOrder) -> GradeOrder:
    """The same teachers and caps."""
    return GradeOrder(order.teachers, order.max_cost, order.max_requests)


def _read_count(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise InputError(f"{text}: give a whole number of requests, or leave the cap empty.")
    return int(text)


def _named(names: list[str]) -> tuple[str, ...]:
    if not names:
        raise InputError("Choose at least one teacher; the page Teachers adds them.")
    return tuple(names)


def _splits(heldout: bool) -> tuple[Split, ...]:
    return (Split.DISTILL, Split.HELDOUT) if heldout else (Split.DISTILL,)


def command_of(project: str, order: LabelOrder, everyone: bool) -> list[str]:
    """The command that labels as the page does; `everyone`: all teachers that can be asked are chosen."""
    words = ["tacit", "label", project]
    words += [] if everyone else [word for name in order.teachers for word in ("--teacher", name)]
    words += ["--heldout"] if Split.HELDOUT in order.splits else []
    words += [] if order.max_cost is None else ["--max-cost", str(order.max_cost)]
    words += [] if order.max_requests is None else ["--max-requests", str(order.max_requests)]
    return words + ([] if order.engine == "process" else ["--engine", order.engine])


def _note_of(quotes: list[Quote], order: LabelOrder) -> str:
    """That nothing is left to ask, or that a cap may end it before the end."""
    requests, (_, high) = sum(quote.requests for quote in quotes), sum_costs(quotes)
    if not requests:
        return "Nothing left to ask: the chosen teachers have a sample of every one of these queries."
    short = order.max_cost is not None and high is not None and order.max_cost < high
    if short or (order.max_requests is not None and order.max_requests < requests):
        return "The cap is below this quote: labelling may stop before every query is asked. What came in is kept."
    return ""


def _say_unpriced(quotes: list[Quote]) -> str:
    """Whose price is unknown, so that a pilot has no cap on money."""
    names = [quote.teacher for quote in quotes if quote.requests and quote.cost_low is None]
    who = f"The price of {', '.join(names)} is unknown"
    return f"{who}: a pilot has no cap on money then, only its {PILOT} queries." if names else ""


def guide_of(labelling: Labelling, address: str) -> str:
    """What stands here and what comes next, where a person may wonder; "" where the page speaks for itself."""
    data, teachers = Link("To Data", "/data", address), Link("To Teachers", "/teachers", address)
    select = Link("To Select", "/select", address)
    if not labelling.queries:
        return empty_html(
            "Nothing to label yet", "There are no queries to ask yet: import some on the page Data.", data
        )
    if not labelling.askable and not labelling.recorded:
        message = "There is nobody to ask yet: add teachers, or import outputs that teachers gave earlier."
        return empty_html("No teachers yet", message, teachers)
    if not labelling.askable:
        one = labelling.recorded == 1
        who = "the teacher is a recording" if one else f"all {labelling.recorded} teachers are recordings"
        message = (
            f"There is nobody to ask here: {who}, whose answers came in with their file: there "
            f"{verb(labelling.samples, 'is')} {counted(labelling.samples, 'sample')} to distill from. The page Select "
            "decides what is kept of them; the page Teachers imports more recorded outputs, or adds teachers that "
            "can be asked."
        )
        return guide_html(message, select, teachers)
    if not labelling.samples:
        message = (
            f"{counted(labelling.distill, 'query')} to distill from, {labelling.heldout:,} held out; no samples "
            "yet. A pilot measures what they are worth before the whole is paid for."
        )
        return notice_html(message)
    return ""


def _counts_html(services: Services, project: Project) -> str:
    """The samples to distill from, by teacher."""
    rows = [
        {
            "Teacher": row["teacher"],
            "Samples": row["samples"],
            "Missing": row["failures"],
            "Tokens in": row["input_tokens"],
            "Spent": say_cost(row["cost"]),
        }
        for row in services.answers.counts_and_costs(project)
    ]
    table = table_html(rows, "Of the queries to distill from.", right=("Spent",))
    return f"<h2 class='of-table'>Samples so far</h2>{table}" if rows else ""


def _grades_html(services: Services, project: Project) -> str:
    """How teachers graded their own answers, and why nobody can be asked where that is so."""
    recorded = [spec.name for spec in services.projects.teachers(project) if spec.provider == "recorded"]
    why = "a recording" if len(recorded) == 1 else "recordings"
    who = f"{', '.join(recorded)} can't be asked to grade, being {why}." if recorded else ""
    ended = ended_html(services.answers.progress(project, "grade"), "grading")
    return (
        notice_html(who) + ended + table_html(services.grade.standing(project), "Answers by their own teacher's grade.")
    )
