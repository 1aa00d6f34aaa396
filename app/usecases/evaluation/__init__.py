"""Scores, verdicts, money, comparisons."""
