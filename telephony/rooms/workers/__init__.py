"""Rooms in processes of their own: one process of the SDK carries so many, and no more."""
