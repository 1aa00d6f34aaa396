"""Exports: sets, rows, students, cards, the Hub."""
