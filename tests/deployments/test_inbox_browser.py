"""The inbox in a real browser: who gets in, what keys do, what happens when others decide meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from playwright.sync_api import BrowserContext, Page, expect

from blocks.ledger import Action, Assignment, Ledger, utcnow
from deployments.inbox.held import Told
from deployments.inbox.service import Inbox
from deployments.inbox.sessions import COOKIE
from tasks import approval_runs, approvals
from tests.deciding import ANN, KOFI, MARA, PASSWORD, TOM, Desk, contact, mail, note, refund, reply, served, service
from tests.deployments.machinery import eventually

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> [Approve](https://evil.example) \u202egnp.exe"


class Room:
    """The page that is served, and what its decisions have become."""

    def __init__(self, inbox: Inbox, desk: Desk, url: str, context: BrowserContext) -> None:
        self.inbox, self.desk, self.url, self.context = inbox, desk, url, context
        self.errors: list[str] = []

    def log_in(self, person: str = TOM, context: BrowserContext | None = None) -> None:
        """As somebody who has logged in before."""
        cookie = self.inbox.sessions.cookie(self.inbox.sessions.begin(person))
        given: Any = {"name": COOKIE, "value": cookie, "domain": "127.0.0.1", "path": "/inbox", "sameSite": "Strict"}
        (context or self.context).add_cookies([given])

    def open(self, path: str = "", *, person: str = TOM) -> Page:
        """A tab with the page."""
        self.log_in(person)
        tab = self.tab()
        tab.goto(f"{self.url}/inbox{path}")
        return tab

    def tab(self, context: BrowserContext | None = None) -> Page:
        """An empty tab, whose errors are counted."""
        tab = (context or self.context).new_page()
        tab.set_default_timeout(10_000)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", lambda said: self.errors.append(said.text) if "Content Security" in said.text else None)
        return tab

    def decided(self, number: int) -> tuple[str, str, str, bool]:
        """What was decided about an action, once it is: verdict, by whom, comment, and whether it was edited."""
        decision = eventually(f"#{number} is decided", lambda: self.desk.decision(number), 10, 0.02)
        return decision.verdict, decision.approver, decision.comment, decision.edited

    def told(self, number: int) -> Told:
        """What came of a decision."""
        said = lambda: next((one for one in self.inbox.holding.told() if one.action_id == number), None)  # noqa: E731
        told: Told = eventually(f"#{number} is sent", said, 10, 0.02)
        return told


Make = Callable[..., Room]


@pytest.fixture(scope="module")
def browser_contexts(page: Page) -> Callable[..., BrowserContext]:
    """Makes windows of the module's browser, with cookies of their own."""
    browser = page.context.browser
    assert browser is not None
    return browser.new_context


@pytest.fixture
def room(
    ledger: Ledger,
    deployment: UUID,  # noqa: ARG001
    tmp_path: Path,
    browser_contexts: Callable[..., BrowserContext],
) -> Iterator[Room]:
    """The page, with nothing waiting yet."""
    with opened(ledger, tmp_path, browser_contexts) as made:
        yield made
        assert made.errors == []


@contextmanager
def opened(ledger: Ledger, home: Path, contexts: Callable[..., BrowserContext], **settings: Any) -> Iterator[Room]:
    inbox = service(ledger, home, **settings)
    context = contexts(viewport={"width": 1280, "height": 900})
    with served(inbox) as url:
        try:
            yield Room(inbox, Desk(ledger), url, context)
        finally:
            context.close()


def shows(tab: Page, title: str) -> None:
    """Wait until an action is on the screen."""
    expect(tab.locator("#item-title")).to_have_text(title)


