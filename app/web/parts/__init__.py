"""What pages are made of: from values to escaped HTML. Pure; whatever a model or a file said stays text."""
