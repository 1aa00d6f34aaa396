"""Teachers: who answers, how, and for how much?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.data.words import tell_outputs
from app.usecases.teachers.teachers import key_variable_of
from app.web.choices import Question, lay_question
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.pages import prompts
from app.web.pages.data import KINDS
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from engine.config import TeacherConfig
from engine.errors import InputError
from engine.teachers.providers import HOSTED
from engine.wording import bounds_of, counted, range_text
from storage.projects import Project

_PROVIDERS = [
    ("OpenAI or compatible", "openai"),
    ("Mistral", "mistral"),
    ("a model on this machine", "local"),
]
_NEW = "- a new one -"
_LOGPROBS = {True: "yes", False: "no", None: "not tested"}
_FIELDS = tuple(name for name in TeacherConfig.model_fields)
_OPTIONAL = {
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "input_price": "US $ a million tokens in",
    "output_price": "US $ a million tokens out",
}
"""Numbers that may be left empty, by their labels."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    listed = lay_html()
    chosen = gr.Dropdown(
        [_NEW], value=_NEW, label="Teacher to change", info="only one that is saved can be removed", interactive=True
    )
    frame.fill([listed], lambda project: _list(services, project))
    fields = _lay_fields()
    seen = gr.Textbox("", visible=False)
    key = gr.Textbox(label="Key", type="password", info="kept in this server's memory only, gone on restart")
    with gr.Row():
        save = gr.Button("Save", variant="primary")
        test = gr.Button("Test connection")
        models = gr.Button("List models")
        remove = gr.Button("Remove", variant="stop", interactive=False)
    sure = lay_question("Remove this teacher", "Keep it")
    said = lay_html()
    prompts.build(frame)
    with gr.Accordion("Recorded outputs: answers that teachers gave earlier, from a file", open=False):
        file = gr.File(label="Rows with query_id (or query), teacher, rationale, answer, raw, scores", file_types=KINDS)
        with gr.Row():
            recorded = gr.Textbox(label="Name of the teacher", info="where the file has no such column", max_length=60)
            bring = gr.Button("Bring the recorded outputs", interactive=False)
        brought = lay_html()
    form = NamedForm(fields, _read_given)
    parts = form.inputs

    do = _Handlers(frame, sure)
    frame.fill_once([chosen, save, test, models], do.start)
    taken = bring.click(
        frame.guard(do.bring), [frame.project, file, recorded], [brought, listed, chosen], **frame.quiet
    )
    frame.follow(taken)
    chosen.input(frame.guard(do.choose), [frame.project, chosen], [*parts, seen, remove, sure.row, said], **frame.quiet)
    inputs = [frame.project, *parts, key, chosen, seen]
    saved = [said, listed, chosen, key, seen, remove]
    frame.follow(save.click(frame.guard(do.store, form), inputs, saved, **frame.quiet))
    test.click(frame.guard(do.probe, form), [frame.project, *parts, key], [said, listed], **frame.quiet)
    models.click(frame.guard(do.offer, form), [frame.project, *parts, key], said, **frame.quiet)
    remove.click(frame.guard(do.ask_drop), [frame.project, chosen], [sure.row, sure.text], **frame.quiet)
    sure.no.click(frame.guard(do.keep), frame.project, sure.row, **frame.quiet)
    dropped = [said, listed, chosen, seen, remove, sure.row]
    frame.follow(sure.yes.click(frame.guard(do.drop), [frame.project, chosen], dropped, **frame.quiet))
    toggles: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    fields["provider"].change(
        lambda provider: [gr.Button(interactive=provider in HOSTED)] * 2, fields["provider"], [test, models], **toggles
    )
    file.change(lambda file: gr.Button(interactive=bool(file)), file, bring, **toggles)


