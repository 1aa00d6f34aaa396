"""Rows -> token ids: the one place where prompts and completions are encoded.

Knows tokenizers only by what they do (`apply_chat_template`, `encode`), so it needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.config import TrainConfig
from engine.datasets.rows import ChatText
from engine.values import StageRow, hash_id

IGNORED = -100
"""The label of a token that no loss is taken on (torch's cross entropy)."""
_MARK = "\u2042"


@dataclass(frozen=True)
class Encoded:
    """Token ids of one row; `labels` repeats the ids of the completion and its end, `IGNORED` elsewhere.

    `part` numbers the row's part among those of its rows; 0 is the label's.
    """

    input_ids: list[int]
    labels: list[int]
    part: int = 0


def encode_prompt(tokenizer: Any, prompt: ChatText) -> list[int]:
    """The prompt's ids, up to where the student begins to write.

    With a chat template its generation prompt; a template that knows no system role gets the system text in front of
    the first user turn. Without a template: the turns as text blocks that end in a newline, so that no token spans the
    border between prompt and completion.
    """
    text = render_prompt(tokenizer, prompt)
    if getattr(tokenizer, "chat_template", None):
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids
    ids = tokenizer.encode(text)
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def render_prompt(tokenizer: Any, prompt: ChatText, generate: bool = True) -> str:
    """The text whose ids `encode_prompt` gives; `generate`: up to where the student begins to write."""
    if getattr(tokenizer, "chat_template", None):
        messages = [{"role": role, "content": text} for role, text in prompt]
        return _apply_template(tokenizer, messages, generate)
    blocks = [f"{text}\n" if role == "assistant" else f"{text}\n\n" for role, text in prompt]
    return "".join(blocks).rstrip("\n") + "\n"


def _apply_template(tokenizer: Any, messages: list[dict[str, str]], generate: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=generate, tokenize=False))
    except Exception:  # noqa: BLE001 - a template refuses a role by any jinja error
        folded = _fold_system(messages)
        return str(tokenizer.apply_chat_template(folded, add_generation_prompt=generate, tokenize=False))


def _fold_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    if not messages or messages[0]["role"] != "system":
        return messages
    system, first, *rest = messages
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def end_token(tokenizer: Any) -> int:
    """The token that closes the student's turn: what the chat template writes behind an answer, else EOS."""
    if getattr(tokenizer, "chat_template", None):
        turns = [{"role": "user", "content": "."}, {"role": "assistant", "content": _MARK}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        behind: list[int] = tokenizer.encode(text.rsplit(_MARK, 1)[1], add_special_tokens=False)
        if behind and behind[0] in _added_tokens(tokenizer):
            return behind[0]
    return int(tokenizer.eos_token_id)


def _added_tokens(tokenizer: Any) -> frozenset[int]:
    """Ids of tokens that no text is made of: named special ones (EOS, ...), and others that were added as such."""
    return frozenset([*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})])


def encode_row(tokenizer: Any, row: StageRow, mask_prompt: bool = True) -> Encoded:
    """Ids and labels of [prompt; completion; end]. Prompt and completion are encoded apart: no token spans both."""
    prompt = encode_prompt(tokenizer, row.prompt)
    completion = [*tokenizer.encode(row.completion, add_special_tokens=False), end_token(tokenizer)]
    head = [IGNORED] * len(prompt) if mask_prompt else prompt
    return Encoded(prompt + completion, head + completion)


def split_validation(rows: Sequence[StageRow], share: float) -> tuple[list[StageRow], list[StageRow]]:
    """Training and validation rows. Whole queries are withheld, by hash, so no query stands on both sides."""
    bar = int(share * 2**32)
    withheld = {row.query_id for row in rows if int(hash_id("validation", row.query_id)[:8], 16) < bar}
    train = [row for row in rows if row.query_id not in withheld]
    if not train:
        return list(rows), []
    return train, [row for row in rows if row.query_id in withheld]


def order_rows(rows: int, batch: int, updates: int, seed: int) -> list[int]:
    """The order in which rows are trained on: `updates * batch` indices, epoch after epoch, each shuffled anew.

    Batches are random rows: sorted by length, one kind of query would fill whole batches. Written out beforehand, so
    that a resumed training sees the rows that the uninterrupted one would have seen.
    """
    if not rows:
        return []
    rng = np.random.default_rng(seed)
    epochs = -(-updates * batch // rows)
    order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
    return [int(row) for row in order[: updates * batch]]


def count_updates(train: TrainConfig, lengths: Sequence[int], seed: int) -> int:
    """How many updates a step makes over rows of these lengths in tokens, in the order of `order_rows`: at least one.

    Where its settings give training tokens, as many as come nearest to them.
    """
    if train.tokens is None:
        return train.updates or math.ceil(train.epochs * len(lengths) / train.batch_size)
    rows, per_row = len(lengths), sum(lengths) / len(lengths)
    most = math.ceil(train.tokens / per_row / train.batch_size) + math.ceil(rows / train.batch_size) + 1
    order = order_rows(rows, train.batch_size, most, seed)
    read = np.cumsum(np.array(lengths)[order].reshape(most, train.batch_size).sum(axis=1))
    return int(np.abs(read - train.tokens).argmin()) + 1


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Length of each text in the student's tokens, one end token included, as generated texts are counted."""
    return [len(tokenizer.encode(text, add_special_tokens=False)) + 1 for text in texts]
