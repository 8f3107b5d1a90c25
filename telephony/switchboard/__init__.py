"""Floor 4, domain: admission, one task a call, orders carried out, recovery."""
