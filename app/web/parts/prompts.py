"""A prompt as a teacher reads it."""

from __future__ import annotations

from html import escape

from app.usecases.teachers.prompts import Rendered


def prompt_html(prompt: Rendered) -> str:
    """The system part and the user part, on a real query."""
    parts = [
        f"<div class='turn'><div class='label'>{who}</div><div class='text'>{escape(text)}</div></div>"
        for who, text in (("System", prompt.system), ("User", prompt.user))
        if text.strip()
    ]
    which = f"query {prompt.place + 1:,} of {prompt.total:,}" if prompt.total else "no query found"
    return f"<h3>As a teacher reads it: {which}</h3><div class='rendered' tabindex='0'>{''.join(parts)}</div>"
