"""What the page Label shows: a quote, a job that asks teachers as it runs, and what failed by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

from app.usecases.labelling.answers import say_failure
from app.usecases.labelling.progress import Asking, TeacherProgress
from app.usecases.labelling.waits import say_wait
from app.usecases.workspace.job_words import job_kind, say_status
from app.web.parts.messages import Tone, notice_html
from app.web.parts.numbers import count_range, money_range, say_money, span_range
from app.web.parts.shell import bar_html
from app.web.parts.tables import Raw, table_html
from app.web.parts.tiles import Tile, badge_html, tiles_html
from engine.labelling.quote import Quote
from engine.values import JobStatus
from engine.wording import counted, say_span

GO_ON = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-now]');
  if (button) { button.disabled = true; trigger('click', {teacher: button.dataset.now}); }
});"""
"""For `js_on_load` of the component that shows `progress_html`: its buttons end waits."""
_RIGHT = ("Requests", "Tokens in", "Tokens out", "Cost", "Time")

_FAILED = (JobStatus.FAILED, JobStatus.NEEDS_KEY, JobStatus.CAPPED, JobStatus.INTERRUPTED, JobStatus.QUARANTINED)
_ENDS = {
    JobStatus.CANCELLED: "was paused",
    JobStatus.INTERRUPTED: "was interrupted",
    JobStatus.QUARANTINED: "has a journal that can't be read",
}
"""How the sentence about a job ends where its state alone would not do."""


def quote_tiles_html(quotes: Sequence[Quote], batch: bool = False) -> str:
    """The quote of all teachers together: what it costs first."""
    requests = sum(quote.requests for quote in quotes)
    asked = sum(quote.requests > 0 for quote in quotes)
    unknown = [quote.teacher for quote in quotes if quote.cost_low is None]
    low, high = sum_costs(quotes)
    reads = count_range(sum(q.input_low for q in quotes), sum(q.input_high for q in quotes))
    writes = count_range(sum(q.output_low for q in quotes), sum(q.output_high for q in quotes))
    tokens = count_range(
        sum(q.input_low + q.output_low for q in quotes), sum(q.input_high + q.output_high for q in quotes)
    )
    longest = span_range(max(q.seconds_low for q in quotes), max(q.seconds_high for q in quotes)) if quotes else "0 s"
    note = f"no price of {', '.join(unknown)}" if unknown else "half price" if batch and requests else ""
    return tiles_html(
        [
            Tile(money_range(low, high), "Estimated cost", note),
            Tile(f"{requests:,}", "Requests", f"to {counted(asked, 'teacher')}" if requests else ""),
            Tile("within 24 h" if batch and requests else longest, "Time", "" if batch else "teachers side by side"),
            Tile(tokens, "Tokens", f"{reads} in, {writes} out"),
        ]
    )


def sum_costs(quotes: Sequence[Quote]) -> tuple[Decimal | None, Decimal | None]:
    """The costs of all together, low and high; unknown as soon as one is."""
    lows, highs = [q.cost_low for q in quotes], [q.cost_high for q in quotes]
    if None in lows or None in highs:
        return None, None
    return sum(filter(None, lows), Decimal(0)), sum(filter(None, highs), Decimal(0))


def quote_table_html(quotes: Sequence[Quote], batch: bool = False) -> str:
    """The quote by teacher, and what it was estimated from."""
    rows = [
        {
            "Teacher": quote.teacher,
            "Requests": quote.requests,
            "Tokens in": count_range(quote.input_low, quote.input_high),
            "Tokens out": count_range(quote.output_low, quote.output_high),
            "Cost": money_range(quote.cost_low, quote.cost_high),
            "Time": "within 24 h" if batch and quote.requests else span_range(quote.seconds_low, quote.seconds_high),
            "Estimated from": quote.basis,
            "Price": quote.price,
        }
        for quote in quotes
    ]
    return table_html(rows, "Low to high. Requests that fail and are sent again are not included.", right=_RIGHT)


def progress_html(asking: Asking) -> str:
    """A job that asks teachers: money against its cap, a bar, and how far each teacher is."""
    of, done = asking.of, asking.done
    share = f"{done:,} of {of:,}" if of is not None else f"{done:,}"
    per = f"{60 * asking.rate:,.0f} per min" if asking.rate else "measuring the pace"
    left = f"{say_span(asking.left_s)}" if asking.left_s is not None else "unknown"
    tiles = [
        Tile(say_money(asking.cost), "Spent", _cap_note(asking)),
        Tile(share, "Samples asked for", per),
        Tile(left, "Time left"),
        Tile(f"{asking.failed:,}", "Failed", "", "warn" if asking.failed else ""),
    ]
    limit = asking.job.spec.get("limit")
    title = f"Pilot of at most {counted(limit, 'query')}" if limit else job_kind(asking.job.kind).title
    state = "queued" if asking.job.status.value == "queued" else "running"
    head = f"<div class='live-head'><h2>{escape(title)}</h2>{badge_html(state, 'accent')}</div>"
    rows = [_teacher_row(teacher) for teacher in asking.teachers]
    waiting = "" if rows else "<p class='quiet'>Connecting to the teachers.</p>"
    waiting += "".join(_wait_html(teacher) for teacher in asking.teachers)
    waiting += "<p class='quiet'>Its verdict stands here when it is over: go, not yet or no.</p>" if limit else ""
    table = table_html(rows, right=("Done", "Per min", "Spent", "Time left"))
    return f"<div class='live' aria-live='off'>{head}{tiles_html(tiles)}{bar_html(done, of)}{waiting}{table}</div>"


