"""RFC 4475 at our registrar: each REGISTER gets its verdict, asked by a phone that logs in."""

from __future__ import annotations

import asyncio
import csv
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.message import Response
from telephony.sip.parser import parse

House = Callable[..., Awaitable[Any]]
VECTORS = Path(__file__).parents[1] / "vectors" / "rfc4475"


def rows() -> list[dict[str, str]]:
    (table,) = list(VECTORS.rglob("expected*.tsv"))
    with table.open(encoding="utf-8") as text:
        found = list(csv.DictReader(text, delimiter="\t"))
    return [row for row in found if row["kind"] == "REGISTER"]


class Stream:
    """One TCP connection: a request in, its final response out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, data: bytes) -> tuple[int, Response | None]:
        """The status, and the response where it can be read: it repeats what was sent."""
        self._writer.write(data)
        async with asyncio.timeout(3):
            head = await self._reader.readuntil(b"\r\n\r\n")
        message = parse(head)
        return int(head.split(b" ")[1]), message if isinstance(message, Response) else None

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def user_of(data: bytes) -> str:
    message = parse(data)
    user = getattr(getattr(message, "to", None), "uri", None)
    return getattr(user, "user", None) or "user"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["name"])
async def test_every_register_gets_its_verdict(house: House, row: dict[str, str]) -> None:
    home = await house()
    (path,) = list(VECTORS.rglob(f"{row['name']}.dat"))
    data = path.read_bytes()
    # What follows the first message in its datagram is noise there, and a message on a stream.
    head, _, _ = data.partition(b"\r\n\r\n")
    data = head + b"\r\n\r\n"
    try:
        user = user_of(data)
    except ValueError:
        user = "user"
    home.book.add_phone(user, "secret")
    stream = Stream(*await asyncio.open_connection(*home.address))
    status, reply = await stream.ask(data)
    if status == 401 and reply is not None:
        client = DigestClient([Credentials(user, "secret")], random.Random(1))
        client.learn(reply)
        uri = data.split(b" ")[1].decode()
        ((name, value),) = client.authorize("REGISTER", uri)
        proof = f"\r\n{name}: {value}".encode("utf-8", "surrogateescape")
        status, reply = await stream.ask(head + proof + b"\r\n\r\n")
    await stream.close()
    assert str(status) in row["expected_registrar"].split("|")
    if status == 200:
        assert reply is not None
        assert home.carrier.registered(user) == len(reply.contacts)
