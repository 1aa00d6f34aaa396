"""The process behind `engine.sandbox.wasm`: a line with a script in, a line with what became of it out.

It ends when its input does, so nothing is left where its parent was killed. It is started by its path and imports
nothing of the engine.
"""

from __future__ import annotations

import json
import os
import threading
import time
from functools import cache
from typing import Any

_FILES = 1_000_000
_LOOKS_EVERY = 0.5
_MESSAGE = 300
_FLOODS = ("rust_oom", "I/O error")


_COMPILE = "import marshal; print(marshal.dumps(compile({!r}, '<guest>', 'exec')).hex())"
_LOAD = "import marshal; exec(marshal.loads(bytes.fromhex({!r})))\n"


@cache
def _compile(library: str) -> str:
    """A library as bytecode of the Python in the sandbox, which alone knows how to make it: a quarter of the time."""
    import eryx  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only this process needs it

    return str(eryx.Sandbox().execute(_COMPILE.format(library)).stdout_text).strip()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    import eryx  # noqa: PLC0415 - likewise

    limits = eryx.ResourceLimits(
        execution_timeout_ms=int(asked["seconds"] * 1000),
        max_memory_bytes=asked["memory"],
        max_callback_invocations=0,
        max_vfs_bytes=_FILES,
    )
    script = _LOAD.format(_compile(asked["library"])) + asked["script"]
    try:
        printed = eryx.Sandbox(resource_limits=limits).execute(script).stdout
    except eryx.TimeoutError:
        return _tell("", "timeout", "")
    except eryx.EryxError as error:
        text = str(error)
        status = "output" if any(sign in text for sign in _FLOODS) else "memory" if "MemoryError" in text else "error"
        return _tell("", status, f"its interpreter ended: {(text.strip().splitlines() or [''])[-1][:_MESSAGE]}")
    if len(printed) > asked["output"]:
        return _tell("", "output", f"it printed more than {asked['output']} bytes")
    return _tell(printed.decode("utf-8", "replace"), "", "")


def _tell(printed: str, ended: str, message: str) -> dict[str, Any]:
    return {"printed": printed, "ended": ended, "message": message}


def _end_with(parent: int) -> None:
    """A script that is running does not outlive whoever asked for it."""
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY)
    os._exit(1)


def main() -> None:
    """Answer line by line, by ways that no script knows: what one writes to its descriptors comes out at ours."""
    asking, telling = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for line in asking:
        asked = json.loads(line)
        reply = _run({"script": "", "library": "", "seconds": 30, "memory": 2**28, "output": 1_000} | asked)
        telling.write(f"{json.dumps(reply)}\n")
        telling.flush()


if __name__ == "__main__":
    main()
