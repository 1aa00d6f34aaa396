"""The worker process: `python -m engine.jobs.worker JOB_FOLDER`. Does the work of one job and journals it.

Knows nothing of the database. Started again on the same folder it goes on where the journal ends: finished steps are
skipped, written answers are not asked again, training resumes from its last complete checkpoint.
"""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import FrameType

from engine.errors import KeyMissing, TacitError, say_error
from engine.jobs.context import JobContext, is_first
from engine.jobs.events import EVENTS_FILE, EventLog, SilentLog
from engine.jobs.folder_lock import take_folder
from engine.jobs.spec import STATUS_FILE, Payload, read_spec
from engine.jobs.threads import fix_threads
from engine.lines import write_atomically
from engine.ports import EventSink
from engine.values import JobStatus


class StopSignal:
    """Set by SIGTERM; asked between updates and batches."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested

    def request(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.requested = True


def main(folder: Path) -> int:
    """Run the job of a folder; its outcome stands in status.json when this returns.

    The folder is held until this process ends; where another worker has it, nothing is done and nothing written.
    """
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop.request)
    first = is_first()
    lock = take_folder(folder) if first else None
    if first and lock is None:
        sys.stderr.write("another worker is at this job; this one leaves it alone\n")
        return 1
    sink: EventSink = EventLog(folder / EVENTS_FILE) if first else SilentLog()
    try:
        finished = _work(read_spec(folder), JobContext(folder, sink, stop))
        status, message = (JobStatus.FINISHED, "") if finished else (JobStatus.CANCELLED, "stopped on request")
    except KeyMissing as error:
        status, message = JobStatus.NEEDS_KEY, str(error)
    except TacitError as error:
        if error.__cause__ is not None:
            traceback.print_exc()  # what a library said of it stands in the log; the message is in our words
        status, message = JobStatus.FAILED, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user must see it and the job must end
        traceback.print_exc()
        status, message = JobStatus.FAILED, _say(error)
    if first:
        write_atomically(folder / STATUS_FILE, {"status": status, "message": message})
    return 0 if status in (JobStatus.FINISHED, JobStatus.CANCELLED) else 1


def _work(payload: Payload, context: JobContext) -> bool:
    """Do a job; only what takes the device brings torch."""
    if payload.needs_device:
        import torch  # noqa: PLC0415 - seconds, which a job without it is spared

        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(fix_threads(payload.threads, context, device))
    finished: bool = import_module(payload.work).run(payload, context)
    return finished


def _say(error: Exception) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return "the device ran out of memory; use a smaller batch or fewer tokens a row"
    return say_error(error)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
