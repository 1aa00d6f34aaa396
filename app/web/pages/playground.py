"""Playground: what does it say to me?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import gradio as gr

from app.palette import students_of, system_colour
from app.services import Services
from app.usecases.playground.answers import MOST_QUERY, PlayOrder
from app.usecases.playground.panes import Pane
from app.web.address import LONGEST, read_view
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import OF_COPY, only_guides
from app.web.parts.code import command_html
from app.web.parts.links import Link
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.panes import LINKS, asked_html, panes_html
from app.web.parts.tables import table_html, titled
from engine.errors import InputError, NotFound, StateError
from engine.plans.titles import title_of
from engine.tasks import get_task
from engine.values import Query
from engine.wording import counted
from storage.projects import Project
from storage.votes import Verdict, Vote

_BLIND = ("A", "B")
_CLIP = "(project, text, ...more) => [project, String(text ?? '').slice(0, %d), ...more]"
"""Of a text that is too long only so much is sent as shows that it is."""
_VERDICTS: tuple[tuple[str, Verdict], ...] = (
    *(("A is better", "first"), ("B is better", "second")),
    *(("Both are good", "both"), ("Neither is", "neither")),
)


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do, most = _Handlers(frame.services, frame.policy.choose_systems), frame.policy.limits.query
    with gr.Row():
        query = gr.Textbox(
            label="Query",
            lines=2,
            max_lines=8,
            scale=3,
            placeholder=f"Type a query of at most {most:,} characters",
            min_width=300,
        )
        few = gr.Dropdown([], label="From the project", interactive=True, scale=2, min_width=200)
        some = gr.Button("Random")
    chosen = gr.CheckboxGroup([], label="Who is asked", elem_classes="compact-choices")
    with gr.Row(elem_classes="toolbar"):
        ask = gr.Button("Ask", variant="primary", interactive=False)
        stop = gr.Button("Stop", variant="stop", visible=False)
        blind = gr.Checkbox(
            False, label="Blind: two of them, unnamed until you have voted", elem_classes=OF_COPY, container=False
        )
    said, panes, command = lay_html(), lay_html(js_on_load=LINKS), lay_html()
    ballot, left, filled = gr.State([]), gr.State(None), gr.State("")
    with gr.Row(visible=False, elem_classes="toolbar") as votes:
        buttons = [gr.Button(name) for name, _ in _VERDICTS]
    tally = lay_html()
    form = NamedForm({"text": query, "ids": chosen, "blind": blind}, lambda named: PlayOrder(**named))
    _follow(frame, do, form, command)
    frame.fill_once([chosen, query, few, tally, some, panes], do.open)
    frame.fill_live([said, ask], [chosen, left], do.state)
    frame.fill_view([query, few, filled], [filled], do.open_link)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    chosen.input(frame.guard(do.state), [frame.project, chosen, left], [said, ask], **last)
    asked = ask.click(
        frame.guard_stream(do.ask, form),
        [frame.project, *form.inputs],
        [panes, ballot, votes, ask, stop, left],
        show_progress="hidden",
        concurrency_limit=8,
        js=_CLIP % (most + 1),
        **frame.quiet,
    )
    frame.follow(asked)
    asked.then(frame.guard(do.rest), [frame.project, chosen], [said, ask, stop, left, frame.timer], **last)
    stop.click(frame.guard(do.stop), [frame.project, left], stop, **frame.quiet)
    few.input(frame.guard(do.take), [frame.project, few], query, **frame.quiet)
    some.click(frame.guard(do.pick), frame.project, [query, few], **frame.quiet)
    work = (do.vote_first, do.vote_second, do.vote_both, do.vote_neither)
    for button, vote in zip(buttons, work, strict=True):
        button.click(frame.guard(vote), [frame.project, ballot], [panes, tally, votes, ballot], **frame.quiet)


def _follow(frame: Frame, do: _Handlers, form: NamedForm[PlayOrder], command: gr.HTML) -> None:
    """Let the command say what is asked for now."""
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for name in ("text", "ids"):
        form.parts[name].change(frame.guard(do.command, form), [frame.project, *form.inputs], command, **last)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project first."""

    services: Services
    choose: Callable[[Project, dict[str, str]], dict[str, str]] = lambda project, systems: systems
    """Of those who can be asked, those who answer here."""

    def _project(self, name: str) -> Project:
        return self.services.projects.get(name)

    def open(self, project: Project | None) -> list[Any]:
        if project is None:
            none = gr.CheckboxGroup([], value=[]), "", gr.Dropdown([], visible=False), notice_html(NO_PROJECT)
            return [*none, gr.Button(interactive=False), ""]
        systems = self.choose(project, self.services.play.systems(project))
        few = self.services.play.first(project)
        text = self.take(project.name, few[0][1]) if few else ""
        chosen = gr.CheckboxGroup(_titled(systems), value=list(systems.values())[:4])
        listed = gr.Dropdown(few, value=few[0][1] if few else None, visible=bool(few))
        return [
            *(chosen, text, listed, self._tally(project), gr.Button(interactive=bool(few))),
            _before_html(project.name, bool(systems)),
        ]

    def open_link(self, project: str, address: str, filled: str) -> list[Any]:
        """The query that the address asks for, once: what is typed from then on stays."""
        view = read_view(address)
        asked = view.open or view.search
        if asked == filled or not asked:
            return [gr.skip(), gr.skip(), asked]
        if not view.open:
            return [view.search, gr.Dropdown(value=None), asked]
        try:
            text = self.take(project, view.open)
        except NotFound:
            gr.Warning("The query of this link is not in this project. Nothing was changed.")
            return [gr.skip(), gr.skip(), asked]
        listed = {id_ for _, id_ in self.services.play.first(self._project(project))}
        return [text, gr.update(value=view.open if view.open in listed else None), asked]

    def state(self, project: str, ids: list[str], left: Event | None) -> list[Any]:
        """Why nobody can be asked now, if so; while somebody is being asked the button stays as it is."""
        project_record = self._project(project)
        reason = self.services.play.hindrance(project_record, ids)
        hint = reason or self.services.play.meanwhile(ids)
        said = notice_html(hint) if self.services.play.systems(project_record) else ""  # the empty page says it
        return [said, gr.skip() if left is not None else gr.Button(interactive=not reason)]

    def take(self, project: str, id_: str) -> str:
        return self.services.play.render(self._project(project), id_)

    @only_guides
    def command(self, project: str, entered: Entered[PlayOrder]) -> str:
        """The command that asks the same."""
        asked = entered.read()
        text, ids = asked.text or "", asked.ids
        names = {id_: name for name, id_ in _shorten(self.services.play.systems(self._project(project)))}
        chosen = [word for id_ in ids or () if id_ in names for word in ("--of", names[id_])]
        if not chosen or not text.strip() or len(text) > MOST_QUERY:
            return ""
        return command_html(["tacit", "ask", project, text.strip(), *chosen])

    def pick(self, project: str) -> list[Any]:
        project_record = self._project(project)
        query = self.services.play.pick(project_record, random.random())
        if query is None:
            raise InputError("The project has no queries yet; import some on the page Data.")
        return [get_task(project_record.config.task).render(query), gr.Dropdown(value=None)]

    def ask(self, project: str, entered: Entered[PlayOrder]) -> Iterator[list[Any]]:
        wanted = entered.read()
        text, ids, blind = wanted.text or "", wanted.ids or [], wanted.blind
        project_record = self._project(project)
        query = self.services.play.read_query(project_record, text)
        if reason := self.services.play.hindrance(project_record, ids, query):
            raise StateError(reason)
        if blind and len(ids) < 2:
            raise InputError("Blind mode compares two: choose at least two of those who can be asked.")
        asked = random.sample(ids, 2) if blind else ids
        panes: list[Pane] = []
        left = Event()
        above = self._above(project_record, query, text)
        off = gr.Button(interactive=False)
        yield [above, [], gr.Row(visible=False), off, gr.Button(visible=True, interactive=True), left]
        for panes in self.services.play.ask(project_record, query, asked, left):
            yield [above + self._draw(project_record, panes, blind), [], *[gr.skip()] * 4]
        ready = blind and all(pane.whole for pane in panes)
        ballot = [text, *map(asdict, panes)] if ready else []
        above = self._above(project_record, query, text, over=not blind)
        shown = above + self._draw(project_record, panes, blind)
        if blind and not ready:
            shown += notice_html("One of them gave no whole answer, so there is nothing to vote on.")
        yield [shown, ballot, gr.Row(visible=ready), gr.Button(interactive=True), gr.Button(visible=False), None]

    def rest(self, project: str, ids: list[str]) -> list[Any]:
        """However the asking ended; where a job has the device, the page looks when it is over."""
        waits = gr.Timer(active=True) if self.services.play.busy() else gr.skip()
        return [*self.state(project, ids, None), gr.Button(visible=False), None, waits]

    def stop(self, project: str, left: Event | None) -> gr.Button:
        if left is not None:
            left.set()
        return gr.Button(interactive=False)

    def vote_first(self, project: str, ballot: list[Any]) -> list[Any]:
        return self._vote(project, ballot, "first")

    def vote_second(self, project: str, ballot: list[Any]) -> list[Any]:
        return self._vote(project, ballot, "second")

    def vote_both(self, project: str, ballot: list[Any]) -> list[Any]:
        return self._vote(project, ballot, "both")

    def vote_neither(self, project: str, ballot: list[Any]) -> list[Any]:
        return self._vote(project, ballot, "neither")

    def _vote(self, project: str, ballot: list[Any], verdict: Verdict) -> list[Any]:
        if len(ballot) != 3:
            raise InputError("Ask in blind mode first; then vote.")
        project_record = self._project(project)
        text, first, second = ballot[0], Pane(**ballot[1]), Pane(**ballot[2])
        self.services.play.vote(project_record, Vote(text, first.name, second.name, first.text, second.text, verdict))
        query = self.services.play.read_query(project_record, text)
        shown = self._above(project_record, query, text, over=True) + self._draw(project_record, [first, second])
        return [shown, self._tally(project_record, opened=True), gr.Row(visible=False), []]

    def _tally(self, project: Project, opened: bool = False) -> str:
        rows = self.services.play.tally(project)
        if not rows:
            return ""
        votes = counted(sum(int(row["votes"]) for row in rows), "blind vote")
        state = " open" if opened else ""
        return f"<details class='more'{state}><summary>{votes}</summary>{table_html(titled(rows))}</details>"

    def _above(self, project: Project, query: Query, text: str, over: bool = False) -> str:
        """The query that the panes answer, which may not be the one in the box any more; its gold label once `over`."""
        known, gold = True, None
        try:
            _, gold = self.services.queries.one(project.name, query.id)
        except NotFound:
            known = False
        said = text.strip()
        link = ("open", query.id) if known else ("q", said) if len(said) <= LONGEST else None
        return asked_html(said[:400], link, gold if over else None)

    def _draw(self, project: Project, panes: Sequence[Pane], blind: bool = False) -> str:
        if blind:
            return panes_html(_hidden(panes))
        teachers = [spec.name for spec in self.services.projects.teachers(project)]
        plans = {run.title: students_of(run.plan) for run in self.services.reading.runs_of(project.id)}
        colours = {}
        for pane in panes:
            name, _, run = pane.name.partition(" · ")
            colours[pane.name] = system_colour(
                pane.name if pane.name in teachers else name, teachers, plans.get(run, [])
            )
        return panes_html(panes, colours)


