"""What the house is built on: who may import whom, and what a first page must not bring."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.selection.arrays import SelectionInput
from engine.values import Query

ROOT = Path(__file__).parent.parent
READS_GOLDS = (".golds(", "_beside_golds(", "FROM golds", "JOIN golds")
STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s")
"""How a string of SQL begins: in capitals, as all of it is written."""
ASKS = {"rows", "row", "remembered", "arrays", "arrow", "write", "read", "alone"}
"""Methods of the database that are given SQL; `once` is given none."""


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("app.web.main", {"torch", "transformers", "sentence_transformers"}),
        ("app.services", {"torch", "gradio", "sympy"}),
        ("app.cli.main", {"torch", "gradio", "duckdb", "numpy"}),
        ("engine.selection.select", {"torch", "gradio", "duckdb"}),
        ("engine.labelling.online", {"torch", "gradio", "duckdb"}),
    ],
)
def test_importing_a_module_leaves_heavy_packages_out(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


def test_neither_a_query_nor_the_input_of_selection_has_a_place_for_gold() -> None:
    names = {field.name for kind in (Query, SelectionInput) for field in dataclasses.fields(kind)}
    assert not {name for name in names if any(word in name for word in ("gold", "truth", "correct", "target"))}


def test_only_scoring_reads_gold_labels() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for package in ("app", "engine", "storage")
        for path in (ROOT / package).rglob("*.py")
        if any(reads in path.read_text() for reads in READS_GOLDS)
    }
    shown_beside_answers, copied_as_they_are = "app/usecases/evaluation/comparisons.py", "storage/copies.py"
    scored = {"app/usecases/evaluation/scores.py", "app/usecases/selection/calibration.py", "storage/queries.py"}
    scored |= {"storage/pilots.py"}  # a pilot is judged by gold labels; what it selects by has no place for them
    assert readers == scored | {shown_beside_answers, "storage/differences.py", copied_as_they_are}
    calibrating = (ROOT / "app/usecases/selection/calibration.py").read_text()
    assert not {word for word in (".add(", ".write(", "select.select(", "overrule") if word in calibrating}
    deciding = ("selections", "presets", "tallies")
    texts = {name: (ROOT / f"app/usecases/selection/{name}.py").read_text() for name in deciding}
    assert not [name for name, text in texts.items() if "calibration" in text]


def test_all_sql_is_in_storage() -> None:
    paths = (ROOT / "app").rglob("*.py")
    assert {str(path.relative_to(ROOT)) for path in paths if any(_find_sql(ast.parse(path.read_text())))} == set()


def _find_sql(tree: ast.Module) -> Iterator[int]:
    """The lines with a string that is SQL, or a call that gives the database some."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value):
            yield node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS:
            asked = node.func.value
            if "db" in (getattr(asked, "attr", ""), getattr(asked, "id", "")):
                yield node.lineno


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("rows = context.db.rows(query, [1])", True),
        ("with self.context.db.write() as writer: pass", True),
        ('sql = "SELECT 1"', True),
        ('sql = f"""\\n  WITH {name} AS (SELECT 1) FROM x"""', True),
        ('told = "Select at least one. WITH care"', False),
        ('self.context.db.once("what", work)', False),
    ],
)
def test_sql_is_told_from_other_words(code: str, found: bool) -> None:
    assert any(_find_sql(ast.parse(code))) is found


def test_pages_and_commands_reach_use_cases_only() -> None:
    composition = ROOT / "app/services.py"
    paths = {path for path in (ROOT / "app").rglob("*.py") if "usecases" not in path.parts} - {composition}
    assert {str(path.relative_to(ROOT)) for path in paths if _reaches_context(path)} == set()


def _reaches_context(path: Path) -> bool:
    """Whether a module asks a value for its `context`, behind which the store and the supervisor are."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(node, ast.Attribute) and node.attr == "context" for node in nodes)
