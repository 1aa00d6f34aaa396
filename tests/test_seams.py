"""A variant is one file: a fake of each kind, known here alone, reaches help, a page, a forecast and a scored run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import gradio as gr
import numpy as np
import pytest
import torch
from pydantic import Field
from typer.testing import CliRunner

from app.cli.console import out
from app.cli.main import app
from app.cli.results import show_report
from app.services import open_services
from app.usecases.evaluation.comparisons import System
from app.usecases.evaluation.report_lines import more_lines
from app.usecases.labelling.label import LabelOrder
from app.web.main import build_app
from app.web.pages.evaluate import _more_html
from engine.compression import COMPRESSORS, Compressor
from engine.config import ProjectConfig, StudentConfig
from engine.datasets import DATASETS, DatasetKind, Materials
from engine.datasets.rows import Example, make_row, row_to_json, student_prompt
from engine.errors import InputError
from engine.evaluation.measures import MEASURES, Measure
from engine.evaluation.report import summarise
from engine.exports import EXPORTERS as EXPORTS
from engine.exports import Exporter, Outgoing, Scope, Student
from engine.forecasts import PlannedWriting, find_measured, reckon
from engine.inference.writer import Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.jobs.backends import BACKENDS
from engine.jobs.forecast import measure
from engine.jobs.inline import Heard, InlineRun, label_queries
from engine.jobs.spec import ForecastJob, ForecastStep
from engine.labelling.online import LabelWork
from engine.lines import write_lines
from engine.losses import LOSSES, Loss
from engine.pipeline import Material, Pipeline, StudentPrompt, as_line
from engine.plans import PLANS, Compress, Evaluate, Plan, PlanKind, Train, make_plan
from engine.plans.order import PlanOrder, PlanSettings
from engine.plans.reserved import STUDENT
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.selection import arrange, select
from engine.selection.factors import FACTORS, Factor, Scored
from engine.selection.rules import RULES, Rule, Stage, State
from engine.selection.select import score_factors
from engine.selection.settings import NONE, SelectionConfig, read_selection
from engine.tasks import TASKS, get_task
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.traces import FORMATS, Trace, TraceFormat, Turn, share_of
from engine.values import EvalItem, ParsedReply, Query, RunStatus, Sample, Split, StageRow, make_query
from engine.values.report import Value
from storage.runs import Run
from tests.fakes.next_door import NextDoor
from tests.fakes.shouted_task import ShoutedTask
from tests.fakes.variants import registered


class OneTeacher(Rule):
    """Keep the samples of as many teachers as are asked for, by their place."""

    title: ClassVar[str] = "the first teachers"
    help: ClassVar[str] = "Keeps the samples of the first teachers."
    stage: ClassVar[Stage] = Stage.DIVERSITY

    kind: Literal["first-teachers"] = "first-teachers"
    teachers: int = Field(1, ge=1, title="How many teachers")

    def apply(self, state: State) -> State:
        return state.reject(state.samples.teacher >= self.teachers)


def score_brevity(given: Scored) -> Any:
    lengths = np.array([len(text) for text in given.texts()], dtype=np.float64)
    return 1 - lengths / lengths.max()


async def keep_first_words(task: Any, work: Any, asker: Any) -> ParsedReply | str | None:
    assert asker is None
    return ParsedReply(" ".join(work.example.rationale.split()[:8]), work.example.label)


def make_backwards(task: Any, given: Materials) -> list[StageRow]:
    """The answer first, then the rationale."""
    found = [(e, given.compressed[str(e.sample_id)][0]) for e in given.examples]
    return [make_row(task, e, f"{task.complete('', e.label)}\n{text}") for e, text in found]


def halve(model: Any, batch: Mapping[str, Any], likelihood: Callable[[], Any]) -> Any:
    return likelihood() / 2


def plan_backwards(settings: PlanSettings) -> Plan:
    steps = (
        Compress(name="shorten", by="first-words"),
        Train(name="backwards", dataset="backwards", train=settings.stages[0].model_copy(update={"loss": "half"})),
        Evaluate(name="evaluate-backwards", start="backwards", stops_behind_answer=True),
    )
    return Plan(name="backwards-plan", student=settings.student, steps=steps)


@dataclass(frozen=True)
class Seam:
    """A fake: where it is registered, under which name, and where a person meets it."""

    registry: Any
    name: str
    entry: Any
    command: str
    label: str


def count_brief(items: Sequence[EvalItem]) -> Value:
    return Value(sum(item.tokens <= 3 for item in items) / len(items), len(items))


def write_weights(given: Outgoing, to: Path) -> None:
    assert given.student and given.student.adapter
    shutil.copytree(given.student.adapter, to)
    (to / "model.txt").write_text(given.student.config.model)


def read_weights(folder: Path) -> Student:
    return Student(StudentConfig(model=(folder / "model.txt").read_text()), folder)


WEIGHTS = Exporter("bare weights", "Nothing beside them.", Scope.STUDENT, write_weights, read_weights)
TELEGRAMS = TraceFormat(
    "Telegrams",
    "A question, STOP, an answer.",
    lambda rows: share_of(rows, lambda row: "telegram" in row),
    lambda row: Trace((Turn("user", row["telegram"].split(" STOP ")[0]),), Turn("assistant", row["telegram"][-3:])),
)
BACKWARDS = DatasetKind("answer first", "[x; y; r'].", make_backwards, length=0.6, stand_in="full")
SEAMS = (
    Seam(TASKS, "shouted", ShoutedTask(), "import-queries", "Task"),
    Seam(FACTORS, "brevity", Factor("brevity", "Short is good.", score_brevity), "select", "brevity"),
    Seam(RULES, "first-teachers", OneTeacher, "select", "Rules, in their order"),
    Seam(
        COMPRESSORS,
        "first-words",
        Compressor("the first words", "Nobody is asked.", keep_first_words, needs_teacher=False),
        "train",
        "Compression method",
    ),
    Seam(DATASETS, "backwards", BACKWARDS, "export", "Data"),
    Seam(LOSSES, "half", Loss("half of the likelihood", "Halved.", halve), "train", "Loss"),
    Seam(
        MEASURES,
        "brief",
        Measure("brief answers", "Of three tokens at most.", count_brief, lambda found: f"{found.value:.0%}"),
        "evaluate",
        "brief answers",
    ),
    Seam(BACKENDS, "next-door", NextDoor(), "train", "Compute"),
    Seam(EXPORTS, "weights", WEIGHTS, "export", "What"),
    Seam(FORMATS, "telegrams", TELEGRAMS, "import-traces", "Format"),
    Seam(PLANS, "backwards-plan", PlanKind("Answers first", "One stage.", plan_backwards), "train", "Plan"),
)


@pytest.fixture(autouse=True)
def fakes() -> Iterator[None]:
    with ExitStack() as stack:
        for seam in SEAMS:
            stack.enter_context(registered(seam.registry, seam.name, seam.entry))
        yield


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.name)
def test_a_variant_is_in_its_commands_help(seam: Seam) -> None:
    told = CliRunner().invoke(app, [seam.command, "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert told.exit_code == 0 and seam.name in " ".join(told.output.split())


def test_a_task_s_own_columns_are_in_the_help_of_importing() -> None:
    told = CliRunner().invoke(app, ["import-queries", "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert "hidden_tests (the hidden tests)" in " ".join(told.output.split())


def test_a_variant_is_a_choice_on_a_page(workspace: Path) -> None:
    with open_services(workspace) as services:
        blocks = build_app(services).blocks.values()
    offered = {
        (str(block.label), value)
        for block in blocks
        for _, value in (block.choices if isinstance(block, gr.Dropdown) else [])
    }
    labels = {str(getattr(block, "label", "")) for block in blocks}
    expected = {(seam.label, seam.name) for seam in SEAMS if seam.registry not in (FACTORS, DATASETS, MEASURES)}
    assert expected <= offered
    assert {"Brevity", "How many teachers"} <= labels, "a factor has a slider, a rule's settings have components"
    assert {"Tests column", "Hidden tests column"} <= labels, "and a task's own columns have lists"


def test_an_exporter_and_a_dataset_are_cards_on_the_page_exports(workspace: Path) -> None:
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom"))
        plan = make_plan(PlanOrder(plan="backwards-plan", preset="smoke"))
        run = Run("r", project.id, "none", plan, str(workspace / "r"), RunStatus.FINISHED, "")
        cards = {artefact.id for artefact in services.artefacts.of("p", run, "backwards")}
    assert {"student-weights", "rows-backwards"} <= cards


def make_samples() -> tuple[list[Query], dict[str, str], list[Sample]]:
    """Twelve puzzles: eight answered by three teachers, four to be scored on; gold labels as the task has them."""
    puzzles = generate_puzzles(12, seed=5)
    queries = [make_query(puzzle.text, kind=puzzle.kind) for puzzle in puzzles]
    asked = [{"gold": puzzle.answer, "hidden_tests": [puzzle.answer.upper()]} for puzzle in puzzles]
    golds = {q.id: TASKS["shouted"].read_gold(q, cells) or "" for q, cells in zip(queries, asked, strict=True)}
    work = LabelWork(get_task("shouted"), load_prompt("teacher", "custom"), queries[:8], SCRIPTED_TEACHERS)
    return queries, golds, label_queries(work)


def test_a_task_s_own_columns_come_in_by_command_and_page(workspace: Path, tmp_path: Path) -> None:
    rows = [
        {"question": "Shout a colour.", "tests": "it is one", "secret": ["RED", "BLUE"], "answer": "red"},
        {"question": "Shout a number.", "tests": "it is even", "secret": [], "answer": "two"},
    ]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    command = ["import-queries", "p", str(file), "--task", "shouted", "--workspace", str(workspace)]
    told = CliRunner().invoke(app, [*command, "--column", "hidden_tests=secret", "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["golds"] == 1
    lacking = write_lines(tmp_path / "lacking.jsonl", [{"question": "Shout."}])
    with pytest.raises(InputError, match=r"which column holds the tests\? .*--column tests=NAME"):
        CliRunner().invoke(app, ["import-queries", "q", str(lacking), *command[3:]], catch_exceptions=False)
    with open_services(workspace) as services:
        project = services.projects.get("p")
        first, second = services.context.queries.get(project.id)
        (gold,) = services.context.queries.golds(project.id).values()
        assert (first.extra, second.extra) == ({"tests": "it is one"}, {"tests": "it is even"})
        task = get_task("shouted")
        assert task.verify(first, "blue", gold) and not task.verify(first, "green", gold)
        assert "RED" not in json.dumps(asdict(first)) + task.render(first), "no teacher sees what is hidden"
        assert services.preview.roles("p")[-2:] == ("tests", "hidden_tests")
        looked = services.preview.look("p", file, {"hidden_tests": "secret"}, 0)
        assert looked.columns["hidden_tests"] == "secret" and looked.columns["tests"] == "tests"
        assert [row["label"] for row in looked.rows] == ["red", "-"] and "BLUE" not in str(looked.rows)


def test_a_format_of_traces_is_recognised_and_imported(workspace: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [{"telegram": "Is it on STOP yes"}, {"telegram": "Is it off STOP  no"}])
    command = ["import-traces", "t", str(file), "--teacher", "post", "--workspace", str(workspace), "--json"]
    told = CliRunner().invoke(app, command, catch_exceptions=False)
    data = json.loads(told.stdout)
    assert data["formats"] == "Telegrams (1 file)" and data["replies"]["read"] == 2
    assert list(data["models"]) == ["post"]


def choose(samples: list[Sample], config: SelectionConfig) -> list[Sample]:
    arrays = arrange(samples, (), np.zeros((len(samples), 1), dtype=np.float32))
    given = Scored(arrays.query, arrays.teacher, arrays.label, lambda: 100, lambda: (s.rationale for s in samples))
    columns = score_factors(config.weights, {}, given)
    weighed = replace(arrays, factors=np.stack(list(columns.values()), axis=1), names=tuple(columns))
    kept = select(weighed, config).kept
    return [sample for sample, keep in zip(samples, kept, strict=True) if keep]


def test_a_factor_and_a_rule_decide_what_is_kept() -> None:
    _, _, samples = make_samples()
    settings = read_selection(NONE.config, {}, ["brevity=1"], ["threshold:threshold=0.3", "first-teachers:teachers=2"])
    kept = choose(samples, settings)
    longest = max(len(sample.rationale) for sample in samples)
    first_two = sorted({sample.teacher for sample in samples})[:2]
    assert kept and {sample.teacher for sample in kept} == set(first_two)
    assert all(len(sample.rationale) <= 0.7 * longest + 1e-6 for sample in kept)


class NotTheThird(OneTeacher):
    """Reject one teacher, as a criterion of quality."""

    stage: ClassVar[Stage] = Stage.QUALITY

    kind: Literal["not-the-third"] = "not-the-third"  # type: ignore[assignment]

    def apply(self, state: State) -> State:
        return state.reject(state.samples.teacher == 2)


def test_what_a_rule_of_quality_rejects_was_not_retained() -> None:
    _, _, samples = make_samples()
    arrays = arrange(samples, (), np.ones((len(samples), 2), dtype=np.float32))
    with registered(RULES, "not-the-third", NotTheThird):
        few = read_selection(NONE.config, {}, [], ["not-the-third", "least-similar-pair:few=require_three"])
    assert not select(arrays, few).kept.any(), "two teachers are left of each query"


def test_a_plan_of_fakes_is_forecast_run_and_scored(tiny_student: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    queries, golds, samples = make_samples()
    kept = choose(samples, read_selection(NONE.config, {}, ["brevity=1"], ["first-teachers"]))
    by_id = {query.id: query for query in queries}
    examples = [Example(by_id[s.query_id], s.id, s.rationale, s.label, teacher=s.teacher) for s in kept]
    plan = make_plan(PlanOrder(plan="backwards-plan", preset="smoke", student=str(tiny_student)))
    material = Material(get_task("shouted"), examples, asked=queries[:8], heldout=queries[8:])
    found = forecast(plan, Pipeline(plan, material), tmp_path)
    (stage,) = found.stages
    assert (stage.name, stage.rows, stage.updates, stage.guessed) == ("backwards", len(examples), 4, True)
    assert found.training_s > 0 and found.writing_high > 0

    run = InlineRun(plan, material, tmp_path / "run")
    run.go()
    assert run.finished == {"shorten", "backwards", "evaluate-backwards"}
    texts = [text for text, _ in run.material.taught["shorten"].values()]
    assert len(texts) == len(examples) and all(len(text.split()) <= 8 for text in texts if "not" not in text)
    rows = Pipeline(plan, run.material).training_rows(plan.trained[0])
    assert all(row.completion.startswith("<<<\n") and "\n>>>\n" in row.completion for row in rows)
    (row,) = [row for row in summarise(run.score(golds)) if row.kind == ""]
    assert row.name == "backwards" and row.n == 4
    assert ask_exported(run, tmp_path / "out") == {item.query_id: item.text for item in run.answers}
    (more,) = more_lines([row])
    assert more["brief answers"] in ("0%", "25%", "50%", "75%", "100%")
    page = _more_html([System(row, "stage", None, None, None, False)])
    assert ">brief answers<" in page and f">{more['brief answers']}<" in page
    data = {"rows": [row.to_dict()], "differences": [], "notes": [], "verdict": ""}
    with out.capture() as told:
        show_report(data)
    assert "brief answers" in told.get() and more["brief answers"] in told.get()


def ask_exported(run: InlineRun, folder: Path) -> dict[str, str]:
    """What the student says once it is taken out and read back, by query id."""
    student = Student(run.plan.student, run.folder / "backwards" / "adapter")
    EXPORTS.get("weights").write(Outgoing(student=student), folder)
    back = EXPORTS.get("weights").read(folder)
    assert isinstance(back, Student)
    model = load_student(back.config, back.adapter, pick_device())
    asks = [WriteRequest(q.id, student_prompt(run.material.task, q)) for q in run.material.heldout]
    writer = Writer(
        model, load_tokenizer(back.config), run.plan.student.generate_tokens, run.plan.student.generate_batch
    )
    writer.until = run.material.task.stop
    return {generation.query_id: generation.text for generation in writer.write(asks)}


def test_a_run_on_another_backend_is_forecast_and_scored_here(workspace: Path) -> None:
    puzzles = generate_puzzles(12, seed=5)
    splits = [Split.DISTILL] * 8 + [Split.HELDOUT] * 4
    queries = [make_query(p.text, kind=p.kind, split=split) for p, split in zip(puzzles, splits, strict=True)]
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom"))
        golds = {q.id: p.answer for q, p in zip(queries, puzzles, strict=True) if q.split is Split.HELDOUT}
        services.data.add_queries(project.id, queries, golds)
        services.label.add_scripted_teachers(project.id)
        services.jobs.wait(services.label.start("p", LabelOrder(splits=(Split.DISTILL, Split.HELDOUT))).id)
        services.select.select("p", NONE.config)
        plan = services.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke", backend="next-door"))
        services.jobs.wait(services.forecast.ask("p", plan).id)
        found = services.forecast.find("p", plan)
        assert found is not None and found.training_s > 0
        run = services.run.wait(services.run.start("p", plan).id)
        assert run.status is RunStatus.FINISHED
        trained = [row for row in services.reading.run(run.id)["rows"] if row["name"] == "standard-kd"]
        assert trained and trained[0]["n"] == 4
        used = {(job.kind, job.backend) for job in services.context.jobs.jobs_of(project.id)}
        assert used >= {("student", "next-door"), ("forecast", "next-door"), ("score", "local")}


def forecast(plan: Plan, pipeline: Pipeline, folder: Path) -> Any:
    """As the studio measures: rows that are known before the run, or those that stand in for them."""
    train = plan.trained[0]
    assert find_measured(plan) == {"full": train}
    file = write_lines(folder / "full.jsonl", map(row_to_json, pipeline.rows("full")))
    task, asked = pipeline.material.task, pipeline.material.asked
    asks = write_lines(
        folder / "asks.jsonl", [as_line(StudentPrompt(q.id, STUDENT, student_prompt(task, q))) for q in asked]
    )
    heard = Heard()
    step = ForecastStep(name="full", file=file, train=train.train)
    measure(ForecastJob(student=plan.student, steps=(step,), asks=asks), heard)
    return reckon(plan, heard.of("measured")[0], PlannedWriting(len(asked), len(pipeline.material.heldout), 40.0))


def test_a_loss_is_what_an_update_minimises(tiny_student: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    queries, _, samples = make_samples()
    by_id = {query.id: query for query in queries}
    examples = [Example(by_id[s.query_id], s.id, s.rationale, s.label, teacher=s.teacher) for s in samples[:4]]
    losses = {}
    for name in ("likelihood", "half"):
        order = PlanOrder(plan="standard-kd", preset="smoke", student=str(tiny_student), loss=name)
        plan = make_plan(order)
        train = tuple(step for step in plan.steps if isinstance(step, Train))
        run = InlineRun(
            plan.model_copy(update={"steps": train}), Material(get_task("custom"), examples), tmp_path / name
        )
        run.go()
        losses[name] = run.results[train[0].name]["first_loss"]
    assert losses["half"] == pytest.approx(losses["likelihood"] / 2, rel=1e-3)
