"""Labelling beside what a user would use instead, on one loopback provider in one run.

`python -m tests.bench_peers [REQUESTS] [--curator PYTHON] [--distilabel PYTHON]`: each peer lives in an environment of
its own, whose interpreter is named (`pip install bespokelabs-curator "litellm!=1.82.7,!=1.82.8"`, `pip install
"distilabel[openai]" requests`); one that is not there is said to be missing. No key is used, and the peers' telemetry
is off. Requests take 50 ms, 64 are in flight. Prints a row a client: requests a second, start and end of its process
left out, the ratio of tacit's rate to it, and the peak of its memory.

Run by a peer's interpreter, this file imports nothing but that peer.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

IN_FLIGHT = 64
_SYSTEM = (
    'Answer as JSON: {"rationale": ..., "label": ..., "scores": {"answer": ..., "reasoning": ..., "clarity": ...}}'
)
_PEERS = {"curator": "bespokelabs.curator", "distilabel": "distilabel"}


def ask_curator(url: str, requests: int) -> int:
    """Bespoke Curator with its cache in a folder of this run; how many answers came."""
    litellm = importlib.util.find_spec("litellm")
    if litellm is not None and litellm.origin is not None:  # brings what would be fetched for counting tokens
        os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers")
    curator: Any = importlib.import_module("bespokelabs.curator")
    llm = curator.LLM(
        model_name="m",
        backend="openai",
        system_prompt=_SYSTEM,
        generation_params={"temperature": 0, "max_tokens": 256},
        backend_params={
            "base_url": f"{url}/v1",
            "api_key": "none",
            "max_concurrent_requests": IN_FLIGHT,
            "max_requests_per_minute": 10**6,
            "max_tokens_per_minute": 10**9,
        },
    )
    return len(llm([f"query {n}?" for n in range(requests)]).dataset)


def ask_distilabel(url: str, requests: int) -> int:
    """A pipeline of distilabel of one text generation, with batches as large as there are places in flight."""
    pipelines: Any = importlib.import_module("distilabel.pipeline")
    steps: Any = importlib.import_module("distilabel.steps")
    tasks: Any = importlib.import_module("distilabel.steps.tasks")
    models: Any = importlib.import_module("distilabel.models")
    with pipelines.Pipeline(name="bench") as pipeline:
        loaded = steps.LoadDataFromDicts(
            data=[{"instruction": f"query {n}?"} for n in range(requests)], batch_size=IN_FLIGHT
        )
        llm = models.OpenAILLM(
            model="m",
            base_url=f"{url}/v1",
            api_key="none",
            generation_kwargs={"temperature": 0.0, "max_new_tokens": 256},
        )
        generated = tasks.TextGeneration(llm=llm, system_prompt=_SYSTEM, input_batch_size=IN_FLIGHT)
        loaded >> generated
    found = pipeline.run(use_cache=False)
    return len(found["default"]["train"])


def be_peer(which: str, url: str, requests: int) -> None:
    """What a peer's interpreter does; prints one JSON object in its last line."""
    importlib.import_module(_PEERS[which])
    began = time.perf_counter()
    answers = {"curator": ask_curator, "distilabel": ask_distilabel}[which](url, requests)
    seconds = time.perf_counter() - began
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    peak = float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    print("\n" + json.dumps({"seconds": seconds, "peak_mb": peak, "answers": answers}))


def run_peer(which: str, python: str, url: str, requests: int) -> dict[str, float] | str:
    """A peer in a process of its own; what is missing or went wrong as a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "TELEMETRY_ENABLED": "false",
            "DISTILABEL_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": folder,
            "CURATOR_CACHE_DIR": folder,
            "CURATOR_DISABLE_RICH_DISPLAY": "1",
            "OPENAI_API_KEY": "none",
        }
        command = [python, __file__, "--be", which, "--url", url, str(requests)]
        try:
            done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=1800)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"did not run: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        missing = "ModuleNotFoundError" in last
        return f"is not installed in {python}" if missing else f"failed: {last}"
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told if told["answers"] == requests else f"gave {told['answers']} answers to {requests} requests"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("requests", type=int, nargs="?", default=5_000)
    parser.add_argument("--be", choices=sorted(_PEERS))
    parser.add_argument("--url", default="")
    for name in _PEERS:
        parser.add_argument(f"--{name}", default="")
    given = parser.parse_args()
    if given.be:
        be_peer(given.be, given.url, given.requests)
        return
    compare(given.requests, {name: str(getattr(given, name)) for name in _PEERS})


def compare(requests: int, pythons: dict[str, str]) -> None:
    """Print a row a client."""
    run_client: Any = importlib.import_module("tests.bench").run_client
    command = [sys.executable, "-m", "tests.fakes.provider", "0.05"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        url = server.stdout.readline().strip()
        told: dict[str, dict[str, float] | str] = {name: run_client(name, url, requests) for name in ("tacit", "plain")}
        for name, python in pythons.items():
            told[name] = run_peer(name, python, url, requests) if python else f"is not asked for: give --{name} PYTHON"
        server.stdin.close()
    mine = told["tacit"]
    assert isinstance(mine, dict)
    for name, found in told.items():
        if isinstance(found, str):
            print(f"{name:12} {found}")
        else:
            rate, ratio = requests / found["seconds"], found["seconds"] / mine["seconds"]
            print(f"{name:12} {rate:7.0f} requests/s   tacit {ratio:5.2f} to 1   peak {found['peak_mb'] / 1024:.2f} GB")


if __name__ == "__main__":
    main()
