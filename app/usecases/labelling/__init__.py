"""Labelling: quotes, jobs, and what came of them."""
