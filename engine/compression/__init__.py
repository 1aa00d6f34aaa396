"""Compression, step 2 of the method: compressors, and the check that they share."""

from engine.compression.base import COMPRESSORS, Compressor, CompressWork, InWorker, Place
from engine.compression.rewriting import CHECK_PROMPTS, Compressed, assign, compress
from engine.registry import import_variants

__all__ = [
    "CHECK_PROMPTS",
    "COMPRESSORS",
    "CompressWork",
    "Compressed",
    "Compressor",
    "InWorker",
    "Place",
    "assign",
    "compress",
]

import_variants(__name__, __path__)
