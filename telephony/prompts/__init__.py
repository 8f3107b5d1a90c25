"""Prompt variables: Liquid with names from a request, an agent and the service (contract 3.2)."""

from telephony.prompts.compile import SYSTEM_NAMES, Template, check_names, compile_all

__all__ = ["SYSTEM_NAMES", "Template", "check_names", "compile_all"]
