"""The measures that a report has."""

from engine.measures import read, score, seconds, tokens
from engine.measures.base import MEASURES, Measure

__all__ = ["MEASURES", "Measure", "read", "score", "seconds", "tokens"]
