"""Teachers: who answers, how, and for how much?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.pages import prompts
from app.pages.data import KINDS
from app.pages.frame import Frame
from app.services import Services
from app.usecases.asking import key_variable
from app.view import table_html, told_html
from engine.config import TeacherConfig
from engine.errors import InputError
from engine.teachers.opening import HOSTED
from storage.projects import Project

_PROVIDERS = [
    ("OpenAI or compatible", "openai"),
    ("Mistral", "mistral"),
    ("a model on this machine", "local"),
]
_NEW = "- a new one -"
_FIELDS = tuple(name for name in TeacherConfig.model_fields)


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    gr.Markdown("## Teachers\nSeveral that reason differently are better than one: the least similar pair is kept.")
    listed = gr.HTML(padding=False)
    chosen = gr.Dropdown([_NEW], value=_NEW, label="Teacher to change", interactive=True)
    frame.fill([listed], lambda project: _list(services, project))
    fields = _lay_fields()
    seen = gr.Textbox("", visible=False)
    key = gr.Textbox(label="Key", type="password", info="kept in this server's memory only, gone on restart")
    with gr.Row():
        save = gr.Button("Save", variant="primary")
        test = gr.Button("Test connection")
        models = gr.Button("List models")
        remove = gr.Button("Remove", variant="stop")
    said = gr.HTML(padding=False)
    prompts.build(frame)
    with gr.Accordion("Recorded outputs: answers that teachers gave earlier, from a file", open=False):
        file = gr.File(label="Rows with query_id (or query), teacher, rationale, answer, raw, scores", file_types=KINDS)
        with gr.Row():
            recorded = gr.Textbox(label="Name of the teacher", info="where the file has no such column", max_length=60)
            bring = gr.Button("Bring the recorded outputs")
        brought = gr.HTML(padding=False)
    parts = list(fields.values())

    do = _Handlers(frame)
    frame.fill_once([chosen], lambda project: _names(services, project.name if project else "", _NEW))
    name = fields["name"]
    taken = bring.click(
        frame.guard(do.bring), [frame.project, file, recorded], [brought, listed, chosen], **frame.quiet
    )
    frame.follow(taken)
    chosen.input(frame.guard(do.choose), [frame.project, chosen], [*parts, seen], **frame.quiet)
    inputs = [frame.project, key, chosen, seen, *parts]
    frame.follow(save.click(frame.guard(do.store), inputs, [said, listed, chosen, key, seen], **frame.quiet))
    test.click(frame.guard(do.probe), [frame.project, name], [said, listed], **frame.quiet)
    models.click(frame.guard(do.offer), [frame.project, name], said, **frame.quiet)
    remove.click(frame.guard(do.drop), [frame.project, name], [said, listed, chosen], **frame.quiet)


def _lay_fields() -> dict[str, Any]:
    """The components of a teacher's settings, by name, in the order of `_FIELDS`."""
    fields: dict[str, Any] = {}
    with gr.Row():
        fields |= {
            "name": gr.Textbox(label="Name", max_length=60),
            "provider": gr.Dropdown(_PROVIDERS, value="openai", label="Provider"),
            "model": gr.Textbox(label="Model", info="its name at the provider, or a folder"),
        }
    with gr.Row():
        fields["endpoint"] = gr.Textbox(
            label="Base URL", info="empty: the provider's own", placeholder="http://127.0.0.1:8000/v1"
        )
        fields["key_variable"] = gr.Textbox(
            label="Variable of the key", info="ends in _API_KEY or _TOKEN; empty: the provider's own, or no key"
        )
    with gr.Accordion("Sampling, limits and prices", open=False):
        with gr.Row():
            fields["temperature"] = gr.Number(0.0, label="Temperature")
            fields["top_p"] = gr.Number(0.95, label="Top p")
            fields["max_tokens"] = gr.Number(2048, precision=0, label="Most tokens of a reply")
            fields["draws"] = gr.Number(1, precision=0, label="Samples a query")
        with gr.Row():
            fields["concurrency"] = gr.Number(8, precision=0, label="Most in flight")
            fields["requests_per_minute"] = gr.Textbox(label="Requests a minute")
            fields["tokens_per_minute"] = gr.Textbox(label="Tokens a minute")
            fields["timeout_s"] = gr.Number(120, label="Seconds a reply may take")
        with gr.Row():
            fields["input_price"] = gr.Number(
                None, label="US $ a million tokens in", info="empty: from the price table"
            )
            fields["output_price"] = gr.Textbox(label="US $ a million tokens out")
    return {name: fields[name] for name in _FIELDS}


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame

    def choose(self, project: str, name: str) -> list[Any]:
        if name == _NEW:
            return [*(gr.update() for _ in _FIELDS), ""]
        self.frame.services.teachers.get(project, name)
        row = next(row for row in self.frame.services.teachers.list_all(project) if row["name"] == name)
        flat = {**row, **row["sampling"]}
        shown = ["" if flat[field] is None else flat[field] for field in _FIELDS]
        return [*shown, self.frame.services.teachers.mark(project, name)]

    def store(self, project: str, key: str, chosen: str, seen: str, *values: Any) -> list[Any]:
        given = {field: value for field, value in zip(_FIELDS, values, strict=True) if value not in ("", None)}
        same = given.get("name") == chosen
        spec = self.frame.services.teachers.add(project, given, seen if same else "", key)
        told = f"{spec.name} is saved."
        if key.strip() and spec.provider in HOSTED:
            told += f" Its key is kept in memory as {key_variable(spec)}."
        return [
            told_html(told),
            _list(self.frame.services, self.frame.open(project)),
            _names(self.frame.services, project, spec.name),
            "",
            self.frame.services.teachers.mark(project, spec.name),
        ]

    def probe(self, project: str, name: str) -> list[Any]:
        self.frame.services.context.wait(self.frame.services.teachers.test(project, name).id)
        return [told_html(f"{name} answers."), _list(self.frame.services, self.frame.open(project))]

    def offer(self, project: str, name: str) -> str:
        found = self.frame.services.teachers.models(project, name)
        return told_html(f"{len(found)} models: {', '.join(found)}")

    def bring(self, project: str, file: str | None, teacher: str) -> list[Any]:
        if not file:
            raise InputError("Drop a file of recorded outputs first.")
        found = self.frame.services.data.import_outputs(project, Path(file), teacher.strip() or None)
        self.frame.services.context.wait(found.job_id)
        told = ", ".join(f"{name}: {count:,}" for name, count in found.teachers.items())
        message = (
            f"{told} outputs; {found.unmatched:,} rows name no query of the project, {found.rejected:,} are left out"
        )
        errors = table_html([{"row": e.row, "what is wrong": e.message} for e in found.errors[:20]], "left out")
        return [
            told_html(message) + errors,
            _list(self.frame.services, self.frame.open(project)),
            _names(self.frame.services, project, _NEW),
        ]

    def drop(self, project: str, name: str) -> list[Any]:
        self.frame.services.teachers.remove(project, name)
        told = told_html(f"{name} is no teacher of this project any more; its samples and its ledger stay.")
        return [told, _list(self.frame.services, self.frame.open(project)), _names(self.frame.services, project, _NEW)]


def _names(services: Services, project: str, chosen: str) -> Any:
    names = [row["name"] for row in services.teachers.list_all(project)] if project else []
    return gr.Dropdown([_NEW, *names], value=chosen)


def _list(services: Services, project: Project | None) -> str:
    if project is None:
        return told_html("Make a project first, on the page Projects.")
    rows = [_line(services, project.name, row) for row in services.teachers.list_all(project.name)]
    return table_html(rows, empty="No teacher yet. Add one below, or bring recorded outputs.")


def _line(services: Services, project: str, row: dict[str, Any]) -> dict[str, Any]:
    price, found = row["price"], row["capabilities"] or {}
    return {
        "name": row["name"],
        "provider": row["provider"],
        "model": row["model"],
        "endpoint": row["endpoint"] or "its own",
        "structured": found.get("structured", "not tested"),
        "reasoning in": found.get("reasoning") or "-",
        "$ per million in / out": f"{price['input']:g} / {price['output']:g}" if price else "unknown",
        "key": services.teachers.key_state(project, row["name"]),
    }
