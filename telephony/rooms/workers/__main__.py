"""``python -m telephony.rooms.workers DESCRIPTOR LEVEL FORM``: started by the service only.

The pipe's descriptor, and how to log: see ``system.configure_logging``.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

# Before anything imports numpy: its threads would only take the SDK's core away.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvloop

from telephony.rooms.workers.child import Child
from telephony.system import calm_collector, configure_logging


async def serve(end: socket.socket) -> None:
    """A worker's life."""
    child = Child(end)
    calm_collector()
    await child.run()


def main() -> None:
    """Serve on the descriptor that is named on the command line."""
    # When a worker ends, its starter says: calls drain first.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    descriptor, level, form = sys.argv[1:]
    configure_logging(level, form)
    with socket.socket(fileno=int(descriptor)) as end:
        uvloop.run(serve(end))
    # The SDK's threads are not waited for: everybody has left.
    os._exit(0)


if __name__ == "__main__":
    main()
