"""Gmail push is started, renewed every day, and told of when that fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from blocks.connections import MissingCredential
from blocks.ledger import Alert, Ledger, utcnow
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from tasks import health, mail_watch
from tasks.health_finding import Look

DAY = timedelta(days=1)
TOPIC = "projects/dockwell/topics/gmail"


@pytest.fixture(autouse=True)
def _accounts(accounts: Callable[[], None]) -> None:
    """The company's mailbox."""


def asked(sandbox: Sandbox, what: str = "watch") -> int:
    """How often Google was asked."""
    return sum(call["path"].endswith(f"/users/me/{what}") for call in sandbox.requests())


def found(ledger: Ledger, *still_open: str, days: float = 0) -> dict[str, str]:
    """What the health check's look finds, some days from now, while these alerts are open."""
    known = {key: Alert(key=key, message="") for key in still_open}
    look = Look(ledger, (), utcnow() + days * DAY, known)
    return {finding.key: finding.message for finding in health.CHECKS["push"](look)}


def test_it_is_kept_until_when_google_tells(ledger: Ledger) -> None:
    watch = mail_watch.start(ledger, "gmail/inbox", TOPIC)
    assert mail_watch.watched(ledger) == [watch]
    assert (watch.credential, watch.topic, watch.failure) == ("gmail/inbox", TOPIC, "")
    assert 6.99 * DAY < watch.until - utcnow() <= 7 * DAY
    with pytest.raises(MissingCredential, match="signoff connect gmail/nobody"):
        mail_watch.start(ledger, "gmail/nobody", TOPIC)


def test_it_is_renewed_once_a_day_and_nothing_is_asked_where_nothing_is_watched(
    ledger: Ledger, sandbox: Sandbox
) -> None:
    assert mail_watch.renew(ledger) == []
    mail_watch.start(ledger, "gmail/inbox", TOPIC)
    now = utcnow()
    assert mail_watch.renew(ledger, now + 0.9 * DAY) == []
    assert asked(sandbox) == 1
    (renewed,) = mail_watch.renew(ledger, now + 1.1 * DAY)
    assert (asked(sandbox), renewed.renewed_at, renewed.failure) == (2, now + 1.1 * DAY, "")
    assert mail_watch.watched(ledger) == [renewed]
    assert mail_watch.renew(ledger, now + 1.2 * DAY) == []
    assert found(ledger, days=1.2) == {}


def test_what_cannot_be_renewed_is_told_of_and_tried_with_every_check(ledger: Ledger, sandbox: Sandbox) -> None:
    until = mail_watch.start(ledger, "gmail/inbox", TOPIC).until
    sandbox.fault("topic_forbidden", times=2)
    for hours in (25, 25.2):
        (failed,) = mail_watch.renew(ledger, utcnow() + hours * DAY / 24)
    assert (failed.until, asked(sandbox)) == (until, 3)
    said = found(ledger)["push:gmail/inbox"]
    for part in (
        "User not authorized to perform this action",
        f"Google stops on {until:%d %b %H:%M} UTC; the inbox is polled all the same",
        "must have the role Pub/Sub Publisher on it. Then: signoff webhooks watch gmail/inbox",
    ):
        assert part in said
    assert "Google has stopped on" in found(ledger, days=8)["push:gmail/inbox"]
    assert found(ledger, "accounts:gmail/inbox") == found(ledger, "circuit:gmail") == {}, "that is told already"
    (renewed,) = mail_watch.renew(ledger, utcnow() + 25.4 * DAY / 24)
    assert renewed.failure == ""
    assert found(ledger) == {}


def test_a_mailbox_that_is_connected_no_more_is_told_of(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(credential: str) -> None:
        raise MissingCredential(f"no credential {credential}")

    mail_watch.start(ledger, "gmail/inbox", TOPIC)
    monkeypatch.setattr("tasks.mail_watch.connections.load", gone)
    mail_watch.renew(ledger, utcnow() + 2 * DAY)
    assert "no credential gmail/inbox" in found(ledger)["push:gmail/inbox"]


def test_it_is_moved_to_another_topic_and_stopped(ledger: Ledger, sandbox: Sandbox) -> None:
    mail_watch.start(ledger, "gmail/inbox", TOPIC)
    mail_watch.start(ledger, "gmail/inbox", f"{TOPIC}-2")
    assert [each.topic for each in mail_watch.watched(ledger)] == [f"{TOPIC}-2"]
    assert mail_watch.stop(ledger, "gmail/inbox")
    assert not mail_watch.stop(ledger, "gmail/inbox")
    assert mail_watch.watched(ledger) == []
    assert asked(sandbox, "stop") == 3


def test_where_google_refuses_nothing_is_kept(ledger: Ledger, sandbox: Sandbox) -> None:
    sandbox.fault("topic_forbidden")
    with pytest.raises(VendorError, match="User not authorized"):
        mail_watch.start(ledger, "gmail/inbox", TOPIC)
    assert mail_watch.watched(ledger) == []
