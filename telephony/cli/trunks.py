"""``telephony trunks``."""

from __future__ import annotations

from typing import Annotated

import typer

from telephony.cli.client import Client, Url, pairs, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="SIP trunks: list, show, add, remove.", no_args_is_help=True)


@app.command("list")
def every(url: Url = None, json: Json = False) -> None:
    """Every trunk; the first is the default."""
    rows = Client(url).get("trunks")
    columns = ["id", "name", "kind", "gateways", "livekitTrunkId", "callerIds", "readOnly"]
    print_json(rows) if json else table(rows, columns)


@app.command()
def show(trunk: str, url: Url = None, json: Json = False) -> None:
    """One trunk, by id."""
    row = Client(url).get("trunks", trunk)
    print_json(row) if json else members(row)


@app.command()
def add(
    name: str,
    gateway: Annotated[list[str] | None, typer.Option(help="host[:port]; tried in order.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="sip, or livekit: LiveKit's SIP service.")
    ] = None,
    livekit_trunk: Annotated[
        str | None, typer.Option(help="The outbound trunk at LiveKit, ST_….")
    ] = None,
    media_encryption: Annotated[
        str | None, typer.Option(help="disable, allow or require, at LiveKit.")
    ] = None,
    transport: Annotated[str | None, typer.Option(help="udp or tcp.")] = None,
    username: Annotated[str | None, typer.Option()] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="TRUNK_PASSWORD", help="Asked for where only a username is given."),
    ] = None,
    register: Annotated[bool | None, typer.Option()] = None,
    source: Annotated[list[str] | None, typer.Option(help="Where its calls come from.")] = None,
    caller_id: Annotated[list[str] | None, typer.Option(help="E.164.")] = None,
    country: Annotated[str | None, typer.Option(help="Two letters.")] = None,
    strip: Annotated[str | None, typer.Option()] = None,
    prefix: Annotated[str | None, typer.Option()] = None,
    header: Annotated[list[str] | None, typer.Option(help="name=value, in every INVITE.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make a trunk; it is live at once."""
    if username and password is None:
        password = typer.prompt("Password", hide_input=True)
    body = sent(
        name=name,
        kind=kind,
        gateways=gateway,
        livekitTrunkId=livekit_trunk,
        mediaEncryption=media_encryption,
        transport=transport,
        username=username,
        password=password,
        register=register,
        allowedSources=source,
        callerIds=caller_id,
        country=country,
        strip=strip,
        prefix=prefix,
        headers=pairs(header or [], "--header"),
    )
    row = Client(url).post("trunks", body=body)
    print_json(row) if json else members(row)


@app.command()
def remove(trunk: str, url: Url = None, json: Json = False) -> None:
    """Forget a trunk."""
    reply = Client(url).delete("trunks", trunk)
    if json:
        print_json(reply)
