"""Bare echoes in Python: sockets that send back what comes, by epoll, asyncio or uvloop.

``python -m bench.echoes KIND COUNT`` prints its ports on one line and echoes until it is killed.
"""

from __future__ import annotations

import asyncio
import resource
import select
import socket
import sys
from typing import cast


def opened(count: int) -> list[socket.socket]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        sockets.append(one)
    return sockets


def by_epoll(sockets: list[socket.socket]) -> None:
    epoll = select.epoll()
    by_descriptor = {one.fileno(): one for one in sockets}
    for descriptor in by_descriptor:
        epoll.register(descriptor, select.EPOLLIN)
    buffer = bytearray(2048)
    view = memoryview(buffer)
    while True:
        for descriptor, _ in epoll.poll():
            one = by_descriptor[descriptor]
            size, source = one.recvfrom_into(buffer)
            one.sendto(view[:size], source)


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        self.transport.sendto(data, source)


async def by_loop(sockets: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    kept = [await loop.create_datagram_endpoint(Echo, sock=one) for one in sockets]
    await asyncio.Event().wait()
    del kept


def main() -> None:
    kind, sockets = sys.argv[1], opened(int(sys.argv[2]))
    print(*(one.getsockname()[1] for one in sockets), flush=True)
    if kind == "epoll":
        by_epoll(sockets)
    elif kind == "asyncio":
        asyncio.run(by_loop(sockets))
    else:
        import uvloop

        uvloop.run(by_loop(sockets))


if __name__ == "__main__":
    main()
