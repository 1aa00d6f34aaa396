"""The part of Teachers that shows and changes what they are asked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.offers import only_guides
from app.web.parts.code import commands_html
from app.web.parts.messages import notice_html
from app.web.parts.prompts import prompt_html
from engine.errors import TacitError
from storage.projects import Project


def build(frame: Frame) -> None:
    """Lay this part out and bind its handlers."""
    do = _Handlers(frame.services)
    lay_html(
        "<h2>Prompt</h2><p class='quiet'>Every teacher of this project is asked with it. The system part stands above "
        "a line of =====, the user part below; {{ query }} and {{ factors }} are filled in.</p>"
    )
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=1, min_width=340):
            version = gr.Dropdown([], label="Version", info="the newest is asked with", interactive=True)
            text = gr.Textbox(label="Prompt", lines=12, max_lines=24, elem_classes="mono-field")
            save = gr.Button("Save as a new version", interactive=False)
            said, command = lay_html(), lay_html()
        with gr.Column(scale=1, min_width=340):
            search = gr.Textbox(
                label="Shown on",
                info="search for a query to read the prompt with",
                max_length=300,
                placeholder="Search",
            )
            with gr.Row(elem_classes="toolbar"):
                back, on = gr.Button("Previous query"), gr.Button("Next query")
            shown = lay_html()
    seen, place = gr.Textbox("1", visible=False), gr.Number(0, precision=0, visible=False)
    quiet: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_once([version, text, seen, shown, command], do.start)
    version.input(frame.guard(do.pick), [frame.project, version, search, place], [text, seen, shown], **frame.quiet)
    text.change(frame.guard(do.can_save), [frame.project, text], save, trigger_mode="always_last", **quiet)
    on_now = [frame.project, text, search, place]
    text.input(frame.guard(do.preview), on_now, shown, trigger_mode="always_last", **quiet)
    search.input(frame.guard(do.seek), on_now, [shown, place], trigger_mode="always_last", **quiet)
    back.click(frame.guard(do.turn_back), on_now, [shown, place], **quiet)
    on.click(frame.guard(do.turn_on), on_now, [shown, place], **quiet)
    frame.follow(
        save.click(frame.guard(do.save), [frame.project, text, seen], [said, version, seen, save], **frame.quiet)
    )


@dataclass(frozen=True)
class _Handlers:
    """What the events do; each returns the values of its components in their order."""

    services: Services

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            return [gr.Dropdown([], value=None), "", "1", "", ""]
        versions = self.services.prompt.versions(project.name)
        newest = max(versions)
        shown = self.preview(project.name, versions[newest])
        command = ["tacit", "teachers", "prompt", project.name]
        commands = commands_html([command, [*command, "--save", "prompt.txt"]])
        return [_choices(versions, newest), versions[newest], str(newest), shown, commands]

    def pick(self, project: str, version: int, search: str, place: float) -> list[Any]:
        versions = self.services.prompt.versions(project)
        text = versions[int(version)]
        return [text, str(max(versions)), self.preview(project, text, search, place)]

    def preview(self, project: str, text: str, search: str = "", place: float = 0) -> str:
        """The prompt as the teacher of a real query reads it, or what is wrong with it; it is asked while one types."""
        return str(self._turn(project, text, search, int(place))[0])

    def seek(self, project: str, text: str, search: str, place: float) -> list[Any]:
        """The first query that holds what is searched."""
        return self._turn(project, text, search, 0)

    def turn_back(self, project: str, text: str, search: str, place: float) -> list[Any]:
        return self._turn(project, text, search, int(place) - 1)

    def turn_on(self, project: str, text: str, search: str, place: float) -> list[Any]:
        return self._turn(project, text, search, int(place) + 1)

    def _turn(self, project: str, text: str, search: str, place: int) -> list[Any]:
        """The prompt on one query, and which that is."""
        try:
            preview = self.services.prompt.preview(project, text, (search or "").strip(), place)
        except TacitError as error:
            return [f"<h3>As a teacher reads it</h3>{notice_html(str(error), tone='warn')}", max(0, place)]
        return [prompt_html(preview), preview.place]

    @only_guides
    def can_save(self, project: str, text: str) -> Any:
        """The button that saves, where the text is another one than the newest version's."""
        versions = self.services.prompt.versions(project)
        return gr.Button(interactive=text.strip() != versions[max(versions)].strip())

    def save(self, project: str, text: str, seen: str) -> list[Any]:
        number = self.services.prompt.save(project, text, int(seen))
        message = (
            f"Version {number} is saved: Start asks every query again with it. Samples of earlier versions stay, and "
            "are selected from as well."
        )
        return [
            notice_html(message, tone="good"),
            _choices(self.services.prompt.versions(project), number),
            str(number),
            *enable(False),
        ]


def _choices(versions: dict[int, str], chosen: int) -> Any:
    names = [(f"{number}" + (" (shipped with Tacit)" if number == 1 else ""), number) for number in versions]
    return gr.Dropdown(names, value=chosen)
