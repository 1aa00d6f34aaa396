"""Bubblewrap: this CPython in namespaces of its own, with nothing of this machine's but its libraries, read-only.

It sees no file that can be written, no /proc, no network, no environment. Every start has its own process namespace, so
that whatever it left behind ends with it. The number of processes and threads is one: the limit holds since the kernel
counts them for a user who is not root; where this process is root, the script becomes nobody first.
"""

from __future__ import annotations

import marshal
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from functools import cache
from pathlib import Path
from types import CodeType

from engine.errors import MissingPart
from engine.sandbox.base import SANDBOXES, Ran, SandboxLimits, Status

_SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store")
_NOBODY = 65534
_BOOT = """
import marshal, os, resource, sys
def limit(kind, most):
    resource.setrlimit(kind, (most, most))
limit(resource.RLIMIT_AS, {memory})
limit(resource.RLIMIT_CPU, {cpu})
limit(resource.RLIMIT_FSIZE, 0)
limit(resource.RLIMIT_CORE, 0)
limit(resource.RLIMIT_NOFILE, 64)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({nobody})
    os.setuid({nobody})
limit(resource.RLIMIT_NPROC, 1)
library, script = marshal.load(sys.stdin.buffer)
os.close(0)
space = {{"__name__": "guest", "__builtins__": __builtins__}}
exec(library, space)
exec(compile(script, "<guest>", "exec"), space)
"""
_CHUNK = 65_536
_LINE = 300


class Bubblewrap:
    """See the module."""

    title = "bubblewrap"
    rank = 2
    lanes = 3
    install = "install the package bubblewrap of your Linux, as by `apt install bubblewrap`"

    def missing(self) -> str:
        """What is not on this machine."""
        if sys.platform != "linux":
            return "it needs Linux"
        if shutil.which("bwrap") is None:
            return "the program bwrap is not installed"
        return "" if find_python() else f"there is no interpreter under {sys.base_prefix}"

    def run(self, script: str, limits: SandboxLimits, library: str = "") -> Ran:
        """Run a script in namespaces of its own."""
        boot = _BOOT.format(memory=limits.memory_bytes, cpu=int(limits.seconds) + 1, nobody=_NOBODY)
        started = time.monotonic()
        with tempfile.TemporaryFile() as file:
            file.write(marshal.dumps((_compile(library), script)))
            file.seek(0)
            try:
                process = subprocess.Popen(
                    [*_command(), boot],
                    stdin=file,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise MissingPart(f"bwrap can't be started: {error.strerror}") from error
        try:
            printed, ended = _listen(process, limits.output_bytes, started + limits.seconds)
        finally:
            _end(process)
        seconds = time.monotonic() - started
        if ended is None and process.returncode:
            ended = Status.TIMEOUT if process.returncode == 128 + signal.SIGXCPU else Status.ERROR
        return Ran(printed, ended, "" if ended is None else _say(ended, printed, process.returncode, limits), seconds)


def _say(ended: Status, printed: bytes, code: int, limits: SandboxLimits) -> str:
    if ended == Status.TIMEOUT:
        return f"it took longer than {limits.seconds:g} s"
    if ended == Status.OUTPUT:
        return f"it printed more than {limits.output_bytes} bytes"
    lines = printed.decode("utf-8", "replace").strip().splitlines()
    return f"its process ended with {code}{': ' + lines[-1][:_LINE] if lines else ''}"


def _listen(process: subprocess.Popen[bytes], most: int, until: float) -> tuple[bytes, Status | None]:
    """What it prints until it ends, and whether that was too late or too much."""
    pipe, printed = process.stdout, bytearray()
    while pipe is not None and len(printed) <= most:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return bytes(printed), Status.TIMEOUT
        piece = os.read(pipe.fileno(), _CHUNK)
        if not piece:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:  # it closed its output and goes on
                return bytes(printed), Status.TIMEOUT
            return bytes(printed), None
        printed += piece
    return bytes(printed), Status.OUTPUT


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left: bwrap is the parent of its process namespace, which ends with it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@cache
def _compile(library: str) -> CodeType:
    return compile(library, "<guest>", "exec", dont_inherit=True)


@cache
def _command() -> tuple[str, ...]:
    """The command before the boot text."""
    said = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    prefix, python = Path(os.path.realpath(sys.base_prefix)), find_python()
    library = Path(os.path.realpath(sysconfig.get_path("stdlib")))
    if python is None or not library.is_relative_to(prefix):
        raise MissingPart(f"there is no whole Python under {prefix}")
    packages = Path("/python", library.relative_to(prefix), "site-packages")
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--die-with-parent", "--new-session", "--clearenv", "--setenv", "LD_LIBRARY_PATH", "/python/lib"]
    command += ["--setenv", "PYTHONHASHSEED", "0"]
    command += ["--cap-drop", "ALL"]
    if _is_root():
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
        command += ["--disable-userns"] if "--disable-userns" in said.stdout + said.stderr else []
    for place in _SYSTEM:
        command += ["--ro-bind-try", place, place]
    command += ["--ro-bind", str(prefix), "/python"]
    command += ["--tmpfs", str(packages)] if (prefix / packages.relative_to("/python")).is_dir() else []
    command += ["--dev-bind", "/dev/null", "/dev/null", "--chdir", "/", "--remount-ro", "/"]
    return (*command, str(Path("/python", python.relative_to(prefix))), "-P", "-s", "-S", "-B", "-X", "utf8", "-c")


def find_python() -> Path | None:
    """The interpreter in the installation that this one belongs to; a virtual environment may hold a copy of it."""
    prefix = Path(os.path.realpath(sys.base_prefix))
    own = Path(os.path.realpath(sys.executable))
    usual = prefix / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next((path for path in (own, usual) if path.is_relative_to(prefix) and path.is_file()), None)


def _is_root() -> bool:
    """Whether this is the machine's root, or a container's that is, and no mere user in a namespace of their own."""
    outside = Path("/proc/self/uid_map").read_text("utf-8").split()
    return os.geteuid() == 0 and outside[:2] == ["0", "0"]


SANDBOXES.add("bubblewrap", Bubblewrap())
