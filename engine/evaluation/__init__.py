"""Evaluation: measures, reports, paired differences, what to ship."""
