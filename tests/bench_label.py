"""The clients of the labelling benchmark, each in a process of its own; prints one JSON object.

`python -m tests.bench_label plain|tacit URL REQUESTS`: a plain loop over the official SDK, or a labelling job with
journal, store, limiter, budget and ledger.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import openai

from app.services import open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.prompts import load_prompt
from engine.values import make_query
from tests.bench_table import measure_peak

IN_FLIGHT = 64


def run_plain(url: str, requests: int) -> float:
    """What a user would write: gather over the SDK, a semaphore, nothing kept but the texts."""
    prompt = load_prompt("teacher", "custom")

    async def run() -> None:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2)
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def ask(number: int) -> str:
            system, user = prompt.render(query=f"query {number}?", factors="answer, reasoning, clarity")
            async with gate:
                reply = await client.chat.completions.create(
                    model="m",
                    messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                    temperature=0,
                    max_tokens=256,
                    response_format={"type": "json_object"},
                )
            return str(json.loads(reply.choices[0].message.content or "{}")["label"])

        await asyncio.gather(*(ask(number) for number in range(requests)))
        await client.close()

    started = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - started


def run_tacit(url: str, requests: int, folder: Path) -> float:
    """A labelling job with everything on: a cap on money, a price, the journal, the store."""
    with open_services(folder) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom"))
        services.data.add_queries(project.id, [make_query(f"query {n}?") for n in range(requests)], {})
        prices = {"input_price": 1.0, "output_price": 2.0, "concurrency": IN_FLIGHT, "max_tokens": 256}
        services.teachers.add(
            "p", {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{url}/v1", **prices}
        )
        services.context.wait(services.teachers.test("p", "ann").id)
        started = time.perf_counter()
        services.context.wait(services.label.start("p", LabelOrder(max_cost=Decimal(1000))).id)
        seconds = time.perf_counter() - started
        counts = services.context.samples.counts(project.id)
    assert counts == [{"teacher": "ann", "samples": requests, "failures": 0}], counts
    return seconds


def main() -> None:
    which, url, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if which == "plain":
        seconds = run_plain(url, requests)
    else:
        with tempfile.TemporaryDirectory() as folder:
            seconds = run_tacit(url, requests, Path(folder))
    print(json.dumps({"seconds": seconds, "peak_gb": measure_peak(), "cpu_s": time.process_time()}))


if __name__ == "__main__":
    main()
