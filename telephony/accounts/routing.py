"""Which trunk a call leaves by, and what a number is fit for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from telephony.accounts.agents import Agent
from telephony.accounts.model import DEFAULT_TRUNK, NumberDirection, PhoneNumber, Trunk, TrunkKind
from telephony.base.errors import BadInput


def find_trunk(trunks: Sequence[Trunk], wanted: str) -> Trunk | None:
    """The trunk of that id or name, ours or LiveKit's; ``default`` is the first there is."""
    for trunk in trunks:
        if wanted and wanted in (trunk.id, trunk.name, trunk.livekit_trunk):
            return trunk
    return trunks[0] if wanted == DEFAULT_TRUNK and trunks else None


def provider_of(trunks: Sequence[Trunk], wanted: str | None) -> str:
    """What a call over the trunk of that id runs over; without a trunk, our own SIP."""
    trunk = None if wanted is None else find_trunk(trunks, wanted)
    return TrunkKind.SIP.value if trunk is None else trunk.provider


def choose_trunk(
    trunks: Sequence[Trunk], numbers: Sequence[PhoneNumber], wanted: str | None, from_number: str
) -> Trunk | None:
    """The trunk of an outbound call (design.md section 9, Dial), or None where there is none.

    The one asked for; else that of the number in ``from``; else the only one whose caller ids
    hold ``from``; else the first.

    Raises:
        BadInput: a trunk was named that does not exist.
    """
    if wanted is not None:
        trunk = find_trunk(trunks, wanted)
        if trunk is None and wanted != DEFAULT_TRUNK:
            raise BadInput(f"trunk: there is no trunk {wanted!r}", field="trunk")
        return trunk
    number = next((n for n in numbers if n.e164 == from_number), None)
    if number is not None and number.trunk is not None:
        trunk = find_trunk(trunks, number.trunk)
        if trunk is not None:
            return trunk
    holders = [t for t in trunks if from_number in t.caller_ids]
    if len(holders) == 1:
        return holders[0]
    return trunks[0] if trunks else None


def plan_of(
    number: PhoneNumber, agent: Agent | None, dialplans: Collection[str], default: str | None
) -> str | None:
    """The dialplan that answers a number where its agent does not, or None: the agent's, the
    number's, and where there is no agent the default."""
    names = (number.dialplan, default) if agent is None else (agent.dialplan, number.dialplan)
    return next((name for name in names if name is not None and name in dialplans), None)


@dataclass(frozen=True, slots=True)
class SetupStatus:
    """What a number is fit for (contract section 6.1); ``issues`` are sentences."""

    status: str
    inbound_ready: bool
    outbound_ready: bool
    agent_ready: bool
    connection_ready: bool
    issues: tuple[str, ...]


def setup_status(
    number: PhoneNumber,
    trunks: Sequence[Trunk],
    dialplans: frozenset[str],
    default: str | None,
    agent: Agent | None = None,
    unfit: str | None = None,
) -> SetupStatus:
    """The truth about a number: a trunk, and somebody or something that answers it.

    ``agent`` is the number's, None where there is none of its id; ``unfit`` says why he cannot
    talk with who calls.
    """
    trunk = find_trunk(trunks, number.trunk or DEFAULT_TRUNK)
    issues: list[str] = []
    if trunk is None:
        if number.trunk in (None, DEFAULT_TRUNK):
            issues.append("no trunk configured")
        else:
            issues.append(f"trunk {number.trunk} does not exist")
    inbound = number.direction in (NumberDirection.INBOUND, NumberDirection.BOTH)
    named = (agent.dialplan if agent is not None else None, number.dialplan)
    issues += [
        f"dialplan {name} does not exist" for name in named if name and name not in dialplans
    ]
    if number.agent is not None and agent is None:
        issues.append(f"agent {number.agent} does not exist")
    plan = plan_of(number, agent, dialplans, default)
    talks = agent is not None and unfit is None
    if inbound and not talks and plan is None:
        if agent is None and not number.dialplan:
            issues.append("nothing answers this number: no dialplan and no agent")
        elif agent is not None:
            issues.append(
                f"agent {agent.name} cannot talk, so callers hear that nobody is available: {unfit}"
            )
    outbound = number.direction in (NumberDirection.OUTBOUND, NumberDirection.BOTH)
    return SetupStatus(
        status="action_required" if issues else "ready",
        inbound_ready=inbound and trunk is not None and (talks or plan is not None),
        outbound_ready=outbound and trunk is not None,
        agent_ready=agent is not None and (talks or agent.dialplan in dialplans),
        connection_ready=trunk is not None,
        issues=tuple(issues),
    )


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What an agent is fit for; ``issues`` are sentences."""

    status: str
    ready: bool
    issues: tuple[str, ...]


def agent_status(agent: Agent, dialplans: Collection[str], unfit: str | None) -> AgentStatus:
    """The truth about an agent: it talks, or its dialplan runs, or callers hear that nobody is
    available. ``unfit`` says why it cannot talk."""
    plan = agent.dialplan
    issues = [f"dialplan {plan} does not exist"] if plan and plan not in dialplans else []
    ready = unfit is None or plan in dialplans
    if not ready:
        issues.append(f"this agent cannot talk, and has no dialplan that could: {unfit}")
    return AgentStatus("action_required" if issues else "ready", ready, tuple(issues))
