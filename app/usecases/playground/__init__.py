"""The playground: students and teachers side by side."""
