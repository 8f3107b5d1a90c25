"""``telephony keys``: on the store itself, so that the first key needs no key."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from telephony.accounts.keys import digest_key, hint, make_pepper, make_secret
from telephony.accounts.model import DEFAULT_ORGANIZATION, EVERYTHING, Key, Scope
from telephony.base.clock import iso
from telephony.base.errors import NotFound
from telephony.cli.show import Json, print_json, table
from telephony.cli.store import Opened, with_store

app = typer.Typer(help="API keys: create, list, rotate, revoke.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    test: Annotated[bool, typer.Option("--test", help="A key whose dials are stubs.")] = False,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; several times. All, if none.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Its requests a second.")] = None,
    organization: Annotated[str, typer.Option(help="Whose it is.")] = DEFAULT_ORGANIZATION,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it: it is kept only as a digest, so this is the only time."""
    secret = make_secret(random.SystemRandom(), live=not test)

    async def work(opened: Opened) -> Key:
        known = await opened.store.organizations.get(organization)
        if known is None and organization != DEFAULT_ORGANIZATION:
            raise NotFound(f"there is no organization {organization}")
        key = Key(
            id=opened.ids.make("key"),
            organization=organization,
            name=name,
            digest=digest_key(secret, make_pepper(opened.secret_key)),
            hint=hint(secret),
            live=not test,
            scopes=frozenset(scope) if scope else EVERYTHING,
            requests_per_second=rate,
            created_at=opened.now,
            expires_at=opened.now + timedelta(days=days) if days else None,
        )
        await opened.store.keys.add(key)
        return key

    _print_new(with_store(work), secret, json)


@app.command("list")
def every(json: Json = False) -> None:
    """Every key, without its secret."""

    async def work(opened: Opened) -> list[Key]:
        return await opened.store.keys.find()

    rows = [_shown(key) for key in with_store(work)]
    columns = ["id", "organization", "name", "hint", "live", "scopes", "last_used_at", "expires_at"]
    print_json(rows) if json else table(rows, columns)


@app.command()
def rotate(
    key: Annotated[str, typer.Argument(help="The key's id.")],
    hours: Annotated[float, typer.Option(min=0, help="How long the old one still opens.")] = 24.0,
    json: Json = False,
) -> None:
    """Make a key that may do the same, and let the old one end."""
    random_source = random.SystemRandom()

    async def work(opened: Opened) -> tuple[Key, str]:
        old = next((k for k in await opened.store.keys.find() if k.id == key), None)
        if old is None:
            raise NotFound(f"there is no key {key}")
        secret = make_secret(random_source, live=old.live)
        new = replace(
            old,
            id=opened.ids.make("key"),
            digest=digest_key(secret, make_pepper(opened.secret_key)),
            hint=hint(secret),
            created_at=opened.now,
            last_used_at=None,
        )
        await opened.store.keys.add(new)
        await opened.store.keys.expire(old.id, opened.now + timedelta(hours=hours))
        return new, secret

    _print_new(*with_store(work), json)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id.")], json: Json = False) -> None:
    """Take a key away; a running service notices within seconds."""

    async def work(opened: Opened) -> bool:
        return await opened.store.keys.remove(key)

    if not with_store(work):
        raise NotFound(f"there is no key {key}")
    if json:
        print_json({"id": key, "revoked": True})


def _print_new(key: Key, secret: str, json: bool) -> None:
    print_json({**_shown(key), "key": secret}) if json else print(secret)


def _shown(key: Key) -> dict[str, Any]:
    row = asdict(key)
    del row["digest"]
    row["scopes"] = " ".join(scope for scope in Scope if scope in key.scopes)
    return {k: iso(v) if isinstance(v, datetime) else v for k, v in row.items()}
