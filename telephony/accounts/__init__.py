"""Floor 1: whose calls, over which trunks, to which numbers and phones. Pure."""
