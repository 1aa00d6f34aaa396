"""When a teacher is given up: after so many requests in a row, or so long, that came to nothing, whatever the fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import ErrorKind, TeacherError
from engine.teachers.limits import Clock
from engine.wording import say_span

FAULTS_IN_A_ROW = 10
"""So many requests without an answer between them, each asked as often as the caller does, and a teacher is given up.

Twice as many as are in flight, where that is more: one short outage meets all of those.
"""
NOTHING_IN_A_ROW = 50
"""The same where replies came, but none that could be used, or the provider refused what was asked: that may lie in the
queries, and faults may stand between."""
MOST_FAULTY_S = 1800.0
"""Or so long nothing but faults comes."""
_OF_QUERIES = {ErrorKind.CONTENT_FILTER, ErrorKind.REFUSED}
_AGAIN = "Ask again later: what came in is kept."
_CHECK = "See whether it runs, and test the connection on the page Teachers."
_DO = {
    ErrorKind.RATE_LIMIT: f"{_AGAIN} Fewer requests a minute, set on the page Teachers, may help.",
    ErrorKind.SERVER: _AGAIN,
    ErrorKind.TIMEOUT: f"{_CHECK} A longer time limit may help.",
    ErrorKind.STALLED: f"{_CHECK} A longer time limit may help: for half of it an answer may hold nothing.",
    ErrorKind.CONNECTION: _CHECK,
    ErrorKind.NOT_JSON: "Look at its endpoint's URL, and test the connection on the page Teachers.",
    ErrorKind.BAD_REQUEST: "Look at its model's name and settings, and test the connection on the page Teachers.",
    ErrorKind.TRUNCATED: _CHECK,
    ErrorKind.CONTENT_FILTER: "Look at the failures on the page Label: another model or provider may answer these.",
    ErrorKind.REFUSED: "Look at the failures on the page Label: another model or another prompt may help.",
    ErrorKind.UNPARSABLE: "Look at the failures on the page Label: another prompt or a longer reply may help.",
}
"""What can be done, by the last fault."""


@dataclass
class FaultRow:
    """What of one teacher came to nothing since it last gave what was asked for, in one job.

    Whoever reads its replies tells which of them were of use: `answered` or `unread`.
    """

    in_flight: int = 1
    clock: Clock = field(default_factory=Clock)
    why: str = ""
    """Why the teacher is asked no more, and what to do; "": it is asked."""
    kind: ErrorKind | None = None
    """Of the last fault, once it is given up."""
    _faults: int = 0
    _nothing: int = 0
    _since: float | None = None

    @property
    def over(self) -> bool:
        """Whether the teacher is given up. It turns out at a fault, never while somebody waits."""
        return bool(self.why)

    def answered(self) -> None:
        """What was asked for came: the row begins anew."""
        self._faults, self._nothing, self._since = 0, 0, None

    def failed(self, error: TeacherError) -> None:
        """An attempt came to nothing."""
        if error.kind.stops_teacher:
            self._end(error.kind, str(error))
        elif is_of_query(error):
            self._since = None
        else:
            self._since = self.clock.now() if self._since is None else self._since
            lasted = self.clock.now() - self._since
            if lasted >= MOST_FAULTY_S:
                self._give_up(error.kind, f"for {say_span(lasted)} nothing but faults came, the last time: {error}")

    def gave_up(self, error: TeacherError) -> None:
        """A request came to nothing after all its attempts."""
        self._nothing += 1
        self._faults += not is_of_query(error)
        self._count(error.kind, f"the last with: {error}")

    def unread(self) -> None:
        """A reply came, and did not hold what was asked for."""
        self._nothing += 1
        self._since = None
        self._count(ErrorKind.UNPARSABLE, "the last with a reply that could not be used")

    def _count(self, kind: ErrorKind, last: str) -> None:
        least = 2 * self.in_flight
        if self._faults >= max(FAULTS_IN_A_ROW, least) or self._nothing >= max(NOTHING_IN_A_ROW, least):
            self._give_up(kind, f"{self._nothing} requests in a row came to nothing, {last}")

    def _give_up(self, kind: ErrorKind, what: str) -> None:
        self._end(kind, f"{what.rstrip('.')}. {_DO.get(kind, _AGAIN)}")

    def _end(self, kind: ErrorKind, why: str) -> None:
        if not self.why:
            self.kind, self.why = kind, why


def is_of_query(error: TeacherError) -> bool:
    """Whether an error says nothing of the next query: the endpoint did answer, and not this one."""
    return error.of_query or error.kind in _OF_QUERIES
