"""The gateway without a server: a request in, an answer out, all of it on the meter."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from app.gateway.answers import add_up, describe, find_dollars, list_taken, write_content
from app.gateway.journal import FolderLock, Journal
from app.gateway.ladder import LadderAnswer, LiveLadder
from app.gateway.record import Recorder, open_recorder
from app.gateway.requests import OWN_MODEL, ApiError, ChatAsk
from app.gateway.rungs import Errand, RungPort, count_all
from app.gateway.settings import GatewaySettings
from app.gateway.shadows import Shadows
from app.gateway.students import ResidentStudent, ServedStudent, StudentWorker, check_rung, find_adapter
from app.gateway.teacher import open_teacher
from app.usecases.serving.folder import LEDGER, QUERIES, gateway_folder, make_name
from app.usecases.serving.ledger import count_ends
from app.usecases.teachers.connections import Keys
from app.usecases.training.webhook import read_webhook
from engine.config import TeacherConfig, read_config
from engine.errors import InputError
from engine.ports import Task
from engine.serving.climbing import RungAnswer, Served
from engine.serving.drift import FIRST
from engine.serving.policy import Policy, StudentRung, TeacherRung
from engine.tasks import get_task
from engine.teachers.providers import open_chat
from engine.values import Query, hash_id

_LOG = logging.getLogger(__name__)
_MOST_FAILURES_TOLD = 20
_CAPPED = "cap reached"


@dataclass(frozen=True)
class Answered:
    """An answer for a caller: what it reads, what was counted, how it came about, and what a comparison needs."""

    content: str
    usage: dict[str, int]
    details: dict[str, Any]
    query: Query
    served: Served
    by: RungAnswer
    request: str


@dataclass
class Gateway:
    """A policy that is served."""

    policy: Policy
    settings: GatewaySettings
    task: Task
    folder: Path
    ladder: LiveLadder
    recorder: Recorder
    shadows: Shadows
    ledger: Journal
    queries: Journal | None = None
    lock: FolderLock | None = None
    failures: dict[str, int] = field(default_factory=dict)
    began: int = field(default_factory=lambda: int(time.time()))

    @property
    def names(self) -> tuple[str, ...]:
        """What the policy as a whole is called by callers."""
        own = (OWN_MODEL, self.policy.project, self.folder.name)
        return tuple(dict.fromkeys(name for name in own if name and name not in self.policy.systems))

    async def start(self) -> list[str]:
        """Get all rungs ready; what the operator should know.

        Raises:
            TacitError: if a rung could never answer.
        """
        self.recorder.add("start", rungs=list(self.policy.systems))
        notes = [note for port in self.ladder.ports.values() if (note := await port.start())]
        if cut_off := str(count_ends(self.recorder.cut_off)):
            notes.append(f"Cut off when the gateway was killed: {cut_off}. Caps on money count them")
        if self.settings.shadow and self.recorder.drift.state.source == "first":
            notes.append(
                f"The policy does not say how often students agree with {self.ladder.last}: the first {FIRST} shadowed "
                "queries will, and only then is a drop watched for"
            )
        return notes

    async def answer(self, ask: ChatAsk) -> Answered:
        """Ask the ladder, and keep what that took. Hung up on, it hangs up on the rungs.

        Raises:
            ApiError: 429 if too many wait; 503 if nobody has an answer, or the operator wants none of a student that
                is not sure.
            InputError: if the task can't read the query.
        """
        self._admit(ask)
        request, started = f"chatcmpl-{secrets.token_hex(12)}", time.perf_counter()
        query = replace(self.task.read_typed(ask.text), kind=ask.kind)
        errand = Errand(request)
        if self.queries is not None:
            self.queries.write({"at": round(time.time(), 3), "request": request, "query": asdict(query)})
        reason, climbed = "hung up", LadderAnswer(Served(None, (), {}), "", {})
        by: RungAnswer | None = None
        try:
            climbed = await self.ladder.climb(query, ask.only, errand)
            for system, why in climbed.reasons.items():
                self._tell_failure(system, why.message)
            by, reason = self._accept(climbed)
        except Exception:
            reason = "unforeseen"
            raise
        finally:
            self._record(ask, errand, climbed.served, by, reason, time.perf_counter() - started)
        if by is None:
            raise self._refusal(climbed, reason)
        served, taken = climbed.served, list_taken(climbed.served, errand.bills)
        details = describe(served, ask, by, find_dollars(taken, self.ladder.students))
        content = write_content(self.task, query, by, climbed.rationale, self.settings.content)
        return Answered(content, add_up(taken), details, query, served, by, request)

    def _admit(self, ask: ChatAsk) -> None:
        try:
            self.ladder.admit(ask.only)
        except ApiError:
            self.recorder.refuse()
            raise

    def compare(self, answered: Answered, ask: ChatAsk) -> None:
        """Have an answer compared that was given out, if it is drawn."""
        self.shadows.consider(answered.query, answered.served, answered.by, bool(ask.only), answered.request)

    def _accept(self, climbed: LadderAnswer) -> tuple[RungAnswer | None, str]:
        """The answer that is given out; None with the reason where none is."""
        served, by = climbed.served, climbed.served.answer
        unsure = served.fallback and self.settings.when_teacher_fails == "refuse"
        if by is not None and by.label is not None and not unsure:
            return by, ""
        if climbed.capped:
            return None, _CAPPED
        if by is None:
            return None, "no rung answered"
        return None, "no label" if by.label is None else "fallback refused"

    def _tell_failure(self, system: str, message: str) -> None:
        count = self.failures[system] = self.failures.get(system, 0) + 1
        if count <= _MOST_FAILURES_TOLD:
            last = "; further failures of it are on the meter alone" if count == _MOST_FAILURES_TOLD else ""
            _LOG.warning("%s did not answer: %s%s", system, message, last)

    def _refusal(self, climbed: LadderAnswer, reason: str) -> ApiError:
        failed = ", ".join(climbed.failed)
        if reason == _CAPPED:
            message = "the gateway's cap on money is reached; its operator can raise --max-cost"
            if failed:
                message += f". {failed} failed too: try again a little later"
            return ApiError(503, message, "cap_reached", retry_after_s=climbed.come_again_s if failed else None)
        if reason == "no label":
            wanted = f"no rung's answer could be read as a label of this task ({self.task.title})"
            return ApiError(502, f"{wanted}. Was the query in the form that the policy was made for?", "no_label")
        if reason == "fallback refused":
            return ApiError(
                503,
                f"the student was not sure, and {failed or 'the last rung'} gave no answer; this gateway gives no "
                "answer that is not sure (--when-teacher-fails refuse)",
                "teacher_failed",
                retry_after_s=climbed.come_again_s,
            )
        later = climbed.come_again_s
        return ApiError(503, f"nobody could answer: {failed} failed; try again in {later} s", "no_answer", None, later)

    def _record(
        self, ask: ChatAsk, errand: Errand, served: Served, by: RungAnswer | None, reason: str, seconds: float
    ) -> None:
        students = self.ladder.students
        asked = [_part(answer.system, [answer], answer.system in students) for answer in served.asked]
        answered = {answer.system for answer in served.asked}
        for system in dict.fromkeys(bill.system for bill in errand.bills if bill.system not in answered):
            usage = [bill for bill in errand.bills if bill.system == system]
            asked.append({**_part(system, usage, system in students), "failed": True})
        self.recorder.add(
            "request",
            request=errand.id,
            rung=by.system if by else None,
            last=by is not None and by.system == self.ladder.last,
            forced=bool(ask.only),
            fallback=by is not None and served.fallback,
            kind=ask.kind,
            confidence=round(by.confidence, 6) if by else None,
            seconds=round(seconds, 5),
            asked=asked,
            failed=sorted(served.failed),
            error=reason,
        )

    async def close(self) -> None:
        """Hang up on what is under way for comparisons, end students, close connections and files."""
        await self.shadows.close()
        for port in self.ladder.ports.values():
            await port.close()
        self.recorder.close()
        self.ledger.close()
        if self.queries is not None:
            self.queries.close()
        if self.lock is not None:
            self.lock.release()


def _part(system: str, took: list[Any], own: bool) -> dict[str, Any]:
    """What one rung took of a request, of answers or of bills."""
    dollars = [one.dollars for one in took]
    known = [amount for amount in dollars if amount is not None]
    return {
        "system": system,
        "in": count_all(one.usage.input_tokens for one in took),
        "out": count_all(one.usage.output_tokens for one in took),
        "usd": sum(known) if len(known) == len(dollars) else None,
        **({"own": True} if own else {}),
    }


def open_gateway(
    policy: Policy, settings: GatewaySettings, workspace: Path, ports: Mapping[str, RungPort] | None = None
) -> Gateway:
    """A gateway over the folder `WORKSPACE/gateway/NAME`; nothing is asked yet. The store is not opened.

    Args:
        ports: rungs that stand for the policy's own, by system.

    Raises:
        WorkspaceBusy: if another one of that name runs.
        InputError: if an adapter is missing, or a rung can't be asked from here.
        KeyMissing: if the teacher's key is not in the environment.
    """
    workspace = workspace.resolve()
    task, webhook = get_task(policy.task), read_webhook()
    unknown = set(settings.models) - {rung.system for rung in policy.students}
    if unknown:
        raise InputError(f"--student-model: the policy has no student rung {', '.join(sorted(unknown))}")
    folder = gateway_folder(workspace, settings.name or make_name(policy.project))
    lock = FolderLock(folder)
    try:
        ledger = Journal(folder, LEDGER)
        opened = dict(ports) if ports is not None else _open_ports(policy, task, settings, workspace, folder, ledger)
        recorder = open_recorder(folder, _about(policy, settings, folder), webhook)
    except BaseException:
        lock.release()
        raise
    ladder = LiveLadder(policy, opened, settings.queue)
    shadows = Shadows(ladder, task, recorder, settings.shadow / 100)
    queries = Journal(folder, QUERIES) if settings.log_queries else None
    return Gateway(policy, settings, task, folder, ladder, recorder, shadows, ledger, queries, lock)


def _about(policy: Policy, settings: GatewaySettings, folder: Path) -> dict[str, Any]:
    """What the folder says of the gateway, for whoever reads its meter."""
    return {
        "format": "tacit-gateway",
        "name": folder.name,
        "project": policy.project,
        "run": policy.run,
        "policy": hash_id("policy", policy.model_dump(mode="json")),
        "rungs": list(policy.systems),
        "reference": policy.systems[-1],
        "expected": policy.expected.model_dump(mode="json") if policy.expected else None,
        "shadow": settings.shadow,
        "tolerance": settings.tolerance,
        "alpha": 1 - settings.sure,
        "address": "",
        "started": time.time(),
    }


def _open_ports(
    policy: Policy, task: Task, settings: GatewaySettings, workspace: Path, folder: Path, ledger: Journal
) -> dict[str, RungPort]:
    keys, residents, ports = Keys(), dict[str, StudentWorker](), dict[str, RungPort]()
    for rung in policy.rungs:
        if isinstance(rung, TeacherRung):
            ports[rung.system] = open_teacher(rung, task, settings, folder, ledger, keys)
            continue
        check_rung(task, rung)
        port: ServedStudent | ResidentStudent
        if settings.student_url:
            port = _open_served(rung, task, settings, keys)
        else:
            resident = residents.setdefault(rung.student.fingerprint, StudentWorker())
            port = ResidentStudent(rung, task, find_adapter(rung, workspace), resident, settings.student_timeout)
        port.temperature = None if rung is policy.rungs[-1] else rung.rule.second_draw  # the last one always answers
        ports[rung.system] = port
    return ports


def _open_served(rung: StudentRung, task: Task, settings: GatewaySettings, keys: Keys) -> ServedStudent:
    model = settings.models.get(rung.system, rung.system)
    described = {
        "name": "students",
        "provider": "openai",
        "model": model,
        "endpoint": settings.student_url,
        "key_variable": settings.student_key,
    }
    spec = read_config(TeacherConfig, described).to_spec()
    chat = open_chat(spec, keys.find(spec))
    return ServedStudent(rung, task, chat, model, settings.student_timeout, settings.student_width)
