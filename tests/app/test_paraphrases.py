"""Files of math problems: GSM8K and MetaMathQA by themselves, and no question on both sides of the split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import Services, open_services
from app.usecases.data.words import tell_queries
from engine.columns import read_queries
from engine.config import ProjectConfig
from engine.records import Record
from engine.tasks import get_task
from engine.values import Query, Split, make_query, query_from_json

MATH = get_task("math")


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="math", embedder="packaged"))
        yield opened


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def meta(query: str, original: str, kind: str = "GSM_Rephrased") -> dict[str, Any]:
    """A row as MetaMathQA has it."""
    response = "Add them.\n#### 3\nThe answer is: 3"
    return {"type": kind, "query": query, "original_question": original, "response": response}


def many(questions: int, each: int = 3) -> list[dict[str, Any]]:
    return [meta(f"Way {way} to ask {n}?", f"Question {n}?") for n in range(questions) for way in range(each)]


def stored(services: Services) -> dict[str, Query]:
    return {query.text: query for query in services.context.queries.get(services.projects.get("p").id)}


def test_metamath_and_gsm8k_need_no_names_of_columns(services: Services, tmp_path: Path) -> None:
    told = services.data.import_queries("p", write(tmp_path / "meta.jsonl", [meta("Again: 1 + 2?", "1 + 2?")]), {}, 0)
    assert (told.added, told.golds, told.paraphrases, told.noted, told.errors) == (1, 1, 1, 0, [])
    solution = "One and two are <<1+2=3>>3.\n#### 3"
    gsm = write(tmp_path / "gsm.jsonl", [{"question": "1 + 2?", "answer": solution}])
    assert services.data.import_queries("p", gsm, {}, 0).golds == 1
    found, project = stored(services), services.projects.get("p")
    assert set(services.context.queries.golds(project.id).values()) == {"3"}
    assert found["Again: 1 + 2?"].kind == "GSM_Rephrased"
    assert found["Again: 1 + 2?"].family == found["1 + 2?"].family == found["1 + 2?"].id
    assert services.context.queries.find_one(project.id, found["Again: 1 + 2?"].id) == found["Again: 1 + 2?"]


def test_ids_of_paraphrases_are_those_of_their_texts() -> None:
    """What was imported before originals were known is found again."""
    query = MATH.read_row({"query": "Again?", "original": " First? "})
    assert (query.id, query.origin) == (make_query("Again?").id, make_query("First?").id)
    assert MATH.read_row({"query": "First?", "original": "First?"}) == make_query("First?")
    assert MATH.read_row({"query": "First?", "original": " "}).origin is None
    assert query_from_json(json.loads(json.dumps(vars(query)))) == query


GROUPS = st.lists(st.integers(0, 400), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, share=st.floats(0, 1), order=st.randoms(use_true_random=False))
def test_no_original_question_is_on_both_sides(groups: list[int], share: float, order: Any) -> None:
    """Wherever the original itself stands, as a row of MetaMathQA or one of GSM8K."""
    rows = [meta(f"Way {way} of {group}?", f"Question {group}?") for way, group in enumerate(groups)]
    rows += [meta(f"Question {group}?", f"Question {group}?", "GSM_AnsAug") for group in groups[::2]]
    rows += [{"query": f"Question {group}?", "response": "3"} for group in groups[::3]]
    order.shuffle(rows)
    (block,) = read_queries([Record(n, row) for n, row in enumerate(rows, 1)], {}, share, MATH)
    sides: dict[str, set[Split]] = {}
    for query in block.queries:
        sides.setdefault(query.family, set()).add(query.split)
    assert len(sides) == len(set(groups)) and all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_about_the_share_of_questions_is_held_out(share: float) -> None:
    (block,) = read_queries([Record(n, row) for n, row in enumerate(many(1500, 2), 1)], {}, share, MATH)
    held = {query.family for query in block.queries if query.split is Split.HELDOUT}
    assert abs(len(held) / 1500 - share) < 0.04
    alone = [Record(n, {"question": f"Question {n}?"}) for n in range(1500)]
    (originals,) = read_queries(alone, {}, share, MATH)
    assert {query.id for query in originals.queries if query.split is Split.HELDOUT} == held, "as without paraphrases"


SHARES = [(0.0, 1.0), (1.0, 0.0), (0.5, 0.0), (0.2, 0.7), (0.7, 0.2)]


@pytest.mark.parametrize("first", ["paraphrases", "originals"])
@pytest.mark.parametrize("shares", SHARES)
def test_over_several_imports_no_question_is_on_both_sides(
    services: Services, tmp_path: Path, first: str, shares: tuple[float, float]
) -> None:
    """Whatever the share of the later file: what the project has settles where the rest of a question goes."""
    files = {
        "paraphrases": write(tmp_path / "meta.jsonl", many(30)),
        "originals": write(
            tmp_path / "gsm.jsonl", [{"question": f"Question {n}?", "answer": "#### 3"} for n in range(30)]
        ),
    }
    names = sorted(files, key=lambda name: name != first)
    before, told = (services.data.import_queries("p", files[n], {}, s) for n, s in zip(names, shares, strict=True))
    more = services.data.import_queries("p", write(tmp_path / "more.jsonl", many(30, 4)), {}, shares[1])
    sides: dict[str, set[Split]] = {}
    for query in stored(services).values():
        sides.setdefault(query.family, set()).add(query.split)
    assert len(sides) == 30 and all(len(found) == 1 for found in sides.values())
    assert before.followed == 0 and told.added + before.added == 120 and more.added == 30
    assert told.followed > 0 and "not where the share would put them" in " ".join(tell_queries(told))
    assert told.leaked == 0


def test_the_rule_of_the_split_is_told_before_and_after(services: Services, tmp_path: Path) -> None:
    file = write(tmp_path / "meta.jsonl", [*many(2), meta("Question 0?", "Question 0?")])
    looked = services.preview.look("p", file, {}, 0.5)
    assert (looked.paraphrases, looked.columns["original"], looked.columns["kind"]) == (6, "original_question", "type")
    told = tell_queries(services.data.import_queries("p", file, {}, 0.5))
    assert "6 queries paraphrase an original question: each is held out exactly where that is" in " ".join(told)
    services.data.create_project(ProjectConfig(name="other", task="math", embedder="packaged"))
    asked = write(tmp_path / "gsm.jsonl", [{"question": "Question 0?"}, {"question": "Question 1?"}])
    services.data.import_queries("other", asked, {}, 1)
    assert {row["split"] for row in services.preview.look("other", file, {}, 0).rows} == {"heldout"}


def test_paraphrases_stay_with_their_question_in_a_project_s_copy(services: Services, tmp_path: Path) -> None:
    services.data.import_queries("p", write(tmp_path / "meta.jsonl", many(3)), {}, 1)
    services.carry.bring(services.carry.export("p", tmp_path / "p.tacit.zip"), "q")
    told = services.data.import_queries("q", write(tmp_path / "gsm.jsonl", [{"question": "Question 1?"}]), {}, 0)
    assert (told.followed, told.heldout, told.distill) == (1, 10, 0)
