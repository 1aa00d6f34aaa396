"""What gateways came to: requests, who answered, what was saved, whether students still agree with the last rung."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.usecases.serving.meter import Meter, Saved
from app.web.parts.messages import Tone, notice_html
from app.web.parts.tiles import Tile, card_html, tiles_html
from engine.wording import counted

_SOURCES = {"shadows": "by shadowed requests", "policy": "by the policy's held-out queries"}


def meters_html(meters: Sequence[Meter]) -> str:
    """A card a gateway."""
    return "".join(_meter_html(meter) for meter in meters)


def _meter_html(meter: Meter) -> str:
    tiles = [Tile(f"{meter.requests:,}", "Requests", _say_rungs(meter))]
    tiles.append(_tile("Output tokens saved", meter.tokens_saved, _count))
    tiles.append(_tile("Saved", meter.dollars_saved, _money))
    if meter.p50_s is not None and meter.p95_s is not None:
        tiles.append(Tile(f"{meter.p50_s:.2f} s", "Time to an answer", f"median; 95 of 100 within {meter.p95_s:.2f} s"))
    note = f"{meter.address} · policy {meter.policy[:8]}" if meter.address else ""
    return card_html(meter.name, tiles_html(tiles) + _notices(meter), note)


def _say_rungs(meter: Meter) -> str:
    parts = [f"{name} {count:,}" for name, count in sorted(meter.by_rung.items(), key=lambda pair: -pair[1])]
    return ", ".join(parts)


def _tile(label: str, saved: Saved | None, say: Callable[[float], str]) -> Tile:
    if saved is None:
        return Tile("unknown", label, "no request yet, or a price is missing")
    low, high = saved.low * saved.n, saved.high * saved.n
    return Tile(say(saved.total), label, f"95% interval {say(low)} to {say(high)}, {_SOURCES[saved.source]}")


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _money(value: float) -> str:
    return f"-${-value:,.4f}" if value < 0 else f"${value:,.4f}"


def _notices(meter: Meter) -> str:
    notices: list[tuple[str, Tone]] = []
    drift = meter.drift
    if drift.alarm:
        notices.append((f"Students agree with the last rung less often than expected: {drift_text(meter)}", "bad"))
    elif drift.n:
        notices.append((drift_text(meter), ""))
    if meter.fallbacks:
        fallbacks = counted(meter.fallbacks, "request")
        notices.append((f"{fallbacks} got an unsure student's answer: the rest failed.", "warn"))
    if ends := str(meter.unknown_ends):
        notices.append((f"Cut off when the gateway was killed: {ends}. Caps on money count them.", "warn"))
    if meter.refused:
        notices.append((f"Turned away, since too many waited: {counted(meter.refused, 'request')}.", "warn"))
    if meter.errors:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(meter.errors.items()))
        notices.append((f"Without an answer: {reasons}.", "warn"))
    return "".join(notice_html(text, tone=tone) for text, tone in notices)


def drift_text(meter: Meter) -> str:
    """How often students agreed with the last rung so far."""
    drift = meter.drift
    return f"{drift.agreed:,} of {counted(drift.n, 'shadowed request')} had the last rung's answer."
