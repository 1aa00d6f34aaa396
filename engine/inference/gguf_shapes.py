"""Which models are written as GGUF files, and what such a file says of their shape. Needs no torch.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md names the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gguf

CONVERTER = "export the merged model and convert that with llama.cpp's convert_hf_to_gguf.py"
_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
PERMUTED = frozenset([gguf.MODEL_ARCH.LLAMA])
"""Architectures whose rotary embedding llama.cpp takes from neighbouring pairs, so that Q and K are reordered."""


def find_architecture(config: Mapping[str, Any]) -> gguf.MODEL_ARCH:
    """The architecture of a model by its `config.json`.

    Raises:
        KeyError: if `find_obstacle` finds one.
    """
    return _ARCHITECTURES[config["model_type"]]


def find_obstacle(config: Mapping[str, Any]) -> str:
    """Why a model of this `config.json` is not written as GGUF here; "": it is."""
    kind = str(config.get("model_type", "unknown"))
    if kind not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        return f"GGUF is written here of the architectures {known}, and this student is of {kind}: {CONVERTER}"
    rope = _find_rope(config)
    scaled = rope.get("rope_type", rope.get("type", "default"))
    if scaled != "default":
        return f"its rotary embedding is scaled ({scaled}), which is not written as GGUF here: {CONVERTER}"
    if config.get("use_sliding_window"):
        return f"it attends in sliding windows, which is not written as GGUF here: {CONVERTER}"
    return ""


def _find_rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def add_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    """Say how large the model is, and how its rotary embedding turns."""
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    theta = _find_rope(config).get("rope_theta", config.get("rope_theta", 10_000.0))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(float(theta))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(int(config["vocab_size"]))
