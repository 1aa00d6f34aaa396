"""Labelling: queries x teachers to journaled replies."""