def ended_html(asking: Asking | None, what: str) -> str:
    """How the last job that asked teachers ended, and what it came to; "" where there was none or one runs."""
    if asking is None or not asking.job.status.over:
        return ""
    job = asking.job
    head = f"The last {what} {_ENDS.get(job.status) or say_status(job.status)[0].lower()}"
    all_ = asking.of is None or job.status is JobStatus.FINISHED
    done = f"{asking.done:,}" if all_ else f"{asking.done:,} of {asking.of:,}"
    took = None if asking.begun is None or asking.at is None else say_span(asking.at - asking.begun)
    facts = [f"{done} asked for", f"{asking.failed:,} failed" if asking.failed else None]
    facts += [say_cost(asking.cost, asking.unknown), took]
    message = "" if job.status is JobStatus.CANCELLED or not job.message else f": {job.message}"
    numbers = f" ({', '.join(filter(None, facts))})" if asking.teachers else ""
    tone: Tone = "bad" if job.status in _FAILED else ""
    return notice_html(f"{head}{numbers}{message or '.'}", tone=tone)


def _wait_html(teacher: TeacherProgress) -> str:
    """That a teacher waits, with the button that ends it."""
    if teacher.wait is None:
        return ""
    name, said = escape(teacher.teacher), escape(say_wait(teacher.teacher, teacher.wait))
    button = f"<button type='button' class='button small' data-now='{name}' aria-label='Go on now with {name}'>"
    return f"<div class='waits'><span>{said}.</span>{button}Go on now</button></div>"


def _cap_note(asking: Asking) -> str:
    """What the money is measured against, and what is not in it."""
    cap = f"of a {say_money(asking.max_cost)} cap" if asking.max_cost is not None else "no cap on cost"
    most = f", {asking.requests:,} of {counted(asking.max_requests, 'request')}" if asking.max_requests else ""
    unknown = f", {counted(asking.unknown, 'request')} of unknown cost" if asking.unknown else ""
    return cap + most + unknown


def _teacher_row(teacher: TeacherProgress) -> dict[str, Any]:
    bar = Raw(f"<div class='in-cell'>{bar_html(teacher.done, teacher.of)}</div>")
    return {
        "Teacher": teacher.teacher,
        "Progress": bar,
        "Done": f"{teacher.done:,}" if teacher.of is None else f"{teacher.done:,} of {teacher.of:,}",
        "Failed": teacher.failed,
        "Per min": f"{60 * teacher.rate:,.0f}" if teacher.rate else "-",
        "Tokens": teacher.tokens,
        "Spent": say_cost(teacher.cost, teacher.unknown),
        "Time left": _say_left(teacher),
    }


def _say_left(teacher: TeacherProgress) -> str:
    if teacher.wait is not None:
        return f"waits {say_span(teacher.wait.seconds)}"
    return "-" if teacher.left_s is None else say_span(teacher.left_s)


def say_cost(cost: Decimal | None, unknown: int = 0) -> str:
    """What was spent; requests whose cost is not known are said."""
    if cost is None or (unknown and not cost):
        return "unknown"
    return f"{say_money(cost)} + unknown" if unknown else say_money(cost)


def failures_html(rows: Sequence[Mapping[str, Any]], chosen: str) -> str:
    """Kinds of errors by teacher, each number a button that lists the replies behind it.

    `rows` hold teacher, error and n; `chosen` is what is listed now (see `failure_key`). For a component with
    `LISTING`.
    """
    teachers = sorted({row["teacher"] for row in rows})
    counts = {(row["error"], row["teacher"]): row["n"] for row in rows}
    kinds = sorted(
        {row["error"] for row in rows}, key=lambda kind: (-sum(counts.get((kind, t), 0) for t in teachers), kind)
    )
    table = []
    for kind in kinds:
        own = {t: counts.get((kind, t), 0) for t in teachers}
        line: dict[str, Any] = {"Kind": _show_html(say_failure(kind), failure_key(kind), chosen)}
        for teacher, n in own.items():
            line[teacher] = _show_html(f"{n:,}", failure_key(kind, teacher), chosen) if n else "-"
        table.append({**line, "Together": f"{sum(own.values()):,}"})
    return table_html(table, "Held-out queries included.", right=(*teachers, "Together"))


def failure_key(error: str, teacher: str = "") -> str:
    """What stands in an address for failures of a kind and a teacher ("": all teachers)."""
    return f"{error}/{teacher}" if teacher else error


def _show_html(text: str, key: str, chosen: str) -> Raw:
    pressed = "true" if key == chosen else "false"
    html = (
        f"<button type='button' class='pick' data-show='{escape(key)}' aria-pressed='{pressed}'>{escape(text)}</button>"
    )
    return Raw(html, text)