def _shorten(systems: dict[str, str]) -> list[tuple[str, str]]:
    """Who can be asked, without the run where there is only one of that name."""
    short = [name.partition(" · ")[0] for name in systems]
    return [
        (brief if short.count(brief) == 1 else name, id_)
        for brief, (name, id_) in zip(short, systems.items(), strict=True)
    ]


def _titled(systems: dict[str, str]) -> list[tuple[str, str]]:
    """The same as people read them."""
    parts = [(name.partition(" · "), id_) for name, id_ in _shorten(systems)]
    return [(f"{title_of(name)}{dot}{run}", id_) for (name, dot, run), id_ in parts]


def _before_html(project: str, someone: bool) -> str:
    """What stands where nothing was asked yet."""
    if not someone:
        message = "Add a teacher, or train a student; then ask it here."
        return empty_html(
            "Nobody can be asked yet", message, Link("Teachers", "/teachers", project), Link("Train", "/train", project)
        )
    return empty_html(
        "Nothing asked yet",
        "Answers appear here side by side as they are written, with tokens, seconds and money under each. Where the "
        "query has a gold label, each is marked right or wrong.",
    )


def _hidden(panes: Sequence[Pane]) -> list[Pane]:
    """Without names, and without what gives them away: an error names its provider."""
    return [
        Pane(letter, pane.text, over=pane.over, message="" if pane.whole or not pane.over else "gave no whole answer")
        for pane, letter in zip(panes, _BLIND, strict=True)
    ]
