"""The teacher's rung: asked with the policy's prompt by the careful caller, under caps, every attempt on the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.gateway.journal import Journal
from app.gateway.rungs import Bill, Errand, RungReply
from app.gateway.settings import GatewaySettings
from app.usecases.serving.ledger import read_ledger
from app.usecases.teachers.connections import Keys
from engine.config import TeacherConfig
from engine.costs import Budget, find_price, worst_cost
from engine.errors import ConfigError, TeacherError
from engine.labelling.online import LabelWork, Unread, read_sample, render_request
from engine.lines import write_atomically
from engine.ports import Request, Task, Teacher
from engine.prompts import Prompt, make_prompt
from engine.serving.climbing import RungAnswer
from engine.serving.deferral.base import UNKNOWN, UNREAD
from engine.serving.policy import TeacherRung
from engine.teachers.caller import Announce, Caller, CallOutcome, Tell, new_intent
from engine.teachers.capabilities import probe
from engine.teachers.hosted import Capabilities, Chat, HostedTeacher, read_capabilities
from engine.teachers.limits import Clock, Limiter, Limiters
from engine.teachers.providers import HOSTED, open_chat
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Purpose, Query, SampleKey, TeacherSpec, Usage, hash_id

_ATTEMPTS, _FIRST_WAIT_S = 3, 0.5
"""A caller waits for the answer, so not for seven attempts, nor long between them."""
_MOST_WAIT_S = 10.0
"""Nor for a provider that asks to wait longer: the caller is told when to come again, or another rung answers."""
CLOCK = Clock()
"""By which limits and waits count."""
_CAPABILITIES = "capabilities.json"
ANSWER, SHADOW, PROBE = "answer", "shadow", "probe"
"""What an attempt was for, on the ledger."""


@dataclass
class TeacherPort:
    """A teacher that can be asked. `callers` go by what is asked for: answers, and comparisons with their own cap."""

    rung: TeacherRung
    task: Task
    prompt: Prompt
    teacher: Teacher
    callers: dict[str, Caller]
    ledger: Journal
    folder: Path
    chat: Chat | None = None

    @property
    def system(self) -> str:
        """Its name in the policy."""
        return self.rung.system

    @property
    def width(self) -> int:
        """Requests in flight at most."""
        return self.teacher.spec.concurrency

    async def start(self) -> str:
        """Find out what its endpoint supports, once for all starts, in at most four small requests.

        Raises:
            TeacherError: if its key is not accepted, or its account has no credit.
        """
        if not isinstance(self.teacher, HostedTeacher):
            return ""
        spec = self.teacher.spec
        known = hash_id(spec.provider, spec.endpoint, spec.model)
        stored = _read_capabilities(self.folder).get(known)
        if stored is None:
            errand = Errand("start")
            try:
                tell, announce = self._tell(errand, PROBE, "", ""), self._announce(errand, PROBE)
                capabilities = await probe(self.teacher, self.callers[ANSWER], tell, announce)
            except TeacherError as error:
                if error.kind.stops_teacher:
                    raise
                return f"{self.system} does not answer yet: {error}"
            stored = asdict(capabilities)
            write_atomically(self.folder / _CAPABILITIES, {**_read_capabilities(self.folder), known: stored})
        capabilities = replace(read_capabilities(stored), logprobs=False)
        self.teacher = replace(self.teacher, capabilities=capabilities)
        return ""

    async def ask(self, query: Query, errand: Errand) -> RungReply:
        """Its answer; one without a label that can be read has no confidence at all.

        Raises:
            TeacherError: if no attempt gave a reply.
            CapReached: if the cap lets no further request start.
        """
        spec, started = self.teacher.spec, time.perf_counter()
        key = SampleKey(query.id, spec.endpoint, spec.model, self.prompt.hash, spec.sampling, 0)
        work = LabelWork(self.task, self.prompt, [query], [self.teacher], purpose=Purpose.PLAY, nonce=errand.id)
        request = render_request(work, query, key)
        purpose = SHADOW if errand.shadow else ANSWER
        first = len(errand.bills)
        tell = self._tell(errand, purpose, query.id, _prompt_text(request))
        announce = self._announce(errand, purpose)
        reply = await self.callers[purpose].call(self.teacher, request, tell, announce)
        read = read_sample(self.task, query, 0, reply)
        own = errand.bills[first:]
        costs = [bill.dollars for bill in own if bill.dollars is not None]
        dollars = sum(costs) if len(costs) == len(own) else None
        label, rationale = (None, "") if isinstance(read, Unread) else (read["label"], read["rationale"])
        confidence = UNREAD if label is None else UNKNOWN
        usage = _add(bill.usage for bill in own)
        seconds = time.perf_counter() - started
        answer = RungAnswer(self.system, reply.text, label, confidence, usage, dollars, seconds)
        return RungReply(answer, rationale)

    def _announce(self, errand: Errand, purpose: str) -> Announce:
        """Puts every attempt on the ledger before it is sent: after a kill it says what may have been billed."""

        def announce(worst: Decimal | None) -> str:
            intent = new_intent()
            most = None if worst is None else str(worst)
            about = {"request": errand.id, "purpose": purpose, "teacher": self.system}
            self.ledger.write({"at": round(time.time(), 3), "sent": intent, **about, "worst": most})
            return intent

        return announce

    def _tell(self, errand: Errand, purpose: str, query_id: str, prompt: str) -> Tell:
        """Puts every attempt on the ledger: what it took, never what was said."""

        def tell(outcome: CallOutcome) -> None:
            cost = None if outcome.cost is None else float(outcome.cost)
            errand.bills.append(Bill(self.system, outcome.usage, cost))
            bound = worst_cost(self.teacher.spec, prompt) if outcome.cost is None else None
            self.ledger.write(
                {
                    "at": round(time.time(), 3),
                    "request": errand.id,
                    "purpose": purpose,
                    "teacher": self.system,
                    "model": self.teacher.spec.model,
                    "query": query_id,
                    "usage": asdict(outcome.usage),
                    "seconds": outcome.latency_s,
                    "cost": None if outcome.cost is None else str(outcome.cost),
                    **({} if bound is None else {"bound": str(bound)}),
                    **({"intent": outcome.intent} if outcome.intent else {}),
                    "error": outcome.error.kind.value if outcome.error else None,
                }
            )

        return tell

    async def close(self) -> None:
        """Close its connections."""
        if self.chat is not None:
            await self.chat.close()


def _prompt_text(request: Request) -> str:
    return f"{request.system}\n{request.user}"


def _add(usages: Iterable[Usage]) -> Usage:
    """The tokens of several attempts together; what one of them does not count is left out."""
    known = list(usages)
    counted = [usage for usage in known if usage.input_tokens is not None or usage.output_tokens is not None]
    if not counted:
        return Usage()
    return Usage(sum(u.input_tokens or 0 for u in counted), sum(u.output_tokens or 0 for u in counted))


def open_teacher(
    rung: TeacherRung, task: Task, settings: GatewaySettings, folder: Path, ledger: Journal, keys: Keys
) -> TeacherPort:
    """The teacher of a policy's last rung; nothing is sent yet.

    Raises:
        ConfigError: if it can't be asked from here, its prompt can't be filled, or a cap can't hold.
        KeyMissing: if its key is not in the environment.
    """
    config = _askable(rung)
    spec = config.to_spec()
    prompt = make_prompt("teacher", task.name, rung.version, rung.prompt)
    if find_price(spec) is None and (settings.max_cost is not None or settings.shadow_max_cost is not None):
        raise ConfigError(
            f"{rung.system}: no price is known for {spec.model}, so no cap on money can hold. Give the teacher's "
            "prices in the policy (input_price and output_price, US dollars a million tokens), or leave the cap out"
        )
    chat: Chat | None = None
    limiter: dict[str, Limiter] = {}
    if spec.provider in HOSTED:
        key = keys.find(spec)
        chat = open_chat(spec, key)
        teacher: Teacher = HostedTeacher(spec, chat, Capabilities())
        name = (spec.provider, spec.endpoint, hash_id("key", key))
        rates = (spec.requests_per_minute, spec.tokens_per_minute)
        limiter = {spec.name: Limiters(CLOCK).get(name, spec.model, spec.concurrency, rates)}
    else:
        teacher = _find_scripted(spec)
    spent = {ANSWER: Decimal(0), SHADOW: Decimal(0), PROBE: Decimal(0)} | read_ledger(folder).bounds
    answers = Budget(_money(settings.max_cost))
    answers.spent = spent[ANSWER] + spent[PROBE]
    shadows = answers
    if settings.shadow_max_cost is not None:
        shadows = Budget(_money(settings.shadow_max_cost))
        shadows.spent = spent[SHADOW]
    else:
        answers.spent += spent[SHADOW]
    callers = {
        purpose: Caller(
            budget, limiter, attempts=_ATTEMPTS, first_wait_s=_FIRST_WAIT_S, most_wait_s=_MOST_WAIT_S, clock=CLOCK
        )
        for purpose, budget in ((ANSWER, answers), (SHADOW, shadows))
    }
    return TeacherPort(rung, task, prompt, teacher, callers, ledger, folder, chat)


def _askable(rung: TeacherRung) -> TeacherConfig:
    remedy = (
        "Make the policy with a teacher behind an HTTP API as its last rung (a local model too, served by vLLM or "
        "`transformers serve`), or with a student as its last rung"
    )
    if rung.teacher is None:
        raise ConfigError(f"{rung.system} is a recorded teacher: it can't be asked anything new. {remedy}")
    if rung.teacher.provider == "local":
        raise ConfigError(f"{rung.system} is a local model, which answers in jobs of the studio only. {remedy}")
    return rung.teacher


def _find_scripted(spec: TeacherSpec) -> Teacher:
    scripted = next((teacher for teacher in SCRIPTED_TEACHERS if teacher.spec.name == spec.name), None)
    if scripted is None:
        names = ", ".join(teacher.spec.name for teacher in SCRIPTED_TEACHERS)
        raise ConfigError(f"there is no scripted teacher {spec.name!r}; there are: {names}")
    return scripted


def _money(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


def _read_capabilities(folder: Path) -> dict[str, Any]:
    try:
        capabilities = json.loads((folder / _CAPABILITIES).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return capabilities if isinstance(capabilities, dict) else {}
