"""Compression, step 2 of the method: compressors, and the check that they share."""

from engine.compression import teacher_guided
from engine.compression.base import COMPRESSORS, Compressor, CompressWork
from engine.compression.rewriting import CHECK_PROMPTS, Compressed, assign, compress

__all__ = [
    "CHECK_PROMPTS",
    "COMPRESSORS",
    "CompressWork",
    "Compressed",
    "Compressor",
    "assign",
    "compress",
    "teacher_guided",
]
