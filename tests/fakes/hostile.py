"""Answers of an endpoint that is hostile or broken, for the provider on loopback."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

Completion = Callable[..., dict[str, Any]]
_PACKED = {"content-encoding": "gzip", "content-type": "application/json"}
BOMB_MB = 300


def hostile(provider: Any, user: str, completion: Completion) -> dict[str, Callable[[], Response]]:
    """Each fault's answer, by name."""

    def counted(**usage: Any) -> Response:
        return JSONResponse({**completion(provider, user), "usage": usage})

    def said(content: str, **more: Any) -> Response:
        return JSONResponse(completion(provider, user, content=content, **more))

    good = json.dumps({"rationale": "It must be B.", "label": "B", "scores": {}})
    packed = gzip.compress(json.dumps(completion(provider, user)).encode() * 400)
    error = {"message": "The model is loading, try later", "type": "loading"}
    return {
        "redirect": lambda: RedirectResponse(f"{provider.elsewhere}/v1/chat/completions?token=s3cret", 307),
        "redirect nowhere": lambda: RedirectResponse("http://[bad", 302),
        "error object": lambda: JSONResponse({"error": error}),
        "error text": lambda: JSONResponse({"error": "The model is loading, try later"}),
        "error of its own": lambda: JSONResponse({"object": "error", **error}),
        "error with a code": lambda: JSONResponse({"error": {"message": "Slow down please", "code": 429}}),
        "error of a wrong key": lambda: JSONResponse({"error": {"message": "No such key", "code": "invalid_api_key"}}),
        "bad gzip": lambda: Response(packed[:40] + b"\xff" * 400 + packed[440:], headers=_PACKED),
        "reset in gzip": lambda: StreamingResponse(_cut_off(packed), headers={**_PACKED, "content-length": "99999"}),
        "bomb": lambda: StreamingResponse(_bomb(), headers=_PACKED),
        "nine megabytes": lambda: said("x" * (9 * 2**20)),
        "no usage": lambda: JSONResponse({n: v for n, v in completion(provider, user).items() if n != "usage"}),
        "usage is text": lambda: counted(prompt_tokens="many", completion_tokens="20", total_tokens=20),
        "usage of 10^30": lambda: counted(prompt_tokens=10**30, completion_tokens=10**30, total_tokens=10**30),
        "usage of 10^15": lambda: counted(prompt_tokens=10**15, completion_tokens=20, total_tokens=10**15),
        "usage of 10^5000": lambda: Response(
            json.dumps({**completion(provider, user), "usage": {"completion_tokens": "N", "total_tokens": 1}}).replace(
                '"N"', "9" * 5000
            ),
            media_type="application/json",
        ),
        "usage is infinite": lambda: Response(
            json.dumps({**completion(provider, user), "usage": {"prompt_tokens": 1e999, "completion_tokens": -4}}),
            media_type="application/json",
        ),
        "auth of this key": lambda: JSONResponse({"error": {"message": f"Not good: {provider.told}"}}, 400),
        "error of this key": lambda: JSONResponse({"error": {"message": f"Not good: {provider.told}"}}),
        "another label": lambda: said(json.dumps({"rationale": "It is Z.", "label": "Z", "scores": {}})),
        "long reasoning": lambda: said(good, reasoning_content="Let me see. " * 75_000),
        "long thought": lambda: said(f"<think>{'Let me see. ' * 75_000}</think>{good}"),
        "long prose": lambda: said(f"{'Let me see. ' * 75_000}\n{good}"),
    }


async def _cut_off(packed: bytes) -> AsyncIterator[bytes]:
    yield packed[:60]
    raise ConnectionResetError("on purpose")


async def _bomb() -> AsyncIterator[bytes]:
    """300 MB of blanks in 300 KB."""
    packer = zlib.compressobj(wbits=31)
    for _ in range(BOMB_MB):
        yield packer.compress(b" " * 2**20)
    yield packer.flush()
