"""How traces are taken in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config import Config

Personal = Literal["keep", "mask", "drop"]
UNNAMED = "recorded replies"
"""The teacher of traces that name no model."""


class TraceOrder(Config):
    """How traces are taken in.

    Attributes:
        format: the name of their format; "": by what the rows look like.
        teacher: the teacher's name where traces name no model.
        personal: what happens to traces with personal data: kept as they are, masked, or left out; None: not decided.
        label: reply: the whole reply is the label where the task takes it for one, else what the task reads out of it;
            read: what the task reads out of it.
        system: text: the system prompt stands before the query; apart: it is kept beside the query, and nobody sees it.
        heldout: the share of the queries that is held out, by hash.
    """

    format: str = ""
    teacher: str = Field("", max_length=60)
    personal: Personal | None = None
    label: Literal["reply", "read"] = "reply"
    system: Literal["text", "apart"] = "text"
    heldout: float = Field(0.0, ge=0, le=1)
