"""``telephony keys``: on the store itself, so that the first key needs no key."""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from telephony.accounts.keys import digest_key, hint, make_pepper, make_secret
from telephony.accounts.model import DEFAULT_ORGANIZATION, Key
from telephony.base.clock import iso
from telephony.base.errors import NotFound
from telephony.cli.show import Json, print_json, table
from telephony.cli.store import Opened, with_store

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    test: Annotated[bool, typer.Option("--test", help="A key whose dials are stubs.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it: it is kept only as a digest, so this is the only time."""
    secret = make_secret(random.SystemRandom(), live=not test)

    async def work(opened: Opened) -> Key:
        key = Key(
            id=opened.ids.make("key"),
            organization=DEFAULT_ORGANIZATION,
            name=name,
            digest=digest_key(secret, make_pepper(opened.secret_key)),
            hint=hint(secret),
            live=not test,
            created_at=opened.now,
            expires_at=opened.now + timedelta(days=days) if days else None,
        )
        await opened.store.keys.add(key)
        return key

    key = with_store(work)
    print_json({**_shown(key), "key": secret}) if json else print(secret)


@app.command("list")
def every(json: Json = False) -> None:
    """Every key, without its secret."""

    async def work(opened: Opened) -> list[Key]:
        return await opened.store.keys.find()

    rows = [_shown(key) for key in with_store(work)]
    columns = ["id", "name", "hint", "live", "created_at", "last_used_at", "expires_at"]
    print_json(rows) if json else table(rows, columns)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """Take a key away; a running service notices within seconds."""

    async def work(opened: Opened) -> bool:
        return await opened.store.keys.remove(key)

    if not with_store(work):
        raise NotFound(f"there is no key {key}")


def _shown(key: Key) -> dict[str, Any]:
    row = asdict(key)
    del row["digest"]
    return {k: iso(v) if isinstance(v, datetime) else v for k, v in row.items()}
