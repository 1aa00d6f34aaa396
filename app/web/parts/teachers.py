"""What the page Teachers shows of teachers: the list, and one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.usecases.teachers.presets import PRESETS
from app.web.address import View
from app.web.parts.listing import Column, Listing, listing_html
from app.web.parts.tables import Raw
from app.web.parts.tiles import badge_html
from app.web.theme import teacher_colour

_LOGPROBS: dict[Any, str] = {True: "yes", False: "no"}


def teachers_html(rows: Sequence[Mapping[str, Any]], view: View) -> str:
    """A project's teachers; a row opens one."""
    names = [row["name"] for row in rows]
    columns = [Column("teacher", "Teacher"), Column("provider", "Provider"), Column("price", "$/M in / out")]
    return listing_html(
        Listing(
            rows=[_line(row, names) for row in rows],
            columns=[*columns, Column("state", "State")],
            view=view,
            begin=0,
            total=len(rows),
            size=max(1, len(rows)),
            noun="teacher" if len(rows) == 1 else "teachers",
            filters={},
            empty="No teachers yet. Add two or more: of each query, the two rationales that differ most are kept.",
        )
    )


def _line(row: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    model = escape("" if row["model"] == row["name"] else row["model"])
    address = escape(_host(row["endpoint"]) if row["provider"] == "openai" else "")
    return {
        "id": row["name"],
        "teacher": Raw(f"{_named(row['name'], names)}<span class='under mono'>{model}</span>", row["name"]),
        "provider": Raw(f"{escape(_provider(row))}<span class='under'>{address}</span>", _provider(row)),
        "price": Raw(_price_html(row)),
        "state": Raw(f"<span class='states'>{_states_html(row)}</span>"),
    }


def _named(name: str, names: list[str]) -> str:
    dot = f"<span class='dot' style='background:{teacher_colour(names, name)}'></span>"
    return f"{dot}<b>{escape(name)}</b>"


def _provider(row: Mapping[str, Any]) -> str:
    if row["provider"] == "scripted":
        return "Shipped with Tacit"
    return PRESETS[row["preset"]].title if row["preset"] in PRESETS else str(row["provider"])


def _host(endpoint: str) -> str:
    return endpoint.partition("://")[2].partition("/")[0]


def _price_html(row: Mapping[str, Any]) -> str:
    said = _say_price(row["price"]) if row["price"] else "unknown"
    under = f"assumed {_say_price(row['assumed'])}" if row["assumed"] else ""
    return f"{escape(said)}<span class='under'>{escape(under)}</span>"


def _say_price(price: Mapping[str, float]) -> str:
    """Two digits of cents, more where there are more."""
    values = price["input"], price["output"]
    return " / ".join(f"${value:.2f}" if round(value, 2) == value else f"${value:g}" for value in values)


def _states_html(row: Mapping[str, Any]) -> str:
    """Whether the key is there, and whether the connection was tested."""
    badges = []
    if row["key_state"] != "not needed":
        is_set = row["key_state"].endswith("is set")
        badges.append(badge_html("Key set" if is_set else "Key missing", "good" if is_set else "bad"))
    if row["hosted"]:
        tested = row["capabilities"] is not None
        badges.append(badge_html("Tested" if tested else "Not tested", "good" if tested else "warn"))
    return "".join(badges) or badge_html("Ready", "good")


def teacher_html(row: Mapping[str, Any], names: list[str], whole: bool) -> str:
    """One teacher: its name and state; `whole`: its settings too, where no fields show them."""
    facts: dict[str, str] = {}
    if whole:
        sampling = row["sampling"]
        facts = {
            "Provider": _provider(row),
            "Model": row["model"],
            "Sampling": f"temperature {sampling['temperature']:g}, top p {sampling['top_p']:g}, "
            f"at most {sampling['max_tokens']:,} tokens",
        }
        facts = {"Provider": facts["Provider"]} if row["provider"] == "recorded" else facts
    if row["key_state"] != "not needed":
        facts["Key"] = row["key_state"]
    if row["capabilities"] is not None:
        facts["Test found"] = tell_capabilities(row["capabilities"])
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    listed = f"<dl class='pairs'>{lines}</dl>" if lines else ""
    return f"<div class='opened'><h2>{_named(row['name'], names)} {_states_html(row)}</h2>{listed}</div>"


def tell_capabilities(capabilities: Mapping[str, Any]) -> str:
    """What a test of the connection found."""
    parts = [
        f"structured output: {capabilities.get('structured') or 'no'}",
        f"log-probs: {_LOGPROBS.get(capabilities.get('logprobs'), 'unknown')}",
        f"reasoning in: {capabilities.get('reasoning') or 'the reply itself'}",
    ]
    return "; ".join(parts)
