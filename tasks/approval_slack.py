"""Approvals in Slack: what is high-impact is posted with its buttons, a press is a decision, and the message says so.

Whoever presses is known by what the Slack block declares (`approvers`, `approve_by_email`), and must be allowed by the
card. A button carries the action's number and the digest of what was shown, so that nobody approves what has changed
since. A text that does not fit into the message whole has no button to approve it. Where a decision is taken elsewhere,
the message is changed all the same.

A message is a row in `notices` for each action in it, taken before it is posted: after a crash it is looked for in
Slack by its key before it is posted again.
"""

from __future__ import annotations

import html
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from blocks import connections
from blocks.guard import guarded_by
from blocks.ledger import Action, Ledger, Notice, insert, utcnow
from blocks.slack import Slack
from blocks.vendor import VendorError
from tasks import approvals, assign, inbox, notices, visible
from tasks.actions import BY_CARD, Impact
from tasks.approvals import ApprovalError
from tasks.card import Card
from tasks.discipline import discipline
from tasks.inbox import Sight
from tasks.notices import FAILED, SENDING, SENT, Claim
from tasks.plain import counted, one_line
from tasks.processes import this_process

BLOCKS = ("slack/approvals", "slack/team")
"""Where it is posted: the first of these that says who may approve."""

KEY = "approval/"
SHOWN = "its message says what was decided"
"""The reason of a notice whose message needs no more changes."""

APPROVE, REJECT, OPEN = "signoff_approve", "signoff_reject", "signoff_open"
MOST_SINGLE = 4
"""New ones that get a message each; more are told in one, which leads to the inbox."""

MOST_LINES = 20
SECTION = 2900
"""Characters of one block of text; Slack takes 3,000."""

MOST_SECTIONS = 4
"""Blocks of a draft. What is longer is not seen whole in Slack, so it cannot be approved there."""

QUOTED = 600
"""Characters of what it answers."""

RECENT = timedelta(days=60)
"""Messages that are older are left as they are: no approval lives as long."""


@dataclass(frozen=True)
class Desk:
    """The channel in which people approve."""

    credential: str
    slack: Slack

    @property
    def channel(self) -> str:
        """As in `Notice.channel`: not the credential alone, so that nobody else sends what is begun here."""
        return f"{self.credential}/approvals"


Held = list[tuple[Claim, list[int]]]
"""Messages that are ours to post, each with its actions."""


def desk() -> Desk | None:
    """Where people approve in Slack; None where no block says who may."""
    for credential in BLOCKS:
        slack = connections.load_if_present(credential)
        if isinstance(slack, Slack) and (slack.approvers or slack.approve_by_email):
            return Desk(credential, slack)
    return None


def post(ledger: Ledger, cards: Sequence[Card], at: Desk, *, buttons: bool) -> int:
    """Post what is high-impact, waits and is not there yet; returns how many actions that were.

    Args:
        ledger: where they wait.
        cards: all of the company's.
        at: where to.
        buttons: whether presses arrive here; without, a message only leads to the inbox.

    Raises:
        VendorError: Slack could not be reached; what is left is posted the next time.
    """
    with guarded_by(discipline(ledger)):
        _post_all(ledger, cards, at, _left_behind(ledger, at), buttons=buttons, look=True)
        new = _take_new(ledger, at)
        _post_all(ledger, cards, at, new, buttons=buttons, look=False)
    return sum(len(ids) for _, ids in new)


def _post_all(ledger: Ledger, cards: Sequence[Card], at: Desk, held: Held, *, buttons: bool, look: bool) -> None:
    """Post messages that are ours; with `look`, those that are not there already."""
    for number, (claim, ids) in enumerate(held):
        try:
            ts = at.slack.find(claim.message, claim.since) if look else None
            ts = ts or _send(ledger, cards, at, claim, ids, buttons=buttons)
        except BaseException as error:  # whatever it was: somebody must look for these before they are posted again
            why = str(error) or type(error).__name__
            for mine, _ in held[number:]:
                _end(ledger, at, mine, SENDING, reason=str(replace(mine, process="", last=why)))
            raise
        if ts is not None:
            _end(ledger, at, claim, SENT, external_id=ts)


