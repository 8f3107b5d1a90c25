"""Floor 4, wire column: one folder a carrier, each deletable."""
