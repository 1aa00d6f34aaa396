"""What a student wrote on its own, as something to go by: its rationale, and why it may be none."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from engine.ports import Task
from engine.rationale_checks import repeats_itself
from engine.values import Generation, Query


def judge_student(task: Task, query: Query, label: str, student: Generation | None) -> str | None:
    """Why a student's rationale is no model of length: empty, loops, unfinished, other label. None if it is sound."""
    if student is None or not task.split_completion(student.text)[0]:
        return "empty"
    if repeats_itself(student.text):
        return "loops"
    if not student.finished:
        return "unfinished"
    said = task.read_answer(query, student.text)
    if said is None or task.normalise(query, said) != task.normalise(query, label):
        return "other label"
    return None


def count_median_words(task: Task, students: Mapping[str, Generation]) -> int:
    """The median length of what a student wrote, in words and without its answers; 0 where it wrote nothing."""
    lengths = [len(task.split_completion(generation.text)[0].split()) for generation in students.values()]
    written = [length for length in lengths if length]
    return round(median(written)) if written else 0