def refresh(ledger: Ledger, cards: Sequence[Card], at: Desk) -> int:
    """Let the messages say what was decided meanwhile, wherever it was; returns how many were changed.

    Raises:
        VendorError: Slack could not be reached.
    """
    changed = 0
    with guarded_by(discipline(ledger)):
        for ts, numbers in _decided(ledger, at).items():
            sights = [inbox.sight(ledger, cards, number) for number in numbers]
            text, blocks = _single(sights[0], buttons=False) if len(sights) == 1 else _several(sights)
            at.slack.update(ts, text, blocks)
            closed = [_key(one.row.id, one.row.digest) for one in sights if not one.waits]
            with ledger.write() as session:
                shown = sa.update(Notice).where(Notice.channel == at.channel, Notice.key.in_(closed))
                session.execute(shown.values(reason=SHOWN))
            changed += 1
    return changed


@dataclass(frozen=True)
class Press:
    """What somebody has pressed."""

    user: str
    approve: bool
    action_id: int
    digest: str
    teams: frozenset[str]
    """The workspace in which it was pressed, and the presser's own."""
    message: str
    """The timestamp of the message that has the button: its id in the channel."""


def read_press(payload: Mapping[str, Any]) -> Press | None:
    """What an interaction of Slack's says, whose signature holds; None where it is no decision, or none of ours."""
    if payload.get("type") != "block_actions":
        return None
    pressed, user = payload.get("actions"), payload.get("user")
    if not isinstance(pressed, list) or len(pressed) != 1 or not isinstance(pressed[0], dict):
        return None
    if not isinstance(user, dict) or pressed[0].get("action_id") not in (APPROVE, REJECT):
        return None
    number, _, digest = str(pressed[0].get("value", "")).partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and len(digest) == 64):
        return None
    team, container = (payload.get(name) for name in ("team", "container"))
    return Press(
        user=str(user.get("id") or ""),
        approve=pressed[0]["action_id"] == APPROVE,
        action_id=int(number),
        digest=digest,
        teams=frozenset((_text(team, "id"), _text(user, "team_id"))),
        message=_text(container, "message_ts"),
    )


def _text(of: object, name: str) -> str:
    return str(of.get(name) or "") if isinstance(of, dict) else ""


def decide(ledger: Ledger, cards: Sequence[Card], at: Desk, press: Press) -> str:
    """Do what somebody has pressed, if they may; else tell them alone why not, which is returned.

    Raises:
        VendorError: Slack could not be told.
    """
    said = ""
    with guarded_by(discipline(ledger)):
        try:
            _decide(ledger, cards, at, press)
        except ApprovalError as error:
            said = f"{error}. Nothing was done by your press."
        if said:
            at.slack.whisper(press.user, html.escape(said, quote=False))
    refresh(ledger, cards, at)
    return said


def _decide(ledger: Ledger, cards: Sequence[Card], at: Desk, press: Press) -> None:
    home = _home(at.slack)
    _refuse_strangers(ledger, at, press, home)
    person = _person(at.slack, press, home)
    action = approvals.action_of(ledger, press.action_id)
    if action.digest != press.digest:
        raise ApprovalError(f"action {action.id} is not the one that this message shows any more")
    if why := assign.why_not(person, action.workflow, cards):
        raise ApprovalError(why)
    if press.approve and (why := not_here(inbox.sight(ledger, cards, action.id))):
        raise ApprovalError(f"{why}: {inbox.link(action.id)}")
    approvals.respond(ledger, action.id, approve=press.approve, approver=person)


def _home(slack: Slack) -> str:
    """The id of Signoff's own workspace. Raises ApprovalError where Slack does not say."""
    try:
        return slack.team()
    except VendorError as error:
        raise ApprovalError(f"Slack did not say which workspace Signoff is in ({error.reason})") from None


