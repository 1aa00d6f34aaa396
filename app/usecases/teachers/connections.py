"""How this process reaches teachers: their keys, their connections, and one limiter a provider and key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from app.usecases.workspace.context import Context
from engine.costs import Budget
from engine.errors import ConfigError, KeyMissing, KeyRefused
from engine.keys import DEFAULT_VARIABLES, LISTED, PROVIDERS, can_hold_key, listed, sent_to
from engine.ports import EventSink, Teacher
from engine.redaction import Redactor
from engine.teachers.caller import Caller
from engine.teachers.hosted import Capabilities, Chat, HostedTeacher, read_capabilities
from engine.teachers.limits import Limiter, Limiters
from engine.teachers.providers import HOSTED, open_chat
from engine.teachers.recorded import RecordedTeacher, RecordingFile
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import TeacherSpec, hash_id
from storage.projects import Project


def key_variable(spec: TeacherSpec) -> str | None:
    """The variable that holds a teacher's key: the named one, or at the provider's own address the provider's own."""
    return spec.key_variable or (None if spec.endpoint else DEFAULT_VARIABLES[spec.provider])


class Keys:
    """Keys of teachers: typed in for the life of this process, or from its environment. Never written anywhere.

    Each goes to the address it was given for, and nowhere else.
    """

    def __init__(self, named: Callable[[str], set[str]] = lambda variable: set()) -> None:
        """None typed in yet. `named`: the addresses of all saved teachers whose key is in a variable."""
        self._typed: dict[tuple[str, str | None], str] = {}
        self._named = named
        self._restricted = False
        self.redactor = Redactor()
        """Takes every key that was used out of what is written down."""

    def __repr__(self) -> str:
        return f"Keys(of {', '.join(sorted({variable for variable, _ in self._typed})) or 'nobody'})"

    def restrict(self) -> None:
        """From now on others than the operator describe teachers: the operator's list alone aims a variable."""
        self._restricted = True

    def put(self, variable: str, key: str, spec: TeacherSpec | None = None) -> None:
        """Keep a key in memory under the name of its variable; an empty one is forgotten.

        `spec` is the teacher it was typed for, whose address alone it goes to; without one, it stands for what the
        environment would hold.
        """
        place = (variable, sent_to(spec.provider, spec.endpoint) if spec else None)
        if key.strip():
            self._typed[place] = key.strip()
        else:
            self._typed.pop(place, None)

    def of(self, variable: str) -> str:
        """The key of a variable that is bound to no teacher; "" where there is none."""
        key = self._typed.get((variable, None)) or os.environ.get(variable, "").strip()
        self.redactor.add(key)
        return key

    def check(self, spec: TeacherSpec, typed: bool = False) -> None:
        """Whether what stands in the variable of a teacher's key may be sent to that teacher.

        `typed`: its key is typed in for it at this moment.

        Raises:
            KeyRefused: if not, and what to do.
        """
        variable = key_variable(spec)
        if variable is None:
            return
        if not can_hold_key(variable):
            raise KeyRefused(
                f"{spec.name}: no key is read from {variable}, only from variables that end in _API_KEY or _TOKEN, or "
                f"stand in {LISTED}. Name another one in its settings."
            )
        address, bound = sent_to(spec.provider, spec.endpoint), listed().get(variable, set())
        if bound or variable in PROVIDERS:
            known = bound or set(PROVIDERS[variable])
            phrase = "is for" if bound else "is a key of"
            if address not in known:
                raise KeyRefused(
                    f"{_refused(spec, variable, address)}: it {phrase} {', '.join(sorted(known))}. Name another "
                    f"variable for this address. {_LIST}"
                )
        elif self._restricted:
            if not typed and (variable, address) not in self._typed:
                raise KeyRefused(
                    f"{_refused(spec, variable, address)}: nobody has bound it to an address. Type the teacher's "
                    f"key on the page Teachers. {_LIST}"
                )
        elif others := self._named(variable) - {str(address)}:
            raise KeyRefused(
                f"{_refused(spec, variable, address)}: it was given for {', '.join(sorted(others))}. Name another "
                f"variable for this address, or remove the teacher that it was given for. {_LIST}"
            )

    def find(self, spec: TeacherSpec) -> str | None:
        """The key of a hosted teacher; None where its endpoint needs none.

        Raises:
            KeyRefused: if its variable is none of keys, or is for another address.
            KeyMissing: if the variable that holds it is not set.
        """
        variable = key_variable(spec)
        if variable is None:
            return None
        if typed := self._typed.get((variable, sent_to(spec.provider, spec.endpoint))):
            self.redactor.add(typed)
            return typed
        self.check(spec)
        key = self.of(variable)
        if not key:
            raise KeyMissing(
                f"{spec.name} needs a key: set {variable} in the environment and start again, or type it on the page "
                "Teachers"
            )
        return key


