"""Tries a provider that answers the protocol of OpenAI or Mistral, as a teacher, for about one cent.

    OPENAI_API_KEY=... python -m scripts.check_provider gpt-5-nano --key-variable OPENAI_API_KEY
    python -m scripts.check_provider qwen3 --endpoint http://127.0.0.1:8000/v1

Lists the models, tests the connection, labels two queries, streams a third, with --batch hands in a batch of one, and
compares the ledger with the usage that the provider itself wrote into each response: all requests go through a relay
on this machine that reads it. Nothing is kept. What it prints holds no key: it is what an issue report should hold.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import typer
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from app.services import Services, open_services
from app.usecases.labelling.label import Engine, LabelOrder
from engine.config import ProjectConfig
from engine.errors import InputError, TacitError
from engine.redaction import redact
from engine.values import Split, make_query

OWN = {"openai": "https://api.openai.com/v1", "mistral": "https://api.mistral.ai"}
QUERIES = (
    "What is 7 times 8?",
    "Which planet is nearest to the sun?",
    "What is the capital of France?",
    "What is 2+2?",
)
PROJECT, TEACHER = "check", "checked"
_HOP = ("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "content-encoding")
_EVENT = re.compile(rb"^data:\s*(\{.*\})\s*$", re.MULTILINE)


@dataclass
class Wire:
    """What went through the relay: requests by path and status, and the tokens that the provider says it counted."""

    upstream: str
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    without_usage: int = 0

    async def pass_on(self, request: Request) -> StreamingResponse:
        """Send a request to the provider, and its response back as it comes."""
        client: httpx2.AsyncClient = request.app.state.client
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        headers = [(name, value) for name, value in request.headers.items() if name not in _HOP]
        sent = client.build_request(request.method, self.upstream + path, headers=headers, content=await request.body())
        response = await client.send(sent, stream=True)
        self.requests[(f"{request.method} {request.url.path}", response.status_code)] += 1
        kept = {name: value for name, value in response.headers.items() if name.lower() not in _HOP}
        return StreamingResponse(self._read(request.url.path, response), response.status_code, kept)

    async def _read(self, path: str, response: httpx2.Response) -> AsyncIterator[bytes]:
        body = b""
        try:
            async for part in response.aiter_bytes():
                body += part
                yield part
        finally:
            await response.aclose()
            if path.endswith("/chat/completions") and response.status_code == 200:
                self._count(body)
            elif path.endswith("/content"):
                for line in body.splitlines():
                    self._count(json.dumps(json.loads(line)["response"]["body"]).encode())

    def _count(self, body: bytes) -> None:
        found = [json.loads(event) for event in _EVENT.findall(body)] or [json.loads(body)]
        usages = [usage for one in found if (usage := one.get("usage"))]
        if not usages:
            self.without_usage += 1
            return
        self.tokens["input"] += usages[-1].get("prompt_tokens") or 0
        self.tokens["output"] += usages[-1].get("completion_tokens") or 0


@contextmanager
def relay(wire: Wire) -> Iterator[str]:
    """A relay on a free port of this machine; gives its address."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=300) as client:
            app.state.client = client
            yield

    app = Starlette(routes=[Route("/{path:path}", wire.pass_on, methods=["GET", "POST", "DELETE"])], lifespan=lifespan)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@dataclass
