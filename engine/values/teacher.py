"""Teachers as they are configured, what they are asked for, and what they send back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

MOST_TOKENS = 10**9
"""No request has more tokens than this; whatever claims more has not counted, and its tokens are unknown."""


MOST_COST = Decimal(10**8)
"""US dollars that no request costs; whatever comes to more has a wrong price or count, and is unknown."""


class Purpose(StrEnum):
    """What a request to a teacher is for; stored with every attempt."""

    LABEL = "label"
    COMPRESS = "compress"
    CHECK = "check"
    GRADE = "grade"
    EVALUATE = "evaluate"
    PROBE = "probe"
    PLAY = "play"


@dataclass(frozen=True)
class Usage:
    """Tokens that a provider bills for one request; None where it reports nothing.

    `output_tokens` takes in hidden reasoning; `cached_tokens` are those of the input that were read from a cache.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True)
class Sampling:
    """What decides the distribution of a reply."""

    temperature: float = 0.0
    top_p: float = 0.95
    max_tokens: int = 2048


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher T_j as the user configured it. Holds the name of a key's variable, never a key.

    Prices are US dollars a million tokens and go before those of the price table; `draws` samples a query.
    """

    name: str
    provider: str
    model: str
    endpoint: str = ""
    key_variable: str | None = None
    sampling: Sampling = Sampling()
    concurrency: int = 8
    draws: int = 1
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 120.0
    input_price: float | None = None
    output_price: float | None = None


class Token(NamedTuple):
    """A token that was written: the characters that it completes, and its log-probability in nats."""

    text: str
    logprob: float


@dataclass(frozen=True)
class Reply:
    """What a teacher sent back. `raw` is the provider's text, `text` the part that holds the answer.

    `tokens` are those of the answer, where log-probs were asked for and came.
    """

    text: str
    raw: str
    usage: Usage = Usage()
    finish_reason: str = "stop"
    latency_s: float | None = None
    tokens: tuple[Token, ...] = ()
