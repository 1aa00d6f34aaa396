"""One query of Select as a person reads it: the query, its samples beside each other, and how similar they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.usecases.selection.queries import Detail
from app.web.pages.outcome import explain
from app.web.parts.candidates import CandidateCard, candidates_html
from app.web.parts.matrix import matrix_html
from app.web.parts.texts import mark_words
from engine.values import Reason
from engine.wording import counted

_LONGEST = 40
"""Characters of a query that a message repeats."""


def is_kept(row: Mapping[str, Any]) -> bool:
    """Whether a sample is kept."""
    return row["reason"] is not None and Reason(row["reason"]).kept


def asked_html(detail: Detail) -> str:
    """The query, and what its samples come to."""
    rows = detail.samples
    kept, labels = sum(map(is_kept, rows)), len({row["label"] for row in rows})
    agree = "all with the same label" if labels == 1 else f"with {labels} different labels"
    said = f"{counted(len(rows), 'sample')}, {agree}; {kept} kept"
    of = f" data-full='{escape(detail.id)}'"
    return f"<div class='card asked'><p{of}>{escape(detail.query)}</p><div class='quiet'>{escape(said)}</div></div>"


def samples_html(detail: Detail, chosen: str, cut: float | None) -> str:
    """The samples as cards, the kept pair first with its differences marked, and their similarities."""
    numbered = list(enumerate(detail.samples, 1))
    pair = [(number, row) for number, row in numbered if is_kept(row)]
    texts = {row["id"]: escape(row["rationale"]) for row in detail.samples}
    if len(pair) == 2:
        (_, first), (_, second) = pair
        texts[first["id"]], texts[second["id"]] = mark_words(first["rationale"], second["rationale"])
        numbered = [*pair, *(one for one in numbered if one not in pair)]
    cards = [_candidate(number, row, texts[row["id"]], cut) for number, row in numbered]
    said = candidates_html(cards, chosen, "Samples of this query")
    if len(pair) == 2:
        said += "<p class='keys'><del>Only in the first</del> <ins>only in the second</ins> of the two kept ones</p>"
    if detail.cosines is None or len(detail.samples) < 2:
        return said
    names = [f"{place} {row['teacher']}" for place, row in enumerate(detail.samples, 1)]
    outlined = [number - 1 for number, row in pair if row["reason"] == Reason.KEPT_PAIR]
    return said + matrix_html(names, detail.cosines, "Cosine similarity of the rationales", outlined)


def _candidate(number: int, row: Mapping[str, Any], text_html: str, cut: float | None) -> CandidateCard:
    confidence = [] if row["confidence"] is None else [f"confidence {row['confidence']:.3f}"]
    return CandidateCard(
        id=row["id"],
        number=number,
        name=row["teacher"],
        facts=[f"label {row['label']}", *confidence],
        text_html=text_html,
        kept=is_kept(row),
        why=explain(row, cut) + (". Edited by hand." if row["edit"] else ""),
        original=row["original"] if row["edit"] else "",
    )


def say_sample(row: Mapping[str, Any], query: str) -> str:
    """A sample as a message names it."""
    begin = query if len(query) <= _LONGEST else f"{query[: _LONGEST - 1].rstrip()}…"
    return f"{row['teacher']} for “{begin}”"


def say_labels(answers: Sequence[str]) -> str:
    """The different labels of a query, the most frequent first, and how often each was given where it was not once."""
    return ", ".join(f"{label} ×{count}" if count > 1 else label for label, count in Counter(answers).most_common())
