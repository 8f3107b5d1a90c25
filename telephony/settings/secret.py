"""What a node makes for itself once and keeps: its secret key and its name."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from telephony.base.errors import ConfigError


def ensure_secret(data_dir: Path) -> str:
    """SECRET_KEY of a node that was given none: made once in ``<data>/secret.key``, mode 0600.

    Raises:
        ConfigError: it cannot be read or written, or is not what was written.
    """
    path = data_dir / "secret.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path, secrets.token_urlsafe(32))
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"secret_key: {path} cannot be used: {error}", field="secret_key"
        ) from None
    if len(secret) < 16:
        raise ConfigError(
            f"secret_key: {path} is damaged; restore it (keys and passwords hang on it)",
            field="secret_key",
        )
    return secret


def ensure_node(data_dir: Path) -> str:
    """NODE of a node that was given none: made once in ``<data>/node``.

    Raises:
        ConfigError: it cannot be read or written, or is not what was written.
    """
    path = data_dir / "node"
    try:
        if not path.exists():
            _make(path, f"node_{secrets.token_hex(8)}")
        node = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"node: {path} cannot be used: {error}", field="node") from None
    if not re.fullmatch(r"node_[0-9a-f]{16}", node):
        raise ConfigError(f"node: {path} is damaged; delete it", field="node")
    return node


def _make(path: Path, text: str) -> None:
    # Written whole under another name first: whoever sees the file sees all of it, and of two
    # processes that start at once one link wins.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
