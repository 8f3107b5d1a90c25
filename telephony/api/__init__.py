"""Floor 5: the HTTP API. A handler parses, calls one port, and renders; nothing else."""
