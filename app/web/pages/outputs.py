"""The part of Teachers that imports outputs which teachers gave earlier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.services import Services
from app.usecases.data.words import tell_outputs
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.pages.data import KINDS
from app.web.parts.code import command_html
from app.web.parts.imports import errors_html, folded_html, outputs_html
from app.web.parts.messages import notice_html
from engine.errors import InputError


class Taken(NamedTuple):
    """What was imported: the event, and the name of a teacher that it made."""

    event: Any
    name: gr.Textbox


def build(frame: Frame, result: gr.HTML) -> Taken:
    """Lay this part out and bind its handlers; the outcome is said in `result`."""
    do = _Handlers(frame.services)
    file = gr.File(label="A file of outputs", file_types=KINDS, height=84, elem_classes="drop")
    lay_html(
        "<p class='quiet'>One row per output: query_id or query, teacher, and answer, rationale or raw; scores if "
        "there are any.</p>"
    )
    teacher = gr.Textbox(label="Teacher name", info="where the file has no teacher column", max_length=60)
    bring = gr.Button("Import outputs", variant="primary", interactive=False)
    shown, name = lay_html(), gr.Textbox("", visible=False)
    given = [frame.project, file, teacher]
    gr.on([file.upload, teacher.submit, teacher.blur], frame.guard(do.preview), given, [shown, bring], **frame.quiet)
    file.clear(frame.guard(do.forget), frame.project, [shown, bring], show_progress="hidden", **frame.quiet)
    taken = bring.click(frame.guard(do.bring), given, [result, name, file, shown, bring], **frame.quiet)
    return Taken(taken, name)


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services

    def preview(self, project: str, file: str | None, teacher: str) -> list[Any]:
        """What the file would give; nothing where there is none."""
        if not file:
            return ["", gr.Button(interactive=False)]
        path, name = Path(file), (teacher or "").strip()
        preview = self.services.preview.look_at_outputs(project, path, name or None)
        words = ["tacit", "import-outputs", project, path.name, *(["--teacher", name] if name else [])]
        command = command_html(words) if preview.teachers else ""
        return [outputs_html(preview) + command, gr.Button(interactive=bool(preview.teachers))]

    def forget(self, project: str) -> list[Any]:
        return ["", gr.Button(interactive=False)]

    def bring(self, project: str, file: str | None, teacher: str) -> list[Any]:
        """Import the outputs, and wait until they are read."""
        if not file:
            raise InputError("Drop a file of outputs first.")
        data = self.services.data
        imported = data.import_outputs(project, Path(file), (teacher or "").strip() or None)
        self.services.jobs.wait(imported.job_id)
        said = notice_html(" ".join(tell_outputs(imported, data.read_back(project, imported))), tone="good")
        errors = errors_html("Rows with errors, left out", imported.errors, imported.rejected)
        notes = errors_html("Rows imported without their scores", imported.notes, imported.noted)
        return [
            said + folded_html(errors + notes),
            min(imported.teachers),
            gr.File(None),
            "",
            gr.Button(interactive=False),
        ]
