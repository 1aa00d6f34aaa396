"""How the rows of an update are shared out."""

from __future__ import annotations

from engine.errors import ConfigError


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
