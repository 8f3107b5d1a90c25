"""``telephony callbacks``."""

from __future__ import annotations

from typing import Annotated

import typer

from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="Promised calls: list, show, add, cancel.", no_args_is_help=True)


@app.command("list")
def every(
    status: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 25,
    url: Url = None,
    json: Json = False,
) -> None:
    """Who was promised a call."""
    found = Client(url).get("callbacks", status=status, limit=limit)
    columns = ["id", "to_number", "scheduled_at", "status", "attempts", "reason"]
    print_json(found) if json else table(found["callbacks"], columns)


@app.command()
def show(callback: str, url: Url = None, json: Json = False) -> None:
    """One promise."""
    row = Client(url).get("callbacks", callback)
    print_json(row) if json else members(row)


@app.command()
def cancel(
    callback: str,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Take a promise back, before it is being dialed."""
    row = Client(url).post("callbacks", callback, "cancel", body=sent(reason=reason))
    print_json(row) if json else members(row)


@app.command()
def add(
    to: Annotated[str, typer.Argument(help="Whom to call, E.164.")],
    at: Annotated[str | None, typer.Option(help="When, ISO-8601; without it at once.")] = None,
    dialplan: Annotated[str | None, typer.Option()] = None,
    from_: Annotated[str | None, typer.Option("--from")] = None,
    reason: Annotated[str | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Promise a call."""
    body = sent(to=to, scheduledAt=at, dialplan=dialplan, reason=reason, **{"from": from_})
    row = Client(url).post("callbacks", body=body)
    print_json(row) if json else members(row)
