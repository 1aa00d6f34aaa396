"""Answers side by side: each with its tokens, time and money, and whether it is right where that is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from app.usecases.playground.panes import Pane
from app.web.parts.messages import notice_html, term_html
from app.web.parts.tiles import badge_html
from engine.plans.titles import title_of
from engine.wording import counted

LINKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-link]');
  if (!button) return;
  const here = new URL(window.location.href);
  ['open', 'q', '__theme'].forEach((name) => here.searchParams.delete(name));
  here.searchParams.set(button.dataset.link, button.dataset.value);
  navigator.clipboard?.writeText(here.href).then(() => {
    const was = button.textContent;
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = was; }, 1200);
  });
});
"""
"""For `js_on_load` of the component that shows what was asked: its button copies the address that asks it again."""


def panes_html(panes: Sequence[Pane], colours: Mapping[str, str] | None = None) -> str:
    """Answers in columns. `colours` are those of the dots before the names; who has none gets none."""
    parts = [_pane_html(pane, (colours or {}).get(pane.name, "")) for pane in panes]
    return f"<div class='columns' aria-live='polite'>{''.join(parts)}</div>"


def _pane_html(pane: Pane, colour: str) -> str:
    name, _, more = pane.name.partition(" · ")
    dot = f"<span class='dot' style='background:{escape(colour)}'></span>" if colour else ""
    run = f" <span class='quiet'>{escape(more)}</span>" if more else ""
    silent = "It wrote nothing." if pane.over and not pane.message else ""
    message = notice_html(pane.message) if pane.message else ""
    return (
        f"<div class='pane'><b>{dot}{escape(title_of(name))}{run}</b><p>{escape(pane.text or silent)}</p>{message}"
        f"<div class='facts'>{_verdict(pane)}{_confidence(pane)}{escape(_facts(pane))}</div></div>"
    )


def _facts(pane: Pane) -> str:
    facts = [
        None if pane.tokens is None else counted(pane.tokens, "token"),
        None if pane.seconds is None else f"{pane.seconds:.1f} s",
        None if pane.cost is None else f"${pane.cost:.4f}",
        f"${1000 * pane.cost:.2f} per 1,000" if pane.cost else None,
        None if pane.over else "writing" if pane.text else "waiting",
    ]
    return " · ".join(filter(None, facts))


def _confidence(pane: Pane) -> str:
    """How sure a student is of its label, with what that is; "" where it is not known."""
    if pane.confidence is None or not pane.over:
        return ""
    tokens = f" (here {counted(pane.label_tokens, 'token')})" if pane.label_tokens else ""
    several = pane.label_log_prob is not None and pane.label_tokens != 1
    whole = f" The label as a whole has probability {_chance(pane.label_log_prob or 0.0)}." if several else ""
    meaning = (
        f"How probable the student finds its own label: the geometric mean probability of its tokens{tokens}. "
        f"It is no chance to be right; Evaluate shows how far it can be trusted.{whole}"
    )
    return f"{term_html(f'confidence {pane.confidence:.2f}', meaning)} · "


def _chance(log_prob: float) -> str:
    chance = math.exp(log_prob)
    return f"{chance:.2f}" if chance >= 0.005 else "below 0.01"


def _verdict(pane: Pane) -> str:
    if pane.right is None:
        return ""
    return badge_html("Right", "good") + " " if pane.right else badge_html("Wrong", "bad") + " "


def asked_html(text: str, link: tuple[str, str] | None, gold: str | None = None) -> str:
    """The query that the answers below belong to, with a button that copies a link to it, and its gold label.

    `link` is the name and the value in the address; None where it would be too long.
    """
    copied = ""
    if link:
        attributes = f"data-link='{escape(link[0])}' data-value='{escape(link[1])}'"
        copied = f"<button type='button' class='button small' {attributes}>Copy link to this query</button>"
    label = badge_html(f"Gold label: {gold}", "accent") if gold is not None else ""
    return f"<div class='asked'><p>{escape(text)}</p>{label}{copied}</div>"
