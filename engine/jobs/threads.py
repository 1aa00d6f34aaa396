"""How many threads torch gets in a worker: found once for a run, and the same for every later worker of it.

Sums of floating-point numbers are rounded in another order with another number of threads, so a run that was resumed
with other ones ends with other losses and texts.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import psutil

from engine.jobs.context import JobContext
from engine.packaged import count_processors

VARIABLE = "TACIT_THREADS"
_BUSY_PERCENT = 60.0


class Threads(NamedTuple):
    """So many threads, and whether a person named the number."""

    number: int
    named: bool = False


def fix_threads(ordered: int | None, context: JobContext, device: str) -> int:
    """The threads of a worker, told in its journal.

    `ordered` is what the run began with (None: this is its first worker). A job that is started again keeps what its
    first start found.
    """
    earlier = (event.data["threads"] for event in context.journal if event.type == "threads")
    first = ordered or next((number for number in earlier if number > 0), None)
    threads = find_threads(first, os.environ.get(VARIABLE, ""), count_processors())
    context.sink.emit("threads", threads=threads.number, named=threads.named, device=device)
    return threads.number


def find_threads(first: int | None, named: str, processors: int) -> Threads:
    """What is named counts, else what the run began with (None: it begins now), as far as there are processors for it.

    Where it is to be found: one thread for each processor that nobody keeps busy, since fighting over one is far
    slower.
    """
    if named.isdigit() and int(named) > 0:
        return Threads(int(named), named=True)
    if first is not None:
        return Threads(min(first, processors))
    busy = sum(share > _BUSY_PERCENT for share in psutil.cpu_percent(interval=0.5, percpu=True))
    return Threads(max(1, processors - busy))
