"""What the API is given: ports and a few values, once, by ``app.py``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Protocol

from telephony.accounts.agents import Agent
from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.accounts.ports import (
    AgentStore,
    DeliveryStore,
    Directory,
    IdempotencyStore,
    KeyStore,
    KybStore,
    OrganizationStore,
    Repository,
    ToolStore,
    WebhookStore,
)
from telephony.api.feeds import Feeds
from telephony.base.clock import Clock
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.orders import DialOrder, DialResult, EndResult, RoomOrder, RoomResult
from telephony.calls.ports import (
    CallbackQueue,
    CallbackReader,
    CallReader,
    LedgerStore,
    RoomTokens,
    TurnStore,
)
from telephony.calls.record import CallReport
from telephony.knowledge.library import Library
from telephony.ledger.numbers import Shop

Network = IPv4Network | IPv6Network


Before = Callable[[DialResult], Awaitable[None]]

Finalize = Callable[[Call], Awaitable[CallReport | None]]
"""Makes a call's report again; None while it has none."""


BeforeRoom = Callable[[RoomResult], Awaitable[None]]


class Dialler(Protocol):
    """Starts and ends calls: the switchboard."""

    async def dial(self, order: DialOrder, before: Before | None = None) -> DialResult:
        """Returns once the request is on disk, before anybody answers.

        ``before`` is told the result when all is checked and nothing is begun.

        Raises:
            BadInput: unknown trunk or dialplan, or none to use.
            Refused: no credit is left (code INSUFFICIENT_CREDITS, 402).
            Busy: no capacity (503), or the trunk's own limit (code TRUNK_BUSY, 429).
            StoreUnavailable: nothing that costs money starts without its record.
        """
        ...

    async def open(self, order: RoomOrder, before: BeforeRoom | None = None) -> RoomResult:
        """Begin a browser's session; returns once it is on disk. ``before``: as for ``dial``.

        Raises:
            Busy, Refused, StoreUnavailable: as ``dial``.
        """
        ...

    async def join(self, call: Call, identity: str, seconds: int) -> RoomResult:
        """Where a further browser joins a call, and until when it may begin to.

        Raises:
            Conflict: the call is over, or meets nobody in a room (code CALL_NOT_LIVE).
            Unavailable: no rooms (code ROOMS_NOT_CONFIGURED), or their server does not answer.
        """
        ...

    async def tell(self, call: Call, text: str, mode: str) -> str:
        """Hand the agent of a call a text, to ``respond`` to or as ``context``; the message's id.

        Raises:
            Conflict: the call is over, or no agent is in it (code CALL_NOT_LIVE).
            Busy: too many are on their way.
            Unavailable: no rooms (code ROOMS_NOT_CONFIGURED).
        """
        ...

    async def end(self, organization: str, call: str) -> EndResult | None:
        """End a live call, or say when it ended; None: no such call of this organization."""
        ...


def _always_ready() -> list[str]:
    return []


def _no_metrics() -> bytes:
    return b""


async def _no_voices() -> list[str]:
    return []


def _nobody() -> None:
    return None


Unfit = Callable[[Agent, PhoneNumber | None], str | None]
"""Why an agent cannot talk with who calls a number, or None; without a number, with whom it is to
call."""


def _no_agents(agent: Agent, number: PhoneNumber | None) -> str | None:
    return "no agent can talk here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """Ports and values.

    ``secret_key`` signs URLs and peppers key digests. ``public_url`` is how the world reaches
    us; without it the request's own host is used. ``ready`` says why no call can be taken, in
    words. ``metrics`` renders the Prometheus text format. ``sip_address`` is the ``host`` or
    ``host:port`` that a carrier forwards to. ``requests_per_second``: of a key that has no ceiling
    of its own. ``nudge`` tells the callback scheduler of a new row.
    ``voices`` names those of the synthesiser; raises SpeechUnavailable.
    """

    dialler: Dialler
    calls: CallReader
    turns: TurnStore
    feeds: Feeds
    finalize: Finalize
    ledger: LedgerStore
    callbacks: CallbackReader
    callback_queue: CallbackQueue
    numbers: Repository[PhoneNumber]
    trunks: Repository[Trunk]
    phones: Repository[Phone]
    shop: Shop
    kyb: KybStore
    agents: AgentStore
    tools: ToolStore
    library: Library
    webhooks: WebhookStore
    deliveries: DeliveryStore
    directory: Directory
    keys: KeyStore
    organizations: OrganizationStore
    idempotency: IdempotencyStore
    clock: Clock
    ids: Ids
    secret_key: str
    recordings: Path
    dialplans: frozenset[str] = frozenset()
    default_dialplan: str | None = None
    public_url: str | None = None
    tokens: RoomTokens | None = None
    sip_address: str = "127.0.0.1:5060"
    cors_origins: tuple[str, ...] = ("*",)
    trusted_proxies: tuple[Network, ...] = ()
    requests_per_second: float = 100.0
    ready: Callable[[], list[str]] = _always_ready
    metrics: Callable[[], bytes] = _no_metrics
    nudge: Callable[[], None] = _nobody
    unfit: Unfit = _no_agents
    voices: Callable[[], Awaitable[list[str]]] = _no_voices
