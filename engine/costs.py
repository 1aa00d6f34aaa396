"""Prices of tokens, what a request costs, and the budget that no request may pass."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.metadata import version

from engine.config import MOST_PRICE
from engine.errors import CapReached, ConfigError, InputError, TeacherError
from engine.values import MOST_COST, TeacherSpec, Usage

_FREE_PROVIDERS = ("scripted", "recorded", "local")
_MILLION = Decimal(1_000_000)
_CENT = Decimal("0.01")
ASSUMED = "assumed"
"""Marks a price that nobody charges, wherever it is shown."""
_ASSUMED = {"forward": ("0.40", "1.60"), "eliminate": ("0.15", "0.60"), "tabulate": ("0.40", "2.00")}
"""US dollars a million tokens in and out, as providers list their middling models: assumptions, no quotations."""


@dataclass(frozen=True)
class Price:
    """What a teacher's tokens cost, in US dollars a million tokens, and where that is from."""

    input_usd: Decimal
    output_usd: Decimal
    source: str


@cache
def find_price(spec: TeacherSpec) -> Price | None:
    """The price of a teacher: the user's own, else genai-prices' for its provider and model; None where it is unknown.

    Scripted, recorded and local teachers bill nothing. A price above `MOST_PRICE` is none.

    Raises:
        ConfigError: if the user gave only one of the two prices.
    """
    if (spec.input_price is None) != (spec.output_price is None):
        raise ConfigError(f"{spec.name}: give both prices, of input and of output, or neither")
    if spec.input_price is not None and spec.output_price is not None:
        if not all(0 <= price <= MOST_PRICE for price in (spec.input_price, spec.output_price)):
            return None
        return Price(Decimal(str(spec.input_price)), Decimal(str(spec.output_price)), "set by hand")
    if spec.provider in _FREE_PROVIDERS:
        return Price(Decimal(0), Decimal(0), "bills nothing")
    million_in, million_out = _table_cost(spec, Usage(1_000_000, 0)), _table_cost(spec, Usage(0, 1_000_000))
    if million_in is None or million_out is None:
        return None
    return Price(million_in, million_out, f"genai-prices {version('genai-prices')}")


def assumed_price(spec: TeacherSpec) -> Price | None:
    """A list price to reckon with for a teacher that bills nothing, as if a hosted model stood in its place.

    A recorded teacher's is that of the model of its name, where genai-prices lists one. Nothing is charged by it:
    `find_price`, the ledger and caps on money don't know it. None for all others.
    """
    if spec.provider == "recorded":
        return _list_price(spec.model)
    price = _ASSUMED.get(spec.name) if spec.provider == "scripted" and spec.input_price is None else None
    return None if price is None else Price(Decimal(price[0]), Decimal(price[1]), ASSUMED)


@cache
def _list_price(model: str) -> Price | None:
    """What a model costs at whichever provider is known for it; None where none is."""
    spec = TeacherSpec(model, "", model)
    prices = [_table_cost(spec, usage) for usage in (Usage(1_000_000, 0), Usage(0, 1_000_000))]
    if prices[0] is None or prices[1] is None:
        return None
    return Price(prices[0], prices[1], ASSUMED)


def read_list_price(text: str) -> Price:
    """A list price to assume, as somebody typed it: US dollars a million tokens in and out, as `0.40 / 1.60`.

    Raises:
        InputError: if it is none.
    """
    parts = [part.strip().removeprefix("$") for part in text.split("/")]
    try:
        prices = [Decimal(part) for part in parts]
    except InvalidOperation:
        prices = []
    if len(prices) != 2 or not all(price.is_finite() and 0 <= price <= MOST_PRICE for price in prices):
        raise InputError(f"{text.strip()[:40]}: give US dollars a million tokens in and out, as 0.40 / 1.60.")
    return Price(prices[0], prices[1], ASSUMED)


def cost_of(spec: TeacherSpec, usage: Usage) -> Decimal | None:
    """What one request cost in US dollars; None where the price or the tokens are unknown."""
    price = find_price(spec)
    if price is None:
        return None
    if price.input_usd == price.output_usd == 0:
        return Decimal(0)
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if price.source.startswith("genai-prices"):
        cost = _table_cost(spec, usage)
    else:
        cost = (price.input_usd * usage.input_tokens + price.output_usd * usage.output_tokens) / _MILLION
    return cost if cost is not None and 0 <= cost < MOST_COST else None


