"""Importing queries into a project: what is counted, what leaks, what is kept when a file breaks off."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services import Services, open_services
from app.usecases.data.words import tell_outputs, tell_queries
from engine.config import ProjectConfig
from engine.errors import InputError
from engine.hub import open_records
from engine.selection.overviews import find_close_pairs
from engine.values import TeacherSpec


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        yield opened


def write(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(json.dumps({"query": text}) for text in texts))
    return path


def test_present_repeated_and_leaking_queries_are_told_apart(services: Services, tmp_path: Path) -> None:
    first = services.data.import_queries("p", write(tmp_path / "a.jsonl", "one", "two", "two"), {}, 0)
    assert (first.added, first.duplicates, first.present, first.leaked) == (2, 1, 0, 0)
    held = services.data.import_queries("p", write(tmp_path / "b.jsonl", "two", "three"), {}, 1)
    assert (held.added, held.present, held.leaked, held.heldout) == (1, 1, 1, 1)


def test_repetition_far_apart_is_found(services: Services, tmp_path: Path) -> None:
    texts = [f"query {n}" for n in range(10_500)]
    told = services.data.import_queries("p", write(tmp_path / "a.jsonl", *texts, "query 3"), {}, 0)
    assert (told.added, told.duplicates, told.present) == (10_500, 1, 0)


def test_a_file_that_breaks_off_keeps_what_came_before(services: Services, tmp_path: Path) -> None:
    whole = "\n".join(json.dumps({"query": f"query {n} {'x' * 50}"}) for n in range(30_000)).encode()
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(whole)[:-2000])
    told = services.data.import_queries("p", path, {}, 0)
    assert 29_000 < told.added < 30_000 and told.rejected == 0
    assert "breaks off" in told.broke_off
    said = " ".join(tell_queries(told))
    assert f"{told.added:,} queries added" in said and "not read to its end" in said and "is stored" in said


def test_strict_stores_nothing_of_a_file_with_a_bad_row(services: Services, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "one", "two")
    path.write_text(path.read_text() + "\nnot json\n")
    with pytest.raises(InputError, match="row 3"):
        services.data.import_queries("p", path, {}, 0, strict=True)
    assert services.context.queries.counts(services.context.projects.get("p").id) == {}


def test_a_dataset_folder_is_read_like_one_of_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.jsonl", "one", "two")
    rows = [record.values["query"] for record in open_records(f"hf:{folder}")]
    assert rows == ["one", "two"]
    with pytest.raises(InputError, match="can't be read"):
        list(open_records(f"hf:{folder}@nonsense"))
    with pytest.raises(InputError, match="name a dataset as"):
        open_records("hf:a b c")


def test_near_duplicates_and_leaks_are_found_by_meaning(services: Services, tmp_path: Path) -> None:
    services.data.import_queries(
        "p", write(tmp_path / "a.jsonl", "How many legs has a horse?", "Who wrote Faust?"), {}, 0
    )
    services.data.import_queries("p", write(tmp_path / "b.jsonl", "How many legs does a horse have?"), {}, 1)
    (pair,) = services.resemble.find("p", 0.9)
    assert pair.leak and "horse" in pair.first and "horse" in pair.second


@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(-0.5, 0.99))
def test_close_pairs_are_those_that_a_plain_loop_finds(seed: int, count: int, threshold: float) -> None:
    vectors = np.random.default_rng(seed).standard_normal((count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    plain = {(i, j) for i in range(count) for j in range(i + 1, count) if vectors[i] @ vectors[j] >= threshold + 1e-5}
    found = {(i, j) for i, j, _ in find_close_pairs(vectors, threshold)}
    assert plain <= found
    assert all(i < j and vectors[i] @ vectors[j] >= threshold - 1e-5 for i, j in found)


def test_unread_outputs_are_counted_with_the_reason_and_right_plurals(services: Services, tmp_path: Path) -> None:
    services.data.import_queries("p", write(tmp_path / "q.jsonl", "one", "two", "three"), {}, 0)
    replies = {"one": "The answer is: 1", "two": "I do not know", "three": "no idea"}
    path = tmp_path / "outputs.jsonl"
    path.write_text(
        "".join(json.dumps({"query": q, "teacher": "ann", "raw": raw}) + "\n" for q, raw in replies.items())
    )
    for expected in (
        ["3 outputs of 1 teacher imported, 2 of 3 outputs unread (the reply holds no label: 2)."],
        [
            "3 outputs of 1 teacher imported, 2 of 3 outputs unread (the reply holds no label: 2).",
            "1 of them had been read before.",
        ],
    ):
        found = services.data.import_outputs("p", path)
        services.context.wait(found.job_id)
        assert tell_outputs(found, services.data.read_back("p", found)) == expected
    path.write_text(json.dumps({"query": "two", "teacher": "bob", "answer": "2", "scores": {"clarity": 10**400}}))
    found = services.data.import_outputs("p", path)
    services.context.wait(found.job_id)
    first, second = tell_outputs(found, services.data.read_back("p", found))
    assert first == "1 output of 1 teacher imported, and read." and second.startswith("1 row taken without scores")


def test_a_quote_left_open_keeps_the_rows_before_it_and_says_so(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text('query,gold\na,1\nb,2\n"c,3\nd,4\n')
    told = services.data.import_queries("p", path, {}, 0)
    assert (told.added, told.rejected) == (2, 0)
    assert "opened in line 4 never closes; 2 lines are inside" in told.broke_off
    found = services.preview.look("p", path, {}, 0)
    assert found.good == 2 and found.broke_off == told.broke_off
    with pytest.raises(InputError, match=r"line 4 never closes.*Nothing was stored"):
        services.data.import_queries("p", path, {}, 0, strict=True)
    path.write_text('query\n"a\nb\n')
    with pytest.raises(InputError, match=r"line 2 never closes.*Nothing was stored"):
        services.data.import_queries("p", path, {}, 0)


def test_an_unknown_file_asks_for_the_column_and_follows_the_choice(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "foreign.csv"
    path.write_text("Frage,Loesung\nWas ist 1+1?,2\nWas ist 2+2?,4\n")
    asked = services.preview.look("p", path, {}, 0)
    assert asked.names == ["Frage", "Loesung"] and set(asked.columns.values()) == {None}
    assert asked.good == 0 and "Frage, Loesung" in asked.asked and "--" not in asked.asked
    assert asked.rows[0] == {"Frage": "Was ist 1+1?", "Loesung": "2"}
    chosen = services.preview.look("p", path, {"query": "Frage", "gold": "Loesung", "id": ""}, 0)
    assert (chosen.good, chosen.asked, chosen.rows[1]["label"]) == (2, "", "4")


def test_a_preview_of_long_rows_holds_few_of_them(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.usecases.data.previews.LOOKED_AT_BYTES", 200_000)
    path = write(tmp_path / "long.jsonl", *(f"{n} {'x ' * 5_000}" for n in range(60)))
    found = services.preview.look("p", path, {}, 0)
    assert found.partly and found.looked_at == found.good == 20


def test_strict_counts_a_gold_label_that_is_no_choice_as_bad(services: Services, tmp_path: Path) -> None:
    services.data.create_project(ProjectConfig(name="c", task="choice", embedder="packaged"))
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"query": "q", "choices": {"A": "x", "B": "y"}, "gold": "E"}))
    with pytest.raises(InputError, match=r"1 row can't be used.*none of the choices A, B"):
        services.data.import_queries("c", path, {}, 0, strict=True)
    told = services.data.import_queries("c", path, {}, 0)
    assert (told.added, told.golds, told.noted) == (1, 0, 1)


def test_what_a_project_has_is_counted_by_split_label_and_kind(services: Services, tmp_path: Path) -> None:
    rows = [
        {"query": f"q{n}", "kind": "sums" if n < 3 else "rows", **({"gold": "1"} if n % 2 else {})} for n in range(5)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    services.data.import_queries("p", path, {}, 0)
    services.data.import_queries("p", write(tmp_path / "b.jsonl", "held"), {}, 1)
    totals = services.queries.totals("p")
    assert (totals.distill, totals.heldout, totals.total) == (5, 1, 6)
    assert (totals.gold, totals.heldout_gold) == (2, 0) and totals.kinds == {"sums": 3, "rows": 2}
    newest = services.queries.page("p", sort="-split")
    assert newest.rows[0]["split"] == "heldout" and services.queries.page("p", sort="-gold").total == 6


def test_a_preview_shows_values_of_every_column_once_and_clipped(services: Services, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,tier,empty\n" + "".join(f"q{n} {'x' * 200},gold,\n" for n in range(5)))
    samples = services.preview.look("p", path, {}, 0).samples
    assert samples["tier"] == ["gold"] and samples["empty"] == []
    assert [value[:2] for value in samples["question"]] == ["q0", "q1", "q2"] and len(samples["question"][0]) == 60


def test_outputs_are_looked_at_without_storing_any(services: Services, tmp_path: Path) -> None:
    services.data.import_queries("p", write(tmp_path / "q.jsonl", "one", "two"), {}, 0)
    path = tmp_path / "outputs.jsonl"
    rows = [{"query": "one", "raw": "The answer is: 1"}, {"query": "three", "answer": "3"}, {"query": "two"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = services.preview.look_at_outputs("p", path, "ann")
    assert found.teachers == {"ann": 1} and (found.unmatched, found.rejected) == (1, 1)
    assert found.rows[0]["rationale or reply"] == "The answer is: 1" and found.errors[0].row == 3
    assert services.teachers.list_all("p") == []
    path.write_text("")
    with pytest.raises(InputError):
        services.preview.look_at_outputs("p", path, "ann")


@pytest.mark.parametrize("name", ["mixed", "tinyllm", "stage7"])
def test_no_teacher_takes_the_name_of_a_student(services: Services, tmp_path: Path, name: str) -> None:
    services.data.import_queries("p", write(tmp_path / "a.jsonl", "one"), {}, 0)
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text(json.dumps({"query": "one", "teacher": name, "answer": "1", "rationale": "It is one."}))
    with pytest.raises(InputError, match=f"{name}: a teacher can't have the name of a student"):
        services.data.import_outputs("p", outputs)
    settings = {"name": name, "provider": "openai", "model": "m"}
    with pytest.raises(InputError, match=f"can't be named {name}, as a student is"):
        services.teachers.add("p", settings)
    assert services.projects.teachers(services.projects.get("p")) == []


def test_a_teacher_that_had_such_a_name_before_can_be_changed(services: Services) -> None:
    project = services.projects.get("p")
    services.context.projects.put_teacher(project.id, TeacherSpec("mixed", "openai", "m"))
    services.teachers.add("p", {"name": "mixed", "provider": "openai", "model": "n"})
    assert [spec.model for spec in services.projects.teachers(project)] == ["n"]
