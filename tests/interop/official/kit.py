"""The official client against our service: one way to drive both of its halves, and its methods.

``Driver`` calls a method by its dotted name, on the client as it is installed: the synchronous
half in a thread, the asynchronous one in the loop. It remembers what was called, so that a case
that claims a method and does not call it is found out.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spekoai import AsyncSpeko, Speko, SpekoApiError

from telephony.settings import ensure_secret
from telephony.store import Store
from tests.interop.service import KEY, Service

TO = "+12025550123"
"""Whom the gateway answers for."""


def methods(root: object, prefix: str = "") -> Iterator[str]:
    """The public methods of a client and of its resources, as dotted names."""
    for name, _ in inspect.getmembers(type(root), inspect.isroutine):
        if not name.startswith("_"):
            yield prefix + name
    for name, value in vars(root).items():
        if not name.startswith("_") and type(value).__module__.startswith("spekoai."):
            yield from methods(value, f"{prefix}{name}.")


class Driver:
    """A client of either half, as one thing to await."""

    def __init__(self, base_url: str, half: str, key: str = KEY) -> None:
        make = {"sync": Speko, "async": AsyncSpeko}[half]
        self.client: Any = make(api_key=key, base_url=base_url)
        self.half = half
        self.called: set[str] = set()

    async def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the method returns; of a stream, the list of all that it yields."""
        self.called.add(name)
        method: Any = self.client
        for part in name.split("."):
            method = getattr(method, part)
        if self.half == "sync":
            return await asyncio.to_thread(_whole, method, args, kwargs)
        result = method(*args, **kwargs)
        if inspect.isasyncgen(result):
            return [item async for item in result]
        return await result

    async def fails(self, name: str, *args: Any, **kwargs: Any) -> SpekoApiError:
        """The client's own exception, which the method must raise."""
        try:
            result = await self(name, *args, **kwargs)
        except SpekoApiError as error:
            return error
        raise AssertionError(f"{name} did not fail: {result!r}")

    async def not_found(self, name: str, *args: Any, **kwargs: Any) -> None:
        """The method must answer 404 with a code that says so."""
        error = await self.fails(name, *args, **kwargs)
        assert error.status == 404, error
        known = {"NOT_FOUND", "SESSION_NOT_FOUND", "RECORDING_NOT_AVAILABLE"}
        assert error.code in known, error.code
        assert error.message

    async def refuses(self, where: str, name: str, *args: Any, **kwargs: Any) -> None:
        """The method must answer 400, and name the member that is wrong."""
        error = await self.fails(name, *args, **kwargs)
        assert (error.status, error.code) == (400, "VALIDATION_ERROR"), error
        assert where in error.message, error.message

    async def close(self) -> None:
        if self.half == "sync":
            self.client.close()
        else:
            await self.client.close()


def _whole(method: Any, args: Any, kwargs: Any) -> Any:
    result = method(*args, **kwargs)
    return list(result) if inspect.isgenerator(result) else result


@dataclass
class World:
    """A running service, the port at which its trunk's gateway listens, and a client of it."""

    service: Service
    gateway: int
    settings: dict[str, str]
    call: Driver
    made: list[Driver] = field(default_factory=list)

    def client(self, key: str = KEY, path: str = "") -> Driver:
        """Another client of the same half."""
        self.made.append(Driver(self.service.api.base + path, self.call.half, key))
        return self.made[-1]

    async def close(self) -> None:
        for one in (self.call, *self.made):
            await one.close()

    async def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The API itself, for what the client cannot do."""
        return await asyncio.to_thread(self.service.api.call, method, path, body)

    async def store(self) -> Store:
        """The service's own store, for rows that nobody else can write yet."""
        data = self.service.data
        url = self.settings.get("TELEPHONY_DATABASE_URL", f"sqlite:///{data / 'telephony.db'}")
        return await Store.open(url, ensure_secret(data))

    async def command(self, *words: str) -> Any:
        """What ``telephony`` prints, run on the service's own store, as JSON."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "telephony", *words, "--json"],
            cwd=self.service.folder,
            env=self.service.environment(**self.settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


Case = Callable[[World], Awaitable[None]]
