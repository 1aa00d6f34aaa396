"""The cascade: a student is asked first, and the next one only where its answer is not sure enough."""
