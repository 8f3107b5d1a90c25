"""What an agent is told of a call: its own words, a request's in their place, and the variables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from telephony.accounts.agents import Agent, Builtin, Hook, Integration, Tool
from telephony.accounts.model import PhoneNumber
from telephony.base.clock import iso
from telephony.calls.dispatching import Brief
from telephony.calls.orders import Conversation
from telephony.prompts import compile_all

DEFAULT_LANGUAGE = "en"

# What a request calls an option that an agent has too (contract 3.1 and 7.1).
_OPTIONS = {
    "llm": "llmOptions",
    "ttsOptions": "ttsOptions",
    "sttOptions": "sttOptions",
    "constraints": "stackPreferences",
    "turnHandling": "turnHandling",
    "backgroundAudio": "backgroundAudio",
}


def system_values(call: str, caller: str, now: datetime, zone: str | None = None) -> dict[str, str]:
    """The variables that the service provides (contract 3.2). ``caller`` is the far party's
    number; ``zone`` is the agent's, whose wall clock ``system.now`` shows."""
    here = iso(now)
    if zone is not None:
        # A zone that this machine does not know is UTC.
        with contextlib.suppress(KeyError, ValueError, OSError):
            here = now.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return {"system.now": here, "system.caller_number": caller, "system.call_id": call}


def brief(
    asked: Conversation,
    agent: Agent | None,
    tools: Iterable[Tool],
    system: Mapping[str, str],
    *,
    inbound: bool = False,
) -> Brief:
    """What the agent is told of itself, every variable in its place.

    Texts are Liquid where the request gave variables, even none, or the agent declares some;
    else they are used as they stand.

    Raises:
        BadInput: names that nobody gave (code MISSING_TEMPLATE_VARIABLES), or no Liquid.
    """
    prompt = asked.prompt
    if prompt is None:
        prompt = agent.system_prompt if agent is not None else ""
    first = asked.first_message
    if first is None and agent is not None:
        first = agent.greeting(inbound=inbound)
    declared = agent.declared if agent is not None else {}
    given = asked.variables or {}
    if asked.variables is not None or declared:
        texts = {"systemPrompt": prompt, "firstMessage": first or ""}
        made = compile_all(texts, given, declared, system)
        prompt = made["systemPrompt"]
        first = None if first is None else made["firstMessage"]
    defaults = {name: value for name, value in declared.items() if value is not None}
    options = dict(agent.options) if agent is not None else {}
    options |= {
        name: asked.pipeline[key] for key, name in _OPTIONS.items() if key in asked.pipeline
    }
    return Brief(
        agent=agent.id if agent is not None else asked.agent,
        name=agent.name if agent is not None else "",
        prompt=prompt,
        first_message=first,
        voice=asked.voice or (agent.voice if agent is not None else None),
        language=asked.language or (agent.language if agent is not None else DEFAULT_LANGUAGE),
        options=options,
        variables={**defaults, **given},
        extraction_fields=agent.extracted if agent is not None else (),
        tools=tuple(_tool(tool) for tool in tools if tool.available),
    )


def shown(pipeline: Mapping[str, Any], told: Brief) -> dict[str, Any]:
    """What was asked for of the conversation, with the texts as they are said."""
    said = {"systemPrompt": told.prompt, "firstMessage": told.first_message}
    return {**pipeline, **{name: text for name, text in said.items() if name in pipeline}}


def brought(
    number: PhoneNumber | None, agent: Agent, system: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Metadata and variables that a number gives to the calls that come in on it.

    Its ``dispatchMetadataTemplate`` is resolved; the texts of its member ``variables`` are the
    request's part of the prompt variables.

    Raises:
        BadInput: a variable of the template is nobody's, or it is no Liquid.
    """
    template = number.dispatch_template if number is not None else None
    if not template:
        return {}, {}
    texts: dict[str, str] = {}
    _collect(template, "dispatchMetadataTemplate", texts)
    made = compile_all(texts, {}, agent.declared, system)
    resolved: dict[str, Any] = _resolved(template, "dispatchMetadataTemplate", made)
    variables = resolved.get("variables")
    given = variables if isinstance(variables, dict) else {}
    return resolved, {name: text for name, text in given.items() if isinstance(text, str)}


def needed(agent: Agent) -> Sequence[str]:
    """Names that every call with this agent must give."""
    return [name for name, default in agent.declared.items() if default is None]


def _collect(value: Any, path: str, texts: dict[str, str]) -> None:
    if isinstance(value, str):
        if "{" in value:
            texts[path] = value
    elif isinstance(value, dict):
        for name, item in value.items():
            _collect(item, f"{path}.{name}", texts)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}.{index}", texts)


def _resolved(value: Any, path: str, made: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return made.get(path, value)
    if isinstance(value, dict):
        return {name: _resolved(item, f"{path}.{name}", made) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, f"{path}.{index}", made) for index, item in enumerate(value)]
    return value


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool as the worker sees it: what signs or opens its hook stays here."""
    source: dict[str, Any] = {"kind": tool.source.kind}
    match tool.source:
        case Hook():
            source |= {"url": tool.source.url, "timeout_ms": tool.source.timeout_ms}
        case Builtin():
            source |= {"name": tool.source.name, "config": tool.source.config}
        case Integration():
            source |= {"app": tool.source.app, "action": tool.source.action}
    return {
        "id": tool.id,
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "source": source,
        "pre_tool_speech": tool.pre_speech.value,
        "tool_sound": tool.sound,
        "simulation": tool.simulation,
    }
