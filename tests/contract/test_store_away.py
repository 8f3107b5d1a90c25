"""A PostgreSQL that goes away in the middle, and comes back."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.base.errors import StoreUnavailable
from telephony.store import Store
from telephony.testing.postgres import Cluster


async def test_the_store_says_that_it_is_away_and_goes_on_when_it_is_back(make: Any) -> None:
    cluster = Cluster()
    try:
        cluster.start()
        store = await Store.open(cluster.fresh(), "secret")
        life = make.life()
        await store.calls.append(life[:2])
        cluster.halt()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.calls.append(life[2:])
            with pytest.raises(StoreUnavailable):
                await store.calls.events(life[0].call.id)
        cluster.resume()
        await store.calls.append(life[2:])
        rows = await store.calls.events(life[0].call.id)
        assert [row.seq for row in rows] == [1, 2, 3, 4]
        await store.close()
    finally:
        cluster.stop()
