"""``telephony dial`` and ``telephony calls``."""

from __future__ import annotations

from typing import Annotated

import typer

from telephony.cli.client import Client, Url, pairs, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="Calls: list, show, events, report, end.", no_args_is_help=True)


def dial(
    to: Annotated[str, typer.Argument(help="Whom to call, E.164.")],
    from_: Annotated[str | None, typer.Option("--from", help="Caller id, E.164.")] = None,
    dialplan: Annotated[str | None, typer.Option(help="What talks to whoever picks up.")] = None,
    agent: Annotated[str | None, typer.Option(help="Who talks to whoever picks up.")] = None,
    trunk: Annotated[str | None, typer.Option(help="The trunk's id or name.")] = None,
    record: Annotated[bool | None, typer.Option(help="Record the call.")] = None,
    var: Annotated[list[str] | None, typer.Option(help="A variable, name=value.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Call somebody; returns before anybody answers."""
    body = sent(
        to=to,
        dialplan=dialplan,
        agentId=agent,
        trunk=trunk,
        record=record,
        variables=pairs(var or [], "--var"),
        **{"from": from_},
    )
    reply = Client(url).post("sessions", "phone", body=body)
    print_json(reply) if json else members(reply)


@app.command("list")
def every(
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    status: Annotated[str | None, typer.Option()] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """The newest calls first."""
    page = Client(url).get("sessions", limit=limit, status=status, cursor=cursor)
    if json:
        print_json(page)
        return
    columns = ["sessionId", "createdAt", "direction", "from", "to", "status", "durationSeconds"]
    table(page["entries"], [*columns, "dialplan", "failureCause"])
    if page["nextCursor"]:
        typer.echo(f"more: --cursor {page['nextCursor']}", err=True)


@app.command()
def show(call: str, url: Url = None, json: Json = False) -> None:
    """One call, and what was said in it."""
    detail = Client(url).get("calls", call)
    if json:
        print_json(detail)
        return
    turns = detail.pop("transcript")["entries"]
    report = detail.pop("report")
    members({k: v for k, v in detail.items() if v not in (None, {}, [])})
    if report is not None:
        members({"outcome": report["outcome"], "summary": report["summary"]})
    table(turns, ["started_at", "source", "text"])


@app.command()
def events(call: str, url: Url = None, json: Json = False) -> None:
    """Everything that happened, oldest first."""
    found = Client(url).get("calls", call, "events")
    if json:
        print_json(found)
        return
    columns = ["occurred_at", "provider", "event_type", "status", "failure_cause"]
    table(found["events"], [*columns, "sip_status_code"])


@app.command()
def report(call: str, url: Url = None, json: Json = False) -> None:
    """What came of a call, and what it cost."""
    found = Client(url).get("calls", call, "report")
    if json:
        print_json(found)
        return
    lines = found.pop("cost_breakdown")
    said = found.pop("transcript")["entries"]
    members({k: v for k, v in found.items() if v not in (None, {}, [])})
    table(lines, ["provider", "metric", "quantity", "costMicroUsd"])
    table(said, ["started_at", "source", "text"])


@app.command()
def recording(call: str, url: Url = None, json: Json = False) -> None:
    """Where the recording can be had for the next minutes."""
    reply = Client(url).get("calls", call, "recording")
    print_json(reply) if json else print(reply["url"])


@app.command()
def end(call: str, url: Url = None, json: Json = False) -> None:
    """Hang up."""
    reply = Client(url).post("calls", call, "end")
    print_json(reply) if json else print(reply["status"])
