"""``telephony knowledge``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from telephony.base.errors import TelephonyError
from telephony.cli.client import Client, Url, sent
from telephony.cli.show import Json, members, print_json, table

app = typer.Typer(
    help="Knowledge bases: list, add, remove, documents, upload, search, forget.",
    no_args_is_help=True,
)

POLL_SECONDS = 0.2
POLLS = 600
TYPES = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}

File = Annotated[
    Path, typer.Argument(help=f"A file: {' '.join(TYPES)}.", exists=True, dir_okay=False)
]


@app.command("list")
def every(
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Every knowledge base."""
    rows = Client(url).get("knowledge-bases", agentId=agent)
    columns = ["id", "agentId", "name", "documentCount", "chunkCount"]
    print_json(rows) if json else table(rows, columns)


@app.command()
def add(
    agent: str,
    name: str,
    description: Annotated[str | None, typer.Option()] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make a knowledge base of an agent's; it has one called Default from the start."""
    body = sent(agentId=agent, name=name, description=description)
    row = Client(url).post("knowledge-bases", body=body)
    print_json(row) if json else members(row)


@app.command()
def remove(base: str, url: Url = None, json: Json = False) -> None:
    """Forget a knowledge base and its documents."""
    reply = Client(url).delete("knowledge-bases", base)
    if json:
        print_json(reply)


@app.command()
def documents(base: str, url: Url = None, json: Json = False) -> None:
    """What is in a knowledge base."""
    rows = Client(url).get("knowledge-bases", base, "documents")
    columns = ["id", "filename", "status", "sizeBytes", "chunkCount", "errorMessage"]
    print_json(rows) if json else table(rows, columns)


@app.command()
def upload(base: str, file: File, url: Url = None, json: Json = False) -> None:
    """Put a document into a knowledge base, and wait until it was read."""
    kind = TYPES.get(file.suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"{file.name}: must be one of {' '.join(TYPES)}")
    client, data = Client(url), file.read_bytes()
    body = {"filename": file.name, "contentType": kind, "sizeBytes": len(data)}
    made = client.post("knowledge-bases", base, "documents", body=body)
    client.upload(made["upload"]["url"], data, made["upload"]["headers"])
    document = made["document"]["id"]
    client.post("knowledge-bases", base, "documents", document, "finalize")
    row = _read(client, base, document)
    print_json(row) if json else members(row)
    if row["status"] != "ready":
        raise TelephonyError(row["errorMessage"] or f"{file.name} is still being read")


@app.command()
def search(
    agent: str,
    question: str,
    limit: Annotated[int, typer.Option(min=1, max=20)] = 5,
    url: Url = None,
    json: Json = False,
) -> None:
    """What an agent finds when it looks something up, the best first."""
    found = Client(url).get("agents", agent, "knowledge", query=question, limit=limit)
    print_json(found) if json else table(found["passages"], ["filename", "heading", "text"])


@app.command()
def forget(base: str, document: str, url: Url = None, json: Json = False) -> None:
    """Take a document out of a knowledge base."""
    reply = Client(url).delete("knowledge-bases", base, "documents", document)
    if json:
        print_json(reply)


def _read(client: Client, base: str, document: str) -> dict[str, Any]:
    """The row once it was read, or as it is after two minutes."""
    for _ in range(POLLS):
        row: dict[str, Any] = client.get("knowledge-bases", base, "documents", document)
        if row["status"] in ("ready", "failed"):
            break
        time.sleep(POLL_SECONDS)
    return row
