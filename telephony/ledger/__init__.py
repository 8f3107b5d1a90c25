"""Credits and usage: what organizations have, what they used, and who may begin what costs."""
