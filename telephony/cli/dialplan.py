"""``telephony dialplan check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from telephony.cli.show import Json, print_json
from telephony.ivr.check import report

app = typer.Typer(help="Dialplans, as files.", no_args_is_help=True)


@app.callback()
def dialplan() -> None:
    """Dialplans, as files."""


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of *.yaml.")],
    json: Json = False,
) -> None:
    """Name file, line and key path of everything wrong; exit 1 if anything is."""
    faults: list[str] = []
    for path in files:
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            faults += _faults(file)
    if json:
        print_json({"faults": faults})
    else:
        print("".join(f"{fault}\n" for fault in faults), end="")
    if faults:
        raise typer.Exit(1)


def _faults(file: Path) -> list[str]:
    try:
        return report(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        return [f"{file}: cannot be read: {error.strerror}"]
    except UnicodeDecodeError as error:
        return [f"{file}: is not UTF-8 (byte {error.start})"]
