"""The pages' addresses. GET changes nothing; each POST names its own page and the session's token.

Every request must be addressed to this machine or to `SIGNOFF_INBOX_URL`: a stranger's name that points here (DNS
rebinding) is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from blocks.ledger import LedgerUnavailable
from deployments import comments
from deployments.inbox import render
from deployments.inbox.held import HeldAlready
from deployments.inbox.requests import (
    INSIDE,
    Form,
    Refused,
    address,
    back,
    check_host,
    check_origin,
    fields,
    filter_of,
    is_here,
    is_secure,
    lines,
    read_form,
    verdict,
    wants_json,
    whole,
)
from deployments.inbox.sessions import COOKIE, Attempts, Session, is_password
from deployments.waiting import ui_url
from tasks import actions, approvals, assign, inbox
from tasks.approvals import ApprovalError
from tasks.card import of_workflow
from tasks.inbox import Filter, Sight, Waiting

if TYPE_CHECKING:
    from deployments.inbox.service import Inbox

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Not no-referrer: with that, browsers say null for the origin of a form, which is looked at.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""On every page of ours. The receiver adds what is the same for all its answers."""

MOST = 2**31 - 1
"""The highest number of an action that every database takes."""

DIGITS = len(str(MOST))
MOST_SLOW = 8
"""Tries with a password that are held up at once, while many are wrong."""

BOX = "box-"
"""How the names of the boxes in a form begin that the approver may rewrite."""

Handler = Callable[[Request, Form], Response]


class _Number(Convertor[int]):
    """An action's number in an address. `int` would take any number of digits, and fail at the 4301st."""

    regex = f"[0-9]{{1,{DIGITS}}}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("action", _Number())


