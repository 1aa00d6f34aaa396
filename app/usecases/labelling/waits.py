"""Waits that providers ask for while a job asks teachers: how long they last yet, and how that is said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from engine.teachers.limits import CEILING_S
from engine.values import Event
from engine.wording import say_span

if TYPE_CHECKING:
    from app.usecases.workspace.context import Context


class Wait(NamedTuple):
    """Seconds from now on that a teacher waits, and whether its provider asked for more than is waited at a time."""

    seconds: float
    longer: bool = False


def read_waits(context: Context, job_id: str) -> dict[str, Wait]:
    """The waits of a job that are not over yet, by teacher."""
    now = time.time()
    waits = context.jobs.find_waits(job_id, now)
    left = {teacher: (ends - now, longer) for teacher, (ends, longer) in waits.items()}
    return {
        teacher: Wait(*wait) for teacher, wait in left.items() if wait[0] <= CEILING_S + 1
    }  # or the clock was set back


def read_wait(event: Event) -> Wait:
    """The wait that an event of type `waits` tells of; of no seconds where one is over."""
    return Wait(float(event.data["seconds"]), bool(event.data.get("longer")))


def say_wait(teacher: str, wait: Wait) -> str:
    """That a provider is waited for, in words."""
    why = "; the provider asked for longer" if wait.longer else ", as the provider asked"
    return f"{teacher} waits {say_span(wait.seconds)}{why}"


def say_later(wait: Wait) -> str:
    """That a provider was not waited for, and when it may be asked."""
    return f"its provider asks to wait: come again in {say_span(wait.seconds)}"
