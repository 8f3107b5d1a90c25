"""The ticking part: every call a row of a few arrays, all of them advanced every 20 ms."""