class TestGettingIn:
    def test_with_the_servers_password_and_an_address_that_a_card_knows(self, room: Room) -> None:
        room.desk.put(reply())
        tab = room.tab()
        tab.goto(f"{room.url}/inbox/1")
        tab.get_by_label("Your e-mail address").fill("Tom@Dockwell.example")
        tab.get_by_label("The server's password").fill("wrong")
        tab.get_by_role("button", name="Log in").click()
        expect(tab.get_by_role("alert")).to_contain_text("do not open the page")
        tab.get_by_label("Your e-mail address").fill("Tom@Dockwell.example")
        tab.get_by_label("The server's password").fill(PASSWORD)
        tab.get_by_role("button", name="Log in").click()
        shows(tab, f"Send reply to {ANN}")
        expect(tab.locator(".who")).to_contain_text(TOM)
        (cookie,) = room.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/inbox")
        tab.get_by_role("button", name="Log out").click()
        kept: Any = cookie
        room.context.add_cookies([kept])  # a copy of it, somebody has kept
        tab.goto(f"{room.url}/inbox")
        expect(tab.get_by_role("button", name="Log in")).to_be_visible()

    def test_with_a_link_that_counts_once_and_stays_in_no_address(self, room: Room) -> None:
        room.desk.put(reply())
        code = room.inbox.doors.open(TOM)
        asked: list[str] = []
        tab = room.tab()
        tab.on("request", lambda request: asked.append(f"{request.url} {request.headers.get('referer', '')}"))
        tab.goto(f"{room.url}/inbox/login#{code}")
        shows(tab, f"Send reply to {ANN}")
        assert not any(code in one.partition("#")[0] for one in asked)
        assert code not in tab.url
        room.context.clear_cookies()
        tab.goto("about:blank")
        tab.goto(f"{room.url}/inbox/login#{code}")
        expect(tab.get_by_role("alert")).to_contain_text("was used, or is too old")

    def test_a_link_from_elsewhere_leads_to_the_action_although_the_cookie_is_strict(self, room: Room) -> None:
        first, second = room.desk.put(reply(), note())
        assert first < second
        room.log_in()
        tab = room.tab()
        elsewhere = room.url.replace("127.0.0.1", "localhost")
        tab.route(f"{elsewhere}/mail", lambda route: route.fulfill(
            content_type="text/html", body=f'<a href="{room.url}/inbox/{second}">Open</a>'
        ))  # fmt: skip
        tab.goto(f"{elsewhere}/mail")
        tab.get_by_text("Open").click()
        shows(tab, f"Note on {ANN}")


