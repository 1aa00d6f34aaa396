"""How tokens are drawn and when a text is over, for whichever loop writes (worker only)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper


@dataclass(frozen=True)
class Decoding:
    """How tokens are drawn and when a text is over. `stops` are the ids that end it, `pad` fills up shorter prompts.

    `is_over` is told all ids of a text so far, and ends it too. `dice`: what each prompt's tokens are drawn with, so
    that they hang on nothing that is written beside it; none: torch's own.
    """

    max_new_tokens: int
    stops: frozenset[int]
    pad: int
    temperature: float = 0.0
    top_p: float = 1.0
    is_over: Callable[[Sequence[int]], bool] = lambda ids: False
    dice: Sequence[random.Random] = ()

    def ends(self, ids: Sequence[int]) -> bool:
        """Whether a text ends with the last of these ids."""
        return bool(ids) and (ids[-1] in self.stops or self.is_over(ids))

    def pick(self, logits_BV: torch.Tensor, places: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """The next token of each row, the most probable one, or one drawn where the temperature is not 0; and its
        log-prob in the model's own distribution, without temperature and top-p. Both (B,). `places`: of rows' prompts.
        """
        logits_BV = logits_BV.float()
        token_B = logits_BV.argmax(dim=-1) if self.temperature <= 0 else self._draw(logits_BV, places)
        return token_B, weigh(logits_BV, token_B)

    def _draw(self, logits_BV: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
        nothing = torch.empty((len(logits_BV), 0), dtype=torch.long)
        logits_BV = TemperatureLogitsWarper(self.temperature)(nothing, logits_BV)
        if self.top_p < 1:
            logits_BV = TopPLogitsWarper(self.top_p)(nothing, logits_BV)
        share_BV = logits_BV.softmax(dim=-1)
        if not self.dice:
            return torch.multinomial(share_BV, 1)[:, 0]
        up_to_BV = share_BV.cpu().double().cumsum(dim=-1)
        thrown_B1 = torch.tensor([[self.dice[place].random()] for place in places], dtype=torch.float64)
        drawn_B1 = torch.searchsorted(up_to_BV, thrown_B1 * up_to_BV[:, -1:], right=True)
        return drawn_B1[:, 0].clamp(max=logits_BV.shape[-1] - 1).to(logits_BV.device)


def weigh(logits_BV: torch.Tensor, token_B: torch.Tensor) -> torch.Tensor:
    """The log-prob of a token of each row, (B,)."""
    return logits_BV.gather(1, token_B[:, None])[:, 0] - logits_BV.logsumexp(dim=-1)


def make_generation_config(how: Decoding) -> GenerationConfig:
    """The settings for the library's own loop."""
    drawn = {"temperature": how.temperature, "top_p": how.top_p, "top_k": 0} if how.temperature > 0 else {}
    return GenerationConfig(
        max_new_tokens=how.max_new_tokens,
        do_sample=how.temperature > 0,
        repetition_penalty=1.0,
        eos_token_id=sorted(how.stops),
        pad_token_id=how.pad,
        **drawn,
    )


def set_generation_settings_aside(model: Any) -> None:
    """Leave of the generation settings that a model brings only its stop tokens.

    `generate` takes whatever a call leaves open from the model's own settings (a repetition penalty, tokens that are
    never written), so they are taken off the model itself.
    """
    model.generation_config = GenerationConfig(eos_token_id=find_own_stops(model) or None)


def find_own_stops(model: Any) -> list[int]:
    """The ids that the model's generation settings name as the end of a text."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [] if named is None else [int(token) for token in (named if isinstance(named, list) else [named])]
