"""Projects: found, described, copied, written to files."""
