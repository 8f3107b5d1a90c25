"""The process that reads one document: ``python -m telephony.knowledge.worker FORM FILE``.

Pieces go to stdout, a JSON array of heading and text a line; then ``{"done": count}`` or
``{"error": why}``. Before it opens the file it takes away its own memory, time and files: what
a file can do to its reader is end it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from telephony.accounts.knowledge import Form
from telephony.knowledge.cut import cut
from telephony.knowledge.extract import Unreadable, blocks

MAX_MEMORY = 768 * 1024 * 1024
MAX_CPU = 30
MAX_TEXT = 2_000_000
"""Characters: a thousand pages. More is a mistake, and no agent's knowledge."""


def limit() -> None:
    """Little memory, half a minute of computing, nothing written, the lowest turn."""
    os.nice(10)
    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_CPU),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def read(form: Form, path: Path) -> None:
    """Every piece, and the last word."""
    count = length = 0
    try:
        for chunk in cut(blocks(form, path)):
            count += 1
            length += len(chunk.text)
            if length > MAX_TEXT:
                raise Unreadable(f"there are more than {MAX_TEXT} characters of text in it")
            _say([chunk.heading, chunk.text])
    except Unreadable as error:
        _say({"error": str(error)})
    except (MemoryError, RecursionError):
        _say({"error": "reading it takes more memory than a document may"})
    else:
        _say({"done": count} if count else {"error": "there is no text in it"})


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def main() -> None:
    limit()
    read(Form(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
