"""What Tacit can do, as plain functions of the store; pages and command line call these and nothing else."""
