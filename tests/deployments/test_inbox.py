"""The inbox's answers: who is let in, what is refused, and that nothing is decided that nobody has decided."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.requests import Request
from starlette.testclient import TestClient

from blocks.ledger import Action, Decision, Ledger, LedgerUnavailable
from deployments.inbox.held import Held, HeldAlready, Holding
from deployments.inbox.render import markdown
from deployments.inbox.requests import address
from deployments.inbox.service import Inbox
from deployments.inbox.sessions import CODE_SECONDS, COOKIE, Attempts, Doors, Sessions, is_password, key
from deployments.running import ROOT
from tasks import approvals
from tests.deciding import (
    ANN,
    KOFI,
    MARA,
    PASSWORD,
    STRANGER,
    TOM,
    Desk,
    application,
    contact,
    note,
    refund,
    reply,
    service,
)

HERE = "http://127.0.0.1:4280"


@pytest.fixture(autouse=True)
def _no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Webhooks are another module's matter."""
    monkeypatch.setattr("deployments.receiver.app.Dispatcher.watch", lambda *_: None)


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


@pytest.fixture
def inbox(ledger: Ledger, tmp_path: Path) -> Inbox:
    """The page's service. What is decided is held for so long that no test sees it sent."""
    return service(ledger, tmp_path, hold_seconds=3600)


