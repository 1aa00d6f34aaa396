"""Student rungs: kept loaded in a process of their own here, or behind an OpenAI-compatible server.

Either is asked as the student was trained, greedily, and its confidence is that of evaluations: the geometric mean
probability of the tokens that hold its label. Where its rule goes by a second draw, it is asked once more, sampled as
such draws are.
"""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.gateway.rungs import Errand, RungReply, count_all, read_int, read_rationale
from app.usecases.playground.process import StudentProcess
from engine.datasets.rows import ChatText, student_prompt
from engine.errors import InputError, StateError, TacitError, WorkerFailed
from engine.inference.labels import find_log_prob as find_of_label
from engine.packaged import packaged_student_folder
from engine.ports import Task
from engine.second_draws import same_label, seed_of
from engine.serving.climbing import RungAnswer
from engine.serving.outcomes import find_confidence
from engine.serving.policy import Policy, StudentRung
from engine.teachers.hosted import Chat, ChatRequest
from engine.values import Query, Token, Usage, make_query

_LOADING_S = 180.0
"""How long a student may take that is not loaded yet, besides the time of its answer."""
_GRACE_S = 5.0
"""A student that tells no token for so long behind its time is stuck: its process is ended, and starts anew."""
_VLLM_RANK = 16
"""The highest rank that vLLM takes without being told."""


def check_rung(task: Task, rung: StudentRung) -> None:
    """Whether a rung can be asked by its prompt at all.

    Raises:
        TacitError: if there is no such prompt, or it wants more than the query.
    """
    student_prompt(task, make_query("?"), rung.prompt)


def find_adapter(rung: StudentRung, workspace: Path) -> Path | None:
    """The folder of a rung's adapter; None for a student without any.

    Raises:
        InputError: if it is not there.
    """
    if not rung.adapter:
        return None
    folder = workspace / rung.adapter
    if not (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{rung.system}: its adapter is not at {folder}. A policy names adapters inside the workspace: serve it "
            "with the --workspace that it was made in"
        )
    return folder


@dataclass
class StudentWorker:
    """A student's process and the one thread that speaks to it; rungs of the same student share them."""

    process: StudentProcess = field(default_factory=lambda: StudentProcess(idle_s=None))
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "student"))

    def ask(self, request: dict[str, Any], timeout_s: float, gone: threading.Event) -> dict[str, Any]:
        """Send a request and wait for its end, in the one thread; `gone`: nobody waits for it any more.

        An answer that takes too long, or that nobody waits for, is stopped at its next token.

        Raises:
            WorkerFailed: if there is no answer.
        """
        allowed = timeout_s + (0 if self.process.alive else _LOADING_S)
        self.process.patience_s = allowed + _GRACE_S
        end = time.monotonic() + allowed
        replies = self.process.ask(request, lambda: "nobody waits any more" if gone.is_set() else "")
        try:
            data: dict[str, Any] = {}
            for data in replies:
                if not data.get("over") and (gone.is_set() or time.monotonic() > end):
                    raise WorkerFailed(f"its answer took over {allowed:.0f} s")
        except StateError as error:
            raise WorkerFailed(f"its process ended, or was silent for over {allowed:.0f} s") from error
        finally:
            replies.close()
        if "error" in data:
            raise WorkerFailed(str(data["error"]))
        return data

    def close(self) -> None:
        """End it for good."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.process.close()


@dataclass
class ResidentStudent:
    """A student on this machine's device; requests are served in turn."""

    rung: StudentRung
    task: Task
    adapter: Path | None
    resident: StudentWorker
    timeout_s: float
    width: int = 1
    temperature: float | None = None
    """Of a second draw; None: its answer counts, or not, by itself."""

    @property
    def system(self) -> str:
        """Its name in the policy."""
        return self.rung.system

    async def start(self) -> str:
        """Load it."""
        try:
            await self._send(())
        except TacitError as error:
            return f"{self.system} does not answer yet: {error}"
        return ""

    async def ask(self, query: Query, errand: Errand) -> RungReply:
        """Its answer, when it is its turn.

        Raises:
            WorkerFailed: if its process died, failed on the query or took too long.
        """
        asked, prompt = time.perf_counter(), student_prompt(self.task, query, self.rung.prompt)
        reply = self._read(query, await self._send(prompt), time.perf_counter() - asked)
        if self.temperature is None or reply.answer.label is None:
            return reply
        again = self._read(query, await self._send(prompt, self.temperature), time.perf_counter() - asked)
        return add_draw(self.task, query, reply, again.answer, again.answer.seconds)

    async def _send(self, prompt: ChatText, temperature: float | None = None) -> dict[str, Any]:
        request = {
            "student": self.rung.student.model_dump(mode="json"),
            "prompt": prompt,
            "adapter": str(self.adapter) if self.adapter else None,
            "until": self.task.stop if self.rung.stops_behind_answer else "",
            **({} if temperature is None else {"temperature": temperature}),
        }
        gone, loop = threading.Event(), asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.resident.pool, self.resident.ask, request, self.timeout_s, gone)
        finally:
            gone.set()

    def _read(self, query: Query, data: dict[str, Any], seconds: float) -> RungReply:
        text = str(data.get("text", ""))
        label = self.task.read_answer(query, text)
        usage = Usage(read_int(data.get("read")), read_int(data.get("tokens")))
        confidence = find_confidence(label, data.get("log_prob"))
        answer = RungAnswer(self.system, text, label, confidence, usage, None, seconds)
        return RungReply(answer, read_rationale(self.task, text))

    async def close(self) -> None:
        """End the process."""
        self.resident.close()


