"""Public doubles, held to the contracts of what they stand for."""