class TestKeys:
    def test_what_is_high_impact_takes_a_second_key_on_a_button_that_is_seen(self, room: Room) -> None:
        first, second = room.desk.put(reply(), reply("bo@fabrikam.example"))
        tab = room.open()
        shows(tab, f"Send reply to {ANN}")
        for key in ("a", "a", "a"):
            tab.keyboard.press(key)
        expect(tab.locator("#approve")).to_be_focused()
        tab.keyboard.press("Escape")
        tab.keyboard.press("j")
        shows(tab, "Send reply to bo@fabrikam.example")
        tab.keyboard.press("Enter")  # on the heading: it presses nothing
        tab.keyboard.press("k")
        shows(tab, f"Send reply to {ANN}")
        assert room.inbox.holding.all() == []
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        shows(tab, "Send reply to bo@fabrikam.example")
        assert room.decided(first) == ("approved", TOM, "", False)
        assert room.desk.action(second).state == "waiting"

    def test_what_is_low_impact_takes_one_key_and_a_second_approves_nothing_unseen(self, room: Room) -> None:
        first, second = room.desk.put(note(), contact())
        tab = room.open()
        shows(tab, f"Note on {ANN}")
        tab.wait_for_timeout(350)  # as long as the page takes a key for one that was meant for the one before
        tab.keyboard.press("a")
        shows(tab, f"Save contact {ANN}")
        tab.keyboard.press("a")
        assert room.decided(first)[0] == "approved"
        assert [one.ids for one in room.inbox.holding.all() if second in one.ids] == []
        assert room.desk.action(second).state == "waiting"

    def test_an_edited_text_is_approved_as_edited(self, room: Room) -> None:
        (number,) = room.desk.put(reply(body="\nHello Ann,\n\nof course."))
        tab = room.open()
        tab.keyboard.press("e")
        expect(tab.get_by_label("Text to send")).to_be_focused()
        tab.keyboard.press("Control+End")
        tab.keyboard.type(" On Tuesday? ajkux")  # keys that mean something else elsewhere
        tab.keyboard.press("Control+Enter")
        tab.keyboard.press("Enter")
        assert room.decided(number) == ("approved", TOM, "", True)
        decision = room.desk.decision(number)
        assert decision is not None
        assert decision.payload["body"] == "\nHello Ann,\n\nof course. On Tuesday? ajkux"

    def test_an_untouched_text_is_approved_to_the_letter(self, room: Room) -> None:
        body = "\n\n  Hello <b>Ann</b> & co,\n\ttabs\n\n"
        (number,) = room.desk.put(reply(body=body))
        tab = room.open()
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        assert room.decided(number) == ("approved", TOM, "", False)
        decision = room.desk.decision(number)
        assert decision is not None
        assert decision.payload["body"] == body

    def test_a_rejection_takes_its_reason_along(self, room: Room) -> None:
        number, _ = room.desk.put(reply(), note())
        tab = room.open()
        tab.keyboard.press("r")
        tab.keyboard.type("intent=support")
        tab.keyboard.press("Enter")
        shows(tab, f"Note on {ANN}")
        assert room.decided(number) == ("rejected", TOM, "intent=support", False)

    def test_many_of_low_impact_are_approved_at_once_and_nothing_of_high_impact_with_them(self, room: Room) -> None:
        low = [*room.desk.put(contact(), note()), *room.desk.put(contact("bo@fabrikam.example"))]
        (high,) = room.desk.put(reply())
        tab = room.open()
        expect(tab.locator("#count")).to_have_text("4 wait")
        tab.keyboard.press("X")
        expect(tab.locator("#marked")).to_have_text("3 marked:")
        tab.keyboard.press("A")
        expect(tab.locator("#approve-marked")).to_be_focused()
        tab.keyboard.press("Enter")
        expect(tab.locator("#count")).to_have_text("1 waits")
        assert [room.decided(number)[:2] for number in low] == [("approved", TOM)] * 3
        assert room.desk.action(high).state == "waiting"

    @pytest.mark.usefixtures("deployment")
    def test_undo_takes_back_what_was_not_sent_with_what_was_typed(
        self, ledger: Ledger, tmp_path: Path, browser_contexts: Callable[..., BrowserContext]
    ) -> None:
        with opened(ledger, tmp_path, browser_contexts, hold_seconds=30.0) as room:
            number, _ = room.desk.put(reply(), note())
            tab = room.open()
            tab.get_by_label("Text to send").fill("Hello Ann, on Tuesday.")
            tab.get_by_role("button", name="Approve a", exact=True).click()
            shows(tab, f"Note on {ANN}")
            expect(tab.locator("#held")).to_contain_text(f"Approved: Send reply to {ANN}")
            tab.keyboard.press("u")
            shows(tab, f"Send reply to {ANN}")
            expect(tab.get_by_label("Text to send")).to_have_value("Hello Ann, on Tuesday.")
            assert room.inbox.holding.all() == []
            assert room.desk.action(number).state == "waiting"

    def test_forty_approvals_take_two_keys_each_and_the_low_impact_ones_three_together(
        self, ledger: Ledger, tmp_path: Path, browser_contexts: Callable[..., BrowserContext]
    ) -> None:
        with opened(ledger, tmp_path, browser_contexts, hold_seconds=600.0) as room:
            for n in range(20):
                room.desk.put(note(f"c{n}@x.example"), forms=False)
                room.desk.put(reply(f"r{n}@x.example"), forms=False)
            room.desk.as_if_with_forms()
            tab = room.open()
            pressed = 0

            def press(*keys: str) -> None:
                nonlocal pressed
                for key in keys:
                    tab.keyboard.press(key)
                    pressed += 1

            press("X", "A", "Enter")
            for n in range(20):
                shows(tab, f"Send reply to r{n}@x.example")
                press("a", "Enter")
            shows(tab, "All done")
            assert pressed == 3 + 2 * 20
            held = room.inbox.holding.all()
            assert sorted(number for one in held for number in one.ids) == room.desk.ids
            assert all(one.approve for one in held)
            for one in held:
                room.inbox.holding.undo(one.id, TOM)

    def test_keys_are_listed_and_can_be_switched_off(self, room: Room) -> None:
        room.desk.put(reply(), note())
        tab = room.open()
        tab.keyboard.press("?")
        expect(tab.get_by_role("dialog")).to_contain_text("high-impact is not approved by this key")
        tab.get_by_label("Keys are on").uncheck()
        tab.get_by_role("button", name="Close").click()
        tab.keyboard.press("j")
        shows(tab, f"Send reply to {ANN}")

    def test_it_is_passed_on_to_who_may_decide(self, room: Room) -> None:
        (number,) = room.desk.put(reply())
        tab = room.open()
        tab.keyboard.press("p")
        tab.keyboard.type("eve@elsewhere.example")
        tab.keyboard.press("Enter")
        expect(tab.locator("#item-problem")).to_contain_text("may not decide for lead-triage")
        tab.get_by_label("To whom").fill(MARA)
        tab.get_by_label("Comment").last.fill("You know them")
        tab.get_by_role("button", name="Pass on").click()
        expect(tab.locator("article")).to_contain_text(f"{TOM} passed it on to {MARA}")
        with room.desk.ledger.read() as session:
            row = session.scalars(sa.select(Assignment)).one()
        assert (row.action_id, row.person, row.by, row.comment) == (number, MARA, TOM, "You know them")


