"""What the page Select stands on: numbers at once, browsing, a person's decisions and their undoing."""

from __future__ import annotations

import json
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services
from app.usecases.exports.exports import ExportOrder
from app.usecases.selection import queries
from app.usecases.selection.comparison import list_matched, list_ways
from app.web.parts.tables import Opener, table_html
from app.web.parts.texts import marked_html, replies_html
from app.web.plots import ways_plot
from engine.errors import Conflict, InputError, NotFound, StateError
from engine.plans import Evaluate, Plan
from engine.selection.rules.least_similar_pair import LeastSimilarPair
from engine.selection.rules.threshold import Threshold
from engine.selection.settings import GRADES, LOG_PROBS, MAJORITY, NONE, SelectionConfig, dcrs
from engine.values import RunStatus, make_query
from storage.runs import Run
from tests.app.forms import enter_settings, make_form


class Elements(HTMLParser):
    """What a browser would make of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


REPLY = {"teacher": "ann", "error": None}


def test_a_preview_stores_nothing_and_equals_what_is_stored_then(selected: Services) -> None:
    config = dcrs(threshold=0.96)
    preview = selected.select.preview("p", config)
    with pytest.raises(NotFound):
        selected.browse.detail("p", "nonsense")
    stored = selected.select.select("p", config)
    assert {k: v for k, v in stored.counts.items() if k not in ("embedder", "state", "edited")} == preview.counts
    assert sum(map(sum, preview.histogram.values())) == preview.counts["samples"]


def test_decisions_go_over_the_selection_and_can_be_undone(selected: Services) -> None:
    first = selected.select.select("p", SelectionConfig())
    rows = selected.browse.page("p").rows
    assert len(rows) == 18 and rows[0]["samples"] <= 3
    before = selected.browse.detail("p", rows[0]["id"])
    kept = [row["id"] for row in before.samples if row["reason"].startswith("kept")]
    selected.select.overrule("p", [kept[0]], "drop")
    after = selected.browse.detail("p", rows[0]["id"])
    assert {row["id"]: row["reason"] for row in after.samples}[kept[0]] == "dropped_by_hand"
    assert selected.context.selections.latest(first.project_id).counts["kept"] == first.counts["kept"] - 1
    assert [row["id"] for row in selected.browse.page("p", which="by hand").rows] == [rows[0]["id"]]
    selected.select.select("p", dcrs(threshold=1.0))
    assert selected.browse.detail("p", rows[0]["id"]).samples != before.samples
    selected.select.select("p", SelectionConfig())
    assert selected.select.undo("p") == {"action": "drop", "samples": [kept[0]]}
    assert selected.select.undo("p") is None
    assert selected.browse.detail("p", rows[0]["id"]).samples == before.samples


def test_a_detail_shows_the_true_cosines(selected: Services) -> None:
    query = selected.browse.page("p").rows[0]["id"]
    found = selected.browse.detail("p", query)
    assert found.cosines is not None
    matrix = np.array(found.cosines)
    assert np.allclose(np.diag(matrix), 1, atol=1e-3) and np.allclose(matrix, matrix.T)
    pair = [place for place, row in enumerate(found.samples) if row["reason"] == "kept_pair"]
    if len(pair) == 2:
        assert abs(matrix[pair[0], pair[1]] - found.samples[pair[0]]["similarity"]) < 1e-3


def test_queries_are_searched_sorted_and_paged(selected: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    every = selected.browse.page("p").rows
    word = every[3]["query"].split()[0].lower()
    assert every[3]["id"] in {row["id"] for row in selected.browse.page("p", word).rows}
    assert selected.browse.page("p", "%' OR 1=1 --").total == 0
    assert selected.browse.page("p", which="1=1", sort="1; DROP").rows == every, "what is no filter counts as none"
    kept = [row["kept"] for row in selected.browse.page("p", sort="-kept").rows]
    assert kept == sorted((row["kept"] for row in every), reverse=True)
    cosines = [row["cosine"] for row in selected.browse.page("p", sort="cosine").rows]
    known = [cosine for cosine in cosines if cosine is not None]
    assert known and cosines == sorted(known) + [None] * (len(cosines) - len(known)), "without a pair come last"
    texts = [row["query"] for row in selected.browse.page("p", sort="-text").rows]
    assert texts == sorted((row["query"] for row in every), reverse=True)
    monkeypatch.setattr(queries, "LISTED", 5)
    selected.browse.pages.clear()
    pages = [selected.browse.page("p", page=page) for page in (1, 2, 900)]
    assert [(page.begin, page.total, len(page.rows)) for page in pages] == [(0, 18, 5), (5, 18, 5), (15, 18, 3)]
    assert pages[1].rows == every[5:10] and pages[2].rows == every[15:]


def test_filters_find_what_they_say(selected: Services) -> None:
    def found(which: str) -> set[str]:
        return {row["id"] for row in selected.browse.page("p", which=which).rows}

    for row in selected.browse.page("p").rows:
        samples = selected.browse.detail("p", row["id"]).samples
        kept = [sample for sample in samples if str(sample["reason"]).startswith("kept")]
        assert (row["kept"], row["samples"]) == (len(kept), len(samples))
        assert row["answers"] == [sample["label"] for sample in samples]
        assert (row["id"] in found("nothing kept")) is (not kept)
        assert (row["id"] in found("all kept")) is (len(kept) == len(samples))
        assert (row["id"] in found("labels differ")) is (len({sample["label"] for sample in samples}) > 1)
    with pytest.raises(StateError, match="no filter"):
        selected.browse.matching("p", "", "1=1", None)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "' onclick='alert(1)",
        "=HYPERLINK(A1)",
    ],
)
def test_what_models_write_is_shown_and_exported_as_text(text: str, selected: Services, tmp_path: Path) -> None:
    row = {"a": text, "<b>": 1, "open": Opener(text, text)}
    shown = (
        table_html([row]) + marked_html(("x", text), ("<i>", f"{text} more")) + replies_html([REPLY | {"raw": text}])
    )
    elements = Elements()
    elements.feed(shown)
    assert not elements.tags & {"script", "img", "i", "a"} and not [
        a for a in elements.attributes if a.startswith("on")
    ]
    assert escape(text) in shown
    _, samples = first_query(selected)
    kept = next(s["id"] for s in samples if s["reason"] == "kept_pair")
    selected.select.edit("p", kept, text, seen=0)
    for name in ("g.jsonl", "g.parquet"):
        selected.export.write("p", tmp_path / name, ExportOrder())
    lines = map(json.loads, (tmp_path / "g.jsonl").read_text().splitlines())
    assert {row["sample_id"]: row["rationale"] for row in lines}[kept] == text
    table = pq.read_table(tmp_path / "g.parquet", columns=["sample_id", "rationale"]).to_pylist()
    assert {row["sample_id"]: row["rationale"] for row in table}[kept] == text


def test_standing_tells_what_is_done_and_what_is_stale(selected: Services) -> None:
    project = selected.standing.find_project("p")
    marks = {mark.name: mark for mark in selected.standing.marks(project)}
    assert marks["Data"].number == "18 queries" and marks["Label"].state == "done"
    assert {m.name: m.state for m in selected.standing.marks(project)}["Select"] == "done"
    assert project is not None
    selected.data.add_queries(project.id, [make_query(p.text) for p in make_puzzles(FAST)[0][18:20]], {})
    selected.context.wait(selected.label.start("p").id)
    assert {m.name: m.state for m in selected.standing.marks(project)}["Select"] == "stale"
    assert selected.standing.running() == []


def first_query(services: Services) -> tuple[str, list[dict[str, Any]]]:
    """A query with a pair and a sample beside it."""
    for row in services.browse.page("p").rows:
        samples = services.browse.detail("p", row["id"]).samples
        if sorted(str(s["reason"]) for s in samples) == ["kept_pair", "kept_pair", "not_in_pair"]:
            return row["id"], samples
    raise AssertionError("no query has three retained samples")


def reasons(services: Services, query_id: str) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in services.browse.detail("p", query_id).samples}


def test_a_swap_is_one_decision_and_one_undoing(selected: Services) -> None:
    query_id, samples = first_query(selected)
    third = next(s["id"] for s in samples if s["reason"] == "not_in_pair")
    out = next(s["id"] for s in samples if s["reason"] == "kept_pair")
    before = reasons(selected, query_id)
    with pytest.raises(InputError, match="its own place"):
        selected.select.swap("p", third, third)
    selected.select.swap("p", third, out)
    assert reasons(selected, query_id) == before | {third: "kept_by_hand", out: "dropped_by_hand"}
    undone = selected.select.undo("p")
    assert (
        undone is not None and undone["action"] == "drop and keep" and sorted(undone["samples"]) == sorted([third, out])
    )
    assert reasons(selected, query_id) == before


def test_an_edit_is_taught_and_exported_and_the_teachers_text_stays(selected: Services, tmp_path: Path) -> None:
    query_id, samples = first_query(selected)
    sample = next(s for s in samples if s["reason"] == "kept_pair")
    project = selected.context.projects.get("p")
    built_on = selected.context.selections.latest(project.id)
    plan = Plan(name="twt", steps=(Evaluate(name="vanilla"),))
    selected.context.runs.add(Run("r" * 24, project.id, built_on.id, plan, str(tmp_path), RunStatus.FINISHED, ""))
    selected.select.edit("p", sample["id"], "  In my own words.  ", seen=0)
    now = next(s for s in selected.browse.detail("p", query_id).samples if s["id"] == sample["id"])
    assert (now["rationale"], now["original"]) == ("In my own words.", sample["rationale"])
    newest = selected.context.selections.latest(project.id)
    taught = {row["sample_id"]: row["rationale"] for row in selected.context.selections.kept(newest.id)}
    assert taught[sample["id"]] == "In my own words." and newest.fingerprint != built_on.fingerprint
    old = {row["sample_id"]: row["rationale"] for row in selected.context.selections.kept(built_on.id)}
    assert old[sample["id"]] == sample["rationale"], "what a run was built on stays as it was"
    selected.export.write("p", tmp_path / "g.jsonl", ExportOrder())
    rows = {row["sample_id"]: row for row in map(json.loads, (tmp_path / "g.jsonl").read_text().splitlines())}
    assert rows[sample["id"]]["rationale"] == "In my own words." and rows[sample["id"]]["edited"] is True
    assert [row["id"] for row in selected.browse.page("p", which="edited").rows] == [query_id]
    selected.select.undo("p")
    assert selected.context.selections.latest(project.id).fingerprint == built_on.fingerprint


def test_the_second_of_two_editors_is_told_and_overwrites_nothing(selected: Services) -> None:
    query_id, samples = first_query(selected)
    sample = samples[0]["id"]
    selected.select.edit("p", sample, "first", seen=samples[0]["edit"])
    with pytest.raises(Conflict, match="Nothing was overwritten"):
        selected.select.edit("p", sample, "second", seen=samples[0]["edit"])
    shown = next(s for s in selected.browse.detail("p", query_id).samples if s["id"] == sample)
    assert shown["rationale"] == "first"
    selected.select.edit("p", sample, "second", seen=shown["edit"])
    again = next(s for s in selected.browse.detail("p", query_id).samples if s["id"] == sample)
    assert again["rationale"] == "second"
    selected.select.undo("p")
    back = next(s for s in selected.browse.detail("p", query_id).samples if s["id"] == sample)
    assert back["rationale"] == "first", "undo brings back what stood before"
    with pytest.raises(InputError, match="empty"):
        selected.select.edit("p", sample, "  ", seen=back["edit"])


def test_many_are_decided_at_once_and_taken_back_at_once(selected: Services) -> None:
    project = selected.context.projects.get("p")
    before = selected.context.selections.latest(project.id).counts
    teacher = sorted(before["kept_by_teacher"])[0]
    own = selected.browse.matching("p", "", "all", teacher)
    assert 0 < len(own) <= 18 and set(own) < set(selected.browse.matching("p", "", "all", None))
    selected.select.overrule("p", own, "drop")
    after = selected.context.selections.latest(project.id).counts
    assert after["kept_by_teacher"][teacher] == 0 and after["reasons"]["dropped_by_hand"] == len(own)
    selected.select.undo("p")
    assert selected.context.selections.latest(project.id).counts["kept"] == before["kept"]
    with pytest.raises(StateError, match="nothing was decided"):
        selected.select.overrule("p", selected.browse.matching("p", "no query says this", "all", None), "drop")


def test_overviews_are_computed_from_the_samples(selected: Services) -> None:
    found = selected.survey.survey("p", dcrs(threshold=0.9))
    assert len(found.teachers) == 3 and np.allclose(found.likeness.mean, found.likeness.mean.T)
    by_name = {row["way"]: row for row in list_ways(found.ways)}
    assert by_name["none"]["samples kept"] == by_name["none"]["queries kept"] + sum(
        row["samples"] - 1 for row in selected.browse.page("p").rows
    )
    assert by_name["as set"]["samples kept"] == selected.select.preview("p", dcrs(threshold=0.9)).counts["kept"]
    assert by_name.keys() >= {"paper", "recordings", "majority", "agreed", "majority's"}
    assert "labels right (95%)" not in by_name["none"] and list_matched(found.ways) == [], "there is no gold label"
    swept = selected.select.preview("p", dcrs(threshold=0.9)).sweep
    assert swept is not None and swept.coverage[0] == 1 and (np.diff(swept.coverage) <= 1e-12).all()
    assert 0.9 in swept.threshold, "where one stands is among them"
    assert selected.survey.survey("p", dcrs(threshold=0.9)) is found, "drawn once between two writes"
    points = selected.survey.draw_map("p", dcrs(threshold=0.9))
    assert len(points.x) == points.of == by_name["none"]["samples kept"] and 0 < points.shown <= 1
    assert sum(points.kept) == by_name["as set"]["samples kept"]


def test_overviews_are_drawn_of_settings_without_a_threshold(selected: Services) -> None:
    for config in (LOG_PROBS.config, GRADES.config, MAJORITY.config):
        found = selected.survey.survey("p", config)
        assert ways_plot(found.ways).data == (), "without gold labels there is no line"
    shared = selected.match.list_ways(
        "p", SelectionConfig(weights={"reasoning": 0.333, "answer": 0.333, "clarity": 0.334})
    )
    assert next(iter(shared)) == "paper" and list(shared).count("paper") == 1, "the same settings, however written"


def test_only_the_settings_of_rules_that_are_chosen_are_shown() -> None:
    form = make_form()
    shown = dict(zip(form.groups, form.show_groups(["threshold"]), strict=True))
    assert {kind for kind, group in shown.items() if group.visible} == {"threshold"}
    entered = enter_settings(NONE.config, rules=["least-similar-pair", "threshold"], threshold=0.7).read()
    assert entered.rules == (LeastSimilarPair(), Threshold(threshold=0.7)), "in the order in which they were chosen"
    for wrong in (5, "threshold", ["hope"]):
        with pytest.raises(InputError, match="choose among those"):
            enter_settings(NONE.config, rules=wrong).read()
