"""Programs of ours from a process that has imported everything already: each is a fork of it, with its own arguments,
environment, folder, session and files. Tests start hundreds of commands and workers; without this, most of their time
would go into importing the same modules again.

Run as `python -m tests.fakes.preloaded SOCKET WATCHED MODULE ...`; it ends with the process whose id is WATCHED.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module
from typing import IO, Any

from engine.registry import Registry

ROOT = Path(__file__).parents[2]
Process = subprocess.Popen[Any]
_CLIENT = """#!{python} -IS
import json, os, socket, sys
asked = json.dumps(["app", sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    server.recv(8)
    said = server.recv(8)
sys.exit(int.from_bytes(said, "big", signed=True) if said else 70)
"""


def preload(path: Path, modules: Sequence[str], watched: int, env: Mapping[str, str] | None = None) -> Process:
    """Start a process that imports some modules, and then runs a module as a program whenever it is asked to.

    `path` of its socket; it ends with the process whose id is `watched`.
    """
    command = [sys.executable, "-P", "-m", "tests.fakes.preloaded", str(path), str(watched), *modules]
    own = {**(os.environ if env is None else env), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=own, start_new_session=True)


def begun(path: Path) -> Path:
    """The file that says that a process is importing, or has imported, what will be asked for at this socket."""
    return path.with_name(f"{path.name}.begun")


def write_client(client: Path, server: Path) -> None:
    """Write a program that does what `tacit` does, as a fork of the process with this socket."""
    client.write_text(_CLIENT.format(python=sys.executable, path=str(server)), "utf-8")
    client.chmod(0o755)


class Fork(subprocess.Popen[Any]):
    """`python -m MODULE WORDS` as `subprocess.Popen` starts it, only that it is a fork of a preloaded process."""

    _asked: socket.socket

    def __init__(self, server: Path, words: Sequence[str], **given: Any) -> None:
        """`server` is the socket's path, `words` the module and its arguments, `given` what `Popen` takes."""
        self._server = str(server)
        super().__init__(list(words), **given)

    def _execute_child(self, *given: Any) -> None:
        (module, *words), folder, env = given[0], given[5], given[6]
        from_us, to_us, errors = (given[place] for place in (10, 13, 15))
        asked = json.dumps(
            [module, words, str(folder or os.getcwd()), dict(os.environ if env is None else env)]
        ).encode()
        files = [own if file == -1 else file for own, file in enumerate((from_us, to_us, errors))]
        self._asked = socket.socket(socket.AF_UNIX)
        try:
            self._asked.connect(self._server)
            socket.send_fds(self._asked, [len(asked).to_bytes(8, "big")], files)
            self._asked.sendall(asked)
            self.pid = int.from_bytes(self._asked.recv(8), "big")
            self._child_created = True
        finally:
            self._close_pipe_fds(*given[10:16])  # type: ignore[attr-defined]

    def leave(self) -> int:
        """Go on without waiting for its end; its process's id."""
        self.returncode = 0
        self._asked.close()
        return self.pid

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._look(0)

    def _wait(self, timeout: float | None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        """How it ended, if it does within so many seconds."""
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None and select.select([self._asked], [], [], timeout)[0]:
                self.returncode = int.from_bytes(self._asked.recv(8), "big", signed=True)
                self._asked.close()
        return self.returncode


def serve(path: str, watched: int, modules: Sequence[str]) -> None:
    """Answer one request after the other."""
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen(64)
        os.rename(f"{path}.new", path)
        asking: dict[int, socket.socket] = {}
        while _is_there(watched):  # else nobody is left to ask
            ready = select.select([listener, woken], [], [], 1)[0]
            if woken in ready:
                os.read(woken, 4096)
            if listener in ready:
                client, _ = listener.accept()
                pid = _run(client, listener)
                if not pid:
                    client.close()
                    continue
                asking[pid] = client
                with suppress(OSError):  # who asked was killed meanwhile: what it began goes on, as a process does
                    client.sendall(pid.to_bytes(8, "big"))
            with suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                    client = asking.pop(ended[0])
                    with suppress(OSError):  # who started a worker does not wait for its end
                        client.sendall(os.waitstatus_to_exitcode(ended[1]).to_bytes(8, "big", signed=True))
                    client.close()


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _run(client: socket.socket, listener: socket.socket) -> int:
    """Fork a child that runs what is asked for; its process's id, or 0 where whoever asks was killed while it did."""
    data, files = _read(client)
    led, leads = os.pipe()
    child = os.fork() if data else 0
    if child or not data:
        os.close(leads)
        os.read(led, 1)  # until it leads a session of its own: who stops it at once stops its whole group
        for file in (led, *files):
            os.close(file)
        return child
    os.setsid()
    os.close(led)
    os.close(leads)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    module, words, folder, environment = json.loads(data)
    here = Path(str(listener.getsockname())).parent
    client.close()
    listener.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        if file > 2:
            os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _find_more(environment.get("PYTHONPATH", "").split(os.pathsep))
    tempfile.tempdir = None
    sys.argv = [module, *words]
    os._exit(_call(module, here))


def _read(client: socket.socket) -> tuple[bytes, list[int]]:
    """What is asked for, and the child's files; of what is broken off nothing."""
    data, files = b"", list[int]()
    with suppress(OSError):
        size, files, _, _ = socket.recv_fds(client, 8, 3)
        while len(data) < int.from_bytes(size, "big"):
            part = client.recv(2**20)
            if not part:
                return b"", files
            data += part
    return data, files


def _find_more(places: Sequence[str]) -> None:
    """Find packages in these places too, and what they bring by entry points."""
    new = [place for place in places if place not in sys.path]
    if new:
        sys.path[:0] = new
        gc.unfreeze()
        for known in gc.get_objects():
            if isinstance(known, Registry):
                known._looked = False


def _call(module: str, here: Path) -> int:
    """Run a module as a program; its exit code. What it starts itself are forks too, where their servers are there."""
    code: object = 1
    try:
        if module == "app":
            import_module("tests.fakes.forks").FORKS.join(here)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*found in sys.modules after import of package", RuntimeWarning)
            run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as an interpreter ends
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    return code if isinstance(code, int) else int(code is not None)


def pass_log(log: IO[bytes]) -> dict[str, Any]:
    """How a worker is started whose output goes to its log."""
    return {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
