"""Who passes, and who only says so. Run in every sandbox of this machine, and in a plain interpreter, where what is run
is harmless: that an answer can't fake a pass does not depend on what holds it in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import MissingPart
from engine.sandbox import (
    SANDBOXES,
    Program,
    ProgramOutcome,
    Sandbox,
    SandboxLimits,
    Status,
    available,
    pick,
    run_program,
)
from engine.sandbox.base import try_out
from engine.sandbox.bubblewrap import find_python
from engine.sandbox.guest.plain import as_json, decode, encode, show
from tests.fakes.answers import FAKE, FAKES, FAKES_OF_TESTS, RIGHT, SPOOF, SQUARE
from tests.fakes.open_sandbox import OpenSandbox

PLACES: dict[str, Sandbox] = {"open": OpenSandbox(), **{name: SANDBOXES[name] for name in available()}}


@pytest.fixture(params=PLACES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return PLACES[request.param]


def judge(sandbox: Sandbox, code: str, *tests: str, **more: object) -> ProgramOutcome:
    program = Program("one", code, tests or SQUARE, limits=SandboxLimits(seconds=20), **more)  # type: ignore[arg-type]
    return run_program(program, sandbox)


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(sandbox: Sandbox, case: str) -> None:
    code, tests = RIGHT[case]
    outcome = judge(sandbox, code, *tests)
    assert (outcome.status, outcome.message) == (Status.PASSED, "")


@pytest.mark.parametrize("case", FAKES)
def test_a_pass_can_not_be_faked(sandbox: Sandbox, case: str) -> None:
    outcome = judge(sandbox, FAKES[case].replace("@SPOOF@", SPOOF).replace("@FAKE@", repr(FAKE)))
    assert outcome.status != Status.PASSED
    assert outcome.message
    assert judge(sandbox, RIGHT["plain"][0]).status == Status.PASSED


@pytest.mark.parametrize("case", FAKES_OF_TESTS)
def test_tests_compare_with_what_is_theirs(sandbox: Sandbox, case: str) -> None:
    code, test = FAKES_OF_TESTS[case]
    assert judge(sandbox, code, test, setup="WANT = 9").status in (Status.FAILED, Status.ERROR)


def test_tests_that_leave_before_their_end_are_no_pass(sandbox: Sandbox) -> None:
    outcome = judge(sandbox, "def f(n): return 1", "f(1)\nimport os\nos._exit(0)")
    assert (outcome.status, "before their verdict" in outcome.message) == (Status.ERROR, True)


def test_an_answer_without_tests_has_passed_nothing(sandbox: Sandbox) -> None:
    assert run_program(Program("one", "def f(): return 1"), sandbox).status == Status.FAILED


def test_a_failure_says_what_the_answer_gave(sandbox: Sandbox) -> None:
    outcome = judge(sandbox, "def f(n): return n + 2", "assert f(2) == 4", "assert f(3) == 9")
    assert (outcome.status, outcome.message) == (Status.FAILED, "assert f(3) == 9: the answer gave 5")


def test_outputs_are_equal_where_the_values_are(sandbox: Sandbox) -> None:
    calls = ("f([2, 1])", "f([])", "f(None)")
    one = judge(sandbox, "def f(xs): return {x: str(x) for x in xs}", "assert f([]) == {}", calls=calls)
    two = judge(sandbox, "def f(xs): return dict((x, str(x)) for x in sorted(xs))", "assert f([]) == {}", calls=calls)
    assert one.outputs == two.outputs == ("dict({1: '1', 2: '2'})", "dict({})", "raises TypeError")


def test_setup_may_need_the_code_and_the_code_the_setup(sandbox: Sandbox) -> None:
    node = "class Node:\n    def __init__(self, value): self.value, self.next = value, None\n"
    tests = ("assert f(root) == 2", "assert root.next.value == 5")
    count = "def f(node): return 1 + (f(node.next) if node.next else 0)"
    setup = "root = Node(1)\nroot.next = Node(5)"
    assert judge(sandbox, f"{node}{count}", *tests, setup=setup).status == Status.PASSED
    assert judge(sandbox, count, *tests, setup=f"{node}{setup}").status == Status.PASSED
    root = judge(sandbox, "def f(n): return sqrt(n)", "assert f(4) == 2", setup="from math import sqrt")
    assert root.status == Status.PASSED


def test_plain_data_comes_through_as_it_was() -> None:
    values = [
        *(None, True, -3, 10**5000, 1.5, 1j, 'a"\\\n\u00e9\ud800\U0001f600', b"\x00", bytearray(b"x"), range(1, 9, 2)),
        *([1, [2]], (1,), {1, 2}, frozenset("a"), {"a": {1: (2,)}}, {"k": 1}.keys(), {1: 2}.items()),
    ]
    for value in values:
        back = decode(encode(value, None), None)
        assert (back, type(back)) == (value, type(value))
    assert as_json(['a"\\\n\u00e9\U0001f600', None, True, {"x": [False]}]) == (
        '["a\\u0022\\u005c\\u000a\\u00e9\\ud83d\\ude00",null,true,{"x":[false]}]'
    )
    assert show({"b": {2, 1}, "a": [1.0]}) == "dict({'a': list(1.0), 'b': set({1, 2})})"


def test_without_a_sandbox_nothing_is_run_and_what_to_install_is_said() -> None:
    with pytest.raises(MissingPart) as caught:
        pick(lambda name: "it is not here")
    for part in ("bubblewrap: it is not here", "apt install bubblewrap", "tacit-studio[code]", "Nothing was run"):
        assert part in str(caught.value)


def test_a_sandbox_that_lets_anything_through_is_not_used() -> None:
    said = try_out(OpenSandbox())
    for part in ("file", "writing", "process", "thread", "network"):
        assert part in said


class Broken(OpenSandbox):
    def run(self, script: str, limits: SandboxLimits, library: str = "") -> object:  # type: ignore[override]
        raise MissingPart("there is no kernel")


def test_a_sandbox_that_does_not_start_says_why() -> None:
    assert try_out(Broken()) == "there is no kernel"  # type: ignore[arg-type]


def test_the_interpreter_is_the_installations_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/env/bin/python")
    found = find_python()
    assert found is not None and found.is_relative_to(Path(sys.base_prefix).resolve())


def test_the_best_that_works_is_taken() -> None:
    assert pick(lambda name: "").title == "wasm"
    assert pick(lambda name: "no" if name == "wasm" else "").title == "bubblewrap"
