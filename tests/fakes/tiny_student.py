"""A student small enough to train in seconds: same classes, same files, random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ '<|begin|>' }}{% for message in messages %}{{ '<|head|>' + message['role'] + '<|tail|>\n\n' }}"
    "{{ message['content'] + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|head|>assistant<|tail|>\n\n' }}{% endif %}"
)
SPECIAL = ("<|end|>", "<|im_start|>", "<|im_end|>", "<|begin|>", "<|head|>", "<|tail|>", "<|eot|>")


def make_tokenizer(template: str | None, merges: Sequence[tuple[str, str]] = ()) -> PreTrainedTokenizerFast:
    """A byte tokenizer: every byte is a token, so that any text has ids and the goldens can be read.

    With `merges` it has longer tokens too.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *alphabet, *(first + second for first, second in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocabulary, list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(SPECIAL))
    eos = "<|im_end|>" if template == CHATML else "<|end|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, pad_token="<|end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    tokenizer.chat_template = template
    return tokenizer


def make_tiny_student(
    folder: Path,
    template: str | None = CHATML,
    merges: Sequence[tuple[str, str]] = (),
    kind: str = "llama",
    **more: Any,
) -> Path:
    """Write model and tokenizer into a folder; `kind` names the architecture, `more` is its config's."""
    tokenizer = make_tokenizer(template, merges)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )
    MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config).to(torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