def add_draw(task: Task, query: Query, reply: RungReply, again: RungAnswer, seconds: float) -> RungReply:
    """An answer with its second draw: whether both state the same label, and what both took; `seconds`: in all."""
    first = reply.answer
    read = count_all((first.usage.input_tokens, again.usage.input_tokens))
    usage = Usage(read, count_all((first.usage.output_tokens, again.usage.output_tokens)))
    agrees = same_label(task, query, first.label, again.label)
    return replace(reply, answer=replace(first, usage=usage, seconds=seconds, agrees=agrees))


@dataclass
class ServedStudent:
    """A student behind a server of chat completions that gives log-probs, under a model's name of its own."""

    rung: StudentRung
    task: Task
    chat: Chat
    model: str
    timeout_s: float
    width: int
    temperature: float | None = None
    room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.room = asyncio.Semaphore(self.width)

    @property
    def system(self) -> str:
        """Its name in the policy."""
        return self.rung.system

    async def start(self) -> str:
        """Look whether the server has the model; one that does not answer yet may come later."""
        try:
            async with asyncio.timeout(self.timeout_s):
                known = await self.chat.models()
        except (TacitError, TimeoutError) as error:
            return f"{self.system}: the students' server does not list its models yet ({error or 'it took too long'})"
        if self.model not in known:
            return (
                f"{self.system}: the students' server has no model {self.model!r}; it has {', '.join(known)[:300]}. "
                "Name it with --student-model SYSTEM=MODEL"
            )
        return ""

    async def ask(self, query: Query, errand: Errand) -> RungReply:
        """Its answer.

        Raises:
            TeacherError: if the server gave none.
        """
        prompt, asked = student_prompt(self.task, query, self.rung.prompt), time.perf_counter()
        try:
            async with self.room, asyncio.timeout(self.timeout_s):
                reply = await self._ask(query, prompt, {"temperature": 0})
                if self.temperature is not None and reply.answer.label is not None:
                    drawn = {"temperature": self.temperature, "seed": seed_of(prompt)}
                    again = await self._ask(query, prompt, drawn)
                    reply = add_draw(self.task, query, reply, again.answer, time.perf_counter() - asked)
        except TimeoutError:
            raise WorkerFailed(f"the students' server took over {self.timeout_s:.0f} s") from None
        return reply

    async def _ask(self, query: Query, prompt: ChatText, sampling: dict[str, Any]) -> RungReply:
        """One answer, drawn so."""
        (_, system), (_, user) = prompt
        options: dict[str, Any] = {**sampling, "max_tokens": self.rung.student.generate_tokens, "logprobs": True}
        if self.rung.stops_behind_answer:
            options["stop"] = [self.task.stop]
        asked = time.perf_counter()
        got = await self.chat.complete(ChatRequest(self.model, system, user, options, self.timeout_s, ""))
        text = got.content.strip()
        label = self.task.read_answer(query, text)
        confidence = find_confidence(label, find_log_prob(text, got.tokens))
        seconds = time.perf_counter() - asked
        answer = RungAnswer(self.system, text, label, confidence, got.usage, None, seconds)
        return RungReply(answer, read_rationale(self.task, text))

    async def close(self) -> None:
        """Close its connections."""
        await self.chat.close()


def find_log_prob(text: str, tokens: Sequence[Token]) -> float | None:
    """The mean log-prob of the tokens that hold the label of a text; None where they don't spell it.

    Servers list end tokens too: what stands behind the text is left out.
    """
    whole = "".join(token.text for token in tokens)
    begin = whole.find(text)
    if begin < 0 or not text:
        return None
    kept, length = 0, 0
    while length < begin + len(text):
        length += len(tokens[kept].text)
        kept += 1

    def decode(places: Sequence[int]) -> str:
        return "".join(tokens[place].text for place in places)

    log_probs = find_of_label(decode, range(kept), [token.logprob for token in tokens[:kept]])
    return log_probs.mean if log_probs else None


def vllm_commands(policy: Policy, workspace: Path) -> list[str]:
    """The commands by which vLLM serves all student rungs, one a base model: the base once, each adapter by its name.

    The model's own generation settings are set aside, as they are in evaluations.

    Raises:
        InputError: if there is no student rung, or an adapter is missing.
    """
    if not policy.students:
        raise InputError("this policy has no student rung: there is nothing for vLLM to serve")
    groups: dict[tuple[str, str], list[StudentRung]] = {}
    for rung in policy.students:
        groups.setdefault((rung.student.model, rung.student.revision), []).append(rung)
    commands = []
    for place, ((model, revision), rungs) in enumerate(groups.items()):
        base = str(packaged_student_folder()) if model == "packaged" else model
        words = [
            "vllm",
            "serve",
            base,
            *(["--revision", revision] if model != "packaged" and revision != "main" else []),
        ]
        bare = [rung.system for rung in rungs if not rung.adapter]
        adapters = {rung.system: find_adapter(rung, workspace.resolve()) for rung in rungs if rung.adapter}
        words += ["--served-model-name", *bare] if bare else []
        if adapters:
            rank = max(rung.student.lora.rank for rung in rungs)
            words += ["--enable-lora", "--max-loras", str(len(adapters))]
            words += ["--max-lora-rank", str(_next_rank(rank))] if rank > _VLLM_RANK else []
            words += ["--lora-modules", *(f"{name}={folder}" for name, folder in adapters.items())]
        words += ["--generation-config", "vllm", "--port", str(8000 + place)]
        commands.append(shlex.join(words))
    return commands


def _next_rank(rank: int) -> int:
    """The lowest rank that vLLM has and that holds this one."""
    return next((known for known in (32, 64, 128, 256, 320, 512) if rank <= known), rank)