def _refuse_strangers(ledger: Ledger, at: Desk, press: Press, home: str) -> None:
    """Only members of the bot's own workspace decide, and only in the message that Signoff has posted.

    Members' ids are unique within a workspace, not among them (docs.slack.dev/reference/objects/user-object).

    Raises:
        ApprovalError: it was pressed elsewhere.
    """
    if press.teams != {home}:
        raise ApprovalError("only full members of Signoff's own workspace may decide, and in it")
    mine = sa.select(Notice.external_id).where(
        Notice.key == _key(press.action_id, press.digest), Notice.channel == at.channel
    )
    with ledger.read() as session:
        posted = session.scalar(mine)
    if posted != press.message:
        raise ApprovalError("that is not the newest message about it: decide there, or in the inbox")


def _person(slack: Slack, press: Press, home: str) -> str:
    """Who a member of the workspace is, by what the block declares.

    Raises:
        ApprovalError: nobody has said, or Slack does not vouch for them.
    """
    declared = {member: person for member, person in slack.approvers.items() if member == press.user}
    if declared:
        return declared[press.user].strip().lower()
    unknown = f"Signoff does not know you: put {press.user} under “Who may approve here” of the Slack block"
    if not slack.approve_by_email:
        raise ApprovalError(unknown)
    try:
        user = slack.user(press.user)
    except VendorError as error:
        raise ApprovalError(f"{unknown} (Slack did not say who you are: {error.reason})") from None
    foreign = user.id != press.user or user.team_id != home
    if foreign or user.deleted or user.is_bot or user.is_restricted or not user.is_email_confirmed:
        raise ApprovalError(f"{unknown}; your address in Slack does not count, because you are no full member there")
    return user.profile.email.strip().lower()


def not_here(sight: Sight) -> str:
    """Why an action cannot be approved in Slack; empty when its message shows all of it."""
    if sight.unreadable:
        return sight.unreadable
    if any(box.unseen for box in sight.boxes):
        return "its text holds characters that nobody can see, so it is approved only in the inbox"
    if len(_pieces(_draft(sight))) > MOST_SECTIONS or len(_pieces(_facts(sight))) > MOST_SECTIONS:
        return "it is longer than a message here can show, so it is approved only where it is seen whole"
    return ""


def _draft(sight: Sight) -> str:
    return "\n\n".join(
        box.blank.text if len(sight.boxes) == 1 else f"{box.blank.title}: {box.blank.text}" for box in sight.boxes
    )


def _facts(sight: Sight) -> str:
    return "\n".join(f"{label}: {value}" for label, value in sight.facts)


def _pieces(text: str) -> list[str]:
    """A text in pieces that Slack takes, cut at line ends where there are any."""
    pieces, rest = [], "\n".join(_visible(line) for line in text.splitlines()).strip()
    while rest:
        end = len(rest) if len(rest) <= SECTION else max(rest.rfind("\n", 1, SECTION), 0) or SECTION
        pieces.append(rest[:end])
        rest = rest[end:].lstrip("\n")
    return pieces


def _visible(line: str) -> str:
    return visible.seen(line)


def _single(sight: Sight, *, buttons: bool) -> tuple[str, list[dict[str, Any]]]:
    """The message about one action. All that comes from outside is plain text, in which nothing is a link or a name."""
    row = sight.row
    text = html.escape(f"{'Decided' if not sight.waits else 'Sign-off wanted'}: {row.title}", quote=False)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(row.title[:150])}]
    if not sight.waits:
        return text, [*blocks, _section(outcome(sight)), _context(f"#{row.id}, {row.workflow}")]
    why = not_here(sight)
    blocks += [_section(piece) for piece in _pieces(_facts(sight))[:MOST_SECTIONS]]
    blocks.append(_context(f"{' '.join(sight.why_asked)} {_in_short(sight)}"))
    if sight.quote:
        blocks.append(_section(f"It answers “{row.record}”:\n{_cut(sight.quote, QUOTED)}"))
    draft = _pieces(_draft(sight))
    if draft:
        blocks += [{"type": "divider"}, *(_section(piece) for piece in draft[:MOST_SECTIONS])]
    if why:
        blocks.append(_context(f"{why[0].upper()}{why[1:]}."))
    return text, [*blocks, _buttons(sight, buttons=buttons, approvable=not why)]


