"""The part of Data that imports a provider's traces: queries, and the replies of its models as recorded teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.parts.code import command_html
from app.web.parts.messages import notice_html
from app.web.parts.traces import details_html, imported_html, traces_html
from app.web.trace_form import LABELS, PERSONAL, SYSTEMS, GivenTraces, formats, read_traces_given
from engine.errors import InputError

KINDS = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".gz"]
_ABOUT = (
    "Logged requests and replies become queries and recorded teachers: the old model stands in every table as a "
    "baseline, with what it cost. Files of OpenAI (fine-tuning, stored completions, Evals, Batch), Langfuse and "
    "OpenTelemetry are recognised, and plain chat logs; of a batch, drop the input file and the output file together."
)


@dataclass(frozen=True)
class _Parts:
    """The components. `more` holds what is asked once a file is there; `usable` says whether it gives any trace."""

    files: gr.File
    more: gr.Column
    fields: dict[str, Any]
    shown: gr.HTML
    decide: gr.Column
    take: gr.Button
    command: gr.HTML
    rest: gr.HTML
    usable: gr.State

    @property
    def drawn(self) -> list[Any]:
        """What a preview draws."""
        return [self.more, self.shown, self.decide, self.take, self.command, self.rest, self.usable]

    @property
    def form(self) -> NamedForm[GivenTraces]:
        return NamedForm({"files": self.files, **self.fields}, read_traces_given)


def build(frame: Frame, result: gr.HTML, fold: gr.Accordion) -> Any:
    """Lay this part out and bind its handlers; the outcome is said in `result`, and `fold` closed.

    Returns:
        The event of an import.
    """
    parts, do = _lay(), _Handlers(frame.services)
    form, quiet = parts.form, {"show_progress": "hidden", **frame.quiet}
    inputs = [frame.project, *form.inputs]
    looked = [parts.files.upload, *(parts.fields[name].input for name in ("format", "label", "system"))]
    gr.on(looked, frame.guard(do.preview, form), inputs, parts.drawn, **frame.quiet)
    decided = [parts.fields["personal"].input, parts.fields["heldout"].release, parts.fields["teacher"].blur]
    gr.on(decided, frame.guard(do.decide, form), [*inputs, parts.usable], [parts.take, parts.command], **quiet)
    cleared = [*parts.drawn, parts.fields["personal"], parts.files]
    parts.files.clear(frame.guard(do.forget), frame.project, cleared[:-1], **quiet)
    stored = parts.take.click(frame.guard(do.store, form), inputs, [result, fold, *cleared], **frame.quiet)
    frame.follow(stored)
    return stored


def _lay() -> _Parts:
    lay_html(f"<p class='quiet'>{_ABOUT}</p>")
    files = gr.File(
        label="Files of traces",
        file_types=KINDS,
        file_count="multiple",
        height=84,
        elem_classes="drop",
        type="filepath",
    )
    with gr.Column(visible=False) as more:
        with gr.Row(elem_classes="top"):
            fields: dict[str, Any] = {}
            with gr.Column(min_width=200):
                fields["format"] = gr.Dropdown(formats(), value="", label="Format")
            with gr.Column(min_width=200):
                fields["teacher"] = gr.Textbox(label="Model, where traces name none", max_length=60)
            with gr.Column(min_width=200):
                fields["heldout"] = gr.Slider(0, 1, 0.2, step=0.05, label="Share held out")
        with gr.Row(elem_classes="top"):
            fields["label"] = gr.Radio(LABELS, value="reply", label="Label", min_width=260)
            fields["system"] = gr.Radio(SYSTEMS, value="text", label="System prompt", min_width=260)
    shown = lay_html()
    with gr.Column(visible=False) as decide:
        fields["personal"] = gr.Radio(
            PERSONAL,
            value=None,
            label="Personal data",
            info="Decide before anything is stored. Patterns find forms, not names.",
        )
    take, command = gr.Button("Import traces", variant="primary", interactive=False), lay_html()
    return _Parts(files, more, fields, shown, decide, take, command, lay_html(), gr.State(False))


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services

    def preview(self, project: str, entered: Entered[GivenTraces]) -> list[Any]:
        """What the files would give, and what must be decided; nothing where there are none."""
        given = entered.read()
        if not given.files:
            return self.forget(project)[:-1]
        # Nothing is dropped or masked in what is shown: whoever decides sees what there is.
        look = given.order.model_copy(update={"personal": None})
        try:
            preview = self.services.traces.look(project, given.paths, look)
        except InputError as error:
            asked, nothing = notice_html(f"{error}.", bad=True), gr.Column(visible=False)
            return [gr.Column(visible=True), asked, nothing, gr.Button(interactive=False), "", "", False]
        usable = preview.tally.taken > 0
        ready = usable and (not preview.must_decide or given.order.personal is not None)
        return [
            gr.Column(visible=True),
            traces_html(preview),
            gr.Column(visible=preview.must_decide or preview.partly),
            gr.Button(interactive=ready),
            command_html(given.command(project)) if usable else "",
            details_html(preview),
            usable,
        ]

    def decide(self, project: str, entered: Entered[GivenTraces], usable: bool) -> list[Any]:
        """The button once personal data was decided on, and the command as it is now; neither without a trace."""
        given = entered.read()
        if not given.files or not usable:
            return [gr.Button(interactive=False), ""]
        button = gr.skip() if given.order.personal is None else gr.Button(interactive=True)
        return [button, command_html(given.command(project))]

    def forget(self, project: str) -> list[Any]:
        """What is shown without a file."""
        hidden = gr.Column(visible=False)
        return [hidden, "", hidden, gr.Button(interactive=False), "", "", False, gr.Radio(value=None)]

    def store(self, project: str, entered: Entered[GivenTraces]) -> list[Any]:
        """Import the traces, and wait until the replies are read."""
        given = entered.read()
        imported = self.services.traces.import_traces(project, given.paths, given.order)
        if imported.job_id is not None:
            self.services.jobs.wait(imported.job_id)
        said = imported_html(imported, self.services.traces.read_back(project, imported))
        return [said, gr.Accordion(open=False), *self.forget(project), gr.File(None)]
