"""Notices: people are told outside Prefect, once for a key and channel, whatever crashes or runs twice.

A notice is a row: `pending`, then `sending` with a claim, then `sent`. The alerts that wait for a channel go out as one
message, so that a storm of them is not a storm of posts. After a crash, or a lost reply, a message is looked for at the
vendor's before it is sent again: in Slack by the key in its metadata, in Gmail by its draft. A webhook cannot be asked:
there it is `unknown`, which opens an alert, and is not repeated. A channel that is down is tried again for a day, and
keeps no other from being told.

Why this needs no gate: the gate stands between a model's words, or a stranger's, and the world outside. A notice is
made by code of ours, of figures and of what a vendor said (with whatever looks like a credential blanked), and it goes
to ourselves: our own Slack channel, our own receiver, and by e-mail only to who owns a card or stands on its `allowed`
list. Nobody outside can choose where it goes, and it does nothing.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.guard import guarded_by
from blocks.ledger import Alert, Ledger, Notice, insert, utcnow
from blocks.vendor import VendorError, scrub
from tasks.card import Card
from tasks.discipline import discipline
from tasks.notice_channels import KINDS, Channel, Channels, Kind, Message, configured
from tasks.performers.base import InDoubt
from tasks.plain import counted, one_line
from tasks.processes import is_gone, this_process
from tasks.side_by_side import TookTooLong, side_by_side

PENDING, SENDING, SENT, FAILED, UNKNOWN = "pending", "sending", "sent", "failed", "unknown"

PATIENCE = timedelta(days=1)
"""How long a channel that is down is tried again."""

BLINK = timedelta(hours=1)
"""An alert that was opened and closed unseen is still told of if it was closed this recently."""

FORGOTTEN = timedelta(days=7)
"""That an alert is over is told no more after so long."""

STUCK = timedelta(minutes=10)
"""A claim of another machine's process that is older than this has been given up."""

SECONDS = 90.0
"""How long one channel may take."""

MOST_AT_ONCE = 500
"""Notices in one message ..."""

MOST_LINES = 20
"""... and those of them that are told in words; the rest is counted."""

LONGEST_LINE = 400
"""Characters of one notice among others."""

LONGEST_SUBJECT = 100
OURS = "Signoff"
"""How every subject begins."""

ALERT = "alert/"
"""How the keys of notices about alerts begin: `alert/12/opened`, `alert/12/closed`."""


@dataclass(frozen=True)
class Told:
    """How a notice stands in one channel."""

    channel: str
    state: str
    reason: str = ""
    """Why it was not sent (yet)."""


@dataclass(frozen=True)
class Claim:
    """Who is sending a message, and how far that has got. It is in `Notice.reason` while the state is `sending`."""

    message: str
    """The key by which the message is found again."""
    process: str
    """Which process sends it; empty when it has let go, and somebody must look whether it was sent."""
    since: datetime
    progress: dict[str, Any] = field(default_factory=dict)
    last: str = ""
    """What went wrong."""

    def __str__(self) -> str:
        return json.dumps(asdict(self) | {"since": self.since.isoformat()}, ensure_ascii=False)

    @classmethod
    def read(cls, text: str | None) -> Claim:
        """The claim in a row."""
        fields = json.loads(text or "{}")
        return cls(**fields | {"since": datetime.fromisoformat(fields["since"])})

    @property
    def is_given_up(self) -> bool:
        """Whether nobody is sending it any more."""
        gone = is_gone(self.process) if self.process else True
        return gone if gone is not None else utcnow() - self.since > STUCK


def left_behind(ledger: Ledger, mine: sa.ColumnElement[bool]) -> list[tuple[Claim, list[Notice]]]:
    """The messages whose sender has let go or is gone, each now ours: two that look at once do not take the same.

    Args:
        ledger: where they are.
        mine: which notices are looked through.
    """
    begun = sa.select(Notice).where(mine, Notice.state == SENDING).order_by(Notice.id)
    with ledger.read() as session:
        if session.scalar(begun.limit(1)) is None:
            return []
    found: dict[str, tuple[Claim, list[Notice]]] = {}
    with ledger.write() as session:
        for row in session.scalars(begun):
            claim = Claim.read(row.reason)
            if claim.is_given_up:
                ours, rows = found.setdefault(claim.message, (replace(claim, process=this_process()), []))
                rows.append(row)
                row.reason, row.attempts = str(ours), row.attempts + 1
    return list(found.values())


