"""The command line where no file can grow beyond four megabytes: `python -m tests.fakes.small_disk WORDS`."""

from __future__ import annotations

import resource
import signal

from app.cli.main import main

MOST = 4_000_000

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
    main()
