"""Python in texts: found in a reply between prose and fences, and brought into a form of its own. Nothing is run."""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterator

MOST_CODE = 20_000
"""Characters of code, longer ones are none."""
_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*\n(.*?)(?:\n[ \t]*\1`*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON = ("", "python", "py", "python3")
_BEGINS = re.compile(r"^(?:def |async def |class |import |from |@)", re.MULTILINE)
_ANSWER = re.compile(r"^\s*answer\s*:\s*", re.IGNORECASE)
_MOST_TRIES = 60


def parse_code(text: str) -> ast.Module | None:
    """The syntax tree of Python; None of anything else, and of what is too long or nests too deep."""
    if not text.strip() or len(text) > MOST_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def find_code(text: str, name: str = "") -> tuple[str, str] | None:
    """What stands before the code of a text, and the code; None if there is none.

    The code is the last fenced block that defines the function `name`, else the last one that defines any function or
    class: a function of another name is told as it is, since a renamed one would be another answer. Without a fence it
    is the whole text, or what of it begins as code does and can be read. Never raises.
    """
    blocks = list(_find_blocks(text))
    defining = [block for block in blocks if defined_names(block[1])]
    wanted = [block for block in defining if name in defined_names(block[1])] if name else []
    if wanted or defining:
        return (wanted or defining)[-1]
    return None if blocks else _find_bare(_ANSWER.sub("", text))


def _find_blocks(text: str) -> Iterator[tuple[str, str]]:
    for fence in _FENCE.finditer(text):
        code = fence[3].strip("\n")
        if fence[2].lower() in _PYTHON and parse_code(code) is not None:
            yield text[: fence.start()].strip(), code


def _find_bare(text: str) -> tuple[str, str] | None:
    """The longest stretch of lines that can be read, from the first that begins as code does."""
    begin = _BEGINS.search(text)
    if begin is None:
        return None
    lines = text[begin.start() :].rstrip().splitlines()
    for last in range(len(lines), max(0, len(lines) - _MOST_TRIES), -1):
        code = "\n".join(lines[:last]).rstrip()
        if defined_names(code):
            return text[: begin.start()].strip(), code
    return None


def defined_names(code: str) -> set[str]:
    """The functions and classes that code defines at its top."""
    tree = parse_code(code)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)} if tree else set()


def bound_names(code: str) -> set[str]:
    """The names that code binds at its top, in whatever way."""
    tree = parse_code(code)
    assigned = [node for node in (tree.body if tree else []) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    targets = [name for node in assigned for name in ast.walk(node) if isinstance(name, ast.Name)]
    return defined_names(code) | {name.id for name in targets if isinstance(name.ctx, ast.Store)}


def rewrite_code(code: str) -> str | None:
    """Code in one form: comments, docstrings, blank lines and quotes do not count. None if it is no Python."""
    tree = parse_code(code)
    if tree is None:
        return None
    try:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
                bare = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
                node.body = bare or [ast.Pass()]
        return ast.unparse(ast.fix_missing_locations(tree))
    except (RecursionError, ValueError):
        return None


def find_subject(tests: tuple[str, ...]) -> str:
    """The function that tests call first; "" if they call none. A name of Python's own only where there is no other."""
    trees = [tree for test in tests if (tree := parse_code(test)) is not None]
    calls = [node.func.id for tree in trees for node in _walk_calls(tree) if isinstance(node.func, ast.Name)]
    bound = {name for tree in trees for name in defined_names(ast.unparse(tree))}
    own = [name for name in calls if name not in bound]
    return next((name for name in own if not hasattr(builtins, name)), own[0] if own else "")


def find_calls(tests: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The calls of a function in top-level asserts, as expressions, each once: those whose inputs stand there."""
    trees = [tree for test in tests if (tree := parse_code(test)) is not None]
    asserts = [node for tree in trees for node in tree.body if isinstance(node, ast.Assert)]
    calls = [call for node in asserts for call in _walk_calls(node) if isinstance(call.func, ast.Name)]
    return tuple(dict.fromkeys(ast.unparse(call) for call in calls if getattr(call.func, "id", "") == name))


def _walk_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls in the order in which they stand, the outer ones first."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node
        yield from _walk_calls(node)
