"""A stand-in for vLLM's server, by its documentation: completions of ids, and adapters handed over while it runs.

It computes what it answers with PyTorch, so that what is asked for can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


@dataclass
class VllmServer:
    """`spoil` changes a good answer before it is sent; `fails` so many requests for completions end with 503."""

    base: str
    root: str = ""
    loaded: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    fails: int = 0
    takes_adapters: bool = True
    swapped: str = ""
    """An adapter that it serves in the place of whatever is handed over."""
    url: str = ""
    lock: Lock = field(default_factory=Lock)
    models: dict[str, Any] = field(default_factory=dict)

    def spoil(self, choice: dict[str, Any]) -> dict[str, Any]:
        return choice

    def list_models(self) -> dict[str, Any]:
        base = {"id": "base", "root": self.root or self.base, "parent": None}
        return {"data": [base, *({"id": name, "root": path, "parent": "base"} for name, path in self.loaded.items())]}

    def load(self, asked: dict[str, str]) -> tuple[int, Any]:
        if not self.takes_adapters:
            return 404, {"detail": "Not Found"}
        self.loaded[asked["lora_name"]] = self.swapped or asked["lora_path"]
        return 200, "Success"

    def complete(self, asked: dict[str, Any]) -> tuple[int, Any]:
        self.seen.append(asked)
        if self.fails:
            self.fails -= 1
            return 503, {"error": "busy"}
        if asked["model"] != "base" and asked["model"] not in self.loaded:
            return 404, {"error": {"message": f"The model `{asked['model']}` does not exist."}}
        ids, log_probs = list(asked["prompt"]), list[float]()
        model, stops = self._model(asked["model"]), set(asked["stop_token_ids"])
        with torch.inference_mode():
            while len(log_probs) < asked["max_tokens"]:
                scores = model(input_ids=torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
                ids.append(int(scores.argmax()))
                log_probs.append(float(scores.max()))
                if ids[-1] in stops:
                    break
        choice = {
            "index": 0,
            "text": "",
            "token_ids": ids[len(asked["prompt"]) :],
            "logprobs": {"token_logprobs": log_probs},
            "finish_reason": "stop" if ids[-1] in stops else "length",
        }
        return 200, {"choices": [self.spoil(choice)]}

    def _model(self, name: str) -> Any:
        if name not in self.models:
            model: Any = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
            if name in self.loaded:
                model = PeftModel.from_pretrained(model, self.loaded[name])
            self.models[name] = model.eval()
        return self.models[name]


@contextmanager
def served(server: VllmServer) -> Iterator[VllmServer]:
    """The server, listening on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, server.list_models() if self.path == "/v1/models" else None)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            work = {"/v1/completions": server.complete, "/v1/load_lora_adapter": server.load}[self.path]
            with server.lock:
                status, answer = work(asked)
            self._send(status, answer)

        def _send(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{listening.server_port}/v1"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()


def is_folder(path: str) -> bool:
    """Whether an adapter was handed over as a folder that the server can read."""
    return (Path(path) / "adapter_config.json").is_file()
