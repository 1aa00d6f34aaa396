"""A student as one GGUF file: its adapter merged in float32, its weights as they were asked for (worker only)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import StudentConfig
from engine.datasets.encode import render_prompt
from engine.datasets.rows import ChatText
from engine.errors import StateError
from engine.inference.gguf_shapes import CONVERTER, PERMUTED, add_shape, find_architecture, find_obstacle
from engine.inference.gguf_tokens import add_tokenizer
from engine.inference.merging import load_merged
from engine.inference.writer import find_stops, load_tokenizer

_LARGEST_F16 = 65504.0
_BLOCK = 32
"""Weights that share a scale in Q8_0."""
_FILE_TYPES = {
    gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
    gguf.GGMLQuantizationType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
}


class _Tensor(NamedTuple):
    """A tensor by its name in the file, and the kind of numbers that it is stored in."""

    name: str
    weights: torch.Tensor
    kind: gguf.GGMLQuantizationType


@dataclass(frozen=True)
class ChatTemplate:
    """How a written student is asked: what its chat template makes of turns, and the texts that end an answer."""

    tokenizer: Any
    stops: tuple[str, ...]

    def render(self, turns: ChatText, answered: bool = False) -> str:
        """The text of turns: up to where the student begins to write, or, with its answer among them, `answered`."""
        return render_prompt(self.tokenizer, turns, generate=not answered)


def write_gguf(student: StudentConfig, adapter: Path, numbers: str, file: Path) -> ChatTemplate:
    """Write the merged student; matrices in numbers of this name in GGML, all else in float32.

    Raises:
        MissingPart: if the base can't be loaded.
        StateError: if such a model, its tokenizer or its weights can't be written so.
    """
    model, tokenizer = load_merged(student, adapter), load_tokenizer(student)
    write_model(model, tokenizer, numbers, file)
    return ChatTemplate(tokenizer, tuple(tokenizer.convert_ids_to_tokens(sorted(find_stops(model, tokenizer)))))


def write_model(model: Any, tokenizer: Any, numbers: str, file: Path) -> None:
    """Write a whole model that is loaded, as `write_gguf` does.

    Raises:
        StateError: if such a model, its tokenizer or its weights can't be written so.
    """
    kind = gguf.GGMLQuantizationType[numbers]
    config = model.config.to_dict()
    if obstacle := find_obstacle(config):
        raise StateError(obstacle)
    architecture = find_architecture(config)
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_file_type(_FILE_TYPES[kind])
    if kind is not gguf.GGMLQuantizationType.F16:
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_shape(writer, config)
    add_tokenizer(writer, tokenizer, int(config["vocab_size"]))
    tensors = list(_name_tensors(model, architecture, kind))
    for name, weights, stored in tensors:
        size = _count_bytes(weights, stored)
        writer.add_tensor_info(name, tuple(weights.shape), np.dtype(np.float32), size, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(_encode(tensor))
    writer.close()


def _name_tensors(model: Any, architecture: gguf.MODEL_ARCH, kind: gguf.GGMLQuantizationType) -> Iterator[_Tensor]:
    """The tensors by llama.cpp's names; Q and K reordered where it wants them so. A tied output is not repeated."""
    config = model.config
    heads = int(config.num_attention_heads)
    counts = {"q_proj": heads, "k_proj": int(config.num_key_value_heads or heads)}
    names = gguf.get_tensor_name_map(architecture, int(config.num_hidden_layers))
    tied = bool(getattr(config, "tie_word_embeddings", False))
    for name, weights in model.state_dict().items():
        if tied and name.startswith("lm_head."):
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if stored is None:
            raise StateError(f"the tensor {name} has no name in GGUF files of this architecture: {CONVERTER}")
        projection = name.rsplit(".", 2)[-2]
        if architecture in PERMUTED and projection in counts:
            weights = permute(weights, counts[projection])
        yield _Tensor(stored, weights, _choose_kind(weights, kind))


def permute(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of Q or K, each head's halves interleaved: llama.cpp turns neighbouring pairs, transformers halves.

    Args:
        weights: (heads * size, ...); of a bias (heads * size,).
    """
    size = weights.shape[0] // heads
    return weights.reshape(heads, 2, size // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def _choose_kind(weights: torch.Tensor, kind: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    """Vectors stay in float32; a matrix whose rows don't come in whole blocks is stored as F16."""
    if weights.ndim < 2:
        return gguf.GGMLQuantizationType.F32
    return gguf.GGMLQuantizationType.F16 if weights.shape[-1] % _BLOCK else kind


def _count_bytes(weights: torch.Tensor, kind: gguf.GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(weights.numel() // block * size)


def _encode(tensor: _Tensor) -> NDArray[Any]:
    values: NDArray[Any] = tensor.weights.detach().to(torch.float32).contiguous().numpy()
    if tensor.kind is gguf.GGMLQuantizationType.F32:
        return values
    if tensor.kind is gguf.GGMLQuantizationType.F16:
        if np.abs(values).max() > _LARGEST_F16:
            raise StateError(f"{tensor.name} holds weights that float16 can't: {CONVERTER}")
        return values.astype(np.float16)
    blocks: NDArray[Any] = gguf.quants.quantize(values, tensor.kind)
    return blocks
