"""Agents, their tools and their calls."""

from __future__ import annotations

from aiohttp import web

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.routing import agent_status
from telephony.api.body import read_object
from telephony.api.checks import known_dialplan
from telephony.api.routes import Ask, Route
from telephony.api.wire.agent_calls import AgentCalls, AgentCallsQuery
from telephony.api.wire.agents import AgentCreate, AgentPatch, AgentRow
from telephony.api.wire.base import Deleted, parse, parse_query, render, render_all
from telephony.api.wire.tools import ToolCreate, ToolPatch, ToolRow, ToolsQuery
from telephony.base.errors import NotFound


def _row(ask: Ask, agent: Agent) -> AgentRow:
    deps = ask.deps
    return AgentRow.of(agent, agent_status(agent, deps.dialplans, deps.unfit(agent, None)))


async def _find(ask: Ask) -> Agent:
    agent = await ask.deps.agents.get(ask.organization, ask.params["id"])
    if agent is None:
        raise NotFound("not found")
    return agent


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents."""
    return render_all([_row(ask, a) for a in await ask.deps.agents.find(ask.organization)])


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/agents: with a knowledge base to begin with."""
    deps = ask.deps
    body = parse(AgentCreate, await read_object(ask.request))
    known_dialplan(deps, body.dialplan)
    agent = body.row(deps.ids.make("agent"), ask.organization, deps.clock.now())
    await deps.library.add_agent(agent)
    return render(_row(ask, agent), 201)


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents/{id}."""
    return render(_row(ask, await _find(ask)))


async def patch(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/agents/{id}: partial; secrets that are not sent stay."""
    body = parse(AgentPatch, await read_object(ask.request))
    agent = await _find(ask)
    known_dialplan(ask.deps, body.dialplan)
    changed = body.changed(agent, ask.deps.clock.now())
    await ask.deps.agents.replace(changed)
    return render(_row(ask, changed))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/agents/{id}: with its tools and knowledge bases; the last one stays."""
    await ask.deps.library.remove_agent(ask.organization, ask.params["id"])
    return render(Deleted())


async def calls(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents/{id}/calls, newest first."""
    query = parse_query(AgentCallsQuery, ask.request)
    agent = await _find(ask)
    chosen = query.chosen(agent.id)
    # One more than is shown: it says whether the page ends amidst calls of one moment.
    found, _ = await ask.deps.calls.page(ask.organization, chosen, query.limit + 1, None)
    return render(AgentCalls.of(found, query.limit))


async def _find_tool(ask: Ask) -> Tool:
    tool = await ask.deps.tools.get(ask.organization, ask.params["id"], ask.params["tool"])
    if tool is None:
        raise NotFound("not found")
    return tool


async def every_tool(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents/{id}/tools."""
    query = parse_query(ToolsQuery, ask.request)
    agent = await _find(ask)
    found = await ask.deps.tools.find(ask.organization, agent.id)
    return render_all([ToolRow.of(t) for t in found if t.available or not query.available])


async def create_tool(ask: Ask) -> web.StreamResponse:
    """POST /v1/agents/{id}/tools."""
    deps = ask.deps
    # First of all: who may not see the agent learns nothing of what a tool is made of.
    agent = await _find(ask)
    body = parse(ToolCreate, await read_object(ask.request))
    tool = body.row(deps.ids.make("tool"), ask.organization, agent.id, deps.clock.now())
    await deps.tools.add(tool)
    return render(ToolRow.of(tool), 201)


async def get_tool(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents/{id}/tools/{tool}."""
    return render(ToolRow.of(await _find_tool(ask)))


async def patch_tool(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/agents/{id}/tools/{tool}: partial; secrets that are not sent stay."""
    body = parse(ToolPatch, await read_object(ask.request))
    changed = body.changed(await _find_tool(ask), ask.deps.clock.now())
    await ask.deps.tools.replace(changed)
    return render(ToolRow.of(changed))


async def remove_tool(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/agents/{id}/tools/{tool}."""
    if not await ask.deps.tools.remove(ask.organization, ask.params["id"], ask.params["tool"]):
        raise NotFound("not found")
    return render(Deleted())


_AGENTS = "/v1/agents"
_AGENT = f"{_AGENTS}/{{id}}"
_TOOLS = f"{_AGENT}/tools"
_TOOL = f"{_TOOLS}/{{tool}}"


def routes() -> list[Route]:
    return [
        Route("GET", _AGENTS, every, reply=AgentRow, many=True),
        Route(
            "POST", _AGENTS, create, body=AgentCreate, reply=AgentRow, status=201, problems=(409,)
        ),
        Route("GET", _AGENT, get, reply=AgentRow),
        Route("PATCH", _AGENT, patch, body=AgentPatch, reply=AgentRow),
        Route("DELETE", _AGENT, remove, reply=Deleted, problems=(409,)),
        Route("GET", f"{_AGENT}/calls", calls, query=AgentCallsQuery, reply=AgentCalls),
        Route("GET", _TOOLS, every_tool, query=ToolsQuery, reply=ToolRow, many=True),
        Route(
            "POST",
            _TOOLS,
            create_tool,
            body=ToolCreate,
            reply=ToolRow,
            status=201,
            problems=(409,),
        ),
        Route("GET", _TOOL, get_tool, reply=ToolRow),
        Route("PATCH", _TOOL, patch_tool, body=ToolPatch, reply=ToolRow),
        Route("DELETE", _TOOL, remove_tool, reply=Deleted),
    ]
