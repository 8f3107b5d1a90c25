"""Agents and their tools; what they are signed with and shown to others lies sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.agents import MAX_AGENTS, MAX_TOOLS, Agent, Tool
from telephony.accounts.knowledge import MAX_BASES, KnowledgeBase
from telephony.base.errors import Conflict, NotFound, StoreUnavailable
from telephony.store.database import Database
from telephony.store.directory import LiveDirectory
from telephony.store.knowledge import base_row, check_room
from telephony.store.mirrors import Mirrors
from telephony.store.secrets import Cipher
from telephony.store.staff import (
    ALL_AGENTS,
    ALL_TOOLS,
    agent_row,
    read_agent,
    read_tool,
    tool_row,
)
from telephony.store.tables import agent_tools, agents, knowledge_bases

_KEPT = {"id", "organization", "agent", "name", "created_at"}
"""What never changes of a tool; of an agent its name may."""


class Agents:
    """``AgentStore`` over the database."""

    def __init__(self, database: Database, cipher: Cipher, directory: LiveDirectory) -> None:
        self._database = database
        self._cipher = cipher
        self._directory = directory
        self._mirrors = Mirrors(database, cipher)

    async def find(self, organization: str) -> list[Agent]:
        return await self._read(agents.c.organization == organization)

    async def get(self, organization: str, agent: str) -> Agent | None:
        found = await self._read(agents.c.organization == organization, agents.c.id == agent)
        return found[0] if found else None

    async def add(self, agent: Agent, base: KnowledgeBase) -> None:
        mine = agents.c.organization == agent.organization
        bases = knowledge_bases.c.organization == base.organization
        row = agent_row(agent, self._cipher)

        async def work(connection: AsyncConnection) -> None:
            await check_room(connection, agents, mine, MAX_AGENTS, "agents")
            await check_room(connection, knowledge_bases, bases, MAX_BASES, "knowledge bases")
            await connection.execute(sa.insert(agents).values(row))
            await connection.execute(sa.insert(knowledge_bases).values(base_row(base)))
            await self._mirrors.put(connection, agent)
            await self._directory.announce(connection, agent.id)

        await self._database.write(work)
        await self._directory.agents.look(agent.id)

    async def replace(self, agent: Agent) -> None:
        row = agent_row(agent, self._cipher)
        statement = (
            sa.update(agents)
            .where(agents.c.organization == agent.organization, agents.c.id == agent.id)
            .values({k: v for k, v in row.items() if k not in _KEPT - {"name"}})
        )

        async def work(connection: AsyncConnection) -> bool:
            changed = bool((await connection.execute(statement)).rowcount)
            if changed:
                await self._mirrors.put(connection, agent)
                await self._directory.announce(connection, agent.id)
            return changed

        if not await self._database.write(work):
            raise NotFound("not found")
        await self._directory.agents.look(agent.id)

    async def remove(self, organization: str, agent: str, now: datetime) -> bool:
        # Locked where rows can be (PostgreSQL), so that two who delete the last two see each other.
        every = (
            sa.select(agents.c.id)
            .where(agents.c.organization == organization)
            .order_by(agents.c.id)
            .with_for_update()
        )
        b = knowledge_bases.c
        bases = sa.delete(knowledge_bases).where(b.organization == organization, b.agent == agent)

        async def work(connection: AsyncConnection) -> bool:
            there = list(await connection.scalars(every))
            if agent not in there:
                return False
            if len(there) == 1:
                raise Conflict(
                    "the only agent of an organization cannot be deleted", code="LAST_AGENT"
                )
            await connection.execute(bases)
            # Its tools go with it.
            await connection.execute(sa.delete(agents).where(agents.c.id == agent))
            await self._mirrors.drop(connection, organization, agent, now)
            await self._directory.announce(connection, agent)
            return True

        removed = await self._database.write(work)
        await self._directory.agents.look(agent)
        return removed

    async def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Agent]:
        async def work(connection: AsyncConnection) -> list[Agent]:
            rows = await connection.execute(ALL_AGENTS.where(*conditions))
            return [read_agent(row, self._cipher) for row in rows]

        return await self._database.read(work)


class Tools:
    """``ToolStore`` over the database."""

    def __init__(self, database: Database, cipher: Cipher, directory: LiveDirectory) -> None:
        self._database = database
        self._cipher = cipher
        self._directory = directory

    async def find(self, organization: str, agent: str) -> list[Tool]:
        c = agent_tools.c
        return await self._read(c.organization == organization, c.agent == agent)

    async def get(self, organization: str, agent: str, tool: str) -> Tool | None:
        found = await self._read(*_this(organization, agent, tool))
        return found[0] if found else None

    async def add(self, tool: Tool) -> None:
        beside = agent_tools.c.agent == tool.agent
        owner = sa.select(agents.c.id).where(
            agents.c.organization == tool.organization, agents.c.id == tool.agent
        )
        row = tool_row(tool, self._cipher)

        async def work(connection: AsyncConnection) -> None:
            if await connection.scalar(owner) is None:
                raise NotFound("not found")
            await check_room(connection, agent_tools, beside, MAX_TOOLS, "tools")
            await connection.execute(sa.insert(agent_tools).values(row))
            await self._directory.announce(connection, tool.agent)

        try:
            await self._database.write(work)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict(f"name: this agent has a tool {tool.name}") from error
            raise
        await self._directory.agents.look(tool.agent)

    async def replace(self, tool: Tool) -> None:
        row = tool_row(tool, self._cipher)
        statement = (
            sa.update(agent_tools)
            .where(*_this(tool.organization, tool.agent, tool.id))
            .values({k: v for k, v in row.items() if k not in _KEPT})
        )
        if not await self._change(statement, tool.agent):
            raise NotFound("not found")

    async def remove(self, organization: str, agent: str, tool: str) -> bool:
        return await self._change(
            sa.delete(agent_tools).where(*_this(organization, agent, tool)), agent
        )

    async def _change(self, statement: sa.Update | sa.Delete, agent: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            touched = bool((await connection.execute(statement)).rowcount)
            await self._directory.announce(connection, agent)
            return touched

        changed = await self._database.write(work)
        await self._directory.agents.look(agent)
        return changed

    async def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Tool]:
        async def work(connection: AsyncConnection) -> list[Tool]:
            rows = await connection.execute(ALL_TOOLS.where(*conditions))
            return [read_tool(row, self._cipher) for row in rows]

        return await self._database.read(work)


def _this(organization: str, agent: str, tool: str) -> tuple[sa.ColumnElement[bool], ...]:
    c: Any = agent_tools.c
    return (c.organization == organization, c.agent == agent, c.id == tool)
