"""From traces to queries, gold labels and recordings, with all that was noticed counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from engine.choices import is_missing
from engine.columns import ImportedQueries, Keep, RowError, hold_out
from engine.errors import InputError
from engine.personal import Masks, find_personal
from engine.ports import Task
from engine.records import MAX_CELL
from engine.tasks.base import GOLD, ID, KIND, QUERY
from engine.teachers.recorded import Recording
from engine.traces.base import Trace, Turn
from engine.traces.reading import TraceItem
from engine.traces.settings import UNNAMED, TraceOrder
from engine.traces.tally import ModelTally, PersonalTally, TraceTally
from engine.traces.turns import find_system, write_query
from engine.values import Query, make_query

_BLOCK = 5_000
_BLOCK_BYTES = 32 * 2**20
_CUT = ("length", "max_tokens", "max_output_tokens")
_NOISE = re.compile(r"[\W\d_]+")
_FIRSTS = 20
_NAME = 60
_CHANGED = (
    "the file changed while it was read, and this was not there when it was looked through for personal data; "
    "import it again"
)
_ODD = re.compile(r"[^\w.\- /:+@]+")


@dataclass
class Gatherer:
    """Takes traces in one after the other, as ordered.

    `kinds` are the names of kinds by system prompt, `keep` is given each recording, `rename` makes a teacher's name of
    a model's, and `tally` counts. `looked_at` are the traces, by their hash, that an earlier reading looked through,
    and whether they hold personal data: no others are taken then; None: there was no earlier one, and this one fills
    `looked`.
    `models` are the models of teachers, `answered` the pairs of teacher and query that have a recording, `firsts` the
    first queries.
    """

    order: TraceOrder
    task: Task
    kinds: Mapping[str, str] = field(default_factory=dict)
    keep: Keep = lambda teacher, query_id, recording: None
    rename: Callable[[str], str] = lambda name: name
    tally: TraceTally = field(default_factory=TraceTally)
    several_files: bool = False
    looked_at: Mapping[int, bool] | None = None
    looked: dict[int, bool] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    answered: set[tuple[str, str]] = field(default_factory=set)
    firsts: dict[str, Query] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _judged: set[str] = field(default_factory=set)
    _near: set[int] = field(default_factory=set)

    def survey(self, items: Iterator[TraceItem]) -> TraceTally:
        """Only count: what is read, which system prompts there are, and what personal data."""
        for item in items:
            trace = self._look(item)
            if trace is not None:
                self.tally.count_system(find_system(trace.turns))
        return self.tally

    def blocks(self, items: Iterator[TraceItem]) -> Iterator[ImportedQueries]:
        """Queries and gold labels, some thousand rows at a time; recordings go to `keep`.

        Raises:
            InputError: where the items end in one, after the block of those before it.
        """
        broken: list[InputError] = []
        rest = _until_broken(items, broken)
        while rows := list(_take(rest)):
            yield self._gather_all(rows)
        if broken:
            raise broken[0]

    def _gather_all(self, items: list[TraceItem]) -> ImportedQueries:
        block = ImportedQueries([], {}, [], 0)
        queries: dict[str, Query] = {}
        errors, repeated = len(self.tally.errors), 0
        for item in items:
            trace = self._look(item)
            if trace is None:
                continue
            try:
                query, gold = self._read_query(trace)
            except InputError as error:
                self._reject(item, str(error))
                continue
            self.tally.taken += 1
            self.tally.count_system(find_system(trace.turns))
            if query.id in self._seen:
                repeated += 1
            else:
                queries[query.id] = query
                self._count_query(query)
            if gold is not None:
                self._keep_gold(block, item, query, gold)
            self._keep_reply(query, trace)
        block.queries.extend(queries.values())
        block.errors.extend(self.tally.errors[errors:])
        return replace(block, duplicates=repeated)

    def _look(self, item: TraceItem) -> Trace | None:
        """The trace of a row, counted as read, as it may be stored; None where it gives none."""
        if item.trace is None:
            if item.error:
                self._reject(item, item.error)
            else:
                self.tally.skipped += 1
            return None
        self.tally.read += 1
        try:
            _check(item.trace, self.tally)
        except InputError as error:
            self._reject(item, str(error))
            return None
        return self._guard(item, item.trace)

    def _guard(self, item: TraceItem, trace: Trace) -> Trace | None:
        """The trace with personal data masked or as it is; None where it is left out for it."""
        mark = hash(trace)
        if self.looked_at is not None:
            if mark not in self.looked_at:
                self._reject(item, _CHANGED)
                return None
            if self.order.personal == "keep" or not self.looked_at[mark]:
                return trace
        personal: dict[str, set[int]] = {}
        for text in (*_texts(trace), name_model(trace.model)):
            for one in find_personal(text):
                personal.setdefault(one.kind, set()).add(hash(one.value))
        if self.looked_at is None:
            self.looked[mark] = bool(personal)
        if not personal:
            return trace
        self.tally.flagged += 1
        for kind, values in personal.items():
            self.tally.personal.setdefault(kind, PersonalTally()).count(values, self._place(item))
        if self.order.personal == "drop":
            self.tally.dropped += 1
            return None
        return mask_trace(trace) if self.order.personal == "mask" else trace

    def _read_query(self, trace: Trace) -> tuple[Query, str | None]:
        """The query of a trace in its split, and its gold label as the file gives it."""
        system = find_system(trace.turns)
        text = write_query(trace.turns, self.order.system == "text")
        if len(text) > MAX_CELL:
            raise InputError(f"what was asked is longer than {MAX_CELL:,} characters")
        cells = {QUERY.name: text, ID.name: trace.key, KIND.name: self.kinds.get(system), GOLD.name: trace.gold}
        query = self.task.read_row({name: value for name, value in cells.items() if not is_missing(value)})
        if self.order.system == "apart" and system:
            extra = {**query.extra, "system": system}
            query = make_query(query.text, query.choices, query.kind, query.key, extra=extra)
        return hold_out(query, self.order.heldout), trace.gold

    def _keep_gold(self, block: ImportedQueries, item: TraceItem, query: Query, gold: str) -> None:
        try:
            read = self.task.read_gold(query, {GOLD.name: gold})
        except InputError as error:
            block.notes.append(RowError(item.row, f"{error}; the query is taken without it"))
            return
        if read is not None and query.id not in self._judged:
            self._judged.add(query.id)
            block.golds[query.id] = read

    def _count_query(self, query: Query) -> None:
        self._seen.add(query.id)
        if len(self.firsts) < _FIRSTS:
            self.firsts[query.id] = query
        mark = hash(_NOISE.sub(" ", query.text.casefold()).strip())
        self.tally.near += mark in self._near
        self._near.add(mark)

    def _keep_reply(self, query: Query, trace: Trace) -> None:
        self.tally.others += trace.others
        self.tally.tools += any(turn.calls or turn.role == "tool" for turn in trace.turns)
        if trace.reply is None:
            self.tally.bare += 1
            return
        teacher = self.rename(name_model(trace.model) or self.order.teacher or UNNAMED)
        if (teacher, query.id) in self.answered:
            self.tally.repeated += 1
            return
        self.answered.add((teacher, query.id))
        self.tally.long += "\n" in trace.reply.text.strip()
        self.models.setdefault(teacher, name_model(trace.model) or teacher)
        own = self.tally.models.setdefault(teacher, ModelTally())
        own.replies += 1
        own.reasoned += bool(trace.reply.thought)
        own.counted += trace.usage.output_tokens is not None
        if trace.cost is not None:
            own.stated += 1
            own.usd += trace.cost
        self.keep(teacher, query.id, self._record(query, trace, trace.reply))

    def _record(self, query: Query, trace: Trace, reply: Turn) -> Recording:
        text = reply.text.strip()
        whole = self.order.label == "reply" and self.task.normalise(query, text) is not None
        thought = "" if whole or not reply.thought else f"<think>{reply.thought}</think>\n"
        return Recording(
            rationale=reply.thought if whole else "",
            answer=text if whole else None,
            raw=None if whole else thought + text,
            whole=whole,
            usage=trace.usage,
            cost=None if trace.cost is None else str(trace.cost),
            latency_s=trace.latency_s,
            finish="length" if trace.finish.lower() in _CUT else "stop",
        )

    def _reject(self, item: TraceItem, message: str) -> None:
        self.tally.reject(item.row, f"{item.file}: {message}" if self.several_files else message)

    def _place(self, item: TraceItem) -> str:
        return f"{item.file} {item.row:,}" if self.several_files else f"{item.row:,}"


def _until_broken(items: Iterator[TraceItem], broken: list[InputError]) -> Iterator[TraceItem]:
    try:
        yield from items
    except InputError as error:
        broken.append(error)


def _take(items: Iterator[TraceItem]) -> Iterator[TraceItem]:
    """The next items, at most so many and at most 32 MiB of them."""
    size = 0
    for item in islice(items, _BLOCK):
        yield item
        size += item.size
        if size > _BLOCK_BYTES:
            return


def _texts(trace: Trace) -> Iterator[str]:
    """All of a trace that is stored, but for its model's name."""
    for turn in trace.turns:
        yield turn.text
        yield from turn.calls
    if trace.reply is not None:
        yield trace.reply.text
        yield trace.reply.thought
    yield from (text for text in (trace.gold, trace.key) if text)


