"""How this process reaches teachers: their keys, their connections, and one limiter a provider and key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.usecases.context import Context
from engine.costs import Budget
from engine.errors import ConfigError, KeyMissing
from engine.ports import Teacher
from engine.redaction import Redactor
from engine.teachers.calling import Caller
from engine.teachers.hosted import Capabilities, Chat, HostedTeacher
from engine.teachers.limits import Limiter, Limiters
from engine.teachers.opening import DEFAULT_VARIABLES, HOSTED, open_chat
from engine.teachers.recorded import RecordedTeacher, RecordingFile
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.types import TeacherSpec, hash_id
from storage.projects import Project


def key_variable(spec: TeacherSpec) -> str | None:
    """The variable that holds a teacher's key: the named one, or at the provider's own address the provider's own."""
    return spec.key_variable or (None if spec.endpoint else DEFAULT_VARIABLES[spec.provider])


class Keys:
    """Keys of teachers: typed in for the life of this process, or from its environment. Never written anywhere."""

    def __init__(self) -> None:
        """None typed in yet."""
        self._typed: dict[str, str] = {}
        self.redactor = Redactor()
        """Takes every key that was used out of what is written down."""

    def __repr__(self) -> str:
        return f"Keys(of {', '.join(self._typed) or 'nobody'})"

    def put(self, variable: str, key: str) -> None:
        """Keep a key in memory under the name of its variable; an empty one is forgotten."""
        if key.strip():
            self._typed[variable] = key.strip()
        else:
            self._typed.pop(variable, None)

    def of(self, variable: str) -> str:
        """The key of a variable, as it was typed in or stands in the environment; "" where there is none."""
        key = self._typed.get(variable) or os.environ.get(variable, "").strip()
        self.redactor.add(key)
        return key

    def find(self, spec: TeacherSpec) -> str | None:
        """The key of a hosted teacher; None where its endpoint needs none.

        A key of the provider's own variable goes to the provider's own address only: for another endpoint the user
        names the variable.

        Raises:
            KeyMissing: if the variable that holds it is not set.
        """
        variable = key_variable(spec)
        if variable is None:
            return None
        key = self.of(variable)
        if not key:
            raise KeyMissing(
                f"{spec.name} needs a key: set {variable} in the environment and start again, or type it on the page "
                "Teachers"
            )
        return key


@dataclass
class Reach:
    """The teachers of one job, opened, with how they may be asked."""

    teachers: list[Teacher]
    caller: Caller


@dataclass
class Asking:
    """Opens teachers for jobs. One a process, so that jobs side by side share limiters."""

    context: Context
    keys: Keys = field(default_factory=Keys)
    limiters: Limiters = field(default_factory=Limiters)

    @asynccontextmanager
    async def open(
        self,
        project: Project,
        names: Sequence[str] | None,
        stop: Callable[[], bool],
        budget: Budget | None = None,
    ) -> AsyncIterator[Reach]:
        """The project's teachers of these names (None: all that can be opened), their connections closed at the end.

        Raises:
            KeyMissing: if a named teacher's key is not there.
        """
        specs = self.context.projects.teachers(project.id)
        if names is not None:
            specs = [spec for spec in specs if spec.name in names]
        chats: list[Chat] = []
        teachers: list[Teacher] = []
        limits: dict[str, Limiter] = {}
        try:
            for spec in specs:
                if spec.provider in HOSTED:
                    try:
                        key = self.keys.find(spec)
                    except KeyMissing:
                        if names is None:
                            continue
                        raise
                    chat = open_chat(spec, key)
                    chats.append(chat)
                    teachers.append(HostedTeacher(spec, chat, self.capabilities(spec) or Capabilities()))
                    limits[spec.name] = self._limiter(spec, key)
                elif spec.provider != "local":  # a local model answers in a worker
                    teachers.append(self._open_other(spec))
            yield Reach(teachers, Caller(budget or Budget(), limits, stop))
        finally:
            for chat in chats:
                await chat.close()

    def capabilities(self, spec: TeacherSpec) -> Capabilities | None:
        """What probing found for the teacher's endpoint and model."""
        found = self.context.ledger.capabilities(spec.provider, spec.endpoint, spec.model)
        return None if found is None else Capabilities(**found)

    def _limiter(self, spec: TeacherSpec, key: str | None) -> Limiter:
        name = (spec.provider, spec.endpoint, hash_id("key", key))
        return self.limiters.get(name, spec.concurrency, (spec.requests_per_minute, spec.tokens_per_minute))

    def _open_other(self, spec: TeacherSpec) -> Teacher:
        if spec.provider == "scripted":
            return next(teacher for teacher in SCRIPTED_TEACHERS if teacher.spec.name == spec.name)
        if spec.provider == "recorded":
            held = RecordingFile(self.context.recordings / f"{spec.endpoint}.jsonl", spec.name)
            return RecordedTeacher(spec.name, held, spec.endpoint)
        raise ConfigError(f"the provider {spec.provider!r} of {spec.name} is not known to this version")
