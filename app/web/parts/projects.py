"""Projects as cards: how far each is, what comes next in it, and what can be done with it as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Literal

from app.usecases.projects.next_steps import Status
from app.usecases.projects.status import ProjectCard
from app.web.parts.icons import icon_html
from app.web.parts.links import page_url
from app.web.parts.tiles import badge_html
from engine.wording import counted

Tone = Literal["", "good", "warn", "bad", "accent"]
_TONES: dict[Status, Tone] = {"finished": "good", "running": "accent", "waits for you": "warn", "stopped": "bad"}
ACTIONS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (!button) return;
  button.closest('details')?.removeAttribute('open');
  trigger('click', {act: button.dataset.act, id: button.dataset.id});
});
"""
"""For `js_on_load` of what shows the cards: a card's menu tells what to do with which project."""


def project_cards_html(cards: Sequence[ProjectCard], now: datetime) -> str:
    """Cards side by side."""
    return f"<div class='cards'>{''.join(_card_html(card, now) for card in cards)}</div>" if cards else ""


def _card_html(card: ProjectCard, now: datetime) -> str:
    row = card.standing
    name, tone = escape(row.name), _TONES.get(card.status, "")
    sizes = ", ".join(
        counted(number, noun)
        for number, noun in ((row.queries, "query"), (row.samples, "sample"), (row.runs, "run"))
        if number
    )
    money = f"${row.cost:,.2f} spent" + (f", {row.unknown_cost:,} of unknown price" if row.unknown_cost else "")
    changed = f"Changed {say_ago(row.changed, now)} · {money}"
    href = escape(page_url("/overview", row.name))
    way = "" if row.archived else _next_html(card)
    return (
        f"<article class='card project'><div class='top'><a class='title' href='{href}'>{name}</a>"
        f"{badge_html(card.status.capitalize(), tone)}{_menu_html(row.name, row.archived)}</div>"
        f"<div class='quiet'>{escape(card.task.capitalize())}</div><div>{escape(sizes or 'Nothing in it yet')}</div>"
        f"<div class='quiet'>{escape(changed)}</div>{way}</article>"
    )


def _next_html(card: ProjectCard) -> str:
    href = escape(page_url(card.next.path, card.standing.name))
    said = f"<b>Next: {escape(card.next.page)}</b>{icon_html('next')}"
    return f"<a class='onward' href='{href}' title='{escape(card.next.what)}'>{said}</a>"


def _menu_html(name: str, archived: bool) -> str:
    said = escape(name)
    away = ("restore", "Restore") if archived else ("archive", "Archive")
    buttons = "".join(
        f"<button type='button' data-act='{act}' data-id='{said}'>{title}</button>"
        for act, title in (("duplicate", "Duplicate"), ("export", "Export"), away)
    )
    return (
        f"<details class='menu'><summary aria-label='Actions for {said}'>{icon_html('more')}</summary>"
        f"<div class='sheet'>{buttons}</div></details>"
    )


def say_ago(then: datetime, now: datetime) -> str:
    """How long ago something was, or on which day; `then` is UTC without a zone."""
    seconds = (now - then.replace(tzinfo=UTC)).total_seconds()
    for most, size, unit in ((90, 0, ""), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < most:
            return f"{seconds / size:.0f} {unit} ago" if size else "just now"
    return f"{seconds / 86_400:.0f} days ago" if seconds < 30 * 86_400 else f"on {then:%-d %B %Y}"