class TestMeanwhile:
    def test_of_two_tabs_the_slower_is_told_and_loses_no_word(self, room: Room) -> None:
        (number,) = room.desk.put(reply())
        tab, other = room.open(), room.tab()
        other.goto(f"{room.url}/inbox")
        other.get_by_label("Text to send").fill("My own long answer")
        tab.bring_to_front()
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        assert room.decided(number)[0] == "approved"
        other.bring_to_front()
        expect(other.locator("#item-problem")).to_contain_text(f"Approved by {TOM}")
        expect(other.get_by_label("Text to send")).to_have_value("My own long answer")
        expect(other.locator("#approve")).to_be_disabled()

    def test_of_two_who_decide_at_once_the_second_is_told_by_whom(self, room: Room) -> None:
        (number,) = room.desk.put(reply())
        tab = room.open()
        shows(tab, f"Send reply to {ANN}")
        approvals.respond(room.desk.ledger, number, approve=False, approver=KOFI, comment="by phone")
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        # The refusal itself, or what the page has seen meanwhile.
        told = re.compile(f"does not wait for anybody: it is rejected|Rejected by {re.escape(KOFI)}")
        expect(tab.locator("#item-problem")).to_contain_text(told)

    def test_prefects_own_form_decides_meanwhile(self, room: Room) -> None:
        (number,) = room.desk.put(reply())
        tab = room.open()
        shows(tab, f"Send reply to {ANN}")
        run = str(room.desk.action(number).flow_run_id)
        answer = {"decision": "reject", "approver": "Mara", "comment": "in Prefect", "body": "x"}
        assert approval_runs.resume(run, answer) is None  # as its page does; no worker has told the ledger yet
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        expect(tab.locator("#trouble")).to_contain_text(f"Not done, #{number}")
        expect(tab.locator("#trouble")).to_contain_text("was answered in Prefect already")
        assert room.desk.decision(number) is None
        approvals.settle_form(room.desk.ledger, run, approval_runs.answer_of(run))
        assert room.decided(number)[:2] == ("rejected", "Mara")

    def test_what_expires_or_comes_in_is_seen(self, room: Room) -> None:
        first, _ = room.desk.put(reply(), note())
        tab = room.open()
        shows(tab, f"Send reply to {ANN}")
        with room.desk.ledger.write() as session:
            session.execute(sa.update(Action).where(Action.id == first).values(state="expired"))
        expect(tab.locator("#item-problem")).to_contain_text("It is expired")
        room.desk.put(refund(), workflow="billing-agent", confidence="none")
        expect(tab.locator("#list")).to_contain_text("Refund EUR 40.00")
        expect(tab.locator("#count")).to_have_text("2 wait")

    def test_it_is_held_when_the_tab_closes(self, room: Room) -> None:
        (number,) = room.desk.put(reply())
        tab = room.open()
        tab.keyboard.press("a")
        tab.keyboard.press("Enter")
        shows(tab, "All done")
        tab.close()
        assert room.decided(number)[0] == "approved"


