"""The Hugging Face Hub on loopback, as far as pushing a folder goes: repositories, and commits of whole files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.serving import serve

TOKEN = "hf_loopback0123456789"


@dataclass
class Hub:
    """What it holds: by `models/OWNER/NAME` or `datasets/OWNER/NAME`, whether it is private, and the files."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    fails: bool = False


def _hub(request: Request) -> Hub:
    found: Hub = request.app.state.hub
    return found


def _repository(request: Request) -> str:
    return "{kind}/{owner}/{name}".format(**request.path_params)


def _allowed(request: Request) -> Response | None:
    token = request.headers.get("authorization", "")
    if _hub(request).fails:
        return JSONResponse({"error": f"out of order, {token}"}, 503)
    return None if token == f"Bearer {TOKEN}" else JSONResponse({"error": f"Invalid token {token}"}, 401)


async def _create(request: Request) -> Response:
    if refused := _allowed(request):
        return refused
    body, hub = await request.json(), _hub(request)
    name = f"{body.get('type') or 'model'}s/{body['organization']}/{body['name']}"
    if name in hub.private:
        return JSONResponse({"error": "it exists", "url": f"{hub.url}/{name}"}, 409)
    hub.private[name] = body.get("visibility") == "private" or bool(body.get("private"))
    hub.files[name] = {}
    return JSONResponse({"url": f"{hub.url}/{name.removeprefix('models/')}", "name": name, "id": name})


async def _info(request: Request) -> Response:
    name = _repository(request)
    if refused := _allowed(request):
        return refused
    hub = _hub(request)
    return JSONResponse({"id": name.partition("/")[2], "sha": "0" * 40, "private": hub.private[name], "siblings": []})


async def _validate(request: Request) -> Response:
    text = (await request.json())["content"]
    good = isinstance(yaml.safe_load(text.split("---")[1]), dict)
    errors = [] if good else [{"message": "no front matter"}]
    return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)


async def _preupload(request: Request) -> Response:
    body = await request.json()
    files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in body["files"]]
    return _allowed(request) or JSONResponse({"files": files})


async def _commit(request: Request) -> Response:
    if refused := _allowed(request):
        return refused
    hub, name = _hub(request), _repository(request)
    for line in (await request.body()).splitlines():
        item = json.loads(line)
        if item["key"] == "file":
            hub.files[name][item["value"]["path"]] = base64.b64decode(item["value"]["content"])
    made = {"success": True, "commitOid": "1" * 40, "commitUrl": f"{hub.url}/{name}/commit/{'1' * 40}"}
    return JSONResponse({**made, "hookOutput": ""})


@contextmanager
def run_hub() -> Iterator[Hub]:
    """Serve on a free loopback port for as long as the block runs."""
    api = "/api/{kind:str}/{owner}/{name}"
    routes = [
        Route("/api/repos/create", _create, methods=["POST"]),
        Route("/api/validate-yaml", _validate, methods=["POST"]),
        Route(f"{api}/preupload/main", _preupload, methods=["POST"]),
        Route(f"{api}/commit/main", _commit, methods=["POST"]),
        Route(f"{api}/revision/main", _info),
        Route(api, _info),
    ]
    app, hub = Starlette(routes=routes), Hub()
    app.state.hub = hub
    with serve(app) as hub.url:
        yield hub
