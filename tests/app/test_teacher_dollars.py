"""A study at equal teacher dollars: each arm gets as many queries as the money pays its own teachers for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.selection.spending import price_labels
from engine.errors import ConfigError
from engine.selection.rules.one_teacher import OneTeacher
from engine.selection.rules.spending import Spending
from engine.selection.settings import NONE, SelectionConfig
from engine.study import Grid, read_grid
from engine.values import Split, make_query
from tests.fakes.student_worker import StudentBackend

EACH = 0.01
"""US dollars of a request for a label."""


def make_grid(dollars: float) -> Grid:
    study = {
        "name": "dollars",
        "project": "p",
        "seeds": [1],
        "contrast": ["one", "raw"],
        "order": {"preset": "smoke"},
        "budget": {"kind": "teacher-dollars", "amount": dollars},
    }
    arms = [{"name": "one", "plan": "standard-kd-one-teacher"}, {"name": "raw", "plan": "standard-kd-raw"}]
    return read_grid({"study": study, "arms": arms})


@pytest.fixture
def priced(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The selected project of 18 queries and three teachers, whose labels cost a cent each; three held-out queries."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        with opened.context.db.write() as writer:
            writer.run("UPDATE attempts SET cost = ?", [EACH])
        _, held = make_puzzles(FAST)
        queries = [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:3]]
        golds = {query.id: puzzle.answer for query, puzzle in zip(queries, held, strict=False)}
        opened.data.add_queries(opened.projects.get("p").id, queries, golds)
        yield opened


def test_each_arm_gets_the_queries_that_the_money_pays_for(priced: Services, tmp_path: Path) -> None:
    result = priced.study.run(make_grid(0.121), tmp_path / "records")
    assert {(arm.arm, arm.seeds) for arm in result.arms} == {("one", 1), ("raw", 1)}
    spent = {}
    for arm in ("one", "raw"):
        facts = json.loads((tmp_path / "records" / f"{arm}-1.json").read_text("utf-8"))["facts"]
        rules = [rule["kind"] for rule in facts["plan"]["selection"]["rules"]]
        kept = {
            row["query_id"]
            for row in priced.context.selections.kept(priced.context.runs.get(facts["run"]).selection_id)
        }
        spent[arm] = (rules, len(kept), facts["teacher_usd"]["labels"], facts["teacher_usd"]["compressing"])
    assert spent["one"] == (["one-teacher", "spending"], 12, pytest.approx(0.12), 0.0)
    assert spent["raw"] == (["spending"], 4, pytest.approx(0.12), 0.0)


def test_what_a_selection_asks_for_is_priced_by_the_ledger(priced: Services) -> None:
    samples = {row["teacher"]: row["samples"] for row in priced.context.samples.counts(priced.projects.get("p").id)}
    first = samples[min(samples)]
    one = SelectionConfig(rules=(OneTeacher(),))
    assert sum(samples.values()) > first > 6
    for config in (NONE.config, SelectionConfig()):
        assert price_labels(priced.select, "p", config) == pytest.approx(sum(samples.values()) * EACH), (
            "rejected ones are paid for too"
        )
    assert price_labels(priced.select, "p", one) == pytest.approx(first * EACH)
    assert price_labels(priced.select, "p", one.with_rule(Spending(most_usd=0.05))) == pytest.approx(5 * EACH)


def test_more_than_all_samples_cost_is_refused_before_anything_is_trained(priced: Services, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"arm one: all of its samples cost US \$ 0.17, less than .* 0.2.*Nothing was started"
    ):
        priced.study.run(make_grid(0.2), tmp_path / "records")
    assert priced.context.runs.all() == [] and not (tmp_path / "records").exists()
    with priced.context.db.write() as writer:
        writer.run("UPDATE attempts SET cost = NULL WHERE sample_id = (SELECT min(sample_id) FROM attempts)")
    with pytest.raises(ConfigError, match="what 1 sample cost is not known"):
        priced.study.check(make_grid(0.1))
