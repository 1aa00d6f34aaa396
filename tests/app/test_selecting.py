"""Selection from the store: recordings without scores, draws, calibration, and what a page and a program are told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.services import Services, open_services
from app.usecases.selection.calibration import say_fitted, say_measured
from app.usecases.selection.tallies import say_notices
from app.web.pages.outcome import draw_outcome, explain, say_command, say_reason
from engine.config import ProjectConfig
from engine.errors import InputError, StateError
from engine.packaged import PACKAGED_EMBEDDER
from engine.selection.rules.one_teacher import OneTeacher
from engine.selection.rules.top_share import TopShare
from engine.selection.settings import GRADES, NONE, PRESETS, RECORDINGS, SelectionConfig, dcrs, read_selection
from engine.values import Choice, Reason, Split, TeacherSpec, make_query
from storage.projects import Project
from tests.app.forms import enter_settings, make_form, send_settings

CHOICES = tuple(Choice(letter, f"option {letter}") for letter in "ABCDE")
Answers = Sequence[Sequence[tuple[str, str]]]
"""By query the (teacher, label) of each sample; a teacher that comes again drew again."""


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        yield opened


def store(
    services: Services,
    answers: Answers,
    provider: str = "recorded",
    golds: int = 0,
    scores: dict[str, float] | None = None,
) -> Project:
    """Project `p` with samples and vectors; the gold label of the first `golds` queries is A."""
    project = services.data.create_project(ProjectConfig(name="p", task="choice", embedder="packaged"))
    queries = [make_query(f"Which is it in case {n}?", CHOICES) for n in range(len(answers))]
    services.data.add_queries(project.id, queries, {query.id: "A" for query in queries[:golds]})
    rows: list[dict[str, Any]] = []
    for n, (query, given) in enumerate(zip(queries, answers, strict=True)):
        drawn: dict[str, int] = {}
        for teacher, label in given:
            draw = drawn[teacher] = drawn.get(teacher, -1) + 1
            rows.append(
                {
                    "project_id": project.id,
                    "id": f"{n:05d}-{teacher}-{draw}",
                    "query_id": query.id,
                    "teacher": teacher,
                    "rationale": f"Because {teacher} says so.",
                    "label": label,
                    "label_key": label,
                    "text_hash": f"{n:05d}-{teacher}-{draw}",
                    "split": "distill",
                    "draw": draw,
                    "factors": list((scores or {}).items()),
                }
            )
    types = {"draw": pa.int32(), "factors": pa.map_(pa.string(), pa.float64())}
    table = pa.table({name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in rows[0]})
    with services.context.db.write() as writer:
        writer.insert("samples", table)
    vectors = np.random.default_rng(0).standard_normal((len(rows), 384)).astype(np.float32)
    services.context.samples.add_vectors(PACKAGED_EMBEDDER, "1", [row["id"] for row in rows], vectors)
    for teacher in sorted({row["teacher"] for row in rows}):
        services.context.projects.put_teacher(project.id, TeacherSpec(teacher, provider, teacher))
    return project


AGREE, DIFFER, ALONE = [("one", "A"), ("two", "A")], [("one", "A"), ("two", "B")], [("one", "A")]


def reasons(services: Services, config: SelectionConfig) -> dict[str, str]:
    """Reason by sample."""
    stored = services.select.select("p", config)
    rows = services.context.db.rows("SELECT sample_id, reason FROM selection_rows WHERE selection_id = ?", [stored.id])
    return {row["sample_id"]: row["reason"] for row in rows}


def test_a_project_of_recordings_begins_with_their_preset_and_is_told_why(services: Services) -> None:
    store(services, [AGREE] * 40 + [DIFFER] * 15 + [ALONE] * 5)
    begun = services.select.begin("p")
    assert begun.config == RECORDINGS.config
    assert "All teachers are recordings" in begun.notice
    shown = enter_settings(begun.config)
    assert shown.read() == begun.config
    said, *_ = draw_outcome(services, "p", shown.read)
    assert tiles_of(said) == {
        "Samples kept": ("80", "of 115 (70%)"),
        "Queries with a kept sample": ("40", "of 60"),
        "Label disagreement": ("0", "queries whose labels differ, of what passes"),
    }
    assert "5 queries were answered by one teacher alone" in said
    assert "15 queries were answered by two teachers that differ" in said
    assert services.select.preview("p", RECORDINGS.config).counts["reasons"] == {
        "kept_few": 80,
        "no_confidence": 5,
        "teachers_differ": 30,
    }
    services.select.select("p", dcrs(threshold=0.5))
    begun = services.select.begin("p")
    assert begun.config.cut == 0.5 and begun.notice == "", "what was stored goes before the preset"


def test_the_paper_s_settings_tell_recordings_without_scores_what_to_do(services: Services) -> None:
    store(services, [AGREE] * 3)
    counts = services.select.preview("p", SelectionConfig()).counts
    assert counts["kept"] == 0 and counts["unscored"] == 6
    assert any("Agreement needs no scores" in notice for notice in say_notices(counts))


@pytest.mark.parametrize(
    ("provider", "scores"),
    [("openai", None), ("recorded", {"reasoning": 0.9, "answer": 0.9, "clarity": 0.9})],
)
def test_live_teachers_and_recordings_with_scores_begin_with_the_paper_s_preset(
    services: Services, provider: str, scores: dict[str, float] | None
) -> None:
    store(services, [AGREE] * 3, provider, scores=scores)
    begun = services.select.begin("p")
    assert begun.config.cut == 0.95 and begun.notice == ""


def test_four_draws_of_one_teacher_are_one_vote_and_no_pair(services: Services) -> None:
    outvoting = [("one", "B")] * 4 + [("two", "A"), ("three", "A")]
    store(services, [outvoting] + [[("one", "A"), ("two", "A"), ("three", "A")]] * 9 + [[("one", "A")] * 4])
    for factor in ("agreement", "agreement_weighted", "agreement_ds"):
        found = reasons(services, dcrs(threshold=0.5, weights={factor: 1}))
        assert {found[f"00000-one-{draw}"] for draw in range(4)} == {"below_threshold"}, factor
        assert {found["00000-two-0"], found["00000-three-0"]} == {"kept_few"}, factor
        assert {found[f"00010-one-{draw}"] for draw in range(4)} == {"no_confidence"}, factor


def test_the_pair_takes_different_teachers_and_one_teacher_s_draws_are_never_a_pair(services: Services) -> None:
    drawn = [("one", "A")] * 4 + [("two", "A"), ("two", "A")]
    scores = {"reasoning": 1.0, "answer": 1.0, "clarity": 1.0}
    store(services, [drawn] * 8 + [[("one", "A")] * 4] * 8, "openai", scores=scores)
    found = reasons(services, SelectionConfig())
    for n in range(8):
        pair = sorted(name for name, reason in found.items() if name.startswith(f"{n:05d}") and reason == "kept_pair")
        assert [name.split("-")[1] for name in pair] == ["one", "two"]
        own = [reason for name, reason in found.items() if name.startswith(f"{n + 8:05d}")]
        assert sorted(own) == ["kept_few", "kept_few", "not_in_pair", "not_in_pair"]


def scored(services: Services, golds: int) -> Project:
    """Of 100 queries, A is right where a gold label is; where both say B they agree and are wrong."""
    wrong = [("one", "B"), ("two", "B")]
    return store(services, [AGREE, AGREE, wrong, DIFFER] * 25, golds=golds)


def test_the_calibration_error_is_shown_where_gold_labels_exist(services: Services) -> None:
    scored(services, golds=100)
    config = RECORDINGS.config
    found = services.calibrate.measure("p", config)
    assert found is not None and (found.n, found.queries, found.labels) == (200, 100, 200)
    assert found.error == pytest.approx(0.75 * (8 / 9 - 2 / 3) + 0.25 * (0.5 - 4 / 9))
    assert found.right == pytest.approx(125 / 200) and found.kept_right == pytest.approx(2 / 3)
    assert [row["samples"] for row in found.bins] == [50, 150]
    said, _, _, _, gold, preset, *_ = draw_outcome(services, "p", enter_settings(config).read)
    assert tiles_of(said)["Right among kept"] == ("66.7%", "95% interval 58.8% to 73.7%; of all samples 62.5%")
    assert f"Calibration error {found.error:.3f}" in gold and "in 10 bins of equal width, n = 200 samples" in gold
    assert preset == "recordings"


def test_without_gold_labels_nothing_is_said_of_calibration(services: Services) -> None:
    scored(services, golds=0)
    assert services.calibrate.measure("p", RECORDINGS.config) is None
    said, _, _, _, gold, *_ = draw_outcome(services, "p", enter_settings(RECORDINGS.config).read)
    assert "Right among kept" not in tiles_of(said) and "No answered query has a gold label" in gold
    with pytest.raises(StateError, match="0 queries have a gold label and a confidence; a temperature needs 50"):
        services.calibrate.fit("p", RECORDINGS.config)


def test_keeping_all_is_compared_with_gold_labels_without_a_confidence(services: Services) -> None:
    scored(services, golds=100)
    found = services.calibrate.measure("p", NONE.config)
    assert found is not None and found.error is None and found.kept == 200
    assert found.kept_right == pytest.approx(125 / 200)
    assert all("alibration error" not in line for line in say_measured(found))


def test_a_temperature_is_fitted_and_decides_nothing_before_it_is_ordered(services: Services) -> None:
    scored(services, golds=100)
    config = RECORDINGS.config
    before = services.select.select("p", config)
    fitted = services.calibrate.fit("p", config)
    assert (fitted.n, fitted.queries) == (200, 100)
    assert fitted.temperature > 1 and fitted.after < fitted.before
    assert "Ranks stay" in say_fitted(fitted)
    assert services.select.select("p", config).fingerprint == before.fingerprint
    warmer = config.change({"temperature": fitted.temperature, "threshold": 0.8})
    stored = services.select.select("p", warmer)
    assert stored.counts["kept"] == 0 and services.context.selections.latest(stored.project_id).config == warmer
    tempered, plain = services.calibrate.measure("p", warmer), services.calibrate.measure("p", config)
    assert tempered is not None and plain is not None
    assert tempered.auroc == plain.auroc and (tempered.error or 1) < (plain.error or 0)
    assert services.calibrate.fit("p", warmer) == fitted, "what is fitted is the confidence as it is"


def test_forty_nine_gold_labels_are_too_few(services: Services) -> None:
    scored(services, golds=49)
    assert services.calibrate.count_golds("p") == 49
    with pytest.raises(StateError, match="49 queries"):
        services.calibrate.fit("p", RECORDINGS.config)


def test_gold_labels_change_nothing_of_what_is_kept(services: Services) -> None:
    project = scored(services, golds=0)
    before = reasons(services, RECORDINGS.config)
    assert services.calibrate.measure("p", RECORDINGS.config) is None
    queries = services.context.queries.get(project.id, Split.DISTILL)
    with services.context.db.write() as writer:
        for query in queries:
            writer.run("INSERT INTO golds VALUES (?, ?, ?)", [project.id, query.id, "E"])
    found = services.calibrate.measure("p", RECORDINGS.config)
    assert found is not None and found.right == 0, "new gold labels are seen"
    assert reasons(services, RECORDINGS.config) == before


def test_more_gold_labels_than_are_scored_are_said(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.usecases.selection.calibration.MOST_SCORED", 20)
    scored(services, golds=100)
    found = services.calibrate.measure("p", RECORDINGS.config)
    assert found is not None and (found.queries, found.of) == (20, 100)
    assert "20 of 100 queries scored" in say_measured(found)[0]


@pytest.mark.parametrize("name", ["threshold", "agreement_weighted", "temperature"])
def test_a_cleared_number_is_told_and_changes_nothing(services: Services, name: str) -> None:
    store(services, [AGREE] * 3)
    cleared = enter_settings(RECORDINGS.config, **{name: None})
    with pytest.raises(InputError, match="no number is given"):
        cleared.read()
    said, *plots, _, _, _, _, select, redraw = draw_outcome(services, "p", cleared.read)
    assert [button.interactive for button in (select, redraw)] == [False, False]
    assert "no number is given" in said and [plot.visible for plot in plots] == [False, False]


def tiles_of(html: str) -> dict[str, tuple[str, str]]:
    """Value and note of each tile, by its label."""
    found = re.findall(
        r"<div class='label'>(.*?)</div><div class='value'>(.*?)</div><div class='note'>(.*?)</div>", html
    )
    return {label: (value, note) for label, value, note in found}


@pytest.mark.parametrize(
    "config",
    [
        SelectionConfig(),
        NONE.config,
        GRADES.config,
        dcrs(
            0.8, {"reasoning": 0.25, "agreement": 0.75}, disagreement="majority", few="require_three", temperature=1.5
        ),
        SelectionConfig(rules=(TopShare(share=0.3, within="all"), OneTeacher(name="ann"))),
    ],
)
def test_the_command_selects_with_exactly_these_settings(config: SelectionConfig) -> None:
    words = say_command("my project", config)
    assert words[:3] == ["tacit", "select", "my project"]
    given: dict[str, list[str]] = {}
    for option, value in zip(words[3::2], words[4::2], strict=True):
        given.setdefault(option, []).append(value)
    preset = given.pop("--preset")[0]
    changes = {"temperature": given.pop("--temperature", [None])[0]}
    weights, rules = given.pop("--weight", []), given.pop("--rule", [])
    assert given == {}
    assert read_selection(PRESETS.get(preset).config, changes, weights, rules) == config
    assert say_command("p", config, "paper") == ["tacit", "select", "p", "--preset", "paper"]


def test_the_preset_in_force_is_named_and_others_are_custom(services: Services) -> None:
    store(services, [AGREE, DIFFER] * 4, scores={"reasoning": 0.9, "answer": 0.9, "clarity": 0.9})
    for preset in PRESETS:
        config = PRESETS.get(preset).config
        shown = enter_settings(config).read()
        assert services.match.name_preset("p", shown) == preset, "however the form writes it"
    assert services.match.name_preset("p", dcrs(0.93)) == ""
    *_, preset, command, _, _ = draw_outcome(services, "p", lambda: dcrs(0.93))
    assert preset == "custom" and "threshold:threshold=0.93" in command


def test_a_moved_weight_is_shared_out_and_locked_ones_stay() -> None:
    form = make_form()
    values = send_settings(dcrs(weights={"reasoning": 0.5, "answer": 0.3, "agreement": 0.2}))
    names = list(form.weights)
    values[-1 - len(names) + names.index("reasoning")] = 0.4
    moved = form.balance(values, names.index("reasoning"), ["answer"])
    assert dict(zip(names, form.weights_of(moved), strict=True)) == dict.fromkeys(names, 0.0) | {
        "reasoning": 0.4,
        "answer": 0.3,
        "agreement": 0.3,
    }
    assert form.read(moved).weights == {"reasoning": 0.4, "answer": 0.3, "agreement": 0.3}
    values[-2] = None
    assert form.balance(values, 0, []) == values, "a cleared one is told by whoever reads it"


def test_the_reason_of_a_sample_is_said_with_its_numbers() -> None:
    row = {"reason": "below_threshold", "similarity": None, "confidence": 0.9312}
    assert explain(row, 0.95) == "Confidence 0.931 is below the threshold of 0.95"
    assert explain(row | {"reason": "kept_pair", "similarity": 0.412}, 0.95) == "Kept: least similar pair (cosine 0.41)"
    assert explain(row | {"reason": None}, None) == "Not selected yet"


def test_every_reason_is_said_in_words() -> None:
    said = [say_reason(reason.value) for reason in Reason]
    assert len(set(said)) == len(said) and not any("_" in words for words in said)
