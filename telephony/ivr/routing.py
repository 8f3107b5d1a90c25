"""What answers a call and what runs one that we make: pure decisions, carried out elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from telephony.accounts.agents import Agent
from telephony.accounts.model import NumberDirection, PhoneNumber
from telephony.accounts.routing import plan_of
from telephony.base.number import is_e164
from telephony.calls.outcome import Cause
from telephony.ivr.model import Dialplan
from telephony.ivr.verbs.dial import Dial


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Take the call. ``dialplan`` runs it; where ``dial`` is set it is a phone that called a
    phone, and ``direct(dial)`` runs it. ``phone_number`` is the id of the number dialled.

    Where ``agent`` is set it is his to answer, and ``dialplan`` is what runs where he cannot, or
    None.
    """

    dialplan: str | None
    record: bool = False
    phone_number: str | None = None
    dial: str | None = None
    agent: Agent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Refuse it."""

    cause: Cause
    sip_status: int


_NOT_FOUND = Reject(cause=Cause.NOT_FOUND, sip_status=404)

Agents = Callable[[str], Agent | None]
"""An agent of the organization by its id."""


def _no_agents(agent: str) -> Agent | None:
    return None


def route_inbound(
    dialled: str,
    *,
    trunk: str | None,
    phone: str | None,
    numbers: Iterable[PhoneNumber],
    dialplans: Collection[str],
    default: str | None,
    phones: Collection[str] = (),
    agents: Agents = _no_agents,
) -> Accept | Reject:
    """Who answers (design: who may call in).

    A trunk reaches numbers, a phone numbers, dialplans and phones, a stranger (neither)
    dialplans. A number that is for outbound calls only is answered by nobody, one that has
    neither agent nor dialplan by the default.
    """
    if is_e164(dialled):
        if trunk is None and phone is None:
            return _NOT_FOUND
        number = next((n for n in numbers if n.e164 == dialled), None)
        if number is not None:
            return _number(number, dialplans, default, agents)
        # A trunk brings only what was ours to begin with, so the default may answer for a
        # number that nobody imported; a phone that dials one wants the outside world.
        if trunk is not None and default is not None and default in dialplans:
            return Accept(dialplan=default)
        return _NOT_FOUND
    if trunk is not None:
        return _NOT_FOUND
    if dialled in dialplans:
        return Accept(dialplan=dialled)
    if phone is not None and dialled in phones and dialled != phone:
        return Accept(dialplan=direct(dialled).name, dial=dialled)
    return _NOT_FOUND


def _number(
    number: PhoneNumber, dialplans: Collection[str], default: str | None, agents: Agents
) -> Accept | Reject:
    if number.direction is NumberDirection.OUTBOUND:
        return _NOT_FOUND
    agent = agents(number.agent) if number.agent is not None else None
    plan = plan_of(number, agent, dialplans, default)
    if agent is None and plan is None:
        return _NOT_FOUND
    return Accept(dialplan=plan, record=number.record, phone_number=number.id, agent=agent)


def direct(user: str) -> Dialplan:
    """The program of a phone that calls a phone: dial it, and end with it."""
    return Dialplan(
        name="direct", start="dial", nodes={"dial": Dial(to=user)}, description="phone to phone"
    )


def choose_dialplan(
    body: str | None,
    metadata: Mapping[str, Any],
    agent: str | None = None,
    number: PhoneNumber | None = None,
    default: str | None = None,
) -> str | None:
    """The dialplan of an outbound call, or None: the body's, ``metadata.dialplan``, the agent's,
    that of the number in ``from``, the default.
    """
    named = metadata.get("dialplan")
    candidates = (
        body,
        named if isinstance(named, str) else None,
        agent,
        number.dialplan if number is not None else None,
        default,
    )
    return next((name for name in candidates if name), None)
