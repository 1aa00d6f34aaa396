"""Teachers: described, connected to, and the prompt they are asked with."""
