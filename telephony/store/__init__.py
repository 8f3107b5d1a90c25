"""Records: everything that outlives a process. SQLite by default, PostgreSQL.

store = await Store.open("sqlite:///var/telephony.db", secret_key, FileRows(...))
...
await store.close()
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    Organization,
    Phone,
    PhoneNumber,
    Trunk,
)
from telephony.store.accounts import Accounts
from telephony.store.agents import Agents, Tools
from telephony.store.callbacks import Callbacks
from telephony.store.calls import Calls
from telephony.store.database import Database, DatabaseConfig
from telephony.store.directory import (
    NUMBER,
    PHONE,
    TRUNK,
    FileRows,
    LiveDirectory,
    check_files,
)
from telephony.store.idempotency import Idempotency
from telephony.store.keys import Keys
from telephony.store.knowledge import Knowledge
from telephony.store.kyb import KybSubmissions
from telephony.store.ledger import Ledger
from telephony.store.news import News
from telephony.store.nodes import Nodes
from telephony.store.orders import Orders
from telephony.store.organizations import Organizations
from telephony.store.secrets import Cipher
from telephony.store.webhooks import Deliveries, Webhooks

__all__ = ["DatabaseConfig", "FileRows", "Store"]


NO_FILE = FileRows()
NODE = "node"
"""The name of the only one."""


@dataclass(frozen=True, slots=True)
class Store:
    """Every port that the database stands behind.

    ``calls``: CallStore, CallReader, TurnStore and ReportStore. ``ledger``: LedgerStore.
    ``callbacks``: CallbackQueue, CallbackReader and NextDue. ``nodes``: NodeStore.
    ``orders``: CallElsewhere.
    ``trunks``, ``phones``, ``numbers``: Repository. ``directory``: Directory.
    """

    database: Database
    calls: Calls
    ledger: Ledger
    callbacks: Callbacks
    keys: Keys
    organizations: Organizations
    kyb: KybSubmissions
    agents: Agents
    tools: Tools
    knowledge: Knowledge
    webhooks: Webhooks
    deliveries: Deliveries
    idempotency: Idempotency
    nodes: Nodes
    orders: Orders
    directory: LiveDirectory
    news: News
    trunks: Accounts[Trunk]
    phones: Accounts[Phone]
    numbers: Accounts[PhoneNumber]

    @classmethod
    def build(
        cls,
        config: DatabaseConfig | str,
        secret_key: str,
        files: FileRows = NO_FILE,
        node: str = NODE,
    ) -> Store:
        """Everything, not yet connected."""
        check_files(files)
        database = Database(config)
        cipher = Cipher(secret_key)
        directory = LiveDirectory(database, cipher, files)
        return cls(
            database=database,
            calls=Calls(database, node),
            ledger=Ledger(database),
            callbacks=Callbacks(database),
            keys=Keys(database),
            organizations=Organizations(database),
            kyb=KybSubmissions(database),
            agents=Agents(database, cipher, directory),
            tools=Tools(database, cipher, directory),
            knowledge=Knowledge(database),
            webhooks=Webhooks(database, cipher),
            deliveries=Deliveries(database),
            idempotency=Idempotency(database, node),
            nodes=Nodes(database, node),
            orders=Orders(database),
            directory=directory,
            news=News(database, directory),
            trunks=Accounts(database, directory, cipher, TRUNK, files.trunks),
            phones=Accounts(database, directory, cipher, PHONE, files.phones),
            numbers=Accounts(database, directory, cipher, NUMBER, files.numbers),
        )

    @classmethod
    async def open(
        cls,
        config: DatabaseConfig | str,
        secret_key: str,
        files: FileRows = NO_FILE,
        node: str = NODE,
    ) -> Store:
        """Connect, migrate, read the directory. ``node`` names this process among those that serve
        from the database.

        Raises:
            ConfigError: a URL, secret or database that cannot be used, and why.
            StoreUnavailable: no answer.
        """
        store = cls.build(config, secret_key, files, node)
        await store.database.connect()
        try:
            await store.directory.load()
            await store.directory.agents.load()
        except BaseException:
            await store.close()
            raise
        return store

    async def start(self, now: datetime) -> None:
        """What the service does once, and a command beside it must not: say that it is here, hear
        of what others change, free the keys whose requests died with its last process, and see that
        there is an organization.
        """
        await self.nodes.begin(now)
        self.news.start()
        await self.idempotency.recover()
        if await self.organizations.get(DEFAULT_ORGANIZATION) is None:
            await self.organizations.put(
                Organization(id=DEFAULT_ORGANIZATION, name="Default", created_at=now)
            )

    async def close(self) -> None:
        """Finish what was begun and close."""
        await self.news.close()
        await self.orders.close()
        await self.calls.changes.close()
        await self.database.close()
