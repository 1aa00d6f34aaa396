"""What visits leave in the hosted demo's memory: `python -m tests.load.sessions [VISITS] [read|leave]`.

Serves the hosted demo in this process and lets plain HTTP clients open two of its pages each, one visit after the
other, by the queue as a browser does; with `leave` nobody waits for what the page shows. Prints the memory every 200
visits, and in the end what the server still holds. Loopback only.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import uuid
from pathlib import Path

import aiohttp
import psutil

from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import Visitors
from app.services import open_services
from app.web.main import build_demo
from app.web.server import launch_lean, launch_options
from tests.load.visit import find_load

PAGES = ("", "overview")
WARM = 50
EVERY = 200


def main(visits: int, hears: bool) -> None:
    """Serve, visit, print."""
    with tempfile.TemporaryDirectory() as folder, open_services(Path(folder)) as services:
        visitors = Visitors(services)
        visitors.prepare()
        app = build_demo(services, visitors)
        try:
            url = launch_lean(app, launch_options("127.0.0.1", 0, None, hosted=True))
            calls = {page: find_load(url.rstrip("/"), page) for page in PAGES}
            asyncio.run(walk(url, calls, visits, hears))
            held, queue = app.app.state_holder.session_data, app._queue
            print(f"{len(held):,} sessions, queues of outcomes for {len(queue.pending_messages_per_session):,}")
        finally:
            app.close()


async def walk(url: str, calls: dict[str, int], visits: int, hears: bool) -> None:
    """One visit after the other, and the memory in between."""
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(60)) as client:
        for _ in range(WARM):
            await visit(client, calls, True)
        first = memory()
        for number in range(1, visits + 1):
            await visit(client, calls, hears)
            if number % EVERY == 0:
                print(f"{number:6,} visits: {memory() - first:+.0f} MB", flush=True)


async def visit(client: aiohttp.ClientSession, calls: dict[str, int], hears: bool) -> None:
    """Open each page, and hear what it shows."""
    for page, number in calls.items():
        async with client.get(f"/{page}") as answer:
            await answer.read()
        session = uuid.uuid4().hex
        data = {"data": [NAME, ""], "fn_index": number, "session_hash": session}
        async with client.post("/gradio_api/queue/join", json=data) as joined:
            joined.raise_for_status()
        if not hears:
            continue
        async with client.get("/gradio_api/queue/data", params={"session_hash": session}) as stream:
            async for line in stream.content:
                if b"process_completed" in line:
                    break


def memory() -> float:
    """Megabytes of this process."""
    gc.collect()
    return float(psutil.Process().memory_info().rss / 1e6)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 1000, words[1:] != ["leave"])
