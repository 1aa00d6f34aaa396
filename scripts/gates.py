"""Size gates: files of at most 400 lines, functions of at most 50, no `global`, no open ends left on main."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE, MAX_FUNCTION = 400, 50
OPEN_END = "TO" + "DO"
EXCEPTIONS: dict[str, str] = {}
"""Path or path:function -> the reason why it may be larger. The list only shrinks."""


def main() -> int:
    """Print what breaks a gate; 1 if anything does."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    broken = [line for name in listed if Path(name).exists() for line in _look_at(name)]
    sys.stdout.writelines(f"{line}\n" for line in broken)
    return 1 if broken else 0


def _look_at(name: str) -> Iterator[str]:
    source = Path(name).read_text("utf-8")
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
