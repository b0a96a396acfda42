"""`signoff webhooks watch`, as a person meets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from blocks.webhooks import WebhookEndpoint
from deployments import mail_watch
from deployments.receiver import endpoints
from sandbox.client import Sandbox
from tests.deployments.machinery import Finished
from tests.deployments.receiving import endpoint

Signoff = Callable[..., Finished]
TOPIC = "projects/p/topics/t"

pytestmark = pytest.mark.usefixtures("ledger", "accounts")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, WebhookEndpoint]:
    """The endpoints that are saved."""
    found: dict[str, WebhookEndpoint] = {}
    monkeypatch.setattr(mail_watch, "saved", lambda: (found, []))
    return found


def test_it_is_started_renewed_and_stopped(in_process: Signoff, there: dict[str, WebhookEndpoint]) -> None:
    out = in_process("webhooks", "watch", "--topic", TOPIC).out
    assert f"Google tells {TOPIC} of changes in gmail/inbox, until " in out
    hint = "No endpoint takes what is pushed from there yet: signoff connect webhook-endpoint/gmail"
    assert hint in " ".join(out.split())
    there["mail"] = endpoint("gmail", service_account="a@b.example")
    assert "No endpoint" not in in_process("webhooks", "watch").out
    again = in_process("webhooks", "watch", "gmail/inbox", "--json").json
    assert (again["topic"], again["failure"]) == (TOPIC, "")
    assert in_process("webhooks", "watch", "--stop").out == "Google tells us of gmail/inbox no more.\n"
    assert in_process("webhooks", "watch", "--stop", "--json").json["stopped"] is False


@pytest.mark.usefixtures("there")
def test_what_cannot_be_is_refused_with_the_way_out(in_process: Signoff, sandbox: Sandbox) -> None:
    def refused(*arguments: str) -> str:
        return " ".join(in_process("webhooks", "watch", *arguments).refused().split())

    assert "gmail/inbox is not watched yet: say --topic projects/PROJECT/topics/TOPIC" in refused()
    assert "t is no topic in full" in refused("--topic", "t")
    assert "hubspot/crm is no mailbox of ours" in refused("hubspot/crm")
    assert "signoff connect gmail/nobody" in refused("gmail/nobody", "--topic", TOPIC)
    sandbox.fault("topic_forbidden", times=None)
    message = refused("--topic", TOPIC)
    assert "User not authorized to perform this action" in message
    assert "must have the role Pub/Sub Publisher on it" in message


def test_a_server_that_does_not_know_the_type_has_no_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "SLUG", "a-type-that-nobody-has-registered")
    assert endpoints.saved() == ({}, [])
