"""Selected samples as training rows: what a student is asked, and what it is taught to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.ports import Task
from engine.prompts import load_prompt
from engine.values import Query, StageRow, hash_id

ChatText = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Example:
    """One chosen sample in the form training needs: what was reasoned, what it led to, and by whom."""

    query: Query
    sample_id: str | None
    rationale: str
    label: str
    flags: tuple[str, ...] = ()
    teacher: str = ""


def student_prompt(
    task: Task, query: Query, prompt: str = "answer", shots: Sequence[Example] = (), **variables: str
) -> ChatText:
    """Messages that ask a student: (role, text) pairs. `shots` are worked examples shown as earlier turns.

    `prompt` names a text of `prompts/student`, `variables` what it wants besides the query.
    """
    system, user = load_prompt("student", prompt).render(query=task.render(query), **variables)
    turns: list[tuple[str, str]] = [("system", system)]
    for shot in shots:
        turns.append(("user", task.render(shot.query)))
        turns.append(("assistant", task.complete(shot.rationale, shot.label)))
    return (*turns, ("user", user))


def make_row(
    task: Task, example: Example, completion: str, prompt: str = "answer", part: str = "", **variables: str
) -> StageRow:
    """A row that teaches a completion; its id is the hash of both sides.

    `prompt` and `variables` as of `student_prompt`.
    """
    asked = student_prompt(task, example.query, prompt, (), **variables)
    row_id = hash_id("row", asked, completion, *([part] if part else []))
    return StageRow(row_id, example.query.id, asked, completion, example.sample_id, example.flags, part)


def fingerprint_rows(rows: Sequence[StageRow]) -> str:
    """Hash of what is trained on; the order does not count."""
    return hash_id("rows", sorted(row.id for row in rows))


def row_to_json(row: StageRow) -> dict[str, Any]:
    """A row as it stands in a run's folder."""
    return {
        "id": row.id,
        "query_id": row.query_id,
        "prompt": [list(turn) for turn in row.prompt],
        "completion": row.completion,
        "sample_id": row.sample_id,
        "flags": list(row.flags),
        **({"part": row.part} if row.part else {}),
    }


def row_from_json(data: Mapping[str, Any]) -> StageRow:
    """The inverse of `row_to_json`."""
    prompt = tuple((str(role), str(text)) for role, text in data["prompt"])
    flags = tuple(data["flags"])
    return StageRow(
        data["id"], data["query_id"], prompt, data["completion"], data["sample_id"], flags, data.get("part", "")
    )
