"""Models on this machine: students that write, embedders (worker only)."""
