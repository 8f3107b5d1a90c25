"""Processes that share a database see each other's agents, trunks and numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.store import Store, news
from telephony.testing.postgres import Cluster

from .conftest import SECRET, Maker
from .test_store_agents import add, tool


@pytest.fixture
async def two(postgres: Cluster, make: Maker, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(news, "RETRY_SECONDS", 0.05)
    url = postgres.fresh()
    stores = [await Store.open(url, SECRET, node=node) for node in ("a", "b")]
    for store in stores:
        await store.start(make.clock.now())
    yield stores
    for store in stores:
        await store.close()


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not seen():
            await asyncio.sleep(0.01)


async def test_what_one_process_changes_the_other_sees(two: list[Store], make: Maker) -> None:
    here, there = two
    one, _ = await add(here, make), await add(here, make)

    def agent() -> Any:
        return there.directory.agent(DEFAULT_ORGANIZATION, one.id)

    await until(lambda: agent() == one)
    mine = tool(make, one)
    await here.tools.add(mine)
    await until(lambda: there.directory.tools(DEFAULT_ORGANIZATION, one.id) == (mine,))
    await here.agents.replace(replace(one, name="Night"))
    await until(lambda: agent().name == "Night")
    await here.tools.remove(DEFAULT_ORGANIZATION, one.id, mine.id)
    await until(lambda: there.directory.tools(DEFAULT_ORGANIZATION, one.id) == ())
    await here.agents.remove(DEFAULT_ORGANIZATION, one.id, make.clock.now())
    await until(lambda: agent() is None)

    told: list[str] = []
    here.directory.watch(lambda: told.append("here"))
    there.directory.watch(lambda: told.append("there"))
    number = make.number()
    await here.numbers.add(number)
    await until(lambda: there.directory.number(number.e164) == number)
    await here.numbers.remove(number.organization, number.id)
    await until(lambda: there.directory.number(number.e164) is None)
    # Whoever says something does not listen to himself.
    await until(lambda: told.count("there") == 2)
    await asyncio.sleep(0.1)
    assert sorted(told) == ["here", "here", "there", "there"]


async def test_whoever_was_cut_off_catches_up(two: list[Store], make: Maker) -> None:
    here, there = two
    await there.database.write(_cut)
    one = await add(here, make)
    await until(lambda: there.directory.agent(DEFAULT_ORGANIZATION, one.id) == one)
    await there.database.write(_cut)
    two_more = await add(here, make)
    await until(lambda: there.directory.agent(DEFAULT_ORGANIZATION, two_more.id) == two_more)


async def _cut(connection: Any) -> None:
    """End the connections that listen, as a restart of the server would."""
    await connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
    )
