"""Words that were retired don't come back: what `docs/words.md` says not to say stands in no text for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.web.parts.terms import TERMS

ROOT = Path(__file__).parents[1]
SHOWN = ("app/web", "app/cli", "app/hosted_demo", "app/usecases", "engine")


def retired() -> list[str]:
    text = (ROOT / "docs/words.md").read_text("utf-8")
    rows = text.partition("| say | not |")[2].splitlines()
    cells = [row.split("|")[2] for row in rows if row.startswith("| ") and not row.startswith("| ---")]
    return [word.strip() for cell in cells for word in cell.split(",")]


def test_terms_are_explained_in_the_words_of_the_page() -> None:
    page = (ROOT / "docs/words.md").read_text("utf-8")
    meanings = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1].strip(" |")
        for line in page.splitlines()
        if " | " in line
    }
    assert {term: meanings["reliability" if term == "Dawid-Skene" else term] for term in TERMS} == TERMS


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """String constants of a module that are no docstrings."""
    tree = ast.parse(file.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def test_there_are_words_to_look_for() -> None:
    assert len(retired()) > 15 and "Look at it" in retired()


@cache
def shown() -> list[tuple[str, str]]:
    """All texts that people are shown, and where each stands."""
    files = [file for folder in SHOWN for file in sorted((ROOT / folder).rglob("*.py"))]
    return [
        (f"{file.relative_to(ROOT)}:{line}: {text[:80]}", text.lower()) for file in files for line, text in texts(file)
    ]


@pytest.mark.parametrize("word", retired())
def test_a_retired_word_is_said_nowhere(word: str) -> None:
    whole = re.compile(rf"\b{re.escape(word.lower())}\b")
    found = [place for place, text in shown() if whole.search(text)]
    assert found == []
