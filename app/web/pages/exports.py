"""Exports: what do I take with me?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from app.usecases.exports.artefacts import ITEMS, ROWS, SET, STUDENT, say_size
from app.usecases.exports.exports import ADAPTER, ExportOrder
from app.usecases.exports.hub import SET as WHOLE_SET
from app.usecases.exports.hub import TOKEN, PushOrder, is_repository, is_student, list_pushed, read_what
from app.web.choices import Question, choose_run, enable, lay_question, run_choices
from app.web.downloads import Downloads, lay_file, save_after
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.parts.artefacts import ARTEFACTS, PREPARE, PREPARED, TAKEN, artefacts_html
from app.web.parts.code import code_html, command_html
from app.web.parts.links import Link
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.tables import table_html, titled
from engine.errors import InputError
from engine.evaluation.readback import SAMPLE
from engine.plans.titles import title_of
from storage.projects import Project
from storage.runs import Run

CHECKED = (
    "A student that is prepared is read back from its files and answers so many held-out queries again, to be compared "
    "with what was scored; 0: it is not checked."
)
_TO_RUN = "(run) => { window.tacitView({run}, true); }"


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True, scale=2, min_width=220)
        stage = gr.Dropdown([], label="Stage", interactive=True, min_width=200)
        sample = gr.Number(SAMPLE, label="Queries to check", minimum=0, precision=0, scale=0, min_width=150)
    lay_html(f"<p class='quiet'>{CHECKED}</p>")
    cards, said = lay_html(js_on_load=ARTEFACTS), lay_html()
    wish, file = lay_html(js_on_load=PREPARE), lay_file()
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=3, min_width=320):
            about = lay_html()
            card = gr.Markdown(elem_classes="model-card")
        with gr.Column(scale=2, min_width=300):
            use = lay_html()
    what, repository, token, private, push, question = _lay_push()
    state = lay_html()
    taken, form, prepared = (gr.Textbox("", visible=False) for _ in range(3))

    parts = {"run": run, "stage": stage}
    chosen = NamedForm(parts, lambda named: Chosen(**named))
    order = NamedForm(parts | {"artefact": taken, "form": form}, lambda named: read_order(**named))
    student = NamedForm(parts | {"sample": sample, "form": prepared}, lambda named: Preparation(**named))
    hidden: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_view([run], [run], do.choose)
    run.input(None, run, None, js=_TO_RUN)
    frame.fill([state], do.state)
    frame.fill_live([cards], chosen.inputs, do.cards, chosen)
    run.change(frame.guard(do.stages), [frame.project, run], stage, **hidden)
    for part in (run, stage):
        part.change(
            frame.guard(do.cards, chosen), [frame.project, *parts.values()], cards, trigger_mode="always_last", **hidden
        )
    asked = [frame.project, *student.inputs]
    for part in (stage, sample):
        part.change(frame.guard(do.show, student), asked, [about, card, use], **hidden)
    take = cards.click(frame.guard(do.take, order), [frame.project, *order.inputs], [said, file], js=TAKEN, **hidden)
    save_after(take, file)
    ordered = wish.click(frame.guard(do.prepare, student), asked, [said, frame.timer], js=PREPARED, **hidden)
    frame.follow(ordered.success(frame.guard(do.cards, chosen), [frame.project, *parts.values()], cards, **hidden))
    _bind_push(frame, do, (run, stage, what, repository, private), token, push, question, said)


def _lay_push() -> tuple[Any, Any, Any, Any, Any, Question]:
    """What goes where on the Hub, and the question before it does."""
    with gr.Accordion("Push to the Hub", open=False):
        with gr.Row():
            what = gr.Dropdown([(title, name) for name, title in list_pushed().items()], value=ADAPTER, label="What")
            repository = gr.Textbox(
                label="Repository",
                info="OWNER/NAME; made where there is none",
                placeholder="owner/name",
                max_length=200,
            )
            token = gr.Textbox(label="Token", info=f"kept in memory only; else ${TOKEN} is read", type="password")
            private = gr.Checkbox(True, label="Private repository")
        push = gr.Button("Push", interactive=False)
        question = lay_question("Push now", "Cancel")
    return what, repository, token, private, push, question


def _bind_push(
    frame: Frame, do: _Handlers, parts: tuple[Any, ...], token: Any, push: Any, question: Question, said: Any
) -> None:
    """The push, which asks first."""
    order = NamedForm(dict(zip(("run", "step", "what", "repository", "private"), parts, strict=True)), _read_push)
    inputs = [frame.project, *order.inputs]
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    raw = NamedForm(order.parts, lambda named: named)
    for event in (parts[0].change, parts[1].change, parts[2].input, parts[3].input):
        event(frame.guard(do.can_push, raw), inputs, push, **last)
    frame.fill_live([push], order.inputs, do.can_push, raw)
    push.click(frame.guard(do.ask_push, order), inputs, [question.row, question.text], **frame.quiet)
    question.no.click(frame.guard(do.keep), frame.project, question.row, **frame.quiet)
    pushed = question.yes.click(
        frame.guard(do.push, order), [*inputs, token], [said, token, frame.timer, question.row], **frame.quiet
    )
    frame.follow(pushed)


@dataclass(frozen=True)
class Chosen:
    """Which stage of which run the page shows."""

    run: str | None
    stage: str | None


@dataclass(frozen=True)
class Preparation(Chosen):
    """How its student is prepared: checked on so many queries, in the form whose button was pressed."""

    sample: float
    form: str


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    frame: Frame
    downloads: Downloads = field(default_factory=Downloads)

    @property
    def services(self) -> Any:
        """The use cases."""
        return self.frame.services

    def _run(self, project: str, run: str | None) -> Run:
        record: Run = self.services.reading.run_of(project, run)
        return record

    def choose(self, project: str, address: str, run: str | None) -> Any:
        """The runs; the one of the address, else the one that is chosen, else the newest."""
        runs = self.services.reading.runs_of(self.services.projects.get(project).id)
        return run_choices(runs, choose_run(runs, address, run))

    def stages(self, project: str, run: str | None) -> Any:
        """The stages with a student; the one to ship is chosen, else the last."""
        if not run:
            return gr.Dropdown([], value=None, visible=False)
        record = self._run(project, run)
        names = self.services.export.stages(record)
        verdict = self.services.compare.verdict(record)
        ship = verdict.ship if verdict else None
        choices = [(f"{title_of(name)}{', the pick' if name == ship else ''}", name) for name in names]
        value = ship if ship in names else names[-1] if names else None
        return gr.Dropdown(choices, value=value, visible=bool(names))

    def state(self, project: Project | None) -> str:
        """How exports and pushes went."""
        if project is None:
            return notice_html(NO_PROJECT)
        made = [{**row, "where": _where(row["where"])} for row in self.services.publish.made(project)]
        return f"<h2>Recent exports and pushes</h2>{table_html(titled(made))}" if made else ""

    def cards(self, project: str, entered: Entered[Chosen]) -> str:
        """What there is to take along, and how each stands."""
        wanted = entered.read()
        run = self._run(project, wanted.run) if wanted.run else None
        stage = wanted.stage if run is not None and wanted.stage in self.services.export.stages(run) else None
        made = self.services.artefacts.of(project, run, stage)
        address = self.frame.policy.address(self.services.projects.get(project))
        train = Link("To Train", "/train", address)
        if run is None and made[0].state == "missing":
            select = Link("To Select", "/select", address)
            return empty_html(
                "Nothing to take along yet",
                "The distillation set comes with a selection; training rows and students come with a run.",
                train,
                select,
            )
        cards = artefacts_html(made, self.frame.policy.offers("exports", "prepare") == "everywhere")
        if run is not None:
            return cards
        return cards + "<br>" + empty_html("No student yet", "Training rows and students come with a run.", train)

    def show(self, project: str, entered: Entered[Preparation]) -> list[Any]:
        """The model card, and how to load and to serve the student."""
        wanted = entered.read()
        stage = wanted.stage
        if not wanted.run or not stage:
            return ["", "", ""]
        run = self._run(project, wanted.run)
        card = read_card(self.services.export.card(run, stage))
        snippet = code_html(self.services.export.snippet(run, stage).rstrip())
        serve = code_html(f"tacit serve-student {run.id[:8]} --stage {stage}")
        name = self.services.projects.get(project).name
        command = ["tacit", "export", name, f"{stage}/", "--run", run.id[:8], "--stage", stage]
        command += [] if wanted.sample == SAMPLE else ["--check", str(int(wanted.sample))]
        return [
            "<h2>Model card</h2>",
            card,
            f"<h2>Load it</h2><p class='quiet'>Beside the unpacked adapter:</p>{snippet}"
            f"<h2>Serve it</h2><p class='quiet'>An OpenAI-compatible server, by transformers serve:</p>{serve}"
            f"<h2>Export it</h2>{command_html(command)}",
        ]

    def take(self, project: str, entered: Entered[ExportOrder]) -> list[Any]:
        """Make the file of an artefact, for the browser to save."""
        order = entered.read()
        if order.run is not None:
            order = replace(order, run=self._run(project, order.run).id)
        path = self.services.export.pack(project, order, self.downloads.folder(project, order))
        return [notice_html(f"{path.name}, {say_size(path)}: your browser saves it.", tone="good"), str(path)]

    def prepare(self, project: str, entered: Entered[Preparation]) -> list[Any]:
        """Let a worker make a student and check it; what is made already, or being it, stays."""
        wanted, export = entered.read(), self.services.export
        run, stage, asked = self._run(project, wanted.run), _named(wanted.stage), int(wanted.sample)
        over = export.prepare(run.id, stage, wanted.form, asked).status.over
        if export.can_check(run, stage, asked):
            message = "It is ready already." if over else "Being prepared. The download starts once it is ready."
        else:
            why = "this stage has no scored answers to held-out queries" if asked else "no query is to be asked"
            begun = "It is ready, but not checked" if over else "Being prepared; it will not be checked"
            message = f"{begun}: {why}. Press Download unchecked{'' if over else ' once it is ready'}."
        return [notice_html(message), gr.Timer(active=True)]

    @only_guides
    def can_push(self, project: str, entered: Entered[dict[str, Any]]) -> Any:
        """Whether what is chosen can be pushed now."""
        named = entered.read()
        there = is_repository(named["repository"] or "")
        if there and named["what"] != WHOLE_SET:
            run = self._run(project, named["run"]) if named["run"] and named["step"] else None
            there = run is not None
            if run is not None and is_student(named["what"]):
                there = self.services.export.is_ready(run, named["step"], named["what"])
        return enable(there and named["run"])[0]

    def ask_push(self, project: str, entered: Entered[PushOrder]) -> list[Any]:
        """Ask before anything leaves this machine."""
        order = entered.read()
        run = self._run(project, order.run)
        what = list_pushed()[order.what]
        whose = "" if order.what == WHOLE_SET else f" of {order.step}"
        seen = "private: only its owner sees it" if order.private else "public: anybody can see it"
        text = f"Push {what}{whose} (run {run.id[:8]}) to {order.repository.strip()} on the Hub, {seen}?"
        sure = order.private
        if order.what != WHOLE_SET and not is_student(order.what):
            text += " It holds the held-out queries with their gold labels."
            sure = False
        if is_student(order.what):
            read_back = self.services.export.read_back(run, order.step, order.what)
            text += f" {self.services.export.say_read_back(run, order.step, order.what)}"
            sure = sure and read_back is not None and not read_back.changed
        asked = notice_html(text, tone="" if sure else "warn") + command_html(_say_push(run, order))
        return [gr.Column(visible=True), asked]

    def keep(self, project: str) -> Any:
        """Nothing is pushed."""
        return gr.Column(visible=False)

    def push(self, project: str, entered: Entered[PushOrder], token: str) -> list[Any]:
        """Push it; the token is kept in memory."""
        order = entered.read()
        run = self._run(project, order.run)
        if token.strip():
            self.services.publish.keys.put(TOKEN, token)
        self.services.publish.push(replace(order, run=run.id))
        return [
            notice_html("Pushing. The table below says when it has arrived."),
            "",
            gr.Timer(active=True),
            gr.Column(visible=False),
        ]


def read_order(run: str | None, stage: str | None, artefact: str, form: str) -> ExportOrder:
    """What is taken out, by the name of an artefact.

    Raises:
        InputError: if there is no such thing, or its run or stage is not chosen.
    """
    if artefact == SET:
        return ExportOrder(run or None, None, None, form)
    if artefact.startswith(ROWS):
        if not run:
            raise InputError("Choose a run first; the page Train starts one.")
        return ExportOrder(run, None, artefact.removeprefix(ROWS), form)
    if artefact.startswith((STUDENT, ITEMS)):
        return ExportOrder(run, _named(stage), None, form)
    raise InputError("Choose what to download: press the button of a card.")


def read_card(readme: str) -> str:
    """A card as the page shows it: without its front matter, its title and its snippet, which stand elsewhere.

    Images are not loaded: the text of a card may be a stranger's.
    """
    text = re.sub(r"\A---\n.*?\n---\n", "", readme, flags=re.DOTALL)
    text = re.sub(r"^# .*\n", "", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^## Load it\n.*?(?=^## |\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^## ", "### ", text, flags=re.MULTILINE)
    return text.replace("![", "!\\[").strip()


def _where(place: str | None) -> str:
    """An address of the Hub as it is; of a folder of this machine only that it lies here."""
    return "on this machine" if place and place.startswith("/") else place or "-"


def _read_push(named: dict[str, Any]) -> PushOrder:
    step = "" if named["what"] == WHOLE_SET else _named(named["step"])
    run, repository, private = named["run"] or "", named["repository"] or "", bool(named["private"])
    return PushOrder(run, repository, read_what(named["what"]), step, private)


def _say_push(run: Run, order: PushOrder) -> list[str]:
    words = ["tacit", "push", run.id[:8], order.repository.strip(), "--what", str(order.what)]
    return [*words, *(["--stage", order.step] if order.step else []), *([] if order.private else ["--public"])]


def _named(stage: str | None) -> str:
    if not stage:
        raise InputError("Choose a stage first; this run has trained none yet if there is nothing to choose.")
    return stage
