"""What a student wrote on its own, as something to go by: its rationale, and why it may be none."""

from __future__ import annotations

from engine.ports import Task
from engine.rationale_checks import repeats_itself
from engine.values import Generation, Query


def judge_student(task: Task, query: Query, label: str, student: Generation | None) -> str | None:
    """Why a student's rationale is no model of length: empty, loops, unfinished, other label. None if it is sound."""
    if student is None or not strip_answer(student.text):
        return "empty"
    if repeats_itself(student.text):
        return "loops"
    if not student.finished:
        return "unfinished"
    said = task.read_answer(query, student.text)
    if said is None or task.normalise(query, said) != task.normalise(query, label):
        return "other label"
    return None


def strip_answer(text: str) -> str:
    """The rationale of a completion: what stands before its last answer line."""
    return text.rpartition("Answer:")[0].strip() if "Answer:" in text else text.strip()
