"""The process, the admin API, the page and the seed."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import credentials
from sandbox.client import Sandbox, SandboxError, running, wait_for
from sandbox.server import create_app
from sandbox.world import World

HUBSPOT = {"Authorization": f"Bearer {credentials.HUBSPOT_TOKEN}"}
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class TinyCompany:
    """A company with one conversation and one customer."""

    name: str = "Tiny & Co"
    domain: str = "tiny.example"
    mailbox: str = "desk@tiny.example"
    emails: tuple[bytes, ...] = (
        b"From: ann@acme.example\nTo: desk@tiny.example\nSubject: Re: Offer\nDate: Tue, 03 Nov 2026 09:00:00 +0000\n"
        b"Message-ID: <2@acme.example>\nIn-Reply-To: <1@tiny.example>\n\nYes please",
    )
    sent: tuple[bytes, ...] = (
        b"From: desk@tiny.example\nTo: ann@acme.example\nSubject: Offer\nDate: Mon, 02 Nov 2026 09:00:00 +0000\n"
        b"Message-ID: <1@tiny.example>\n\nShall we?",
    )
    slack_channels: tuple[str, ...] = ("desk",)
    notion: tuple[dict[str, Any], ...] = ({"name": "Minutes", "properties": {"Name": "title"}},)
    stripe: tuple[dict[str, Any], ...] = (
        {"id": "cus_ann", "email": "ann@acme.example", "name": "Acme", "days_ago": 9,
         "invoices": [{"days_ago": 8, "lines": [{"description": "Desk", "amount": 500}], "paid_days_ago": 1}]},
    )  # fmt: skip
    drive: tuple[dict[str, Any], ...] = (
        {"id": "1how", "name": "How to", "mime_type": "application/vnd.google-apps.folder", "parent": "root",
         "content": b"", "days_ago": 3, "limited": False, "readers": ["anyone"]},
        {"id": "1pay", "name": "Pay", "mime_type": "text/plain", "parent": "1how",
         "content": b"Pay us.", "days_ago": 2, "limited": False, "readers": []},
    )  # fmt: skip
    hubspot: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {
            "contacts": [
                {
                    "id": "500",
                    "properties": {"email": "Ann@Acme.example", "shoe_size": 41, "createdate": "2026-01-02T03:04:05Z"},
                    "associations": [{"to_type": "companies", "to_id": "600"}],
                }
            ],
            "companies": [{"id": "600", "properties": {"name": "Acme"}}],
            "owners": [{"id": "9", "properties": {"email": "sam@tiny.example", "firstName": "Sam"}}],
        }
    )


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the sandbox as a person would."""
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_starts_says_where_and_ends_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    process = start("--port", "0", "--ready-file", str(ready), "--empty")
    url = wait_for(process, ready, tmp_path / "log")
    assert json.loads(ready.read_text()) == {"url": url, "pid": process.pid}
    with httpx.Client(trust_env=False) as idle:
        assert idle.get(url).status_code == 200
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, f"{url}\n", "")


def test_ends_even_while_a_caller_hangs() -> None:
    with ThreadPoolExecutor() as pool, running(empty=True) as sandbox:
        sandbox.fault("hang", "slack", seconds=600)
        pool.submit(httpx.get, sandbox.at("slack") + "/api/auth.test", timeout=30)
        while not sandbox.requests():
            time.sleep(0.01)
        before = time.monotonic()
    assert time.monotonic() - before < 10


def test_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        process = start("--port", str(port), "--empty")
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (1, "")
        assert err.startswith(f"Port {port} on 127.0.0.1 is in use.")
        with pytest.raises(SandboxError, match=str(port)), running(empty=True, port=port):
            pass


