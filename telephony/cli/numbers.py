"""``telephony numbers``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from telephony.cli import kyb
from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(
    help="Phone numbers: list, show, add, set, remove, available, buy, kyb.", no_args_is_help=True
)
app.add_typer(kyb.app, name="kyb")


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
    agent: Annotated[str | None, typer.Option(help="The agent that answers it.")] = None,
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
        agentId=agent,
        direction=direction.value,
        label=label,
        record=record,
    )
    row = Client(url).post("phone-numbers", "import", body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command()
def available(
    area_code: Annotated[str | None, typer.Option(help="Three digits, of North America.")] = None,
    locality: Annotated[str | None, typer.Option(help="A place, or part of its name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50)] = 10,
    url: Url = None,
    json: Json = False,
) -> None:
    """What can be bought."""
    rows = Client(url).get(
        "phone-numbers", "available", areaCode=area_code, locality=locality, limit=limit
    )
    if json:
        print_json(rows)
        return
    for row in rows:
        row["locality"] = row["region"]["locality"]
    table(rows, ["e164", "friendlyName", "locality", "upfrontCostUsd", "monthlyCostUsd"])


@app.command()
def buy(
    e164: str,
    dialplan: Annotated[str | None, typer.Option(help="What answers it.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent that answers it.")] = None,
    direction: Annotated[Direction, typer.Option()] = Direction.both,
    label: Annotated[str | None, typer.Option()] = None,
    record: Annotated[bool | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Buy a number of the pool."""
    body = sent(
        e164=e164,
        dialplan=dialplan,
        agentId=agent,
        direction=direction.value,
        label=label,
        record=record,
    )
    row = Client(url).post("phone-numbers", body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command("set")
def change(
    number: str,
    dialplan: Annotated[str | None, typer.Option(help="An empty one takes it off.")] = None,
    agent: Annotated[str | None, typer.Option(help="An empty one takes it off.")] = None,
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
        for name, value in (("dialplan", dialplan), ("agentId", agent), ("label", label))
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
