"""The gateway's own meter: what happens is journaled, added up, and watched for a drop of agreement."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.gateway.journal import Journal
from app.usecases.serving.folder import ABOUT, METER
from app.usecases.serving.ledger import Sent, count_ends, read_ledger
from app.usecases.serving.meter import Meter, Tally, add_ends, measure, read_all, watch
from app.usecases.training.webhook import Webhook
from engine.lines import write_atomically
from engine.serving.drift import Drift

_LOG = logging.getLogger(__name__)
_FRESH_S = 1.0


@dataclass
class Recorder:
    """Where records of one policy go. `about` is what the folder says of the gateway; its `policy` marks records."""

    about: dict[str, Any]
    journal: Journal
    webhook: Webhook
    tally: Tally
    drift: Drift
    damaged: int = 0
    earlier: int = 0
    refused: int = 0
    cut_off: Sequence[Sent] = ()
    """Requests of earlier starts whose end nobody knows."""
    _refused_at: float = 0.0
    _shown: tuple[float, Meter] | None = field(default=None, repr=False)

    def add(self, type_: str, **record: Any) -> None:
        """Write one record and take it in, behind those that were turned away before."""
        self.flush()
        self._write(type_, **record)

    def _write(self, type_: str, **record: Any) -> None:
        whole = {"type": type_, "at": round(time.time(), 3), "policy": self.about["policy"], **record}
        self.journal.write(whole)
        self.tally.add(whole)

    def refuse(self) -> None:
        """One more was turned away for load; where nothing else happens they are written once a second at most."""
        self.refused += 1
        if time.monotonic() - self._refused_at >= _FRESH_S:
            self.flush()

    def flush(self) -> None:
        """Write how many were turned away."""
        if self.refused:
            self._write("refused", n=self.refused)
            self.refused, self._refused_at = 0, time.monotonic()

    def compare(self, agrees: bool) -> None:
        """Take a compared answer into the watch; a drop is told in the log, on the meter and by the webhook, once."""
        if not self.drift.add(agrees):
            return
        state = self.drift.state
        figures = {
            "shadows": state.n,
            "agreement": state.agreement,
            "expected": state.expected,
            "bound": state.bound,
        }
        self.add("alarm", **figures)
        _LOG.warning(
            "the students agree with %s less often than they should: on %.1f%% of %d shadowed queries, where at least "
            "%.1f%% were due. Look at what callers ask, and fit the policy anew",
            self.about["reference"],
            100 * (state.agreement or 0),
            state.n,
            100 * (state.bound or 0),
        )
        self.webhook.tell(
            {"gateway": self.about["name"], "project": self.about["project"], "status": "agreement dropped", **figures}
        )

    def show(self) -> Meter:
        """The meter, at most a second old."""
        self.flush()
        now = time.monotonic()
        if self._shown is None or now - self._shown[0] > _FRESH_S:
            whole = measure(self.about, self.tally, self.damaged, self.earlier, self.drift.state)
            self._shown = now, add_ends(whole, count_ends(self.cut_off))
        return self._shown[1]

    def close(self) -> None:
        """Write what is left, and close the journal."""
        self.flush()
        self.journal.close()


def open_recorder(folder: Path, about: dict[str, Any], webhook: Webhook) -> Recorder:
    """Go on with the meter of a policy where an earlier gateway of this folder left it."""
    write_atomically(folder / ABOUT, about)
    tally, damaged, earlier = read_all(folder, about["policy"])
    left = read_ledger(folder).open
    journal, drift = Journal(folder, METER), watch(about, tally.agreed)
    return Recorder(about, journal, webhook, tally, drift, damaged, earlier, cut_off=left)