def _table_cost(spec: TeacherSpec, usage: Usage) -> Decimal | None:
    import genai_prices  # noqa: PLC0415 - its table is only read where a hosted teacher is priced

    cached = min(usage.cached_tokens or 0, usage.input_tokens or 0)
    tokens = genai_prices.Usage(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=cached or None
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if spec.endpoint:
                price = genai_prices.calc_price(tokens, spec.model, provider_api_url=spec.endpoint)
            elif spec.provider:
                price = genai_prices.calc_price(tokens, spec.model, provider_id=spec.provider)
            else:
                price = genai_prices.calc_price(tokens, spec.model)
    except (LookupError, ValueError, ArithmeticError):
        return None
    return price.total_price


def cost_of_failure(spec: TeacherSpec, error: TeacherError) -> tuple[Usage, Decimal | None]:
    """The tokens and the cost of a request that gave no usable reply: nothing where it was turned away."""
    usage = Usage(*error.tokens) if error.tokens else Usage()
    return usage, Decimal(0) if error.kind.free else cost_of(spec, usage)


def worst_cost(spec: TeacherSpec, prompt: str) -> Decimal | None:
    """No request with this prompt can cost more: a token is at least a byte, and `max_tokens` bounds the reply."""
    return cost_of(spec, Usage(input_bound(prompt), spec.sampling.max_tokens))


def may_bill(spec: TeacherSpec, worst: Decimal | None) -> bool:
    """Whether a request that costs at most so much (None: unknown) goes out to somebody who may charge for it."""
    return worst != 0 and spec.provider not in _FREE_PROVIDERS


def input_bound(prompt: str) -> int:
    """More tokens than this no tokenizer makes of a prompt: its bytes, and some for the roles around it."""
    return len(prompt.encode("utf-8", "replace")) + 50


class Budget:
    """A hard cap on money (US dollars) and requests of one job. What is in flight counts with its worst case.

    For the coroutines of one event loop; nothing is awaited between looking at the cap and reserving.
    """

    def __init__(self, max_cost: Decimal | None = None, max_requests: int | None = None) -> None:
        self.max_cost = max_cost
        self.max_requests = max_requests
        self.spent = Decimal(0)
        self.carried = Decimal(0)
        self.requests = 0
        self._reserved = Decimal(0)
        self._settled = asyncio.Event()

    async def reserve(self, worst: Decimal | None) -> Decimal:
        """Count a request that is about to start, waiting for those in flight where their worst cases fill the cap.

        Returns:
            What was reserved, to be given back to `settle`.

        Raises:
            CapReached: if the request could pass a cap whatever those in flight come to.
        """
        amount = worst or Decimal(0)
        while self._full(self._reserved + amount) and not self._full(amount):
            self._settled.clear()
            await self._settled.wait()
        return self.take(amount)

    def take(self, worst: Decimal | None) -> Decimal:
        """Reserve at once, without waiting for anything in flight.

        Raises:
            CapReached: if the request could pass a cap.
        """
        amount = worst or Decimal(0)
        if self._full(self._reserved + amount):
            raise CapReached(
                f"the next request could pass the cap of ${self.max_cost}: ${_round(self.spent + self._reserved)} are "
                f"spent or in flight{self._say_carried()} and it may cost up to ${_round(amount)}; what came in is kept"
            )
        if self.max_requests is not None and self.requests >= self.max_requests:
            raise CapReached(f"the cap of {self.max_requests} requests is reached; what came in is kept")
        return self.count(amount)

    def _say_carried(self) -> str:
        if not self.carried:
            return ""
        return f" (up to ${_round(self.carried)} of it for requests that an earlier job left with an unknown end)"

    def _full(self, more: Decimal) -> bool:
        return self.max_cost is not None and self.spent + more > self.max_cost

    def count(self, worst: Decimal) -> Decimal:
        """Reserve for a request that is under way already, whatever the cap."""
        self.requests += 1
        self._reserved += worst
        return worst

    def carry(self, worst: Decimal) -> None:
        """Count what requests of an earlier job came to at most whose end is unknown, since they are sent again."""
        self.carried += worst
        self.spent += worst

    def give_back(self, reserved: Decimal) -> None:
        """Take a reservation back: the request was not sent after all."""
        self.requests -= 1
        self.settle(reserved, Decimal(0))

    def settle(self, reserved: Decimal, cost: Decimal | None) -> None:
        """Replace a reservation by what the request cost; by the whole reservation where that is unknown."""
        self._reserved -= reserved
        self.spent += reserved if cost is None else cost
        self._settled.set()


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT / 100)
