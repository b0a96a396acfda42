"""A browser that consents on the sandbox's page, as a script: `python tests/consenting.py ADDRESS` follows it home."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from html import unescape

import httpx


def consent_to(
    address: str,
    *,
    decision: str = "allow",
    account: str | None = None,
    scopes: Sequence[str] | None = None,
    days: str = "",
) -> str:
    """Decide on the page, and return where the browser is sent. By default all that is asked is allowed."""
    page = httpx.get(address).raise_for_status().text
    chosen = re.search(r'name="account" value="([^"]+)"\s+checked', page)
    assert chosen
    offered = [unescape(scope) for scope in re.findall(r'name="scope" value="([^"]+)"', page)]
    form = {
        "decision": decision,
        "account": account or unescape(chosen[1]),
        "scope": offered if scopes is None else list(scopes),
        "days": days,
    }
    reply = httpx.post(address, data=form)
    assert reply.status_code == 302, reply.text
    return str(reply.headers["location"])


if __name__ == "__main__":
    httpx.get(consent_to(sys.argv[1]))
