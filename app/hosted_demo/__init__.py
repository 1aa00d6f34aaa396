"""The hosted demo: who may do what, and the finished project that it shows."""
