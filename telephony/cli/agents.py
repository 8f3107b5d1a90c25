"""``telephony agents``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(help="Agents: list, show, add, set, remove, calls, tools.", no_args_is_help=True)

Prompt = Annotated[
    Path | None, typer.Option(help="A file with the system prompt.", exists=True, dir_okay=False)
]


@app.command("list")
def every(url: Url = None, json: Json = False) -> None:
    """Every agent."""
    rows = Client(url).get("agents")
    columns = ["id", "name", "language", "dialplan", "createdAt"]
    print_json(rows) if json else table([_flat(row) for row in rows], columns)


@app.command()
def show(agent: str, url: Url = None, json: Json = False) -> None:
    """One agent."""
    row = Client(url).get("agents", agent)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command()
def add(
    name: str,
    prompt: Annotated[str | None, typer.Option(help="The system prompt.")] = None,
    prompt_file: Prompt = None,
    language: Annotated[str, typer.Option(help="Such as en or de-AT.")] = "en",
    voice: Annotated[str | None, typer.Option()] = None,
    first_message: Annotated[str | None, typer.Option(help="What it says first.")] = None,
    dialplan: Annotated[str | None, typer.Option(help="What talks without a model.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make an agent."""
    body = sent(
        name=name,
        systemPrompt=_prompt(prompt, prompt_file),
        intent={"language": language},
        voice=voice,
        firstMessage=first_message,
        dialplan=dialplan,
    )
    if "systemPrompt" not in body:
        raise typer.BadParameter("give --prompt or --prompt-file")
    row = Client(url).post("agents", body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command("set")
def change(
    agent: str,
    name: Annotated[str | None, typer.Option()] = None,
    prompt: Annotated[str | None, typer.Option(help="The system prompt.")] = None,
    prompt_file: Prompt = None,
    language: Annotated[str | None, typer.Option()] = None,
    voice: Annotated[str | None, typer.Option(help="Empty: none.")] = None,
    first_message: Annotated[str | None, typer.Option(help="Empty: none.")] = None,
    dialplan: Annotated[str | None, typer.Option(help="Empty: none.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Change what is given; the rest stays."""
    body: dict[str, Any] = sent(name=name, systemPrompt=_prompt(prompt, prompt_file))
    cleared = (("voice", voice), ("firstMessage", first_message), ("dialplan", dialplan))
    body |= {name: value or None for name, value in cleared if value is not None}
    if language is not None:
        body["intent"] = {"language": language}
    row = Client(url).patch("agents", agent, body=body)
    print_json(row) if json else members({k: v for k, v in row.items() if v is not None})


@app.command()
def remove(agent: str, url: Url = None, json: Json = False) -> None:
    """Forget an agent and its tools."""
    reply = Client(url).delete("agents", agent)
    if json:
        print_json(reply)


@app.command()
def calls(
    agent: str,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 25,
    since: Annotated[str | None, typer.Option(help="ISO-8601.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """An agent's calls, newest first."""
    page = Client(url).get("agents", agent, "calls", limit=limit, since=since, cursor=cursor)
    if json:
        print_json(page)
        return
    table(page["calls"], ["id", "created_at", "kind", "status", "duration_seconds"])
    if page["next_cursor"]:
        typer.echo(f"more: --cursor {page['next_cursor']}", err=True)


@app.command()
def tools(agent: str, url: Url = None, json: Json = False) -> None:
    """An agent's tools."""
    rows = Client(url).get("agents", agent, "tools")
    shown = [{**row, "kind": row["source"]["kind"]} for row in rows]
    print_json(rows) if json else table(shown, ["id", "name", "kind", "description"])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "language": row["intent"]["language"]}


def _prompt(text: str | None, file: Path | None) -> str | None:
    return text if file is None else file.read_text(encoding="utf-8")
