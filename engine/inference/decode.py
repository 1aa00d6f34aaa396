"""Writes tokens with one model, many prompts at a time. Import only inside a worker.

Nothing of the model's own generation settings takes part: with temperature 0 each token is the most probable one.
Shapes: B prompts still being written, P tokens that all prompts begin with, W tokens of the longest rest, V vocabulary.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from engine.inference.decoding import Decoding, make_generation_config

_REFILL = 6
"""New prompts are read once at least one row in so many is free: reading a few costs about as much as reading many."""
_LEAN = 0.75
"""Rows that are done leave the batch once no more than this share of it is still written: it copies the cache."""
_ROOM = 64
"""So many tokens a cache grows at a time: growing copies the cache."""


def count_shared(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with; at least one token of each is left to itself."""
    if not prompts:
        return 0
    low, high = min(prompts), max(prompts)
    most = min(len(prompt) for prompt in prompts) - 1
    return next((place for place in range(most) if low[place] != high[place]), max(0, most))


class _RoomyLayer(DynamicLayer):
    """A layer's keys and values (B, H, L, D) with room behind them, so that a token is written in place.

    The library's own layer copies all of them for each token.
    """

    def __init__(self, rooms: tuple[torch.Tensor, torch.Tensor] | None = None, length: int = 0) -> None:
        super().__init__()
        self._rooms = rooms
        if rooms is not None:
            self.lazy_initialization(*rooms)
            self._show(length)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of new tokens behind those held, and give all."""
        begin = self.get_seq_length() if self.is_initialized else 0
        end = begin + key_states.shape[-2]
        if self._rooms is None:
            self.lazy_initialization(key_states, value_states)
            self._rooms = (_widen(key_states[:, :, :0], end + _ROOM), _widen(value_states[:, :, :0], end + _ROOM))
        elif self._rooms[0].shape[-2] < end:
            self._rooms = (_widen(self.keys, end + _ROOM), _widen(self.values, end + _ROOM))
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, begin:end] = states
        self._show(end)
        return self.keys, self.values

    def _show(self, length: int) -> None:
        self.keys, self.values = (room[:, :, :length] for room in self._rooms or ())


def _widen(states: torch.Tensor, columns: int, rows: int | None = None) -> torch.Tensor:
    """Room for so many columns, the states at its beginning; a single row may be repeated."""
    room = states.new_empty((rows or states.shape[0], states.shape[1], columns, states.shape[3]))
    room[:, :, : states.shape[2]] = states
    return room


class Written(NamedTuple):
    """The tokens of one prompt, by its place; `seconds` is its share of the time that its batch took.

    `log_probs` are those of the tokens; none where they are not known.
    """

    place: int
    ids: list[int]
    seconds: float
    log_probs: list[float]


@dataclass
class _Batch:
    """Prompts that are being written. The cache, the mask (B, L) and `next_B`, the next position, grow in step.

    Rows that are `over` stay until the batch is copied anyway, or is mostly theirs.
    """

    place: list[int]
    ids: list[list[int]]
    log_probs: list[list[float]]
    seconds: list[float]
    cache: Cache
    mask_BL: torch.Tensor
    next_B: torch.Tensor
    logits_BV: torch.Tensor
    over: set[int] = field(default_factory=set)

    @property
    def going(self) -> list[int]:
        """The rows that are still written."""
        return [row for row in range(len(self.place)) if row not in self.over]

    def give(self, row: int) -> Written:
        """What was written in a row."""
        return Written(self.place[row], self.ids[row], self.seconds[row], self.log_probs[row])

    def charge(self, seconds: float) -> None:
        """Divide the time of a step among the rows that are still written."""
        rows = self.going
        for row in rows:
            self.seconds[row] += seconds / len(rows)


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
                free = rows - (len(batch.going) if batch else 0)
                if waiting and free >= min(len(waiting), max(1, rows // _REFILL)):
                    group = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                    batch = _join([*([batch] if batch else []), self._admit(group)])
                if batch is None:
                    return
                token_B, log_prob_B = self.decoding.pick(batch.logits_BV, batch.place)
                done = self._take(batch, token_B.tolist(), log_prob_B.tolist())
                on_token(batch.ids[0])
                batch.charge(time.perf_counter() - started)
                if stop():
                    return
                written = [batch.give(row) for row in done]
                batch.over.update(done)
                batch = self._go_on(batch, token_B) if batch.going else None
            yield from written

    def _take(self, batch: _Batch, tokens: Sequence[int], log_probs: Sequence[float]) -> list[int]:
        """Add a token to each row that is still written; the rows that are done by it."""
        done = []
        for row in batch.going:
            batch.ids[row].append(tokens[row])
            batch.log_probs[row].append(log_probs[row])
            if self.decoding.ends(batch.ids[row]) or len(batch.ids[row]) >= self.decoding.max_new_tokens:
                done.append(row)
        return done

    def _go_on(self, batch: _Batch, token_B: torch.Tensor) -> _Batch:
        """The batch read one token further."""
        started = time.perf_counter()
        going = batch.going
        if len(going) <= _LEAN * len(batch.place):
            batch, token_B = _join([batch]), token_B[going]
        batch.mask_BL = torch.nn.functional.pad(batch.mask_BL, (0, 1), value=1)
        batch.logits_BV = self._forward(token_B[:, None], batch.mask_BL, batch.next_B[:, None], batch.cache)
        batch.next_B = batch.next_B + 1
        batch.charge(time.perf_counter() - started)
        return batch

    def _admit(self, group: Sequence[tuple[int, list[int]]]) -> _Batch:
        """Read prompts, each behind the shared beginning, which is read once."""
        rests = [ids[len(self.shared) :] for _, ids in group]
        width, device = max(len(ids) for ids in rests), self.model.device
        padded = [[self.decoding.pad] * (width - len(ids)) + ids for ids in rests]
        mask = [[1] * len(self.shared) + [0] * (width - len(ids)) + [1] * len(ids) for ids in rests]
        ids_BW, mask_BL = torch.tensor(padded, device=device), torch.tensor(mask, device=device)
        place_BW = (mask_BL.cumsum(dim=-1) - 1).clamp(min=0)[:, len(self.shared) :]
        cache = self._copy_prefix(len(group), width)
        logits_BV = self._forward(ids_BW, mask_BL, place_BW, cache)
        places = [place for place, _ in group]
        next_B, size = place_BW[:, -1] + 1, len(group)
        return _Batch(places, [[] for _ in group], [[] for _ in group], [0.0] * size, cache, mask_BL, next_B, logits_BV)

    def _copy_prefix(self, rows: int, width: int) -> Cache:
        """A cache that holds the shared beginning for so many rows, with room for so many more tokens."""
        if not self.shared:
            return Cache(layer_class_to_replicate=_RoomyLayer)
        if self._prefix is None:
            ids_1P = torch.tensor([self.shared], device=self.model.device)
            place_1P = torch.arange(ids_1P.shape[1], device=ids_1P.device)[None]
            cache = Cache(layer_class_to_replicate=_RoomyLayer)
            self._forward(ids_1P, torch.ones_like(ids_1P), place_1P, cache)
            self._prefix = cache
        length = len(self.shared)
        columns = length + width + _ROOM
        return Cache(
            layers=[
                _RoomyLayer((_widen(layer.keys, columns, rows), _widen(layer.values, columns, rows)), length)
                for layer in self._prefix.layers
            ]
        )

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
            written = self._generate_batch(group, range(begin, begin + len(group)), stop, on_token)
            if stop():
                return
            share = (time.perf_counter() - started) / len(group)
            for row, (ids, log_probs) in enumerate(written):
                yield Written(begin + row, ids, share, log_probs)

    def _generate_batch(
        self,
        prompts: Sequence[list[int]],
        places: Sequence[int],
        stop: Callable[[], bool],
        on_token: Callable[[list[int]], None],
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and log-probs of each prompt; no log-probs where the library draws: which ones, is known too late."""
        log_probs_LB: list[list[float]] = []
        width, how = max(len(ids) for ids in prompts), self.decoding
        ids_BL = torch.tensor([[how.pad] * (width - len(ids)) + ids for ids in prompts], device=self.model.device)
        mask_BL = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for i in prompts], device=self.model.device)

        def look(ids: torch.Tensor, scores: Any) -> torch.Tensor:
            on_token(self._cut(ids[0, width:].tolist()))
            over = [stop() or how.is_over(row) for row in ids[:, width:].tolist()]
            return torch.tensor(over, device=ids.device)

        def note(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            if how.temperature > 0 and not how.dice:
                return scores
            token_B, log_prob_B = how.pick(scores, places)
            log_probs_LB.append(log_prob_B.tolist())
            if not how.dice:
                return scores
            none_BV = torch.full_like(scores, float("-inf"))
            return none_BV.scatter(1, token_B[:, None], 0.0)  # the library can draw no other one

        with torch.inference_mode():
            out_BL = self.model.generate(
                input_ids=ids_BL,
                attention_mask=mask_BL,
                generation_config=make_generation_config(how),
                logits_processor=[note],
                stopping_criteria=[look],
            )
        cut = [self._cut(row) for row in out_BL[:, width:].tolist()]
        return [(ids, [step[row] for step in log_probs_LB[: len(ids)]]) for row, ids in enumerate(cut)]

    def _cut(self, row: list[int]) -> list[int]:
        end = next((place for place in range(1, len(row) + 1) if self.decoding.ends(row[:place])), None)
        return row[:end]


def _join(batches: Sequence[_Batch]) -> _Batch:
    """Batches as one, without the rows that are over and the columns that no row uses any more.

    Shorter ones are filled up on the left, where their mask is 0.
    """
    rows = [batch.going for batch in batches]
    masks = [batch.mask_BL[keep] for batch, keep in zip(batches, rows, strict=True)]
    columns = [mask_BL.any(dim=0).nonzero()[:, 0] for mask_BL in masks]
    length = max(len(used) for used in columns)

    def stack(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Of (B, H, L, D) each, the rows and columns to keep, in a room of their own."""
        _, heads, _, width = parts[0].shape
        room = parts[0].new_zeros((sum(map(len, rows)), heads, length + _ROOM, width))
        begin = 0
        for part, keep, used in zip(parts, rows, columns, strict=True):
            whole = len(used) == part.shape[2]
            room[begin : begin + len(keep), :, length - len(used) : length] = (
                part[keep] if whole else part[keep][:, :, used]
            )
            begin += len(keep)
        return room

    layers = [
        _RoomyLayer((stack([layer.keys for layer in same]), stack([layer.values for layer in same])), length)
        for same in zip(*(batch.cache.layers for batch in batches), strict=True)
    ]
    taken = [(batch, row) for batch, keep in zip(batches, rows, strict=True) for row in keep]
    return _Batch(
        [batch.place[row] for batch, row in taken],
        [batch.ids[row] for batch, row in taken],
        [batch.log_probs[row] for batch, row in taken],
        [batch.seconds[row] for batch, row in taken],
        Cache(layers=layers),
        torch.cat([_fill(mask_BL[:, used], length) for mask_BL, used in zip(masks, columns, strict=True)]),
        torch.cat([batch.next_B[keep] for batch, keep in zip(batches, rows, strict=True)]),
        torch.cat([batch.logits_BV[keep] for batch, keep in zip(batches, rows, strict=True)]),
    )


def _fill(mask_BL: torch.Tensor, length: int) -> torch.Tensor:
    """Zeros in front, up to a length."""
    return torch.nn.functional.pad(mask_BL, (length - mask_BL.shape[1], 0))


def _has_plain_cache(model: Any) -> bool:
    """Whether every layer keeps all keys and values, row by row: no sliding window, no recurrent state."""
    try:
        layers = DynamicCache(config=model.config).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return all(type(layer) is DynamicLayer for layer in layers)
