"""The store: everything in one DuckDB file, opened by one process at a time. The only package that knows DuckDB."""
