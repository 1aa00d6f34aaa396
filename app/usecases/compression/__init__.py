"""Compressed rationales: asked for, and reviewed by a person."""
