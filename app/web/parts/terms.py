"""Terms that a page explains where they stand, in the words of `docs/words.md`."""

from __future__ import annotations

from app.web.parts.messages import term_html

TERMS = {
    "DCRS": (
        "Dual-Criteria Rejection Sampling: confidence first, then of each query the least similar pair of rationales."
    ),
    "Dawid-Skene": ("A teacher's accuracy as Dawid-Skene estimates it from how teachers agree, without gold labels."),
    "level 1, level 2": (
        "Checks of a short form: the answer still follows from it; another teacher still answers the same with it."
    ),
}
"""What each means. `Dawid-Skene` is told as the reliability that it estimates."""


def explained_html(term: str) -> str:
    """A term of `TERMS` with what it means."""
    return term_html(term, TERMS[term])
