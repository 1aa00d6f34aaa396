"""Messages: what happened, what was kept, what to do; and what stands where there is nothing yet."""

from __future__ import annotations

from html import escape
from typing import Literal

from app.web.parts.links import Link, button_html

Tone = Literal["", "good", "warn", "bad"]


def notice_html(message: str, bad: bool = False, tone: Tone = "") -> str:
    """One message; `bad` is short for the tone of an error, which is read out at once."""
    kind = "bad" if bad else tone
    role = "alert" if kind == "bad" else "status"
    return f"<div class='notice{f' {kind}' if kind else ''}' role='{role}'>{escape(message)}</div>" if message else ""


def note_html(message: str, link: Link, kind: str) -> str:
    """What is said above a page, with where to go; `kind` is a class of its own."""
    return (
        f"<div class='notice {escape(kind)}' role='note'>{escape(message)}"
        f"<a href='{escape(link.href)}'>{escape(link.text)}</a>.</div>"
    )


def guide_html(message: str, *ways: Link) -> str:
    """One message, and below it where to go from here."""
    links = " ".join(f"<a href='{escape(way.href)}'>{escape(way.text)}</a>" for way in ways)
    return f"<div class='notice' role='status'>{escape(message)}<div class='ways'>{links}</div></div>"


def empty_html(title: str, message: str, *ways: Link) -> str:
    """What stands where there is nothing yet: why, and the way on; the first is the one to take."""
    buttons = "".join(button_html(way, primary=place == 0) for place, way in enumerate(ways))
    row = f"<div class='buttons'>{buttons}</div>" if buttons else ""
    return f"<div class='empty'><h2>{escape(title)}</h2><p>{escape(message)}</p>{row}</div>"


def term_html(term: str, meaning: str) -> str:
    """A term with its meaning, for whoever points at it, reaches it by keyboard, or hears the page."""
    said = f"title='{escape(meaning)}' aria-label='{escape(f'{term}: {meaning}')}'"
    return f"<span class='term' tabindex='0' role='note' {said}>{escape(term)}</span>"