def test_listens_on_loopback_only(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_an_idle_connection_costs_no_delay(sandbox: Sandbox) -> None:
    with httpx.Client(base_url=sandbox.at("hubspot"), headers=HUBSPOT, trust_env=False) as client:
        client.get("/crm/v3/owners")
        fastest = min(client.get("/crm/v3/owners").elapsed.total_seconds() for _ in range(20))
    # The fastest of many: a busy machine slows some of them down, the kernel's delay would every one.
    assert fastest < 0.04, "replies wait for the client's delayed acknowledgement"


def test_seed_fills_every_vendor() -> None:
    world = World(TinyCompany())
    newest, oldest = world.mail.newest_first()
    assert (newest.labels, oldest.labels) == (["INBOX", "UNREAD"], ["SENT"])
    assert newest.thread_id == oldest.thread_id
    ann = world.crm.find("contacts", "ann@acme.example", "email")
    assert ann is not None
    assert (ann.value("shoe_size"), ann.value("createdate")) == ("41", "2026-01-02T03:04:05Z")
    assert [other.id for other, _ in world.crm.linked(ann, "companies")] == ["600"]
    assert world.crm.add("contacts", {}).id == "601"
    assert [owner["email"] for owner in world.crm.owners] == ["sam@tiny.example"]
    assert [channel.name for channel in world.slack.channels] == ["desk"]
    pay = world.drive.items["1pay"]
    assert (pay.name, pay.data, [folder.name for folder in world.drive.above(pay)]) == (
        "Pay",
        b"Pay us.",
        ["How to", "My Drive"],
    )
    assert {grant.type for grant, _ in world.drive.permissions(pay)} == {"user", "anyone"}
    world.mail.deliver(b"Subject: x\n\n")
    world.reset()
    assert len(world.mail.mails) == 2


def test_the_whole_company_loads() -> None:
    company = pytest.importorskip("sandbox.company").load()
    world = World(company)
    assert len(world.mail.mails) == len(company.emails) + len(company.sent)
    rows = sum(len(rows) for kind, rows in company.hubspot.items() if kind != "owners")
    assert len(world.crm.things) == rows


def test_app_works_without_a_socket() -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(TinyCompany()))
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            return await client.get("/hubspot/crm/v3/objects/contacts/500", headers=HUBSPOT)

    assert asyncio.run(ask()).json()["properties"]["email"] == "ann@acme.example"


def test_page_shows_everything_and_runs_nothing(sandbox: Sandbox) -> None:
    evil = "<script>alert(1)</script>"
    sandbox.write(sender=f'"{evil}" <e@evil.example>', subject=evil, body=evil)
    headers = HUBSPOT | {"Content-Type": "application/json"}
    note = {"properties": {"hs_timestamp": "2026-11-23T10:00:00Z", "hs_note_body": f"Met {evil} them"}}
    contact = {"properties": {"email": "a@b.example", "firstname": evil, "city": "<img src=x onerror=alert(1)>"}}
    for kind, body in (("notes", note), ("contacts", contact)):
        httpx.post(f"{sandbox.at('hubspot')}/crm/v3/objects/{kind}", json=body, headers=headers).raise_for_status()
    slack = {"Authorization": f"Bearer {credentials.SLACK_BOT_TOKEN}"}
    post = {"channel": "general", "text": evil}
    httpx.post(sandbox.at("slack") + "/api/chat.postMessage", json=post, headers=slack).raise_for_status()
    reply = httpx.get(sandbox.url)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in reply.text
    assert "<img" not in reply.text
    assert reply.text.count("&lt;script&gt;") >= 4
    assert "http://" not in reply.text
    assert "https://" not in reply.text


def test_record_of_calls(sandbox: Sandbox) -> None:
    httpx.get(sandbox.at("hubspot") + "/crm/v3/owners", params={"limit": "1"}, headers=HUBSPOT)
    httpx.get(sandbox.at("slack") + "/api/auth.test")
    (call,) = sandbox.requests("hubspot")
    assert (call["method"], call["path"], call["query"], call["status"]) == ("GET", "/crm/v3/owners", "limit=1", 200)
    assert call["ms"] >= 0
    assert len(sandbox.requests()) == 2


def test_state_counts(sandbox: Sandbox) -> None:
    sandbox.write(subject="One")
    counts = sandbox.state()["counts"]
    assert (counts["inbox"], counts["sent"], counts["messages"], counts["contacts"]) == (1, 0, 1, 0)
    assert [mail.subject for mail in sandbox.inbox()] == ["One"]


def test_many_callers_at_once(sandbox: Sandbox) -> None:
    def create(number: int) -> int:
        body = {"properties": {"email": f"same{number % 5}@acme.example"}}
        with httpx.Client(trust_env=False, headers=HUBSPOT) as client:
            return client.post(sandbox.at("hubspot") + "/crm/v3/objects/contacts", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(create, range(40)))
    assert statuses == [201] * 5 + [409] * 35
    assert len(sandbox.records("contacts")) == 5
