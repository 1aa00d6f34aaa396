"""Outputs of OpenAI's Batch API, joined with their requests by `custom_id`: give both files.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.errors import InputError
from engine.traces.base import FORMATS, Joining, Row, Trace, TraceFormat, share_of
from engine.traces.openai_completions import read_exchange

_GOOD = range(200, 300)


def _key(row: Row) -> str | None:
    key = row.get("custom_id")
    return key if isinstance(key, str) else None


def _asks(row: Row) -> bool:
    return isinstance(row.get("body"), Mapping) and "response" not in row


def recognise(rows: Sequence[Row]) -> float:
    """Rows with a `custom_id` and a request's body, or a response."""
    return share_of(rows, lambda row: _key(row) is not None and (_asks(row) or "response" in row or "error" in row))


def read(row: Row) -> Trace:
    """A response with its request.

    Raises:
        InputError: if the request failed, or is not there.
    """
    response = row.get("response")
    if not isinstance(response, Mapping):
        raise InputError(f"the request failed: {str(row.get('error') or 'it has no response')[:200]}")
    status, answer = response.get("status_code", 200), response.get("body")
    if status not in _GOOD or not isinstance(answer, Mapping):
        raise InputError(f"the request failed with status {str(status)[:20]}")
    request = row.get("body")
    if not isinstance(request, Mapping):
        raise InputError(f"no request has the custom_id {str(_key(row))[:60]!r}; give the batch's input file too")
    return replace(read_exchange(request, answer, {}), key=_key(row))


FORMATS.add(
    "openai-batch",
    TraceFormat(
        "OpenAI Batch outputs",
        "Outputs of the Batch API; their input file is given beside them.",
        recognise,
        read,
        joins=Joining(_key, _asks),
    ),
)
