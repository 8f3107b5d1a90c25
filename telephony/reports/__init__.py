"""Floor 3, pure: a finished call's report, folded from its events and made no other way."""
