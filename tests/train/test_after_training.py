"""What is done with a trained student: it answers in the playground, is merged, exported, and loaded elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.exports.cards import public_name
from app.usecases.exports.exports import ExportOrder
from app.usecases.exports.hub import TOKEN as TOKEN_NAME
from app.usecases.exports.hub import PushOrder, read_what
from app.usecases.labelling.label import LabelOrder
from app.usecases.playground.panes import Pane
from engine.config import LoraSettings, ProjectConfig, StudentConfig, TrainConfig
from engine.datasets.rows import student_prompt
from engine.inference.writer import Device, Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.jobs.backends.local import worker_environment
from engine.plans import Train
from engine.plans.twt import twt_plan
from engine.selection.settings import NONE
from engine.tasks import get_task
from engine.values import RunStatus, Split, TeacherSpec, make_query
from storage.runs import Run
from tests.fakes.hub import TOKEN, run_hub

PROMPT = [["system", "Say it."], ["user", "Who is the tallest?"]]


def make_adapter(student: Path, folder: Path, seed: int) -> Path:
    """An adapter that changes what the student says."""
    torch.manual_seed(seed)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(student),
        LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(student).save_pretrained(folder)
    return folder


def make_louder(weights: Path) -> None:
    """Two updates hardly teach a tiny student to say a letter: let its adapter say something, whatever it is."""
    torch.manual_seed(3)
    found = load_file(weights)
    found = {name: torch.randn_like(w) * 0.5 if "lora_B" in name else w for name, w in found.items()}
    save_file(found, weights, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def adapters(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [make_adapter(tiny_student, folder / str(seed), seed) for seed in (1, 2)]


def plainly(student: StudentConfig, adapter: Path | None) -> str:
    model = load_student(student, adapter, pick_device())
    writer = Writer(model, load_tokenizer(student), student.generate_tokens, 1)
    return next(iter(writer.write([WriteRequest("q", tuple((role, text) for role, text in PROMPT))]))).text


class Playground:
    def __init__(self) -> None:
        command = [sys.executable, "-m", "engine.jobs.playground"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, env=worker_environment(), **pipes)
        self.number = 0

    def send(self, **request: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def ask(self, student: StudentConfig, adapter: Path | None, **more: Any) -> list[dict[str, Any]]:
        self.number += 1
        asked = {"id": self.number, "student": student.model_dump(mode="json"), "prompt": PROMPT}
        self.send(**asked, adapter=str(adapter) if adapter else None, **more)
        return self.read()

    def read(self) -> list[dict[str, Any]]:
        assert self.process.stdout
        replies: list[dict[str, Any]] = []
        while not replies or not replies[-1].get("over"):
            replies.append(json.loads(self.process.stdout.readline()))
        return replies


@pytest.fixture
def playground() -> Iterator[Playground]:
    opened = Playground()
    yield opened
    opened.process.kill()
    opened.process.wait()


def test_the_vanilla_pane_answers_without_any_adapter(
    playground: Playground, tiny_student: Path, adapters: list[Path]
) -> None:
    student = StudentConfig(model=str(tiny_student), generate_tokens=12)
    bare = plainly(student, None)
    assert len({bare, *(plainly(student, adapter) for adapter in adapters)}) == 3, "each adapter changes the answer"
    assert playground.ask(student, None)[-1]["text"] == bare
    for adapter in (adapters[0], adapters[1], adapters[0]):
        assert playground.ask(student, adapter)[-1]["text"] == plainly(student, adapter)
        assert playground.ask(student, None)[-1]["text"] == bare


def test_an_answer_is_streamed_and_what_fails_is_told(
    playground: Playground, tiny_student: Path, adapters: list[Path], tmp_path: Path
) -> None:
    student = StudentConfig(model=str(tiny_student), generate_tokens=12)
    *growing, last = playground.ask(student, None)
    assert [reply["text"] for reply in growing] == sorted((r["text"] for r in growing), key=len) and len(growing) > 3
    assert last["tokens"] == 12 and not last["finished"] and last["seconds"] > 0
    assert last["read"] > 3 and last["log_prob"] is None and last["label_tokens"] is None, "it states no label"
    loud = playground.ask(student, adapters[0])[-1]["text"]
    cut = playground.ask(student, adapters[0], until=loud[:1])[-1]
    assert loud and cut["text"] == loud[:1] and cut["tokens"] < 12
    assert "error" in playground.ask(student.model_copy(update={"model": "/nowhere"}), None)[-1]
    assert "error" in playground.ask(student, tmp_path)[-1]
    assert "text" in playground.ask(student, None)[-1], "it goes on after an error"


def test_an_answer_that_nobody_wants_stops_and_the_next_one_comes(playground: Playground, tiny_student: Path) -> None:
    long = StudentConfig(model=str(tiny_student), generate_tokens=100_000)
    asked = {"student": long.model_dump(mode="json"), "adapter": None}
    playground.send(id=1, prompt=[], **asked)
    assert playground.read() == [{"id": 1, "over": True}], "it is loaded, and nothing is answered"
    playground.send(id=2, prompt=PROMPT, **asked)
    playground.send(stop=2)
    assert playground.read()[-1] == {"id": 2, "over": True, "error": "stopped"}
    playground.send(id=3, prompt=[], **asked)
    assert playground.read() == [{"id": 3, "over": True}]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_student: Path) -> Iterator[tuple[Services, Run]]:
    with open_services(tmp_path_factory.mktemp("trained")) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        train, held = make_puzzles(FAST)
        services.data.add_queries(project.id, [make_query(p.text, kind=p.kind) for p in train[:12]], {})
        services.data.add_queries(project.id, [make_query(p.text, split=Split.HELDOUT) for p in held[:6]], {})
        services.label.add_scripted_teachers(project.id)
        services.context.wait(services.label.start("p", LabelOrder(splits=(Split.DISTILL, Split.HELDOUT))).id)
        services.select.select("p", NONE.config)
        stage = TrainConfig(updates=2, batch_size=4, learning_rate=1e-3, max_tokens=700, validation=0)
        student = StudentConfig(model=str(tiny_student), lora=LoraSettings(rank=2), generate_tokens=8)
        run = services.run.wait(services.run.start("p", twt_plan(student, (stage, stage, stage))).id)
        yield services, run


def test_without_gold_labels_scores_are_agreement_and_teachers_are_left_out(trained: tuple[Services, Run]) -> None:
    services, run = trained
    rows = services.context.reports.rows(run.id)
    assert {row.measure for row in rows} == {"agreement"}
    assert {row.name for row in rows} == {"vanilla", "vanilla-fewshot", "stage1", "stage2", "stage3"}
    assert any("not accuracy" in note for note in services.reading.run(run.id)["notes"])
    assert 2 <= rows[0].n <= 6, "ties and queries that fewer than two answered have no consensus"


def test_a_forecast_is_measured_on_the_device(trained: tuple[Services, Run]) -> None:
    services, run = trained
    assert services.forecast.find("p", run.plan) is None
    services.context.wait(services.forecast.ask("p", run.plan).id)
    found = services.forecast.find("p", run.plan)
    assert found is not None and found.device == "cpu" and found.training_s > 0 and found.peak_bytes > 10**8
    assert [stage.name for stage in found.stages] == ["stage1", "stage2", "stage3"]
    assert [stage.guessed for stage in found.stages] == [False, True, False]
    assert {stage.updates for stage in found.stages} == {2} and not found.too_long
    steps = {state.name: state.result for state in services.context.runs.steps(run.id)}
    assert found.stages[0].rows == steps["stage1"]["train_rows"]
    bound = {"max_tokens": found.stages[0].longest - 1}
    short = [
        step.model_copy(update={"train": step.train.model_copy(update=bound)}) if isinstance(step, Train) else step
        for step in run.plan.steps
    ]
    plan = run.plan.model_copy(update={"steps": tuple(short)})
    services.context.wait(services.forecast.ask("p", plan).id)
    cut = services.forecast.find("p", plan)
    assert cut is not None and cut.stages[0].dropped >= 1 and cut.too_long[0]["tokens"] == found.stages[0].longest


def test_a_page_is_drawn_until_the_run_is_over_also_between_its_jobs(
    trained: tuple[Services, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    services, run = trained
    project, standing = services.context.projects.get("p"), services.standing
    assert not standing.goes_on(project, []) and not standing.goes_on(None, [])
    services.context.runs.set_status(run.id, RunStatus.RUNNING, "")
    assert services.standing.running() == [] and standing.goes_on(project, [])
    services.context.runs.set_status(run.id, RunStatus.FINISHED, "")
    assert standing.goes_on(project, []), "what was drawn a moment before the end is drawn once more"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 6)
    assert not standing.goes_on(project, [])


def test_the_playground_gives_way_to_a_run(trained: tuple[Services, Run]) -> None:
    services, run = trained
    project = services.context.projects.get("p")
    systems = services.play.systems(project)
    ids = [systems[f"stage3 · {run.title}"], next(i for n, i in systems.items() if n.startswith("vanilla"))]
    query = services.context.queries.get(project.id)[0]
    panes: list[Pane] = list(services.play.ask(project, query, ids))[-1]
    assert all(pane.over and pane.tokens == 8 for pane in panes)
    resident = services.play.resident.process
    assert resident is not None and resident.poll() is None
    run = services.run.rerun(run.id, "stage3")
    seen = set()
    while services.context.watch.holder() is not None:
        seen.add(services.play.busy()[:22])
    assert seen >= {"The device is taken by"} and resident.poll() is not None
    services.run.wait(run.id)
    assert services.play.busy() == ""


@pytest.mark.parametrize(("form", "sample"), [("adapter", 0), ("merged", 4)])
def test_the_snippet_of_an_export_loads_it_and_it_answers_as_the_student_did(
    trained: tuple[Services, Run], tmp_path: Path, form: str, sample: int
) -> None:
    services, run = trained
    make_louder(Path(run.folder) / "stage3" / "adapter" / "adapter_model.safetensors")
    said = services.export.write("p", tmp_path / form, ExportOrder(run.id, "stage3", form=form, sample=sample))
    assert ("Changed: " if sample else "Not checked") in said, "its adapter is not the one that was scored any more"
    card = (tmp_path / form / "README.md").read_text()
    assert "agreement" in card and "forward" in card and str(Path.home()) not in card
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found[1]], cwd=tmp_path / form, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    query = services.context.queries.get(run.project_id)[0]
    prompt = student_prompt(get_task("custom"), query)
    model = load_student(run.plan.student, Path(run.folder) / "stage3" / "adapter", Device("cpu", torch.float32))
    writer = Writer(model, load_tokenizer(run.plan.student), run.plan.student.generate_tokens, 1)
    assert done.stdout.strip() == next(iter(writer.write([WriteRequest(query.id, prompt)]))).text != ""
    provenance = json.loads((tmp_path / form / "tacit.json").read_text())
    assert (provenance["read_back"] or {"asked": 0})["asked"] == sample and said.rpartition(". ")[2] in card
    assert provenance["step"] == "stage3" and {t["name"] for t in provenance["teachers"]} >= {"forward"}


def test_what_is_pushed_names_no_folder_of_this_machine(
    trained: tuple[Services, Run], tiny_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, run = trained
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    own = TeacherSpec("own", "local", str(tiny_student))
    services.context.projects.put_teacher(run.project_id, own)
    services.publish.keys.put(TOKEN_NAME, TOKEN)
    services.context.wait(services.export.prepare(run.id, "stage3", "merged", 0).id)
    merged = services.export.prepared(run, "stage3", "merged")
    with run_hub() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        for what in ("adapter", "merged", "set"):
            order = PushOrder(run.id, f"me/{what}", read_what(what), "" if what == "set" else "stage3")
            services.context.wait(services.publish.push(order).id)
    assert "adapter_model.safetensors" in hub.files["models/me/adapter"]
    assert hub.files["models/me/merged"]["model.safetensors"] == (merged / "model.safetensors").read_bytes()
    for files in hub.files.values():
        assert tiny_student.name in files["README.md"].decode() and "own" in files["README.md"].decode()
        for name, data in files.items():
            assert str(tiny_student).encode() not in data, name
            assert str(services.context.workspace).encode() not in data, name
    assert not (merged / "README.md").exists(), "what goes with a push is linked to what was made, and leaves it alone"
    services.context.projects.remove_teacher(run.project_id, "own")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *(("owner/name", "owner/name"), ("gpt-4.1", "gpt-4.1"), ("packaged", "packaged")),
        *(("/data/Jürgen/my model", "my model"), ("./here/base", "base"), ("~/models/x", "x"), ("a/b/c", "c")),
    ],
)
def test_a_folder_is_called_by_its_last_name_and_a_model_of_the_hub_by_its_own(model: str, name: str) -> None:
    assert public_name(model) == name
