"""Who is let in: callers with a key of the gateway's, by one of its names, and no page from elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.requests import ApiError
from app.hosts import Names, read_place
from app.usecases.serving.keys import KEYS, StoredKey, find_owner, read_keys
from engine.errors import StateError

OPEN = ("/health",)
"""Paths that need no key: whatever watches over the server asks them."""
_LOOK_S = 1.0


class KeyRing:
    """The keys of a folder, read again when their file changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: list[StoredKey] = []
        self._looked = -_LOOK_S
        self._changed: float | None = None

    def knows(self, given: str) -> bool:
        """Whether this is one of them."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._read()
        return find_owner(self._keys, given) is not None

    def _read(self) -> None:
        try:
            changed = (self._folder / KEYS).stat().st_mtime_ns
        except OSError:
            self._keys, self._changed = [], None
            return
        if changed != self._changed:
            try:
                self._keys = read_keys(self._folder)
            except StateError:
                self._keys = []
            self._changed = changed


class GatewayDoors:
    """Middleware in front of the gateway. `keys` None: nobody needs one."""

    def __init__(self, app: ASGIApp, names: Names, keys: KeyRing | None) -> None:
        self._app, self._names, self._keys = app, names, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or say why not."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = self._refuse(scope)
        if refused is None:
            return await self._app(scope, receive, send)
        return await error_response(refused)(scope, receive, send)

    def _refuse(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        place = read_place(headers.get("host", ""))
        if place is None or not self._names.know(place):
            return ApiError(421, "this gateway does not answer to that name; let it in with --allow-host NAME", "host")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if (origin is not None and not self._names.same(origin, place)) or site in ("cross-site", "same-site"):
            return ApiError(403, "a page from elsewhere asked for this; programs may, pages may not", "origin")
        if self._keys is None or scope["path"] in OPEN:
            return None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._keys.knows(key.strip()):
            reason = (
                "the key is not one of this gateway's" if key else "this gateway wants a key: Authorization: Bearer KEY"
            )
            return ApiError(401, f"{reason}; `tacit gateway-key` makes one", "invalid_api_key")
        return None


def error_response(error: ApiError) -> Response:
    """An error as OpenAI's API tells one, in ASCII: it may quote half a character of what a caller sent."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return Response(json.dumps(error.body), error.status, headers, "application/json")