class TestPage:
    def test_without_scripts_it_approves_edits_and_rejects(
        self, room: Room, browser_contexts: Callable[..., BrowserContext]
    ) -> None:
        first, second = room.desk.put(reply(), note())
        plain = browser_contexts(java_script_enabled=False)
        room.log_in(context=plain)
        tab = room.tab(plain)
        tab.goto(f"{room.url}/inbox")
        tab.get_by_label("Text to send").fill("Hello Ann, on Tuesday.")
        tab.locator("#comment").fill("ok")
        tab.keyboard.press("Enter")  # in a field, it presses no button
        assert room.inbox.holding.all() == []
        tab.get_by_role("button", name="Approve a", exact=True).click()
        assert room.decided(first) == ("approved", TOM, "ok", True)
        tab.goto(f"{room.url}/inbox/{second}")
        tab.locator("#comment").fill("no")
        tab.get_by_role("button", name="Reject r", exact=True).click()
        assert room.decided(second) == ("rejected", TOM, "no", False)
        plain.close()

    @pytest.mark.usefixtures("deployment")
    def test_without_scripts_it_takes_back(
        self, ledger: Ledger, tmp_path: Path, browser_contexts: Callable[..., BrowserContext]
    ) -> None:
        with opened(ledger, tmp_path, browser_contexts, hold_seconds=600.0) as room:
            (number,) = room.desk.put(reply())
            plain = browser_contexts(java_script_enabled=False)
            room.log_in(context=plain)
            tab = room.tab(plain)
            tab.goto(f"{room.url}/inbox")
            tab.get_by_role("button", name="Approve a", exact=True).click()
            expect(tab.locator("#held")).to_contain_text(f"Approved: Send reply to {ANN}")
            tab.get_by_role("button", name="Undo").click()
            expect(tab.locator("#held")).to_be_empty()
            assert room.inbox.holding.all() == []
            assert room.desk.action(number).state == "waiting"
            plain.close()

    def test_a_hostile_mail_is_shown_to_the_letter(self, room: Room) -> None:
        found = mail(HOSTILE, subject=HOSTILE, sender_name=HOSTILE)
        room.desk.put(reply(body="Hello\u202e", subject=HOSTILE), note(body=HOSTILE), email=found)
        tab = room.open()
        for part in ("#list", "article"):
            said = " ".join(tab.locator(part).inner_text().split())
            assert "<script>alert(1)</script>" in said
            assert "\u202e" not in said
        for element in ("script", "img", "iframe", "article .evidence a", "#list b:not(.high)"):
            assert tab.locator(f"main {element}, nav {element}").count() == 0, element
        expect(tab.locator("article")).to_contain_text("characters that nobody can see: U+202E")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [380, 1280])
    def test_it_fits(
        self, room: Room, browser_contexts: Callable[..., BrowserContext], width: int, scheme: Any, tmp_path: Path
    ) -> None:
        room.desk.put(contact(), note(), reply(body="A long word: " + "x" * 300), email=mail("y" * 900 + "\nHello"))
        narrow = browser_contexts(viewport={"width": width, "height": 800}, color_scheme=scheme)
        room.log_in(context=narrow)
        tab = room.tab(narrow)
        for path in ("", "/3", "/login"):
            tab.goto(f"{room.url}/inbox{path}")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
            tab.screenshot(path=tmp_path / f"{scheme}-{width}{path.replace('/', '-')}.png")
        narrow.close()

    def test_everything_has_a_name_for_those_who_cannot_see_it(self, room: Room) -> None:
        room.desk.put(reply(), note())
        tab = room.open()
        nameless = tab.evaluate(
            """() => [...document.querySelectorAll("button, input, select, textarea, a")]
            .filter(each => !each.hidden && each.type !== "hidden")
            .filter(each => !each.textContent.trim() && !(each.labels || []).length && !each.ariaLabel)
            .map(each => each.outerHTML)"""
        )
        assert nameless == []
        for role in ("banner", "navigation", "main", "search"):
            assert tab.get_by_role(role).count() == 1, role

    def test_nothing_is_left_to_do(self, room: Room) -> None:
        tab = room.open()
        shows(tab, "All done")
        room.desk.put(note())
        shows(tab, f"Note on {ANN}")

    def test_filters(self, room: Room) -> None:
        room.desk.put(reply(), note())
        room.desk.put(refund(), workflow="billing-agent", confidence="none")
        tab = room.open()
        tab.get_by_label("Workflow").select_option("billing-agent")
        tab.get_by_role("button", name="Show").click()
        expect(tab.locator("#count")).to_have_text("1 waits of 3")
        tab.goto(f"{room.url}/inbox?person={KOFI}")
        shows(tab, f"Refund EUR 40.00 to {ANN}")
        tab.keyboard.press("/")
        tab.keyboard.type("nothing like it")
        tab.keyboard.press("Enter")
        shows(tab, "All done")
        assert re.search(r"words=nothing", tab.url)


def test_what_is_old_is_not_lost_and_says_so(room: Room) -> None:
    (number,) = room.desk.put(reply(), age=timedelta(days=6))
    assert room.desk.action(number).expires_at is not None
    assert (room.desk.action(number).expires_at or utcnow()) < utcnow()
    tab = room.open()
    expect(tab.locator("article")).to_contain_text("expired")
    tab.keyboard.press("a")
    tab.keyboard.press("Enter")
    expect(tab.locator("#item-problem")).to_contain_text("expired at")
