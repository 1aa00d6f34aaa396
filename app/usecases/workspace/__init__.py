"""The workspace as a whole: its store, its jobs, backups, the doctor."""
