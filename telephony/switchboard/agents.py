"""Who talks in a call: an agent in a room, a dialplan, or a sentence that nobody is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from telephony.accounts.agents import Agent
from telephony.accounts.model import PhoneNumber
from telephony.accounts.ports import Directory
from telephony.base.errors import BadInput, NotFound
from telephony.base.ids import phone_identity, room_name
from telephony.calls.call import Call
from telephony.calls.dispatching import Brief, dispatch_metadata
from telephony.calls.meeting import Dispatch
from telephony.calls.orders import Conversation, DialOrder
from telephony.calls.outcome import Status
from telephony.calls.ports import AgentRooms
from telephony.calls.state import Direction
from telephony.ivr.agent import agent_plan, nobody_plan
from telephony.ivr.model import Dialplan
from telephony.ivr.routing import Accept, choose_dialplan
from telephony.switchboard.briefing import brief, brought, needed, shown, system_values

log = structlog.get_logger("telephony.switchboard.agents")

MAX_FOUND = 10_000
"""Agents and numbers of which it is remembered what they are fit for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsConfig:
    """``worker``: the name under which the agents' worker is registered with LiveKit. ``api``:
    where it reaches this service's API, where that is known."""

    worker: str = "telephony"
    api: str | None = None


@dataclass(frozen=True, slots=True)
class Talker:
    """What runs a call, what the agent was told, and the call's row as it follows from that."""

    plan: Dialplan
    call: Call
    told: Brief | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        """Those of the conversation, for the dialplan."""
        return self.told.variables if self.told is not None else {}


