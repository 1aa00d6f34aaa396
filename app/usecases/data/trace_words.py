"""What traces gave, in the words that the page and the terminal share."""

from __future__ import annotations

from typing import Any

from app.usecases.data.imports import OutputReading
from app.usecases.data.traces import TraceImport, most_frequent, tell_personal
from engine.traces.tally import TraceTally
from engine.wording import counted, verb

_REASONS = 4
_CLIPPED = 80
DECIDED = {"keep": "kept as they are", "mask": "masked", "drop": "left out"}
"""What became of traces with personal data."""


def tell_traces(result: TraceImport, reading: OutputReading | None) -> list[str]:
    """Sentences on an import of traces: what went in, what did not, and what was noticed."""
    tally, queries = result.tally, result.queries
    golds = f" ({queries.golds:,} with a gold label)" if queries.golds else ""
    lines = [
        f"{counted(tally.taken, 'trace')} taken as {result.formats}: "
        f"{counted(queries.added, 'query', 'queries')} added{golds}, {queries.heldout:,} held out."
    ]
    if queries.present:
        lines.append(f"{counted(queries.present, 'query', 'queries')} {verb(queries.present, 'was')} there already.")
    if queries.broke_off:
        lines.append(f"The files were not read to their end: {queries.broke_off}. What is counted above is stored.")
    if reading is not None:
        lines.append(_tell_replies(result, reading))
    if tally.flagged and result.personal:
        were = verb(tally.flagged, "was")
        lines.append(f"{counted(tally.flagged, 'trace')} with personal data {were} {DECIDED[result.personal]}.")
    return [*lines, *tell_noticed(tally)]


def _tell_replies(result: TraceImport, reading: OutputReading) -> str:
    said = f"{counted(reading.outputs, 'reply', 'replies')} of {counted(len(result.teachers), 'model')} imported"
    if reading.unread:
        reasons = [f"{why}: {count:,}" for why, count in list(reading.why.items())[:_REASONS]]
        return f"{said}, {reading.unread:,} of them unread ({'; '.join(reasons)})."
    return f"{said}, all of them read." if reading.outputs > 1 else f"{said}, and read."


def tell_noticed(tally: TraceTally) -> list[str]:
    """Sentences on what of the traces is not as simple as a question and its answer."""
    counts = (
        (tally.rejected, "row", "left out: they give no trace that can be taken."),
        (tally.media, "trace", "of those left out hold images or other parts that are no text."),
        (tally.calls, "trace", "of those left out end in a call of a tool."),
        (tally.refusals, "trace", "of those left out end in a refusal."),
        (tally.skipped, "row", "passed over: they called no model."),
        (tally.repeated, "trace", "ask what another one asked the same model; the first reply counts."),
        (tally.others, "further reply", "to the same request within traces; the first one counts."),
        (tally.near, "query", "differ from an earlier one in case, punctuation, numbers and spaces alone."),
        (tally.tools, "trace", "called tools before the reply; the calls stand in the query as text."),
        (tally.bare, "trace", "hold no reply: their queries are taken, for other teachers to answer."),
        (tally.long, "reply", "run over several lines. A free-text task compares labels as wholes."),
    )
    return [f"{counted(number, noun)} {_agree(number, rest)}" for number, noun, rest in counts if number]


def _agree(number: int, rest: str) -> str:
    """The same of a single one."""
    if number != 1:
        return rest
    first, space, more = rest.partition(" ")
    single = {"ask": "asks", "differ": "differs", "hold": "holds", "run": "runs"}.get(first, first)
    return (
        f"{single}{space}{more}".replace("they give", "it gives")
        .replace("they called", "it called")
        .replace("of those left out hold", "of those left out holds")
        .replace("of those left out end", "of those left out ends")
        .replace("their queries are", "its query is")
    )


def tell_found(tally: TraceTally) -> list[str]:
    """Sentences on personal data, a kind each."""
    return [f"{line[:1].upper()}{line[1:]}." for line in tell_personal(tally)]


def model_rows(tally: TraceTally) -> list[dict[str, Any]]:
    """A row a model: its replies, how many say tokens and cost, and what they cost together."""
    return [
        {
            "teacher": name,
            "replies": f"{own.replies:,}",
            "with reasoning": f"{own.reasoned:,}",
            "tokens known": f"{own.counted:,}",
            "cost known": f"{own.stated:,}",
            "US $": f"{own.usd:.4f}" if own.stated else "-",
        }
        for name, own in tally.models.items()
    ]


def system_rows(tally: TraceTally) -> list[dict[str, Any]]:
    """A row a system prompt, the most frequent first."""
    return [
        {"traces": f"{count:,}", "system prompt": " ".join(text.split())[:_CLIPPED] or "none"}
        for text, count in most_frequent(tally.systems)
    ]
