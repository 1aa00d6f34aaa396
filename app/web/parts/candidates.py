"""Texts to choose among: numbered cards, of which one is the one that is decided on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.web.parts.tiles import badge_html

CHOOSE = """
const choose = (part) => {
  element.querySelectorAll('[data-choose]').forEach((other) => other.setAttribute('aria-checked', other === part));
  window.tacitChosen = part.dataset.choose;
  trigger('click', {id: part.dataset.choose});
};
element.addEventListener('click', (event) => {
  const part = event.target.closest('[data-choose]');
  if (part && !event.target.closest('a, summary')) choose(part);
});
element.addEventListener('keydown', (event) => {
  if (!['Enter', ' '].includes(event.key) || !event.target.matches('[data-choose]')) return;
  event.preventDefault();
  choose(event.target);
});
"""
"""For `js_on_load` of the component that shows candidates: whoever listens to its click finds the id in `CHOSEN`."""
CHOSEN = "() => window.tacitChosen || ''"
"""The id that was chosen last, in the browser: what follows at once goes by it."""


@dataclass(frozen=True)
class CandidateCard:
    """A text with a number that is its key; `text_html` is HTML already, `why` says what was decided and why.

    `original` is what stood there before an edit, "" where there was none.
    """

    id: str
    number: int
    name: str
    facts: Sequence[str]
    text_html: str
    kept: bool
    why: str
    original: str = ""


def candidates_html(candidates: Sequence[CandidateCard], chosen: str, title: str) -> str:
    """The cards, two beside each other; keys 1 to 9, arrows and clicks choose one."""
    cards = "".join(_card_html(one, one.id == chosen) for one in candidates)
    return f"<div class='candidates' role='radiogroup' aria-label='{escape(title)}'>{cards}</div>"


def _card_html(one: CandidateCard, is_chosen: bool) -> str:
    facts = escape(" · ".join(one.facts))
    state = badge_html("Kept", "good") if one.kept else badge_html("Not kept")
    edited = ""
    if one.original:
        edited = f"<details class='more'><summary>Before the edit</summary><p>{escape(one.original)}</p></details>"
    checked = "true" if is_chosen else "false"
    kind = "candidate" if one.kept else "candidate out"
    attributes = f"data-choose='{escape(one.id)}' data-number='{one.number}'"
    return (
        f"<div class='{kind}' role='radio' tabindex='0' aria-checked='{checked}' {attributes}>"
        f"<div class='top'><kbd>{one.number}</kbd><b>{escape(one.name)}</b>{state}</div><div class='fact'>{facts}</div>"
        f"<p>{one.text_html}</p>{edited}<div class='why'>{escape(one.why)}</div></div>"
    )
