"""Our own registrations: one for each trunk that asks for it, kept, and visible."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import structlog

from telephony.accounts.model import Trunk
from telephony.carriers.trunk.gateways import Gateway, gateways
from telephony.carriers.trunk.line import Line
from telephony.carriers.trunk.targets import over
from telephony.sip.addresses import Destination
from telephony.sip.agent import UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import Registered, RegistrationFailed, Unregistered

log = structlog.get_logger("telephony.trunk")

UNREACHABLE = frozenset({408, 503})
RESOLVE_AGAIN_SECONDS = 30.0


class RegistrationState(StrEnum):
    """Where a registration stands."""

    TRYING = "trying"
    REGISTERED = "registered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStatus:
    """One trunk's registration, for the API, metrics and readiness. ``since``: aware UTC."""

    trunk: str
    name: str
    state: RegistrationState
    since: datetime
    expires: int = 0
    sip_status: int | None = None
    reason: str = ""


@dataclass(slots=True)
class _Kept:
    trunk: Trunk
    status: RegistrationStatus
    gateway: int = 0
    agent: UserAgent | None = None
    registration: str = ""
    task: asyncio.Task[None] | None = None


class Registrations:
    """Keeps what the directory wants registered in step with what is."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._kept: dict[str, _Kept] = {}
        self._leaving: set[str] = set()

    @property
    def leaving(self) -> int:
        """Un-registrations that have not been answered."""
        return len(self._leaving)

    def status(self) -> list[RegistrationStatus]:
        """One row a trunk that registers."""
        return [kept.status for kept in self._kept.values()]

    def reconcile(self, trunks: Sequence[Trunk]) -> None:
        """The trunks there are now: register the new, leave the gone, renew the changed."""
        wanted = {t.id: t for t in trunks if t.register and t.username and gateways(t)}
        for trunk_id in [t for t in self._kept if t not in wanted]:
            self._leave(self._kept.pop(trunk_id))
        for trunk_id, trunk in wanted.items():
            kept = self._kept.get(trunk_id)
            if kept is None:
                self._kept[trunk_id] = kept = _Kept(trunk, self._new_status(trunk))
                self._begin(kept)
            elif _account(kept.trunk) != _account(trunk):
                self._leave(kept)
                self._kept[trunk_id] = kept = _Kept(trunk, self._new_status(trunk))
                self._begin(kept)
            else:
                kept.trunk = trunk
                kept.status = replace(kept.status, name=trunk.name)

    def on_event(self, event: Registered | RegistrationFailed | Unregistered) -> None:
        """What the agent reports."""
        if isinstance(event, Unregistered):
            self._leaving.discard(event.registration)
            return
        kept = next((k for k in self._kept.values() if k.registration == event.registration), None)
        if kept is None:
            return
        match event:
            case Registered():
                self._set(kept, RegistrationState.REGISTERED, expires=event.expires)
            case RegistrationFailed():
                self._set(
                    kept, RegistrationState.FAILED, sip_status=event.status, reason=event.reason
                )
                if event.status in UNREACHABLE and len(gateways(kept.trunk)) > 1:
                    kept.gateway += 1
                    self._begin(kept)

    def stop(self) -> None:
        """Leave everywhere; the agents send it."""
        for kept in self._kept.values():
            self._leave(kept)
        self._kept.clear()

    # -- inside -----------------------------------------------------------------------------------

    def _new_status(self, trunk: Trunk) -> RegistrationStatus:
        return RegistrationStatus(
            trunk=trunk.id,
            name=trunk.name,
            state=RegistrationState.TRYING,
            since=self._line.clock.now(),
        )

    def _set(
        self,
        kept: _Kept,
        state: RegistrationState,
        *,
        expires: int = 0,
        sip_status: int | None = None,
        reason: str = "",
    ) -> None:
        before = kept.status
        since = before.since if before.state is state else self._line.clock.now()
        kept.status = replace(
            before, state=state, since=since, expires=expires, sip_status=sip_status, reason=reason
        )
        if before.state is not state:
            log.info("trunk.registration", trunk=kept.trunk.name, state=state.value, sip=sip_status)

    def _begin(self, kept: _Kept) -> None:
        if kept.task is not None:
            kept.task.cancel()
        kept.task = asyncio.ensure_future(self._register(kept))

    async def _register(self, kept: _Kept) -> None:
        """Resolve the gateway whose turn it is, again and again until it has an address."""
        while True:
            found = gateways(kept.trunk)
            gateway = found[kept.gateway % len(found)]
            destinations = await self._line.resolve(gateway.uri())
            if destinations:
                self._order(kept, gateway, [over(d, gateway) for d in destinations])
                return
            self._set(kept, RegistrationState.FAILED, reason="the name cannot be resolved")
            kept.gateway += 1
            await asyncio.sleep(RESOLVE_AGAIN_SECONDS)

    def _order(self, kept: _Kept, gateway: Gateway, destinations: list[Destination]) -> None:
        line, trunk = self._line, kept.trunk
        agent = line.agent(destinations[0].address[0])
        if kept.agent is not agent:
            kept.registration = ""
        kept.agent = agent
        kept.registration = line.driver.order(
            agent.register,
            registrar=gateway.uri(),
            aor=Gateway(gateway.host, None, trunk.transport).uri(trunk.username).partition(";")[0],
            destinations=destinations,
            credentials=(Credentials(trunk.username, trunk.password),),
            contact_user=trunk.username,
            expires=line.config.register_seconds,
            registration=kept.registration or line.name_session(),
            now=line.now,
        )

    def _leave(self, kept: _Kept) -> None:
        if kept.task is not None:
            kept.task.cancel()
        if kept.agent is not None and kept.registration:
            self._leaving.add(kept.registration)
            self._line.driver.order(kept.agent.unregister, kept.registration, now=self._line.now)


def _account(trunk: Trunk) -> tuple[object, ...]:
    """What a registration is made of."""
    return (trunk.gateways, trunk.transport, trunk.username, trunk.password)
