"""``telephony usage`` and ``telephony credits``: credits are changed on the store itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.base.errors import NotFound
from telephony.calls.money import Kind, Posting
from telephony.cli.client import Client, Url
from telephony.cli.show import Json, members, print_json, table
from telephony.cli.store import Opened, with_store
from telephony.ledger.credits import MICRO, adjusted, granted, parse_usd

app = typer.Typer(
    help="Credits: grant, adjust, balance, ledger; amounts are USD.", no_args_is_help=True
)

Organization = Annotated[str, typer.Option(help="Whose they are.")]
Amount = Annotated[str, typer.Argument(help="USD, such as 25 or 0.50.")]
Note = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]


def usage(
    from_: Annotated[str | None, typer.Option("--from", help="ISO-8601; else this month.")] = None,
    to: Annotated[str | None, typer.Option(help="ISO-8601; else now.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """What was used in a time, and what it cost."""
    found = Client(url).get("usage", **{"from": from_, "to": to})
    if json:
        print_json(found)
        return
    lines = found.pop("breakdown")
    members(found)
    if lines:
        table(lines, ["provider", "metric", "chargeKind", "quantity", "cost"])


@app.command()
def grant(
    amount: Amount,
    organization: Organization = DEFAULT_ORGANIZATION,
    note: Note = "",
    json: Json = False,
) -> None:
    """Give credit."""
    micro = parse_usd(amount)

    async def work(opened: Opened) -> int:
        posting = granted(opened.ids.make("le"), organization, micro, note, opened.now)
        return await _post(opened, posting)

    _print_balance(organization, with_store(work), json)


@app.command(context_settings={"ignore_unknown_options": True})
def adjust(
    amount: Annotated[str, typer.Argument(help="USD, up or down, such as -0.50.")],
    note: Note,
    organization: Organization = DEFAULT_ORGANIZATION,
    json: Json = False,
) -> None:
    """Put something right, and say why."""
    micro = parse_usd(amount)

    async def work(opened: Opened) -> int:
        posting = adjusted(opened.ids.make("le"), organization, micro, note, opened.now)
        return await _post(opened, posting)

    _print_balance(organization, with_store(work), json)


@app.command()
def balance(organization: Organization = DEFAULT_ORGANIZATION, json: Json = False) -> None:
    """What is left."""

    async def work(opened: Opened) -> int:
        await _known(opened, organization)
        return (await opened.store.ledger.balance(organization)).amount

    _print_balance(organization, with_store(work), json)


@app.command()
def ledger(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="The createdAt of the last row.")] = None,
    kind: Annotated[Kind | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """What went onto and off the credits, newest first (over the API)."""
    chosen = None if kind is None else kind.value
    found = Client(url).get("credits", "ledger", limit=limit, cursor=cursor, kind=chosen)
    columns = ["createdAt", "kind", "amountMicroUsd", "metric", "sessionId", "note"]
    print_json(found) if json else table(found["entries"], columns)


async def _known(opened: Opened, organization: str) -> None:
    known = await opened.store.organizations.get(organization)
    if known is None and organization != DEFAULT_ORGANIZATION:
        raise NotFound(f"there is no organization {organization}")


async def _post(opened: Opened, posting: Posting) -> int:
    """The balance after it."""
    await _known(opened, posting.organization)
    await opened.store.ledger.post(posting)
    return (await opened.store.ledger.balance(posting.organization)).amount


def _print_balance(organization: str, micro: int, json: bool) -> None:
    shown = f"{'-' if micro < 0 else ''}{abs(micro) // MICRO}.{abs(micro) % MICRO:06d}"
    row: dict[str, Any] = {"organization": organization, "balance_usd": shown}
    print_json(row) if json else print(shown)
