"""Dialplans: YAML programs that answer events with commands. Pure."""
