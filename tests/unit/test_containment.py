"""What hostile code can do to this machine: nothing. Each attempt is made in every sandbox that can be used here; where
there is none it has to be refused, which is the other way of doing no harm."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import MissingPart
from engine.sandbox import (
    SANDBOXES,
    Program,
    ProgramOutcome,
    SandboxLimits,
    Status,
    available,
    run_program,
    run_programs,
)

ANY = available() or ("none",)
LIMITS = SandboxLimits(seconds=8, memory_bytes=300 * 2**20, output_bytes=2**20)
SHORT = SandboxLimits(seconds=2, memory_bytes=300 * 2**20, output_bytes=2**20)


@pytest.fixture(params=ANY)
def sandbox(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def attempt(sandbox: str, code: str, expression: str = "f()", limits: SandboxLimits = LIMITS) -> ProgramOutcome:
    """What becomes of a hostile answer whose `f` is called."""
    program = Program("hostile", code, (f"assert {expression} == 'done'",), limits=limits)
    try:
        return run_program(program, SANDBOXES[sandbox] if sandbox != "none" else None)
    except MissingPart as error:
        return ProgramOutcome("hostile", Status.REFUSED, str(error))


FAILED = (Status.FAILED, Status.ERROR, Status.REFUSED)


def test_a_fork_bomb_starts_no_second_process(sandbox: str) -> None:
    code = "import os\ndef f():\n    for _ in range(50): os.fork()\n    return 'done'"
    before = len(psutil.pids())
    assert attempt(sandbox, code).status in FAILED
    assert len(psutil.pids()) < before + 40


def test_a_fork_bomb_that_never_gives_up_ends_in_time(sandbox: str) -> None:
    code = "import os\ndef f():\n    while True:\n        try: os.fork()\n        except BaseException: pass"
    started = time.monotonic()
    assert attempt(sandbox, code, limits=SHORT).status in (Status.TIMEOUT, Status.REFUSED)
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    xs = []\n    while True: xs.append(bytearray(10_000_000))",
        "def f(): return len('x' * (2 * 10**9))",
        "xs = [0] * (10**9)\ndef f(): return 'done'",
    ],
)
def test_a_memory_bomb_is_held_by_its_limit(sandbox: str, code: str) -> None:
    outcome = attempt(sandbox, code)
    assert outcome.status in (Status.MEMORY, Status.ERROR, Status.REFUSED)


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    while True: print('x' * 100_000)",
        "import os\ndef f():\n    while True: os.write(1, b'x' * 100_000)",
        "import os\ndef f():\n    while True: os.write(2, b'x' * 100_000)",
        "def f(): return ['x' * 1000] * 10_000",
    ],
)
def test_endless_output_is_cut_off(sandbox: str, code: str) -> None:
    outcome = attempt(sandbox, code)
    assert outcome.status in (Status.OUTPUT, Status.TIMEOUT, Status.MEMORY, *FAILED)
    assert len(outcome.message) < 1000


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    while True: pass",
        "while True: pass",
        "import time\ndef f(): time.sleep(1000)",
        "import re\ndef f(): re.match('(a+)+$', 'a' * 60 + 'b')",
        "def f(): return str(7 ** (10 ** 8))[:1]",
        "import signal\ndef f():\n    for n in range(1, 60):\n        try: signal.signal(n, signal.SIG_IGN)\n"
        "        except BaseException: pass\n    while True: pass",
        "import os\ndef f():\n    os.close(1); os.close(2)\n    while True: pass",
    ],
)
def test_an_endless_loop_ends_in_time(sandbox: str, code: str) -> None:
    started = time.monotonic()
    assert attempt(sandbox, code, limits=SHORT).status in (Status.TIMEOUT, Status.ERROR, Status.REFUSED)
    assert time.monotonic() - started < 40


def test_nothing_outside_can_be_written(sandbox: str, tmp_path: Path) -> None:
    target = tmp_path / "written"
    places = [str(target), "/tmp/tacit-was-here", "/tacit-was-here", "/dev/shm/tacit-was-here", "tacit-was-here"]
    code = (
        "def f():\n    managed = []\n"
        f"    for place in {places!r}:\n"
        "        try:\n            open(place, 'w').write('x'); managed.append(place)\n        except OSError: pass\n"
        "    return 'done' if managed else 'nothing'"
    )
    assert attempt(sandbox, code).status in FAILED
    assert [place for place in places if Path(place).exists()] == []


def test_files_and_environment_can_not_be_read(sandbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-secret-of-this-machine", "utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-this-machine")
    places = [str(secret), "/etc/passwd", "/etc/shadow", "/proc/self/environ", "/proc/1/environ", "/proc/1/cmdline"]
    places += [str(Path(__file__)), str(Path.home() / ".bashrc"), "/dev/mem", "/dev/sda"]
    code = (
        "import os\ndef f():\n    found = [value for value in os.environ.values() if 'sk-secret' in value]\n"
        f"    for place in {places!r}:\n"
        "        try:\n            found.append(open(place, 'rb').read(10))\n        except OSError: pass\n"
        "    return 'done' if found else 'nothing'"
    )
    outcome = attempt(sandbox, code)
    assert outcome.status in FAILED
    assert sandbox == "none" or "gave 'nothing'" in outcome.message


def test_the_network_can_not_be_reached(sandbox: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        local = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(local))
            unix.listen()
            code = (
                "import socket\ndef f():\n"
                f"    for family, address in ((socket.AF_INET, ('127.0.0.1', {server.getsockname()[1]})), "
                f"(socket.AF_INET, ('1.1.1.1', 53)), (getattr(socket, 'AF_UNIX', 1), {str(local)!r})):\n"
                "        try:\n            s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(1)\n"
                "            s.connect(address)\n            return 'done'\n        except BaseException: pass\n"
                "    return 'nothing'"
            )
            outcome = attempt(sandbox, code)
        server.settimeout(0.01)
        with pytest.raises(TimeoutError):
            server.accept()
    assert outcome.status in FAILED


def test_signals_reach_nobody(sandbox: str) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    got: list[int] = []
    handlers = {
        number: signal.signal(number, lambda n, frame: got.append(n)) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        code = (
            "import os\ndef f():\n    managed = []\n"
            f"    for pid in (os.getppid() if hasattr(os, 'getppid') else 0, {os.getpid()}, {bystander.pid}):\n"
            "        for number in (15, 1, 9):\n"
            "            try:\n"
            "                if pid > 1: os.kill(pid, number); managed.append(pid)\n"
            "            except BaseException: pass\n"
            "    return 'done' if managed else 'nothing'"
        )
        assert attempt(sandbox, code).status in FAILED
        assert (bystander.poll(), got) == (None, [])
    finally:
        bystander.kill()
        bystander.wait()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_what_it_started_does_not_outlive_it(sandbox: str) -> None:
    code = (
        "import threading, time, os, subprocess\ndef wait():\n    while True: time.sleep(0.1)\n"
        "def f():\n"
        "    for start in (lambda: threading.Thread(target=wait).start(), "
        "lambda: subprocess.Popen(['/python/bin/python3', '-c', 'import time; time.sleep(600)'])):\n"
        "        try: start()\n        except BaseException: pass\n"
        "    return 'nothing'"
    )
    started = time.monotonic()
    assert attempt(sandbox, code).status in (*FAILED, Status.TIMEOUT)
    assert time.monotonic() - started < 40
    assert children("bwrap") == []


def test_it_ends_with_whoever_asked_for_it(sandbox: str) -> None:
    code = (
        "from engine.sandbox import *\nprint('on', flush=True)\n"
        "program = Program('one', 'while True: pass', ('assert f()',), limits=Limits(seconds=100))\n"
        f"run_program(program, SANDBOXES[{sandbox!r}] if {sandbox != 'none'} else None)"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert asking.stdout is not None
    asking.stdout.readline()
    time.sleep(2)
    started = psutil.Process(asking.pid).children(recursive=True)
    asking.kill()
    asking.wait()
    asking.stdout.close()
    assert psutil.wait_procs(started, timeout=10)[1] == []


def children(name: str) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name() == name]


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n=0): return f(n + 1)",
        "import faulthandler\ndef f(): faulthandler._sigsegv()",
        "import os\ndef f(): os.abort()",
    ],
)
def test_a_crash_of_its_interpreter_is_its_own(sandbox: str, code: str) -> None:
    assert attempt(sandbox, code, limits=SHORT).status in (Status.TIMEOUT, Status.MEMORY, *FAILED)
    assert attempt(sandbox, "def f(): return 'done'").status in (Status.PASSED, Status.REFUSED)


def test_one_answer_knows_nothing_of_another(sandbox: str) -> None:
    leave = (
        "import builtins, sys\nbuiltins.left = sys.left = 'done'\n"
        "try: open('/data/left', 'w').write('done')\nexcept OSError: pass\ndef f(): return 'done'"
    )
    find = (
        "import builtins, sys, os\nseen = hasattr(builtins, 'left') or hasattr(sys, 'left')\n"
        "def f(): return 'done' if seen or os.path.exists('/data/left') else 'no'"
    )
    assert [attempt(sandbox, code).status for code in (leave, find)] in (
        [Status.PASSED, Status.FAILED],
        [Status.REFUSED, Status.REFUSED],
    )


def test_many_run_side_by_side_and_come_back_in_order(sandbox: str) -> None:
    bodies = ["'done'", "'wrong'", "1 // 0"] * 5
    programs = [
        Program(str(place), f"def f(): return {body}", ("assert f() == 'done'",)) for place, body in enumerate(bodies)
    ]
    try:
        outcomes = list(run_programs(programs, SANDBOXES[sandbox] if sandbox != "none" else None, lanes=3))
    except MissingPart:
        outcomes = [ProgramOutcome(program.id, Status.REFUSED) for program in programs]
    assert [outcome.id for outcome in outcomes] == [program.id for program in programs]
    assert [outcome.status for outcome in outcomes] in (
        [Status.PASSED, Status.FAILED, Status.ERROR] * 5,
        [Status.REFUSED] * 15,
    )
