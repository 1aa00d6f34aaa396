"""Programs of ours from a process that has imported everything already: each is a fork of it, with its own arguments,
environment, folder, session and files. Tests start hundreds of commands and workers; without this, most of their time
would go into importing the same modules again.

Run as `python -m tests.fakes.preloaded SOCKET MODULE ...`; it ends with whoever started it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
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


class Preloaded:
    """A process that has imported some modules, and runs a module's main program whenever it is asked to."""

    def __init__(self, path: Path, modules: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """`path` of its socket."""
        self.path = path
        command = [sys.executable, "-P", "-m", "tests.fakes.preloaded", str(path), *modules]
        own = {**(os.environ if env is None else env), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=own)
        while not path.exists():
            assert self._process.poll() is None, "it could not import what it was given"
            time.sleep(0.02)

    def __enter__(self) -> Preloaded:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def write_client(self, client: Path) -> None:
        """Write a program that does what `tacit` does."""
        client.write_text(_CLIENT.format(python=sys.executable, path=str(self.path)), "utf-8")
        client.chmod(0o755)

    def start(self, module: str, words: Sequence[str], files: Sequence[int], env: Mapping[str, str]) -> int:
        """Start a module as a program with these files as its standard ones; its process's id."""
        asked = json.dumps([module, list(words), os.getcwd(), dict(env)]).encode()
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self.path))
            socket.send_fds(server, [len(asked).to_bytes(8, "big")], list(files))
            server.sendall(asked)
            return int.from_bytes(server.recv(8), "big")


def serve(path: str, modules: Sequence[str]) -> None:
    """Answer one request after the other."""
    starter = os.getppid()
    for name in modules:
        import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)
        asking: dict[int, socket.socket] = {}
        listener.settimeout(0.02)
        while os.getppid() == starter:  # else nobody is left to ask
            with suppress(TimeoutError):
                client, _ = listener.accept()
                client.setblocking(True)
                pid = _run(client, listener)
                client.sendall(pid.to_bytes(8, "big"))
                asking[pid] = client
            with suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                    client = asking.pop(ended[0])
                    with suppress(OSError):  # who started a worker does not wait for its end
                        client.sendall(os.waitstatus_to_exitcode(ended[1]).to_bytes(8, "big", signed=True))
                    client.close()


def _run(client: socket.socket, listener: socket.socket) -> int:
    """Fork a child that runs what is asked for; its process's id."""
    size, files, _, _ = socket.recv_fds(client, 8, 3)
    data = b""
    while len(data) < int.from_bytes(size, "big"):
        data += client.recv(2**20)
    child = os.fork()
    if child:
        for file in files:
            os.close(file)
        return child
    module, words, folder, environment = json.loads(data)
    client.close()
    listener.close()
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *words]
    os._exit(_call(module))


def _call(module: str) -> int:
    code: object = 1
    try:
        if module == "app":
            code = import_module("app.cli.main").main()
        else:
            code = import_module(module).main(Path(sys.argv[1]))
    except SystemExit as error:
        code = error.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
