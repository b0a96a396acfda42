"""The receiver's answers: in which order a request is judged, what is stored before them, what strangers cost."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import APIRouter
from starlette.testclient import TestClient

from blocks.ledger import Ledger, WebhookEvent
from blocks.vendor import VendorError
from blocks.webhooks import WebhookEndpoint
from deployments.receiver import postbox
from deployments.receiver.app import create_app
from deployments.receiver.endpoints import Endpoints
from deployments.receiver.limits import Limits, Rate, Suspects, Turns
from tests.deployments.machinery import eventually
from tests.deployments.receiving import EACH, ENDPOINTS, SECRET, Sent, mixed, overdue, served, signed

STRANGER = "203.0.113.9"
Make = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def _no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are another module's matter: here no Prefect server is asked."""
    monkeypatch.setattr("deployments.receiver.app.Dispatcher.watch", lambda *_: None)


@pytest.fixture
def make(ledger: Ledger) -> Iterator[Make]:
    """Makes clients of applications with these settings, each in the middle of its life."""
    opened: list[TestClient] = []

    def client(load: Any = lambda: (ENDPOINTS, []), address: str = STRANGER, **settings: Any) -> TestClient:
        endpoints = Endpoints(load)
        app = create_app(ledger, endpoints, triggers=EACH, **settings)
        made = TestClient(app, client=(address, 4711), raise_server_exceptions=True)
        opened.append(made)
        made.__enter__()
        eventually("the endpoints were asked for", lambda: endpoints.known or load is not None, 10, 0.005)
        return made

    yield client
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def client(make: Make) -> TestClient:
    """A client of the application as it is by default."""
    made = make()
    eventually("it knows its endpoints", lambda: made.post("/hooks/nobody").status_code == 404, 10, 0.005)
    return made


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def events(ledger: Ledger) -> list[WebhookEvent]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(WebhookEvent).order_by(WebhookEvent.id)))


def answer(reply: Any) -> tuple[int, Any]:
    return reply.status_code, reply.json()


