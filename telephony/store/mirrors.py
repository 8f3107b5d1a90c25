"""The hooks of agents as webhook endpoints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.agents import Agent
from telephony.accounts.webhooks import mirror_ids, mirrored
from telephony.store.database import Database
from telephony.store.secrets import Cipher
from telephony.store.tables import webhook_endpoints
from telephony.store.webhooks import FIXED, endpoint_row, forget


class Mirrors:
    """The endpoints of agents' hooks, written in the transaction that writes the agent."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def put(self, connection: AsyncConnection, agent: Agent) -> None:
        """As the agent's hooks are now; what is none of them any more is gone."""
        endpoints = mirrored(agent)
        for endpoint in endpoints:
            row = endpoint_row(endpoint, self._cipher)
            # One that is given again is that which was taken away, and as old.
            changing = {k: v for k, v in row.items() if k not in FIXED} | {"deleted_at": None}
            statement = self._database.insert(webhook_endpoints).values(row)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["id"], set_=changing)
            )
        there = {endpoint.id for endpoint in endpoints}
        gone = [each for each in mirror_ids(agent.id).values() if each not in there]
        await connection.execute(forget(agent.organization, gone, agent.updated_at))

    async def drop(
        self, connection: AsyncConnection, organization: str, agent: str, now: datetime
    ) -> None:
        """All of an agent's."""
        ids = tuple(mirror_ids(agent).values())
        await connection.execute(forget(organization, ids, now))
