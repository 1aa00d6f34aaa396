"""Compressors that run in a worker: journaled one by one, taken up again, and followed by the job that waits."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from engine.compression import COMPRESSORS, Compressor, CompressWork, InWorker, Place
from engine.compression.in_worker import REWRITTEN, as_line, from_line, take_back
from engine.compression.llmlingua_2 import MODEL_VARIABLE
from engine.config import StudentConfig, TrainConfig
from engine.datasets.rows import Example
from engine.errors import MissingPart
from engine.jobs import rewrite
from engine.jobs.context import JobContext
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.spec import RewriteJob
from engine.lines import write_lines
from engine.plans.twt import twt_plan
from engine.values import Choice, Generation, JobStatus, ParsedReply, RunStatus, Split, make_query
from storage.runs import Run
from tests.fakes.student_worker import StudentBackend
from tests.fakes.variants import registered

PACKAGES = Path(__file__).resolve().parents[1] / "fakes" / "packages"


def make_work(count: int = 6) -> list[CompressWork]:
    queries = [make_query(f"What is {n}?", (Choice("A", "x"), Choice("B", "y"))) for n in range(count)]
    wrote = Generation("q", "I see.\nAnswer: A", 4, True, 0.1, -0.2)
    return [
        CompressWork(Example(query, f"s{n}", f"because of {n}", "A", ("odd",), "ann"), None, wrote, words=3)
        for n, query in enumerate(queries)
    ]


def test_a_rationale_goes_to_a_worker_and_back_whole() -> None:
    work = make_work(2)
    assert [from_line(as_line(item)) for item in work] == work


def test_a_worker_that_is_started_again_rewrites_only_what_is_left(tmp_path: Path) -> None:
    seen: list[str] = []

    def shout(task: Any, work: Sequence[CompressWork], place: Place) -> Iterator[ParsedReply | str]:
        assert place.model == "some model"
        for item in work:
            seen.append(str(item.example.sample_id))
            yield "it is even" if len(seen) % 2 else ParsedReply(item.example.rationale.upper(), item.example.label)

    entry = Compressor("shouting", "Loud.", needs_teacher=False, worker=InWorker(shout, str, lambda model: None))
    file = write_lines(tmp_path / "rationales.jsonl", map(as_line, make_work()))
    job = RewriteJob(task="choice", by="shouting", model="some model", file=file)
    log = EventLog(tmp_path / EVENTS_FILE)
    with registered(COMPRESSORS, "shouting", entry):
        assert not rewrite.run(job, JobContext(tmp_path, log, lambda: len(seen) >= 4))
        assert rewrite.run(job, JobContext(tmp_path, log, lambda: False))
    log.close()
    assert seen == [f"s{n}" for n in range(6)]
    events = JobContext(tmp_path, log, lambda: False).journal
    assert [event.data["sample_id"] for event in events if event.type == REWRITTEN] == seen
    made = [item.prepared for item in take_back(make_work(7), events)]
    assert made[:2] == ["it is even", ParsedReply("BECAUSE OF 1", "A")] and made[6] is None


@pytest.fixture
def services(embedded_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A selected project whose workers find a stand-in of the package; students are trained by one too."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    monkeypatch.syspath_prepend(str(PACKAGES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGES), *filter(None, sys.path)]))
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        _, held = make_puzzles(FAST)
        project = opened.context.projects.get("p")
        queries = [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:4]]
        opened.data.add_queries(project.id, queries, {make_query(p.text).id: p.answer for p in held[:4]})
        yield opened


def use_model(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.mkdir()
    for name, text in (("config.json", '{"model_type": "xlm-roberta"}'), ("model.safetensors", ""), ("vocab.txt", "")):
        (folder / name).write_text(text)
    monkeypatch.setenv(MODEL_VARIABLE, str(folder))


def start(services: Services) -> Run:
    stage = TrainConfig(epochs=1)
    return services.run.start("p", twt_plan(StudentConfig(generate_tokens=8), (stage,) * 3, compress_by="llmlingua-2"))


def test_a_run_compresses_in_a_worker_and_goes_on_where_one_failed(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, tmp_path / "broken-xlm-roberta-large")
    run = start(services)
    over = services.run.wait_over(run.id)
    assert over.status is RunStatus.STOPPED and "of LLMLingua-2 can't be loaded" in over.message
    use_model(monkeypatch, tmp_path / "other-xlm-roberta-large")
    services.run.resume(run.id)
    assert services.run.wait(run.id).status is RunStatus.FINISHED
    workers = [job for job in services.context.jobs.jobs_of(run.project_id) if job.kind == RewriteJob.kind]
    assert [job.status for job in workers] == [JobStatus.FINISHED, JobStatus.FAILED]
    texts = services.context.rationales.newest(run.id)
    short = [text for text, flags in texts.values() if flags[-1] == "answer preserved (level 1)"]
    assert len(texts) == services.context.jobs.count_events(workers[0].id, REWRITTEN) and len(short) > 2
    assert not any(row["purpose"] == "compress" for row in services.context.ledger.totals(run.project_id))


def test_a_run_that_lacks_the_package_is_not_started(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(PACKAGES)])
    sys.modules.pop("llmlingua", None)
    with pytest.raises(MissingPart, match="needs the package llmlingua"):
        start(services)
    assert services.context.runs.all() == []
