"""Gradio's sessions, each of which costs little and is let go when nobody comes back to it.

For deep links, gradio keeps a description of every component for every session, made when the session's first request
comes, and copies the lists of all components and handlers; the studio has no deep links, some four hundred components
and as many handlers. It keeps every component that a page changed, and what nobody has heard of the queue. Together
that was most of what opening a page cost, and 150 kB a visit for good (DECISIONS.md has the measurements).
"""

from __future__ import annotations

import datetime
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState, StateHolder

KEPT_S = 24 * 3600.0
"""A tab that was left alone for longer has to be loaded again before its lists of choices work."""
MOST_SESSIONS = 3_000
_UNHEARD_S = 60.0
"""So long an outcome waits for whoever asked for it."""
_SWEEP_S = 30.0


class LeanSession(SessionState):  # type: ignore[misc]
    """A session that holds what a page changed of components that are read again, and shares all else."""

    def __init__(self, app: gr.Blocks, read: frozenset[int], latest: dict[str, Any]) -> None:
        """For an app that is served; `read` are components whose settings matter when they are read or written.

        `latest` is shared by all sessions: the last change of any other component. Gradio reads it again at once, and
        never later.
        """
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600
        self.blocks_config = BlocksConfig(app.default_config.root_block)
        vars(self.blocks_config).update(vars(app.default_config))
        self.blocks_config.blocks = ChainMap({}, app.default_config.blocks)
        self._read = read
        self._latest = latest

    def __getitem__(self, key: int) -> Any:
        """A component as this session has it, or what it holds."""
        if self._latest.get("session") is self and self._latest["key"] == key:
            return self._latest["component"]
        return super().__getitem__(key)

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep what is read again."""
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self._state_ttl[key] = (block.time_to_live, datetime.datetime.now())
            self.state_data[key] = value
        elif key in self._read:
            self.blocks_config.blocks[key] = value
        else:
            self._latest.update(session=self, key=key, component=value)

    def _update_config(self, key: int) -> None:
        """Nothing is described."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing is described."""


class LeanHolder(StateHolder):  # type: ignore[misc]
    """The sessions there are. Everything here is done by the server's own thread."""

    def __init__(self, app: gr.Blocks, kept_s: float, now: Callable[[], datetime.datetime]) -> None:
        """Of an app that is served."""
        super().__init__()
        self.set_blocks(app)
        self.capacity = MOST_SESSIONS
        self._kept = datetime.timedelta(seconds=kept_s)
        self._now = now
        self._swept = now()
        self._read = frozenset(part._id for fn in app.fns.values() for part in fn.inputs)
        self._read |= {id_ for id_, block in app.blocks.items() if hasattr(block, "choices")}
        self._latest: dict[str, Any] = {}

    def __getitem__(self, session_id: str) -> SessionState:
        """The session of an id, opened if need be."""
        if session_id not in self.session_data:
            if self._now() - self._swept > datetime.timedelta(seconds=_SWEEP_S):
                self.sweep()
            self.session_data[session_id] = LeanSession(self.blocks, self._read, self._latest)
        state = super().__getitem__(session_id)
        self.time_last_used[session_id] = self._now()
        return state

    def update(self, session_id: str) -> None:
        """It was used now; the one that was used longest ago goes where there are too many."""
        with self.lock:
            self.session_data.move_to_end(session_id)
            if len(self.session_data) > self.capacity:
                self._let_go(next(iter(self.session_data)), self._working())

    def sweep(self) -> None:
        """Let go sessions that nobody came back to, and outcomes that nobody heard."""
        self._swept, working = self._now(), self._working()
        self._latest.clear()
        for session_id, used in list(self.time_last_used.items()):
            if self._swept - used > self._kept:
                self._let_go(session_id, working)
            elif self._swept - used > datetime.timedelta(seconds=_UNHEARD_S):
                self._forget_outcomes(session_id, working)

    def _working(self) -> set[str]:
        """Sessions that something is done or waits for."""
        queue = self.blocks._queue
        waiting = [event for part in queue.event_queue_per_concurrency_id.values() for event in part.queue]
        return {event.session_hash for event in [*waiting, *(one for job in queue.active_jobs for one in job or ())]}

    def _let_go(self, session_id: str, working: set[str]) -> None:
        self._forget_outcomes(session_id, working)
        self.session_data.pop(session_id, None)
        self.time_last_used.pop(session_id, None)

    def _forget_outcomes(self, session_id: str, working: set[str]) -> None:
        if session_id not in working:
            self.blocks._queue.pending_messages_per_session.pop(session_id, None)
            self.blocks._queue.pending_event_ids_session.pop(session_id, None)


def open_lean_sessions(
    app: gr.Blocks,
    kept_s: float = KEPT_S,
    now: Callable[[], datetime.datetime] = datetime.datetime.now,
) -> None:
    """Let a served app open its sessions so, and keep each for so many seconds behind its last request."""
    app.app.state_holder = LeanHolder(app, kept_s, now)
