"""SIP without I/O: syntax, transactions, dialogs and the agent (RFC 3261 and its family).

Nothing in here opens a socket, reads a clock or draws a random number: bytes, sources and `now`
come in as arguments, and messages to send and events go out as values.
"""
