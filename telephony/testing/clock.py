"""The manual clock, where tests look for it."""

from telephony.base.clock import ManualClock

__all__ = ["ManualClock"]
