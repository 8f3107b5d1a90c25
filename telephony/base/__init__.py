"""Floor 0: clock, ids, numbers, errors, trace. Imports nothing of ours."""
