"""Code that can be copied, and the command that does what a page does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape


def code_html(text: str) -> str:
    """A block of code with a button that copies it."""
    said = escape(text, quote=True)
    button = f"<button type='button' class='button small copy' data-copy='{said}'>Copy</button>"
    return f"<div class='code'>{escape(text)}{button}</div>"


def command_html(words: Sequence[str], title: str = "As a command") -> str:
    """A command with exactly the settings of the page, folded away."""
    return commands_html([words], title)


def commands_html(commands: Sequence[Sequence[str]], title: str = "As a command") -> str:
    """As `command_html`, of commands one after the other."""
    lines = "\n".join(shlex.join(words) for words in commands)
    return f"<details class='command'><summary>{escape(title)}</summary>{code_html(lines)}</details>"
