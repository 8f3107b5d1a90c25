"""``telephony phones``."""

from __future__ import annotations

from typing import Annotated

import typer

from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="SIP phones that may log in: list, add, remove.", no_args_is_help=True)


@app.command("list")
def every(url: Url = None, json: Json = False) -> None:
    """Every phone."""
    rows = Client(url).get("phones")
    print_json(rows) if json else table(rows, ["id", "user", "name", "readOnly", "createdAt"])


@app.command()
def add(
    user: str,
    password: Annotated[
        str,
        typer.Option(envvar="PHONE_PASSWORD", prompt=True, hide_input=True, help="Asked for."),
    ],
    name: Annotated[str | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make a phone; it may log in at once."""
    row = Client(url).post("phones", body=sent(user=user, password=password, name=name))
    print_json(row) if json else members(row)


@app.command()
def remove(phone: str, url: Url = None, json: Json = False) -> None:
    """Forget a phone."""
    reply = Client(url).delete("phones", phone)
    if json:
        print_json(reply)
