"""How compression went, and one compressed rationale beside what its teacher and the student wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.usecases.compression.reviews import ReviewSummary
from app.web.parts.messages import Tone
from app.web.parts.tables import Raw, table_html
from app.web.parts.terms import TERMS
from app.web.parts.texts import columns_html, marked_html
from app.web.parts.tiles import Tile, badge_html, tiles_html
from engine.wording import counted

_MOST_COMPARED = 3_000
"""Words of two texts together up to which they are compared word by word."""
_FLAWS = {
    "other label": "another answer",
    "empty": "no rationale",
    "loops": "repeats itself",
    "unfinished": "not finished",
}


def compression_tiles(summary: ReviewSummary) -> str:
    """How compression went, in four numbers."""
    if not summary.rationales:
        return ""
    return tiles_html(
        [
            Tile(f"{summary.rationales:,}", "Rationales", _kept_note(summary)),
            _length_tile(summary),
            _check_tile(summary),
            _approval_tile(summary),
        ]
    )


def _kept_note(summary: ReviewSummary) -> str:
    kept = f"{summary.kept_original:,} kept as the teacher wrote them" if summary.kept_original else "all rewritten"
    return f"{kept}, {summary.asking:,} being asked again" if summary.asking else kept


def _length_tile(summary: ReviewSummary) -> Tile:
    long, short = summary.original_tokens, summary.compressed_tokens
    if long is None or short is None:
        return Tile("unknown", "Median student tokens", "the student's tokenizer is not on this machine yet")
    less = round(100 * (1 - short / long)) if long else 0
    note = f"{less} % shorter" if less > 0 else f"{-less} % longer" if less < 0 else "as long as before"
    return Tile(f"{long:,.0f} → {short:,.0f}", "Median student tokens", note)


def _check_tile(summary: ReviewSummary) -> Tile:
    notes = [f"of those checked at level {summary.level}"]
    if summary.level > 1:
        notes.append(f"another teacher agrees with {summary.led:,}, and without the text on {summary.unaided:,}")
    unchecked = summary.rationales - summary.checked
    notes += [f"{unchecked:,} not checked"] if unchecked else []
    whole = bool(summary.checked) and summary.preserved == summary.checked
    value = f"{summary.preserved:,} of {summary.checked:,}"
    meaning = f"Level 1, level 2: {TERMS['level 1, level 2']}"
    return Tile(value, "Answer preserved", ", ".join(notes), "good" if whole else "warn", meaning)


def _approval_tile(summary: ReviewSummary) -> Tile:
    if not summary.reviewed:
        value = f"{summary.approved:,} of {summary.rationales:,}" if summary.approved else "No review"
        return Tile(value, "Approved", "the run asked for none: all of them are taught")
    left = summary.rationales - summary.approved
    note = f"{left:,} to review" if left else "all of them"
    tone: Tone = "good" if not left else "warn" if summary.waiting else ""
    return Tile(f"{summary.approved:,} of {summary.rationales:,}", "Approved", note, tone)


def tokens_cell(row: Mapping[str, Any]) -> Raw:
    """Tokens before and after, for a table."""
    long, _, short = row["tokens"]
    if long is None or short is None:
        return Raw("-", "")
    return Raw(f"<span class='quiet'>{long:,} →</span> {short:,}", f"{long} {short}")


def state_cell(row: Mapping[str, Any], reviewed: bool) -> Raw:
    """What a person has to know of a rationale before opening it, as a badge or two."""
    badges = [] if row["preserved"] is not False else [badge_html(_fault(row), "bad" if _changed(row) else "warn")]
    badges += [badge_html(row["origin"].capitalize(), "accent")] if row["origin"] != "compressed" else []
    if row["approved"]:
        badges.append(badge_html("Approved", "good"))
    elif reviewed and not badges:
        badges.append(badge_html("Unapproved"))
    shown = "".join(badges) or badge_html("Preserved", "good")
    return Raw(f"<span class='badges'>{shown}</span>", "badge")


def _changed(row: Mapping[str, Any]) -> bool:
    return "not preserved" in str(row["check"])


def _fault(row: Mapping[str, Any]) -> str:
    return "Changed answer" if _changed(row) else "Original kept"


def rationale_html(row: Mapping[str, Any], warning: str = "") -> str:
    """One rationale: query, checks, teacher and short form word by word, and what the student wrote on its own.

    `warning` is said on top of it.
    """
    long, own, short = row["tokens"]
    answer = f"{row['teacher']} · answer: {row['label']}"
    notice = f"<div class='notice warn' role='status'>{escape(warning)}</div>" if warning else ""
    student = columns_html([(_head("The student, on its own", own), row["student"] or "It wrote nothing.")])
    return (
        f"<div class='card reading'>{notice}<div class='badges'>{_badges(row)}</div><p class='query' "
        f"data-full='{escape(row['sample'])}'>{escape(row['query'])}</p><p class='quiet'>{escape(answer)}</p>"
        f"{_pair((_head(row['teacher'], long), row['original']), (_head('Compressed', short), row['compressed']))}"
        f"{student}</div>"
    )


def _pair(first: tuple[str, str], second: tuple[str, str]) -> str:
    words = len(first[1].split()) + len(second[1].split())
    return marked_html(first, second) if words <= _MOST_COMPARED else columns_html([first, second])


def _head(name: str, tokens: int | None) -> str:
    return name if tokens is None else f"{name} · {counted(tokens, 'token')}"


def _badges(row: Mapping[str, Any]) -> str:
    badges = [badge_html("Approved", "good") if row["approved"] else badge_html("Unapproved")]
    check = str(row["check"])
    tone: Any = "" if row["preserved"] is None else "good" if row["preserved"] else "bad" if _changed(row) else "warn"
    badges.append(badge_html(check[:1].upper() + check[1:], tone))
    badges += [badge_html(_say_flag(flag)) for flag in row["flags"] if flag not in check]
    long, _, short = row["tokens"]
    if long and short is not None:
        badges.append(badge_html("longer than the teacher's", "warn") if short > long else "")
    return " ".join(filter(None, badges))


def _say_flag(flag: str) -> str:
    """A flag in words; those that begin with `student:` say why the student's own text is no model of length."""
    flaw = flag.removeprefix("student:")
    said = f"student alone: {_FLAWS.get(flaw, flaw)}" if flaw != flag else flag
    return said[:1].upper() + said[1:]


def versions_html(versions: Sequence[Mapping[str, Any]]) -> str:
    """All versions of a rationale, newest first."""
    return table_html(
        [
            {
                "version": version["version"],
                "from": version["origin"],
                "approved": version["approved"],
                "note to the teacher": version.get("note") or "",
                "text": version["text"],
            }
            for version in reversed(versions)
        ]
    )
