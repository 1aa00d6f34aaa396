"""What was written, token by token, as a generation (worker only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.inference.decode import Written
from engine.inference.labels import find_log_prob
from engine.values import Generation, Token

_UNFINISHED = "\ufffd"
"""What stands for a character of which a token is still missing."""


@dataclass(frozen=True)
class TokenReader:
    """Reads the tokens of answers.

    `until` is the text with which an answer is over ("": none); `logprobs`: a generation brings its tokens with their
    log-probs.
    """

    tokenizer: Any
    until: str = ""
    logprobs: bool = False

    def read(self, query_id: str, written: Written, finished: bool) -> Generation:
        """The generation; `finished`: it ended by itself, and without `until` its last token only says so."""
        ids = written.ids
        kept = ids[:-1] if finished and not self.until else ids
        text = self.read_text(kept)
        if self.until:  # its last token may hold what is behind it
            text = "".join(text.partition(self.until)[:2]).strip()
        log_prob_of_label = find_log_prob(self._decode, kept, written.log_probs)
        log_prob, label_tokens = log_prob_of_label if log_prob_of_label is not None else (None, None)
        pieces = self._cut(ids, written.log_probs) if self.logprobs else ()
        return Generation(query_id, text, len(ids), finished, written.seconds, log_prob, pieces, label_tokens)

    def read_text(self, ids: Sequence[int]) -> str:
        """Their text without special tokens and without whitespace around it."""
        return self._decode(ids).strip()

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _cut(self, ids: Sequence[int], logprobs: Sequence[float]) -> tuple[Token, ...]:
        """Each token with the characters that it completes and its log-prob; none where they can't be told apart."""
        if len(logprobs) != len(ids):
            return ()
        whole, tokens, previous = self._decode(ids), [], ""
        for place, logprob in enumerate(logprobs, 1):
            text = self._decode(ids[:place])
            text = text if place == len(ids) else text.rstrip(_UNFINISHED)
            if not (text.startswith(previous) and whole.startswith(text)):
                return ()
            tokens.append(Token(text[len(previous) :], logprob))
            previous = text
        return tuple(tokens)
