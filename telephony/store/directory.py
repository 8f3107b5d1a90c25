"""The live picture of all that routes: what the settings file says, then the rows.

Signalling reads it for every request, so it lies in memory. It is read again after each
change that this process makes, before the change's call returns; of what another makes
``store.news`` hears.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.model import (
    MediaEncryption,
    NumberDirection,
    NumberSource,
    Phone,
    PhoneNumber,
    Transport,
    Trunk,
    TrunkKind,
)
from telephony.base.errors import BadInput
from telephony.store.database import Database
from telephony.store.secrets import Cipher
from telephony.store.staff import LiveAgents
from telephony.store.tables import phone_numbers, phones, trunks

CHANNEL = "telephony_directory"
_NOTIFY = sa.text("SELECT pg_notify(:channel, :said)").bindparams(
    sa.bindparam("channel", type_=sa.Text), sa.bindparam("said", type_=sa.Text)
)

log = structlog.get_logger("telephony.store.directory")

Item = TypeVar("Item", bound=Trunk | Phone | PhoneNumber)


@dataclass(frozen=True, slots=True)
class FileRows:
    """What telephony.toml makes: read-only, of the default organization, ``from_file`` set."""

    trunks: tuple[Trunk, ...] = ()
    phones: tuple[Phone, ...] = ()
    numbers: tuple[PhoneNumber, ...] = ()


class Noun(Generic[Item]):
    """How one noun lies in its table. ``natural`` names the member that may exist only once."""

    def __init__(
        self,
        table: sa.Table,
        word: str,
        natural: str,
        make: Callable[..., Item],
        *,
        sealed: bool,
        scoped: bool,
    ) -> None:
        self.table = table
        self.word = word
        self.natural = natural
        self.scoped = scoped
        self._make = make
        self._sealed = sealed
        self._columns = tuple(column.name for column in table.columns)

    def row(self, item: Item, cipher: Cipher) -> dict[str, Any]:
        """The item as its table keeps it."""
        row = {name: getattr(item, name) for name in self._columns}
        for name, value in row.items():
            if isinstance(value, tuple):
                row[name] = list(value)
            elif isinstance(value, StrEnum):
                row[name] = value.value
        if self._sealed:
            row["password"] = cipher.seal(row["password"])
        return row

    def item(self, row: sa.Row[Any], cipher: Cipher) -> Item:
        """The item of a row."""
        members = dict(row._mapping)
        for name, value in members.items():
            if isinstance(value, list):
                members[name] = tuple(value)
        if self._sealed:
            whose = f"{self.word} {members[self.natural]}"
            members["password"] = cipher.open(members["password"], whose)
        if "transport" in members:
            members["transport"] = Transport(members["transport"])
            members["kind"] = TrunkKind(members["kind"])
            members["media_encryption"] = MediaEncryption(members["media_encryption"])
        if "direction" in members:
            members["direction"] = NumberDirection(members["direction"])
            members["source"] = NumberSource(members["source"])
        return self._make(**members)

    def natural_key(self, item: Item) -> tuple[str, ...]:
        """What may exist only once, in an organization or anywhere."""
        value: str = getattr(item, self.natural)
        return (item.organization, value) if self.scoped else (value,)

    def query(self) -> sa.Select[Any]:
        """Every row, by creation."""
        return sa.select(self.table).order_by(self.table.c.created_at, self.table.c.id)


TRUNK = Noun(trunks, "trunk", "name", Trunk, sealed=True, scoped=True)
PHONE = Noun(phones, "phone", "user", Phone, sealed=True, scoped=False)
NUMBER = Noun(phone_numbers, "number", "e164", PhoneNumber, sealed=False, scoped=False)


class LiveDirectory:
    """``accounts.ports.Directory`` over the file's rows and the database's."""

    def __init__(self, database: Database, cipher: Cipher, files: FileRows = FileRows()) -> None:
        self._database = database
        self._cipher = cipher
        self.agents = LiveAgents(database, cipher)
        self.files = files
        self._trunks = files.trunks
        self._phones = files.phones
        self._numbers = files.numbers
        self._by_e164: dict[str, PhoneNumber] = {}
        self._watchers: list[Callable[[], None]] = []
        self._turn = asyncio.Lock()
        # By which this process knows what it said itself.
        self._mark = secrets.token_hex(8)
        self._index()

    async def load(self) -> None:
        """Read everything again, and tell who watches.

        Raises:
            StoreUnavailable: the picture stays as it was.
            ConfigError: a password was sealed under another SECRET_KEY.
        """

        async def work(connection: AsyncConnection) -> list[list[sa.Row[Any]]]:
            return [list(await connection.execute(noun.query())) for noun in (TRUNK, PHONE, NUMBER)]

        # In turn, so that an older picture never replaces a newer one.
        async with self._turn:
            found_trunks, found_phones, found_numbers = await self._database.read(work)
            cipher = self._cipher
            self._trunks = _after(
                self.files.trunks, [TRUNK.item(row, cipher) for row in found_trunks], TRUNK
            )
            self._phones = _after(
                self.files.phones, [PHONE.item(row, cipher) for row in found_phones], PHONE
            )
            self._numbers = _after(
                self.files.numbers, [NUMBER.item(row, cipher) for row in found_numbers], NUMBER
            )
            self._index()
        for changed in self._watchers:
            try:
                changed()
            except Exception:
                # A watcher's fault is its own: the change is made, and the others must hear.
                log.exception("a watcher of the directory failed")

    async def announce(self, connection: AsyncConnection, agent: str = "") -> None:
        """Part of the transaction that changes an agent, or without one anything else: other
        processes read it again when it commits."""
        if not self._database.sqlite:
            values = {"channel": CHANNEL, "said": f"{self._mark} {agent}"}
            await connection.execute(_NOTIFY, values)

    async def again(self, said: Collection[str]) -> None:
        """Read what others announced. Raises as ``load``."""
        ours = f"{self._mark} "
        whose = {text.partition(" ")[2] for text in said if not text.startswith(ours)}
        if "" in whose:
            await self.load()
        for agent in whose - {""}:
            await self.agents.look(agent)

    def _index(self) -> None:
        self._by_e164 = {number.e164: number for number in self._numbers}

    # --- the port --------------------------------------------------------------------------

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return _of(self._trunks, organization)

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return _of(self._phones, organization)

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return _of(self._numbers, organization)

    def number(self, e164: str) -> PhoneNumber | None:
        return self._by_e164.get(e164)

    def agent(self, organization: str, agent: str) -> Agent | None:
        return self.agents.agent(organization, agent)

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        return self.agents.tools(organization, agent)

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)


def check_files(files: FileRows) -> None:
    """Refuse a settings file that names the same thing twice.

    Raises:
        BadInput: naming it.
    """
    for noun, items in ((TRUNK, files.trunks), (PHONE, files.phones), (NUMBER, files.numbers)):
        seen: set[tuple[str, ...]] = set()
        for item in items:
            key = noun.natural_key(item)  # type: ignore[arg-type]
            if key in seen:
                raise BadInput(f"{noun.word} {key[-1]} is in the settings file twice")
            seen.add(key)


def _of(items: tuple[Item, ...], organization: str | None) -> tuple[Item, ...]:
    if organization is None:
        return items
    return tuple(item for item in items if item.organization == organization)


def _after(files: tuple[Item, ...], rows: list[Item], noun: Noun[Item]) -> tuple[Item, ...]:
    """The file's rows, then the store's; one that the file came to name too is the file's."""
    taken = {noun.natural_key(item) for item in files}
    return (*files, *(row for row in rows if noun.natural_key(row) not in taken))
