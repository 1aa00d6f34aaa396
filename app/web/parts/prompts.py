"""A prompt as a teacher reads it."""

from __future__ import annotations

from html import escape


def prompt_html(system: str, user: str) -> str:
    """The system part and the user part, on a real query."""
    parts = [
        f"<div class='turn'><div class='label'>{who}</div><div class='text'>{escape(text)}</div></div>"
        for who, text in (("System", system), ("User", user))
        if text.strip()
    ]
    return f"<h3>On the first query</h3><div class='rendered' tabindex='0'>{''.join(parts)}</div>"
