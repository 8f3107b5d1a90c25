"""``telephony serve``: the service, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from telephony.cli.show import Json, print_json, table
from telephony.settings import PREFIX, load


def serve(
    print_settings: Annotated[
        bool, typer.Option("--print-settings", help="Show every setting with its source, and stop.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the service with the settings of the environment and telephony.toml."""
    loaded = load()
    if print_settings:
        rows = [
            {"setting": PREFIX + name.upper(), "value": value, "source": source}
            for name, value, source in loaded.lines()
        ]
        print_json(rows) if json else table(rows, ["setting", "value", "source"])
        return
    # Only now, since it takes most of a second: the other commands do without.
    import uvloop

    from telephony.app import run

    uvloop.run(run(loaded.settings))
