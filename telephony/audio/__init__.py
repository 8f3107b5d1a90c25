"""Sound as numpy arrays: every function takes ``(..., samples)`` and knows no packet."""
