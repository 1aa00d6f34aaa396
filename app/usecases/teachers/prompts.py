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
    """A prompt as one query's teacher reads it."""

    system: str
    user: str


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

    def preview(self, project_name: str, text: str) -> Rendered:
        """A text as a prompt, filled with the project's first query.

        Raises:
            ConfigError: as `save`.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        first = self.context.queries.first(project.id) or Query("", "(the query stands here)")
        prompt = make_prompt("teacher", task.name, 0, text.replace("\r\n", "\n"))
        return Rendered(*prompt.render(query=task.render(first), factors=", ".join(task.factors)))