class TestWhatIsTaken:
    @pytest.mark.both_databases
    def test_is_stored_before_it_is_answered_and_once(self, client: TestClient, ledger: Ledger) -> None:
        for _ in range(2):
            assert answer(overdue("evt_1", note="J\u00f8rgen \ud83d\ude00 \u0000").to(client)) == (200, {"events": 1})
        (event,) = events(ledger)
        assert (event.source, event.external_id, event.kind) == ("stripe", "evt_1", "invoice.overdue")
        assert (event.state, event.attempts, event.handled_at) == ("stored", 0, None)
        assert event.payload is not None
        assert event.payload["note"].startswith("Jørgen 😀")

    @pytest.mark.both_databases
    def test_what_no_database_likes_is_stored_or_refused_and_harms_nobody_else(
        self, client: TestClient, ledger: Ledger
    ) -> None:
        hard = signed(
            "stripe", b'{"id":"evt_hard","type":"t","x":"\\ud800 \\u0000","y":123456789012345678901234567890}'
        )
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda sent: sent.to(client).status_code, [hard, *map(mixed, range(30))]))
        assert replies == [200] * 31
        assert len(events(ledger)) == 31

    def test_each_of_hubspots_is_an_event_of_its_own(self, client: TestClient, ledger: Ledger) -> None:
        batch = [{"eventId": n, "subscriptionType": "deal.creation", "objectId": n} for n in range(100)]
        assert answer(signed("hubspot", batch).to(client)) == (200, {"events": 100})
        again = [event | {"attemptNumber": 1} for event in batch] + [batch[0] | {"objectId": "new"}]
        assert answer(signed("hubspot", again).to(client)) == (200, {"events": 101})
        assert len(events(ledger)) == 101

    def test_an_odd_one_of_hubspots_is_left_out_and_told_without_what_it_says(
        self, client: TestClient, ledger: Ledger, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = [{"eventId": n, "subscriptionType": "deal.creation", "objectId": n} for n in range(5)]
        odd = {"subscriptionType": "deal.größe", "objectId": "our-merger"}
        assert answer(signed("hubspot", [*batch, odd]).to(client)) == (200, {"events": 5})
        assert len(events(ledger)) == 5
        assert "hubspot: 1 of its events are left out, for they are none: subscriptionType is no name" in caplog.text
        assert "our-merger" not in caplog.text
        assert "größe" not in caplog.text

    def test_slacks_token_is_not_kept(self, client: TestClient, ledger: Ledger) -> None:
        said = {"token": "secret", "type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}
        assert signed("slack", said).to(client).status_code == 200
        (event,) = events(ledger)
        assert event.payload == {key: value for key, value in said.items() if key != "token"}

    def test_the_same_event_twice_in_one_request_is_stored_once(self, client: TestClient, ledger: Ledger) -> None:
        assert answer(signed("hubspot", [{"subscriptionType": "deal.creation"}] * 2).to(client)) == (200, {"events": 2})
        assert len(events(ledger)) == 1

    def test_what_nobody_is_interested_in_waits_for_nothing(self, client: TestClient, ledger: Ledger) -> None:
        assert signed("stripe", {"id": "evt_1", "type": "customer.created"}).to(client).status_code == 200
        (event,) = events(ledger)
        assert (event.state, event.reason) == ("ignored", postbox.NOBODY)
        assert event.handled_at is not None

    def test_two_vendors_may_have_the_same_id(self, client: TestClient, ledger: Ledger) -> None:
        overdue("same").to(client)
        signed("web-form", {"id": "same", "kind": "asked"}).to(client)
        assert {event.source for event in events(ledger)} == {"stripe", "web-form"}

    def test_slack_is_answered_its_challenge_and_nothing_is_stored(self, client: TestClient, ledger: Ledger) -> None:
        asked = signed("slack", {"type": "url_verification", "challenge": "c0ffee"})
        assert answer(asked.to(client)) == (200, {"challenge": "c0ffee"})
        assert events(ledger) == []

    def test_an_unsigned_challenge_is_refused(self, client: TestClient) -> None:
        reply = client.post("/hooks/slack", json={"type": "url_verification", "challenge": "c0ffee"})
        assert reply.status_code == 401


class TestInteractions:
    PRESSED = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    FORM = "application/x-www-form-urlencoded"

    def press(self, **headers: str) -> Sent:
        """Somebody presses a button."""
        return signed("slack", self.PRESSED, headers={"content-type": self.FORM} | headers)

    def test_what_is_pressed_counts_at_one_endpoint_and_another_apps_secret_approves_nothing(self, make: Make) -> None:
        seen: list[dict[str, Any]] = []
        client = make(lambda: (ENDPOINTS | {"community": ENDPOINTS["slack"]}, []), on_interaction=seen.append)
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        pressed = self.press()
        elsewhere = client.post("/hooks/community", content=pressed.body, headers=pressed.headers)
        assert (elsewhere.status_code, seen) == (404, [])
        assert "/hooks/slack" in elsewhere.text
        assert pressed.to(client).status_code == 200
        assert seen == [{"type": "block_actions"}]

    def test_what_is_pressed_is_handed_over_and_its_answer_is_slacks(self, make: Make, ledger: Ledger) -> None:
        seen: list[dict[str, Any]] = []
        says: list[dict[str, Any] | None] = [None, {"text": "done"}]

        def take(payload: dict[str, Any]) -> dict[str, Any] | None:
            seen.append(payload)
            return says.pop(0)

        client = make(on_interaction=take)
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        assert [answer(self.press().to(client)) for _ in range(2)] == [(200, {}), (200, {"text": "done"})]
        assert seen == [{"type": "block_actions"}] * 2
        assert events(ledger) == []

    def test_what_is_not_signed_now_is_handed_to_nobody(self, make: Make) -> None:
        seen: list[Any] = []
        client = make(on_interaction=seen.append)
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        minutes = [datetime.now(UTC) + timedelta(minutes=m) for m in (-6, 6)]
        for at in minutes:
            sent = signed("slack", self.PRESSED, at, {"content-type": self.FORM})
            assert sent.to(client).status_code == 401
        assert self.press(**{"X-Slack-Signature": "v0=" + "0" * 64}).to(client).status_code == 401
        assert seen == []

    def test_where_nobody_takes_them_slack_is_told(self, client: TestClient) -> None:
        assert self.press().to(client).status_code == 404


class TestTheOrder:
    def test_size_comes_before_everything(self, client: TestClient) -> None:
        large = b"x" * (1024 * 1024 + 1)
        for path in ("/hooks/stripe", "/hooks/nobody"):
            reply = client.post(path, content=large)
            assert answer(reply) == (413, {"error": "more than 1,048,576 bytes"})
        assert overdue("evt_1", filling="x" * 1_000_000).to(client).status_code == 200

    @pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999999999", "²"])
    def test_a_length_that_is_none_is_refused(self, client: TestClient, length: str) -> None:
        headers: Any = {b"content-length": length.encode("latin-1")}
        assert client.post("/hooks/stripe", content=b"", headers=headers).status_code == 413

    def test_unknown_and_not_configured_are_told_the_same(self, client: TestClient) -> None:
        bodies = set()
        for name in ("gmail", "nobody", "a" * 300, "%2e%2e", "stripe%00"):
            reply = overdue("evt_1").to(client) if name == "stripe" else client.post(f"/hooks/{name}", content=b"{}")
            assert reply.status_code == 404
            bodies.add((reply.text, tuple(sorted(reply.headers.items()))))
        assert len(bodies) == 1

    def test_a_bad_signature_comes_before_a_bad_body_and_is_told_no_more(
        self, client: TestClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        missing = client.post("/hooks/stripe", content=b"not json")
        old = signed("stripe", b"not json", datetime.now(UTC) - timedelta(hours=1)).to(client)
        assert answer(missing) == answer(old) == (401, {"error": "the signature does not hold"})
        told = caplog.text
        assert "Stripe-Signature is missing" in told
        assert "3600 s ago" in told
        assert f"from {STRANGER}" in told
        assert SECRET not in told

    def test_a_token_that_cannot_be_read_is_a_bad_signature(self, make: Make) -> None:
        block = WebhookEndpoint(scheme="gmail", service_account="a@b.example", public_url="https://x.example/hooks/g")
        client = make(load=lambda: ({"gmail": block}, []), limits=Limits(failures=2))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        codes = []
        for levels in (6_000, 3_000, 3_000):
            head = base64.urlsafe_b64encode(b"[" * levels).decode().rstrip("=")
            headers = {"authorization": f"Bearer {head}.e30.AAAA"}
            codes.append(client.post("/hooks/gmail", headers=headers, content=b"{}").status_code)
        assert codes == [401, 401, 429]

    def test_what_is_signed_and_no_event_is_told_what_is_wrong(self, client: TestClient, ledger: Ledger) -> None:
        assert answer(signed("stripe", b"not json").to(client)) == (400, {"error": "the body is not JSON"})
        assert answer(signed("stripe", {"id": "e"}).to(client))[0] == 400
        deep = b'{"id":"e","type":"t","x":' + b'{"a":' * 900 + b"1" + b"}" * 901
        why = "the body is nested too deeply: more than 64 levels"
        assert answer(signed("stripe", deep).to(client)) == (400, {"error": why})
        assert events(ledger) == []

    def test_until_the_endpoints_are_known_vendors_are_asked_to_come_again(self, make: Make) -> None:
        def down() -> Any:
            raise httpx.ConnectError("no Prefect")

        client = make(load=down)
        reply = overdue("evt_1").to(client)
        assert answer(reply) == (503, {"error": "starting"})
        assert int(reply.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200

    def test_when_googles_keys_are_away_nobody_is_called_a_forger(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any, **__: Any) -> None:
            raise VendorError("google", "keys", "no reply", permanent=False)

        monkeypatch.setattr(WebhookEndpoint, "verify", away)
        reply = overdue("evt_1").to(client)
        assert reply.status_code == 503
        assert "retry-after" in reply.headers


class TestTheLedgerIsBusyOrFull:
    def test_a_locked_one_is_a_503_and_what_is_sent_again_is_stored_once(self, make: Make, ledger: Ledger) -> None:
        client = make(limits=Limits(store_seconds=0.2))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        with ledger.write() as session:  # somebody else writes, and takes a long time
            session.execute(sa.select(1))
            began = time.monotonic()
            reply = overdue("evt_1").to(client)
            assert time.monotonic() - began < 3
        assert answer(reply) == (503, {"error": "it could not be stored"})
        assert reply.headers["retry-after"] == "5"
        eventually("it is taken again", lambda: overdue("evt_1").to(client).status_code == 200, 20)
        assert [event.external_id for event in events(ledger)] == ["evt_1"]

    def test_a_full_disk_is_a_503_for_each_and_nothing_is_half_there(
        self, client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))

        def no_room(*_: Any) -> Any:
            raise full

        with monkeypatch.context() as patch:
            patch.setattr("deployments.receiver.postbox.insert", no_room)
            with ThreadPoolExecutor(4) as pool:
                replies = list(pool.map(lambda n: mixed(n).to(client).status_code, range(8)))
        assert replies == [503] * 8
        assert events(ledger) == []
        assert mixed(0).to(client).status_code == 200

    def test_one_that_the_database_does_not_take_is_no_obstacle_to_those_beside_it(
        self, client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real = postbox.store

        def picky(store: Ledger, rows: Any) -> None:
            time.sleep(0.05)  # so that several are in the box at once
            if any(row["external_id"] == "evt_3" for row in rows):
                raise sa.exc.DataError("INSERT secret words", {}, Exception("invalid"))
            real(store, rows)

        monkeypatch.setattr(postbox, "store", picky)
        with ThreadPoolExecutor(9) as pool:
            replies = list(pool.map(lambda n: overdue(f"evt_{n}").to(client).status_code, range(9)))
        assert replies == [503 if n == 3 else 200 for n in range(9)]
        assert len(events(ledger)) == 8
        assert "secret words" not in caplog.text

    def test_whatever_goes_wrong_the_vendors_keep_it_and_the_next_is_stored(
        self, client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: Any) -> None:
            raise MemoryError("somebody's words")

        with monkeypatch.context() as patch, ThreadPoolExecutor(4) as pool:
            patch.setattr(postbox, "store", broken)
            assert list(pool.map(lambda n: mixed(n).to(client).status_code, range(8))) == [503] * 8
        assert [mixed(n).to(client).status_code for n in range(3)] == [200] * 3
        assert client.get("/health").status_code == 200
        assert len(events(ledger)) == 3
        assert "somebody's words" not in caplog.text

    def test_health_says_so_when_nothing_is_stored_any_more(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise SystemError

        monkeypatch.setattr(postbox.Postbox, "_next", broken)
        overdue("evt_1").to(client)
        reply = client.get("/health")
        assert answer(reply) == (503, {"error": "nothing is stored any more: start it again"})

    def test_when_too_much_waits_no_more_is_taken_until_some_is_done(self, make: Make, ledger: Ledger) -> None:
        client = make(limits=Limits(backlog=3))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        assert [overdue(f"evt_{n}").to(client).status_code for n in range(3)] == [200] * 3
        reply = eventually("it is noticed", lambda: again_503(client), 10, 0.05)
        assert "retry-after" in reply.headers
        with ledger.write() as session:
            session.execute(sa.update(WebhookEvent).values(state="started"))
        eventually("it is taken again", lambda: overdue("evt_9").to(client).status_code == 200, 10, 0.05)


def again_503(client: TestClient) -> Any:
    reply = overdue("evt_0").to(client)
    return reply if reply.status_code == 503 else None


class TestStrangers:
    def test_bad_signatures_of_an_address_are_counted_and_then_they_are_refused_without_a_word(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = make(limits=Limits(failures=3, failure_seconds=60))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        codes = [client.post("/hooks/stripe", content=b"{}").status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        reply = client.post("/hooks/stripe", content=b"{}")
        assert (reply.status_code, int(reply.headers["retry-after"]) > 50) == (429, True)
        assert len([line for line in caplog.messages if "refused" in line]) == 3

    def test_no_number_of_bad_signatures_from_its_address_keeps_a_vendor_out(self, make: Make) -> None:
        client = make(address="172.17.0.1")  # a proxy's, which has everybody behind it
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        codes = [client.post("/hooks/hubspot", content=b"{}").status_code for _ in range(25)]
        assert codes == [401] * 20 + [429] * 5
        assert overdue("evt_1").to(client).status_code == 200
        assert mixed(1).to(client).status_code == 200

    def test_nor_do_those_that_somebody_sends_in_its_name(self, ledger: Ledger) -> None:
        theirs = {"x-forwarded-for": "198.51.100.7"}
        endpoints = Endpoints(lambda: (ENDPOINTS, []))
        limits = Limits(failures=2)
        with served(create_app(ledger, endpoints, limits=limits)) as url, httpx.Client() as client:
            eventually("up", lambda: endpoints.known, 10, 0.01)
            codes = [client.post(f"{url}/hooks/stripe", headers=theirs, content=b"{}").status_code for _ in range(3)]
            sent = overdue("evt_1")
            assert (codes, Sent("stripe", sent.body, sent.headers | theirs).to(client, url).status_code) == (
                [401, 401, 429],
                200,
            )

    def test_a_proxy_that_does_not_say_for_whom_does_not_have_the_vendors_shut_out(self, make: Make) -> None:
        client = make(address="127.0.0.1", limits=Limits(failures=2))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        assert {client.post("/hooks/stripe", content=b"{}").status_code for _ in range(5)} == {401}
        assert overdue("evt_1").to(client).status_code == 200

    def test_a_source_that_sends_too_much_is_slowed_down_and_another_is_not(self, make: Make) -> None:
        client = make(limits=Limits(per_second=0.001, burst=2))
        eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.005)
        for _ in range(10):  # a stranger's use up nothing
            client.post("/hooks/stripe", content=b"{}")
        replies = [overdue(f"evt_{n}").to(client) for n in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert int(replies[2].headers["retry-after"]) >= 1
        assert mixed(1).to(client).status_code == 200

    def test_more_at_once_than_it_takes_are_told_that_it_is_busy(self, ledger: Ledger) -> None:
        held, come = threading.Event(), threading.Semaphore(0)

        def hold(_payload: Any) -> None:
            come.release()
            held.wait(10)

        limits = Limits(at_once=2)
        app = create_app(ledger, Endpoints(lambda: (ENDPOINTS, [])), on_interaction=hold, limits=limits)
        with served(app) as url, httpx.Client(base_url=url) as client, ThreadPoolExecutor(2) as pool:
            eventually("up", lambda: client.post("/hooks/nobody").status_code == 404, 10, 0.01)
            sent = [pool.submit(TestInteractions().press().to, httpx.Client(base_url=url)) for _ in range(2)]
            for _ in sent:
                assert come.acquire(timeout=10)
            reply = client.get("/health")
            held.set()
            assert answer(reply) == (503, {"error": "busy"})
            assert reply.headers["retry-after"] == "1"
            assert [one.result().status_code for one in sent] == [200, 200]
            assert client.get("/health").status_code == 200

    def test_connections_that_say_nothing_more_take_no_place_from_those_that_have_said_all(
        self, ledger: Ledger
    ) -> None:
        limits = Limits(at_once=4, bodies=8)
        endpoints = Endpoints(lambda: (ENDPOINTS, []))
        silent = b"POST /hooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        with served(create_app(ledger, endpoints, limits=limits), limits) as url, ExitStack() as lines:
            eventually("up", lambda: endpoints.known, 10, 0.01)
            parts = httpx.URL(url)
            for _ in range(7):
                lines.enter_context(socket.create_connection((parts.host, parts.port or 0))).sendall(silent)
            with httpx.Client(base_url=url) as client:
                assert client.get("/health").status_code == 200
                assert [overdue(f"evt_{n}").to(client).status_code for n in range(5)] == [200] * 5

    def test_ten_thousand_bad_requests_leave_nothing_behind(self, ledger: Ledger) -> None:
        app = create_app(ledger, Endpoints(lambda: (ENDPOINTS, [])), limits=Limits(failures=2))
        logging.getLogger("deployments.receiver.app").setLevel(logging.ERROR)

        async def bad(number: int) -> int:
            status = 0
            parts = [{"type": "http.request", "body": b"x" * 2_000, "more_body": False}]
            raw = [(b"stripe-signature", b"t=1,v1=%d" % number)]
            scope = {
                "type": "http", "method": "POST", "path": ("/hooks/stripe", "/hooks/nobody", "/x")[number % 3],
                "raw_path": b"", "query_string": b"", "headers": raw, "server": ("127.0.0.1", 1), "scheme": "http",
                "client": (f"10.{number >> 8}.{number % 256}.1", 1), "root_path": "", "http_version": "1.1",
            }  # fmt: skip

            async def receive() -> dict[str, Any]:
                return parts.pop() if parts else {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                nonlocal status
                status = message.get("status", status)

            await app(scope, receive, send)
            return status

        async def flood() -> tuple[set[int], int]:
            async with app.router.lifespan_context(app):
                while await bad(1) == 503:
                    await asyncio.sleep(0.01)
                for number in range(1_000):
                    await bad(number)
                before = resident()
                seen = {await bad(number) for number in range(1_000, 11_000)}
                return seen, resident() - before

        seen, grown = asyncio.run(flood())
        logging.getLogger("deployments.receiver.app").setLevel(logging.NOTSET)
        assert seen == {401, 404}
        assert grown < 16_000_000  # what is kept of each address, up to the table's own bound
        assert events(ledger) == []


class TestSlowAndOversizedRequests:
    @pytest.fixture
    def address(self, ledger: Ledger) -> Iterator[tuple[str, int]]:
        """A real server with little patience."""
        limits = Limits(body_seconds=0.3, head_seconds=0.3)
        app = create_app(ledger, Endpoints(lambda: (ENDPOINTS, [])), limits=limits)
        with served(app, limits) as url:
            parts = httpx.URL(url)
            assert parts.port is not None
            yield parts.host, parts.port

    def talk(self, address: tuple[str, int], *pieces: bytes, pause: float = 0.0) -> bytes:
        """Say these pieces, and hear everything until it hangs up."""
        with socket.create_connection(address, timeout=10) as line:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause)
            heard = b""
            while part := line.recv(65_536):
                heard += part
        return heard

    def test_a_body_that_does_not_come_is_given_up(self, address: tuple[str, int]) -> None:
        heard = self.talk(address, b"POST /hooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert b" 408 " in heard.splitlines()[0]

    def test_a_head_that_does_not_come_is_hung_up_on(self, address: tuple[str, int]) -> None:
        assert self.talk(address) == b""
        assert self.talk(address, b"POST /hooks/stripe HTTP/1.1\r\nHost: x\r\nX-A: ") == b""

    def test_nor_is_a_second_one_waited_for_on_a_connection_that_was_good_once(self, address: tuple[str, int]) -> None:
        began = time.monotonic()
        heard = self.talk(address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /he", pause=0.1)
        assert heard.count(b"HTTP/1.1") == 1
        assert time.monotonic() - began < 3  # and not the five seconds that an idle connection has

    def test_a_body_without_a_length_is_measured_as_it_comes(self, address: tuple[str, int]) -> None:
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        head = b"POST /hooks/stripe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        heard = b""
        try:
            heard = self.talk(address, head, chunk * 17)
        except ConnectionError:  # it hung up while we still talked
            return
        assert b" 413 " in heard.splitlines()[0]

    def test_headers_are_bounded_in_size_and_number(self, address: tuple[str, int]) -> None:
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(70))
        heard = self.talk(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many + b"\r\n")
        assert b" 431 " in heard.splitlines()[0]
        large = b"X-A: " + b"a" * 20_000
        heard = self.talk(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + large + b"\r\n\r\n")
        assert b" 4" in heard.splitlines()[0]  # 431, or 400 when it came in several pieces
        heard = self.talk(address, b"GET /health HTTP/1.1\r\nHost: x\r\n" + large, b"a" * 20_000, pause=0.05)
        assert b" 400 " in heard.splitlines()[0]

    def test_who_hangs_up_in_the_middle_leaves_nothing(self, address: tuple[str, int], ledger: Ledger) -> None:
        with socket.create_connection(address, timeout=10) as line:
            line.sendall(b"POST /hooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert httpx.get(f"http://{address[0]}:{address[1]}/health").status_code == 200
        assert events(ledger) == []

    def test_the_server_does_not_say_what_it_is(self, address: tuple[str, int]) -> None:
        reply = httpx.get(f"http://{address[0]}:{address[1]}/health")
        assert "server" not in reply.headers
        for name in ("x-content-type-options", "content-security-policy", "x-frame-options", "cache-control"):
            assert name in reply.headers


class TestPages:
    def test_there_is_nothing_but_hooks_and_health(self, client: TestClient) -> None:
        for path in ("/", "/docs", "/redoc", "/openapi.json", "/hooks", "/hooks/stripe/", "/hooks/a/b"):
            assert client.get(path).status_code == 404, path
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            assert client.request(method, "/hooks/stripe").status_code == 405, method
        assert client.post("/health").status_code == 405

    def test_health_says_how_much_waits_and_no_secret(self, client: TestClient, ledger: Ledger) -> None:
        assert client.get("/health").json() == {"status": "up", "backlog": 0, "oldest_seconds": None}
        overdue("evt_1").to(client)
        with ledger.write() as session:
            session.execute(sa.update(WebhookEvent).values(received_at=datetime.now(UTC) - timedelta(minutes=2)))
        found = eventually("it is counted", lambda: (h := client.get("/health").json())["backlog"] and h, 10, 0.05)
        assert found["backlog"] == 1
        assert 119 <= found["oldest_seconds"] <= 125

    def test_further_pages_are_routers_and_are_guarded_as_well(self, make: Make) -> None:
        router = APIRouter(prefix="/inbox")

        @router.get("")
        def inbox() -> dict[str, str]:
            return {"waits": "nothing"}

        reply = make(routers=(router,)).get("/inbox")
        assert answer(reply) == (200, {"waits": "nothing"})
        assert reply.headers["x-frame-options"] == "DENY"


class TestEndpoints:
    def test_a_new_or_changed_block_counts_at_the_next_look_and_the_others_stay(self) -> None:
        found = dict(ENDPOINTS)
        endpoints = Endpoints(lambda: (found, []))
        assert not endpoints.known
        endpoints.look()
        before = endpoints.find("stripe")
        found["stripe"] = ENDPOINTS["stripe"].model_copy(deep=True)
        found["slack"] = ENDPOINTS["slack"].model_copy(update={"timeout_seconds": 9})
        endpoints.look()
        assert endpoints.find("stripe") is before  # what it has fetched is kept
        assert endpoints.find("slack") is found["slack"]
        del found["slack"]
        endpoints.look()
        assert endpoints.find("slack") is None

    def test_while_prefect_is_away_what_it_said_last_counts(self) -> None:
        replies: Iterator[Any] = iter([(ENDPOINTS, [])])
        endpoints = Endpoints(lambda: next(replies))
        endpoints.look()
        with pytest.raises(StopIteration):
            endpoints.look()
        assert endpoints.find("stripe")

    def test_what_is_wrong_with_one_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        endpoints = Endpoints(lambda: ({}, ["webhook-endpoint/x cannot be used: it needs a secret"]))
        for _ in range(3):
            endpoints.look()
        assert [line for line in caplog.messages if "cannot be used" in line] == [
            "webhook-endpoint/x cannot be used: it needs a secret"
        ]


class TestTurns:
    def test_of_one_address_only_some_bodies_may_be_on_their_way(self) -> None:
        turns = Turns(Limits(bodies=5, bodies_of_one=2))
        with ExitStack() as held:
            may = [held.enter_context(turns.turn(STRANGER)).wait() for _ in range(3)]
            others = [held.enter_context(turns.turn(address)).wait() for address in ("2001:db8::1", "2001:db8::2")]
            assert (may, others) == ([True, True, False], [True, True])
            assert not held.enter_context(turns.turn("2001:db8::3")).wait()
            here = [held.enter_context(turns.turn("127.0.0.1")).wait() for _ in range(2)]
            assert here == [True, False]  # all in all there is a bound for everybody
        assert (turns.working, turns.coming) == (0, {})

    def test_a_body_that_has_come_is_in_work_and_has_a_bound_of_its_own(self) -> None:
        turns = Turns(Limits(at_once=1, bodies_of_one=1))
        with turns.turn(STRANGER) as first, turns.turn(STRANGER) as second:
            assert (first.wait(), second.wait()) == (True, False)
            assert (first.work(), first.work()) == (True, True)  # once, however often it is asked
            assert (second.wait(), second.work()) == (True, False)
            assert (turns.working, turns.coming) == (1, {})
        assert turns.working == 0


class TestLimits:
    def test_a_bucket_fills_up_again_and_never_over_its_brim(self) -> None:
        now = [0.0]
        rate = Rate(2.0, 3, lambda: now[0])
        assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
        now[0] = 0.5
        assert [rate.wait("a") for _ in range(2)] == [0, 0.5]
        now[0] = 1_000
        assert [rate.wait("a") > 0 for _ in range(4)] == [False, False, False, True]

    def test_an_address_is_listened_to_again_after_a_while(self) -> None:
        now = [0.0]
        suspects = Suspects(2, 60, lambda: now[0])
        suspects.add(STRANGER)
        assert suspects.wait(STRANGER) == 0
        now[0] = 10
        suspects.add(STRANGER)
        assert suspects.wait(STRANGER) == 50
        now[0] = 61
        assert suspects.wait(STRANGER) == 0
        suspects.add(STRANGER)
        assert suspects.wait(STRANGER) == 9

    def test_of_version_six_a_customers_network_counts_as_one(self) -> None:
        suspects = Suspects(2, 60, lambda: 0.0)
        for number in range(2):
            suspects.add(f"2001:db8:1:2::{number}")
        assert suspects.wait("2001:db8:1:2:ffff::1")
        assert not suspects.wait("2001:db8:1:3::1")
        suspects.add("::ffff:203.0.113.9")
        suspects.add("203.0.113.9")
        assert suspects.wait(STRANGER)

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "", "testclient"])
    def test_this_machine_itself_is_never_shut_out(self, address: str) -> None:
        suspects = Suspects(1, 60, lambda: 0.0)
        for _ in range(3):
            suspects.add(address)
        assert suspects.wait(address) == 0
        assert suspects.total == 3

    def test_the_table_of_addresses_is_bounded(self) -> None:
        suspects = Suspects(1, 60, lambda: 0.0)
        for number in range(Suspects.MOST + 5):
            suspects.add(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert len(suspects._seen) == Suspects.MOST
        assert not suspects.wait("10.0.0.0")
        assert suspects.wait("10.0.0.5")


def test_a_body_is_read_once_as_bytes_so_that_signature_and_event_are_of_the_same(client: TestClient) -> None:
    # Space and order as they were sent: parsed and written anew, the signature would not hold.
    body = b'{ "type":  "invoice.overdue",\n"id":"evt_spaces" }'
    assert json.loads(body)
    assert signed("stripe", body).to(client).status_code == 200
