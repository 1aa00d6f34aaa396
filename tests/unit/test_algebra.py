from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.tasks.algebra import Algebra, AlgebraError
from engine.tasks.expressions import read_expression

ENDLESS = "{9}^{{9}^{{9}^{9}}}"


@pytest.fixture
def algebra() -> Iterator[Algebra]:
    algebra = Algebra(seconds=3)
    yield algebra
    algebra.close()


def test_an_expression_that_takes_too_long_is_given_up_and_the_next_is_answered(algebra: Algebra) -> None:
    assert algebra.ask("(x_{120}+1)-1") == "x"
    algebra.seconds = 1
    started = time.monotonic()
    assert algebra.ask(ENDLESS) is None
    assert time.monotonic() - started < 5
    algebra.seconds = 20
    assert algebra.ask("(x_{120}+1)-1") == "x"


def test_a_process_that_was_killed_is_started_anew(algebra: Algebra) -> None:
    assert algebra.ask("x_{120} \\cdot 2") == "2*x"
    assert algebra._process is not None
    algebra._process.kill()
    algebra._process.wait()
    assert algebra.ask("x_{120} \\cdot 2") == "2*x"


def test_threads_share_one_process_and_get_their_own_answers(algebra: Algebra) -> None:
    algebra.seconds = 30
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: algebra.ask(f"(x_{{120}}) \\cdot {n}"), range(2, 34)))
    assert answers == [f"{n}*x" for n in range(2, 34)]


def test_where_no_process_can_start_this_is_told(algebra: Algebra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(AlgebraError):
        algebra.ask("x_{120}+1")


def _children(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)


PRINTS_ITS_PROCESS = (
    "from engine.tasks import get_task, algebra; from engine.values import make_query\n"
    "task, query = get_task('math'), make_query('?')\n"
    "assert task.verify(query, '2x + x', '3x')\n"
    "print(algebra._ALGEBRA._process.pid, flush=True)\n"
)


@pytest.mark.parametrize(
    "end", ["", "import os; os._exit(1)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_no_process_is_left_behind_and_nothing_is_printed(end: str) -> None:
    done = subprocess.run([sys.executable, "-c", PRINTS_ITS_PROCESS + end], capture_output=True, text=True, timeout=60)
    process = int(done.stdout)
    assert done.stderr == ""
    deadline = time.monotonic() + 10
    while _alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_numbers_import_no_computer_algebra_and_start_no_process() -> None:
    code = (
        "import sys; from engine.tasks import get_task, algebra; from engine.values import make_query\n"
        "task, query = get_task('math'), make_query('?')\n"
        "assert task.verify(query, '(14 - 5).', '9') and task.verify(query, 'half of 12 km', '6.0')\n"
        "assert algebra._ALGEBRA._process is None\n"
        "print([name for name in ('sympy', 'math_verify', 'torch') if name in sys.modules])\n"
    )
    assert _children(code).stdout == "[]\n"


@pytest.mark.parametrize(
    "text",
    [
        *("10**10**10", "9^{9^{9^9}}", "99999!", "x^{99999999}", "(x+1)^{999}", "(x+y+z+w)^{99}", "((x^20)^20)^20"),
        *("\\binom{999999999}{99999999}", "9" * 190, "(" * 90 + "x" + ")" * 90, "\\Gamma(99999999)", "x" * 190),
        *("(a+b)(c+d)(a+b)(c+d)(a+b)(c+d)(a+b)(c+d)(a+b)(c+d)", "\\sqrt{" * 30 + "x" + "}" * 30, "2^{2^{x^{2}}}"),
    ],
)
def test_the_grammar_refuses_at_once_what_would_be_large(text: str) -> None:
    started = time.perf_counter()
    assert read_expression(text) is None
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    "text",
    [
        *("not 5 but 6x", "cat + 3", "7x = 14", "3 + 2i", "(3, 4)", "[2, 5)", "{1, 2}", "x > 3", "5am", "12 qt", "x 5"),
        *("3-4", "7 - 10", "14 - 5", "x", "ab", "x = y", "x +", "+", "(x", "x)", "\\text{no} x", "2x or 3x", "--x"),
    ],
)
def test_what_is_no_real_expression_is_refused(text: str) -> None:
    assert read_expression(text) is None