def _in_short(sight: Sight) -> str:
    row = sight.row
    sure = f"{row.confidence:.0%} sure" if row.confidence is not None else ""
    until = f"until {row.expires_at:%d %b %H:%M} UTC" if row.expires_at else ""
    return ", ".join(
        filter(None, (f"#{row.id}", row.workflow, sure, f"${sight.cost:.4f}", f"asked: {row.asked}", until))
    )


def _several(sights: Sequence[Sight]) -> tuple[str, list[dict[str, Any]]]:
    """The message about many: one line each, and no button to approve what it does not show."""
    waiting = sum(sight.waits for sight in sights)
    said = f"{counted(waiting, 'sign-off')} wanted" if waiting else f"All {len(sights)} are decided"
    lines = [
        f"#{one.row.id} {one.row.title[:120]}" + ("" if one.waits else f": {outcome(one)}")
        for one in sights[:MOST_LINES]
    ]
    more = [f"and {len(sights) - MOST_LINES:,} more"] if len(sights) > MOST_LINES else []
    blocks = [
        {"type": "header", "text": _plain(said)},
        *(_section(piece) for piece in _pieces("\n".join([*lines, *more]))),
    ]
    return said, [*blocks, {"type": "actions", "elements": [_open(None)]}] if waiting else blocks


BECAME = {
    "done": "It is done",
    "failed": "It was not done",
    "handled": "It failed, and was done by hand",
    "unknown": "Nobody can tell whether it was done",
}
"""What became of what was approved, once that is known."""


def outcome(sight: Sight) -> str:
    """What became of an action, in words: `Approved by mara@dockwell.example on 27 Nov 10:03 UTC, with changes`."""
    found = sight.decision
    if found is None:
        return f"It is {sight.state}."
    who = {BY_CARD: " by the card's own rule", "": ""}.get(found.approver, f" by {found.approver}")
    changed = ", with changes" if found.edited else ""
    said = f": {one_line(found.comment)}" if found.comment else ""
    became = f". {BECAME[sight.state]}" if sight.state in BECAME else ""
    why = f": {one_line(sight.reason)}" if became and sight.reason and sight.state != "done" else ""
    return f"{found.verdict.capitalize()}{who} on {found.created_at:%d %b %H:%M} UTC{changed}{said}{became}{why}"


def _buttons(sight: Sight, *, buttons: bool, approvable: bool) -> dict[str, Any]:
    row = sight.row
    elements: list[dict[str, Any]] = []
    if buttons and approvable:
        # A finger that slips on a telephone must not send anything.
        elements.append(_button("Approve", APPROVE, row.id, row.digest, "primary", f"Approve: {row.title}?"[:300]))
    if buttons:
        elements.append(_button("Reject", REJECT, row.id, row.digest, "danger", f"Reject: {row.title}?"[:300]))
    return {"type": "actions", "elements": [*elements, _open(row.id)]}


def _button(label: str, name: str, number: int, digest: str, style: str, question: str) -> dict[str, Any]:
    return {
        "type": "button",
        "text": _plain(label),
        "action_id": name,
        "value": f"{number}:{digest}",
        "style": style,
        "confirm": {
            "title": _plain("Are you sure?"),
            "text": _plain(question),
            "confirm": _plain(label),
            "deny": _plain("Not now"),
        },
    }


def _open(number: int | None) -> dict[str, Any]:
    return {"type": "button", "text": _plain("Open"), "action_id": OPEN, "url": inbox.link(number)}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(text[:3000])}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(text[:2000])]}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text or " ", "emoji": False}


def _cut(text: str, most: int) -> str:
    shown = "\n".join(filter(None, (one_line(line) for line in text.splitlines())))
    return shown if len(shown) <= most else f"{shown[:most].rstrip()} [...]"


def _key(action_id: int, digest: str) -> str:
    return f"{KEY}{action_id}/{digest[:16]}"


