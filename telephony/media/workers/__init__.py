"""Media engines in processes of their own, beside the loop that signals."""
