"""What to ship is one rule: report, rail, page, card and command say the same of a run."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.services import Services, open_services
from app.usecases.exports.cards import write_card
from app.web.pages.evaluate import _Handlers
from engine.config import ProjectConfig, StudentConfig, TrainConfig
from engine.errors import ConfigError
from engine.plans import Evaluate, Plan, Train
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.selection.settings import SelectionConfig
from engine.values import EvalItem, RunStatus, Split, make_query
from engine.values.report import ReportRow
from storage.runs import Run, Runs
from storage.selections import StoredSelection
from tests.app.forms import enter_valuation
from tests.app.test_guides import frame_of
from tests.fakes.waiting import until

STAGE = TrainConfig(updates=2)
PLAN = with_standard_kd(twt_plan(StudentConfig(), (STAGE, STAGE, STAGE)))
TOKENS = {"stage1": 60, "stage2": 30, "stage3": 4, "standard-kd": 4, "standard-kd-equal-updates": 4}


class Scored(Protocol):
    def __call__(self, n: int, rights: Mapping[str, int], kinds: tuple[str, ...] = ..., plan: Plan = ...) -> Run: ...


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        yield opened


@pytest.fixture
def scored(services: Services) -> Scored:
    """A finished run whose systems answered the first so many of some held-out queries rightly."""

    def make(n: int, rights: Mapping[str, int], kinds: tuple[str, ...] = ("all", "other"), plan: Plan = PLAN) -> Run:
        project = services.context.projects.get("p")
        held = [make_query(f"{k} + 0?", kind=kinds[k % len(kinds)], split=Split.HELDOUT) for k in range(n)]
        services.data.add_queries(project.id, held, {query.id: "yes" for query in held})
        empty = {"kept": 0, "state": []}
        services.context.selections.add(StoredSelection("s" * 24, project.id, SelectionConfig(), "", empty), [])
        run = Run("r" * 24, project.id, "s" * 24, plan, "", RunStatus.FINISHED, "")
        services.context.runs.add(run)
        rows = [
            {
                "run_id": run.id,
                "step": step.name,
                "system": step.start or step.name,
                "query_id": query.id,
                "text": f"Answer: {'yes' if place < rights.get(step.start or step.name, 0) else 'no'}",
                "tokens": TOKENS.get(step.start or step.name, 50),
                "finished": True,
                "latency_s": 0.5,
            }
            for step in plan.steps
            if step.kind == "evaluate"
            for place, query in enumerate(held)
        ]
        with services.context.db.write() as writer:
            writer.insert("answers", pa.Table.from_pylist(rows))
        services.run.score(run.id)
        return run

    return make


def everywhere(services: Services, run: Run) -> list[str]:
    """What each place says of what to ship; the page and the card as they are shown."""
    project = services.context.projects.get("p")
    mark = next(mark.number for mark in services.standing.marks(project) if mark.name == "Evaluate")
    page = _Handlers(frame_of(services)).price("p", enter_valuation(run.id, "0.10"))
    card = write_card(services.context, run, "stage3", "adapter")
    return [services.reading.run(run.id)["verdict"], mark, page[0], card.readme]


def test_a_lower_score_is_not_shipped_for_its_few_tokens(services: Services, scored: Scored) -> None:
    run = scored(60, {"stage1": 48, "stage2": 42, "stage3": 40, "vanilla": 5})
    report, mark, page, card = everywhere(services, run)
    assert services.reading.run(run.id)["ship"] == "stage1"
    assert report.startswith("Ship Stage 1: accuracy 0.80 with 60.0 output tokens.") and mark == "0.80 Stage 1"
    assert "<h2>Ship Stage 1</h2>" in page and "highest of the trained students, and gains" in page and report in card
    assert ">0.80<" in page and ">60.0<" in page
    shipped = [system.report.name for system in services.compare.systems(run) if system.ship]
    assert shipped == ["stage1"]


def test_where_nothing_helped_nothing_is_shipped_anywhere(services: Services, scored: Scored) -> None:
    run = scored(30, {"stage1": 5, "stage3": 2, "vanilla": 5, "vanilla-fewshot": 1})
    report, mark, page, card = everywhere(services, run)
    assert report.startswith("Nothing worth shipping yet (n = 30): the best of the trained, Stage 1 at 0.17,")
    assert "over the untrained student" in report and report in card and "<h2>Not yet</h2>" in page
    assert "Stage 1 at 0.17, is not shown to gain over the untrained one" in page and "(n = 30)" in page
    assert mark == "nothing to ship yet" and services.reading.run(run.id)["ship"] is None
    assert not any(system.ship for system in services.compare.systems(run))


def test_a_baseline_above_the_stages_is_what_is_shipped(services: Services, scored: Scored) -> None:
    run = scored(200, {"stage1": 100, "stage2": 90, "stage3": 80, "standard-kd": 150, "vanilla": 10})
    report, mark, page, card = everywhere(services, run)
    assert mark == "0.75 Standard KD" and all("Ship Standard KD" in told for told in (report, page, card))


def test_the_margin_is_the_users_and_holds_everywhere(services: Services, scored: Scored) -> None:
    run = scored(200, {"stage1": 150, "stage3": 140, "vanilla": 10})
    assert everywhere(services, run)[1] == "0.75 Stage 1"
    services.compare.set_margin("p", 0.1)
    report, mark, page, card = everywhere(services, run)
    assert mark == "0.70 Stage 3" and "no more than 10 points below the best, Stage 1" in report
    assert "Ship Stage 3" in page and report in card
    with pytest.raises(ConfigError, match="margin"):
        services.compare.set_margin("p", 1.5)
    assert services.context.projects.get("p").config.margin == 0.1


def test_a_kind_called_all_is_counted_once(services: Services, scored: Scored) -> None:
    run = scored(60, {"stage1": 30, "vanilla": 1})
    rows = {(row.name, row.kind): row.n for row in services.context.reports.rows(run.id)}
    assert [rows["stage1", kind] for kind in ("", "all", "other")] == [60, 30, 30]
    assert set(services.compare.verdicts(run)) == {"all", "other"}
    assert len(services.compare.systems(run)) == 7
    by_kind = _Handlers(frame_of(services)).price("p", enter_valuation(run.id))[4]
    assert "Accuracy by kind" in by_kind and ">all <span" in by_kind


def test_a_plan_that_scores_no_untrained_student_shows_no_gain(services: Services, scored: Scored) -> None:
    steps = (Train(name="stage1"), Evaluate(name="evaluate-stage1", start="stage1"))
    run = scored(30, {"stage1": 30}, plan=Plan(name="bare", steps=steps))
    assert "no untrained student was scored" in services.reading.run(run.id)["verdict"]


def test_verdicts_on_labels_that_are_gone_are_taken_back(services: Services, scored: Scored) -> None:
    run = scored(60, {"stage1": 48, "vanilla": 5})
    with services.context.db.write() as writer:
        writer.run("DELETE FROM golds WHERE query_id NOT IN (SELECT query_id FROM golds ORDER BY query_id LIMIT 20)")
    services.run.score(run.id)
    found = services.compare.verdict(run)
    assert found is not None and found.n == 20


def test_reports_of_older_files_keep_their_whole(services: Services, scored: Scored, tmp_path: Path) -> None:
    scored(60, {"stage1": 48, "vanilla": 5}, kinds=("one", "two"))
    file = services.carry.export("p", tmp_path / "new.zip", with_runs=True)
    assert [row.kind for row in _brought(services, file, "new")] == ["", "one", "two"] * 7
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    rows = services.context.reports.rows(services.context.runs.all(services.context.projects.get("p").id)[0].id)
    (run_id,) = set(pq.read_table(folder / "report_values.parquet")["run_id"].to_pylist())
    flat = [{k: v for k, v in row.to_dict().items() if k not in ("values", "measure")} for row in rows]
    older = [
        {"run_id": run_id, "position": n, **row, "kind": row["kind"] or "all", "mean_latency_s": None}
        for n, row in enumerate(flat)
    ]
    schema = pa.Table.from_pylist(older).schema.set(
        pa.Table.from_pylist(older).schema.get_field_index("mean_latency_s"), pa.field("mean_latency_s", pa.float64())
    )
    pq.write_table(pa.Table.from_pylist(older, schema=schema), folder / "report_rows.parquet")
    (folder / "report_values.parquet").unlink()
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder))
    brought = _brought(services, tmp_path / "old.zip", "old")
    assert [row.kind for row in brought] == ["", "one", "two"] * 7
    assert [(row.name, row.accuracy, row.ci_low, row.n) for row in brought] == [
        (row.name, row.accuracy, row.ci_low, row.n) for row in rows
    ]
    assert all(row.mean_latency_s is None and row.measure == "accuracy" for row in brought)


def _brought(services: Services, file: Path, name: str) -> list[ReportRow]:
    services.carry.bring(file, name)
    project = services.context.projects.get(name)
    return services.context.reports.rows(services.context.runs.all(project.id)[0].id)


def _wait_for_last_write(services: Services) -> None:
    """What follows a job's end is written behind the answer that it is over."""

    def settled() -> bool:
        number = services.context.db._changes.number
        time.sleep(0.3)
        return services.context.db._changes.number == number

    until(settled)


def test_scored_answers_are_read_once_between_two_writes(
    services: Services, scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(30, {"stage1": 20})
    read: list[str] = []
    scores = Runs.scored

    def count(runs: Runs, run_id: str) -> list[EvalItem]:
        read.append(run_id)
        return scores(runs, run_id)

    monkeypatch.setattr(Runs, "scored", count)
    _wait_for_last_write(services)
    curves = services.report.confidence.curves(run)
    assert services.report.confidence.curves(run) == curves and read == [run.id]
    services.compare.set_margin("p", 0.1)
    assert services.report.confidence.curves(run) == curves and read == [run.id] * 2
