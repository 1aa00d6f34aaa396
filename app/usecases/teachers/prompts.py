"""The prompt that a project's teachers are asked with: its versions, a new one, how it reads on a real query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.usecases.workspace.context import Context
from engine.errors import InputError
from engine.prompts import Prompt, load_prompt, make_prompt
from engine.records import MAX_CELL
from engine.tasks import get_task
from engine.values import Query
from storage.projects import Project


class Rendered(NamedTuple):
    """A prompt as one query's teacher reads it; the query is number `place` (from 0) of `total` that were found."""

    system: str
    user: str
    place: int
    total: int


def teacher_prompt(context: Context, project: Project) -> Prompt:
    """The prompt that counts: the project's newest, else the one that the program brings for its task."""
    task = get_task(project.config.task)
    versions = context.projects.prompts(project.id)
    return make_prompt("teacher", task.name, *versions[-1]) if versions else load_prompt("teacher", task.name)


def freeze_prompt(context: Context, project: Project) -> dict[str, Any]:
    """The prompt that counts now, for a job that keeps to it whatever is saved meanwhile."""
    prompt = teacher_prompt(context, project)
    return {"version": prompt.version, "text": prompt.text}


def job_prompt(context: Context, project: Project, spec: Mapping[str, Any]) -> Prompt:
    """The prompt that a job was started with."""
    own = spec.get("prompt")
    if not own:
        return teacher_prompt(context, project)
    return make_prompt("teacher", get_task(project.config.task).name, own["version"], own["text"])


@dataclass(frozen=True)
class PromptService:
    """Use cases of prompts."""

    context: Context

    def versions(self, project_name: str) -> dict[int, str]:
        """All versions' texts, oldest first; 1 is the program's own."""
        project = self.context.projects.get(project_name)
        own = load_prompt("teacher", get_task(project.config.task).name)
        return {1: own.text, **dict(self.context.projects.prompts(project.id))}

    def save(self, project_name: str, text: str, seen: int | None = None) -> int:
        """Make a new version, with which samples are asked for from now on; older samples keep theirs.

        `seen` is the newest version when whoever wrote it looked. Returns the version that counts: the newest one
        where the text is the same.

        Raises:
            ConfigError: if the text lacks a hole, or has one that nothing fills.
            InputError: if it is too long.
            Conflict: if there is a newer version than `seen`; then nothing is stored.
        """
        project = self.context.projects.get(project_name)
        if len(text) > MAX_CELL:
            raise InputError(f"the prompt has {len(text):,} characters; {MAX_CELL:,} are the most")
        versions = self.versions(project_name)
        newest = max(versions)
        text = text.replace("\r\n", "\n")
        make_prompt("teacher", get_task(project.config.task).name, newest + 1, text)
        if text.strip() == versions[newest].strip():
            return newest
        return self.context.projects.add_prompt(project.id, text, newest if seen is None else seen)

    def preview(self, project_name: str, text: str, search: str = "", place: int = 0) -> Rendered:
        """A text as a prompt, filled with one of the project's queries that hold `search`, in the order they came.

        Behind the last one comes the first again, before the first the last; where none is found, words stand for one.

        Raises:
            ConfigError: as `save`.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        prompt = make_prompt("teacher", task.name, 0, text.replace("\r\n", "\n"))
        find = self.context.queries.find_page
        _, total = find(project.id, search, "all", "", 0, 0)
        place = place % total if total else 0
        rows, _ = find(project.id, search, "all", "", place, 1)
        query = (
            self.context.queries.find_one(project.id, rows[0]["id"]) if rows else Query("", "(the query stands here)")
        )
        system, user = prompt.render(query=task.render(query), factors=", ".join(task.factors))
        return Rendered(system, user, place, total)
