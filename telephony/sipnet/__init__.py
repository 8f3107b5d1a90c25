"""Sockets for SIP: datagrams, streams, names, and the driver that puts them under an agent."""
