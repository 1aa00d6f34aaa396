"""Gates of size and names: files of at most 400 lines, functions of at most 50, no `global`, no open ends left on main.

In the product no variable is named for what happened, and no two public classes have one name.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_FILE, MAX_FUNCTION = 400, 50
OPEN_END = "TO" + "DO"
EXCEPTIONS: dict[str, str] = {}
"""Path or path:function -> the reason why it may be larger. The list only shrinks."""
PRODUCT = ("app/", "engine/", "storage/")
HAPPENED = frozenset({"told", "found", "held"})
"""What happened to rows, events and results; a name says what they are."""
AROUND = re.compile(r"^_+|_[A-Z0-9]+$")
"""What a name may have around its word: a mark that it is private, the letters of an array's dimensions."""


def main() -> int:
    """Print what breaks a gate; 1 if anything does."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    sources = {name: Path(name).read_text("utf-8") for name in listed if Path(name).exists()}
    broken = [line for name, source in sources.items() for line in _look_at(name, source)]
    product = {name: ast.parse(source) for name, source in sources.items() if name.startswith(PRODUCT)}
    broken += [*check_names(product), *check_classes(product)]
    sys.stdout.writelines(f"{line}\n" for line in broken)
    return 1 if broken else 0


def check_names(product: dict[str, ast.Module]) -> Iterator[str]:
    """What breaks the rule that variables, arguments and fields are named for what they hold."""
    for name, tree in product.items():
        lines = sorted((line, word) for line, word in _made_in(tree) if AROUND.sub("", word) in HAPPENED)
        yield from (f"{name}:{line}: {word} says what happened, not what it is" for line, word in lines)


def check_classes(product: dict[str, ast.Module]) -> Iterator[str]:
    """What breaks the rule that a name of a public class has one meaning."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, tree in product.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{name}:{node.lineno}")
    for word, at in sorted(places.items()):
        if len(at) > 1:
            yield f"{', '.join(at)}: {len(at)} classes are named {word}"


def _made_in(tree: ast.Module) -> Iterable[tuple[int, str]]:
    """Line and name of each variable, argument, field and function that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name


def _look_at(name: str, source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > MAX_FILE and name not in EXCEPTIONS:
        yield f"{name}: {lines} lines (at most {MAX_FILE})"
    if OPEN_END in source:
        yield f"{name}: a {OPEN_END} on main"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION and f"{name}:{node.name}" not in EXCEPTIONS:
                yield f"{name}:{node.lineno} {node.name}: {size} lines (at most {MAX_FUNCTION})"
        if isinstance(node, ast.Global):
            yield f"{name}:{node.lineno}: global"


if __name__ == "__main__":
    sys.exit(main())
