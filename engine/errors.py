"""Every error that Tacit raises on purpose.

TacitError                   a message for the user: what was wrong, what was kept, what to do
+-- InputError               a file, a value or an id that the user gave is not usable
|   +-- ConfigError          a setting is missing, unknown or contradicts another
|   +-- NotFound             nothing is stored under that id or name
+-- StateError               the action does not fit the state of things (no samples yet, run already finished)
|   +-- WorkspaceBusy        another process holds the workspace
|   +-- Conflict             somebody else changed the record since it was read
|   +-- Forbidden            a visitor of the hosted demo may not do this
|   +-- CapReached           the next request could pass the cap on money or requests; a job ends as `capped`
+-- MissingPart              a package, model or key is not on this machine
|   +-- KeyMissing           a teacher's key is in neither memory nor environment; a job ends as `needs key`
+-- TeacherError             a teacher did not give a usable reply; carries an `ErrorKind`
+-- WorkerFailed             a worker process ended without finishing its job
+-- StoreError               the database is not usable (migration changed, newer than this program, damaged, disk full)
"""

from __future__ import annotations

from enum import StrEnum


class TacitError(Exception):
    """Base of all errors that are meant for the user."""


class InputError(TacitError):
    """What the user gave can't be used."""


class ConfigError(InputError):
    """A setting is missing, unknown or contradicts another."""


class NotFound(InputError):
    """Nothing is stored under that id or name."""


class StateError(TacitError):
    """The action doesn't fit the present state."""


class WorkspaceBusy(StateError):
    """Another process holds the workspace."""


class Conflict(StateError):
    """The record changed since it was read."""


class Forbidden(StateError):
    """A visitor of the hosted demo may not do this."""


class CapReached(StateError):
    """The next request could pass the cap on money or requests."""


class MissingPart(TacitError):
    """A package, a model or a key is not on this machine."""


class KeyMissing(MissingPart):
    """A teacher's key is neither in this process's memory nor in its environment."""


class WorkerFailed(TacitError):
    """A worker process ended without finishing its job."""


class StoreError(TacitError):
    """The database can't be used as it is."""


class ErrorKind(StrEnum):
    """Why an attempt to get a reply failed."""

    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    AUTH = "auth"
    QUOTA = "quota"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    NOT_A_CHOICE = "not_among_choices"
    CONTENT_FILTER = "content_filter"
    BAD_REQUEST = "bad_request"
    NOT_JSON = "not_json"
    REDIRECT = "redirect"
    UNKNOWN_QUERY = "unknown_query"

    @property
    def stops_teacher(self) -> bool:
        """Whether every further request would fail the same way."""
        return self in (ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.REDIRECT)

    @property
    def may_pass(self) -> bool:
        """Whether the same request may work when it is sent again a little later."""
        return self in _PASSING

    @property
    def free(self) -> bool:
        """Whether a provider turned the request away before any token was generated."""
        return self in _TURNED_AWAY


_PASSING = {ErrorKind.RATE_LIMIT, ErrorKind.SERVER, ErrorKind.TIMEOUT, ErrorKind.CONNECTION, ErrorKind.NOT_JSON}
_TURNED_AWAY = {
    *(ErrorKind.RATE_LIMIT, ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.BAD_REQUEST),
    *(ErrorKind.UNKNOWN_QUERY, ErrorKind.REDIRECT),
}


class TeacherError(TacitError):
    """A teacher gave no usable reply.

    `raw` keeps whatever text it did send, `retry_after_s` how long the provider asks to wait, `tokens` what it counted
    all the same: (input, output).
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        raw: str = "",
        retry_after_s: float | None = None,
        tokens: tuple[int, int] | None = None,
    ) -> None:
        """`kind` decides whether to retry."""
        super().__init__(message)
        self.kind = kind
        self.raw = raw
        self.retry_after_s = retry_after_s
        self.tokens = tokens