def _lay_fields() -> dict[str, Any]:
    """The components of a teacher's settings, by name, in the order of `_FIELDS`."""
    fields: dict[str, Any] = {}
    with gr.Row():
        fields |= {
            "name": gr.Textbox(label="Name", info="what every page calls it", max_length=60),
            "provider": gr.Dropdown(
                _PROVIDERS, value="openai", label="Provider", info="one on this machine has no connection to test"
            ),
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
            fields["temperature"] = _number("temperature", "Temperature")
            fields["top_p"] = _number("top_p", "Top p")
            fields["max_tokens"] = _number("max_tokens", "Most tokens of a reply")
            fields["draws"] = _number("draws", "Samples a query")
        with gr.Row():
            fields["concurrency"] = _number("concurrency", "Most in flight")
            fields["requests_per_minute"] = _optional("requests_per_minute", "empty: no limit")
            fields["tokens_per_minute"] = _optional("tokens_per_minute", "empty: no limit")
            fields["timeout_s"] = _number("timeout_s", "Seconds a reply may take")
        with gr.Row():
            table = "empty: from the price table"
            fields["input_price"] = _optional("input_price", table)
            fields["output_price"] = _optional("output_price", table)
    return {name: fields[name] for name in _FIELDS}


def _optional(name: str, info: str) -> gr.Textbox:
    """The field of a number that need not be given; one of gradio's number fields would show a zero."""
    return gr.Textbox(label=_OPTIONAL[name], info=info, max_length=20)


def _number(name: str, label: str) -> gr.Number:
    """The field of a numeric setting, with the setting's own default and range."""
    setting = TeacherConfig.model_fields[name]
    whole = "int" in str(setting.annotation)
    low, high, above, _ = bounds_of(setting)
    low = 1 if whole and above and low == 0 else low
    return gr.Number(setting.default, label=label, precision=0 if whole else None, minimum=low, maximum=high)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    sure: Question

    def start(self, project: Project | None) -> list[Any]:
        names = _names(self.frame.services, project.name if project else "", _NEW)
        return [names, *[gr.Button(interactive=project is not None)] * 3]

    def choose(self, project: str, name: str) -> list[Any]:
        if name == _NEW:
            return [*(gr.skip() for _ in _FIELDS), "", gr.Button(interactive=False), self.sure.closed(), ""]
        provider = self.frame.services.teachers.get(project, name).provider
        if provider not in [known for _, known in _PROVIDERS]:
            what = "a recording" if provider == "recorded" else "shipped with the program"
            message = notice_html(
                f"{name} is {what}: it can be removed, not changed. The fields are still as they were."
            )
            return [*(gr.skip() for _ in _FIELDS), "", gr.Button(interactive=True), self.sure.closed(), message]
        row = next(row for row in self.frame.services.teachers.list_all(project) if row["name"] == name)
        flat = {**row, **row["sampling"]}
        shown = [_as_text(flat[field]) if field in _OPTIONAL else flat[field] for field in _FIELDS]
        mark = self.frame.services.teachers.mark(project, name)
        return [*shown, mark, gr.Button(interactive=True), self.sure.closed(), ""]

    def store(self, project: str, entered: Entered[dict[str, Any]], key: str, chosen: str, seen: str) -> list[Any]:
        given = entered.read()
        same = given.get("name") == chosen
        spec = self.frame.services.teachers.add(project, given, seen if same else "", key)
        kept = f" Its key is kept in memory as {key_variable_of(spec)}." if key.strip() else ""
        message = f"{spec.name} is saved.{kept}"
        return [
            notice_html(message),
            _list(self.frame.services, self.frame.open(project)),
            _names(self.frame.services, project, spec.name),
            "",
            self.frame.services.teachers.mark(project, spec.name),
            gr.Button(interactive=True),
        ]

    def probe(self, project: str, entered: Entered[dict[str, Any]], key: str) -> list[Any]:
        teachers = self.frame.services.teachers
        spec = teachers.read(project, entered.read(), key)
        teachers.try_out(project, spec, key)
        saved = any(row["name"] == spec.name for row in teachers.list_all(project))
        more = "" if saved else " It is not saved yet."
        return [notice_html(f"{spec.name} answers.{more}"), _list(self.frame.services, self.frame.open(project))]

    def offer(self, project: str, entered: Entered[dict[str, Any]], key: str) -> str:
        given = {"name": "a new one", "model": "not chosen yet", **entered.read()}
        teachers = self.frame.services.teachers
        models = teachers.models_of(teachers.read(project, given, key), key)
        return notice_html(f"{counted(len(models), 'model')}: {', '.join(models)}")

    def bring(self, project: str, file: str | None, teacher: str) -> list[Any]:
        if not file:
            raise InputError("Drop a file of recorded outputs first.")
        imported = self.frame.services.data.import_outputs(project, Path(file), teacher.strip() or None)
        self.frame.services.jobs.wait(imported.job_id)
        message = " ".join(tell_outputs(imported, self.frame.services.data.read_back(project, imported)))
        errors = table_html([{"row": e.row, "what is wrong": e.message} for e in imported.errors[:20]], "left out")
        notes = table_html([{"row": n.row, "what is wrong": n.message} for n in imported.notes[:20]], "taken in part")
        return [
            notice_html(message) + errors + notes,
            _list(self.frame.services, self.frame.open(project)),
            _names(self.frame.services, project, _NEW),
        ]

    def ask_drop(self, project: str, name: str) -> list[Any]:
        if name == _NEW:
            raise InputError("Choose the teacher to remove above first.")
        self.frame.services.teachers.get(project, name)
        message = f"Remove {name} from this project? Its samples and its ledger stay; its settings are gone."
        return self.sure.asked(notice_html(message, bad=True))

    def keep(self, project: str) -> Any:
        return self.sure.closed()

    def drop(self, project: str, name: str) -> list[Any]:
        self.frame.services.teachers.remove(project, name)
        message = notice_html(f"{name} is no teacher of this project any more; its samples and its ledger stay.")
        listed = _list(self.frame.services, self.frame.open(project))
        names = _names(self.frame.services, project, _NEW)
        return [message, listed, names, "", gr.Button(interactive=False), self.sure.closed()]


def _read_given(named: dict[str, Any]) -> dict[str, Any]:
    """The settings of `TeacherConfig` that were filled in.

    Raises:
        InputError: if one of those that may stay empty is no number.
    """
    given = {name: value for name, value in named.items() if value not in ("", None)}
    for name in _OPTIONAL.keys() & given.keys():
        given[name] = _read_number(name, str(given[name]))
    return given


def _read_number(name: str, text: str) -> float:
    """A number that somebody typed where an empty field is allowed too."""
    setting = TeacherConfig.model_fields[name]
    whole, (low, high, above, _) = "int" in str(setting.annotation), bounds_of(setting)
    try:
        number = float(text.strip().removeprefix("$").replace(",", ""))
    except ValueError:
        number = math.nan
    outside = low is not None and (number < low or (above and number == low))
    if not math.isfinite(number) or outside or (high is not None and number > high) or (whole and number % 1):
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{_OPTIONAL[name]}: give {kind}{range_text(low, high, above)}, or leave it empty.")
    return int(number) if whole else number


def _as_text(number: float | None) -> str:
    """A number as it is typed; "" where there is none."""
    return "" if number is None else str(number).removesuffix(".0")


def _names(services: Services, project: str, chosen: str) -> Any:
    names = [row["name"] for row in services.teachers.list_all(project)] if project else []
    return gr.Dropdown([_NEW, *names], value=chosen)


def _list(services: Services, project: Project | None) -> str:
    if project is None:
        return notice_html(NO_PROJECT)
    rows = [_line(services, project.name, row) for row in services.teachers.list_all(project.name)]
    return table_html(rows, empty="No teacher yet. Add one below, or bring recorded outputs.")


def _line(services: Services, project: str, row: dict[str, Any]) -> dict[str, Any]:
    price, capabilities, assumed = row["price"], row["capabilities"] or {}, row["assumed"]
    money = f"{price['input']:g} / {price['output']:g}" if price else "unknown"
    if assumed:
        money += f" ({assumed['source']} {assumed['input']:g} / {assumed['output']:g})"
    return {
        "name": row["name"],
        "provider": row["provider"],
        "model": row["model"],
        "endpoint": row["endpoint"] or "its own",
        "structured": capabilities.get("structured", "not tested"),
        "reasoning in": capabilities.get("reasoning") or "-",
        "log-probs": _LOGPROBS[capabilities.get("logprobs")],
        "$ per million in / out": money,
        "key": services.teachers.key_state(project, row["name"]),
    }
