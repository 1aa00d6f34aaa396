"""Writes tokens with one model, many prompts at a time. Import only inside a worker.

Nothing of the model's own generation settings takes part: with temperature 0 each token is the most probable one.
Shapes: B prompts still being written, P tokens that all prompts begin with, W tokens of the longest rest, V vocabulary.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

_REFILL = 6
"""New prompts are read once at least one row in so many is free: reading a few costs about as much as reading many."""
_UNUSED = 32
"""So many columns of a cache must be unused before they are cut out: cutting copies all of it."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are drawn and when a text is over. `stops` are the ids that end it, `pad` fills up shorter prompts."""

    max_new_tokens: int
    stops: frozenset[int]
    pad: int
    temperature: float = 0.0
    top_p: float = 1.0

    def pick(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """The next token of each row, (B,): the most probable one, or one drawn where the temperature is not 0."""
        logits_BV = logits_BV.float()
        if self.temperature <= 0:
            return logits_BV.argmax(dim=-1)
        nothing = torch.empty((len(logits_BV), 0), dtype=torch.long)
        logits_BV = TemperatureLogitsWarper(self.temperature)(nothing, logits_BV)
        if self.top_p < 1:
            logits_BV = TopPLogitsWarper(self.top_p)(nothing, logits_BV)
        return torch.multinomial(logits_BV.softmax(dim=-1), 1)[:, 0]


def count_shared(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with; at least one token of each is left to itself."""
    if not prompts:
        return 0
    low, high = min(prompts), max(prompts)
    most = min(len(prompt) for prompt in prompts) - 1
    return next((place for place in range(most) if low[place] != high[place]), max(0, most))


class Written(NamedTuple):
    """The tokens of one prompt, by its place; `seconds` is its share of the time that its batch took."""

    place: int
    ids: list[int]
    seconds: float


@dataclass
class _Batch:
    """Prompts that are being written. The cache, the mask (B, L) and `next_B`, the next position, grow in step."""

    place: list[int]
    ids: list[list[int]]
    seconds: list[float]
    cache: Any
    mask_BL: torch.Tensor
    next_B: torch.Tensor
    logits_BV: torch.Tensor


@dataclass
class Decoder:
    """One model, and the cache of what all prompts of a job begin with (`shared`), computed once."""

    model: Any
    decoding: Decoding
    shared: tuple[int, ...] = ()
    _prefix: Any = field(default=None, init=False, repr=False)

    def write(
        self,
        prompts: Sequence[list[int]],
        rows: int,
        stop: Callable[[], bool] = lambda: False,
        on_token: Callable[[list[int]], None] = lambda ids: None,
    ) -> Iterator[Written]:
        """Continue all prompts, so many rows at once, each up to its first stop token (given too) or the limit.

        A prompt is given out as soon as it is done; it leaves the batch, and the next one takes its place.

        Args:
            prompts: token ids; each begins with `shared` and goes on behind it.
            rows: the most prompts that are written at the same time.
            stop: asked after each token; where it is true, nothing more is given.
            on_token: told what the first row holds so far, after each token.
        """
        if not _has_plain_cache(self.model):
            yield from self._generate(prompts, rows, stop, on_token)
            return
        waiting = deque(enumerate(prompts))
        batch: _Batch | None = None
        while waiting or batch is not None:
            started = time.perf_counter()
            with torch.inference_mode():
                held = len(batch.place) if batch else 0
                if waiting and rows - held >= min(len(waiting), max(1, rows // _REFILL)):
                    group = [waiting.popleft() for _ in range(min(rows - held, len(waiting)))]
                    batch = _join(batch, self._admit(group))
                if batch is None:
                    return
                token_B = self.decoding.pick(batch.logits_BV)
                done = self._take(batch, token_B.tolist())
                on_token(batch.ids[0])
                share = (time.perf_counter() - started) / len(batch.place)
                batch.seconds = [seconds + share for seconds in batch.seconds]
                if stop():
                    return
                over = [Written(batch.place[row], batch.ids[row], batch.seconds[row]) for row in done]
                keep = [row for row in range(len(batch.place)) if row not in set(done)]
                started = time.perf_counter()
                batch = self._go_on(batch, keep, token_B) if keep else None
                if batch is not None:
                    share = (time.perf_counter() - started) / len(keep)
                    batch.seconds = [seconds + share for seconds in batch.seconds]
            yield from over

    def _take(self, batch: _Batch, tokens: Sequence[int]) -> list[int]:
        """Add a token to each row; the rows that are done by it."""
        done = []
        for row, token in enumerate(tokens):
            batch.ids[row].append(token)
            if token in self.decoding.stops or len(batch.ids[row]) >= self.decoding.max_new_tokens:
                done.append(row)
        return done

    def _go_on(self, batch: _Batch, keep: list[int], token_B: torch.Tensor) -> _Batch:
        """The batch without the rows that are done, read one token further."""
        if len(keep) < len(batch.place):
            batch, token_B = _select(batch, keep), token_B[keep]
        batch.mask_BL = torch.nn.functional.pad(batch.mask_BL, (0, 1), value=1)
        batch.logits_BV = self._forward(token_B[:, None], batch.mask_BL, batch.next_B[:, None], batch.cache)
        batch.next_B = batch.next_B + 1
        return batch

    def _admit(self, group: Sequence[tuple[int, list[int]]]) -> _Batch:
        """Read prompts, each behind the shared beginning, which is read once."""
        rests = [ids[len(self.shared) :] for _, ids in group]
        width, device = max(len(ids) for ids in rests), self.model.device
        padded = [[self.decoding.pad] * (width - len(ids)) + ids for ids in rests]
        mask = [[1] * len(self.shared) + [0] * (width - len(ids)) + [1] * len(ids) for ids in rests]
        ids_BW, mask_BL = torch.tensor(padded, device=device), torch.tensor(mask, device=device)
        place_BW = (mask_BL.cumsum(dim=-1) - 1).clamp(min=0)[:, len(self.shared) :]
        cache = self._copy_prefix(len(group))
        logits_BV = self._forward(ids_BW, mask_BL, place_BW, cache)
        places = [place for place, _ in group]
        return _Batch(places, [[] for _ in group], [0.0] * len(group), cache, mask_BL, place_BW[:, -1] + 1, logits_BV)

    def _copy_prefix(self, rows: int) -> Any:
        """A cache that holds the shared beginning for so many rows."""
        if not self.shared:
            return DynamicCache(config=self.model.config)
        if self._prefix is None:
            ids_1P = torch.tensor([self.shared], device=self.model.device)
            place_1P = torch.arange(ids_1P.shape[1], device=ids_1P.device)[None]
            cache = DynamicCache(config=self.model.config)
            self._forward(ids_1P, torch.ones_like(ids_1P), place_1P, cache)
            self._prefix = cache
        cache = copy.deepcopy(self._prefix)
        cache.batch_repeat_interleave(rows)
        return cache

    def _forward(self, ids_BW: torch.Tensor, mask_BL: torch.Tensor, place_BW: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits behind the last token of each row, (B, V); the cache grows by the ids."""
        out = self.model(
            input_ids=ids_BW,
            attention_mask=mask_BL,
            position_ids=place_BW,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits_BV: torch.Tensor = out.logits[:, -1]
        return logits_BV

    def _generate(
        self, prompts: Sequence[list[int]], rows: int, stop: Callable[[], bool], on_token: Callable[[list[int]], None]
    ) -> Iterator[Written]:
        """The same by the library's own loop, for models whose caches can't be cut and joined row by row."""
        for begin in range(0, len(prompts), rows):
            group = prompts[begin : begin + rows]
            started = time.perf_counter()
            written = self._generate_batch(group, stop, on_token)
            if stop():
                return
            share = (time.perf_counter() - started) / len(group)
            yield from (Written(begin + row, ids, share) for row, ids in enumerate(written))

    def _generate_batch(
        self, prompts: Sequence[list[int]], stop: Callable[[], bool], on_token: Callable[[list[int]], None]
    ) -> list[list[int]]:
        width, how = max(len(ids) for ids in prompts), self.decoding
        ids_BL = torch.tensor([[how.pad] * (width - len(ids)) + ids for ids in prompts], device=self.model.device)
        mask_BL = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for i in prompts], device=self.model.device)

        def look(ids: torch.Tensor, scores: Any) -> torch.Tensor:
            on_token(self._cut(ids[0, width:].tolist()))
            return torch.full((len(ids),), stop(), device=ids.device)

        with torch.inference_mode():
            out_BL = self.model.generate(
                input_ids=ids_BL,
                attention_mask=mask_BL,
                generation_config=make_generation_config(how),
                stopping_criteria=[look],
            )
        return [self._cut(row) for row in out_BL[:, width:].tolist()]

    def _cut(self, row: list[int]) -> list[int]:
        end = next((place for place, token in enumerate(row) if token in self.decoding.stops), None)
        return row if end is None else row[: end + 1]


def _select(batch: _Batch, keep: list[int]) -> _Batch:
    """The rows to keep. Columns that no row uses any more are left out, so that a long job's cache doesn't grow."""
    mask_BL = batch.mask_BL[keep]
    used_L = mask_BL.any(dim=0)
    cut = int(used_L.numel() - used_L.sum()) >= _UNUSED
    columns = used_L.nonzero()[:, 0] if cut else slice(None)
    layers = [(layer.keys[keep][:, :, columns], layer.values[keep][:, :, columns]) for layer in batch.cache.layers]
    rows = [(batch.place[row], batch.ids[row], batch.seconds[row]) for row in keep]
    place, ids, seconds = (list(column) for column in zip(*rows, strict=True))
    cache, next_B = DynamicCache(layers), batch.next_B[keep]
    return _Batch(place, ids, seconds, cache, mask_BL[:, columns], next_B, batch.logits_BV[keep])


def _join(first: _Batch | None, second: _Batch) -> _Batch:
    """Both batches as one; the shorter one is filled up on the left, where its mask is 0."""
    if first is None:
        return second
    length = max(first.mask_BL.shape[1], second.mask_BL.shape[1])
    mask_BL = torch.cat([_fill(first.mask_BL, length, -1), _fill(second.mask_BL, length, -1)])
    layers = [
        tuple(
            torch.cat([_fill(a, length, -2), _fill(b, length, -2)]) for a, b in ((x.keys, y.keys), (x.values, y.values))
        )
        for x, y in zip(first.cache.layers, second.cache.layers, strict=True)
    ]
    return _Batch(
        first.place + second.place,
        first.ids + second.ids,
        first.seconds + second.seconds,
        DynamicCache(layers),
        mask_BL,
        torch.cat([first.next_B, second.next_B]),
        torch.cat([first.logits_BV, second.logits_BV]),
    )


def _fill(tensor: torch.Tensor, length: int, axis: int) -> torch.Tensor:
    """Zeros in front, up to a length along an axis (-1 or -2)."""
    missing = length - tensor.shape[axis]
    return torch.nn.functional.pad(tensor, (missing, 0) if axis == -1 else (0, 0, missing, 0)) if missing else tensor


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


def _has_plain_cache(model: Any) -> bool:
    """Whether every layer keeps all keys and values, row by row: no sliding window, no recurrent state."""
    try:
        layers = DynamicCache(config=model.config).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return all(type(layer) is DynamicLayer for layer in layers)
