"""Stands in for the real worker: the same folder, journal and status, no torch. Its spec says how it behaves."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from engine.jobs.backends.local import LocalBackend
from engine.jobs.events import EVENTS_FILE, EventLog, read_events
from engine.jobs.folder_lock import take_folder
from engine.jobs.spec import SPEC_FILE, STATUS_FILE
from engine.lines import write_atomically


def main(folder: Path) -> None:
    held = take_folder(folder)
    assert held is not None, "another worker is at it"
    spec = json.loads((folder / SPEC_FILE).read_text())
    stopped = []
    if not spec.get("deaf"):
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    done = sum(event.type == "metric" for event in read_events(folder / EVENTS_FILE).events)
    log = EventLog(folder / EVENTS_FILE)
    for number in range(done + 1, spec["events"] + 1):
        log.emit("metric", step="s", update=number, of=spec["events"], values={"loss": float(number)})
        time.sleep(spec.get("pause", 0))
        if stopped:
            write_atomically(folder / STATUS_FILE, {"status": "cancelled", "message": "stopped on request"})
            return
    status = spec.get("status", "finished")
    write_atomically(folder / STATUS_FILE, {"status": status, "message": spec.get("message", "")})


class FakeBackend(LocalBackend):
    def __init__(self) -> None:
        self.started: list[Path] = []

    def command(self, bundle: Path, devices: int) -> list[str]:
        self.started.append(bundle)
        return [sys.executable, "-m", "tests.fakes.worker", str(bundle)]


def find_pid(handle: str) -> int:
    """The process of a local backend's handle."""
    return int(handle.split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
