"""What the gateway costs beside a direct call: callers at once against one loopback provider, directly and through it.

The provider, the gateway and the callers are three processes. The policy has a teacher's rung alone, so a request goes
through everything but a student: keys, reading, the careful caller with its cap, the ledger and the meter.

    python -m scripts.gateway_load --callers 50 --seconds 20 --latency 1.0
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.gateway.server import listen
from engine.config import TeacherConfig
from engine.prompts import load_prompt
from engine.serving.policy import Policy, TeacherRung, write_policy

KEY = "sk-loopback-load-test"
CONTENT = json.dumps({"rationale": "It must be B.", "label": "B", "scores": {"reasoning": 0.9}})


def make_provider(latency_s: float) -> Starlette:
    """A server of chat completions that always takes as long."""

    async def answer(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(latency_s)
        message = {"role": "assistant", "content": CONTENT}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return JSONResponse({**head, "choices": [choice], "usage": usage})

    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])


def serve_provider(latency_s: float) -> None:
    """Serve it on a free port, and print its address."""
    import uvicorn  # noqa: PLC0415 - this process alone serves

    config = uvicorn.Config(make_provider(latency_s), log_level="critical", access_log=False)
    listener = listen("127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run([listener])


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process of ours, with the lines that it prints until it serves."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    lines: list[str] = []
    try:
        while not any("http://" in line for line in lines):
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit(f"{' '.join(command)} ended: {lines}")
            lines.append(line.strip())
        yield process, lines
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


class Measured:
    """Seconds of each answer, and how many requests failed."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors = 0

    def tell(self, name: str) -> None:
        if not self.seconds:
            sys.stdout.write(f"{name:8s} no answers, {self.errors} errors\n")
            return
        cuts = statistics.quantiles(self.seconds, n=20) if len(self.seconds) > 1 else self.seconds * 19
        sys.stdout.write(
            f"{name:8s} {len(self.seconds):6d} answers, {self.errors} errors, median {1000 * self.median:.1f} ms, "
            f"p95 {1000 * cuts[18]:.1f} ms\n"
        )

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


async def call_for(url: str, key: str, callers: int, seconds: float, body: dict[str, Any]) -> Measured:
    """So many callers, each asking again when it has its answer, each with a connection that stays open."""
    measured, headers = Measured(), {"Authorization": f"Bearer {key}"}
    end = time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=callers)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def caller(place: int) -> None:
            await asyncio.sleep(place * seconds / (10 * callers))
            while (begun := time.perf_counter()) < end:
                try:
                    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                        whole = await response.json()
                    good = response.status == 200 and "choices" in whole
                except (aiohttp.ClientError, OSError, ValueError):
                    good = False
                if good:
                    measured.seconds.append(time.perf_counter() - begun)
                else:
                    measured.errors += 1

        await asyncio.gather(*(caller(place) for place in range(callers)))
    return measured


def make_policy(url: str) -> Policy:
    """A policy whose only rung is the provider."""
    prompt = load_prompt("teacher", "custom")
    teacher = TeacherConfig(
        name="fake",
        provider="openai",
        model="m",
        endpoint=f"{url}/v1",
        concurrency=1000,
        input_price=0.1,
        output_price=0.4,
        key_variable="LOAD_API_KEY",
    )
    rung = TeacherRung(system="fake", teacher=teacher, prompt=prompt.text)
    return Policy(project="load", run="", task="custom", rungs=(rung,))


def direct_body(url: str) -> dict[str, Any]:
    """What the gateway sends to the provider, about, for a direct call."""
    system, _, user = load_prompt("teacher", "custom").text.partition("\n=====\n")
    turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"model": "m", "messages": turns, "max_tokens": 2048}


def measure(callers: int, seconds: float, latency_s: float, folder: Path) -> int:
    """Directly and through the gateway, in turn and twice; 1 if a request failed."""
    provider_command = [sys.executable, "-m", "scripts.gateway_load", "--provide", str(latency_s)]
    with started(provider_command) as (_, (url, *_)):
        write_policy(make_policy(url), folder / "policy.json")
        command = [sys.executable, "-m", "app", "gateway", str(folder / "policy.json"), "--workspace", str(folder)]
        options = ["--port", "0", "--new-key", "--max-cost", "1000", "--queue", str(callers)]
        with started([*command, *options], LOAD_API_KEY=KEY) as (process, lines):
            key = lines[0].rsplit(" ", 1)[1]
            gateway = next(word for word in lines[-1].split() if word.startswith("http://")).rstrip(",")
            gateway = gateway.removesuffix("/v1")
            asked = {"model": "tacit", "messages": [{"role": "user", "content": "Who is the tallest of the three?"}]}
            errors, medians = 0, []
            watched = psutil.Process(process.pid)
            for _ in range(2):
                directly = asyncio.run(call_for(url, KEY, callers, seconds, direct_body(url)))
                before, began = sum(watched.cpu_times()[:2]), time.perf_counter()
                through = asyncio.run(call_for(gateway, key, callers, seconds, asked))
                used, took = sum(watched.cpu_times()[:2]) - before, time.perf_counter() - began
                directly.tell("direct")
                through.tell("gateway")
                each = 1000 * used / max(1, len(through.seconds))
                medians.append(1000 * (through.median - directly.median))
                sys.stdout.write(
                    f"         the gateway adds {medians[-1]:.1f} ms at the median, and takes {each:.2f} ms of the "
                    f"processor a request ({100 * used / took:.0f}% of one) at {len(through.seconds) / took:.0f} a "
                    "second\n"
                )
                errors += directly.errors + through.errors
            sys.stdout.write(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
            meter = urllib.request.Request(f"{gateway}/v1/tacit/meter", headers={"Authorization": f"Bearer {key}"})
            counted = json.loads(urllib.request.urlopen(meter, timeout=10).read())
            sys.stdout.write(f"on its meter: {counted['requests']} requests, {counted['errors']} errors\n")
    return 1 if errors else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds that the provider takes for an answer")
    parser.add_argument("--provide", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.provide is not None:
        serve_provider(given.provide)
    else:
        with tempfile.TemporaryDirectory() as place:
            sys.exit(measure(given.callers, given.seconds, given.latency, Path(place)))
