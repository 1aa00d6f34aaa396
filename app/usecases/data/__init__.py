"""Queries and recorded outputs: looked at, imported, compared."""
