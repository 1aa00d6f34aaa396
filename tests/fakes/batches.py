"""The batch APIs of both protocols, for the provider on loopback."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def upload(request: Request) -> Response:
    provider = request.app.state.provider
    form = await request.form()
    content = await form["file"].read()  # type: ignore[union-attr]
    name = f"file-{len(provider.files)}"
    provider.files[name] = content.decode()
    told = {"id": name, "object": "file", "bytes": len(content), "created_at": 1, "filename": "b.jsonl"}
    return JSONResponse(
        {**told, "purpose": "batch", "sample_type": "batch_request", "source": "upload", "status": "ok"}
    )


def provider_file(request: Request) -> str:
    return str(request.app.state.provider.files[request.path_params["file"]])


async def download(request: Request) -> Response:
    return Response(provider_file(request), media_type="application/octet-stream")


async def create(request: Request) -> Response:
    provider = request.app.state.provider
    body = await request.json()
    source = body.get("input_file_id") or body["input_files"][0]
    name = f"batch-{len(provider.batches)}"
    provider.batches[name] = {"input": source, "metadata": body.get("metadata")}
    if provider.lose_next_batch:
        provider.lose_next_batch = False
        return JSONResponse({"error": {"message": "lost on the way"}}, 502)
    return JSONResponse(_tell(provider, name))


async def get(request: Request) -> Response:
    return JSONResponse(_tell(request.app.state.provider, request.path_params["batch"]))


async def every(request: Request) -> Response:
    provider = request.app.state.provider
    data = [_tell(provider, name) for name in reversed(provider.batches)]
    return JSONResponse({"object": "list", "data": data, "has_more": False, "total": len(data)})


def _tell(provider: Any, name: str) -> dict[str, Any]:
    batch = provider.batches[name]
    if provider.batch_status == "done" and "output" not in batch:
        _run(provider, name, batch)
    done = "output" in batch
    failed = provider.batch_status == "failed"
    lines = provider.files[batch["input"]].splitlines()
    same = {"id": name, "object": "batch", "endpoint": "/v1/chat/completions", "created_at": 1}
    errors = [{"message": "the file is not to our taste", "count": 1}] if failed else []
    openai = {
        "completion_window": "24h",
        "input_file_id": batch["input"],
        "status": "failed" if failed else "completed" if done else "in_progress",
        "output_file_id": batch.get("output"),
        "error_file_id": batch.get("error"),
        "request_counts": {"total": len(lines), "completed": len(lines) if done else 0, "failed": 0},
        "metadata": batch["metadata"],
    }
    if provider.protocol == "openai":
        return {**same, **openai, "errors": {"object": "list", "data": errors} if failed else None}
    counts = dict.fromkeys(("total_requests", "completed_requests", "succeeded_requests"), len(lines) if done else 0)
    return {
        **same,
        **counts,
        "failed_requests": 0,
        "input_files": [batch["input"]],
        "errors": errors,
        "status": "FAILED" if failed else "SUCCESS" if done else "RUNNING",
        "metadata": batch["metadata"],
        "output_file": batch.get("output"),
        "error_file": batch.get("error"),
    }


def _run(provider: Any, name: str, batch: dict[str, Any]) -> None:
    good, bad = [], []
    for line in provider.files[batch["input"]].splitlines():
        item = json.loads(line)
        provider.batch_bodies.append(item["body"])
        user = item["body"]["messages"][-1]["content"]
        if any(text in user for text in provider.unreached):
            continue
        response = provider.answer_alone(item["body"])
        body = json.loads(bytes(response.body))
        told = {"custom_id": item["custom_id"], "response": {"status_code": response.status_code, "body": body}}
        (good if response.status_code < 400 else bad).append(json.dumps({**told, "error": None}))
    for kind, lines in (("output", good), ("error", bad)):
        if lines:
            provider.files[f"{kind}-{name}"] = "\n".join(lines)
            batch[kind] = f"{kind}-{name}"
    batch.setdefault("output", None)


BATCH_ROUTES = [
    Route("/v1/files", upload, methods=["POST"]),
    Route("/v1/files/{file}/content", download, methods=["GET"]),
    Route("/v1/batches", create, methods=["POST"]),
    Route("/v1/batches", every, methods=["GET"]),
    Route("/v1/batches/{batch}", get, methods=["GET"]),
    Route("/v1/batch/jobs", create, methods=["POST"]),
    Route("/v1/batch/jobs", every, methods=["GET"]),
    Route("/v1/batch/jobs/{batch}", get, methods=["GET"]),
]
