"""Numbers that stand for themselves, states in a word, cards, and the card of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from app.web.parts.links import Link, button_html
from app.web.parts.messages import Tone, term_html


@dataclass(frozen=True)
class Tile:
    """One number with its unit, what it is, and a line about it."""

    value: str
    label: str
    note: str = ""
    tone: Tone = ""
    help: str = ""
    """What the label means, "" where it needs no telling."""


def tiles_html(tiles: Sequence[Tile]) -> str:
    """Tiles side by side."""
    parts = [
        f"<div class='tile{f' {tile.tone}' if tile.tone else ''}'><div class='label'>{_label_html(tile)}</div>"
        f"<div class='value'>{escape(tile.value)}</div>"
        + (f"<div class='note'>{escape(tile.note)}</div>" if tile.note else "")
        + "</div>"
        for tile in tiles
    ]
    return f"<div class='tiles'>{''.join(parts)}</div>" if parts else ""


def _label_html(tile: Tile) -> str:
    return term_html(tile.label, tile.help) if tile.help else escape(tile.label)


def badge_html(text: str, tone: Literal["", "good", "warn", "bad", "accent"] = "") -> str:
    """A state in a word."""
    return f"<span class='badge{f' {tone}' if tone else ''}'>{escape(text)}</span>"


def verdict_html(title: str, text: str, sure: bool, *ways: Link, inner: str = "", against: bool = False) -> str:
    """What follows from the figures, and why; `sure`: there is something to act on; `against`: they speak against it.

    `inner` is HTML already.
    """
    buttons = "".join(button_html(way) for way in ways)
    row = f"<div class='buttons' style='margin-top:12px'>{buttons}</div>" if buttons else ""
    kind = "verdict against" if against else "verdict" if sure else "verdict wait"
    return f"<div class='{kind}' role='status'><h2>{escape(title)}</h2><p>{escape(text)}</p>{inner}{row}</div>"


def card_html(title: str, inner: str, note: str = "") -> str:
    """A card; `inner` is HTML already."""
    said = f"<div class='quiet'>{escape(note)}</div>" if note else ""
    return f"<div class='card'><div class='title'>{escape(title)}</div>{said}{inner}</div>"
