"""Runs of plans: forecast, started, watched, told of."""
