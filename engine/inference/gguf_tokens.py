"""A tokenizer as a GGUF file holds it: tokens by id with their types, merges, how text is cut first, special tokens.

Knows tokenizers by what they do, so it needs no torch. Only byte-level BPE is written: its merges say everything, where
a SentencePiece vocabulary would need scores that a `tokenizer.json` does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import gguf

from engine.datasets.encode import encode_prompt, end_token
from engine.errors import StateError
from engine.inference.gguf_shapes import CONVERTER

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {
    f"{_CONTRACTIONS}|{_LETTERS}|\\p{{N}}{{1,3}}|{_REST}": "llama-bpe",
    f"{_CONTRACTIONS}|{_LETTERS}|\\p{{N}}|{_REST}": "qwen2",
}
"""Regular expressions that tokenizers cut text by before they merge, and what llama.cpp calls these."""


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, size: int) -> None:
    """Write a tokenizer for a model with a vocabulary of `size`.

    Raises:
        StateError: if it is none that is written here; nothing else is wrong with it.
    """
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    model, normalizer = data["model"], data.get("normalizer")
    merges = model["type"] == "BPE" and not model.get("byte_fallback") and model["merges"]
    if (
        not merges
        or (data.get("decoder") or {}).get("type") != "ByteLevel"
        or (normalizer or {}).get("type") not in (None, "NFC")
    ):
        raise StateError(f"the student's tokenizer is no byte-level BPE, which alone is written as GGUF: {CONVERTER}")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name_split(data.get("pre_tokenizer") or {}))
    added = {int(token["id"]): token for token in data.get("added_tokens", ())}
    tokens, types = _list_tokens(model["vocab"], added, size)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    _add_special(writer, tokenizer, size)


def name_split(pre: Mapping[str, Any]) -> str:
    """What llama.cpp calls the way in which a tokenizer cuts text before it merges.

    Raises:
        StateError: if that is none of those known here.
    """
    parts = list(pre.get("pretokenizers", ())) if pre.get("type") == "Sequence" else [pre]
    last = parts[-1] if parts else {}
    if last.get("type") == "ByteLevel" and not last.get("add_prefix_space"):
        first, cuts = parts[0], bool(last.get("use_regex", True))
        if len(parts) == 1 and cuts:
            return "gpt-2"
        if len(parts) == 2 and cuts and first.get("type") == "Digits" and first.get("individual_digits"):
            return "smollm"
        pattern = first.get("pattern", {}).get("Regex", "")
        if len(parts) == 2 and not cuts and first.get("type") == "Split" and pattern in _SPLITS:
            return _SPLITS[pattern]
    raise StateError(f"the student's tokenizer cuts text in a way that is not known here: {CONVERTER}")


def _list_tokens(
    vocabulary: Mapping[str, int], added: Mapping[int, Mapping[str, Any]], size: int
) -> tuple[list[str], list[gguf.TokenType]]:
    """Tokens and their types by id; those that the model does not know are left out, ids without a token unused."""
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    kinds = dict.fromkeys(vocabulary, gguf.TokenType.NORMAL)
    for token in added.values():
        kinds[token["content"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    known = {**vocabulary, **{token["content"]: number for number, token in added.items()}}
    for text, number in known.items():
        if number < size:
            tokens[number], types[number] = text, kinds[text]
    return tokens, types


def _add_special(writer: gguf.GGUFWriter, tokenizer: Any, size: int) -> None:
    """Special tokens, the chat template, and whether a BOS stands before a prompt, as the student was trained."""
    known = {
        "bos": (tokenizer.bos_token_id, writer.add_bos_token_id),
        "eos": (tokenizer.eos_token_id, writer.add_eos_token_id),
        "unknown": (tokenizer.unk_token_id, writer.add_unk_token_id),
        "padding": (tokenizer.pad_token_id, writer.add_pad_token_id),
    }
    for number, add in known.values():
        if number is not None and number < size:
            add(int(number))
    closes = end_token(tokenizer)
    if closes != tokenizer.eos_token_id:
        writer.add_eot_token_id(closes)
    asked, bare = encode_prompt(tokenizer, (("user", "."),)), tokenizer.encode(".")
    begins = tokenizer.bos_token_id is not None and asked[:1] == bare[:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(begins)
    writer.add_add_space_prefix(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
