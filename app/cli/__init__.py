"""The command line `tacit`."""
