"""The gates of names: what they refuse, and what the lists that only shrink let pass."""

from __future__ import annotations

import ast
from pathlib import Path
from runpy import run_path

import pytest

GATES = run_path(str(Path(__file__).parents[2] / "scripts/gates.py"))


@pytest.mark.parametrize(
    "code",
    [
        "found = [1]",
        "for held in []: pass",
        "def f(told): return told",
        "class Row:\n    found: int",
        "keep = lambda held: held",
        "self.told = 1",
        "self._told = {}",
        "found_BT = 1",
        "if (found := f()): pass",
        "class Row:\n    def told(self): return 1",
    ],
)
def test_a_name_for_what_happened_is_refused_with_its_place(code: str) -> None:
    tree = {"engine/a.py": ast.parse(code)}
    (line,) = GATES["check_names"](tree)
    assert line.startswith("engine/a.py:") and "says what happened" in line


@pytest.mark.parametrize("code", ["print(found)", "f(held=1)", 'print(row["told"])', "foundation = told_to = 1"])
def test_names_that_are_only_read_or_merely_alike_pass(code: str) -> None:
    assert list(GATES["check_names"]({"engine/a.py": ast.parse(code)})) == []


def test_a_second_public_class_of_a_name_is_refused_wherever_it_is() -> None:
    one, two = ast.parse("class Row: pass\nclass _Row: pass"), ast.parse("class Row: pass\nclass _Row: pass")
    product = {"engine/a.py": one, "storage/b.py": two}
    assert list(GATES["check_classes"](product)) == ["engine/a.py:1, storage/b.py:1: 2 classes are named Row"]
