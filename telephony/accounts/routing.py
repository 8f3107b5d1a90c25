"""Which trunk a call leaves by, and what a number is fit for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telephony.accounts.model import DEFAULT_TRUNK, NumberDirection, PhoneNumber, Trunk
from telephony.base.errors import BadInput


def find_trunk(trunks: Sequence[Trunk], wanted: str) -> Trunk | None:
    """The trunk of that id or name; ``default`` is the first there is."""
    for trunk in trunks:
        if wanted and wanted in (trunk.id, trunk.name, trunk.livekit_trunk):
            return trunk
    return trunks[0] if wanted == DEFAULT_TRUNK and trunks else None


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
    number: PhoneNumber, trunks: Sequence[Trunk], dialplans: frozenset[str], default: str | None
) -> SetupStatus:
    """The truth about a number: a trunk, and something that answers it."""
    trunk = find_trunk(trunks, number.trunk or DEFAULT_TRUNK)
    issues: list[str] = []
    if trunk is None:
        if number.trunk in (None, DEFAULT_TRUNK):
            issues.append("no trunk configured")
        else:
            issues.append(f"trunk {number.trunk} does not exist")
    plan = number.dialplan or default
    answers = plan is not None and plan in dialplans
    inbound = number.direction in (NumberDirection.INBOUND, NumberDirection.BOTH)
    if plan is not None and not answers:
        issues.append(f"dialplan {plan} does not exist")
    elif inbound and plan is None:
        issues.append("nothing answers this number: no dialplan and no agent")
    outbound = number.direction in (NumberDirection.OUTBOUND, NumberDirection.BOTH)
    return SetupStatus(
        status="action_required" if issues else "ready",
        inbound_ready=inbound and trunk is not None and answers,
        outbound_ready=outbound and trunk is not None,
        agent_ready=number.agent is not None,
        connection_ready=trunk is not None,
        issues=tuple(issues),
    )