class Agents:
    """The agents of this service, and where they are met."""

    def __init__(
        self,
        directory: Directory,
        dialplans: Mapping[str, Dialplan],
        default: str | None,
        rooms: AgentRooms | None,
        config: AgentsConfig,
    ) -> None:
        self._directory = directory
        self._dialplans = dialplans
        self._default = default
        self._rooms = rooms
        self._config = config
        self._found: dict[tuple[object, ...], str | None] = {}

    # --- whether ---------------------------------------------------------------------------

    def away(self) -> str | None:
        """Why no agent can be met now, or None."""
        if self._rooms is None:
            return "no LiveKit server is configured (LIVEKIT_URL), and there is no language model"
        return self._rooms.ready()

    def find(self, organization: str, agent: str | None) -> Agent | None:
        """The agent of an order; None where it names none. Raises NotFound."""
        if agent is None:
            return None
        found = self._directory.agent(organization, agent)
        if found is None:
            raise NotFound("not found")
        return found

    def unfit(self, agent: Agent, number: PhoneNumber | None, now: datetime) -> str | None:
        """Why an agent cannot talk with who calls a number, or None; without a number, with
        whom it is to call."""
        reason = self.away()
        if reason is not None:
            return reason
        # Lists ask this of every row, and the answer takes a template's rendering to find.
        tools = self._directory.tools(agent.organization, agent.id)
        changed = max((tool.updated_at for tool in tools), default=None)
        key = (
            *(agent.id, agent.updated_at, len(tools), changed),
            *((number.id, number.updated_at) if number is not None else ()),
        )
        if key not in self._found:
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
            self._found[key] = self._unfit(agent, number, now)
        return self._found[key]

    def _unfit(self, agent: Agent, number: PhoneNumber | None, now: datetime) -> str | None:
        call = Call(
            id="00000000-0000-0000-0000-000000000000",
            organization=agent.organization,
            direction=Direction.OUTBOUND if number is None else Direction.INBOUND,
            created_at=now,
            updated_at=now,
            status=Status.RINGING,
            from_number="+10000000000",
        )
        try:
            if number is None:
                given = dict.fromkeys(needed(agent), "")
                asked = Conversation(agent=agent.id, variables=given or None)
                self.dispatch(call, self.brief(asked, agent, call))
            else:
                call, told = self._called(call, agent, number)
                self.dispatch(call, told)
        except BadInput as error:
            # Whoever dials can give what is missing; whoever calls cannot.
            given_then = number is None and error.code == "MISSING_TEMPLATE_VARIABLES"
            return None if given_then else error.message
        return None

    # --- what it is told -------------------------------------------------------------------

    def brief(self, asked: Conversation, agent: Agent | None, call: Call) -> Brief:
        """What the agent of a call is told of itself.

        Raises:
            BadInput: as ``switchboard.briefing.brief``.
        """
        tools = self._directory.tools(call.organization, agent.id) if agent is not None else ()
        return brief(
            asked, agent, tools, _system(call, agent), inbound=call.direction is Direction.INBOUND
        )

    def dispatch(
        self,
        call: Call,
        told: Brief,
        *,
        identity: str | None = None,
        fallback: Dialplan | None = None,
        recording: bool = False,
        max_seconds: float | None = None,
    ) -> Dispatch:
        """The order that calls an agent in, to talk with ``identity``: the first leg's, unless
        another is named. Raises BadInput: too much to be told."""
        metadata = dispatch_metadata(
            call,
            told,
            identity=identity or phone_identity(call.id),
            recording=recording,
            dialplan=fallback.name if fallback is not None else None,
            max_seconds=max_seconds,
            api=self._config.api,
        )
        return Dispatch(agent_name=self._config.worker, metadata=metadata, speaks_first=told.greets)

    def _called(self, call: Call, agent: Agent, number: PhoneNumber | None) -> tuple[Call, Brief]:
        """A call that came in to an agent, with what its number brings, and the agent's brief."""
        metadata, given = brought(number, agent, _system(call, agent))
        call = replace(call, metadata=metadata)
        return call, self.brief(Conversation(agent=agent.id, variables=given or None), agent, call)

    # --- who talks -------------------------------------------------------------------------

    def answer(self, call: Call, route: Accept, number: PhoneNumber | None) -> Talker:
        """Who talks in a call that came in."""
        plan = self._dialplans[route.dialplan] if route.dialplan is not None else None
        agent = route.agent
        if agent is None:
            assert plan is not None
            return _run(call, plan)
        call = replace(call, agent=agent.id, language=agent.language)
        told: Brief | None = None
        reason = self.away()
        try:
            call, told = self._called(call, agent, number)
            if reason is None:
                return self.meet(call, told, plan, recording=route.record)
        except BadInput as error:
            reason = error.message
        log.warning("an agent cannot talk", agent=agent.id, call=call.id, reason=reason)
        if plan is not None:
            return _run(call, plan, told)
        return Talker(nobody_plan(agent.language), replace(call, kind="cascade"), told)

    def converse(self, call: Call, asked: Conversation) -> tuple[Call, Brief]:
        """A call of ours with what was asked of the conversation, and the agent's brief.

        Raises:
            BadInput: as ``brief``.
            NotFound: an unknown agent.
        """
        told = self.brief(asked, self.find(call.organization, asked.agent), call)
        return replace(call, language=told.language, pipeline=shown(asked.pipeline, told)), told

    def call_out(self, call: Call, order: DialOrder, number: PhoneNumber | None) -> Talker:
        """Who talks in a call of ours; ``number`` is the one it comes from.

        Raises:
            BadInput: nobody could, or as ``brief``.
            NotFound: an unknown agent.
        """
        agent = self.find(call.organization, order.agent)
        own = agent.dialplan if agent is not None else None
        call, told = self.converse(call, order)
        away = self.away()
        if order.talks and away is None and not choose_dialplan(order.dialplan, order.metadata):
            return self.meet(
                call,
                told,
                self._dialplans.get(own or ""),
                recording=bool(order.record),
                max_seconds=order.max_duration_seconds,
            )
        name = choose_dialplan(order.dialplan, order.metadata, own, number, self._default)
        if name is None:
            why = f"; no agent can talk: {away}" if order.talks else ""
            raise BadInput(
                f"dialplan: none given, and neither the number nor the service has one{why}",
                field="dialplan",
            )
        plan = self._dialplans.get(name)
        if plan is None:
            raise BadInput(f"dialplan: there is no dialplan {name!r}", field="dialplan")
        language = call.language if order.talks else plan.language
        return Talker(plan, replace(call, dialplan=plan.name, language=language), told)

    def meet(
        self,
        call: Call,
        told: Brief,
        fallback: Dialplan | None,
        *,
        recording: bool = False,
        max_seconds: float | None = None,
    ) -> Talker:
        """An agent talks, and ``fallback`` where it cannot. Raises BadInput: too much to tell."""
        dispatch = self.dispatch(
            call, told, fallback=fallback, recording=recording, max_seconds=max_seconds
        )
        plan = agent_plan(room_name(call.id), dispatch, fallback, told.language)
        call = replace(
            call,
            kind="cascade",
            language=told.language,
            dialplan=fallback.name if fallback is not None else None,
        )
        return Talker(plan, call, told)


def _run(call: Call, plan: Dialplan, told: Brief | None = None) -> Talker:
    language = call.language if told is not None else plan.language
    return Talker(plan, replace(call, dialplan=plan.name, language=language), told)


def _system(call: Call, agent: Agent | None) -> dict[str, str]:
    caller = call.from_number if call.direction is Direction.INBOUND else call.to_number
    return system_values(
        call.id, caller, call.created_at, agent.timezone if agent is not None else None
    )
