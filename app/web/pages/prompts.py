"""The part of Teachers that shows and changes what they are asked with."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.services import Services
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.offers import only_guides
from app.web.parts.messages import notice_html
from engine.errors import TacitError
from storage.projects import Project


def build(frame: Frame) -> None:
    """Lay this part out and bind its handlers."""
    do = _Handlers(frame.services)
    with gr.Accordion("Prompt: what every teacher of this project is asked with", open=False):
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                version = gr.Dropdown([], label="Version (the newest counts)", interactive=True)
                text = gr.Textbox(
                    label="Prompt",
                    info="the system part, a line =====, the user part; {{ query }} and {{ factors }} are filled",
                    lines=10,
                    max_lines=24,
                )
                with gr.Row():
                    save = gr.Button("Save as a new version", interactive=False)
                    look = gr.Button("See it on a query", interactive=False)
            with gr.Column(scale=2, min_width=320):
                shown = lay_html()
        said = lay_html()
    seen = gr.Textbox("1", visible=False)
    quiet: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_once([version, text, seen, shown, look], do.start)
    version.input(frame.guard(do.pick), [frame.project, version], [text, seen, shown], **frame.quiet)
    text.change(frame.guard(do.can_save), [frame.project, text], save, trigger_mode="always_last", **quiet)
    look.click(frame.guard(do.preview), [frame.project, text], shown, **frame.quiet)
    saved = save.click(frame.guard(do.save), [frame.project, text, seen], [said, version, seen, save], **frame.quiet)
    saved.success(frame.guard(do.preview), [frame.project, text], shown, **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the events do; each returns the values of its components in their order."""

    services: Services

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            return [gr.Dropdown([], value=None), "", "1", "", *enable(False)]
        versions = self.services.prompt.versions(project.name)
        newest = max(versions)
        try:
            shown = self.preview(project.name, versions[newest])
        except TacitError as error:
            shown = notice_html(str(error), bad=True)
        return [_choices(versions, newest), versions[newest], str(newest), shown, *enable(True)]

    def pick(self, project: str, version: int) -> list[Any]:
        versions = self.services.prompt.versions(project)
        text = versions[int(version)]
        return [text, str(max(versions)), self.preview(project, text)]

    def preview(self, project: str, text: str) -> str:
        preview = self.services.prompt.preview(project, text)
        return f"<b>system</b>{_quoted(preview.system)}<b>user</b>{_quoted(preview.user)}"

    @only_guides
    def can_save(self, project: str, text: str) -> Any:
        """The button that saves, where the text is another one than the newest version's."""
        versions = self.services.prompt.versions(project)
        return gr.Button(interactive=text.strip() != versions[max(versions)].strip())

    def save(self, project: str, text: str, seen: str) -> list[Any]:
        number = self.services.prompt.save(project, text, int(seen))
        message = (
            f"Version {number} counts: Start asks every query again with it. Samples of earlier versions stay, and are "
            "selected from as well."
        )
        return [
            notice_html(message),
            _choices(self.services.prompt.versions(project), number),
            str(number),
            *enable(False),
        ]


def _choices(versions: dict[int, str], chosen: int) -> Any:
    names = [(f"{number}" + (" (the program's own)" if number == 1 else ""), number) for number in versions]
    return gr.Dropdown(names, value=chosen)


def _quoted(text: str) -> str:
    return f"<div class='reply'>{escape(text)}</div>"
