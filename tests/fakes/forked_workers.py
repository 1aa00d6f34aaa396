"""Starts workers as forks of processes that have imported what they need; what is not known here starts as ever."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO
from unittest.mock import patch

from engine.jobs.backends import local
from engine.jobs.spec import PAYLOADS, SPEC_FILE
from tests.fakes.preloaded import Preloaded

_LIGHT = ("engine.jobs.worker", "engine.jobs.score", "tests.fakes.student_worker")
_HEAVY = (*_LIGHT, "engine.jobs.embed", "engine.jobs.student", "engine.jobs.forecast", "engine.inference.embedder")


@contextmanager
def forked_workers(folder: Path) -> Iterator[None]:
    """As long as this lasts, `folder` holding the sockets."""
    start, servers = local.start_process, {}

    def fork(command: list[str], log: IO[bytes], environment: Mapping[str, str]) -> int:
        module = command[2] if command[1] == "-m" else ""
        needed = _find_modules(module, Path(command[-1]))
        if needed is None:
            return start(command, log, environment)
        if needed not in servers:
            servers[needed] = stack.enter_context(Preloaded(folder / f"{len(servers)}", needed))
        with open(os.devnull, "rb") as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            return servers[needed].start(module, command[3:], files, environment)

    with ExitStack() as stack, patch.object(local, "start_process", fork):
        yield


def _find_modules(module: str, bundle: Path) -> tuple[str, ...] | None:
    """What the worker of a folder imports; None where that is not known."""
    if module != "engine.jobs.worker":
        return _LIGHT if module in _LIGHT else None
    kind = json.loads((bundle / SPEC_FILE).read_text("utf-8"))["kind"]
    work = PAYLOADS[kind].work if kind in PAYLOADS else ""
    return _LIGHT if work in _LIGHT else _HEAVY if work in _HEAVY else None
