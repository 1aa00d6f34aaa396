"""Who may do what: everything on one's own machine; on the hosted demo, look at one project and play with a copy of it.

A visitor's copy is reached by 128 random bits, its key, which only the visitor's browser holds: whoever does not know
the key can neither see the copy nor reach anything of it. The project that the key stands for has a name of its own, so
that no page, message, file or log can hold the key. What is allowed is listed; everything else is refused.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from app.hosted_demo.policy import Limits, Offer
from app.hosted_demo.shares import Quotas, Rates, gives_way, has_a_share
from app.hosted_demo.shipped_project import NAME, bring_demo, bring_shipped
from app.services import Services
from app.usecases.playground.answers import PlayOrder
from app.usecases.projects.status import Mark
from app.web.forms import Entered
from app.web.parts.links import Link
from app.web.parts.messages import note_html, notice_html
from app.web.proxies import visitor_of
from engine.errors import Forbidden, NotFound, StateError
from engine.plans.order import PlanOrder
from storage.projects import OF_VISITORS, Project

WELCOME = "Welcome"
PREFIX = "try-"
"""Keys of copies begin so."""
_LEFT = re.compile(rf"{OF_VISITORS.pattern}|try-[0-9a-f]{{32}}")
"""Copies of an earlier start, and of earlier versions."""
_LOG = logging.getLogger(__name__)
_READS = {
    "queries": {"show_page", "save_list"},
    "teachers": {"show_page"},
    "prompts": {"pick", "preview", "seek", "turn_back", "turn_on", "can_save"},
    "label": {"show_quote", "quote_grades"},
    "failed_replies": {"show_failures", "save_failures"},
    "select": {"numbers", "survey", "set_out", "fit", "show_rules", "balance"},
    "decide": {"show_page", "show_anew", "pick", "numbers", "save_list"},
    "compress": {"show_page", "save_list"},
    "train": {"plan", "command", "show_forecast"},
    "runs": {"show", "can_go_on", "follow", "fields", "draw", "compare", "save_list", "keep"},
    "evaluate": {"choose", "list_prices", "show", "price", "keep_margin", "pay_back", "report"},
    "differences": {"show_page", "save_list"},
    "save": {"choose", "show", "take"},
    "gateways": {"read_meters"},
    "playground": {"ask", "command", "open_link", "pick", "rest", "state", "stop", "take"},
    "exports": {"choose", "stages", "show", "cards", "take"},
    "welcome": {"copy", "begin_afresh"},
}
_WRITES = {
    "frame": {"act_on_shown"},
    "data": {"resemble"},
    "prompts": {"save"},
    "label": {"begin", "begin_pilot", "begin_retry", "begin_grading", "stop", "ask_now", "parse_again"},
    "select": {"choose"},
    "decide": {"keep", "drop", "swap", "edit", "undo", "ask_keep_all", "ask_drop_all", "leave_all", "decide_all"}
    | {"decide_chosen"},
    "compress": {"edit", "approve", "withdraw", "ask_again", "restore", "by_rule", "go_on", "approve_rest"}
    | {"act_on_chosen"},
    "train": {"ask_forecast", "start"},
    "runs": {"cancel", "resume", "ask_rerun", "rerun", "rename"},
    "gateways": {"take_in"},
    "evaluate": {"score", "set_margin"},
    "playground": {"vote_first", "vote_second", "vote_both", "vote_neither"},
}
_ON_DEVICE = {
    *(("data", "resemble"), ("select", "choose")),
    *(("train", name) for name in ("ask_forecast", "start")),
    *(("runs", name) for name in ("resume", "rerun")),
}
_ORDERS = {("train", "ask_forecast"), ("train", "start")}
_GO_ON = {("runs", "resume"), ("runs", "rerun")}
_GONE = "This copy is gone: copies live for a few hours. Make a new one on the first page."
_STUDENT = "student "
_FRESH = (24, 12)
_PATIENCE_S = 120.0
_MOST_QUERY, _MOST_TEXT = 1_000, 20_000
_LIMITS = Limits(preset="smoke", query=_MOST_QUERY, servers=False, kept_as="tacit-copy")
_MOST_UPDATES = 4
_FREE = ("plan", "compressor", "review", "check_level", "compress_cap")
"""What of an order visitors choose as they like."""
_SETTLE_S = 5.0
"""So long after a copy asked for the device its job stands in the queue; until then nobody of it may ask again."""


@dataclass
class Visitors:
    """The policy of the hosted demo, and the copies that live at this moment."""

    services: Services
    quotas: Quotas = field(default_factory=Quotas)
    clock: Callable[[], float] = time.monotonic
    limits: Limits = _LIMITS
    _names: dict[str, str] = field(default_factory=dict)
    """Names of the projects by their keys; all else goes by these names."""
    _made: dict[str, float] = field(default_factory=dict)
    _used: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)
    _origin: dict[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Rates go by the same clock."""
        self._rates = Rates(self.clock)

    def prepare(self) -> None:
        """See that the workspace holds the demo project and nothing else; copies of an earlier start go.

        Raises:
            StateError: if it holds other projects: strangers must not be let in there.
        """
        end = time.monotonic() + _PATIENCE_S
        while left := [name for name in self.services.projects.names() if _LEFT.fullmatch(name)]:
            gone = [self._remove(name) for name in left]
            if not all(gone) and time.monotonic() > end:
                raise StateError(
                    "a job of an earlier visitor does not come to its end; try again. Nothing was started."
                )
            time.sleep(0.1)
        others = [name for name in self.services.projects.names() if name != NAME]
        if others:
            raise StateError(
                f"this workspace holds {len(others)} projects of its own; give the hosted demo a folder of its own "
                "with --workspace. Nothing was started."
            )
        bring_demo(self.services)
        if self.services.standing.find_project(NAME) is None:
            raise StateError("the demo project is not in this installation; `make shipped-demo` makes it")

    def find(self, address: str | None) -> Project | None:
        """The visitor's own copy, else the demo project."""
        return self.open(self._names.get(address or ""))

    def open(self, name: str | None) -> Project | None:
        """A copy by its name, else the demo project."""
        with self._lock:
            alive = name in self._made
        if alive:
            with suppress(NotFound):
                return self.services.projects.get(str(name))
        return self.services.projects.get(NAME)

    def resolve(self, address: Any) -> Any:
        """The name of the copy whose key this is, or of the demo project."""
        name = NAME if address == NAME else self._names.get(str(address))
        if name is None:
            raise Forbidden(_GONE)
        return name

    def address(self, project: Project) -> str:
        """The key of a copy; the demo project's name is none."""
        with self._lock:
            return next((key for key, name in self._names.items() if name == project.name), NAME)

    def title(self, name: str) -> str:
        return "demo (read only)" if name == NAME else "your own copy"

    def note(self, address: str, project: Project | None, page: str) -> str:
        """That a copy is gone, and what can't be changed where."""
        if project is None or project.name != NAME:
            return ""
        gone = "Your copy is gone: copies live for a few hours. " if address.startswith(PREFIX) else ""
        if page == WELCOME:
            return notice_html(gone.strip())
        text = "The demo project is shared, so it can only be looked at. To change things, "
        return note_html(gone + text, Link("make a copy of your own", "/", NAME), "shared")

    def choose_marks(self, marks: Sequence[Mark]) -> list[Mark]:
        """Without what is of all projects."""
        first = [replace(mark, name=WELCOME, number="") for mark in marks if mark.path == "/"]
        return first + [mark for mark in marks if mark.path not in ("/", "/jobs", "/study")]

    def switchable(self) -> list[str]:
        """A visitor sees one project."""
        return []

    def choose_systems(self, project: Project, systems: dict[str, str]) -> dict[str, str]:
        """Teachers answer in one's own copy: what they say costs, and stands on a ledger."""
        students = {name: id_ for name, id_ in systems.items() if id_.startswith(_STUDENT)}
        return students if project.name == NAME else systems

    def sees(self, project: str, of: str) -> bool:
        """One's own copy only."""
        return project == of and project != NAME

    def offers(self, module: str, handler: str) -> Offer:
        if handler in _READS.get(module, ()):
            return "everywhere"
        return "in a copy" if handler in _WRITES.get(module, ()) else "nowhere"

    def check(self, module: str, handler: str, values: Sequence[Any]) -> None:
        """Reading, on the demo project; reading and the listed changes, on a copy that lives."""
        key = values[0] if values else None
        own, offer = self._touch(key), self.offers(module, handler)
        if own is None and key != NAME:
            raise Forbidden(_GONE)
        if offer == "nowhere" or (offer == "in a copy" and own is None):
            if own is not None:
                raise Forbidden(
                    "This demo leaves that out: install Tacit to do it with your own data, teachers and keys."
                )
            raise Forbidden(
                "The demo project is shared, so it can only be looked at: make your own copy on the first page."
            )
        typed = [text for value in values for text in _flatten(value)]
        if any(isinstance(value, str) and len(value) > _MOST_TEXT for value in typed):
            raise Forbidden(f"Texts of at most {_MOST_TEXT:,} characters are taken here.")
        place = (module, handler)
        if place == ("playground", "ask"):
            self._check_play(own is not None, values[1].read())
        if place in _ORDERS:
            _check_order(values[1])
        if place in _GO_ON and values[1] and not self.goes_on(str(own), values[1]):
            raise Forbidden("This run is too long for the demo: start a smoke test of your own.")
        if place in _ON_DEVICE:
            self._check_device(str(own))

    def _touch(self, key: object) -> str | None:
        """The name of the copy that a key reaches, if it lives; then it was used now."""
        with self._lock:
            own = self._names.get(key) if isinstance(key, str) else None
            if own is not None and self.clock() - self._made[own] > self.quotas.lifetime_s:
                raise Forbidden("This copy's time is over. Make a new one on the first page.")
            if own is not None:
                self._used[own] = self.clock()
            return own

    def goes_on(self, project: str, run: str | None) -> bool:
        """Only runs of the smoke test do here: the demo's own takes half an hour."""
        if project == NAME or not run:
            return False
        trained = self.services.reading.run_of(project, run).plan.trained
        trains = [step.train for step in trained if not step.equal_updates_to]
        few = [
            train.tokens is None and train.updates is not None and train.updates <= _MOST_UPDATES for train in trains
        ]
        return all(few)

    def _check_play(self, own: bool, order: PlayOrder) -> None:
        if len(order.text or "") > _MOST_QUERY:
            raise Forbidden(f"The query is longer than {_MOST_QUERY:,} characters, the most that are asked here.")
        request = LocalContext.request.get(None)
        with self._lock:
            address = visitor_of(request) if isinstance(request, gr.Request) else ""
            self._rates.take("queries", address, self.quotas.queries_a_minute_each)
        if not own and any(not str(id_).startswith(_STUDENT) for id_ in order.ids or ()):
            raise Forbidden("Teachers answer in your own copy; the students of the demo project answer here.")

    def _check_device(self, name: str) -> None:
        with self._lock:
            jobs, now = self.services.standing.running(), self.clock()
            asked = {other for other, at in self._asked.items() if now - at < _SETTLE_S}
            if name in asked or any(job.project == name for job in jobs):
                raise Forbidden("Something of yours runs already; wait for it, or cancel it.")
            waiting = {job.project for job in jobs if job.kind in ("student", "forecast", "embed")} | asked
            own = sum(self._origin.get(other) == self._origin.get(name) for other in waiting)
            if own >= self.quotas.waiting_each:
                raise Forbidden(f"{own} copies of your address are on the device or wait for it; wait for one of them.")
            if not has_a_share(len(waiting), own, self.quotas.waiting):
                raise Forbidden("Other visitors' runs are waiting for the device; try again in a few minutes.")
            project = self.services.projects.get(name)
            if len(self.services.reading.runs_of(project.id)) > self.quotas.runs:
                raise Forbidden(f"A copy has {self.quotas.runs} runs of its own at most. Make a new one.")
            self._asked[name] = now

    def copy(self, address: str) -> str:
        """A copy of the finished demo project for one visitor; many may stand behind an address.

        Returns:
            Its key.

        Raises:
            Forbidden: if there are too many copies that are in use.
        """
        key, name = self._reserve(address)
        self._fill(name, lambda: bring_shipped(self.services, name))
        return key

    def begin_afresh(self, address: str) -> str:
        """As `copy`: a fresh project with some of the demo's queries."""
        key, name = self._reserve(address)
        self._fill(name, lambda: self.services.carry.begin_afresh(NAME, name, *_FRESH))
        return key

    def _fill(self, name: str, make: Callable[[], Any]) -> None:
        try:
            make()
        except BaseException:
            self._forget(name)
            raise

    def _forget(self, name: str) -> None:
        with self._lock:
            for mapping in (self._made, self._used, self._asked, self._origin):
                mapping.pop(name, None)
            self._names = {key: other for key, other in self._names.items() if other != name}

    def _reserve(self, address: str) -> tuple[str, str]:
        self.sweep()
        with self._lock:
            if list(self._origin.values()).count(address) >= self.quotas.copies_each:
                raise Forbidden(
                    f"{self.quotas.copies_each} copies were made from your address; continue with one of them, or come "
                    "back when one of them was left alone for an hour."
                )
            self._rates.take("copies", address, self.quotas.copies_a_minute_each, self.quotas.copies_a_minute)
            if len(self._made) >= self.quotas.copies and not self._make_room(address):
                raise Forbidden("The demo is full at this moment; look around, and try again in a few minutes.")
            key, name = f"{PREFIX}{secrets.token_hex(16)}", f"your copy {secrets.token_hex(4)}"
            self._names[key] = name
            self._made[name] = self._used[name] = self.clock()
            self._origin[name] = address
            return key, name

    def _make_room(self, address: str) -> bool:
        """Remove a copy of whoever has more than a fair share, else one that was left alone; whether one went."""
        leave = gives_way(self._origin, self._used, address)
        idlest = min(self._used, key=lambda name: self._used[name])
        if not leave and self.clock() - self._used[idlest] >= self.quotas.may_go_s:
            leave = [idlest]
        running = {job.project for job in self.services.standing.running()}
        return any(self._remove(name) for name in sorted(leave, key=lambda name: name in running)[:1])

    def sweep(self) -> list[str]:
        """Remove copies that are too old or idle; those with a job have it cancelled first. Returns who is gone."""
        with self._lock:
            now = self.clock()
            old = [name for name, made in self._made.items() if now - made > self.quotas.lifetime_s]
            idle = [name for name, used in self._used.items() if now - used > self.quotas.idle_s]
            gone = []
            for name in dict.fromkeys((*old, *idle)):
                try:
                    gone += [name] if self._remove(name) else []
                except Exception:  # noqa: BLE001 - what fails for one copy must not keep the others alive
                    _LOG.exception("a copy could not be removed; it is tried again")
            return gone

    def _remove(self, name: str) -> bool:
        """Remove a copy for good; False while a job of it comes to its end."""
        jobs = [job for job in self.services.standing.running() if job.project == name]
        for job in jobs:
            self.services.keep.cancel(job.id)
        if jobs:
            return False
        try:
            self.services.keep.purge(name, name)
        except NotFound:
            pass
        except StateError:  # a job of it began just now
            return False
        self._forget(name)
        return True

    def keep_sweeping(self, stopped: threading.Event, every_s: float = 60.0) -> None:
        """Sweep until `stopped`, in a thread of its own."""

        def run() -> None:
            while not stopped.wait(every_s):
                self.sweep()

        threading.Thread(target=run, daemon=True).start()


def _flatten(value: Any) -> Iterator[Any]:
    """What a value holds: a form's values, those of a list, or itself."""
    if isinstance(value, (Entered, list, tuple)):
        for part in value.values if isinstance(value, Entered) else value:
            yield from _flatten(part)
    else:
        yield value


def _check_order(entered: Entered[PlanOrder]) -> None:
    """Only the smoke preset on the packaged student, without changes: four updates a stage."""
    order = entered.read()
    free = {name: getattr(order, name) for name in _FREE}
    if order != PlanOrder(preset=str(_LIMITS.preset), **free):
        raise Forbidden("Here only the smoke test runs, on the packaged student: choose the preset 'smoke test'.")
