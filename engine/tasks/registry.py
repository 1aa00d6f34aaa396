"""The tasks that a project can have, by name."""

from __future__ import annotations

from engine.ports import Task
from engine.registry import Registry

TASKS: Registry[Task] = Registry("tasks", "task")
