"""Text that others wrote, where a terminal or a page in Markdown would obey it instead of showing it."""

from __future__ import annotations

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tabs and new lines, marks that turn the direction of writing round, halves of characters."""
_MARKDOWN = re.compile(r"[\\`*~|#!<>$]|\](?=[(\[:])")
_TICKS = re.compile("`+")


def plain(text: str) -> str:
    """The text without what a terminal would obey; new lines and tabs stay."""
    return _OBEYED.sub("", text)


def plain_json(text: str) -> str:
    """JSON in which all that a terminal would obey is named by its number, as its writer names some of it only."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def markdown(text: str) -> str:
    """The text in one line of Markdown, where it stands for itself: it can be no HTML, image, link, cell or heading.

    https://spec.commonmark.org/0.31.2/#backslash-escapes
    """
    return _MARKDOWN.sub(lambda match: f"\\{match[0]}", " ".join(plain(text).split()))


def fenced(text: str, language: str = "text") -> str:
    """The text as a block of code in Markdown, which no line of it can end."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    return f"{ticks}{language}\n{plain(text)}\n{ticks}"


def quoted(text: str) -> str:
    """The text as code inside a line of Markdown."""
    line = " ".join(plain(text).split())
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(line)), default=0))
    return f"{ticks} {line} {ticks}" if len(ticks) > 1 else f"`{line}`"
