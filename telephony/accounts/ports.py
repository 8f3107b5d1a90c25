"""Where accounts are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.knowledge import (
    Chunk,
    Document,
    DocumentStatus,
    KnowledgeBase,
    Passage,
)
from telephony.accounts.kyb import Kyb
from telephony.accounts.model import Key, Organization, Phone, PhoneNumber, Trunk
from telephony.accounts.webhooks import (
    DeliveryFilter,
    EndpointOption,
    WebhookDelivery,
    WebhookEndpoint,
)

T = TypeVar("T", Trunk, Phone, PhoneNumber)


class Repository(Protocol[T]):
    """One noun of an organization. A foreign id is no id.

    ``add`` raises ``Conflict`` where the natural key (a phone's user, a number's e164, a
    trunk's name) is taken; ``replace`` and ``remove`` raise it for what the file made.
    """

    async def find(self, organization: str) -> list[T]: ...

    async def get(self, organization: str, item: str) -> T | None: ...

    async def add(self, item: T) -> None: ...

    async def replace(self, item: T) -> None: ...

    async def remove(self, organization: str, item: str) -> bool: ...


class Directory(Protocol):
    """A live picture of every trunk, phone, number and agent, in memory; what routes reads it.

    Rows from telephony.toml come first, then those of the store by creation. ``watch`` is
    called after every change of the first three, on the loop.
    """

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]: ...

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]: ...

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]: ...

    def number(self, e164: str) -> PhoneNumber | None: ...

    def agent(self, organization: str, agent: str) -> Agent | None: ...

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        """An agent's, oldest first."""
        ...

    def watch(self, changed: Callable[[], None]) -> None: ...


class KeyStore(Protocol):
    """API keys."""

    async def by_digest(self, digest: str) -> Key | None: ...

    async def add(self, key: Key) -> None: ...

    async def find(self, organization: str | None = None) -> list[Key]: ...

    async def remove(self, key: str) -> bool: ...

    async def expire(self, key: str, at: datetime) -> bool:
        """Let a key end at ``at``, or before where it would have; False: there is no such key."""
        ...

    async def touch(self, key: str, now: datetime) -> None: ...


class OrganizationStore(Protocol):
    """Tenants. ``org_default`` is always there."""

    async def get(self, organization: str) -> Organization | None: ...

    async def find(self) -> list[Organization]:
        """Oldest first."""
        ...

    async def put(self, organization: Organization) -> None:
        """Make one, or rename it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A number that can be bought. ``trunk`` carries it."""

    e164: str
    trunk: str
    upfront_micro_usd: int = 0
    monthly_micro_usd: int = 0
    features: tuple[str, ...] = ("voice",)
    state: str | None = None
    locality: str | None = None
    rate_center: str | None = None


class NumbersProvider(Protocol):
    """Where numbers can be bought. Raises ``Unavailable`` where it does not answer."""

    async def available(
        self, area_code: str | None, locality: str | None, limit: int
    ) -> list[Offered]:
        """Those of an area code of North America, or of a place, or any."""
        ...

    async def holds(self, e164: str) -> bool:
        """Whether a number is this provider's, bought or not."""
        ...

    async def buy(self, e164: str) -> Offered:
        """Raises NotFound where nobody offers it, Conflict where it is gone."""
        ...

    async def release(self, e164: str) -> None: ...


class KybStore(Protocol):
    """Business verifications: at most one an organization."""

    async def get(self, organization: str) -> Kyb | None: ...

    async def put(self, kyb: Kyb) -> None: ...

    async def find(self) -> list[Kyb]:
        """Of all organizations, the last that changed first."""
        ...


class AgentStore(Protocol):
    """Agents. A foreign id is no id."""

    async def find(self, organization: str) -> list[Agent]:
        """Oldest first."""
        ...

    async def get(self, organization: str, agent: str) -> Agent | None: ...

    async def add(self, agent: Agent, base: KnowledgeBase) -> None:
        """With the knowledge base that it begins with, and its hooks as webhook endpoints
        (``webhooks.mirrored``), all or none.

        Raises Conflict where the organization has as many of either as it may.
        """
        ...

    async def replace(self, agent: Agent) -> None:
        """With the endpoints of its hooks. Raises NotFound."""
        ...

    async def remove(self, organization: str, agent: str, now: datetime) -> bool:
        """With its tools, its knowledge bases and what is in them, and its hooks' endpoints.

        Raises Conflict (code LAST_AGENT) where it is the only one.
        """
        ...


class ToolStore(Protocol):
    """The tools of agents. A foreign id is no id."""

    async def find(self, organization: str, agent: str) -> list[Tool]:
        """Oldest first."""
        ...

    async def get(self, organization: str, agent: str, tool: str) -> Tool | None: ...

    async def add(self, tool: Tool) -> None:
        """Raises NotFound without its agent, Conflict where its name is taken or there are as
        many as there may be."""
        ...

    async def replace(self, tool: Tool) -> None:
        """Raises NotFound."""
        ...

    async def remove(self, organization: str, agent: str, tool: str) -> bool: ...


class KnowledgeStore(Protocol):
    """Knowledge bases, documents and their pieces. A foreign id is no id."""

    async def bases(self, organization: str, agent: str | None = None) -> list[KnowledgeBase]:
        """Oldest first."""
        ...

    async def base(self, organization: str, base: str) -> KnowledgeBase | None: ...

    async def add_base(self, base: KnowledgeBase) -> None:
        """Raises Conflict where the organization has as many as it may."""
        ...

    async def remove_base(self, organization: str, base: str) -> bool:
        """With its documents and their pieces."""
        ...

    async def documents(self, organization: str, base: str) -> list[Document]:
        """Oldest first."""
        ...

    async def document(self, organization: str, base: str, document: str) -> Document | None: ...

    async def add_document(self, document: Document) -> None:
        """Raises NotFound without its base, Conflict where that is full."""
        ...

    async def move(
        self, document: Document, was: DocumentStatus, chunks: Sequence[Chunk] = ()
    ) -> bool:
        """Write its state and pieces, both or none; False: it is no longer what it was."""
        ...

    async def remove_document(self, organization: str, base: str, document: str) -> bool:
        """With its pieces."""
        ...

    async def unfinished(self) -> list[Document]:
        """Of every organization: neither ready nor failed, oldest first."""
        ...

    async def search(
        self, organization: str, agent: str, words: Sequence[str], limit: int
    ) -> list[Passage]:
        """What an agent's bases hold of any of these words, the best first."""
        ...


class WebhookStore(Protocol):
    """Endpoints, and the secret of an organization. A foreign id is no id."""

    async def find(self, organization: str) -> list[WebhookEndpoint]:
        """Oldest first."""
        ...

    async def get(self, organization: str, endpoint: str) -> WebhookEndpoint | None: ...

    async def add(self, endpoint: WebhookEndpoint) -> None: ...

    async def replace(self, endpoint: WebhookEndpoint) -> None:
        """Raises NotFound."""
        ...

    async def remove(self, organization: str, endpoint: str, now: datetime) -> bool:
        """Its deliveries stay and still know its name; its secrets are gone."""
        ...

    async def secret(self, organization: str) -> str | None:
        """What signs for endpoints without a secret of their own."""
        ...

    async def keep_secret(
        self, organization: str, secret: str, now: datetime, *, instead: bool = False
    ) -> str:
        """The one that stands: the first, or this one ``instead`` of it."""
        ...


class DeliveryStore(Protocol):
    """What was sent to endpoints, or is to be."""

    async def put(self, delivery: WebhookDelivery) -> None:
        """Write a delivery as it is now, and those of its attempts that are not there yet."""
        ...

    async def get(self, organization: str, delivery: str) -> WebhookDelivery | None:
        """With its attempts, in order."""
        ...

    async def page(
        self, organization: str, chosen: DeliveryFilter, limit: int, cursor: str | None
    ) -> tuple[list[WebhookDelivery], str | None]:
        """Newest first, without attempts and payloads. Raises BadInput on a bad cursor."""
        ...

    async def endpoints(self, organization: str) -> list[EndpointOption]:
        """Every endpoint there is, and those that are gone and have deliveries; oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: kept under its idempotency key."""

    status: int
    body: bytes


class IdempotencyStore(Protocol):
    """Answers by (organization, key), 24 hours, through restarts."""

    async def begin(
        self, organization: str, key: str, body_hash: str, now: datetime
    ) -> Answer | None:
        """None: the key is ours now, so handle the request. An answer: replay it.

        Raises:
            Conflict: another body under this key (code IDEMPOTENCY_CONFLICT).
            Busy: the first request with this key is still being handled by somebody.
        """
        ...

    async def prepare(self, organization: str, key: str, made: str, answer: Answer) -> None:
        """What the answer will be once the call or callback ``made`` is on disk.

        A process that dies between that and ``finish`` leaves a key that answers so, and not
        one under which the same call could be made again.
        """
        ...

    async def finish(self, organization: str, key: str, answer: Answer) -> None: ...

    async def forget(self, organization: str, key: str) -> None:
        """The request failed before anything was sent: the key is free again."""
        ...

    async def purge(self, before: datetime) -> int: ...
