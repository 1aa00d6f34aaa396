"""Code: a label is a Python function, right if it passes tests, of which a query shows the first.

What a file tells apart as visible tests is shown; where it does not, the first of its tests is, and all others are
hidden. Hidden tests and reference code stand in the gold label alone. Nothing of a label is run in the app's process.
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.choices import is_missing, plain_text
from engine.errors import InputError
from engine.ports import Role
from engine.sandbox import Program, ProgramOutcome, Status, pick, run_programs
from engine.tasks.base import ID, KIND, QUERY, TextTask, read_query
from engine.tasks.python_text import bound_names, find_calls, find_code, find_subject, parse_code, rewrite_code
from engine.tasks.registry import TASKS
from engine.tasks.reply import read_reply, split_thought
from engine.values import ParsedReply, Query, hash_id, make_query

REFERENCE = Role(
    "gold", "the reference code", ("gold_code", "code", "canonical_solution", "solution", "gold", "answer")
)
TESTS = Role("tests", "the tests", ("tests", "test_list", "test"))
VISIBLE = Role("visible", "the tests that teachers see", ("visible_tests", "visible_test", "public_tests"))
HIDDEN = Role("hidden", "the tests that only scoring sees", ("hidden_tests", "private_tests"))
CHALLENGE = Role("challenge", "more such tests", ("challenge_tests", "challenge_test_list"))
SETUP = Role("setup", "what tests need before them", ("test_setup", "test_setup_code", "test_imports", "setup"))
ENTRY = Role("entry", "the name of the function", ("entry_point", "function_name", "function"))
OWN_ID = Role("id", ID.help, (*ID.names, "task_id"))

_FENCE = 3
_RAN, _DID_NOT = "does", "none"


class CodeTask(TextTask):
    """Python functions with tests, as MBPP (Austin et al. 2021, arXiv 2108.07732)."""

    name = "code"
    title = "Python functions, by their tests"
    roles = (QUERY, REFERENCE, TESTS, VISIBLE, HIDDEN, CHALLENGE, SETUP, ENTRY, KIND, OWN_ID)
    factors = ("reasoning", "readability", "robustness")
    stop = "\n```"

    def read_row(self, cells: Mapping[str, Any]) -> Query:
        """The description, with the visible tests, their setup and the function's name in `extra`.

        Raises:
            InputError: if there is no text, or no test, or one that is no Python.
        """
        visible, _ = _split_tests(cells)
        setup = _read_setup(cells)
        name = plain_text(cells["entry"]) if "entry" in cells else find_subject(visible)
        if not visible:
            raise InputError("no tests: a code task needs at least one that calls the function")
        extra = {"tests": list(visible), "setup": setup, "name": name}
        return read_query(cells, extra={key: value for key, value in extra.items() if value})

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """JSON of the hidden tests and the reference code. Where a file has one test, none is hidden, and it decides.

        Raises:
            InputError: if a test or the code is no Python.
        """
        _, hidden = _split_tests(cells)
        code = str(cells["gold"]) if "gold" in cells else ""
        if code and rewrite_code(code) is None:
            raise InputError("the reference code is no Python")
        return json.dumps({"tests": list(hidden), "code": code}, ensure_ascii=False)

    def show_gold(self, gold: str) -> str:
        """The reference code; where there is none, how many tests are hidden."""
        known = _read_gold(gold)
        if known is None:
            return gold
        return known.get("code") or f"hidden tests: {len(known['tests'])}"

    def read_typed(self, text: str) -> Query:
        """A description, with the asserts that stand in lines of their own at its end as its tests."""
        lines = text.strip().splitlines()
        tests = [line.strip() for line in lines if line.strip().startswith("assert ") and parse_code(line.strip())]
        said = "\n".join(line for line in lines if line.strip() not in tests).strip() or text.strip()
        extra = {"tests": tests, "name": find_subject(tuple(tests))} if tests else {}
        return make_query(said, extra=extra)

    def render(self, query: Query) -> str:
        """The description, and the visible tests behind it."""
        tests, setup = _tests(query), query.extra.get("setup", "")
        shown = "\n".join([*([setup] if setup else []), *tests])
        return f"{query.text}\n\nThe function has to pass:\n{shown}" if shown else query.text

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """The code of a reply: of the label in its JSON, else in a fence, else what begins as code does."""
        thought, visible = split_thought(text)
        if visible is None:
            return None
        name = str(query.extra.get("name", ""))
        head = visible.lstrip()
        reply = read_reply(visible) if head.startswith(("{", "```json")) else None
        block = find_code(reply.label if reply else visible, name)
        if block is None and reply is None:
            reply = read_reply(visible)
            block = find_code(reply.label, name) if reply else None
        if block is None or self.normalise(query, block[1]) is None:
            return None
        rationale = reply.rationale if reply else block[0]
        return ParsedReply(rationale or thought, block[1], reply.scores if reply else {})

    def read_answer(self, query: Query, text: str) -> str | None:
        """The code of a completion, as `parse` finds it."""
        parsed = self.parse(query, text)
        return None if parsed is None else parsed.label

    def complete(self, rationale: str, label: str) -> str:
        """The rationale, and the code in a fence, which is longer than any in either."""
        head = rationale.strip()
        fence = "`" * max(_FENCE, 1 + _longest_run(head), 1 + _longest_run(label))
        block = f"{fence}python\n{label}\n{fence}"
        return f"{head}\n{block}" if head else block

    def split_completion(self, text: str) -> tuple[str, str]:
        """What stands before the fence that ends the text, and what is in it; of other texts, what their code is."""
        fence = text[len(text.rstrip("`")) :]
        opening, close = f"{fence}python\n", f"\n{fence}"
        begin = text.rfind(opening, 0, len(text) - len(close) + 1) if len(fence) >= _FENCE else -1
        if begin == 0 or (begin > 0 and text[begin - 1] == "\n"):
            return text[:begin].strip(), text[begin + len(opening) : len(text) - len(close)]
        block = find_code(text)
        return block if block and block[0] in text and block[1] in text else (text.strip(), "")

    def normalise(self, query: Query, label: str) -> str | None:
        """The code without comments, docstrings and layout: equal strings do the same. What it does is not looked at:
        that takes running it, as `find_keys` does."""
        return rewrite_code(label)

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Whether the code passes the visible tests and the hidden ones, in a sandbox."""
        return next(self.verify_many([(query, label, gold)]))

    def require(self) -> None:
        """See to it that there is a sandbox.

        Raises:
            MissingPart: if there is none; the message says what to install.
        """
        pick()

    def verify_many(self, cases: Iterable[tuple[Query, str, str]]) -> Iterator[bool]:
        """As `verify`, many at a time. Where a gold label is a key of `find_keys`, whether the code does the same."""
        for query, _, gold, outcome in self.run_cases(cases):
            known = _read_gold(gold)
            yield outcome.status == Status.PASSED if known is not None else _key(query, outcome) == gold

    def run_cases(self, cases: Iterable[tuple[Query, str, str]]) -> Iterator[tuple[Query, str, str, ProgramOutcome]]:
        """Cases of query, code and gold label, each with what became of it."""
        asked = list(cases)
        programs = [_make_program(query, label, _read_gold(gold)) for query, label, gold in asked]
        for case, outcome in zip(asked, run_programs(programs, pick()), strict=True):
            yield (*case, outcome)

    def find_keys(self, cases: Iterable[tuple[Query, str]]) -> Iterator[str]:
        """What each label does on the inputs of the visible tests, as a key: equal where all outputs are.

        A label that gives no output there is equal to none but those of the same text.
        """
        for query, label, _, outcome in self.run_cases((query, label, "") for query, label in cases):
            yield _key(query, outcome) or f"{_DID_NOT} {hash_id('code', rewrite_code(label) or label)}"

    def is_settled(self, key: str) -> bool:
        """Whether a sample's key is one of `find_keys`, and not of `normalise`."""
        return key.startswith((f"{_RAN} ", f"{_DID_NOT} ")) and "\n" not in key and key.count(" ") == 1


