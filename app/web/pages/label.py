"""Label: what will it cost, and how is it going?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.labelling.answers import Labelling
from app.usecases.labelling.grades import GradeOrder
from app.usecases.labelling.label import LabelOrder, read_money
from app.usecases.labelling.quotes import PILOT
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.parts.links import Link
from app.web.parts.messages import guide_html, notice_html
from app.web.parts.tables import table_html
from app.web.parts.texts import replies_html
from engine.errors import ErrorKind, InputError
from engine.labelling.quote import Quote
from engine.values import Split
from engine.wording import counted, verb
from storage.projects import Project

_ANY = "any"
_FAILED = ("failed", "needs_key", "capped", "interrupted")
_ENGINES = [("from this machine", "process"), ("half price, within a day (batch API)", "batch")]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    guide = lay_html()
    with gr.Row():
        teachers = gr.CheckboxGroup([], label="Teachers")
        heldout = gr.Checkbox(False, label="also the held-out queries, for comparison only")
        engine = gr.Dropdown(_ENGINES, value="process", label="How they are asked")
    with gr.Row():
        quote = gr.Button("Quote", interactive=False)
        pilot = gr.Button(f"Pilot of {counted(PILOT, 'query')}", interactive=False)
        cap = gr.Textbox(label="Cap in US $", placeholder="none", max_length=20)
        most = gr.Textbox(label="Cap on requests", placeholder="none", max_length=20)
        start = gr.Button("Start", variant="primary", interactive=False)
    with gr.Row():
        pause = gr.Button("Pause", interactive=False)
        retry = gr.Button("Retry failed", interactive=False)
        kind = gr.Dropdown([_ANY, *ErrorKind], value=_ANY, label="of kind", min_width=120)
        again = gr.Button("Parse again", interactive=False)
    said = lay_html()
    quoted = lay_html()
    table = lay_html()
    failed = lay_html()
    grades, grades_quoted, ask_grades, grade = _lay_grades()
    with gr.Accordion("Last replies, as text", open=False):
        replies = lay_html()
    frame.fill([table, failed, grades, replies], lambda project: _progress(services, project))
    frame.fill_once([teachers], lambda project: _choices(services, project))
    parts = {"teachers": teachers, "heldout": heldout, "engine": engine, "max_cost": cap, "max_requests": most}
    form = NamedForm(parts, _read_order)
    order = [frame.project, *form.inputs]

    do = _Handlers(frame)
    frame.fill([guide, quote, pilot, start, pause, retry, again, ask_grades, grade], do.guide)
    quote.click(frame.guard(do.ask_quote, form), order, quoted, **frame.quiet)
    ask_grades.click(frame.guard(do.quote_grades, form), order, grades_quoted, **frame.quiet)
    pressed = [said, frame.timer, start, pilot, retry, pause]
    for button, work, inputs in (
        (start, do.begin, order),
        (pilot, do.begin_pilot, order),
        (grade, do.begin_grading, order),
        (retry, do.begin_retry, [*order, kind]),
    ):
        button.click(frame.guard(work, form), inputs, pressed, **frame.quiet)
    frame.follow(again.click(frame.guard(do.parse_again), frame.project, said, **frame.quiet))
    pause.click(frame.guard(do.stop), frame.project, said, **frame.quiet)


def _lay_grades() -> tuple[gr.HTML, gr.HTML, gr.Button, gr.Button]:
    """What is graded so far, what more would cost, and the buttons that quote and ask for grades."""
    with gr.Accordion("Grades: teachers judge their own answers, for hard rejection", open=False):
        gr.Markdown(
            "Each teacher is shown its own answers again and grades them Good, Medium or Poor, one request an answer. "
            "The teachers and caps are those above. The rule `hard rejection` on the page Select keeps what is Good."
        )
        grades = lay_html()
        with gr.Row():
            quote = gr.Button("Quote the grades", interactive=False)
            grade = gr.Button("Ask for grades", interactive=False)
        quoted = lay_html()
    return grades, quoted, quote, grade


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame

    def guide(self, project: Project | None) -> list[Any]:
        """What stands here and what comes next, and which buttons can do something now."""
        if project is None:
            return ["", *enable(*[False] * 8)]
        services = self.frame.services
        standing = services.answers.labelling(project)
        running, failed = bool(services.label.running(project)), bool(services.answers.failures(project))
        askable = standing.askable and standing.queries > 0
        can = (askable, askable and not running, askable and not running, running)
        gradable = services.grade.can_grade(project)
        more = (askable and failed and not running, failed, gradable, gradable and not running)
        return [
            guide_of(standing, self.frame.policy.address(project)),
            *enable(*can, *more),
        ]

    def ask_quote(self, project: str, order: Entered[LabelOrder]) -> str:
        return quote_html(self.frame.services.quote.quote(project, order.read()))

    def quote_grades(self, project: str, order: Entered[LabelOrder]) -> str:
        quotes = self.frame.services.grade.quote(project, _grade_order(order.read()))
        return quote_html(quotes, "Quote of the grades, low to high; requests that fail are not in it")

    def begin_grading(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        self.frame.services.grade.start(project, _grade_order(order.read()))
        return self._started()

    def begin(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        return self._begin(project, order.read())

    def _begin(self, project: str, order: LabelOrder) -> list[Any]:
        self.frame.services.label.start(project, order)
        return self._started()

    def _started(self) -> list[Any]:
        message = "Started. It goes on when this tab is closed; what came in is kept at any moment."
        off, on = gr.Button(interactive=False), gr.Button(interactive=True)
        return [notice_html(message), gr.Timer(active=True), off, off, off, on]

    def begin_pilot(self, project: str, order: Entered[LabelOrder]) -> list[Any]:
        return self._begin(project, replace(order.read(), limit=PILOT))

    def begin_retry(self, project: str, order: Entered[LabelOrder], kind: str) -> list[Any]:
        return self._begin(project, replace(order.read(), retry=("all" if kind == _ANY else kind,)))

    def parse_again(self, project: str) -> str:
        by_teacher = self.frame.services.label.parse_again(project)
        lines = [
            f"{name}: {row['read_now']:,} of {row['unread']:,} can be read now" for name, row in by_teacher.items()
        ]
        return notice_html("; ".join(lines) or "Every reply could be read; nothing to parse again.")

    def stop(self, project: str) -> str:
        project_record = self.frame.open(project)
        jobs = self.frame.services.label.running(project_record) if project_record else []
        for job in jobs:
            self.frame.services.standing.cancel(job.id)
        message = "Pausing: requests in flight come to their end; Start goes on." if jobs else "Nothing is running."
        return notice_html(message)


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


def _read_count(text: str) -> int | None:
    if not text.strip():
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


def _choices(services: Services, project: Project | None) -> Any:
    specs = services.projects.teachers(project) if project else []
    names = [spec.name for spec in specs if spec.provider != "recorded"]
    return gr.CheckboxGroup(names, value=names, visible=bool(names))


def quote_html(quotes: list[Quote], title: str = "Quote, low to high; requests that fail are not in it") -> str:
    """The quote as a table, its sum and what it is based on below."""
    rows = [
        {
            "teacher": q.teacher,
            "requests": q.requests,
            "tokens in": f"{q.input_low:,} - {q.input_high:,}",
            "tokens out": f"{q.output_low:,} - {q.output_high:,}",
            "US $": _range(q.cost_low, q.cost_high),
            "minutes": f"{q.seconds_low / 60:.1f} - {q.seconds_high / 60:.1f}",
            "tokens": q.basis,
            "price": q.price,
        }
        for q in quotes
    ]
    sums = {"requests": sum(q.requests for q in quotes), "US $": _sum(quotes)}
    if len(quotes) > 1:
        rows.append({**dict.fromkeys(rows[0], ""), "teacher": "together", **sums})
    return table_html(rows, title)


def _range(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return "unknown"
    return "0" if high == 0 else f"{low:.4f} - {high:.4f}" if high < 1 else f"{low:.2f} - {high:.2f}"


def _sum(quotes: list[Quote]) -> str:
    """The whole; unknown as soon as one part is."""
    lows, highs = [q.cost_low for q in quotes], [q.cost_high for q in quotes]
    if None in lows or None in highs:
        return "unknown"
    return _range(sum(filter(None, lows), Decimal(0)), sum(filter(None, highs), Decimal(0)))


def guide_of(labelling: Labelling, address: str) -> str:
    """What stands here and what comes next, where a person may wonder; "" where the page speaks for itself."""
    data, teachers = Link("To Data", "/data", address), Link("To Teachers", "/teachers", address)
    select = Link("To Select", "/select", address)
    if not labelling.queries:
        return guide_html("There are no queries to ask yet: the page Data brings them.", data)
    if not labelling.askable and not labelling.recorded:
        message = "There is nobody to ask yet: add teachers, or bring outputs that teachers gave earlier."
        return guide_html(message, teachers)
    if not labelling.askable:
        one = labelling.recorded == 1
        who = "the teacher is a recording" if one else f"all {labelling.recorded} teachers are recordings"
        message = (
            f"There is nobody to ask here: {who}, whose answers came in with their file: there "
            f"{verb(labelling.samples, 'is')} {counted(labelling.samples, 'sample')} to distill from. The page Select "
            "decides what is kept of them; the page Teachers brings more recorded outputs, or adds teachers that "
            "can be asked."
        )
        return guide_html(message, select, teachers)
    if not labelling.samples:
        message = (
            f"Ready: {counted(labelling.distill, 'query')} to distill from, {labelling.heldout:,} held out, and "
            f"{counted(labelling.askable, 'teacher')} to ask; nobody was asked yet. Quote says what it will cost, "
            "Start asks. Once the samples are there, go on to Select."
        )
        return guide_html(message, select)
    return ""


def _progress(services: Services, project: Project | None) -> list[str]:
    if project is None:
        return [notice_html(NO_PROJECT), "", "", ""]
    rows = [
        {
            "teacher": row["teacher"],
            "samples": row["samples"],
            "failed": row["failures"],
            "tokens in": row["input_tokens"],
            "spent": "unknown" if row["cost"] is None else f"${row['cost']:.4f}",
        }
        for row in services.answers.counts_and_costs(project)
    ]
    ended = services.answers.last_job(project)
    last = f"The last labelling is {ended.status}{': ' + ended.message if ended.message else ''}." if ended else ""
    message = notice_html(last, bad=bool(ended and ended.status in _FAILED))
    failures = table_html(services.answers.failures(project), "failed, by kind of error, held-out queries too")
    table = table_html(rows, "samples to distill from", empty="Nothing is labelled yet.")
    grades = services.grade.standing(project)
    replies = replies_html(services.answers.last_replies(project))
    return [message + table, failures, _grades_html(services, project, grades), replies]


def _grades_html(services: Services, project: Project, grades: list[dict[str, Any]]) -> str:
    """How teachers graded their own answers, and why nobody can be asked where that is so."""
    recorded = [spec.name for spec in services.projects.teachers(project) if spec.provider == "recorded"]
    why = "a recording" if len(recorded) == 1 else "recordings"
    who = f"{', '.join(recorded)} can't be asked to grade, being {why}." if recorded else ""
    ended = services.answers.last_job(project, "grade")
    last = f"The last grading is {ended.status}{': ' + ended.message if ended.message else ''}." if ended else ""
    bad = bool(ended and ended.status in _FAILED)
    return notice_html(who) + notice_html(last, bad=bad) + table_html(grades, "answers by their own teacher's grade")
