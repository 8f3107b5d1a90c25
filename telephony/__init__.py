"""Telephony: a self-hosted telephony service for voice agents."""

__version__ = "0.1.0"