def _take_new(ledger: Ledger, at: Desk) -> Held:
    """Take what waits and has no message yet: a few for a message each, many for one together."""
    table = Action
    wanted = sa.select(table.id, table.digest).where(
        table.state == "waiting", table.impact == Impact.HIGH, table.flow_run_id.is_not(None)
    )
    known = sa.select(Notice.key).where(Notice.channel == at.channel, Notice.key.startswith(KEY))
    with ledger.read() as session:
        there = set(session.scalars(known))
        new = [(n, d) for n, d in session.execute(wanted.order_by(table.id)) if _key(n, d) not in there]
    if not new:
        return []
    together = [new] if len(new) > MOST_SINGLE else [[one] for one in new]
    held: Held = []
    with ledger.write() as session:
        for some in together:
            claim = Claim(f"approval-{uuid.uuid4().hex}", this_process(), utcnow())
            mine = []
            for number, digest in some:
                row = insert(session, Notice).values(
                    key=_key(number, digest), channel=at.channel, state=SENDING, reason=str(claim), attempts=1,
                    text=f"sign-off wanted: #{number}", created_at=utcnow(),
                )  # fmt: skip
                row = row.on_conflict_do_nothing(index_elements=[Notice.key, Notice.channel]).returning(Notice.id)
                if session.scalar(row) is not None:  # else another process was faster
                    mine.append(number)
            if mine:
                held.append((claim, mine))
    return held


def _left_behind(ledger: Ledger, at: Desk) -> Held:
    """The messages whose sender has let go or is gone, each now ours."""
    found = notices.left_behind(ledger, sa.and_(Notice.channel == at.channel, Notice.key.startswith(KEY)))
    return [(claim, [int(row.key.split("/")[1]) for row in rows]) for claim, rows in found]


def _send(
    ledger: Ledger, cards: Sequence[Card], at: Desk, claim: Claim, ids: Sequence[int], *, buttons: bool
) -> str | None:
    """Post a message; its timestamp, or None where nothing of it waits any more, or Slack refuses it for good."""
    sights = [sight for number in ids if (sight := inbox.sight(ledger, cards, number)).waits]
    if not sights:
        _end(ledger, at, claim, FAILED, reason="it was decided before it could be posted")
        return None
    text, blocks = _single(sights[0], buttons=buttons) if len(ids) == 1 else _several(sights)
    try:
        return at.slack.post(text, claim.message, blocks)
    except VendorError as error:
        if not error.permanent or error.unknown:
            raise
        _end(ledger, at, claim, FAILED, reason=str(error))
        return None


def _end(
    ledger: Ledger, at: Desk, claim: Claim, state: str, *, reason: str | None = None, external_id: str | None = None
) -> None:
    mine = sa.update(Notice).where(Notice.channel == at.channel, Notice.state == SENDING, Notice.reason == str(claim))
    sent_at = utcnow() if state == SENT else None
    with ledger.write() as session:
        session.execute(mine.values(state=state, reason=reason, external_id=external_id, sent_at=sent_at))


def _decided(ledger: Ledger, at: Desk) -> Mapping[str, list[int]]:
    """By message, all its actions, where one of them was decided and the message does not say so."""
    sent = sa.select(Notice.key, Notice.external_id, Notice.reason).where(
        Notice.channel == at.channel,
        Notice.state == SENT,
        Notice.key.startswith(KEY),
        Notice.created_at > utcnow() - RECENT,
    )
    with ledger.read() as session:
        rows = [(int(key.split("/")[1]), ts, reason) for key, ts, reason in session.execute(sent.order_by(Notice.id))]
        unsaid = [number for number, _, reason in rows if reason is None]
        closed = sa.select(Action.id).where(Action.id.in_(unsaid), Action.state != "waiting")
        decided = set(session.scalars(closed)) if unsaid else set()
    found: dict[str, list[int]] = defaultdict(list)
    for number, ts, _ in rows:
        found[ts].append(number)
    return {ts: numbers for ts, numbers in found.items() if decided & set(numbers)}
