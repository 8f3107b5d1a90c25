"""Where a call meets others: rooms of this process."""
