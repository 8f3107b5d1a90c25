"""Whether a socket of ours takes an address, asked without the worker that has the socket."""

from __future__ import annotations

import socket

from telephony.base.errors import MediaFailed
from telephony.media.latch import canonical, is_ambiguous
from telephony.media.terms import Terms


def check_reach(host: str, terms: Terms) -> None:
    """What ``connect`` of a socket on ``host`` would say; nothing is sent.

    Raises:
        MediaFailed: in the words of the engine.
    """
    remote = canonical(terms.remote) if terms.remote is not None else None
    # Where several may latch, the engine connects to nobody yet either.
    if remote is None or is_ambiguous(terms):
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
            probe.connect(remote)
        except OSError as error:
            raise MediaFailed(f"no RTP to {remote[0]}: {error}") from error
