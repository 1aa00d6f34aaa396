"""The kinds of task: how to ask, read and verify each."""

from __future__ import annotations

from engine.errors import ConfigError
from engine.ports import Task
from engine.tasks.choice import ChoiceTask
from engine.tasks.custom import CustomTask
from engine.tasks.math import MathTask

TASKS: dict[str, Task] = {
    "choice": ChoiceTask(),
    "math": MathTask(),
    "custom": CustomTask(),
    "custom-regex": CustomTask(match="regex"),
}


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")
    return TASKS[name]
