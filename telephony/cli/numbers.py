"""``telephony numbers``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="Phone numbers: list, show, add, set, remove.", no_args_is_help=True)


class Direction(StrEnum):
    """As the API has it."""

    inbound = "inbound"
    outbound = "outbound"
    both = "both"


@app.command("list")
def every(url: Url = None, json: Json = False) -> None:
    """Every number, and what it is fit for."""
    rows = Client(url).get("phone-numbers")
    if json:
        print_json(rows)
        return
    for row in rows:
        row["setup"] = row["setupStatus"]["status"]
        row["issues"] = row["setupStatus"]["issues"]
    table(rows, ["id", "e164", "direction", "trunk", "dialplan", "setup", "issues"])


@app.command()
def show(number: str, url: Url = None, json: Json = False) -> None:
    """One number, by id."""
    row = Client(url).get("phone-numbers", number)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command()
def add(
    e164: str,
    trunk: Annotated[str | None, typer.Option(help="The trunk's id or name.")] = None,
    dialplan: Annotated[str | None, typer.Option(help="What answers it.")] = None,
    direction: Annotated[Direction, typer.Option()] = Direction.both,
    label: Annotated[str | None, typer.Option()] = None,
    record: Annotated[bool | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Import a number that a trunk carries."""
    body = sent(
        e164=e164,
        sipConnectionInstallationId=trunk,
        dialplan=dialplan,
        direction=direction.value,
        label=label,
        record=record,
    )
    row = Client(url).post("phone-numbers", "import", body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command("set")
def change(
    number: str,
    dialplan: Annotated[str | None, typer.Option(help="An empty one takes it off.")] = None,
    direction: Annotated[Direction | None, typer.Option()] = None,
    label: Annotated[str | None, typer.Option(help="An empty one takes it off.")] = None,
    record: Annotated[bool | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Change a number."""
    body: dict[str, Any] = sent(direction=direction.value if direction else None, record=record)
    body |= {
        name: value or None
        for name, value in (("dialplan", dialplan), ("label", label))
        if value is not None
    }
    row = Client(url).patch("phone-numbers", number, body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command()
def remove(number: str, url: Url = None, json: Json = False) -> None:
    """Forget a number."""
    reply = Client(url).delete("phone-numbers", number)
    if json:
        print_json(reply)
