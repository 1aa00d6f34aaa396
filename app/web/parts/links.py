"""Addresses inside the studio, and links to them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from app.web.parts.icons import icon_html


def page_url(path: str, project: str) -> str:
    """The address of a page for a project."""
    return f"{path}?project={quote(project, safe='')}"


class Link:
    """Leads somewhere inside the studio."""

    def __init__(self, text: str, path: str, project: str) -> None:
        """`path` of a page, for a project ("": for none)."""
        self.text = text
        self.href = page_url(path, project) if project else path


def button_html(link: Link, primary: bool = False, icon: str = "") -> str:
    """A link that looks like a button."""
    kind = "button primary" if primary else "button"
    drawn = icon_html(icon) if icon else ""
    return f"<a class='{kind}' href='{escape(link.href)}'>{escape(link.text)}{drawn}</a>"


def way_html(link: Link) -> str:
    """A small button with an arrow, for a row of a table; its text is read aloud, and shown under the pointer."""
    said = escape(link.text)
    return (
        f"<a class='button small quiet' href='{escape(link.href)}' aria-label='{said}' title='{said}'>"
        f"{icon_html('next')}</a>"
    )


def links_html(title: str, links: Sequence[tuple[Link, str]]) -> str:
    """A list of pages, each with what is there."""
    cards = [
        f"<a class='card way' href='{escape(to.href)}'><div class='title'>{escape(to.text)}</div>"
        f"<div class='quiet'>{escape(text)}</div></a>"
        for to, text in links
    ]
    return f"<h2>{escape(title)}</h2><div class='cards'>{''.join(cards)}</div>"
