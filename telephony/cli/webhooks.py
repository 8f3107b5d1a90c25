"""``telephony webhooks``."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.accounts.webhooks import SECRET_BYTES, write_secret
from telephony.cli.client import Client, Url, pairs, sent
from telephony.cli.show import Json, members, print_json, table
from telephony.cli.store import Opened, with_store

app = typer.Typer(
    help="Webhooks: list, show, add, set, remove, secret, deliveries, delivery.",
    no_args_is_help=True,
)


@app.command("list")
def every(url: Url = None, json: Json = False) -> None:
    """Every endpoint."""
    found = Client(url).get("webhooks")
    columns = ["id", "name", "url", "events", "allAgents"]
    print_json(found) if json else table(found["data"], columns)


@app.command()
def show(endpoint: str, url: Url = None, json: Json = False) -> None:
    """One endpoint; its secrets are never shown."""
    row = Client(url).get("webhooks", endpoint)
    print_json(row) if json else members(row)


@app.command()
def add(
    name: str,
    address: Annotated[str, typer.Argument(help="The URL that is told.")],
    event: Annotated[list[str], typer.Option(help="Such as call.report; as often as needed.")],
    agent: Annotated[list[str] | None, typer.Option(help="Only calls of this agent.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="name=value a session must have.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="name=value, in every request.")] = None,
    timeout: Annotated[int | None, typer.Option(help="Milliseconds for an answer.")] = None,
    content: Annotated[str | None, typer.Option(help="full or metadata_only.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Tell a URL of events. The first endpoint's answer holds the signing secret, once."""
    body = sent(
        name=name,
        url=address,
        events=event,
        agentIds=agent,
        allAgents=False if agent else None,
        filterTags=pairs(tag or [], "--tag"),
        headers=pairs(header or [], "--header"),
        timeoutMs=timeout,
        contentMode=content,
    )
    row = Client(url).post("webhooks", body=body)
    print_json(row) if json else members(row)


@app.command("set")
def change(
    endpoint: str,
    name: Annotated[str | None, typer.Option()] = None,
    address: Annotated[str | None, typer.Option(help="The URL that is told.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="In place of those it had.")] = None,
    timeout: Annotated[int | None, typer.Option(help="Milliseconds for an answer.")] = None,
    content: Annotated[str | None, typer.Option(help="full or metadata_only.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Change an endpoint."""
    body = sent(name=name, url=address, events=event, timeoutMs=timeout, contentMode=content)
    row = Client(url).patch("webhooks", endpoint, body=body)
    print_json(row) if json else members(row)


@app.command()
def remove(endpoint: str, url: Url = None, json: Json = False) -> None:
    """Tell it nothing more."""
    Client(url).delete("webhooks", endpoint)
    if json:
        print_json({"id": endpoint, "deleted": True})


@app.command()
def secret(
    organization: Annotated[str, typer.Argument(help="Whose.")] = DEFAULT_ORGANIZATION,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new one first.")] = False,
    json: Json = False,
) -> None:
    """The secret that signs for endpoints without one of their own (on the store itself)."""

    async def work(opened: Opened) -> str:
        made = write_secret(secrets.token_bytes(SECRET_BYTES))
        keep = opened.store.webhooks.keep_secret
        return await keep(organization, made, opened.now, instead=rotate)

    found = with_store(work)
    print_json({"organization": organization, "secret": found}) if json else print(found)


@app.command()
def deliveries(
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint.")] = None,
    event: Annotated[str | None, typer.Option()] = None,
    status: Annotated[str | None, typer.Option()] = None,
    session: Annotated[str | None, typer.Option(help="Of this call.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 25,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """What was sent, newest first."""
    page = Client(url).get(
        "webhook-deliveries",
        endpointId=endpoint,
        event=event,
        status=status,
        sessionId=session,
        limit=limit,
        cursor=cursor,
    )
    if json:
        print_json(page)
        return
    columns = ["id", "createdAt", "endpointName", "event", "status", "attempts", "httpStatus"]
    table(page["data"], [*columns, "error"])
    if page["nextCursor"]:
        typer.echo(f"more: --cursor {page['nextCursor']}", err=True)


@app.command()
def delivery(delivery: str, url: Url = None, json: Json = False) -> None:
    """One delivery, with each request that was made."""
    found = Client(url).get("webhook-deliveries", delivery)
    if json:
        print_json(found)
        return
    attempts = found.pop("attempts")
    members({k: v for k, v in found.items() if v not in (None, {}, [])})
    table(attempts, ["attemptNumber", "createdAt", "trigger", "responseStatus", "error"])
