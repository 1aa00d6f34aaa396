"""Texts beside each other: with their differences marked, in columns, as replies, as a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

from app.web.parts.messages import notice_html


def marked_html(first: tuple[str, str], second: tuple[str, str]) -> str:
    """Two (head, text) side by side, word by word what only one of them says marked."""
    (name, text), (other_name, other_text) = first, second
    left, right = mark_words(text, other_text)
    parts = [f"<div><b>{escape(who)}</b><p>{said}</p></div>" for who, said in ((name, left), (other_name, right))]
    return f"<div class='pair'>{''.join(parts)}</div>"


def mark_words(text: str, other: str) -> tuple[str, str]:
    """Both texts as HTML: words that only the first holds struck out, words that only the second holds marked."""
    words, other_words = text.split(), other.split()
    left: list[str] = []
    right: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, words, other_words, autojunk=False).get_opcodes():
        mine, theirs = escape(" ".join(words[a:b])), escape(" ".join(other_words[c:d]))
        left.append(mine if kind == "equal" else f"<del>{mine}</del>" if mine else "")
        right.append(theirs if kind == "equal" else f"<ins>{theirs}</ins>" if theirs else "")
    return " ".join(filter(None, left)), " ".join(filter(None, right))


def columns_html(columns: Sequence[tuple[str, str]]) -> str:
    """Texts side by side, each below its head; on a narrow screen one below the other."""
    parts = [f"<div><b>{escape(head)}</b><p>{escape(text)}</p></div>" for head, text in columns]
    return f"<div class='columns'>{''.join(parts)}</div>"


def replies_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """The last replies as text, newest first."""
    lines = [
        f"<div class='reply'><b>{escape(str(row['teacher']))}</b> {escape(str(row['error'] or 'good'))}\n"
        f"{escape(str(row['raw'])[:600])}</div>"
        for row in rows
    ]
    return "".join(lines)


def log_html(text: str) -> str:
    """Lines of a log as they are."""
    nothing = notice_html("No worker of this run has printed anything.")
    return f"<pre class='log' tabindex='0'>{escape(text)}</pre>" if text else nothing
