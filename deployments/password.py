"""The password of the Prefect server, where others than this machine's user can reach it."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path

AUTH = "PREFECT_SERVER_API_AUTH_STRING"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def password(home: Path) -> str:
    """The password (`signoff:...`): the environment's, or one that was made up once and is kept in `home`.

    Prefect's UI asks for it, and its clients send it, as the user and password of HTTP's basic authentication.
    """
    if given := os.environ.get(AUTH):
        return given
    kept = file(home)
    if not kept.exists() or not kept.read_text().strip():  # a full disk can leave an empty file
        write_private(kept, f"signoff:{secrets.token_urlsafe(24)}\n")
    return kept.read_text().strip()


def file(home: Path) -> Path:
    """Where the password is kept."""
    return home / "password"


def make_private(folder: Path) -> None:
    """A folder that only its owner can look into: it holds other people's e-mails, and keys."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whatever was there before."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