@pytest.fixture
def app(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(inbox.holding, "watch", lambda _: None)
    return application(inbox)


@pytest.fixture
def stranger(app: Any) -> Iterator[TestClient]:
    """A client that has yet to say who it is."""
    with TestClient(app, base_url=HERE, client=("127.0.0.1", 4711), follow_redirects=False) as client:
        yield client


@pytest.fixture
def tom(stranger: TestClient, inbox: Inbox) -> TestClient:
    """Somebody who is logged in."""
    log_in(stranger, inbox, TOM)
    return stranger


def log_in(client: TestClient, inbox: Inbox, person: str) -> None:
    client.cookies.clear()
    client.cookies.set(COOKIE, inbox.sessions.cookie(inbox.sessions.begin(person)), domain="127.0.0.1", path="/inbox")


def token(client: TestClient, path: str = "/inbox") -> str:
    found = re.search(r'name="token" value="(\w+)"', client.get(path).text)
    assert found is not None
    return found[1]


def post(client: TestClient, path: str, *, origin: str | None = HERE, **form: Any) -> Any:
    """Send a form as the page's script does, with the page's token."""
    form.setdefault("token", token(client))
    headers = {"accept": "application/json"} | ({"origin": origin} if origin else {})
    return client.post(path, data=form, headers=headers)


def decide(client: TestClient, desk: Desk, number: int, **form: Any) -> Any:
    given = {"digest": desk.action(number).digest, "decision": "approve"} | form
    return post(client, f"/inbox/{number}/decide", **given)


def unheard_of(desk: Desk, number: int) -> None:
    """Let an action be of a kind that this version does not know."""
    with desk.ledger.write() as session:
        session.execute(sa.update(Action).where(Action.id == number).values(kind="hubspot.unheard_of"))


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"])


class TestWhoIsLetIn:
    @pytest.mark.parametrize(
        ("path", "status"), [("/inbox", 200), ("/inbox/1", 200), ("/inbox?part=list", 401), ("/inbox/changes", 401)]
    )
    def test_a_stranger_sees_nothing_but_the_login(
        self, stranger: TestClient, desk: Desk, path: str, status: int
    ) -> None:
        desk.put(reply(), forms=False)
        answer = stranger.get(path)
        assert answer.status_code == status
        assert ANN not in answer.text

    @pytest.mark.parametrize(
        ("person", "password", "status"),
        [
            (TOM, PASSWORD, 303),
            ("TOM@dockwell.example ", PASSWORD.partition(":")[2], 303),
            (MARA, PASSWORD, 303),
            (STRANGER, PASSWORD, 403),
            (TOM, "signoff:", 403),
            (TOM, "", 403),
            (TOM, PASSWORD + " ", 403),
            (TOM, "ä\u202e", 403),
            ("", PASSWORD, 403),
        ],
    )
    def test_the_password_and_an_address_of_a_card(
        self, stranger: TestClient, person: str, password: str, status: int
    ) -> None:
        answer = post(stranger, "/inbox/login", person=person, password=password)
        assert answer.status_code == status, answer.text
        assert ("set-cookie" in answer.headers) == (status == 303)

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self, stranger: TestClient, inbox: Inbox) -> None:
        said = post(stranger, "/inbox/login", person=TOM, password=PASSWORD).headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/inbox", "Max-Age=43200"):
            assert part in said
        assert "Secure" not in said
        with TestClient(application(inbox), base_url="https://127.0.0.1", client=("127.0.0.1", 1)) as client:
            assert "Secure" in client.get("/inbox").headers["set-cookie"]

    def test_where_there_is_no_password_only_a_code_opens(
        self, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
        inbox = service(ledger, tmp_path, password="")
        with TestClient(application(inbox), base_url=HERE, client=("127.0.0.1", 1), follow_redirects=False) as client:
            assert "password" not in client.get("/inbox").text
            assert post(client, "/inbox/login", person=TOM, password="").status_code == 403
            code = inbox.doors.open(TOM)
            assert post(client, "/inbox/enter", code=code).headers["location"] == "/inbox"
            assert TOM in client.get("/inbox").text
            again = post(client, "/inbox/enter", code=code)  # from the link in the terminal
            assert (again.status_code, again.headers["location"]) == (303, "/inbox")

    def test_a_code_counts_on_this_machine_only(self, app: Any, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SIGNOFF_INBOX_URL", "https://signoff.example.com")
        for base, host in (("https://signoff.example.com", "127.0.0.1"), (HERE, "192.0.2.7")):
            with TestClient(app, base_url=base, client=(host, 1)) as client:
                answer = post(client, "/inbox/enter", origin=base, code=inbox.doors.open(TOM))
                assert "on the machine that made it" in refused(answer, 403)

    def test_guessing_ends_soon(self, stranger: TestClient, inbox: Inbox) -> None:
        for _ in range(5):
            assert post(stranger, "/inbox/login", person=TOM, password="x").status_code == 403
        answer = post(stranger, "/inbox/login", person=TOM, password=PASSWORD)
        assert "too many wrong tries" in refused(answer, 429)
        assert int(answer.headers["retry-after"]) > 50
        assert post(stranger, "/inbox/enter", code=inbox.doors.open(TOM)).status_code == 303  # nobody guesses a code

    def test_many_guesses_at_once_are_judged_no_oftener(self, stranger: TestClient) -> None:
        form = {"token": token(stranger), "person": TOM, "password": "x"}
        with ThreadPoolExecutor(16) as pool:
            guess = lambda _: stranger.post("/inbox/login", data=form, headers={"origin": HERE}).status_code  # noqa: E731
            codes = list(pool.map(guess, range(60)))
        assert (codes.count(403), codes.count(429)) == (5, 55)

    def test_those_who_guess_keep_nobody_out(
        self, stranger: TestClient, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held_up: list[float] = []

        async def no_sleep(seconds: float) -> None:
            held_up.append(seconds)

        monkeypatch.setattr("deployments.inbox.routes.asyncio.sleep", no_sleep)
        for number in range(60):
            inbox.attempts.judge(f"192.0.2.{number}", right=False)
        assert post(stranger, "/inbox/enter", code=inbox.doors.open(TOM)).status_code == 303
        stranger.cookies.clear()
        assert post(stranger, "/inbox/login", person=TOM, password=PASSWORD).status_code == 303
        assert held_up == [1.0]

    @pytest.mark.parametrize(
        ("base", "host", "origin", "secure"),
        [
            ("https://signoff.example", "signoff.example", "https://signoff.example", True),
            ("https://signoff.example", "127.0.0.1:4280", "https://signoff.example", True),  # a proxy's own Host
            ("https://signoff.example", "127.0.0.1:4280", HERE, False),
            ("http://signoff.example", "signoff.example", "http://signoff.example", False),
        ],
    )
    def test_behind_a_proxy_that_does_not_say_so_the_cookie_is_for_https_only(
        self, app: Any, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, base: str, host: str, origin: str, secure: bool
    ) -> None:
        monkeypatch.setenv("SIGNOFF_INBOX_URL", base)
        session = inbox.sessions.begin()
        headers = {"host": host, "origin": origin, "cookie": f"{COOKIE}={inbox.sessions.cookie(session)}"}
        form = {"person": TOM, "password": PASSWORD, "token": inbox.sessions.token(session)}
        with TestClient(app, base_url=HERE, client=("127.0.0.1", 1), follow_redirects=False) as client:
            said = client.post("/inbox/login", data=form, headers=headers)
            assert said.status_code == 303
            assert ("Secure" in said.headers["set-cookie"]) == secure

    def test_of_version_6_a_customers_network_is_one_address(self) -> None:
        def of(host: str) -> str:
            return address(Request({"type": "http", "client": (host, 1)}))

        assert of("2001:db8::1") == of("2001:db8::2:3") != of("2001:db8:0:1::1")
        assert [of("::1"), of("192.0.2.7"), of("::ffff:192.0.2.7"), of("testclient")] == [
            "::1",
            "192.0.2.7",
            "192.0.2.7",
            "testclient",
        ]

    def test_whoever_logs_out_is_out_at_every_receiver(
        self, stranger: TestClient, inbox: Inbox, ledger: Ledger, tmp_path: Path
    ) -> None:
        log_in(stranger, inbox, TOM)
        cookie = stranger.cookies[COOKIE]
        other, form = service(ledger, tmp_path), {"token": token(stranger)}
        assert other.sessions.read(cookie) is not None
        assert stranger.post("/inbox/logout", data=form, headers={"origin": HERE}).status_code == 303
        for sessions in (inbox.sessions, other.sessions, service(ledger, tmp_path).sessions):
            assert sessions.read(cookie) is None

    @pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "/inbox/../x", "x\ny"])
    def test_nobody_is_led_elsewhere(self, stranger: TestClient, to: str) -> None:
        assert "evil" not in stranger.get("/inbox/login", params={"to": to}).text
        answer = post(stranger, "/inbox/login", person=TOM, password=PASSWORD, to=to)
        assert answer.headers["location"] == "/inbox"

    def test_secrets_are_in_no_log(self, stranger: TestClient, inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        code = inbox.doors.open(TOM)
        post(stranger, "/inbox/login", person=TOM, password="a-wrong-password")
        post(stranger, "/inbox/enter", code=code)
        for secret in ("a-wrong-password", code, PASSWORD):
            assert secret not in caplog.text


class TestSessions:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.ended = tmp_path / "ended"

    def made(self, key: bytes = b"k" * 32, **changes: Any) -> Sessions:
        given: dict[str, Any] = {"password": "signoff:x", "ended": self.ended} | changes
        return Sessions(key, **given)

    def test_what_is_forged_or_over_opens_nothing(self) -> None:
        now = 1_000.0
        sessions = self.made(clock=lambda: now)
        session = sessions.begin(TOM)
        cookie = sessions.cookie(session)
        assert sessions.read(cookie) == session
        said, _, signature = cookie.partition(".")
        other = sessions.cookie(sessions.begin(MARA)).partition(".")[0]
        wrong = (f"{other}.{signature}", f"{said}.{'0' * 64}", f"{said}x.{signature}")
        for forged in ("", ".", said, f"{said}.", "ä.ö", *wrong):
            assert sessions.read(forged) is None, forged
        now += 13 * 3600
        assert sessions.read(cookie) is None

    def test_another_password_or_key_ends_all(self) -> None:
        cookie = self.made().cookie(self.made().begin(TOM))
        assert self.made().read(cookie) is not None
        assert self.made(password="signoff:y").read(cookie) is None
        assert self.made(b"o" * 32).read(cookie) is None

    def test_what_was_ended_is_forgotten_when_it_would_be_over(self) -> None:
        now = time.time()
        sessions = self.made(clock=lambda: now)
        first, second = sessions.begin(TOM), sessions.begin(TOM)
        sessions.end(first)
        sessions.end(first)
        assert [path.name for path in self.ended.iterdir()] == [first.id]
        now += 12 * 3600 + 60
        sessions.end(second)
        assert [path.name for path in self.ended.iterdir()] == [second.id]
        assert sessions.read(sessions.cookie(first)) is None

    def test_no_logout_is_lost_among_many(self) -> None:
        sessions = self.made()
        live, gone = sessions.cookie(sessions.begin(MARA)), [sessions.begin(TOM) for _ in range(50)]
        with ThreadPoolExecutor(8) as pool:
            read = [pool.submit(sessions.read, live) for _ in range(200)]
            list(pool.map(sessions.end, gone))
            assert all(one.result() for one in read)
        assert [session for session in gone if sessions.read(sessions.cookie(session))] == []

    def test_a_forms_token_is_no_cookie_and_the_other_way_round(self) -> None:
        sessions = self.made()
        one, other = sessions.begin(TOM), sessions.begin(TOM)
        assert sessions.is_token(one, sessions.token(one))
        assert not sessions.is_token(other, sessions.token(one))
        assert not sessions.is_token(one, "ä")
        assert sessions.read(f"{one.id}.{sessions.token(one)}") is None

    def test_one_code_lets_one_in(self, tmp_path: Path) -> None:
        now = time.time()
        doors = Doors(tmp_path / "a" / "codes", clock=lambda: now)
        code = doors.open(TOM)
        with ThreadPoolExecutor(8) as pool:
            entered = list(pool.map(lambda _: doors.enter(code), range(8)))
        assert sorted(filter(None, entered)) == [TOM]
        late = doors.open(TOM)
        now += CODE_SECONDS + 1
        assert doors.enter(late) is None
        for wrong in ("", "x", "../key", "\0"):
            assert doors.enter(wrong) is None
        doors.open(TOM)
        assert len(list((tmp_path / "a" / "codes").iterdir())) == 1  # those that are over are cleared away

    def test_what_is_kept_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "inbox"
        assert key(folder) == key(folder)
        Doors(folder / "codes").open(TOM)
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
        (folder / "key").write_bytes(b"")
        assert len(key(folder)) == 32

    def test_a_password_is_the_whole_line_or_what_stands_behind_its_colon(self) -> None:
        assert is_password("signoff:x", "signoff:x")
        assert is_password("x", "signoff:x")
        assert not is_password("", "signoff:")
        assert not is_password("", None)
        assert not is_password("", "")

    def test_tries_are_counted_by_address_and_together(self) -> None:
        now = 0.0
        attempts = Attempts(each=2, every=5, clock=lambda: now)
        assert [attempts.judge(who, right=False) for who in ("a", "a", "b")] == [0.0, 0.0, 0.0]
        assert [attempts.judge(who, right=True) for who in ("a", "b", "c")] == [60.0, 0.0, 0.0]
        assert attempts.delay("b") == 0.0
        for who in ("c", "d"):
            attempts.judge(who, right=False)
        assert attempts.judge("e", right=True) == 0.0
        assert (attempts.delay("e"), attempts.delay("a")) == (1.0, 0.0)  # one who is refused anyway is not kept
        now = 61.0
        assert (attempts.judge("a", right=True), attempts.delay("e")) == (0.0, 0.0)


class TestWhatIsRefused:
    def test_what_every_answer_says(self, tom: TestClient, desk: Desk) -> None:
        desk.put(reply(), forms=False)
        for path in ("/inbox", "/inbox/1", "/inbox/login", "/inbox/999", "/inbox/changes", "/inbox/page.js"):
            said = tom.get(path).headers
            policy = said["content-security-policy"]
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
                assert part in policy, path
            assert "unsafe" not in policy
            assert said["x-frame-options"] == "DENY"
            assert said["x-content-type-options"] == "nosniff"
            assert ("no-store" in said["cache-control"]) == (path != "/inbox/page.js"), path

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:4280", "127.0.0.1.evil.example", "[::1", "", "localhost.", "0.0.0.0"]
    )
    def test_a_name_that_only_points_here(self, tom: TestClient, host: str) -> None:
        for path in ("/inbox", "/inbox/login", "/inbox/page.js", "/inbox/changes"):
            assert tom.get(path, headers={"host": host}).status_code == 421, path

    @pytest.mark.parametrize("host", ["127.0.0.1:4280", "localhost", "[::1]:4280", "[::1]", "signoff.example.com"])
    def test_names_that_are_ours(self, tom: TestClient, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SIGNOFF_INBOX_URL", "https://signoff.example.com/")
        assert tom.get("/inbox/login", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "origin", [None, "null", "https://evil.example", "http://127.0.0.1:4200", "http://127.0.0.1:42800", "file://"]
    )
    def test_a_form_of_another_site(self, tom: TestClient, desk: Desk, origin: str | None, inbox: Inbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        assert "not sent from this page" in refused(decide(tom, desk, number, origin=origin), 403)
        for path in ("login", "enter", "logout", "undo", "together", "1/assign"):
            assert post(tom, f"/inbox/{path}", origin=origin).status_code == 403, path
        assert inbox.holding.all() == []

    def test_a_form_without_this_sessions_token(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        others = inbox.sessions.token(inbox.sessions.begin(TOM))
        for wrong in ("", "x", others):
            for path in (f"{number}/decide", "together", "undo", "1/assign", "logout"):
                assert post(tom, f"/inbox/{path}", token=wrong).status_code == 403, path
        assert inbox.holding.all() == []

    def test_looking_decides_nothing(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        for path in ("decide", "assign"):
            assert tom.get(f"/inbox/{number}/{path}?decision=approve").status_code == 404
        for path in ("/inbox/together", "/inbox/undo", "/inbox/logout", "/inbox/enter"):
            assert tom.get(path).status_code == 404
        for method in ("HEAD", "PUT", "DELETE", "PATCH"):
            assert tom.request(method, f"/inbox/{number}/decide").status_code == 405
        tom.get(f"/inbox/{number}?decision=approve&token={token(tom)}")
        assert inbox.holding.all() == []
        assert desk.action(number).state == "waiting"

    @pytest.mark.parametrize(
        ("content", "kind", "status"),
        [
            (b"a=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", 413),
            (b"a=1&" * 4_000, "application/x-www-form-urlencoded", 400),
            (b"\xff=1", "application/x-www-form-urlencoded", 400),
            (b"a=%ff", "application/x-www-form-urlencoded", 400),
            (b"comment=a%00b", "application/x-www-form-urlencoded", 400),
            (b"{}", "application/json", 415),
            (b"a=1", "text/plain", 415),
            (b"", "", 415),
        ],
    )
    def test_what_is_no_form(self, tom: TestClient, content: bytes, kind: str, status: int) -> None:
        headers = {"content-type": kind, "origin": HERE, "accept": "application/json"}
        assert tom.post("/inbox/undo", content=content, headers=headers).status_code == status

    def test_numbers_without_an_end(self, tom: TestClient, inbox: Inbox) -> None:
        endless = "9" * 5000
        assert "is the number of a decision" in refused(tom.get(f"/inbox/changes?after={endless}"), 400)
        for after in ("x", "-1", "\u0661", ""):
            assert tom.get("/inbox/changes", params={"after": after}).status_code == 400
        assert tom.get(f"/inbox/changes?after={time.time_ns()}").status_code == 200
        assert "does not wait" in refused(post(tom, "/inbox/together", decision="approve", chosen=f"{endless}:x"), 409)
        tom.cookies.clear()
        for path in ("", "/decide", "/assign"):
            assert tom.get(f"/inbox/{endless}{path}", headers={"host": "evil.example"}).status_code in (404, 421)
        assert inbox.holding.all() == []

    def test_what_is_no_action(self, tom: TestClient) -> None:
        for number in ("999", "x", "-1", "1%00", "9" * 10, "9" * 20, "9" * 5000, "1/", "1/x", "x/1/decide"):
            answer = tom.get(f"/inbox/{number}")
            assert (answer.status_code, "Nothing is there" in answer.text) == (404, True), number
            assert post(tom, f"/inbox/{number}/decide", decision="approve").status_code in (404, 405, 409), number

    def test_who_may_not_decide(self, stranger: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(refund(), workflow="billing-agent", confidence="none", forms=False)
        desk.as_if_with_forms()
        inbox.cards = [card.model_copy(update={"allowed": ()}) for card in inbox.cards]
        log_in(stranger, inbox, TOM)
        assert "may not decide for billing-agent" in stranger.get(f"/inbox/{number}").text
        assert "its card names kofi@dockwell.example" in refused(decide(stranger, desk, number), 403)
        assert post(stranger, f"/inbox/{number}/assign", person=KOFI).status_code == 403
        log_in(stranger, inbox, KOFI)
        assert decide(stranger, desk, number).status_code == 200

    def test_the_ledger_is_away(self, tom: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(*_: Any, **__: Any) -> Any:
            raise LedgerUnavailable("the ledger cannot be used now")

        monkeypatch.setattr("tasks.inbox.waiting", gone)
        answer = tom.get("/inbox")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "the ledger cannot be used now" in answer.text


class TestDeciding:
    def test_it_is_held_with_what_was_shown_and_by_whom(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        sent = {"box-body": "Hello\r\nAnn", "comment": " fine ", "person": MARA, "approver": "somebody else"}
        assert decide(tom, desk, number, **sent).status_code == 200
        (held,) = inbox.holding.all()
        assert (held.person, held.approve, held.comment) == (TOM, True, "fine")
        assert held.actions == {str(number): desk.action(number).digest}
        assert held.edits == {"body": "Hello\nAnn"}
        assert f"/inbox/{number}" not in tom.get("/inbox?part=list").text
        assert "about to be sent" in refused(decide(tom, desk, number), 409)

    def test_line_ends_are_no_edit(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(reply(body="a\n\nb"), forms=False)
        desk.as_if_with_forms()
        decide(tom, desk, number, **{"box-body": "a\r\n\r\nb", "box-to": STRANGER, "box-x": "y"})
        assert inbox.holding.all()[0].edits == {}

    @pytest.mark.parametrize(
        ("form", "status", "why"),
        [
            ({"digest": "0" * 64}, 409, "is not what this page showed any more"),
            ({"digest": ""}, 409, "is not what this page showed"),
            ({"decision": "APPROVE"}, 422, "say whether to approve or to reject"),
            ({"decision": ""}, 422, "say whether"),
            ({"box-body": ""}, 422, "body"),
            ({"box-body": " \n"}, 422, "something has to stand there"),
            ({"box-body": "bell\x07"}, 422, "body"),
        ],
    )
    def test_what_does_not_fit_is_said(
        self, tom: TestClient, desk: Desk, inbox: Inbox, form: dict[str, str], status: int, why: str
    ) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        assert why in refused(decide(tom, desk, number, **form), status)
        assert inbox.holding.all() == []

    def test_a_comment_with_a_slip_decides_nothing(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        one, other = desk.put(reply(), note(), forms=False)
        desk.as_if_with_forms()
        said = "nothing was decided: intent cannot be suport"
        assert said in refused(decide(tom, desk, one, comment="intent=suport", decision="reject"), 422)
        chosen = f"{other}:{desk.action(other).digest}"
        together = post(tom, "/inbox/together", decision="reject", chosen=chosen, comment="urgncy=high")
        assert "nothing was decided: there is no urgncy" in refused(together, 422)
        assert inbox.holding.all() == []
        assert decide(tom, desk, one, comment="intent: suport", decision="reject").status_code == 200

    @pytest.mark.parametrize(
        ("state", "reason", "said"),
        [
            ("done", None, ". It is done"),
            ("failed", "HubSpot says no", ". It was not done: HubSpot says no"),
            ("handled", "Ann did it", ". It failed, and was done by hand: Ann did it"),
            ("unknown", "its run died", ". Nobody can tell whether it was done: its run died"),
        ],
    )
    def test_what_became_of_it_is_on_its_page(
        self, tom: TestClient, desk: Desk, ledger: Ledger, state: str, reason: str | None, said: str
    ) -> None:
        (number,) = desk.put(reply(), forms=False)
        with ledger.write() as session:
            action = session.get_one(Action, number)
            session.add(Decision(action_id=number, verdict="approved", approver=TOM, payload={}, digest=action.digest))
            action.state, action.reason = state, reason
        page = tom.get(f"/inbox/{number}").text
        assert f"Approved by {TOM}" in page
        assert said in page

    def test_what_has_no_form_or_cannot_be_read_waits(self, tom: TestClient, desk: Desk, ledger: Ledger) -> None:
        first, second = desk.put(reply(), note(), forms=False)
        assert "has no form yet" in refused(decide(tom, desk, first), 409)
        assert "Its form is being made" in tom.get(f"/inbox/{first}").text
        desk.as_if_with_forms()
        with ledger.write() as session:
            session.execute(sa.update(Action).where(Action.id == second).values(kind="hubspot.unheard_of"))
        assert "cannot read" in refused(decide(tom, desk, second), 409)
        for verdict in ("approve", "reject"):
            chosen = f"{second}:{desk.action(second).digest}"
            assert "cannot read" in refused(post(tom, "/inbox/together", chosen=chosen, decision=verdict), 409)
        text = tom.get("/inbox").text
        assert "cannot read it" in text
        assert 'name="chosen"' not in text

    @pytest.mark.usefixtures("deployment")
    def test_what_cannot_be_read_can_be_rejected_and_keeps_no_other_back(
        self, tom: TestClient, desk: Desk, inbox: Inbox
    ) -> None:
        odd, good = desk.put(note())[0], desk.put(reply())[0]
        unheard_of(desk, odd)
        text = tom.get(f"/inbox/{odd}").text
        assert ('id="reject"' in text, 'id="approve"' in text) == (True, False)
        assert decide(tom, desk, odd, decision="reject", comment="too new").status_code == 200
        assert decide(tom, desk, good).status_code == 200
        assert inbox.holding.send_due(float("inf")) == 2
        assert desk.states() == ["rejected", "pending"]
        found = desk.decision(odd)
        assert found is not None
        assert (found.approver, found.comment) == (TOM, "too new")

    @pytest.mark.usefixtures("deployment")
    def test_an_approval_of_what_cannot_be_read_is_told_and_keeps_no_other_back(self, desk: Desk, inbox: Inbox) -> None:
        odd, other, good = *desk.put(note(), contact()), desk.put(reply())[0]
        unheard_of(desk, odd)
        for numbers in ([odd, other], [good]):
            given = {number: desk.action(number).digest for number in numbers}
            inbox.holding.hold(TOM, given, approve=True, said="x")
        assert inbox.holding.send_due(float("inf")) == 2
        assert desk.states() == ["waiting", "pending", "pending"]
        problems = {told.action_id: told.problem for told in inbox.holding.told()}
        assert "cannot read an action of kind hubspot.unheard_of" in problems[odd]
        assert (problems[other], problems[good]) == ("", "")

    def test_two_presses_at_once_are_one_decision(
        self, stranger: TestClient, app: Any, desk: Desk, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log_in(stranger, inbox, TOM)
        hold, both = inbox.holding.hold, threading.Barrier(2)

        def together(*given: Any, **more: Any) -> Held:
            both.wait(10)  # each was looked at, and nothing was held yet
            return hold(*given, **more)

        monkeypatch.setattr(inbox.holding, "hold", together)
        mara = TestClient(app, base_url=HERE, client=("127.0.0.1", 4712))
        log_in(mara, inbox, MARA)
        for other, verdict in ((stranger, "approve"), (mara, "reject")):
            (number,) = desk.put(reply(), forms=False)
            desk.as_if_with_forms()
            presses = [
                lambda: decide(stranger, desk, number),  # noqa: B023
                lambda: decide(other, desk, number, decision=verdict),  # noqa: B023
            ]
            with ThreadPoolExecutor(2) as pool:
                answers = list(pool.map(lambda press: press(), presses))
            assert sorted(answer.status_code for answer in answers) == [200, 409]
            refusal = next(answer for answer in answers if answer.status_code == 409)
            assert "decided on already, and about to be sent" in refused(refusal, 409)
            assert [held.ids for held in inbox.holding.all()].count([number]) == 1

    def test_of_many_none_is_decided_when_one_does_not_fit(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        low, other, high = desk.put(note(), contact(), reply(), forms=False)
        desk.as_if_with_forms()

        def chosen(*ids: int, digest: str = "") -> list[str]:
            return [f"{number}:{digest or desk.action(number).digest}" for number in ids]

        def send(these: list[str]) -> Any:
            return post(tom, "/inbox/together", chosen=these, decision="approve")

        assert "is high-impact" in refused(send(chosen(low, high)), 403)
        assert "not what this page showed" in refused(send(chosen(low, digest="0" * 64)), 409)
        assert "does not wait any more" in refused(send([*chosen(low), "999:x"]), 409)
        assert "does not wait any more" in refused(send(["<b>:x"]), 409)
        assert "nothing is chosen" in refused(send([]), 422)
        assert inbox.holding.all() == []
        assert send(chosen(low, other)).status_code == 200
        assert inbox.holding.all()[0].ids == [low, other]

    def test_only_ones_own_is_taken_back_and_only_before_it_is_sent(
        self, stranger: TestClient, desk: Desk, inbox: Inbox
    ) -> None:
        (number,) = desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        log_in(stranger, inbox, TOM)
        decide(stranger, desk, number)
        (held,) = inbox.holding.all()
        log_in(stranger, inbox, MARA)
        assert "too late" in refused(post(stranger, "/inbox/undo", held=held.id), 409)
        log_in(stranger, inbox, TOM)
        assert post(stranger, "/inbox/undo", held=held.id).json() == {"undone": [number]}
        assert "too late" in refused(post(stranger, "/inbox/undo", held=held.id), 409)
        for wrong in ("", "../key", "x"):
            assert post(stranger, "/inbox/undo", held=wrong).status_code == 409

    @pytest.mark.both_databases
    @pytest.mark.usefixtures("deployment")
    def test_it_becomes_a_decision(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        first, low, other = desk.put(reply(), note(), contact())
        rejected, taken = desk.put(reply("bo@x.example"), reply("cy@x.example"))
        decide(tom, desk, first, **{"box-body": "Edited"})
        post(
            tom,
            "/inbox/together",
            chosen=[f"{n}:{desk.action(n).digest}" for n in (low, other)],
            decision="approve",
        )
        decide(tom, desk, rejected, decision="reject", comment="no")
        decide(tom, desk, taken)
        approvals.respond(desk.ledger, taken, approve=False, approver=KOFI)
        assert inbox.holding.send_due(float("inf")) == 4
        assert desk.states() == ["pending", "pending", "pending", "rejected", "rejected"]
        with desk.ledger.read() as session:
            made = {d.action_id: (d.verdict, d.approver, d.edited) for d in session.scalars(sa.select(Decision))}
        assert made[first] == ("approved", TOM, True)
        assert made[low] == made[other] == ("approved", TOM, False)
        assert made[rejected] == ("rejected", TOM, False)
        problems = {told.action_id: told.problem for told in inbox.holding.told()}
        assert problems.pop(taken).startswith(f"action {taken} was rejected by {KOFI} at ")
        assert set(problems.values()) == {""}
        assert inbox.holding.all() == []
        said = tom.get("/inbox/changes").json()
        assert [one["action"] for one in said["told"] if one["problem"]] == [taken]

    @pytest.mark.usefixtures("deployment")
    def test_what_changed_while_it_was_held_is_not_sent(self, tom: TestClient, desk: Desk, inbox: Inbox) -> None:
        (number,) = desk.put(reply())
        decide(tom, desk, number)
        with desk.ledger.write() as session:  # a ledger that was replaced by a backup
            session.execute(sa.update(Action).values(digest="f" * 64))
        inbox.holding.send_due(float("inf"))
        assert desk.states() == ["waiting"]
        assert "not what was shown any more" in inbox.holding.told()[0].problem


class TestHolding:
    def test_it_outlives_the_receiver_that_held_it(self, tmp_path: Path) -> None:
        code = (
            "import os, signal, sys; from pathlib import Path; from deployments.inbox.held import Holding;"
            f"h = Holding(Path({str(tmp_path / 'held')!r}), lambda some: {{}}, 0);"
            f"h.hold({TOM!r}, {{7: 'd'}}, approve=True, said='x', edits={{'body': 'ä\\n'}});"
            "h._is_mine(); h._take_due(9e9);"  # in the middle of sending it
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
        assert killed.returncode == -signal.SIGKILL
        sent: list[Held] = []

        def send(some: Any) -> dict[tuple[str, int], str]:
            sent.extend(some)
            return {}

        after = Holding(tmp_path / "held", send, 0)
        assert after.send_due(time.time()) == 1
        assert [(one.person, one.ids, dict(one.edits)) for one in sent] == [(TOM, [7], {"body": "ä\n"})]
        assert after.send_due(time.time()) == 0
        assert os.listdir(tmp_path / "held") == ["lock"]

    def test_of_two_receivers_one_sends(self, tmp_path: Path) -> None:
        sent: list[str] = []

        def sender(name: str) -> Callable[[Any], dict[tuple[str, int], str]]:
            def send(some: Any) -> dict[tuple[str, int], str]:
                sent.extend(name for _ in some)
                return {}

            return send

        one, other = (Holding(tmp_path / "held", sender(name), 0) for name in ("one", "other"))
        for number in range(5):
            other.hold(TOM, {number: "d"}, approve=True, said="x")
        assert (one.send_due(time.time()), other.send_due(time.time())) == (5, 0)
        assert sent == ["one"] * 5

    def test_what_cannot_be_sent_now_waits_and_can_be_taken_back(self, tmp_path: Path) -> None:
        def away(_: Any) -> dict[tuple[str, int], str]:
            raise httpx.ConnectError("Prefect does not answer")

        holding = Holding(tmp_path / "held", away, 0)
        holding.hold(TOM, {1: "d"}, approve=True, said="x")
        with pytest.raises(httpx.ConnectError):
            holding.send_due(time.time())
        (held,) = holding.all()
        assert held.trouble == "Prefect does not answer"
        assert held.due > time.time()
        assert holding.send_due(time.time()) == 0
        assert holding.undo(held.id, TOM) is not None
        assert holding.all() == []

    def test_on_an_action_one_decision_is_held_while_it_waits_and_while_it_is_sent(self, tmp_path: Path) -> None:
        one = Holding(tmp_path / "held", lambda _: {}, 0)

        def in_the_middle(_: Any) -> dict[tuple[str, int], str]:
            with pytest.raises(HeldAlready, match="action 7"):
                one.hold(MARA, {7: "d"}, approve=False, said="x")
            return {}

        other = Holding(tmp_path / "held", in_the_middle, 0)
        one.hold(TOM, {7: "d", 8: "d"}, approve=True, said="x")
        with pytest.raises(HeldAlready, match="action 8 is decided on already, and about to be sent"):
            other.hold(MARA, {9: "d", 8: "d"}, approve=True, said="x")
        assert other.send_due(float("inf")) == 1
        assert one.hold(MARA, {7: "d"}, approve=True, said="x").ids == [7]

    def test_what_is_taken_back_is_all_of_it(self, tmp_path: Path) -> None:
        holding = Holding(tmp_path / "held", lambda _: {}, 0)
        first = holding.hold(TOM, {7: "d"}, approve=True, said="x")
        for number, person in enumerate((TOM, MARA)):  # as an older version let two be
            holding._write(replace(first, id=f"1-{number}", person=person))
        assert holding.undo(first.id, TOM) is not None
        assert [held.person for held in holding.all()] == [MARA]

    def test_what_cannot_be_sent_keeps_no_other_back(self, tmp_path: Path) -> None:
        sent: list[int] = []

        def send(some: Any) -> dict[tuple[str, int], str]:
            if any(2 in one.ids for one in some):
                raise RuntimeError("this one never goes")
            sent.extend(number for one in some for number in one.ids)
            return {}

        holding = Holding(tmp_path / "held", send, 0)
        for number in (1, 2, 3):
            holding.hold(TOM, {number: "d"}, approve=True, said="x")
        with pytest.raises(RuntimeError, match="never goes"):
            holding.send_due(float("inf"))
        assert sent == [1, 3]
        assert [(held.ids, held.trouble) for held in holding.all()] == [([2], "this one never goes")]

    def test_a_full_disk_loses_no_decision_and_sends_none_behind_ones_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_: Any) -> dict[tuple[str, int], str]:
            raise RuntimeError("Prefect is away")

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        holding = Holding(tmp_path / "held", away, 0)
        made = holding.hold(TOM, {1: "d"}, approve=True, said="x")
        monkeypatch.setattr(Holding, "_write", full)
        with pytest.raises(RuntimeError):
            holding.send_due(float("inf"))
        (held,) = holding.all()
        assert held.trouble == "Prefect is away"
        assert holding.undo(made.id, TOM) is not None
        assert Holding(tmp_path / "held", away, 0).all() == []

    def test_it_is_either_sent_or_taken_back(self, tmp_path: Path) -> None:
        sent: list[str] = []

        def send(some: Any) -> dict[tuple[str, int], str]:
            sent.extend(one.id for one in some)
            return {}

        holding = Holding(tmp_path / "held", send, 0)
        ids = [holding.hold(TOM, {n: "d"}, approve=True, said="x").id for n in range(30)]
        with ThreadPoolExecutor(4) as pool:
            undone = pool.map(lambda one: holding.undo(one, TOM), ids)
            while holding.send_due(time.time()):
                pass
            taken = [one.id for one in undone if one]
        holding.send_due(time.time())
        assert sorted(sent + taken) == sorted(ids)

    def test_an_end_sends_what_is_there(self, tmp_path: Path) -> None:
        sent: list[Any] = []

        def send(some: Any) -> dict[tuple[str, int], str]:
            sent.extend(some)
            return {}

        holding = Holding(tmp_path / "held", send, 3600)
        holding.hold(TOM, {1: "d"}, approve=True, said="x")
        ended = threading.Event()
        ended.set()
        holding.watch(ended)
        assert len(sent) == 1

    @pytest.mark.usefixtures("deployment")
    def test_what_was_decided_before_a_crash_is_no_trouble(self, ledger: Ledger, tmp_path: Path) -> None:
        desk, inbox = Desk(ledger), service(ledger, tmp_path)
        (number,) = desk.put(reply())
        held = inbox.holding.hold(TOM, {number: desk.action(number).digest}, approve=True, said="x")
        one = (held.id, number)
        assert inbox.send([held]) == {one: ""}
        assert inbox.send([held]) == {one: ""}  # as after a crash before the file was taken away
        assert "was approved by tom" in inbox.send([replace(held, person=MARA)])[one]

    @pytest.mark.usefixtures("deployment")
    @pytest.mark.parametrize("edits", [{}, {"body": "Edited"}], ids=["as it was", "edited"])
    def test_of_two_who_contradict_each_other_the_second_is_told(
        self, ledger: Ledger, tmp_path: Path, edits: dict[str, str]
    ) -> None:
        desk, inbox = Desk(ledger), service(ledger, tmp_path)
        (number,) = desk.put(reply())
        toms = inbox.holding.hold(TOM, {number: desk.action(number).digest}, approve=True, said="x", edits=edits)
        maras = replace(toms, id="2", person=MARA, approve=False, edits={})
        said = inbox.send([toms, maras])
        assert said.pop((toms.id, number)) == ""
        assert said["2", number].startswith(f"action {number} was approved by {TOM} at ")
        assert said["2", number].endswith(", before you")
        assert desk.states() == ["pending"]

    @pytest.mark.usefixtures("deployment")
    def test_when_the_first_of_two_is_refused_the_second_counts(self, ledger: Ledger, tmp_path: Path) -> None:
        desk, inbox = Desk(ledger), service(ledger, tmp_path)
        (number,) = desk.put(reply())
        toms = inbox.holding.hold(
            TOM, {number: desk.action(number).digest}, approve=True, said="x", edits={"body": "bell\x07"}
        )
        said = inbox.send([toms, replace(toms, id="2", person=MARA, approve=False, edits={})])
        assert "body" in said.pop((toms.id, number))
        assert said == {("2", number): ""}
        assert desk.states() == ["rejected"]


class TestList:
    def test_a_thousand_take_no_more_questions_than_ten(self, tom: TestClient, desk: Desk, ledger: Ledger) -> None:
        asked: list[str] = []
        sa.event.listen(ledger.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
        desk.put(reply(), note(), forms=False)
        tom.get("/inbox")
        asked.clear()
        tom.get("/inbox")
        few = len(asked)
        desk.without_forms(1000)
        asked.clear()
        text = tom.get("/inbox").text
        assert len(asked) <= few
        assert text.count("<li data-id") == 1002
        assert "1002 wait" in text

    def test_it_is_grouped_by_workflow_and_record_the_oldest_first(self, tom: TestClient, desk: Desk) -> None:
        desk.put(reply("a@x.example"), forms=False)
        desk.put(refund(), workflow="billing-agent", confidence="none", forms=False)
        desk.put(reply("b@x.example"), note("b@x.example"), forms=False)
        text = tom.get("/inbox?part=list").text
        shown = re.findall(r'data-workflow="([\w-]+)"|<li data-id="(\d+)"', text)
        assert [one or other for one, other in shown] == ["lead-triage", "1", "3", "4", "billing-agent", "2"]

    def test_what_runs_out_says_so(self, tom: TestClient, desk: Desk) -> None:
        desk.put(reply(), forms=False, age=timedelta(days=4, hours=20, minutes=30))
        assert "3 hours left" in tom.get("/inbox").text

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("workflow=billing-agent", ["3"]),
            ("kind=hubspot.add_note", ["2"]),
            ("impact=high", ["1", "3"]),
            (f"person={KOFI}", ["3"]),
            ("words=note%20ANN", ["2"]),
            ("workflow=none", []),
            ("words=%3Cscript%3E", []),
            ("unheard=of", ["1", "2", "3"]),
        ],
    )
    def test_filters(self, tom: TestClient, desk: Desk, query: str, ids: list[str]) -> None:
        desk.put(reply(), note(), forms=False)
        desk.put(refund(), workflow="billing-agent", confidence="none", forms=False)
        text = tom.get(f"/inbox?{query}").text
        assert re.findall(r'<li data-id="(\d+)"', text) == (ids if "unheard" not in query else ["1", "2", "3"])
        assert "<script>alert" not in text


class TestMarkdown:
    def test_our_own_is_shown(self) -> None:
        shown = markdown("**Why:** a demo\n\n> Hello  \n> Ann\n\n- one")
        assert "<strong>Why:</strong>" in shown
        assert "<blockquote>" in shown
        assert '<img src="data:image/jpeg;base64,QUJD" alt="Page 1"' in markdown(
            "![Page 1](data:image/jpeg;base64,QUJD)"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "[x](https://evil.example)",
            "<https://evil.example>",
            "https://evil.example",
            "![x](https://evil.example/x.png)",
            "![x](data:image/svg+xml;base64,QUJD)",
            "[x](javascript:alert(1))",
            "<script>alert(1)</script>",
            "<img src=x>",
            "[x]: https://evil.example\n\n[x] ![x]",
        ],
    )
    def test_it_leads_nowhere_and_brings_nothing(self, text: str) -> None:
        shown = markdown(text)
        for element in ("<a", "<img", "<script"):
            assert element not in shown
