"""Teachers of a project: describe them, test their connection, list models, see what they cost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from app.usecases.labelling.workers import hurry
from app.usecases.teachers.connections import Connections, key_variable
from app.usecases.teachers.presets import preset_of
from app.usecases.workspace.context import Context
from engine.config import TeacherConfig, read_config
from engine.costs import Budget, Price, assumed_price, find_price
from engine.errors import (
    ConfigError,
    ErrorKind,
    InputError,
    KeyMissing,
    KeyRefused,
    NotFound,
    StateError,
    TeacherError,
    WorkerFailed,
)
from engine.jobs.events import EventLog
from engine.places import check
from engine.plans.reserved import is_reserved
from engine.ports import EventSink
from engine.teachers.caller import About, Caller, CallOutcome, Stopped, Tell, announcing, journal
from engine.teachers.capabilities import probe
from engine.teachers.hosted import HostedTeacher
from engine.teachers.limits import Limiter
from engine.teachers.providers import HOSTED, open_chat
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Job, Purpose, Sampling, TeacherSpec

PROBE_PROMPT = "probe"
_LISTING_S = 60.0


@dataclass(frozen=True)
class TeacherService:
    """Use cases of teachers."""

    context: Context
    connections: Connections
    _trials: dict[str, str] = field(default_factory=dict)
    """Keys of teachers that are being tested before they are saved, by a random mark that their job names."""

    def add(self, project_name: str, values: Mapping[str, Any], seen: str | None = None, key: str = "") -> TeacherSpec:
        """Add a teacher to a project, or change the one of that name; its key, if one is given, stays in memory.

        `seen` is its mark when whoever changes it looked ("": it is to be a new one); None where that doesn't matter.
        `key` is kept in memory, for this teacher's address.

        Raises:
            Conflict: if it has changed since.
            ConfigError: what is wrong, one line a setting.
            InputError: if the name is a student's or a recording's, or the key belongs to nothing. Either all of it
                is kept or none.
        """
        spec = self.read(project_name, values, key)
        project, variable = self.context.projects.get(project_name), key_variable_of(spec)
        if not key.strip() or variable is None:
            self.context.projects.put_teacher(project.id, spec, seen)
            return spec
        self.context.projects.put_teacher(project.id, spec, seen)
        self.connections.keys.put(variable, key, spec)
        return spec

    def read(self, project_name: str, values: Mapping[str, Any], key: str = "") -> TeacherSpec:
        """A teacher as its settings describe it, looked at as a whole; nothing is stored.

        Raises:
            ConfigError: what is wrong, one line a setting.
            InputError: if the name is a student's or a recording's, or the key belongs to nothing.
        """
        project = self.context.projects.get(project_name)
        config = read_config(TeacherConfig, values)
        known = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        if config.name not in known and is_reserved(config.name):
            raise InputError(f"a teacher can't be named {config.name}, as a student is")
        if config.name in known and known[config.name].provider == "recorded":
            raise InputError(f"{config.name} is a recording of this project; choose another name")
        spec = config.to_spec()
        if config.provider not in HOSTED:
            check(spec.model)
        if config.provider == "scripted" and config.name not in {t.spec.name for t in SCRIPTED_TEACHERS}:
            raise ConfigError(f"the scripted teachers are {', '.join(t.spec.name for t in SCRIPTED_TEACHERS)}")
        find_price(spec)
        if key.strip() and spec.provider not in HOSTED:
            raise InputError(f"{spec.name} runs without a key: leave the field Key empty. Nothing was kept.")
        if key.strip() and key_variable_of(spec) is None:
            raise InputError(
                "Behind an address of its own a teacher's key needs a name, by which jobs find it: fill in "
                "the field Key environment variable. Nothing was kept, neither the teacher nor the key."
            )
        if config.provider in HOSTED:
            self._check_key(spec, key)
        return spec

    def _check_key(self, spec: TeacherSpec, key: str) -> None:
        try:
            self.connections.keys.check(spec, bool(key.strip()))
        except KeyRefused as error:
            raise ConfigError(f"{error} Nothing was saved.") from None

    def mark(self, project_name: str, name: str) -> str:
        """What tells one state of a teacher's settings from another; "" where there is none of that name."""
        return self.context.projects.teacher_mark(self.context.projects.get(project_name).id, name)

    def get(self, project_name: str, name: str) -> TeacherSpec:
        """One teacher of a project.

        Raises:
            NotFound: if there is none of that name.
        """
        project = self.context.projects.get(project_name)
        specs = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        if name not in specs:
            raise NotFound(f"no teacher is named {name!r}; {project.name!r} has {', '.join(specs) or 'none'}")
        return specs[name]

    def remove(self, project_name: str, name: str) -> None:
        """Take a teacher off the project; its samples and its ledger stay.

        Raises:
            NotFound: if there is none of that name.
        """
        self.get(project_name, name)
        self.context.projects.remove_teacher(self.context.projects.get(project_name).id, name)

    def list_all(self, project_name: str) -> list[dict[str, Any]]:
        """The project's teachers with price, preset, what probing found and where their keys are."""
        project = self.context.projects.get(project_name)
        return [self._describe(spec) for spec in self.context.projects.teachers(project.id)]

    def _describe(self, spec: TeacherSpec) -> dict[str, Any]:
        return {
            **asdict(spec),
            "price": _tell_price(find_price(spec)),
            "assumed": _tell_price(assumed_price(spec)),
            "capabilities": self.tested(spec),
            "preset": preset_of(spec),
            "hosted": spec.provider in HOSTED,
            "key_state": self._key_state(spec),
        }

    def tested(self, spec: TeacherSpec) -> dict[str, Any] | None:
        """What a test found of a teacher's endpoint and model; None where there was none."""
        capabilities = self.connections.capabilities(spec) if spec.provider in HOSTED else None
        return None if capabilities is None else asdict(capabilities)

    def key_state(self, project_name: str, name: str) -> str:
        """Where a teacher's key is, never what it is: set, missing, or not needed."""
        return self._key_state(self.get(project_name, name))

    def _key_state(self, spec: TeacherSpec) -> str:
        variable = key_variable_of(spec)
        if variable is None:
            return "not needed"
        try:
            self.connections.keys.find(spec)
        except KeyRefused:
            return f"{key_variable(spec)} is not for this teacher"
        except KeyMissing:
            return f"{variable} is missing"
        return f"{variable} is set"

    def models(self, project_name: str, name: str) -> list[str]:
        """Names of the models that a hosted teacher's endpoint offers.

        Raises:
            ConfigError: if the teacher is not behind an endpoint.
            TeacherError: if the endpoint can't be asked.
            KeyMissing: if its key is not there.
        """
        return self.models_of(self.get(project_name, name))

    def models_of(self, spec: TeacherSpec, key: str = "") -> list[str]:
        """As `models`, of a teacher that need not be saved, by the key that was typed or else that of its variable."""
        if spec.provider not in HOSTED:
            raise ConfigError(f"{spec.name} is a {spec.provider} teacher and has no endpoint to ask")

        async def ask() -> list[str]:
            chat = open_chat(spec, key.strip() or self.connections.keys.find(spec))
            try:
                async with asyncio.timeout(_LISTING_S):
                    return await chat.models()
            except TimeoutError:
                message = f"the endpoint listed no models within {_LISTING_S:g} s"
                raise TeacherError(ErrorKind.TIMEOUT, message) from None
            finally:
                await chat.close()

        return asyncio.run(ask())

    def test(self, project_name: str, name: str) -> Job:
        """Queue the test of a hosted teacher's connection: at most four small requests, on the ledger.

        Raises:
            ConfigError: if the teacher is not behind an endpoint.
            KeyMissing: if its key is not there.
        """
        return self.test_of(project_name, self.get(project_name, name))

    def test_of(self, project_name: str, spec: TeacherSpec, key: str = "") -> Job:
        """As `test`, of a teacher that need not be saved; a key that was typed stays in memory until the job ends."""
        if spec.provider not in HOSTED:
            raise ConfigError(f"{spec.name} is a {spec.provider} teacher and has no connection to test")
        if not key.strip():
            self.connections.keys.find(spec)
        project, mark = self.context.projects.get(project_name), secrets.token_hex(8)
        if key.strip():
            self._trials[mark] = key.strip()
        return self.context.submit(project.id, "probe", {"teacher": asdict(spec), "mark": mark})

    def try_out(self, project_name: str, spec: TeacherSpec, key: str = "") -> None:
        """Test a teacher that need not be saved, and wait for the outcome.

        Raises:
            ConfigError, KeyMissing: as `test`.
            StateError: if it does not answer, with the reason.
        """
        job = self.test_of(project_name, spec, key)
        try:
            self.context.wait(job.id)
        except WorkerFailed as error:
            why = self.context.jobs.get_job(job.id).message
            raise StateError(f"{spec.name} does not answer: {why or error}") from error

    def go_on(self, project_name: str, name: str = "") -> list[str]:
        """Ask the teachers of a project, or the named one, at once whose providers asked to wait; gives their names."""
        project = self.context.projects.get(project_name)
        specs = [spec for spec in self.context.projects.teachers(project.id) if not name or spec.name == name]
        return sorted({*self.connections.go_on(specs), *hurry(self.context, project.id, name)})

    def go_on_all(self) -> None:
        """Wait for no provider any longer, in whatever project."""
        self.connections.limiters.go_on()
        hurry(self.context)

    async def run_probe(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a probing job.

        Somebody wants to know whether the teacher answers now, so a wait that its provider asked jobs for does not hold
        the test up, and is over for them as well only if it does answer.
        """
        project = next(p for p in self.context.projects.all() if p.id == job.project_id)
        values = job.spec.get("teacher") or asdict(self.get(project.name, job.spec["teachers"][0]))
        spec = TeacherSpec(**{**values, "sampling": Sampling(**values["sampling"])})
        key = self._trials.pop(job.spec.get("mark", ""), None) or self.connections.keys.find(spec)
        shared, chat = self.connections.limiter(spec, key), open_chat(spec, key)
        try:
            limiter = Limiter(spec.concurrency, shared.rates)
            caller = Caller(Budget(), {spec.name: limiter}, stop, attempts=1)
            with suppress(Stopped):
                await probe_teacher(HostedTeacher(spec, chat), caller, log)
                shared.go_on()
        finally:
            await chat.close()


async def probe_teacher(teacher: HostedTeacher, caller: Caller, sink: EventSink) -> HostedTeacher:
    """Find out what a teacher's endpoint supports, and tell it.

    Raises:
        TeacherError: if it can't be asked at all.
    """
    spec = teacher.spec
    capabilities = await probe(teacher, caller, _teller(spec, sink), announcing(sink, _about(spec), "", ""))
    key = {"provider": spec.provider, "endpoint": spec.endpoint, "model": spec.model}
    sink.emit("capabilities", teacher=spec.name, **key, found=asdict(capabilities))
    return teacher.with_capabilities(capabilities)


def key_variable_of(spec: TeacherSpec) -> str | None:
    """The variable of a teacher's key; None where it needs none, as a model on this machine."""
    return key_variable(spec) if spec.provider in HOSTED else None


def _about(spec: TeacherSpec) -> About:
    return About("", "", spec.name, Purpose.PROBE, PROBE_PROMPT)


def _teller(spec: TeacherSpec, sink: EventSink) -> Tell:
    about = _about(spec)

    def tell(outcome: CallOutcome) -> None:
        error = outcome.error
        journal(sink, about, outcome, error.kind if error else None, str(error) if error else "")

    return tell


def _tell_price(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {"input": float(price.input_usd), "output": float(price.output_usd), "source": price.source}