class Pages:
    """The handlers. Each runs in a thread, and returns a whole answer."""

    def __init__(self, service: Inbox) -> None:
        self._inbox = service
        self._slow = 0

    def add_to(self, routes: APIRouter) -> None:
        """Put every address into a router."""
        for path, method, handler in (
            ("", "GET", self.overview),
            ("/", "GET", self.overview),
            ("/login", "GET", self.login_page),
            ("/login", "POST", self.login),
            ("/enter", "POST", self.enter),
            ("/logout", "POST", self.logout),
            ("/changes", "GET", self.changes),
            ("/undo", "POST", self.undo),
            ("/together", "POST", self.together),
            ("/page.css", "GET", self.static),
            ("/page.js", "GET", self.static),
            ("/{number:action}", "GET", self.item),
            ("/{number:action}/decide", "POST", self.decide),
            ("/{number:action}/assign", "POST", self.assign),
            ("/{rest:path}", "GET", self.nowhere),  # the last: what no other has matched
        ):
            routes.add_api_route(path, self._endpoint(handler), methods=[method], include_in_schema=False)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                check_host(request)
                form = await read_form(request) if request.method == "POST" else []
                if handler == self.login:
                    await self._hold_up(request)
                answer = await run_in_threadpool(handler, request, form)
            except Refused as error:
                answer = await run_in_threadpool(self._refuse, request, error)
            except (ApprovalError, HeldAlready) as error:
                answer = await run_in_threadpool(self._refuse, request, Refused(409, str(error)))
            except LedgerUnavailable as error:
                answer = await run_in_threadpool(self._refuse, request, Refused(503, str(error), 5))
            for name, value in SECURITY.items():
                answer.headers.setdefault(name, value)
            return answer

        return endpoint

    def nowhere(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """An address that means nothing here.

        Raises:
            Refused: always.
        """
        raise Refused(404, f"there is no page {request.url.path}")

    def overview(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """All that waits, with the first of it opened."""
        session = self._session(request)
        if session is None:
            return self._to_login(request)
        chosen = filter_of(request)
        rows = self._rows(chosen)
        if request.query_params.get("part") == "list":
            return HTMLResponse(self._page(session, "list.html", groups=render.grouped(rows), selected=None))
        ordered = [row for group in render.grouped(rows) for row in group.rows]
        first = self._sight(ordered[0].id) if ordered else None
        return HTMLResponse(self._whole(session, rows, chosen, first, at="list"))

    def item(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """One action, whatever its state."""
        session = self._session(request)
        if session is None:
            return self._to_login(request)
        try:
            sight = self._sight(_number(request))
        except ApprovalError as error:
            raise Refused(404, str(error)) from None
        if request.query_params.get("part") == "item":
            return HTMLResponse(self._page(session, "item.html", **self._of_item(session, sight)))
        chosen = filter_of(request)
        return HTMLResponse(self._whole(session, self._rows(chosen), chosen, sight, at="item"))

    def changes(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """What waits now, what can be taken back, and what came of this person's decisions: for the page's script."""
        session = self._session(request)
        if session is None:
            raise Refused(401, "your session is over: log in again. What you have typed is still on this page")
        after = whole(request.query_params.get("after", "0"), most=20)
        if after is None:
            raise Refused(400, "what is asked for after is the number of a decision")
        held = self._inbox.holding.all()
        mine = [
            {"action": told.action_id, "approve": told.approve, "problem": told.problem, "number": told.number}
            for told in self._inbox.holding.told(after)
            if told.person == session.person
        ]
        return JSONResponse(
            {
                "waiting": self._waiting_ids(),
                "held": [self._of_held(one, session) for one in held],
                "told": mine,
            }
        )

    def decide(self, request: Request, form: Form) -> Response:
        """Approve or reject one action, as it was shown. It is sent some seconds later."""
        session, values = self._posted(request, form), dict(form)
        number = _number(request)
        approve = verdict(values)
        sight = self._shown(session, number, values.get("digest", ""))
        if approve and sight.unreadable:
            raise Refused(409, sight.unreadable)
        self._refuse_slip([sight.row.workflow], values)
        edits = self._edits(sight, values) if approve else {}
        held = self._inbox.holding.hold(
            session.person,
            {number: sight.row.digest},
            approve=approve,
            said=sight.row.title,
            comment=values.get("comment", "").strip(),
            edits=edits,
        )
        return self._done(request, session, held, values)

    def together(self, request: Request, form: Form) -> Response:
        """Approve or reject several low-impact actions as they were shown."""
        session, values = self._posted(request, form), dict(form)
        approve = verdict(values)
        chosen: dict[int, str] = {}
        waiting = {row.id: row for row in self._rows(Filter())}
        for name, value in form:
            if name != "chosen":
                continue
            number, _, digest = value.partition(":")
            row = waiting.get(whole(number, DIGITS) or 0)
            if row is None:
                raise Refused(409, f"action {number[:12]} does not wait any more. Nothing was decided: look again")
            self._check_together(session, row, digest)
            chosen[row.id] = digest
        if not chosen:
            raise Refused(422, "nothing is chosen: mark what you mean first")
        self._refuse_slip([waiting[number].workflow for number in chosen], values)
        first = waiting[next(iter(chosen))]
        said = first.title if len(chosen) == 1 else f"{first.title} and {len(chosen) - 1} more"
        comment = values.get("comment", "").strip()
        held = self._inbox.holding.hold(session.person, chosen, approve=approve, said=said, comment=comment)
        return self._done(request, session, held, values)

    def undo(self, request: Request, form: Form) -> Response:
        """Take a decision back that was not sent yet."""
        session, values = self._posted(request, form), dict(form)
        held = self._inbox.holding.undo(values.get("held", ""), session.person)
        if held is None:
            raise Refused(409, "too late: it was sent already")
        if wants_json(request):
            return JSONResponse({"undone": held.ids})
        return RedirectResponse(back(values) if len(held.ids) > 1 else f"/inbox/{held.ids[0]}", 303)

    def assign(self, request: Request, form: Form) -> Response:
        """Pass an action on to somebody else."""
        session, values = self._posted(request, form), dict(form)
        number = _number(request)
        self._may(session, approvals.action_of(self._inbox.ledger, number).workflow)
        person = values.get("person", "")
        row = assign.assign(
            self._inbox.ledger,
            number,
            person,
            by=session.person,
            comment=values.get("comment", ""),
            cards=self._inbox.cards,
        )
        self._inbox.tell_soon()
        if wants_json(request):
            return JSONResponse({"asked": row.person})
        return RedirectResponse(f"/inbox/{number}", 303)

    def login_page(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """Where somebody says who they are."""
        return self._login_page(request, to=request.query_params.get("to", ""))

    def login(self, request: Request, form: Form) -> Response:
        """Let in whoever has the server's password, under an address that a card knows."""
        values = self._from_stranger(request, form)
        person = assign.who_may(values.get("person", ""), self._inbox.cards)
        right = is_password(values.get("password", ""), self._inbox.password) and person is not None
        self._judge(self._inbox.attempts, request, right=right)
        if not right or person is None:
            raise Refused(403, "this address and password do not open the page: the address must be on a card")
        return self._let_in(request, person, values)

    def enter(self, request: Request, form: Form) -> Response:
        """Let in whoever has a one-time code, which `signoff inbox` makes on this machine."""
        values = self._from_stranger(request, form)
        if not (is_here(request.url.hostname or "") and is_here(request.client.host if request.client else "")):
            raise Refused(403, "a code opens the page on the machine that made it only")
        person = self._inbox.doors.enter(values.get("code", "").strip())
        if person is None:
            self._judge(self._inbox.codes, request, right=False)
            if self._session(request):  # whoever comes back with the link that let them in
                return RedirectResponse("/inbox", 303)
            raise Refused(403, "this code was used, or is too old: `signoff inbox` makes another")
        return self._let_in(request, person, values)

    def logout(self, request: Request, form: Form) -> Response:
        """End the session, whoever else has its cookie."""
        self._inbox.sessions.end(self._posted(request, form))
        answer = RedirectResponse("/inbox/login", 303)
        answer.delete_cookie(COOKIE, path="/inbox")
        return answer

    def static(self, request: Request, form: Form) -> Response:  # noqa: ARG002
        """The page's looks and its script."""
        name = request.url.path.rpartition("/")[2]
        headers = {"Cache-Control": "public, max-age=86400"}
        return Response(render.static(name), media_type=render.STATIC[name], headers=headers)

    # What the handlers share.

    def _refuse_slip(self, workflows: Sequence[str], values: Mapping[str, str]) -> None:
        if wrong := comments.slip(workflows, values.get("comment", "")):
            raise Refused(422, wrong)

    def _session(self, request: Request) -> Session | None:
        session = self._inbox.sessions.read(request.cookies.get(COOKIE, ""))
        return session if session is not None and session.person else None

    def _posted(self, request: Request, form: Form) -> Session:
        """The session of a form that was made on a page of ours."""
        check_origin(request)
        session = self._session(request)
        if session is None:
            raise Refused(401, "your session is over: log in again. What you have typed is still on the page before")
        if not self._inbox.sessions.is_token(session, dict(form).get("token", "")):
            raise Refused(403, "this form is not of your session: load the page again")
        return session

    def _from_stranger(self, request: Request, form: Form) -> Mapping[str, str]:
        """The values of a form on the page that asks who somebody is."""
        check_origin(request)
        values = dict(form)
        session = self._inbox.sessions.read(request.cookies.get(COOKIE, ""))
        if session is None or not self._inbox.sessions.is_token(session, values.get("token", "")):
            raise Refused(403, "this page was open for too long, or cookies are off: try once more")
        return values

    def _judge(self, attempts: Attempts, request: Request, *, right: bool) -> None:
        """Count a wrong try; refuse one, right or wrong, of an address that has made many."""
        if wait := attempts.judge(address(request), right=right):
            raise Refused(429, f"too many wrong tries: wait {wait:.0f} seconds", wait)

    async def _hold_up(self, request: Request) -> None:
        """Let a try with a password take its time while many are wrong, and not too many at once."""
        seconds = self._inbox.attempts.delay(address(request))
        if not seconds:
            return
        if self._slow >= MOST_SLOW:
            raise Refused(429, f"too many try at once: wait {2 * seconds:.0f} seconds", 2 * seconds)
        self._slow += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._slow -= 1

    def _let_in(self, request: Request, person: str, values: Mapping[str, str]) -> Response:
        to = values.get("to", "")
        answer = RedirectResponse(to if INSIDE.fullmatch(to) else "/inbox", 303)
        self._set_cookie(request, answer, self._inbox.sessions.begin(person))
        return answer

    def _set_cookie(self, request: Request, answer: Response, session: Session) -> None:
        answer.set_cookie(
            COOKIE,
            self._inbox.sessions.cookie(session),
            path="/inbox",
            httponly=True,
            samesite="strict",
            secure=is_secure(request),
            max_age=max(0, session.until - self._inbox.sessions.now),
        )

    def _to_login(self, request: Request) -> Response:
        if "part" in request.query_params:
            raise Refused(401, "your session is over: log in again. What you have typed is still on this page")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        here = re.sub(r"[?&]from=link\b", "", path)
        # A strict cookie is not sent by whoever comes from elsewhere (an e-mail, Slack). Once more, from here, it is.
        if request.headers.get("sec-fetch-site") == "cross-site" and "from=link" not in path:
            again = f"{here}{'&' if '?' in here else '?'}from=link"
            return HTMLResponse(render.page("again.html", to=again if INSIDE.fullmatch(here) else "/inbox"))
        return self._login_page(request, to=here)

    def _login_page(self, request: Request, *, to: str, problem: str = "", status: int = 200) -> Response:
        known = self._inbox.sessions.read(request.cookies.get(COOKIE, ""))
        session = known or self._inbox.sessions.begin()
        html = render.page(
            "login.html",
            token=self._inbox.sessions.token(session),
            to=to if INSIDE.fullmatch(to) else "/inbox",
            with_password=self._inbox.password is not None,
            problem=problem,
        )
        answer = HTMLResponse(html, status)
        if known is None:
            self._set_cookie(request, answer, session)
        return answer

    def _rows(self, chosen: Filter) -> list[Waiting]:
        """What waits, without what was decided and is still held."""
        held = {number for one in self._inbox.holding.all() for number in one.ids}
        rows = inbox.waiting(self._inbox.ledger, self._inbox.cards, chosen)
        return [row for row in rows if row.id not in held]

    def _waiting_ids(self) -> list[int]:
        return inbox.waiting_ids(self._inbox.ledger)

    def _sight(self, number: int) -> Sight:
        return inbox.sight(self._inbox.ledger, self._inbox.cards, number)

    def _shown(self, session: Session, number: int, digest: str) -> Sight:
        """What a form was about, if it can still be decided, and by whoever sent it."""
        approvals.waiting_action(self._inbox.ledger, number)
        sight = self._sight(number)
        if sight.row.digest != digest:
            raise Refused(409, f"action {number} is not what this page showed any more: load it again")
        self._may(session, sight.row.workflow)
        return sight

    def _check_together(self, session: Session, row: Waiting, digest: str) -> None:
        if row.is_high:
            raise Refused(403, f"action {row.id} ({row.title}) is high-impact: a person decides on each by itself")
        if row.unreadable:
            raise Refused(409, f"action {row.id} ({row.title}): {row.unreadable}. Nothing was decided")
        if row.digest != digest or not row.has_form:
            raise Refused(409, f"action {row.id} is not what this page showed any more. Nothing was decided")
        self._may(session, row.workflow)

    def _may(self, session: Session, workflow: str) -> None:
        if why := assign.why_not(session.person, workflow, self._inbox.cards):
            raise Refused(403, why)

    def _edits(self, sight: Sight, values: Mapping[str, str]) -> dict[str, str]:
        """What was changed in the boxes, checked as it will be when it is done."""
        edits = {
            box.blank.name: text
            for box in sight.boxes
            if (text := values.get(f"{BOX}{box.blank.name}")) is not None and text != lines(box.blank.text)
        }
        if not edits:
            return {}
        action = approvals.action_of(self._inbox.ledger, sight.row.id)
        answer = {box.blank.name: box.blank.text for box in sight.boxes} | edits
        try:
            changed = actions.load(action.kind, action.payload).filled(answer)
            actions.load(action.kind, action.payload | changed)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refused(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        except ValueError as error:
            raise Refused(422, str(error)) from None
        for box in sight.boxes:
            if box.blank.required and not answer[box.blank.name].strip():
                raise Refused(422, f"{box.blank.title}: something has to stand there")
        return edits

    def _done(self, request: Request, session: Session, held: Any, values: Mapping[str, str]) -> Response:
        if wants_json(request):
            return JSONResponse({"held": self._of_held(held, session)})
        return RedirectResponse(back(values), 303)

    def _of_held(self, held: Any, session: Session) -> dict[str, Any]:
        return {
            "id": held.id,
            "actions": held.ids,
            "approve": held.approve,
            "said": held.said,
            "mine": held.person == session.person,
            "person": held.person,
            "trouble": held.trouble,
        }

    def _whole(self, session: Session, rows: Sequence[Waiting], chosen: Filter, sight: Sight | None, *, at: str) -> str:
        every = rows if chosen == Filter() else self._rows(Filter())
        query = urlencode({name: value for name, value in fields(chosen).items() if value})
        return self._page(
            session,
            "inbox.html",
            groups=render.grouped(list(rows)),
            selected=sight.row.id if sight else None,
            count=len(rows),
            total=len(every),
            chosen=chosen,
            query=query,
            workflows=sorted({row.workflow for row in every}),
            kinds=sorted({row.kind for row in every}),
            asked=sorted({row.asked for row in every} | {session.person}),
            held=[self._of_held(one, session) for one in self._inbox.holding.all() if one.person == session.person],
            told=[one for one in self._inbox.holding.told() if one.person == session.person and one.problem][-3:],
            seconds=self._inbox.holding.seconds,
            poll=self._inbox.poll_seconds,
            at=at,
            **(self._of_item(session, sight) if sight else {"sight": None}),
        )

    def _of_item(self, session: Session, sight: Sight) -> dict[str, Any]:
        card = of_workflow(sight.row.workflow, self._inbox.cards)
        why_not = assign.why_not(session.person, sight.row.workflow, self._inbox.cards)
        return {
            "sight": sight,
            "may": not why_not,
            "why_not": why_not,
            "people": assign.people([card]) if card else [],
            "form_link": self._form_link(sight),
            "box": BOX,
        }

    def _form_link(self, sight: Sight) -> str:
        return f"{ui_url()}/runs/flow-run/{sight.row.flow_run_id}" if sight.row.has_form else ""

    def _page(self, session: Session, template: str, **values: Any) -> str:
        return render.page(
            template, person=session.person, token=self._inbox.sessions.token(session), problem="", **values
        )

    def _refuse(self, request: Request, error: Refused) -> Response:
        headers = {"Retry-After": f"{max(1, round(error.wait))}"} if error.wait else {}
        if wants_json(request) or "part" in request.query_params or request.url.path.endswith("/changes"):
            return JSONResponse({"error": str(error)}, error.status, headers)
        if request.url.path in ("/inbox/login", "/inbox/enter") and error.status in (403, 429):
            to = str(request.query_params.get("to", ""))
            answer = self._login_page(request, to=to, problem=str(error), status=error.status)
        else:
            answer = HTMLResponse(render.page("refused.html", why=str(error), status=error.status), error.status)
        answer.headers.update(headers)
        return answer


def _number(request: Request) -> int:
    """The action that an address names.

    Raises:
        Refused: it names none that a ledger could have.
    """
    number: int = request.path_params["number"]
    if number > MOST:
        raise Refused(404, f"there is no action {number}")
    return number
