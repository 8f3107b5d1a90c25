"""The store of this machine's settings, for the commands that work on it directly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from telephony.base.ids import Ids
from telephony.settings import ensure_secret, load
from telephony.store import Store

T = TypeVar("T")


class _Clock:
    """The machine's wall clock; nothing here measures."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return datetime.now(UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Opened:
    """The store, and what is needed to write into it."""

    store: Store
    secret_key: str
    ids: Ids
    now: datetime


def with_store(work: Callable[[Opened], Awaitable[T]]) -> T:
    """Open the store, do the work, close it. Raises what either raises."""

    async def run() -> T:
        settings = load().settings
        secret = settings.secret_key or ensure_secret(settings.data_dir)
        store = await Store.open(settings.database, secret)
        try:
            clock = _Clock()
            ids = Ids(random.SystemRandom(), clock)
            return await work(Opened(store, secret, ids, clock.now()))
        finally:
            await store.close()

    return asyncio.run(run())
