"""Selections: settings, decisions, overviews, calibration."""
