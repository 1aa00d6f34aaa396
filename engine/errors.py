"""Every error that Tacit raises on purpose.

TacitError                   a message for the user: what was wrong, what was kept, what to do
+-- InputError               a file, a value or an id that the user gave is not usable
|   +-- ConfigError          a setting is missing, unknown or contradicts another
|   +-- NotFound             nothing is stored under that id or name
|   +-- MissingColumn        no column looks like one that the task needs; whoever gave the file must say which it is
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

import errno
import socket
import ssl
import traceback
from collections.abc import Iterator
from enum import StrEnum


class TacitError(Exception):
    """Base of all errors that are meant for the user."""


class InputError(TacitError):
    """What the user gave can't be used."""


class ConfigError(InputError):
    """A setting is missing, unknown or contradicts another."""


class NotFound(InputError):
    """Nothing is stored under that id or name."""


class MissingColumn(InputError):
    """No column of a file looks like one that its task needs; `role` is what the column is to the task."""

    def __init__(self, message: str, role: str) -> None:
        super().__init__(message)
        self.role = role


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


class KeyRefused(KeyMissing):
    """A key is not sent to this teacher: its variable holds no key, or one for another address."""


class WorkerFailed(TacitError):
    """A worker process ended without finishing its job."""


class StoreError(TacitError):
    """The database can't be used as it is."""


class ErrorKind(StrEnum):
    """Why an attempt to get a reply failed."""

    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    TIMEOUT = "timeout"
    STALLED = "stalled"
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


_PASSING = {
    *(ErrorKind.RATE_LIMIT, ErrorKind.SERVER, ErrorKind.TIMEOUT, ErrorKind.STALLED),
    *(ErrorKind.CONNECTION, ErrorKind.NOT_JSON),
}
_TURNED_AWAY = {
    *(ErrorKind.RATE_LIMIT, ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.BAD_REQUEST),
    *(ErrorKind.UNKNOWN_QUERY, ErrorKind.REDIRECT),
}


class TeacherError(TacitError):
    """A teacher gave no usable reply.

    `raw` keeps whatever text it did send, `retry_after_s` how long the provider asks to wait (it may be infinite),
    `tokens` what it counted all the same: (input, output). `of_query`: it turned this query down, and may answer
    others.
    """

    of_query = False

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


_OF_SYSTEM = {
    errno.ENOSPC: "The disk is full: free some space, then try again. What was stored before is kept.",
    errno.EDQUOT: "The disk's quota is used up: free some space, then try again. What was stored before is kept.",
    errno.EACCES: "The system forbids to read or write a file that is needed: look at its folder's permissions.",
    errno.EPERM: "The system forbids to read or write a file that is needed: look at its folder's permissions.",
    errno.EROFS: "The disk can only be read: nothing was stored.",
    errno.ENOENT: "A file that is needed is not there any more; load the page again.",
    errno.EMFILE: "Too many files are open at this moment; try again, or start the studio again.",
    errno.EIO: "The disk reported an error: nothing more was stored. Look after the disk before you go on.",
}
_UNFORESEEN = (
    "Something went wrong that this program did not foresee. What was stored before is kept; try again, and if it "
    "comes back, the log of the program says where."
)
_AWAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


def say_error(error: BaseException) -> str:
    """What a person is told of an error: ours speak for themselves; of a library's, what it means, never its text."""
    if isinstance(error, TacitError):
        return str(error)
    if isinstance(error, MemoryError):
        return "The memory of this machine does not suffice for that. What was stored before is kept."
    for known in _causes(error):
        if isinstance(known, OSError) and known.errno in _OF_SYSTEM and (known is error or known.errno != errno.ENOENT):
            return _OF_SYSTEM[known.errno]
    cause = say_cause(error)
    return f"A connection failed: {cause}." if cause else _UNFORESEEN


_OF_HUB = {
    "GatedRepoError": "the Hub gives it only to those who accepted its terms; accept them there, and set HF_TOKEN",
    "RepositoryNotFoundError": "the Hub has none of that name, or it is private and the token does not open it",
    "RevisionNotFoundError": "the Hub has no such revision of it",
    "RemoteEntryNotFoundError": "the Hub's copy of it lacks a file that is needed",
    "LocalEntryNotFoundError": "it is not on this machine, and the Hub can't be reached",
    "OfflineModeIsEnabled": "it is not on this machine, and the Hub is not to be asked (HF_HUB_OFFLINE is set)",
    "HFValidationError": "this is no name that the Hub can have, as OWNER/NAME",
}
_OF_STATUS = {
    401: "the Hub does not know the token",
    403: "the token may not do that; it needs the right to write to this repository",
    409: "somebody else changed the repository at the same moment",
    413: "it is larger than the Hub takes",
    429: "the Hub asks to wait: too many requests were made",
}


def say_hub_error(error: BaseException) -> str:
    """Why the Hub, or the library that loads what comes from it, failed: by kind and status, never in its words."""
    if isinstance(error, TacitError):
        return str(error)
    causes = list(_causes(error))
    for cause in causes:
        for kind in type(cause).__mro__:
            if kind.__name__ in _OF_HUB:
                return _OF_HUB[kind.__name__]
    for cause in causes:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return _OF_STATUS.get(status, f"the Hub answered with status {status}")
    reason = say_cause(error)
    if reason:
        return f"the Hub can't be reached: {reason}"
    known = next((c.errno for c in causes if isinstance(c, OSError) and c.errno in _OF_SYSTEM), None)
    if known is not None and known != errno.ENOENT:
        return _OF_SYSTEM[known].rstrip(".")
    return "its files are damaged, incomplete, or of a kind that the installed libraries do not know"


def say_cause(error: BaseException) -> str:
    """Why a connection did not come about or broke, in words; "" where that can't be told."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the certificate of that address is not trusted here"
        if isinstance(cause, ssl.SSLError):
            return "no secure connection came about; https may be meant to be http"
        if isinstance(cause, socket.gaierror):
            return "there is no machine of that name"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing answers at that address"
        if isinstance(cause, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return "the connection broke off"
        if isinstance(cause, TimeoutError):
            return "it took too long"
        if isinstance(cause, OSError) and cause.errno in _AWAY:
            return "no way leads to that address"
    return ""


def where_it_failed(error: BaseException) -> str:
    """For a log: the kinds of the error and its causes with the lines they came from; not their texts, which may hold
    a key or a prompt."""
    parts = []
    for cause in _causes(error):
        parts.append(f"{type(cause).__name__}\n{''.join(traceback.format_tb(cause.__traceback__))}")
    return "\n".join(parts)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, from the outside in; each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        context = None if current.__suppress_context__ else current.__context__
        waiting += [cause for cause in (current.__cause__, context) if cause is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        inner = getattr(current, "os_error", None)  # aiohttp keeps the system's word there
        if isinstance(inner, BaseException):
            waiting.append(inner)
