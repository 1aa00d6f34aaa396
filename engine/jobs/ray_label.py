"""Labelling spread over machines by Ray Data: the same request and parse code, its replies written as Parquet shards.

Runs in a worker. Keys are read from the environment of the machine that asks; the job's description names the variable.
https://docs.ray.io/en/latest/data/data.html
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.config import read_config
from engine.errors import KeyMissing, MissingPart
from engine.jobs.context import JobContext
from engine.jobs.spec import GO_ON_FILE, STOP_FILE, RayLabelJob
from engine.labelling.online import LabelWork, label
from engine.lines import read_lines
from engine.ports import EventSink
from engine.prompts import Prompt, load_prompt, make_prompt
from engine.redaction import Redactor
from engine.tasks import get_task
from engine.teachers.caller import Caller
from engine.teachers.hosted import Chat, HostedTeacher, read_capabilities
from engine.teachers.limits import Limiter
from engine.teachers.providers import open_chat
from engine.values import Query, Sampling, TeacherSpec, query_from_json

ADDRESS = "TACIT_RAY_ADDRESS"
"""Environment variable with the address of a Ray cluster; without it a local one is started, bound to loopback."""
_SENT = "sent"
"""The folder where askers announce what they send, and tell how long they wait, beside that of the shards."""
_LOOK_S = 0.3


def run(job: RayLabelJob, context: JobContext) -> bool:
    """Ask what the journal and the shards do not hold yet; False if it was stopped before the end."""
    journal = context.journal
    journaled = Counter(event.data["sample_id"] for event in journal if event.type == "reply")
    sent = {event.data["intent"] for event in journal if event.type == "sent"}
    return answer_on_ray(job, context.folder, journaled, context.sink, context.stop, sent)


def answer_on_ray(
    job: RayLabelJob,
    folder: Path,
    journaled: Mapping[str, int],
    sink: EventSink,
    stop: Callable[[], bool],
    sent: AbstractSet[str] = frozenset(),
) -> bool:
    """Ask what has neither a row in a shard nor an event yet, then journal all shards; False if stopped.

    `journaled` counts each sample's events in the journal, `sent` are the attempts that it says were sent. A file named
    `stop` in the folder keeps it from asking.
    What the shards hold is journaled without the key of this machine.

    Raises:
        MissingPart: if Ray is not installed.
        KeyMissing: if the key's variable is not set on this machine.
    """
    if job.teacher["key_variable"] and not os.environ.get(job.teacher["key_variable"]):
        raise KeyMissing(f"{job.teacher['name']} needs a key: set {job.teacher['key_variable']} in the environment")
    shards = folder / "shards"
    shards.mkdir(exist_ok=True)
    announced = _Announced(folder / _SENT, sink, sent)
    announced.tell()
    written = {event["sample_id"] for event in _read_shards(shards)}
    items = [item for item in read_lines(job.file) if item["sample_id"] not in written.union(journaled)]
    flag = folder / STOP_FILE
    try:
        if items and not stop() and not flag.exists():
            with _watching(flag, stop, announced):
                _ask_on_ray(job, items, shards, flag)
    finally:
        announced.tell()
        redactor = Redactor()
        redactor.add(os.environ.get(job.teacher["key_variable"] or "", ""))
        _journal_shards(shards, journaled, sink, redactor)
    return not stop()


class _Announced:
    """What askers said that they would send, and how long a provider lets them wait, each in a file of its own: brought
    into the journal as it comes. A teacher waits as long as the last of its askers.
    """

    def __init__(self, folder: Path, sink: EventSink, known: AbstractSet[str]) -> None:
        """`known` are the attempts that an earlier start has journaled."""
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._sink = sink
        self._known = set(known)
        self._over = set(folder.glob("*.jsonl"))  # askers of an earlier start wait no more
        self._ends: dict[Path, float] = {}
        self._read: dict[Path, int] = {}
        self._lock = threading.Lock()

    def tell(self) -> None:
        """Journal what is new; a line that is still being written is left for the next time."""
        with self._lock:
            for file in sorted(self._folder.glob("*.jsonl")):
                with file.open("rb") as lines:
                    lines.seek(self._read.get(file, 0))
                    for line in lines:
                        if not line.endswith(b"\n"):
                            break
                        self._tell(file, json.loads(line))
                        self._read[file] = self._read.get(file, 0) + len(line)

    def _tell(self, file: Path, data: dict[str, Any]) -> None:
        if "intent" not in data:
            self._tell_wait(file, data)
        elif data["intent"] not in self._known:
            self._sink.emit("sent", **data)
            self._known.add(data["intent"])

    def _tell_wait(self, file: Path, data: dict[str, Any]) -> None:
        if file in self._over:
            return
        now = time.monotonic()
        self._ends[file] = now + float(data["seconds"])
        left = max(0.0, max(self._ends.values()) - now)
        self._sink.emit("waits", teacher=data["teacher"], seconds=round(left, 3), longer=bool(data["longer"] and left))


def _journal_shards(shards: Path, journaled: Mapping[str, int], sink: EventSink, redactor: Redactor) -> None:
    """Journal what stands in the shards, leaving out as many attempts of a sample as were journaled before."""
    left = Counter(journaled)
    for event in _read_shards(shards):
        if left[event["sample_id"]] > 0:
            left[event["sample_id"]] -= 1
        else:
            sink.emit("reply", **redactor.clean(event))


@contextmanager
def _watching(flag: Path, stop: Callable[[], bool], announced: _Announced) -> Iterator[None]:
    """Journal what askers announce, and raise a flag for them once the job is to stop: what is in flight comes home,
    nothing more is asked.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            with suppress(OSError):  # a full disk is told by whoever writes what came back
                announced.tell()
            if stop():
                flag.touch()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _ask_on_ray(job: RayLabelJob, items: list[dict[str, Any]], shards: Path, flag: Path) -> None:
    try:
        import ray  # noqa: PLC0415 - an extra: `pip install tacit-studio[ray]`
        from ray.data import ActorPoolStrategy  # noqa: PLC0415
    except ImportError:
        raise MissingPart("Ray is not installed; `pip install 'tacit-studio[ray]'` brings it") from None
    address = os.environ.get(ADDRESS)
    local = {"num_cpus": job.workers, "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    on_stop = signal.getsignal(signal.SIGTERM)
    ray.init(address=address, **({} if address else local), log_to_driver=False, configure_logging=False)
    signal.signal(signal.SIGTERM, on_stop)  # Ray's own would leave at once, with what is in flight
    try:
        lines = [{"item": json.dumps(item, ensure_ascii=False)} for item in items]
        blocks = max(job.workers, -(-len(items) // job.block))
        (
            ray.data.from_items(lines, override_num_blocks=blocks)
            .map_batches(
                BlockAsker,
                fn_constructor_args=(job.model_dump_json(), str(flag)),
                compute=ActorPoolStrategy(size=job.workers),
                batch_size=job.block,
                num_cpus=1,
            )
            .write_parquet(str(shards), concurrency=job.workers)
        )
    finally:
        ray.shutdown()


class BlockAsker:
    """Asks one block of requests after another, within one process of the cluster."""

    def __init__(self, job: str, flag: str) -> None:
        """From a `RayLabelJob` as JSON; its key comes from the environment here.

        Nothing is asked any more once the file `flag` exists.
        """
        self._flag = Path(flag)
        self._job = read_config(RayLabelJob, json.loads(job))
        teacher = dict(self._job.teacher)
        self._spec = TeacherSpec(**{**teacher, "sampling": Sampling(**teacher["sampling"])})
        self._task = get_task(self._job.task)
        self._limiter: Limiter | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Rows of requests to rows of `reply` events, both as JSON."""
        items = [json.loads(line) for line in batch["item"]]
        with closing(_Rows(self._flag.parent / _SENT)) as rows:
            asyncio.run(self._ask(items, rows))
        return {"event": [json.dumps(event, ensure_ascii=False) for event in rows.events]}

    async def _ask(self, items: list[dict[str, Any]], rows: _Rows) -> None:
        key = os.environ.get(self._spec.key_variable or "") or None
        chat: Chat = open_chat(self._spec, key)
        teacher = HostedTeacher(self._spec, chat, read_capabilities(self._job.capabilities))
        queries: dict[str, Query] = {item["query"]["id"]: query_from_json(item["query"]) for item in items}
        work = LabelWork(
            task=self._task,
            prompt=self._prompt(),
            queries=list(queries.values()),
            teachers=[teacher],
            purpose=self._job.purpose,
            only={item["sample_id"] for item in items},
            nonce=self._job.nonce,
            left={item["sample_id"]: item["key"] for item in items if item.get("key")},
        )
        limiter = Limiter(self._spec.concurrency)
        limiter.rates.set(*(_share(rate, self._job.workers) for rate in self._rates()))
        hurrying = asyncio.ensure_future(_heed(self._flag.with_name(GO_ON_FILE), limiter))
        try:
            await label(work, rows, Caller(limiters={self._spec.name: limiter}, stop=self._flag.exists, sink=rows))
        finally:
            hurrying.cancel()
            await chat.close()

    def _prompt(self) -> Prompt:
        job = self._job
        if not job.prompt:
            return load_prompt("teacher", self._task.name)
        return make_prompt("teacher", self._task.name, job.prompt_version, job.prompt)

    def _rates(self) -> tuple[int | None, int | None]:
        return self._spec.requests_per_minute, self._spec.tokens_per_minute


async def _heed(file: Path, limiter: Limiter) -> None:
    """End waits each time that a file is written anew."""
    seen = _written(file)
    while True:
        await asyncio.sleep(_LOOK_S)
        if (now := _written(file)) != seen:
            seen = now
            limiter.go_on()


def _written(file: Path) -> int:
    """When a file was written, in ns; 0: it is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _share(rate: int | None, workers: int) -> int | None:
    """Each worker's part of a rate that the whole must keep."""
    return None if rate is None else max(1, rate // workers)


class _Rows:
    """An `EventSink` that keeps the replies of one block, and writes at once what is about to be sent or waits."""

    def __init__(self, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._file = (folder / f"{secrets.token_hex(8)}.jsonl").open("ab", buffering=0)

    def emit(self, type_: str, **data: Any) -> None:
        if type_ == "reply":
            self.events.append(data)
        elif type_ in ("sent", "waits"):
            self._file.write(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        self._file.close()


def _read_shards(folder: Path) -> Iterator[dict[str, Any]]:
    """The events in all whole shards; one that a kill cut off is left out, and its requests are asked again."""
    for file in sorted(folder.rglob("*.parquet")):
        try:
            lines = pq.read_table(file, columns=["event"])["event"].to_pylist()
        except (pa.ArrowException, OSError):
            file.unlink(missing_ok=True)
            continue
        for line in lines:
            with suppress(ValueError):  # a damaged one: its request is asked again
                yield json.loads(line)
