"""Use cases of serving: what a ladder saves, and what it saved."""
