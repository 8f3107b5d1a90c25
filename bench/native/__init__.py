"""What of the benchmarks is C: compiled here, when it is first needed, into ``build/bench``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "bench"
FLAGS = ("-O2", "-Wall", "-Wextra")


def compiled(name: str, *, library: bool = False) -> Path:
    """The program or library made of ``name``.c, compiled again if the source is newer.

    Raises:
        SystemExit: there is no C compiler, or it refuses.
    """
    source = HERE / f"{name}.c"
    made = BUILD / (f"{name}.so" if library else name)
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return made
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("the benchmarks need a C compiler (Debian: gcc and libc6-dev)")
    BUILD.mkdir(parents=True, exist_ok=True)
    kind = ("-shared", "-fPIC") if library else ()
    subprocess.run([compiler, *FLAGS, *kind, "-o", made, source], check=True)
    return made
