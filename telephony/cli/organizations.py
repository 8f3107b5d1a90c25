"""``telephony organizations``: tenants, on the store itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from telephony.accounts.model import Organization
from telephony.base.clock import iso
from telephony.base.errors import NotFound
from telephony.cli.show import Json, print_json, table
from telephony.cli.store import Opened, with_store

app = typer.Typer(help="Tenants: create, list, rename.", no_args_is_help=True)


@app.command()
def create(name: str, json: Json = False) -> None:
    """Make one; `telephony keys create --organization` makes its first key."""

    async def work(opened: Opened) -> Organization:
        made = Organization(id=opened.ids.make("org"), name=name, created_at=opened.now)
        await opened.store.organizations.put(made)
        return made

    made = with_store(work)
    print_json(_shown(made)) if json else print(made.id)


@app.command("list")
def every(json: Json = False) -> None:
    """Every organization."""

    async def work(opened: Opened) -> list[Organization]:
        return await opened.store.organizations.find()

    rows = [_shown(row) for row in with_store(work)]
    print_json(rows) if json else table(rows, ["id", "name", "created_at"])


@app.command()
def rename(
    organization: Annotated[str, typer.Argument(help="Its id.")], name: str, json: Json = False
) -> None:
    """Call it something else."""

    async def work(opened: Opened) -> Organization:
        found = await opened.store.organizations.get(organization)
        if found is None:
            raise NotFound(f"there is no organization {organization}")
        renamed = replace(found, name=name)
        await opened.store.organizations.put(renamed)
        return renamed

    row = with_store(work)
    if json:
        print_json(_shown(row))


def _shown(row: Organization) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "created_at": iso(row.created_at)}
