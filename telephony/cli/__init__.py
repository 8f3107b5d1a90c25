"""The command ``telephony``.

``serve``, ``keys``, ``organizations``, ``credits`` (but its ledger), ``migrate``, ``dialplan`` and
``openapi`` work on this machine's settings, store and files; everything else talks to a running
service over its API, with ``TELEPHONY_API_KEY``.
"""

from __future__ import annotations

import os
import sys

# Before anything imports numpy: its threads would only take the tick's core away.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from telephony.base.errors import TelephonyError
from telephony.cli import (
    agents,
    callbacks,
    calls,
    credits,
    dialplan,
    keys,
    knowledge,
    migrate,
    numbers,
    openapi,
    organizations,
    phones,
    serve,
    trunks,
    webhooks,
)

app = typer.Typer(
    name="telephony",
    help="A self-hosted telephony service for voice agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("openapi")(openapi.openapi)
app.command("dial")(calls.dial)
app.command("usage")(credits.usage)
app.add_typer(calls.app, name="calls")
app.add_typer(callbacks.app, name="callbacks")
app.add_typer(numbers.app, name="numbers")
app.add_typer(agents.app, name="agents")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(trunks.app, name="trunks")
app.add_typer(phones.app, name="phones")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(keys.app, name="keys")
app.add_typer(organizations.app, name="organizations")
app.add_typer(credits.app, name="credits")
app.add_typer(dialplan.app, name="dialplan")


@app.command("demo")
def _demo() -> None:
    """Start the service on free ports and place one real call to its front desk."""
    from telephony.cli import demo

    raise typer.Exit(demo.run())


def main() -> None:
    """Run the command; what goes wrong is one line, and 1."""
    try:
        app()
    except TelephonyError as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)