def tell(
    ledger: Ledger,
    key: str,
    text: str,
    cards: Sequence[Card],
    *,
    subject: str | None = None,
    to: Sequence[str] | None = None,
    via: Sequence[Kind] = KINDS,
    urgent: bool = False,
) -> list[Told]:
    """Tell people something, once for a key and channel: calling it again with the same key tells nobody twice.

    What cannot be sent now (a channel is down, the hours are quiet) goes out with a later health check.

    Args:
        ledger: where it is kept that they were told.
        key: what it is, for example `digest/2026-11-27` or `expiry/40`; nothing that begins with `alert/`.
        text: plain text; what looks like a credential is blanked. With no subject, its first line is the e-mail's.
        cards: all of the company's: their owners, and who is on their `allowed` lists, may be written to.
        subject: the e-mail's.
        to: the addresses that get it by e-mail; None for every owner and whoever the Variable names.
        via: only these kinds of channel; `("gmail",)` for what concerns one person alone.
        urgent: in quiet hours, too.

    Returns:
        How it stands in each channel, those that are left out (with the reason) among them.
    """
    channels = configured(cards, via, to)
    with ledger.write() as session:
        for channel in channels.usable:
            _add(session, key, channel, f"{subject}\n\n{text}" if subject else text)
    reasons = {each.channel: each.reason for each in _deliver_all(ledger, channels, urgent=urgent)}
    mine = sa.select(Notice).where(Notice.key == key).order_by(Notice.id)
    with ledger.read() as session:
        told = [_told(notice) for notice in session.scalars(mine)]
    # What waits behind a message that was refused has no reason of its own.
    told = [
        each if each.state == SENT else replace(each, reason=each.reason or reasons.get(each.channel, ""))
        for each in told
    ]
    return told + [Told(name, "left out", why) for name, why in channels.left_out.items()]


def send(ledger: Ledger, cards: Sequence[Card]) -> list[Told]:
    """Tell people of the alerts that were opened or closed, and of whatever else waits to be told.

    Args:
        ledger: where alerts and notices are.
        cards: all of the company's.

    Returns:
        The notices that this call has sent, or could not send; and the channels that are left out.
    """
    channels = configured(cards)
    _give_up(ledger)
    _note_alerts(ledger, channels.usable)
    told = _deliver_all(ledger, channels)
    return told + [Told(name, "left out", why) for name, why in channels.left_out.items()]


@dataclass(frozen=True)
class Missed:
    """A channel in which people may have missed something."""

    channel: str
    notices: int
    reason: str
    """Of the newest."""
    is_lost: bool
    """Whether some of it is not tried again."""


def missed(ledger: Ledger, now: datetime) -> Iterator[Missed]:
    """The channels in which something from the last two days has not arrived, though it was tried more than once."""
    tried = sa.and_(Notice.state.in_((PENDING, SENDING)), Notice.attempts > 1)
    which = sa.or_(Notice.state.in_((FAILED, UNKNOWN)), tried)
    lately = sa.select(Notice).where(Notice.created_at > now - 2 * PATIENCE, which).order_by(Notice.id)
    with ledger.read() as session:
        found = session.scalars(lately).all()
    by_channel: dict[str, list[Told]] = {}
    for told in map(_told, found):
        by_channel.setdefault(told.channel, []).append(told)
    for channel, mine in by_channel.items():
        lost = any(told.state in (FAILED, UNKNOWN) for told in mine)
        yield Missed(channel, len(mine), mine[-1].reason or mine[-1].state, lost)


def _told(notice: Notice) -> Told:
    reason = Claim.read(notice.reason).last if notice.state == SENDING else notice.reason
    return Told(notice.channel, notice.state, reason or "")


def _add(session: Session, key: str, channel: Channel, text: str) -> None:
    text = "".join(c for c in scrub(text) if c.isprintable() or c == "\n")
    new = insert(session, Notice).values(
        key=key, channel=channel.name, state=PENDING, text=text, attempts=0, created_at=utcnow()
    )
    session.execute(new.on_conflict_do_nothing(index_elements=[Notice.key, Notice.channel]))


def _note_alerts(ledger: Ledger, channels: Sequence[Channel]) -> None:
    """Put into the ledger what is to be told of the alerts, before anything is sent."""
    now = utcnow()
    known = sa.select(Notice.key, Notice.channel, Notice.state).where(Notice.key.startswith(ALERT))
    recent = sa.select(Alert).where(sa.or_(Alert.closed_at.is_(None), Alert.closed_at > now - FORGOTTEN))
    with ledger.read() as session:
        states = {(key, channel): state for key, channel, state in session.execute(known)}
        found = session.scalars(recent.order_by(Alert.id)).all()
    wanted = [
        (key, channel, text)
        for channel in channels
        for alert in found
        if channel.concerns(alert.workflow)
        for key, text in _of_alert(alert, states.get((f"{ALERT}{alert.id}/opened", channel.name)), now)
        if (key, channel.name) not in states
    ]
    if wanted:  # nearly always there is nothing, and nobody need wait for it
        with ledger.write() as session:
            for key, channel, text in wanted:
                _add(session, key, channel, text)


