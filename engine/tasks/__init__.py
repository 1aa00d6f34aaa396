"""The kinds of task: which columns each reads, how it is asked, read, taught and verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.ports import Role, RunsLabels, Task
from engine.registry import import_variants
from engine.tasks import choice, custom, math
from engine.tasks.registry import TASKS
from engine.values import Query

DEFAULT_TASK = custom.NAME
"""The task of a project whose maker names none."""


class _Roles(Mapping[str, Role]):
    """The roles of all tasks; of those of one name the first task's."""

    def __getitem__(self, name: str) -> Role:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Role]:
        roles: dict[str, Role] = {}
        for name in TASKS:
            for role in TASKS[name].roles:
                roles.setdefault(role.name, role)
        return roles


ROLES: Mapping[str, Role] = _Roles()
"""What a column can be to any task, by name."""

__all__ = ["DEFAULT_TASK", "ROLES", "TASKS", "choice", "custom", "get_task", "math", "require_parts", "verify_many"]


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: if there is none.
    """
    return TASKS.get(name)


def require_parts(name: str) -> None:
    """See to it that what a task needs to verify labels is on this machine, before anything is queued for it.

    Raises:
        ConfigError: if there is no such task.
        MissingPart: if something is missing; the message says what to install.
    """
    task = get_task(name)
    if isinstance(task, RunsLabels):
        task.require()


def verify_many(task: Task, cases: Iterable[tuple[Query, str, str]]) -> Iterator[bool]:
    """Whether each label is right, of queries with a label and a gold label; many at a time where the task can."""
    if isinstance(task, RunsLabels):
        return task.verify_many(cases)
    return (task.verify(*case) for case in cases)


import_variants(__name__, __path__)
