"""How the rows of an update are shared out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import TypeVar

from engine.errors import ConfigError

T = TypeVar("T")


def share_batch(batch_size: int, processes: int) -> int:
    """How many rows of a batch each process takes, so that all of them together take the batch exactly.

    Raises:
        ConfigError: if the batch can't be shared equally.
    """
    if batch_size % processes:
        fitting = [count for count in range(1, processes + 1) if batch_size % count == 0]
        raise ConfigError(
            f"a batch of {batch_size} rows can't be shared equally by {processes} processes; train on "
            f"{', '.join(map(str, fitting))} of them (TACIT_DEVICES), or take a batch that {processes} divides"
        )
    return batch_size // processes


def fill_batch(rows: Sequence[T], size: int) -> list[T]:
    """A whole batch, rows repeated where there are too few."""
    return list(islice(cycle(rows), size))
