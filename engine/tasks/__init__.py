"""The kinds of task: how to ask, read and verify each."""

from __future__ import annotations

from engine.ports import Task
from engine.tasks import choice, custom, math
from engine.tasks.registry import TASKS

DEFAULT_TASK = custom.NAME
"""The task of a project whose maker names none."""

__all__ = ["DEFAULT_TASK", "TASKS", "choice", "custom", "get_task", "math"]


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: if there is none.
    """
    return TASKS.get(name)