def _limited_as(spec: TeacherSpec, key: str | None) -> tuple[str, ...]:
    """By what a provider tells its askers apart."""
    return (spec.provider, spec.endpoint, hash_id("key", key))


_LIST = f"Whoever runs the server allows more in {LISTED}, as NAME=https://address."


def _refused(spec: TeacherSpec, variable: str, address: str | None) -> str:
    return f"{spec.name}: {variable} is not sent to {address}"


@dataclass
class Reach:
    """The teachers of one job, opened, with how they may be asked."""

    teachers: list[Teacher]
    caller: Caller


@dataclass
class Connections:
    """Opens teachers for jobs. One a process, so that jobs side by side share limiters."""

    context: Context
    keys: Keys = field(init=False)
    limiters: Limiters = field(default_factory=Limiters)

    def __post_init__(self) -> None:
        self.keys = Keys(self._named)

    def _named(self, variable: str) -> set[str]:
        projects = self.context.projects
        specs = [spec for project in projects.all() for spec in projects.teachers(project.id)]
        addresses = [
            sent_to(s.provider, s.endpoint) for s in specs if s.provider in HOSTED and s.key_variable == variable
        ]
        return set(filter(None, addresses))

    @asynccontextmanager
    async def open(
        self,
        project: Project,
        names: Sequence[str] | None,
        stop: Callable[[], bool],
        budget: Budget | None = None,
        sink: EventSink | None = None,
    ) -> AsyncIterator[Reach]:
        """The project's teachers of these names (None: all that can be opened), their connections closed at the end.

        `sink` is told where a provider asks to wait.

        Raises:
            KeyMissing: if a named teacher's key is not there.
        """
        specs = self.context.projects.teachers(project.id)
        if names is not None:
            specs = [spec for spec in specs if spec.name in names]
        chats: list[Chat] = []
        teachers: list[Teacher] = []
        limits: dict[str, Limiter] = {}
        limiters: list[Limiter] = []
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
                    limits[spec.name] = limiter = self.limiter(spec, key)
                    limiters.append(limiter)
                    limiter.users += 1
                elif spec.provider != "local":  # a local model answers in a worker
                    teachers.append(self._open_other(spec))
            yield Reach(teachers, Caller(budget or Budget(), limits, stop, sink=sink))
        finally:
            for limiter in limiters:
                limiter.users -= 1
            for chat in chats:
                await chat.close()

    def capabilities(self, spec: TeacherSpec) -> Capabilities | None:
        """What probing found for the teacher's endpoint and model."""
        stored = self.context.ledger.capabilities(spec.provider, spec.endpoint, spec.model)
        return None if stored is None else read_capabilities(stored)

    def limiter(self, spec: TeacherSpec, key: str | None) -> Limiter:
        """Gates a teacher's requests: rates are its provider's under this key, the back-off is its model's."""
        rates = (spec.requests_per_minute, spec.tokens_per_minute)
        return self.limiters.get(_limited_as(spec, key), spec.model, spec.concurrency, rates)

    def go_on(self, specs: Sequence[TeacherSpec]) -> list[str]:
        """Ask those of these teachers at once whose providers asked to wait; gives their names."""
        waiting: dict[str, Limiter] = {}
        for spec in specs:
            if spec.provider in HOSTED:
                with suppress(KeyMissing):
                    limiter = self.limiters.find(_limited_as(spec, self.keys.find(spec)), spec.model)
                    waiting |= {spec.name: limiter} if limiter is not None and limiter.left_s else {}
        for limiter in waiting.values():  # two teachers may share one
            limiter.go_on()
        return list(waiting)

    def _open_other(self, spec: TeacherSpec) -> Teacher:
        if spec.provider == "scripted":
            return next(teacher for teacher in SCRIPTED_TEACHERS if teacher.spec.name == spec.name)
        if spec.provider == "recorded":
            recording = RecordingFile(self.context.recordings / f"{spec.endpoint}.jsonl", spec.name)
            return RecordedTeacher(spec.name, recording, spec.endpoint, spec.model)
        raise ConfigError(f"the provider {spec.provider!r} of {spec.name} is not known to this version")
