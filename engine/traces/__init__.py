"""Traces: requests to a model and its replies, as providers and tracing tools export them."""

from engine.registry import import_variants
from engine.traces.base import FORMATS, Joining, Row, Trace, TraceFormat, Turn, share_of

__all__ = ["FORMATS", "Joining", "Row", "Trace", "TraceFormat", "Turn", "share_of"]

import_variants(__name__, __path__)
