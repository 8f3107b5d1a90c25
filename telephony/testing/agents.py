"""Agents and their tools in memory, held to the same tests as the database's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from telephony.accounts.agents import MAX_AGENTS, MAX_TOOLS, Agent, Tool
from telephony.accounts.knowledge import KnowledgeBase
from telephony.base.errors import Conflict, NotFound
from telephony.testing.knowledge import MemoryKnowledge
from telephony.testing.webhooks import MemoryWebhooks


class MemoryAgents:
    """``AgentStore``. ``check`` raises while the store is away."""

    def __init__(
        self, check: Callable[[], None], knowledge: MemoryKnowledge, webhooks: MemoryWebhooks
    ) -> None:
        self._check = check
        self._knowledge = knowledge
        self._webhooks = webhooks
        self.rows: dict[str, Agent] = {}
        self.tool_rows: dict[str, Tool] = {}

    async def find(self, organization: str) -> list[Agent]:
        self._check()
        found = [row for row in self.rows.values() if row.organization == organization]
        return sorted(found, key=lambda row: (row.created_at, row.id))

    async def get(self, organization: str, agent: str) -> Agent | None:
        return next((row for row in await self.find(organization) if row.id == agent), None)

    async def add(self, agent: Agent, base: KnowledgeBase) -> None:
        if len(await self.find(agent.organization)) >= MAX_AGENTS:
            raise Conflict(f"there are {MAX_AGENTS} agents already")
        await self._knowledge.add_base(base)
        self.rows[agent.id] = agent
        self._webhooks.mirror(agent)

    async def replace(self, agent: Agent) -> None:
        old = await self.get(agent.organization, agent.id)
        if old is None:
            raise NotFound("not found")
        self.rows[agent.id] = replace(agent, created_at=old.created_at)
        self._webhooks.mirror(agent)

    async def remove(self, organization: str, agent: str, now: datetime) -> bool:
        there = [row.id for row in await self.find(organization)]
        if agent not in there:
            return False
        if len(there) == 1:
            raise Conflict("the only agent of an organization cannot be deleted", code="LAST_AGENT")
        for base in await self._knowledge.bases(organization, agent):
            await self._knowledge.remove_base(organization, base.id)
        self.tool_rows = {k: row for k, row in self.tool_rows.items() if row.agent != agent}
        del self.rows[agent]
        self._webhooks.unmirror(agent)
        return True

    # --- the directory's part --------------------------------------------------------------

    def agent(self, organization: str, agent: str) -> Agent | None:
        row = self.rows.get(agent)
        return row if row is not None and row.organization == organization else None

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        found = [
            row
            for row in self.tool_rows.values()
            if (row.organization, row.agent) == (organization, agent)
        ]
        return tuple(sorted(found, key=lambda row: (row.created_at, row.id)))


class MemoryTools:
    """``ToolStore``."""

    def __init__(self, check: Callable[[], None], agents: MemoryAgents) -> None:
        self._check = check
        self._agents = agents

    async def find(self, organization: str, agent: str) -> list[Tool]:
        self._check()
        return list(self._agents.tools(organization, agent))

    async def get(self, organization: str, agent: str, tool: str) -> Tool | None:
        return next((row for row in await self.find(organization, agent) if row.id == tool), None)

    async def add(self, tool: Tool) -> None:
        beside = await self.find(tool.organization, tool.agent)
        if self._agents.agent(tool.organization, tool.agent) is None:
            raise NotFound("not found")
        if len(beside) >= MAX_TOOLS:
            raise Conflict(f"there are {MAX_TOOLS} tools already")
        if any(row.name == tool.name for row in beside):
            raise Conflict(f"name: this agent has a tool {tool.name}")
        self._agents.tool_rows[tool.id] = tool

    async def replace(self, tool: Tool) -> None:
        old = await self.get(tool.organization, tool.agent, tool.id)
        if old is None:
            raise NotFound("not found")
        self._agents.tool_rows[tool.id] = replace(tool, name=old.name, created_at=old.created_at)

    async def remove(self, organization: str, agent: str, tool: str) -> bool:
        if await self.get(organization, agent, tool) is None:
            return False
        del self._agents.tool_rows[tool]
        return True
