"""The engine runs alone: the example trains and scores a student without the studio and without its store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.config import StudentConfig, TrainConfig
from engine.datasets.rows import Example
from engine.errors import StateError
from engine.jobs.inline import InlineRun, label_queries
from engine.labelling.online import LabelWork
from engine.pipeline import Material
from engine.plans.order import adjust_plan
from engine.plans.twt import twt_plan
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.tasks import get_task
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import make_query
from tests.fakes.tiny_student import make_tiny_student

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "headless.py"
TOLD = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & {"app", "storage", "duckdb", "gradio"}))
"""


def test_the_example_runs_the_method_with_the_engine_alone(tmp_path: Path) -> None:
    student = make_tiny_student(tmp_path / "student")
    command = [sys.executable, "-W", "ignore", "-c", TOLD, str(EXAMPLE), str(student)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    *lines, loaded = ran.stdout.strip().splitlines()
    assert loaded == "loaded:"
    systems = {line.split()[0] for line in lines if " all kinds " in line}
    assert systems == {"vanilla", "vanilla-fewshot", "stage1", "stage3"}
    assert all(" of 10, " in line for line in lines if " all kinds " in line)


def test_the_example_is_short_and_imports_the_engine_only() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert len(lines) <= 40 and imported - set(sys.stdlib_module_names) == {"engine"}


def make_run(folder: Path, review: bool = False) -> InlineRun:
    """Four puzzles, all answers of two teachers, three stages of the tiny student with one update each."""
    task, puzzles = get_task("custom"), generate_puzzles(6, seed=3)
    queries = {query.id: query for query in (make_query(puzzle.text, kind=puzzle.kind) for puzzle in puzzles)}
    asked, teachers = list(queries.values())[:4], SCRIPTED_TEACHERS[:2]
    samples = label_queries(LabelWork(task, load_prompt("teacher", task.name), asked, teachers))
    examples = [Example(queries[s.query_id], s.id, s.rationale, s.label, teacher=s.teacher) for s in samples]
    student = StudentConfig(model=str(make_tiny_student(folder / "student")), generate_tokens=4)
    stage = TrainConfig(updates=1, max_tokens=1024, validation=0)
    plan = adjust_plan(twt_plan(student, [stage] * 3, shots=1), review)
    material = Material(task, examples, asked=asked, heldout=list(queries.values())[4:])
    return InlineRun(plan, material, folder / "run", {teacher.spec.name: teacher for teacher in teachers})


def test_a_run_in_one_process_compresses_between_its_stages(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.go()
    assert run.finished == {step.name for step in run.plan.steps}
    texts = run.material.taught["compress"]
    longer = {example.sample_id: example.rationale for example in run.material.examples}
    assert texts.keys() == longer.keys() and any(len(text) < len(longer[id_]) for id_, (text, _) in texts.items())
    assert set(run.written["student-rationales"]) == {query.id for query in run.material.asked}
    golds = {query.id: "?" for query in run.material.heldout[:1]}
    assert {item.query_id for item in run.score(golds)} == set(golds)
    assert {item.system for item in run.answers} == {"vanilla", "vanilla-fewshot", "stage1", "stage2", "stage3"}


def test_a_run_in_one_process_can_not_wait_for_a_person(tmp_path: Path) -> None:
    run = make_run(tmp_path, review=True)
    with pytest.raises(StateError, match="step review waits for a person"):
        run.go()
    assert "compress" in run.finished and "stage2" not in run.finished
