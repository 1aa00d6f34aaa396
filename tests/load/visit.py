"""Fifty visitors on a store of a million samples: `python -m tests.load.visit [VISITORS] [SAMPLES]`.

Seeds a workspace, serves it by `tacit serve` in a process of its own, and lets visitors walk five pages over HTTP, one
to three seconds of thought between them: the page itself, then its first data by the queue, as a browser asks for
them. Prints errors, the p95 of a page's first data for one visitor and for all, and the server's memory before, in the
middle and after. Loopback only; every visitor walks a fixed number of rounds.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import aiohttp
import numpy as np
import psutil
import pyarrow as pa

from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context, open_context
from engine.config import ProjectConfig
from engine.packaged import PACKAGED_EMBEDDER
from engine.selection.settings import dcrs
from engine.values import Sampling, TeacherSpec

PAGES = ("", "data", "label", "select", "evaluate")
PROJECT = "large"
TEACHERS, DIMENSIONS = 4, 16
ROUNDS = 3
_CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)


@dataclass
class Told:
    """What visitors met with. Seconds."""

    times: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})
    errors: list[str] = field(default_factory=list)

    @property
    def p95(self) -> float:
        return float(np.percentile([value for values in self.times.values() for value in values], 95))


def main(visitors: int, samples: int) -> None:
    """Seed, serve, visit, print."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        began = time.perf_counter()
        seed(workspace, samples)
        print(f"seeded {samples:,} samples in {time.perf_counter() - began:.0f} s", flush=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "app",
            "serve",
            "--no-demo",
            "--port",
            str(port),
            "--workspace",
            str(workspace),
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            run(f"http://127.0.0.1:{port}", psutil.Process(server.pid), visitors)
        finally:
            server.kill()
            server.wait()


def run(url: str, process: psutil.Process, visitors: int) -> None:
    """Measure one visitor, then all of them."""
    until_open(url, process)
    calls = {page: find_load(url, page) for page in PAGES}
    warm, alone, told = Told(), Told(), Told()
    asyncio.run(visit(url, calls, 1, 1, 0.0, warm))
    if warm.errors:
        sys.exit(f"a single visitor failed: {warm.errors[0]}")
    asyncio.run(visit(url, calls, 1, 10, 0.2, alone))
    before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
    memory: list[int] = []
    began = time.perf_counter()
    asyncio.run(visit(url, calls, visitors, ROUNDS, None, told, lambda: memory.append(process.memory_info().rss)))
    seconds, spent = time.perf_counter() - began, sum(process.cpu_times()[:2]) - spent
    count = sum(map(len, told.times.values()))
    print(f"{visitors} visitors, {count} pages in {seconds:.0f} s, {len(told.errors)} errors {told.errors[:3]}")
    print(f"{'page':12} {'one, median':>12} {'one, p95':>10} {'all, median':>12} {'all, p95':>10}")
    for page in PAGES:
        one, many = alone.times[page], told.times[page]
        row = [statistics.median(one), np.percentile(one, 95), statistics.median(many), np.percentile(many, 95)]
        print(f"{page or 'projects':12} {row[0]:12.3f} {row[1]:10.3f} {row[2]:12.3f} {row[3]:10.3f}")
    print(f"p95 of a page's first data: one {alone.p95:.3f} s, all {told.p95:.3f} s, ratio {told.p95 / alone.p95:.2f}")
    print(f"memory: before {before / 1e9:.2f} GB, most {max(memory) / 1e9:.2f} GB, last {memory[-1] / 1e9:.2f} GB")
    print(f"the server's processor time: {1000 * spent / count:.0f} ms a page, {spent / seconds:.2f} of a core")


async def visit(
    url: str,
    calls: dict[str, int],
    visitors: int,
    rounds: int,
    think_s: float | None,
    told: Told,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Visitors side by side; `look` is called twice a second meanwhile."""
    limit = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=limit, timeout=aiohttp.ClientTimeout(120)) as client:
        walks = [asyncio.create_task(walk(client, calls, rounds, think_s, told)) for _ in range(visitors)]
        while not all(task.done() for task in walks):
            look()
            await asyncio.sleep(0.5 if visitors > 1 else 0.01)
        await asyncio.gather(*walks)


async def walk(
    client: aiohttp.ClientSession, calls: dict[str, int], rounds: int, think_s: float | None, told: Told
) -> None:
    """One visitor: five pages, again and again."""
    for _ in range(rounds):
        for page in PAGES:
            await asyncio.sleep(random.uniform(1, 3) if think_s is None else think_s)
            began = time.perf_counter()
            try:
                async with client.get(f"/{page}?project={quote(PROJECT)}") as answer:
                    answer.raise_for_status()
                    await answer.read()
                await ask(client, calls[page])
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is counted
                told.errors.append(f"{page}: {error!r}")
                continue
            told.times[page].append(time.perf_counter() - began)


async def ask(client: aiohttp.ClientSession, number: int) -> None:
    """A page's first data, by the queue."""
    session = uuid.uuid4().hex
    data = {"data": [PROJECT, ""], "fn_index": number, "session_hash": session}
    async with client.post("/gradio_api/queue/join", json=data) as joined:
        joined.raise_for_status()
    async with client.get("/gradio_api/queue/data", params={"session_hash": session}) as stream:
        async for line in stream.content:
            if not line.startswith(b"data:"):
                continue
            message = json.loads(line.removeprefix(b"data:"))
            if message["msg"] == "process_completed":
                if not message["success"]:
                    raise RuntimeError(str(message["output"])[:300])
                return
    raise RuntimeError("the stream ended before the data came")


def find_load(url: str, page: str) -> int:
    """The number of the handler that fills a page when it is opened."""
    body = urllib.request.urlopen(f"{url}/{page}", timeout=60).read().decode()
    found = _CONFIG.search(body)
    if found is None:
        sys.exit(f"page {page!r} has no configuration")
    config = json.loads(found[1])
    for dependency in config["dependencies"]:
        if [event for _, event in dependency["targets"]] == ["load"] and dependency["js"]:
            return int(dependency["id"])
    sys.exit(f"page {page!r} loads nothing")


def until_open(url: str, process: psutil.Process) -> None:
    """Wait for the server."""
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            if time.monotonic() > end or not process.is_running():
                sys.exit("the server did not start")
            time.sleep(0.3)


def seed(workspace: Path, count: int) -> None:
    """A project with queries, teachers, samples, attempts, vectors and a selection, in bulk."""
    context = open_context(workspace)
    project = context.projects.create(ProjectConfig(name=PROJECT, task="custom", embedder="packaged"))
    for teacher in range(TEACHERS):
        context.projects.put_teacher(project.id, TeacherSpec(f"t{teacher}", "openai", "m", sampling=Sampling()))
    fill_queries(context, project.id, count // TEACHERS)
    rng = np.random.default_rng(0)
    for begin in range(0, count, 100_000):
        fill_samples(context, project.id, range(begin, min(begin + 100_000, count)), rng)
    SelectService(context)._store(project, dcrs(threshold=0.95))
    context.db.close()


def fill_queries(context: Context, project_id: str, count: int) -> None:
    """Queries without choices."""
    numbers = range(count)
    columns = {
        "project_id": [project_id] * count,
        "id": [f"{n:024x}" for n in numbers],
        "text": [f"What is {n} plus {n}?" for n in numbers],
        "choices": ["[]"] * count,
        "split": ["distill"] * count,
        "position": pa.array(range(1, count + 1), pa.int64()),
    }
    with context.db.write() as writer:
        writer.insert("queries", pa.table(columns))


def fill_samples(context: Context, project_id: str, numbers: range, rng: np.random.Generator) -> None:
    """Samples, the attempts that gave them, and their vectors."""
    count = len(numbers)
    ids = [f"s{n:023x}" for n in numbers]
    queries = [f"{n // TEACHERS:024x}" for n in numbers]
    teachers = [f"t{n % TEACHERS}" for n in numbers]
    labels = [str(n) for n in rng.integers(0, 3, count)]
    scores = rng.uniform(0.9, 1, (count, 3)).round(3).tolist()
    factors = [list(zip(("reasoning", "answer", "clarity"), row, strict=True)) for row in scores]
    same = {"project_id": [project_id] * count, "query_id": queries, "teacher": teachers}
    samples = {
        **same,
        "id": ids,
        "label": labels,
        "label_key": labels,
        "text_hash": ids,
        "rationale": ["because it is so, and not otherwise " * 4] * count,
        "split": ["distill"] * count,
        "draw": pa.array(np.zeros(count, dtype=np.int32)),
        "factors": pa.array(factors, pa.map_(pa.string(), pa.float64())),
    }
    attempts = {
        **same,
        "id": ids,
        "sample_id": ids,
        "purpose": ["label"] * count,
        "raw": ["because"] * count,
        "input_tokens": pa.array(rng.integers(80, 120, count)),
        "output_tokens": pa.array(rng.integers(40, 90, count)),
    }
    with context.db.write() as writer:
        writer.insert("samples", pa.table(samples))
        writer.insert("attempts", pa.table(attempts))
    vectors = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
    context.samples.add_vectors(PACKAGED_EMBEDDER, "1", ids, vectors)


if __name__ == "__main__":
    arguments = [int(value.replace("_", "")) for value in sys.argv[1:]]
    main(*(arguments + [50, 1_000_000][len(arguments) :]))