def _of_alert(alert: Alert, opened: str | None, now: datetime) -> Iterator[tuple[str, str]]:
    """The notices that an alert calls for in a channel where its opening is in the state `opened`.

    That it is over is told only where it was told that it began.
    """
    if opened is None and (alert.closed_at is None or alert.closed_at > now - BLINK):
        opened = PENDING
        yield f"{ALERT}{alert.id}/opened", f"Alert: {alert.message}"
    if alert.closed_at is not None and opened not in (None, FAILED):
        lasted = _lasted(alert.closed_at - alert.opened_at)
        yield f"{ALERT}{alert.id}/closed", f"Over, after {lasted}: {alert.message}"


def _lasted(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    if minutes < 120:
        return counted(max(minutes, 1), "minute")
    return counted(round(minutes / 60), "hour") if minutes < 2880 else counted(round(minutes / 1440), "day")


def _deliver_all(ledger: Ledger, channels: Channels, *, urgent: bool = False) -> list[Told]:
    quiet = channels.settings.is_quiet(utcnow()) and not urgent
    deliveries = [_Delivery(ledger, each, quiet=quiet and each.kind != "outgoing-webhook") for each in channels.usable]
    told: list[Told] = []
    results = side_by_side([delivery.run for delivery in deliveries], SECONDS)
    for delivery, result in zip(deliveries, results, strict=True):
        told += delivery.told
        if isinstance(result, TookTooLong):
            told.append(Told(delivery.channel.name, SENDING, f"no answer within {SECONDS:g} s"))
        elif isinstance(result, Exception):
            raise result
    return told


def _give_up(ledger: Ledger) -> None:
    """What could not be told within a day is not told any more, in whichever channel: one that is gone, perhaps."""
    late = sa.and_(Notice.state == PENDING, Notice.created_at < utcnow() - PATIENCE)
    with ledger.read() as session:
        if session.scalar(sa.select(Notice.id).where(late).limit(1)) is None:
            return
    why = sa.func.coalesce("not within a day: " + Notice.reason, "the channel was not there for a day")
    with ledger.write() as session:
        session.execute(sa.update(Notice).where(late).values(state=FAILED, reason=why))


@dataclass
class _Held:
    """Notices that go out as one message, and our claim on them."""

    ids: list[int]
    claim: Claim
    message: Message
    created_at: datetime


class _Delivery:
    """Everything that waits for one channel, brought there."""

    def __init__(self, ledger: Ledger, channel: Channel, *, quiet: bool) -> None:
        self._ledger, self.channel, self._quiet = ledger, channel, quiet
        self.told: list[Told] = []

    def run(self) -> None:
        """First what somebody was sending who is gone, then what is new; until the channel says no."""
        with guarded_by(discipline(self._ledger)):
            left = left_behind(self._ledger, Notice.channel == self.channel.name)
            goes_on = all([self._take_up(self._hold(rows, claim)) for claim, rows in left])
            while goes_on and not self._quiet and (held := self._take_new()):
                goes_on = self._send(held)

    def _take_new(self) -> _Held | None:
        """What waits: all notices about alerts together, or one of another kind."""
        with self._ledger.read() as session:
            if session.scalar(sa.select(Notice.id).where(self._mine(PENDING)).limit(1)) is None:
                return None
        query = sa.select(Notice).where(self._mine(PENDING)).order_by(Notice.id).limit(MOST_AT_ONCE)
        with self._ledger.write() as session:
            rows = session.scalars(query).all()
            if not rows:  # another process was faster
                return None
            about_alerts = [row for row in rows if row.key.startswith(ALERT)]
            claim = Claim(f"notice-{uuid.uuid4().hex}", this_process(), utcnow())
            held = self._hold(about_alerts or rows[:1], claim)
            changed = _these(held.ids).values(state=SENDING, reason=str(claim), attempts=Notice.attempts + 1)
            session.execute(changed)
        return held

    def _hold(self, rows: Sequence[Notice], claim: Claim) -> _Held:
        message = composed(rows, claim)
        return _Held([row.id for row in rows], claim, message, min(row.created_at for row in rows))

    def _take_up(self, held: _Held) -> bool:
        """Look whether a message was sent, and send it if not; whether the channel is well."""
        try:
            found = self.channel.find(held.message, dict(held.claim.progress), partial(self._save, held))
        except InDoubt as error:
            self._end(held, UNKNOWN, reason=str(error))
            return True
        except VendorError as error:
            if utcnow() - held.created_at > PATIENCE:
                self._end(
                    held, UNKNOWN, reason=f"its reply was lost, and for a day it could not be looked for: {error}"
                )
            else:
                self._let_go(held, str(error))
            return False
        except BaseException:
            self._let_go(held, "it was interrupted")
            raise
        if found is not None:
            self._end(held, SENT, external_id=found)
            return True
        return self._quiet or self._send(held)

    def _send(self, held: _Held) -> bool:
        """Send a message that is ours; whether the channel is well."""
        try:
            sent = self.channel.send(held.message, dict(held.claim.progress), partial(self._save, held))
        except VendorError as error:
            self._was_refused(held, error)
            return False
        except BaseException:
            self._let_go(held, "it was interrupted")
            raise
        self._end(held, SENT, external_id=sent)
        return True

    def _was_refused(self, held: _Held, error: VendorError) -> None:
        """What is begun (a draft lies in the mailbox) or in doubt is looked for next time; all else just waits."""
        if not error.unknown and not held.claim.progress:
            self._end(held, PENDING, reason=str(error))
        elif error.unknown and self.channel.kind == "outgoing-webhook":
            self._end(held, UNKNOWN, reason=str(error))
        else:
            self._let_go(held, str(error))

    def _save(self, held: _Held, progress: dict[str, Any]) -> None:
        before, held.claim = held.claim, replace(held.claim, progress=dict(progress))
        self._change(held, before, reason=str(held.claim))

    def _let_go(self, held: _Held, why: str) -> None:
        before, held.claim = held.claim, replace(held.claim, process="", last=why)
        self._change(held, before, reason=str(held.claim))
        self.told.append(Told(self.channel.name, SENDING, why))

    def _end(self, held: _Held, state: str, *, reason: str | None = None, external_id: str | None = None) -> None:
        at = utcnow() if state == SENT else None
        self._change(held, held.claim, state=state, reason=reason, external_id=external_id, sent_at=at)
        self.told += [Told(self.channel.name, state, reason or "")] * len(held.ids)

    def _change(self, held: _Held, claim: Claim, **values: Any) -> None:
        """Change the rows, if the claim on them is still the one that we know."""
        mine = _these(held.ids).where(Notice.state == SENDING, Notice.reason == str(claim))
        with self._ledger.write() as session:
            changed = session.execute(mine.values(**values).returning(Notice.id)).all()
        if len(changed) != len(held.ids):
            logging.getLogger(__name__).warning("notices %s were taken over by another process", held.ids)

    def _mine(self, state: str) -> sa.ColumnElement[bool]:
        return sa.and_(Notice.channel == self.channel.name, Notice.state == state)


def _these(ids: Sequence[int]) -> Any:
    return sa.update(Notice).where(Notice.id.in_(ids))


def composed(rows: Sequence[Notice], claim: Claim) -> Message:
    """One message of one or more notices: the same for the same rows, whoever makes it."""
    texts = [row.text for row in rows]
    if len(texts) == 1:
        subject, text = texts[0].partition("\n")[0], texts[0]
    else:
        begun = sum(row.key.endswith("/opened") for row in rows)
        parts = (counted(begun, "new alert"), begun), (counted(len(rows) - begun, "alert") + " over", len(rows) - begun)
        subject = ", ".join(words for words, count in parts if count)
        lines = [f"• {_cut(text, LONGEST_LINE)}" for text in texts[:MOST_LINES]]
        more = [f"... and {len(texts) - MOST_LINES:,} more."] if len(texts) > MOST_LINES else []
        text = "\n".join([f"{subject}:", *lines, *more])
    if rows[0].key.startswith(ALERT):
        text = f"{text}\n\nsignoff alerts shows what is open."
    notices = [{"key": row.key, "text": row.text} for row in rows]
    content = {"type": "signoff.notices", "timestamp": claim.since.isoformat(), "data": {"notices": notices}}
    return Message(
        key=claim.message,
        subject=_cut(subject if subject.startswith(OURS) else f"{OURS}: {subject}", LONGEST_SUBJECT),
        text=text,
        content=content,
        since=claim.since,
    )


def _cut(text: str, most: int) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