class Check:
    """A project of its own with the provider as its one teacher, and what has been tried of it."""

    services: Services
    key: str
    failed: int = 0

    def step(self, name: str, work: Callable[[], str]) -> None:
        """Do one thing and print what came of it; a failure is told, and the next thing is tried."""
        began = time.monotonic()
        try:
            said, mark = work(), "ok    "
        except TacitError as error:
            said, mark = str(error), "FAILED"
            self.failed += 1
        print(f"{mark} {name} ({time.monotonic() - began:.1f} s): {redact(said, self.key or None)}", flush=True)

    def list_models(self) -> str:
        """The first names that the endpoint offers."""
        names = self.services.teachers.models(PROJECT, TEACHER)
        return f"{len(names)} models, as {', '.join(names[:3])}"

    def test(self) -> str:
        """What probing found."""
        job = self.services.jobs.wait(self.services.teachers.test(PROJECT, TEACHER).id)
        row = next(row for row in self.services.teachers.list_all(PROJECT) if row["name"] == TEACHER)
        return f"{job.message or 'answered'}; {json.dumps(row['capabilities'])}"

    def label(self, queries: Sequence[str], engine: Engine = "process") -> str:
        """Add queries and label them."""
        project = self.services.projects.get(PROJECT)
        added = [make_query(text) for text in queries]
        self.services.data.add_queries(project.id, added, {})
        order = LabelOrder((), (Split.DISTILL, Split.HELDOUT), max_requests=2 * len(queries), engine=engine)
        job = self.services.label.start(PROJECT, order)
        self.services.jobs.wait(job.id)
        rows = self.services.context.samples.attempts(job.id)
        for row in rows:
            print(
                f"         {row['error'] or 'read'}: {' '.join((row['raw'] or row['message'] or '').split())[:160]!r}"
            )
        if not any(row["error"] is None for row in rows):
            raise InputError(f"no reply could be read: {[row['message'] for row in rows]}")
        return f"{sum(row['error'] is None for row in rows)} of {len(queries)} read"

    def stream(self, query: str) -> str:
        """Ask in the playground, where an answer is shown as it grows."""
        project = self.services.projects.get(PROJECT)
        asked = self.services.play.read_query(project, query)
        seen = [panes[0] for panes in self.services.play.ask(project, asked, [f"teacher {TEACHER}"])]
        if seen[-1].message or not seen[-1].text:
            raise InputError(seen[-1].message or "it said nothing")
        lengths = sorted({len(pane.text) for pane in seen})
        return (
            f"{lengths[-1]} characters, seen growing in {len(lengths)} steps: {' '.join(seen[-1].text.split())[:80]!r}"
        )

    def compare(self, wire: Wire) -> str:
        """The ledger beside what the provider wrote into its responses."""
        rows = self.services.quote.spend(PROJECT)["rows"]
        ledger = {name: sum(row[f"{name}_tokens"] or 0 for row in rows) for name in ("input", "output")}
        told = f"ledger {ledger['input']} tokens in and {ledger['output']} out, ${sum(r['cost_usd'] for r in rows)}"
        provider = f"the provider's own usage {wire.tokens['input']} in and {wire.tokens['output']} out"
        if ledger != {name: wire.tokens[name] for name in ledger}:
            raise InputError(f"{told}; {provider}; {wire.without_usage} responses gave no usage")
        return f"{told}; {provider}"


def main(
    model: Annotated[str, typer.Argument(help="Name of the model at the provider.")],
    provider: Annotated[str, typer.Option(help="The protocol: openai or mistral.")] = "openai",
    endpoint: Annotated[str, typer.Option(help="Base URL; empty: the provider's own.")] = "",
    key_variable: Annotated[str, typer.Option(help="Environment variable that holds the key; empty: none.")] = "",
    batch: Annotated[
        bool, typer.Option(help="Also hand in a batch of one, and wait up to ten minutes for it.")
    ] = False,
    prices: Annotated[tuple[float, float], typer.Option(help="US dollars a million tokens in and out.")] = (0.0, 0.0),
) -> None:
    """Try a provider as a teacher."""
    key = os.environ.get(key_variable, "") if key_variable else ""
    if key_variable and not key:
        raise typer.BadParameter(f"{key_variable} is not set")
    base = urlsplit(endpoint or OWN[provider])
    wire = Wire(f"{base.scheme}://{base.netloc}")
    packages = ", ".join(f"{name} {version(name)}" for name in ("tacit-studio", "openai", "mistralai", "httpx2"))
    print(f"{provider} protocol, {model} at {wire.upstream}{base.path}; {packages}; Python {platform.python_version()}")
    with relay(wire) as address, TemporaryDirectory() as folder, open_services(Path(folder)) as services:
        services.data.create_project(ProjectConfig(name=PROJECT, task="custom"))
        teacher: dict[str, Any] = {"name": TEACHER, "provider": provider, "model": model, "max_tokens": 1024}
        teacher |= {"endpoint": address + base.path, "key_variable": "CHECKED_API_KEY" if key else None}
        teacher |= {"input_price": prices[0], "output_price": prices[1]}
        services.teachers.add(PROJECT, teacher, key=key)
        check = Check(services, key)
        check.step("models", check.list_models)
        check.step("test", check.test)
        check.step("label two queries", lambda: check.label(QUERIES[:2]))
        check.step("stream", lambda: check.stream(QUERIES[2]))
        if batch:
            check.step("batch of one", lambda: check.label(QUERIES[3:], "batch"))
        check.step("ledger", lambda: check.compare(wire))
    for (path, status), n in sorted(wire.requests.items()):
        print(f"         {n} x {path}: HTTP {status}")
    raise typer.Exit(check.failed)


if __name__ == "__main__":
    typer.run(main)
