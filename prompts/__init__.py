"""Prompt texts only; `engine.prompts` loads them."""
