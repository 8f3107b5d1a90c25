"""A PostgreSQL server of one's own: a fresh cluster in a folder, on a loopback port, for tests.

It loses everything when the machine stops, on purpose: nothing waits for a disk.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

USER = "telephony"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "timezone": "Pacific/Auckland",
}
"""A zone far from UTC: whoever forgets a time's zone is found out."""
_EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
END $$;
"""


class Cluster:
    """``start`` first, ``stop`` last; ``fresh`` makes an empty database and says its URL,
    ``emptied`` the same one each time, with the tables that its first user made and no rows.

    The server will not run as root: then it runs as ``postgres``, whom Debian's package makes.

    Raises:
        RuntimeError: PostgreSQL is not installed, or does not start, and what it says.
    """

    def __init__(self) -> None:
        self._tools = _tools()
        self._folder = Path(tempfile.mkdtemp(prefix="telephony-postgres-"))
        self._port = _free_port()
        self._count = 0
        self._common: str | None = None

    def start(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.resume()

    def resume(self) -> None:
        """Start the server over the data that is there."""
        data = str(self._folder / "data")
        settings = [f"-c {name}='{value}'" for name, value in OPTIONS.items()]
        log = str(self._folder / "log")
        options = " ".join([f"-p {self._port}", *settings])
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._count += 1
        name = f"t{self._count}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"

    def emptied(self) -> str:
        """As ``fresh``, in a tenth of the time; for one user after another."""
        if self._common is None:
            self._common = self.fresh()
        else:
            self._run("psql", self._common, "-q", "-v", "ON_ERROR_STOP=1", "-c", _EMPTY)
        return self._common

    def halt(self) -> None:
        """The server goes away, its data stays."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def stop(self) -> None:
        """End the server and forget everything. Idempotent."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.halt()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, tool: str, *arguments: str) -> None:
        command = [str(self._tools / tool), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # Files, not pipes: the server that pg_ctl starts would keep a pipe open for ever.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                timeout=60,
                check=False,
            )
            if done.returncode:
                said.seek(0)
                words = said.read().decode(errors="replace").strip()
                raise RuntimeError(f"{tool} failed: {words[-1000:]}")


def _tools() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise RuntimeError("PostgreSQL is not installed (Debian's package: postgresql)")
    return versions[-1].parent


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