def _key(query: Query, outcome: ProgramOutcome) -> str | None:
    outputs = outcome.outputs
    if not outputs or all(output.startswith("raises ") or not output for output in outputs):
        return None
    return f"{_RAN} {hash_id('outputs', query.id, outputs)}"


def _make_program(query: Query, label: str, gold: Mapping[str, Any] | None) -> Program:
    tests, name, setup = _tests(query), str(query.extra.get("name", "")), str(query.extra.get("setup", ""))
    if gold is None:
        return Program(query.id, label, setup=setup, calls=find_calls(tests, name), names=(name,) if name else ())
    every = tuple(dict.fromkeys([*tests, *gold["tests"]]))
    return Program(query.id, label, every, setup, names=_find_names(name, str(gold.get("code", ""))))


def _find_names(name: str, reference: str) -> tuple[str, ...]:
    """What an answer is to define: what the reference code does, so that it can't bring what tests compare with.

    Names of Python's own stay Python's, unless the function itself has one. Without a reference the tests tell.
    """
    known = {own for own in bound_names(reference) if not hasattr(builtins, own)}
    return tuple(sorted(known | {name})) if known and name else ()


def _tests(query: Query) -> tuple[str, ...]:
    return tuple(str(test) for test in query.extra.get("tests", ()))


