"""How agents and their tools lie in their tables, and a live picture of them in memory.

What answers a call is looked up while it rings, so it lies in memory. Of what this process
changes the picture is read again, one agent at a time, before the change's call returns.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.agents import (
    Agent,
    Builtin,
    Hook,
    Inline,
    Integration,
    PreToolSpeech,
    PromptVariable,
    Source,
    Tool,
)
from telephony.store.database import Database
from telephony.store.secrets import Cipher
from telephony.store.tables import agent_tools, agents

_AGENT = tuple(column.name for column in agents.columns)
_TOOL = tuple(column.name for column in agent_tools.columns)
_SOURCES: dict[str, type[Inline | Builtin | Integration]] = {
    shape.kind: shape for shape in (Inline, Builtin, Integration)
}

ALL_AGENTS = sa.select(agents).order_by(agents.c.created_at, agents.c.id)
ALL_TOOLS = sa.select(agent_tools).order_by(agent_tools.c.created_at, agent_tools.c.id)


def agent_row(agent: Agent, cipher: Cipher) -> dict[str, Any]:
    """The agent as its table keeps it."""
    row = {name: getattr(agent, name) for name in _AGENT}
    return row | {
        "prompt_variables": [asdict(variable) for variable in agent.prompt_variables],
        "extraction_fields": list(agent.extraction_fields),
        "hooks": {moment: _hook_row(hook, cipher) for moment, hook in agent.hooks.items()},
    }


def read_agent(row: sa.Row[Any], cipher: Cipher) -> Agent:
    """The agent of a row. Raises ConfigError: sealed under another SECRET_KEY."""
    members = dict(row._mapping)
    whose = f"agent {members['id']}"
    members["prompt_variables"] = tuple(PromptVariable(**v) for v in members["prompt_variables"])
    members["extraction_fields"] = tuple(members["extraction_fields"])
    members["hooks"] = {
        moment: _read_hook(hook, cipher, whose) for moment, hook in members["hooks"].items()
    }
    return Agent(**members)


def tool_row(tool: Tool, cipher: Cipher) -> dict[str, Any]:
    """The tool as its table keeps it."""
    row = {name: getattr(tool, name) for name in _TOOL}
    source = tool.source
    kept = _hook_row(source, cipher) if isinstance(source, Hook) else asdict(source)
    return row | {"source": kept | {"kind": source.kind}, "pre_speech": tool.pre_speech.value}


def read_tool(row: sa.Row[Any], cipher: Cipher) -> Tool:
    """The tool of a row. Raises ConfigError: sealed under another SECRET_KEY."""
    members = dict(row._mapping)
    kept = dict(members["source"])
    kind = kept.pop("kind")
    source: Source
    if kind == Hook.kind:
        source = _read_hook(kept, cipher, f"tool {members['id']}")
    else:
        source = _SOURCES[kind](**kept)
    return Tool(**members | {"source": source, "pre_speech": PreToolSpeech(members["pre_speech"])})


def _hook_row(hook: Hook, cipher: Cipher) -> dict[str, Any]:
    return asdict(hook) | {
        "secret": cipher.seal(hook.secret),
        "auth_headers": {name: cipher.seal(value) for name, value in hook.auth_headers.items()},
    }


def _read_hook(kept: dict[str, Any], cipher: Cipher, whose: str) -> Hook:
    sealed = kept["auth_headers"]
    opened = {
        "secret": cipher.open(kept["secret"], whose),
        "auth_headers": {name: cipher.open(value, whose) for name, value in sealed.items()},
        "extraction_fields": tuple(kept["extraction_fields"]),
    }
    return Hook(**kept | opened)


class LiveAgents:
    """The agents' and tools' part of ``accounts.ports.Directory``."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._agents: dict[str, Agent] = {}
        self._tools: dict[str, tuple[Tool, ...]] = {}
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read everything.

        Raises:
            StoreUnavailable: the picture stays as it was.
            ConfigError: a secret was sealed under another SECRET_KEY.
        """
        async with self._turn:
            found, tools = await self._read(ALL_AGENTS, ALL_TOOLS)
            self._agents = {agent.id: agent for agent in found}
            self._tools = {}
            for tool in tools:
                self._tools[tool.agent] = (*self._tools.get(tool.agent, ()), tool)

    async def look(self, agent: str) -> None:
        """Read one agent and its tools again. Raises as ``load``."""
        # In turn, so that an older picture never replaces a newer one.
        async with self._turn:
            found, tools = await self._read(
                ALL_AGENTS.where(agents.c.id == agent),
                ALL_TOOLS.where(agent_tools.c.agent == agent),
            )
            self._agents.pop(agent, None)
            self._agents |= {one.id: one for one in found}
            self._tools.pop(agent, None)
            if tools:
                self._tools[agent] = tuple(tools)

    async def _read(
        self, which: sa.Select[Any], whose: sa.Select[Any]
    ) -> tuple[list[Agent], list[Tool]]:
        async def work(connection: AsyncConnection) -> tuple[list[Agent], list[Tool]]:
            found = [read_agent(row, self._cipher) for row in await connection.execute(which)]
            tools = [read_tool(row, self._cipher) for row in await connection.execute(whose)]
            return found, tools

        return await self._database.read(work)

    def agent(self, organization: str, agent: str) -> Agent | None:
        found = self._agents.get(agent)
        return found if found is not None and found.organization == organization else None

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        return self._tools.get(agent, ()) if self.agent(organization, agent) is not None else ()
