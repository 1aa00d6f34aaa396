"""What every task does alike: rows in, completions out and back, and the rows that students are taught with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import StudentConfig
from engine.datasets import DATASETS, Materials
from engine.datasets.rows import Example, fingerprint_rows
from engine.jobs.spec import WorkerStep
from engine.pipeline import Material, Pipeline
from engine.plans import Evaluate, Plan
from engine.tasks import ROLES, TASKS, get_task
from engine.tasks.custom import CustomTask
from engine.tasks.solutions import find_result
from engine.values import Choice, make_query

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=60)
LABELS = TEXTS.filter(lambda label: "Answer:" not in label)


@pytest.mark.parametrize("name", TASKS.names())
@given(rationale=TEXTS | st.sampled_from(["Answer: 4", "So.\nAnswer: B\nNo, wait.", ""]), label=LABELS)
def test_a_completion_splits_into_what_it_was_made_of(name: str, rationale: str, label: str) -> None:
    task = get_task(name)
    assert task.split_completion(task.complete(rationale, label)) == (rationale.strip(), label)


@pytest.mark.parametrize("name", TASKS.names())
@given(text=TEXTS | TEXTS.map(lambda text: f"{text} Answer:{text}"))
def test_any_text_of_a_student_splits(name: str, text: str) -> None:
    rationale, label = get_task(name).split_completion(text)
    assert rationale in text and label in text


def test_an_answer_within_a_line_is_no_part_of_the_rationale() -> None:
    assert get_task("math").split_completion("It is two. Answer: 2") == ("It is two.", "2")
    assert get_task("math").split_completion(" no marker ") == ("no marker", "")


WORDS = {"answer-first": "8fc46aba11c1993d9b0f3874", "full": "cb55ccf40af55f4ce49df365"} | {
    "compressed": "9877af44b8f0a3f7559afa5f",
    "label": "5503053c9294550d5c9ccb38",
    "mixed": "a2f314957b10e73e64062916",
    "shuffled": "296ee9b7e5c27f13941966a9",
    "two-tasks": "75020e5c6a11aacd3d75ab55",
    "teacher-tasks": "35601450267ce319ef40e8fb",
}
LETTERS = {"answer-first": "563ecf50daee1b51ccb1db07", "full": "e3433f7f85801283ca51853d"} | {
    "compressed": "5dad17977e87920ad6f22236",
    "label": "bd3b6dc0c6b019242e239c73",
    "mixed": "93c3590bb275be1b88a5708c",
    "shuffled": "8faf245ac3e042d90b496f6c",
    "two-tasks": "6c8b17178e901085c0fd8dd9",
    "teacher-tasks": "fcae24ffea158e47854ce88e",
}


@pytest.mark.parametrize(
    ("name", "choices", "labels", "expected"),
    [
        ("choice", (Choice("A", "x"), Choice("B", "y")), "BA", LETTERS),
        ("custom", (), "23", WORDS),
        ("math", (), "23", WORDS),
    ],
)
def test_training_rows_are_those_of_before_tasks_had_completions(
    name: str, choices: tuple[Choice, ...], labels: str, expected: dict[str, str]
) -> None:
    """Their ids stand in the fingerprints of stored runs; these were taken when one form served all tasks."""
    first, second = (make_query(text, choices, "k") for text in ("Which?", "Where?"))
    examples = [
        Example(first, "s1", " One.\nTwo. ", labels[0], (), "ann"),
        Example(second, "s2", "", labels[1], (), "bob"),
    ]
    given = Materials(examples, {"s1": ("Short.", ()), "s2": ("", ())})
    found = {data: fingerprint_rows(DATASETS.get(data).rows(get_task(name), given)) for data in expected}
    assert found == expected


class FencedTask(CustomTask):
    stop = "\n```"


def test_where_answers_end_enters_a_fingerprint_only_where_it_is_not_a_line() -> None:
    query = make_query("q")
    stopped = Evaluate(name="e", start=None, stops_behind_answer=True)
    plan = Plan(name="p", student=StudentConfig(), steps=(stopped,))

    def fingerprint(task: CustomTask, step: Evaluate = stopped) -> str:
        return Pipeline(plan, Material(task, (), heldout=[query])).fingerprint(step)

    assert fingerprint(CustomTask()) == "2:5693f3dd0af5ebc7c6d8247e"
    whole = stopped.model_copy(update={"stops_behind_answer": False})
    assert len({fingerprint(CustomTask()), fingerprint(FencedTask()), fingerprint(FencedTask(), whole)}) == 3


@pytest.mark.parametrize(("said", "until"), [({"one_line": True}, "\n"), ({"one_line": False}, ""), ({}, "")])
def test_a_step_that_was_stored_before_is_read_as_it_was_meant(said: dict[str, bool], until: str) -> None:
    assert WorkerStep.model_validate({"kind": "write", "name": "e", "file": "/e.jsonl", **said}).until == until


@pytest.mark.parametrize(
    ("solution", "result"),
    [
        ("She has 3 * 6 = <<3*6=18>>18 eggs.\n#### 18", "18"),
        ("So 3 * 6 = 18.\n#### 18\nThe answer is: 18", "18"),
        ("We add.\nThe answer is: \\frac{1}{2}", "\\frac{1}{2}"),
        ("The answer is: \\begin{pmatrix} 1 \\\\\n2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\\n2 \\end{pmatrix}"),
        (" 42 ", "42"),
        ("#### A heading\nand a text", "#### A heading\nand a text"),
        ("####", "####"),
        ("The answer is:", "The answer is:"),
    ],
)
def test_a_worked_solution_is_read_for_what_it_ends_in(solution: str, result: str) -> None:
    assert find_result(solution) == result


def test_roles_of_all_tasks_are_told_once_each_with_a_query_first() -> None:
    assert [*ROLES][:5] == ["query", "choices", "gold", "kind", "id"]
    assert {role.name for name in TASKS for role in get_task(name).roles} == set(ROLES)
    assert all("query" in {role.name for role in get_task(name).roles if role.required} for name in TASKS)
