"""Floor 4, domain: promised calls are made when they are due."""
