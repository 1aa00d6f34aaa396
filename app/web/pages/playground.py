"""Playground: what does it say to me?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.playground.answers import Pane
from app.web.fields import lay_html
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import OF_COPY
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.parts.texts import panes_html
from engine.errors import InputError, StateError
from engine.tasks import get_task
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
    query = gr.Textbox(label="Query", info=f"at most {most:,} characters", lines=3, max_lines=12)
    few = gr.Dropdown([], label="or one of the project's first queries", interactive=True)
    chosen = gr.CheckboxGroup([], label="Who is asked")
    blind = gr.Checkbox(False, label="blind: two of them, unnamed, until you have voted", elem_classes=OF_COPY)
    with gr.Row():
        ask = gr.Button("Ask", variant="primary", interactive=False)
        stop = gr.Button("Stop", variant="stop", interactive=False)
        some = gr.Button("Another query, at random")
    said, panes = lay_html(), lay_html()
    ballot, left = gr.State([]), gr.State(None)
    with gr.Row(visible=False) as votes:
        buttons = [gr.Button(name) for name, _ in _VERDICTS]
    tally = lay_html()
    frame.fill_once([chosen, query, few, tally, some], do.open)
    frame.fill_live([said, ask], [chosen, left], do.state)
    ready = {"fn": frame.guard(do.state), "inputs": [frame.project, chosen, left], "outputs": [said, ask]}
    chosen.input(**ready, show_progress="hidden", trigger_mode="always_last", **frame.quiet)
    asked = ask.click(
        frame.guard_stream(do.ask),
        [frame.project, query, chosen, blind],
        [panes, ballot, votes, ask, stop, left],
        show_progress="minimal",
        concurrency_limit=8,
        js=_CLIP % (most + 1),
        **frame.quiet,
    )
    frame.follow(asked)
    rested = [said, ask, stop, left, frame.timer]
    asked.then(frame.guard(do.rest), [frame.project, chosen], rested, show_progress="hidden", **frame.quiet)
    stop.click(frame.guard(do.stop), [frame.project, left], stop, **frame.quiet)
    few.input(frame.guard(do.take), [frame.project, few], query, **frame.quiet)
    some.click(frame.guard(do.pick), frame.project, [query, few], **frame.quiet)
    work = (do.vote_first, do.vote_second, do.vote_both, do.vote_neither)
    for button, vote in zip(buttons, work, strict=True):
        button.click(frame.guard(vote), [frame.project, ballot], [panes, tally, votes, ballot], **frame.quiet)


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
            return [
                gr.CheckboxGroup([], value=[]),
                "",
                gr.Dropdown([], visible=False),
                notice_html(NO_PROJECT),
                gr.Button(interactive=False),
            ]
        systems = self.choose(project, self.services.play.systems(project))
        first = list(systems.values())[:4]
        few = self.services.play.first(project)
        text = self.take(project.name, few[0][1]) if few else ""
        chosen = gr.CheckboxGroup(list(systems.items()), value=first)
        listed = gr.Dropdown(few, value=few[0][1] if few else None, visible=bool(few))
        return [chosen, text, listed, self._tally(project), gr.Button(interactive=bool(few))]

    def state(self, project: str, ids: list[str], left: Event | None) -> list[Any]:
        """Why nobody can be asked now, if so; while somebody is being asked the button stays as it is."""
        reason = self.services.play.hindrance(self._project(project), ids)
        return [notice_html(reason), gr.skip() if left is not None else gr.Button(interactive=not reason)]

    def take(self, project: str, id_: str) -> str:
        return self.services.play.render(self._project(project), id_)

    def pick(self, project: str) -> list[Any]:
        project_record = self._project(project)
        query = self.services.play.pick(project_record, random.random())
        if query is None:
            raise InputError("The project has no queries yet; the page Data brings them.")
        return [get_task(project_record.config.task).render(query), gr.Dropdown(value=None)]

    def ask(self, project: str, text: str, ids: list[str], blind: bool) -> Iterator[list[Any]]:
        project_record = self._project(project)
        query = self.services.play.read_query(project_record, text)
        if reason := self.services.play.hindrance(project_record, ids):
            raise StateError(reason)
        if blind and len(ids) < 2:
            raise InputError("Blind mode compares two: choose at least two of those who can be asked.")
        asked = random.sample(ids, 2) if blind else ids
        panes: list[Pane] = []
        left = Event()
        above = _above(text)
        off, on = gr.Button(interactive=False), gr.Button(interactive=True)
        yield [above, [], gr.Row(visible=False), off, on, left]
        for panes in self.services.play.ask(project_record, query, asked, left):
            yield [above + panes_html(_hidden(panes) if blind else panes), [], *[gr.skip()] * 4]
        ready = blind and all(pane.whole for pane in panes)
        ballot = [text, *map(asdict, panes)] if ready else []
        shown = above + panes_html(_hidden(panes) if blind else panes)
        if blind and not ready:
            shown += notice_html("One of them gave no whole answer, so there is nothing to vote on.")
        yield [shown, ballot, gr.Row(visible=ready), on, off, None]

    def rest(self, project: str, ids: list[str]) -> list[Any]:
        """However the asking ended; where a job has the device, the page looks when it is over."""
        waits = gr.Timer(active=True) if self.services.play.busy() else gr.skip()
        return [*self.state(project, ids, None), gr.Button(interactive=False), None, waits]

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
        return [_above(text) + panes_html([first, second]), self._tally(project_record), gr.Row(visible=False), []]

    def _tally(self, project: Project) -> str:
        return table_html(self.services.play.tally(project), "blind votes")


def _above(text: str) -> str:
    """The query that the panes answer, which may not be the one in the box any more."""
    return notice_html(f"Asked: {text.strip()[:400]}")


def _hidden(panes: Sequence[Pane]) -> list[Pane]:
    """Without names, and without what gives them away: an error names its provider."""
    return [
        Pane(letter, pane.text, over=pane.over, message="" if pane.whole or not pane.over else "gave no whole answer")
        for pane, letter in zip(panes, _BLIND, strict=True)
    ]
