"""How the generator's SIP leaves and comes: a UDP socket, or the one TCP line of who registers."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Protocol


class Line(Protocol):
    """Where SIP goes and comes from."""

    local: tuple[str, int]
    transport: str

    def fileno(self) -> int: ...

    def send(self, text: str) -> bool:
        """Whether the kernel took it."""
        ...

    def receive(self) -> Iterator[str]:
        """The messages that are there."""
        ...


class Datagrams:
    """SIP over UDP with one far end; who writes first is answered where they are."""

    transport = "UDP"

    def __init__(self, target: tuple[str, int], port: int = 0) -> None:
        self._target = target
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.local: tuple[str, int] = self._socket.getsockname()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, text: str) -> bool:
        try:
            self._socket.sendto(text.encode("latin-1"), self._target)
        except BlockingIOError:
            return False
        return True

    def receive(self) -> Iterator[str]:
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return
            yield data.decode("latin-1")


class Registered:
    """A registrar on TCP that takes anybody, and calls them down the line on which they came."""

    transport = "TCP"

    def __init__(self, port: int, patience: float = 20.0) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(("127.0.0.1", port))
            door.listen()
            door.settimeout(patience)
            print('{"listens": true}', flush=True)
            try:
                self._socket, _ = door.accept()
            except TimeoutError:
                raise SystemExit("nobody came to register") from None
        self._socket.settimeout(patience)
        self.local: tuple[str, int] = ("127.0.0.1", port)
        self._buffer = ""
        self.contact = self._register()
        self._socket.setblocking(False)

    def _register(self) -> str:
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise SystemExit("who came to register left again")
            self._buffer += data.decode("latin-1")
            for text in self._messages():
                if text.startswith("REGISTER"):
                    contact = re.search(r"(?im)^contact: *<([^>]+)>", text)
                    if contact is None:
                        raise SystemExit("a REGISTER without a contact")
                    line = f"Contact: <{contact.group(1)}>;expires=3600\r\n"
                    self.send(response(text, "200 OK", line))
                    return contact.group(1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, text: str) -> bool:
        # A hundred calls' messages fit the socket's buffer; less would be a fault of the bench.
        self._socket.sendall(text.encode("latin-1"))
        return True

    def receive(self) -> Iterator[str]:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise SystemExit("the far end closed its line")
        self._buffer += data.decode("latin-1")
        for text in self._messages():
            if text.startswith("REGISTER"):
                line = f"Contact: <{self.contact}>;expires=3600\r\n"
                self.send(response(text, "200 OK", line))
            else:
                yield text

    def _messages(self) -> Iterator[str]:
        while True:
            self._buffer = self._buffer.lstrip("\r\n")
            head, found, rest = self._buffer.partition("\r\n\r\n")
            if not found:
                return
            length = re.search(r"(?im)^(?:content-length|l): *(\d+)", head)
            size = int(length.group(1)) if length else 0
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            yield f"{head}\r\n\r\n{rest[:size]}"


def response(request: str, status: str, more: str = "", body: str = "") -> str:
    """An answer to a request, with the fields that every answer has from it."""
    head = request.partition("\r\n\r\n")[0].split("\r\n")[1:]
    kept = [li for li in head if re.match(r"(?i)(via|from|to|call-id|cseq|record-route) *:", li)]
    if status[0] != "1":
        kept = [
            f"{li};tag=far" if re.match(r"(?i)to *:", li) and ";tag=" not in li else li
            for li in kept
        ]
    lines = "\r\n".join(kept)
    return f"SIP/2.0 {status}\r\n{lines}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
