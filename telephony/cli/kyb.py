"""``telephony numbers kyb``: filed over the API, decided on the store itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer

from telephony.accounts.kyb import Kyb, approved, rejected
from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.base.clock import iso
from telephony.base.errors import NotFound
from telephony.cli.client import Client, Url
from telephony.cli.show import Json, members, print_json, table
from telephony.cli.store import Opened, with_store

app = typer.Typer(
    help="Business verification: show, submit, list, approve, reject.", no_args_is_help=True
)

Organization = Annotated[str, typer.Argument(help="Whose.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides.")]


@app.command()
def show(url: Url = None, json: Json = False) -> None:
    """How it stands with this key's organization (over the API)."""
    found = Client(url).get("phone-numbers", "kyb")
    if json:
        print_json(found)
        return
    members({k: v for k, v in found.items() if not isinstance(v, dict) and v is not None})


@app.command()
def submit(
    business: Annotated[str, typer.Argument(help="The business's name.")],
    use_case: Annotated[str, typer.Argument(help="What the numbers are for.")],
    yes: Annotated[bool, typer.Option("--yes", help="Attest without being asked.")] = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """File the short form (over the API), once you attest what has to be."""
    client = Client(url)
    wanted = client.get("phone-numbers", "kyb")["requiredAttestation"]
    if not yes:
        typer.echo(f"{wanted['text']}\nTerms: {wanted['termsUrl']}", err=True)
        typer.confirm("Do you attest this?", abort=True, err=True)
    body = {
        "declaration": {"businessName": business, "useCase": use_case},
        "attestationAccepted": True,
        "attestationVersion": wanted["version"],
    }
    row = client.post("phone-numbers", "kyb", "submit", body=body)
    print_json(row) if json else print(row["status"])


@app.command("list")
def every(json: Json = False) -> None:
    """Every organization's, the last that changed first."""

    async def work(opened: Opened) -> list[Kyb]:
        return await opened.store.kyb.find()

    rows = [_shown(kyb) for kyb in with_store(work)]
    print_json(rows) if json else table(rows, ["organization", "status", "business", "updated_at"])


@app.command()
def approve(
    organization: Organization = DEFAULT_ORGANIZATION,
    reviewer: Reviewer = None,
    json: Json = False,
) -> None:
    """Let it buy numbers."""
    _decide(organization, lambda kyb, now: approved(kyb, reviewer, now), json)


@app.command()
def reject(
    reason: Annotated[str, typer.Option(help="Why; it is shown to who filed.")],
    organization: Organization = DEFAULT_ORGANIZATION,
    reviewer: Reviewer = None,
    json: Json = False,
) -> None:
    """Refuse what was submitted, or revoke what was approved."""
    _decide(organization, lambda kyb, now: rejected(kyb, reason, reviewer, now), json)


def _decide(organization: str, how: Callable[[Kyb, datetime], Kyb], json: bool) -> None:
    async def work(opened: Opened) -> Kyb:
        kyb = await opened.store.kyb.get(organization)
        if kyb is None:
            raise NotFound(f"{organization} has submitted nothing")
        decided = how(kyb, opened.now)
        await opened.store.kyb.put(decided)
        return decided

    row = _shown(with_store(work))
    print_json(row) if json else print(row["status"])


def _shown(kyb: Kyb) -> dict[str, Any]:
    form = kyb.form
    named = (form.business_profile or {}).get("legalName")
    return {
        "organization": kyb.organization,
        "status": kyb.status.value,
        "access": kyb.access,
        "business": named or (form.declaration or {}).get("businessName"),
        "rejection_reason": kyb.rejection_reason,
        "updated_at": iso(kyb.updated_at),
    }
