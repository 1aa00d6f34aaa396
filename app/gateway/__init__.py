"""The gateway: an OpenAI-compatible server that runs a policy's ladder."""
