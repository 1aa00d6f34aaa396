"""No sandbox at all: runs our own harmless scripts in a plain interpreter, where there may be no other."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from engine.sandbox import Ran, SandboxLimits, Status


class OpenSandbox:
    title = "none"
    rank = 9
    lanes = 1
    install = "nothing"

    def missing(self) -> str:
        return ""

    def run(self, script: str, limits: SandboxLimits, library: str = "") -> Ran:
        started = time.monotonic()
        text = f"{library}\n{script}"
        command = [sys.executable, "-P", "-s", "-S", "-B", "-c", "import sys; exec(sys.stdin.read())"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=limits.seconds, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            return Ran(b"", Status.TIMEOUT, "too long", time.monotonic() - started)
        ended = Status.ERROR if done.returncode else None
        return Ran(done.stdout, ended, f"ended with {done.returncode}", time.monotonic() - started)
