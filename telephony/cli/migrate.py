"""``telephony migrate``: bring the database to this version's form."""

from __future__ import annotations

from telephony.cli.show import Json, print_json
from telephony.cli.store import Opened, with_store
from telephony.store.migrate import HEAD


def migrate(json: Json = False) -> None:
    """Run the migrations that are missing. ``serve`` does so too when it starts."""

    async def work(opened: Opened) -> None:
        return None

    # Opening the store migrates it, and refuses one that is ahead of this version.
    with_store(work)
    print_json({"migration": HEAD}) if json else print(f"the database is at migration {HEAD}")