def _read_gold(gold: str) -> dict[str, Any] | None:
    """What `read_gold` wrote; None of a key."""
    try:
        known = json.loads(gold)
    except ValueError:
        return None
    return known if isinstance(known, dict) and isinstance(known.get("tests"), list) else None


def _split_tests(cells: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Visible and hidden tests of a row."""
    name = plain_text(cells["entry"]) if "entry" in cells else ""
    every, visible = _read_tests(cells, "tests", name), _read_tests(cells, "visible", name)
    hidden = [*_read_tests(cells, "hidden", name), *_read_tests(cells, "challenge", name)]
    if not visible:
        visible, every = every[:1], every[1:]
    return tuple(visible), tuple(dict.fromkeys(test for test in [*every, *hidden] if test not in visible))


def _read_tests(cells: Mapping[str, Any], role: str, name: str) -> list[str]:
    value = cells.get(role)
    if isinstance(value, str):
        value = _read_list(value)
    if value is None:
        return []
    if not isinstance(value, Sequence):
        raise InputError(f"the column of {role} tests holds neither a text nor a list of texts")
    tests = [str(test).strip() for test in value if not is_missing(test) and str(test).strip()]
    for place, test in enumerate(tests, 1):
        if parse_code(test) is None:
            raise InputError(f"{role} test {place} is no Python: {test[:60]!r}")
    return [_call_check(test, name) for test in tests]


def _read_list(text: str) -> Any:
    """Tests in one cell: a list as JSON or Python writes it, lines of asserts, or one piece of code."""
    head = text.strip()
    if head.startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                tests = read(head)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(tests, list):
                return tests
    lines = [line for line in head.splitlines() if line.strip()]
    return lines if all(line.startswith("assert ") and parse_code(line) for line in lines) else [head]


def _call_check(test: str, name: str) -> str:
    """A test that defines `check(candidate)` and does not call it, as HumanEval's, with the call."""
    tree = parse_code(test)
    bodies = tree.body if tree is not None else []
    defines = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in bodies)
    calls = any(isinstance(node, ast.Name) and node.id == "check" for body in bodies for node in ast.walk(body))
    return f"{test}\ncheck({name})" if defines and not calls and name else test


def _read_setup(cells: Mapping[str, Any]) -> str:
    value = cells.get("setup")
    lines = [str(line) for line in value] if isinstance(value, list) else [str(value)] if value is not None else []
    setup = "\n".join(lines).replace("\r\n", "\n").strip()
    if setup and parse_code(setup) is None:
        raise InputError("the setup of its tests is no Python")
    return setup


def _longest_run(text: str) -> int:
    """The longest run of backticks."""
    longest = current = 0
    for char in text:
        current = current + 1 if char == "`" else 0
        longest = max(longest, current)
    return longest


TASKS.add("code", CodeTask())
