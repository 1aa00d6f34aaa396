"""Teachers: who answers, how, and for how much?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.teachers.presets import PRESETS, RECORDINGS
from app.usecases.teachers.teachers import key_variable_of
from app.web.address import read_view
from app.web.choices import Question, lay_question
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.pages import outputs, prompts
from app.web.parts.code import command_html
from app.web.parts.listing import LISTING
from app.web.parts.messages import notice_html
from app.web.parts.teachers import teacher_html, teachers_html, tell_capabilities
from app.web.teacher_form import (
    FIELDS,
    FIRST,
    fill_fields,
    lay_access,
    lay_key_variable,
    lay_limits,
    lay_preset,
    read_settings,
    show_access,
    words_of,
)
from engine.errors import InputError
from engine.wording import counted

NEW = "+"
"""What the address opens where a teacher is to be added; no teacher can be named so."""
_OPEN = "(name) => { window.tacitView({open: name}, false); }"
_ADD = "(project) => { window.tacitView({open: '+'}, true); return [project]; }"


@dataclass(frozen=True)
class _Editor:
    """The components of the editor. `opened` is what they were filled from, `seen` its mark at that time."""

    opened: gr.Textbox
    seen: gr.Textbox
    choice: gr.Column
    rest: gr.Column
    recordings: gr.Column
    fields: dict[str, Any]
    key: gr.Textbox
    save: gr.Button
    test: gr.Button
    models: gr.Button
    said: gr.HTML
    command: gr.HTML
    remove: gr.Button
    sure: Question
    taken: outputs.Taken

    @property
    def form(self) -> NamedForm[dict[str, Any]]:
        return NamedForm({name: self.fields[name] for name in FIELDS}, read_settings)

    @property
    def filled(self) -> list[Any]:
        """What opening a teacher fills, in the order of `_Handlers.fill_editor`."""
        about = [self.opened, self.seen, self.choice, self.rest, self.recordings, self.key, self.test, self.models]
        return [*about, self.remove, self.sure.row, self.said, *self.form.inputs]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    result = lay_html()
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=6, min_width=340):
            listed = lay_html(js_on_load=LISTING)
            add = gr.Button("Add teacher")
        with gr.Column(scale=5, min_width=340, elem_classes="card editor"):
            one = lay_html()
            editor = _lay_editor(frame, result)
    do = _Handlers(frame.services, editor)
    frame.fill_view([listed, one], [], do.show_page)
    if frame.policy.offers("teachers", "fill_editor") != "nowhere":  # else it would be asked for, and refused
        frame.fill_view(editor.filled, [editor.opened], do.fill_editor)
    add.click(frame.guard(do.begin), frame.project, editor.sure.row, js=_ADD, show_progress="hidden", **frame.quiet)
    _bind_editor(frame, do, editor, result, [listed, one])
    prompts.build(frame)


def _lay_editor(frame: Frame, result: gr.HTML) -> _Editor:
    with gr.Column() as choice:
        fields = {"preset": lay_preset()}
    with gr.Column() as rest:
        fields |= lay_access()
        with gr.Row():
            fields["key_variable"] = lay_key_variable()
            key = gr.Textbox(label="Key", type="password", info="kept in memory only", min_width=180)
        with gr.Accordion("Sampling, limits and prices", open=False):
            fields |= lay_limits()
        with gr.Row():
            save = gr.Button("Save teacher", variant="primary")
            test, models = gr.Button("Test connection"), gr.Button("List models")
        said, command = lay_html(), lay_html()
    with gr.Column(visible=False) as recordings:
        taken = outputs.build(frame, result)
    remove = gr.Button("Remove teacher", variant="stop", size="sm", visible=False, elem_classes="apart")
    sure = lay_question("Remove this teacher", "Keep it")
    opened, seen = gr.Textbox("", visible=False), gr.Textbox("", visible=False)
    columns = opened, seen, choice, rest, recordings
    return _Editor(*columns, fields, key, save, test, models, said, command, remove, sure, taken)


def _bind_editor(frame: Frame, do: _Handlers, editor: _Editor, result: gr.HTML, shown: list[Any]) -> None:
    form, quiet = editor.form, {"show_progress": "hidden", **frame.quiet}
    inputs = [frame.project, *form.inputs, editor.key]
    fields, sure, opened = editor.fields, editor.sure, editor.opened
    access = [fields["endpoint"], fields["key_variable"], editor.key, fields["model"]]
    parts = [editor.rest, editor.recordings, editor.test, editor.models, *access]
    fields["preset"].input(frame.guard(do.take_preset), [frame.project, fields["preset"]], parts, **quiet)
    changed = [part.change for part in form.inputs]
    live = {"trigger_mode": "always_last", **quiet}
    gr.on(changed, frame.guard(do.tell_command, form), [frame.project, *form.inputs], editor.command, **live)
    saved = [editor.said, opened, editor.key, editor.seen, editor.remove]
    stored = editor.save.click(frame.guard(do.store, form), [*inputs, opened, editor.seen], saved, **frame.quiet)
    tested = editor.test.click(frame.guard(do.probe, form), inputs, editor.said, **frame.quiet)
    tested.success(frame.guard(do.show_page), [frame.project, frame.address], shown, **quiet)
    editor.models.click(frame.guard(do.offer, form), inputs, [fields["model"], editor.said], **frame.quiet)
    editor.remove.click(frame.guard(do.ask_drop), [frame.project, opened], [sure.row, sure.text], **frame.quiet)
    sure.no.click(frame.guard(do.keep), frame.project, sure.row, **frame.quiet)
    dropped = sure.yes.click(frame.guard(do.drop), [frame.project, opened], [result, opened, sure.row], **frame.quiet)
    for event, name in ((stored, opened), (dropped, opened), editor.taken):
        frame.follow(event)
        event.success(None, name, None, js=_OPEN, **quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    services: Services
    editor: _Editor

    def show_page(self, project: str, address: str) -> list[str]:
        """The teachers, and the one that the address opens, else the first."""
        view, rows = read_view(address), self.services.teachers.list_all(project)
        name, names = self._named(project, address), [row["name"] for row in rows]
        row = next((row for row in rows if row["name"] == name), None)
        lead = "<p class='quiet'>Choose how it is reached; the rest is filled in as is usual there.</p>"
        shown = f"<div class='opened'><h2>Add teacher</h2>{lead}</div>"
        if row is not None:
            shown = teacher_html(row, names, row["preset"] in ("", RECORDINGS))
        return [teachers_html(rows, replace(view, open=name)), shown]

    def _named(self, project: str, address: str) -> str:
        """The teacher that an address opens, else the first; `NEW` where one is to be added."""
        names = [row["name"] for row in self.services.teachers.list_all(project)]
        asked = read_view(address).open
        return asked if asked in (*names, NEW) else names[0] if names and not asked else NEW

    def fill_editor(self, project: str, address: str, opened: str) -> list[Any]:
        """Fill the fields from what the address opens; leave them alone where they were filled from it before."""
        name, editor = self._named(project, address), self.editor
        if name == opened:
            return [gr.skip() for _ in editor.filled]
        row = next((row for row in self.services.teachers.list_all(project) if row["name"] == name), None)
        preset = FIRST if row is None else row["preset"]
        fixed = preset in ("", RECORDINGS)
        settings = None if row is None or fixed else {**row, **row["sampling"]}
        hosted = not fixed and PRESETS[preset].hosted
        return [
            name,
            "" if row is None else self.services.teachers.mark(project, name),
            *(gr.Column(visible=shown) for shown in (not fixed, not fixed, False)),
            gr.Textbox("", visible=hosted),
            *(gr.Button(visible=hosted) for _ in range(2)),
            gr.Button(visible=row is not None),
            editor.sure.closed(),
            "",
            *([gr.skip() for _ in FIELDS] if fixed else fill_fields(settings, preset)),
        ]

    def begin(self, project: str) -> Any:
        """Beside the address, which the browser changes: no question is open any more."""
        return self.editor.sure.closed()

    def take_preset(self, project: str, preset: str) -> list[Any]:
        """The fields that a preset asks for, with what is usual there."""
        if not isinstance(preset, str) or preset not in PRESETS:
            raise InputError("Choose a preset first.")
        chosen = PRESETS[preset]
        live = preset != RECORDINGS
        return [
            gr.Column(visible=live),
            gr.Column(visible=not live),
            *(gr.Button(visible=chosen.hosted) for _ in range(2)),
            *show_access(chosen, chosen.endpoint, chosen.key_variable),
            gr.Dropdown([], value=None, info=chosen.hint or None),
        ]

    def tell_command(self, project: str, entered: Entered[dict[str, Any]]) -> str:
        """The command that saves the same; nothing as long as something is missing or wrong."""
        try:
            given = entered.read()
        except InputError:
            return ""
        if not given.get("name") or not given.get("model"):
            return ""
        return command_html(["tacit", "teachers", "add", project, str(given["name"]), *words_of(given)])

    def store(self, project: str, entered: Entered[dict[str, Any]], key: str, opened: str, seen: str) -> list[Any]:
        given = entered.read()
        same = given.get("name") == opened
        spec = self.services.teachers.add(project, given, seen if same else "", key)
        kept = f" Its key is kept in memory as {key_variable_of(spec)}." if key.strip() else ""
        said = notice_html(f"{spec.name} is saved.{kept}", tone="good")
        return [said, spec.name, "", self.services.teachers.mark(project, spec.name), gr.Button(visible=True)]

    def probe(self, project: str, entered: Entered[dict[str, Any]], key: str) -> str:
        teachers = self.services.teachers
        spec = teachers.read(project, entered.read(), key)
        teachers.try_out(project, spec, key)
        capabilities = teachers.tested(spec)
        addition = f" ({tell_capabilities(capabilities)})" if capabilities else ""
        saved = any(row["name"] == spec.name for row in teachers.list_all(project))
        return notice_html(f"{spec.name} answers{addition}.{'' if saved else ' It is not saved yet.'}", tone="good")

    def offer(self, project: str, entered: Entered[dict[str, Any]], key: str) -> list[Any]:
        given = {"name": "a new one", "model": "not chosen yet", **entered.read()}
        teachers = self.services.teachers
        models = teachers.models_of(teachers.read(project, given, key), key)
        chosen = entered.read().get("model")
        value = chosen if chosen else models[0] if len(models) == 1 else None
        said = f"{counted(len(models), 'model')} offered: choose one under Model."
        return [gr.Dropdown(models, value=value), notice_html(said)]

    def ask_drop(self, project: str, name: str) -> list[Any]:
        if name in ("", NEW):
            raise InputError("Open the teacher to remove first.")
        self.services.teachers.get(project, name)
        message = f"Remove {name} from this project? Its samples and its ledger stay; its settings are gone."
        command = command_html(["tacit", "teachers", "remove", project, name])
        return self.editor.sure.asked(notice_html(message, tone="warn") + command)

    def keep(self, project: str) -> Any:
        return self.editor.sure.closed()

    def drop(self, project: str, name: str) -> list[Any]:
        self.services.teachers.remove(project, name)
        said = notice_html(f"{name} was removed from this project; its samples and its ledger stay.", tone="good")
        return [said, "", self.editor.sure.closed()]
