"""`signoff webhooks watch`: Google tells us of changes in an inbox, instead of being asked every five minutes."""

from __future__ import annotations

import re
from dataclasses import asdict

from blocks.connections import MissingCredential
from blocks.ledger import Ledger
from blocks.vendor import VendorError
from blocks.webhooks import SLUG
from deployments import views
from deployments.errors import CommandError
from deployments.receiver.endpoints import saved
from tasks import mail_watch
from tasks.mail_watch import Watch

TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+")
"""As Cloud Pub/Sub names them in full."""

REFUSED = (400, 403, 404)
"""How Google refuses a topic."""


def watch(credential: str, *, topic: str | None, stop: bool, as_json: bool) -> int:
    """Start, renew or stop the watch of one mailbox."""
    if not re.fullmatch(r"gmail/[^/\s]+", credential):
        raise CommandError(f"{credential} is no mailbox of ours: say its block, such as gmail/inbox")
    if topic is not None and not TOPIC.fullmatch(topic):
        raise CommandError(f"{topic} is no topic in full: projects/PROJECT/topics/TOPIC")
    ledger = Ledger.open()
    try:
        if stop:
            return _stop(ledger, credential, as_json=as_json)
        found = mail_watch.start(ledger, credential, topic or _topic_of(ledger, credential))
    except MissingCredential as error:
        raise CommandError(str(error)) from None
    except VendorError as error:
        refused = f". {mail_watch.WAY_OUT}" if error.status in REFUSED and not stop else ""
        raise CommandError(f"{error}{refused}") from None
    _tell(found, as_json=as_json)
    return 0


def _topic_of(ledger: Ledger, credential: str) -> str:
    if found := mail_watch.watch_of(ledger, credential):
        return found.topic
    raise CommandError(f"{credential} is not watched yet: say --topic projects/PROJECT/topics/TOPIC")


def _stop(ledger: Ledger, credential: str, *, as_json: bool) -> int:
    was = mail_watch.stop(ledger, credential)
    if as_json:
        views.as_json({"credential": credential, "stopped": was})
    else:
        known = "" if was else " We knew of no watch; it was told so all the same."
        views.console.print(f"Google tells us of {credential} no more.{known}", markup=False)
    return 0


def _tell(found: Watch, *, as_json: bool) -> None:
    if as_json:
        views.as_json(asdict(found))
        return
    views.console.print(
        f"Google tells {found.topic} of changes in {found.credential}, until {found.until:%d %b %Y %H:%M} UTC. "
        "The health check renews it every day, and opens an alert if it cannot.",
        markup=False,
        soft_wrap=True,
    )
    if not any(endpoint.scheme == "gmail" for endpoint in saved()[0].values()):
        said = f"No endpoint takes what is pushed from there yet: signoff connect {SLUG}/gmail"
        views.console.print(said, markup=False, style="yellow")
