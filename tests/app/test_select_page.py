"""What the page Select stands on: numbers at once, browsing, a person's decisions and their undoing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.labelling import LabelOrder
from app.view import marked_html, table_html
from engine.config import ProjectConfig, SelectionConfig
from engine.errors import NotFound, StateError
from engine.types import make_query


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        train, _ = make_puzzles(FAST)
        opened.data.add_queries(project.id, [make_query(p.text, kind=p.kind) for p in train[:18]], {})
        opened.label.add_scripted_teachers(project.id)
        opened.context.wait(opened.label.start("p", LabelOrder()).id)
        yield opened


def test_a_preview_stores_nothing_and_equals_what_is_stored_then(services: Services) -> None:
    config = SelectionConfig(threshold=0.96)
    with pytest.raises(StateError, match="no vector yet"):
        services.select.preview("p", config)
    services.select.select("p", SelectionConfig())
    preview = services.select.preview("p", config)
    with pytest.raises(NotFound):
        services.browse.detail("p", "nonsense")
    stored = services.select.select("p", config)
    assert {k: v for k, v in stored.counts.items() if k not in ("embedder", "state")} == preview.counts
    assert sum(map(sum, preview.histogram.values())) == preview.counts["samples"]


def test_decisions_go_over_the_selection_and_can_be_undone(services: Services) -> None:
    first = services.select.select("p", SelectionConfig())
    rows = services.browse.queries("p")
    assert len(rows) == 18 and rows[0]["samples"] <= 3
    before = services.browse.detail("p", rows[0]["id"])
    kept = [row["id"] for row in before.samples if row["reason"].startswith("kept")]
    services.select.overrule("p", [kept[0]], "drop")
    after = services.browse.detail("p", rows[0]["id"])
    assert {row["id"]: row["reason"] for row in after.samples}[kept[0]] == "dropped_by_hand"
    assert services.context.selections.latest(first.project_id).counts["kept"] == first.counts["kept"] - 1
    assert [row["id"] for row in services.browse.queries("p", which="by hand")] == [rows[0]["id"]]
    services.select.select("p", SelectionConfig(threshold=1.0))
    assert services.browse.detail("p", rows[0]["id"]).samples != before.samples
    services.select.select("p", SelectionConfig())
    assert services.select.undo("p") == {"action": "drop", "samples": [kept[0]]}
    assert services.select.undo("p") is None
    assert services.browse.detail("p", rows[0]["id"]).samples == before.samples


def test_a_detail_shows_the_true_cosines(services: Services) -> None:
    services.select.select("p", SelectionConfig())
    query = services.browse.queries("p")[0]["id"]
    found = services.browse.detail("p", query)
    assert found.cosines is not None
    matrix = np.array(found.cosines)
    assert np.allclose(np.diag(matrix), 1, atol=1e-3) and np.allclose(matrix, matrix.T)
    pair = [place for place, row in enumerate(found.samples) if row["reason"] == "kept_pair"]
    if len(pair) == 2:
        assert abs(matrix[pair[0], pair[1]] - found.samples[pair[0]]["similarity"]) < 1e-3


def test_queries_are_searched_and_paged_by_position(services: Services) -> None:
    services.select.select("p", SelectionConfig())
    every = services.browse.queries("p")
    assert services.browse.queries("p", after=every[9]["position"]) == every[10:]
    word = every[3]["query"].split()[0].lower()
    assert every[3]["id"] in {row["id"] for row in services.browse.queries("p", search=word)}
    assert services.browse.queries("p", search="%' OR 1=1 --") == []
    with pytest.raises(StateError):
        services.browse.queries("p", which="1=1")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))"]
)
def test_what_models_write_stays_text(text: str) -> None:
    shown = table_html([{"a": text, "<b>": 1}]) + marked_html(("x", text), ("<i>", f"{text} more"))
    assert "<script" not in shown and "<img" not in shown and "<i>" not in shown and "<a " not in shown


def test_standing_tells_what_is_done_and_what_is_stale(services: Services) -> None:
    project = services.standing.find_project("p")
    marks = {mark.name: mark for mark in services.standing.marks(project)}
    assert marks["Data"].number == "18 queries" and marks["Label"].state == "done" and marks["Select"].state == "todo"
    services.select.select("p", SelectionConfig())
    assert {m.name: m.state for m in services.standing.marks(project)}["Select"] == "done"
    assert project is not None
    services.data.add_queries(project.id, [make_query(p.text) for p in make_puzzles(FAST)[0][18:20]], {})
    services.context.wait(services.label.start("p").id)
    assert {m.name: m.state for m in services.standing.marks(project)}["Select"] == "stale"
    assert services.standing.running() == []
