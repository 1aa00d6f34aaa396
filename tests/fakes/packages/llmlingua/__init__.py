"""Stands in for the package of this name at its interface: same class, same arguments, no model behind it.

Words stay by their length, so many as the rate says, beside what is forced to. What the model's name holds makes it
fail or lose something.
"""

from __future__ import annotations

import re
from typing import Any

import requests


class PromptCompressor:
    """As `llmlingua.PromptCompressor` of 0.2, with `use_llmlingua2`."""

    def __init__(
        self, model_name: str, device_map: str = "cuda", model_config: Any = None, use_llmlingua2: bool = False
    ) -> None:
        if "without-vocabulary" in model_name:
            raise requests.exceptions.ConnectionError("openaipublic.blob.core.windows.net can't be reached")
        if "broken" in model_name:
            raise OSError(f"{model_name} does not appear to have files named ('model.safetensors')")
        assert use_llmlingua2 and device_map in ("cpu", "cuda", "mps") and model_config == {"trust_remote_code": False}
        self.model_name = model_name

    def compress_prompt(
        self,
        context: list[str],
        rate: float,
        force_tokens: list[str],
        force_reserve_digit: bool,
        drop_consecutive: bool,
    ) -> dict[str, Any]:
        assert force_reserve_digit and not drop_consecutive and len(force_tokens) <= 100
        (text,) = context
        if "fails" in self.model_name:
            return {"compressed_prompt": [][0]}
        forced = "|".join(re.escape(word) for word in force_tokens) or "$."
        words = re.findall(rf"{forced}|\w+|[^\w\s]", text)
        ranked = sorted((w for w in words if not re.search(r"\d", w)), key=len, reverse=True)
        free = set(ranked[: int(rate * len(words))])
        kept = [w for w in words if w in free or w in force_tokens or re.search(r"\d", w)]
        if "forgets" in self.model_name:
            kept = [w for w in kept if not re.search(r"\d", w)]
        return {"compressed_prompt": " ".join(kept), "origin_tokens": len(words), "compressed_tokens": len(kept)}
