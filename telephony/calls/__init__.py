"""Floor 1, the heart: what a call is, in events, commands, nouns, rules and ports. Pure."""