def mask_trace(trace: Trace) -> Trace:
    """The trace with personal data masked: what is equal has the same mask in all of it."""
    masks = Masks()

    def mask(turn: Turn) -> Turn:
        calls = tuple(masks.apply(call) for call in turn.calls)
        return replace(turn, text=masks.apply(turn.text), thought=masks.apply(turn.thought), calls=calls)

    return replace(
        trace,
        turns=tuple(mask(turn) for turn in trace.turns),
        reply=None if trace.reply is None else mask(trace.reply),
        model=masks.apply(name_model(trace.model)),
        gold=None if trace.gold is None else masks.apply(trace.gold),
        key=None if trace.key is None else masks.apply(trace.key),
    )


def _check(trace: Trace, tally: TraceTally) -> None:
    """See that a trace can be taken; what it holds that can't is counted.

    Raises:
        InputError: if it can't.
    """
    if not any(turn.role != "system" and (turn.text.strip() or turn.calls or turn.media) for turn in trace.turns):
        raise InputError("nothing is asked in it")
    kinds = sorted({kind for turn in (*trace.turns, trace.reply) if turn is not None for kind in turn.media})
    if kinds:
        tally.media += 1
        raise InputError(f"it holds parts that are no text ({', '.join(kinds)}); only text is taken")
    reply = trace.reply
    if reply is not None and not reply.text.strip():
        if reply.calls:
            tally.calls += 1
            raise InputError(f"the reply is a call of a tool and no text: {reply.calls[0][:80]}")
        if reply.refusal:
            tally.refusals += 1
            raise InputError("the model refused to answer")
        raise InputError("the reply is empty")
    for text in _texts(trace):
        if len(text) > MAX_CELL:
            raise InputError(f"a text in it is longer than {MAX_CELL:,} characters")
        if "\0" in text:
            raise InputError("a text holds a NUL character")
        if not text.isascii() and not _is_whole(text):
            raise InputError("a text holds half a character (a lone surrogate)")


def _is_whole(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def name_model(model: str) -> str:
    """A model's name as a teacher's: in one line, without odd characters, at most 60 characters."""
    return " ".join(_ODD.sub(" ", model).split())[:_NAME].strip()
