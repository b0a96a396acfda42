"""Fetch: what came in becomes records in the ledger, each of them once; and what is known about their senders."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from blocks.gmail import Gmail, HistoryExpired, MessageGone, RawMessage
from blocks.hubspot import ASKED_ALWAYS, HubSpot
from blocks.ledger import Cursor, Ledger, Record, insert, utcnow
from blocks.mail import Email, MalformedMail, parse
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks import backlog, drift, records
from tasks.checks import Suite, unfit
from tasks.circuit import CircuitOpen
from tasks.run import Run
from tasks.verb import ACCOUNT, concurrently, last_attempt, raise_if_worth_retrying, verb

GONE = (("SPAM", "spam"), ("TRASH", "the trash"))
"""What is in there is answered for nobody."""

RECENT = "newer_than:30d"
"""Of what carries a label."""

FIRST_SYNC = "newer_than:7d"
"""What a first look at an inbox takes in: a week, not ten years."""

OVERLAP = timedelta(days=1)
"""How far a full sync reaches back behind the last good one; what is known already is not taken twice."""

UNREADABLE_AFTER = 5
"""Runs that may fail to read a message before it is set aside for a person."""

CONTACT = "contact"
"""Where in a record's context its sender's contact is."""

CONTROL = "nobody@example.com"
"""An address that no vendor can object to: by it, a request that is wrong is told from an address that is."""

Outcomes = Mapping[str, RawMessage | VendorError]
"""Message id -> the message, or why it could not be read."""


@dataclass(frozen=True)
class Mailbox:
    """A mailbox, and which of its messages are this workflow's."""

    gmail: Gmail
    query: str
    """Gmail's search for them, for the first look and whenever the history has expired."""
    label: str = ""
    """Only what carries this label, wherever it lies; empty for what is in the inbox."""
    unless: tuple[str, ...] = ()
    """Nothing that carries one of these labels: it is another workflow's."""

    @property
    def source(self) -> str:
        """What the ledger calls it."""
        return f"gmail:{self.gmail.mailbox}"

    @cached_property
    def names(self) -> dict[str, str]:
        """The names of the labels, in lower case, by id. Asked for once, and only where a label counts."""
        return {id: name.lower() for id, name in self.gmail.label_names().items()}

    def not_ours(self, labels: Collection[str], *, asked_for: bool) -> str:
        """Why a message with these labels is left alone; nothing when it is ours. `asked_for`: a person put it back."""
        if gone := next((f"it is in {name}" for label, name in GONE if label in labels), ""):
            return gone
        if asked_for:  # whoever put it back knows that it is archived
            return ""
        carries = {self.names.get(label, "") for label in labels} if self.label or self.unless else set()
        if theirs := next((label for label in self.unless if label.lower() in carries), ""):
            return f"labelled {theirs}: another workflow's"
        if self.label:
            return "" if self.label.lower() in carries else f"somebody has taken the label {self.label} off it"
        return "" if "INBOX" in labels else "somebody has already taken it out of the inbox"


@dataclass(frozen=True)
class Arrivals:
    """Message ids that are not in the ledger yet, and where to read on when all of them are."""

    ids: list[str]
    cursor: str | None


@verb("fetch")
def inbox(run: Run, *, query: str, limit: int, suite: Suite, unless: tuple[str, ...] = ()) -> list[int]:
    """Take new e-mails into the ledger, take up what is to be read again, and claim up to `limit` unfinished records.

    The records and the cursor are stored in one transaction, so a crash neither loses nor repeats a message. A message
    that cannot be read enters as a record without content, and keeps neither the cursor nor the others back.

    Returns:
        The claimed records' ids, oldest first; those that an earlier run left unfinished come before new ones.

    Raises:
        VendorError: Gmail could not be read; nothing was stored for the messages that failed.
        SchemaDrift: a message is no longer what it was; nothing was stored, so all of them keep their place.
        MissingCredential: the card's Gmail block does not exist.
    """
    return _take_in(run, Mailbox(run.connection("gmail"), query, unless=unless), limit, suite)


@verb("fetch")
def labelled(run: Run, label: str, *, limit: int, suite: Suite) -> list[int]:
    """As `inbox`, of the e-mails that carry a label, whoever put it there: a filter, a person, another workflow.

    Mail that is older than a month is not looked at, however lately it was labelled.
    """
    return _take_in(run, Mailbox(run.connection("gmail"), f'label:"{label}"', label=label), limit, suite)


def _take_in(run: Run, box: Mailbox, limit: int, suite: Suite) -> list[int]:
    source = box.source
    if backlog.is_of_one() and backlog.free(run):
        return claim(run, limit)
    arrivals = _labelled_arrivals(run, box) if box.label else _arrivals(run, box)
    taken = arrivals.ids[: backlog.intake(limit)]
    again = _to_read_again(run, limit)
    outcomes = _read_all(box.gmail, [*taken, *(r.external_id for r in again if r.source == source)])
    if any(isinstance(outcome, RawMessage) for outcome in outcomes.values()):
        drift.seen(run, "gmail:message")
    blamed = _blamed(outcomes, set(taken))
    rows = [row for i in taken if (row := _arrived(run, box, i, outcomes[i], i in blamed)) is not None]
    changes = {r.id: _taken_up(box, r, outcomes.get(r.external_id), r.external_id in blamed) for r in again}
    _check([*rows, *changes.values()], suite)
    errors = [e for i in taken if i not in blamed and (e := _worth_telling(outcomes[i]))]
    with run.ledger.write() as session:
        _insert_new(session, rows)
        _store_again(session, changes)
        if len(taken) == len(arrivals.ids) and not errors and arrivals.cursor:
            session.merge(Cursor(workflow=run.card.workflow, source=source, value=arrivals.cursor, updated_at=utcnow()))
    _tell(run, len(arrivals.ids) - len(taken), limit, blamed, changes)
    claimed = claim(run, limit)
    # Not `len(rows)`: a retry no longer sees what the first attempt has stored.
    raise_if_worth_retrying(errors, succeeded=len(claimed))
    if errors:
        run.note(f"{len(errors)} e-mails could not be read and are left to the next run: {errors[0]}")
    return claimed


@verb("fetch contacts")
def contacts(run: Run, ids: Sequence[int], who: Callable[[Record], str]) -> None:
    """Look up who each record of a batch is from, in HubSpot and in one call, and keep what is known with the record.

    What is read of a contact are the fields on the card. An address that HubSpot does not take sets its own record
    aside, and no other.

    Raises:
        VendorError: HubSpot could not be read.
        SchemaDrift: a contact came back without one of the card's fields.
    """
    batch = [r for r in records.in_state(run.ledger, ids, records.FETCHED) if CONTACT not in (r.context or {})]
    if not batch:
        return
    address = {r.id: who(r).strip().lower() for r in batch}
    known, refused = _known(run, set(address.values()))
    with run.ledger.write() as session:
        good = [r for r in batch if address[r.id] not in refused]
        contexts = {r.id: {**(r.context or {}), CONTACT: known.get(address[r.id])} for r in good}
        records.move(session, ({"id": i, "context": context} for i, context in contexts.items()))
        bad = [r for r in batch if address[r.id] in refused]
        records.move(session, [records.failed(r, refused[address[r.id]]) for r in bad])


def _known(run: Run, addresses: Collection[str]) -> tuple[dict[str, dict[str, Any]], dict[str, VendorError]]:
    """The contacts by address, and the addresses that HubSpot does not take, with its word for each."""
    hubspot: HubSpot = run.connection("hubspot")
    fields = run.card.fields_of("hubspot")
    refused: dict[str, VendorError] = {}
    try:
        known = hubspot.contacts_by_email(addresses, fields)
    except VendorError as error:
        if error.status != 400:
            raise
        known, refused = _one_by_one(hubspot, addresses, fields)
    drift.seen(run, "hubspot:contact-batch")
    if known:
        drift.seen(run, "hubspot:contact", ("id", "properties", *ASKED_ALWAYS, *fields))
    return known, refused


def _one_by_one(
    hubspot: HubSpot, addresses: Collection[str], fields: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, VendorError]]:
    """One bad address has HubSpot refuse the whole batch: ask for each, to find out which it is."""
    hubspot.contacts_by_email([CONTROL], fields)  # refused too: then the request is wrong, and no address is to blame
    known: dict[str, dict[str, Any]] = {}
    refused: dict[str, VendorError] = {}
    for address, outcome in concurrently(lambda one: hubspot.contacts_by_email([one], fields), sorted(addresses)):
        if isinstance(outcome, dict):
            known |= outcome
        elif outcome.status == 400:
            refused[address] = outcome
        else:
            raise outcome
    return known, refused


def claim(run: Run, limit: int) -> list[int]:
    """Claim the oldest unfinished records that no living run holds."""
    table = Record
    free = (
        sa.select(table.id)
        .where(
            table.workflow == run.card.workflow,
            table.state.in_(records.UNFINISHED),
            sa.or_(table.run_id.is_(None), table.run_id == run.id),
        )
        # Records that only wait for a vendor's recovery come last: they must not keep new ones from being looked at.
        .order_by(table.state == records.GATED, table.id)
        .limit(limit)
    )
    with run.ledger.write() as session:
        ids = list(session.scalars(free))
        session.execute(sa.update(table).where(table.id.in_(ids)).values(run_id=run.id))
    run.claimed = ids
    backlog.beside(run)
    return ids


def _labelled_arrivals(run: Run, box: Mailbox) -> Arrivals:
    """What carries the label and is not known. A label may be put on old mail, so no history is followed here."""
    ids = box.gmail.list_message_ids(f"{box.query} {RECENT}")
    drift.seen(run, "gmail:message-list")
    return Arrivals(unknown(run.ledger, run.card.workflow, box.source, ids[::-1]), None)


def _arrivals(run: Run, box: Mailbox) -> Arrivals:
    gmail, source = box.gmail, box.source
    with run.ledger.read() as session:
        cursor = session.get(Cursor, (run.card.workflow, source))
    if cursor is not None:
        try:
            ids, reached = gmail.added_since(cursor.value)
        except HistoryExpired:
            run.note("Gmail's history had expired: the inbox was read in full again")
        else:
            drift.seen(run, "gmail:history")
            return Arrivals(unknown(run.ledger, run.card.workflow, source, ids), reached)
    # The history id is read before the list: what arrives in between is then seen twice, not never.
    reached = gmail.history_id()
    since = FIRST_SYNC if cursor is None else f"after:{int((cursor.updated_at - OVERLAP).timestamp())}"
    ids = gmail.list_message_ids(f"{box.query} {since}")
    drift.seen(run, "gmail:profile")
    drift.seen(run, "gmail:message-list")
    return Arrivals(unknown(run.ledger, run.card.workflow, source, ids[::-1]), reached)


def unknown(ledger: Ledger, workflow: str, source: str, ids: Sequence[str]) -> list[str]:
    """Those of the ids that the ledger does not hold yet, each once, in their order."""
    table = Record
    with ledger.read() as session:
        known = set(
            session.scalars(
                sa.select(table.external_id).where(
                    table.workflow == workflow, table.source == source, table.external_id.in_(ids)
                )
            )
        )
    return [i for i in dict.fromkeys(ids) if i not in known]


def _to_read_again(run: Run, limit: int) -> list[Record]:
    """The records whose message is read in this run, once more or at last; each of them once a run."""
    query = (
        sa.select(Record)
        .where(
            Record.workflow == run.card.workflow,
            Record.state.in_(records.TO_READ),
            Record.source.startswith("gmail:"),
            Record.updated_at < run.started_at,
        )
        .order_by(Record.id)
        .limit(limit)
    )
    with run.ledger.read() as session:
        return list(session.scalars(query))


def _read_all(gmail: Gmail, ids: Sequence[str]) -> Outcomes:
    """Every message, or why it could not be read.

    Raises:
        SchemaDrift: a message is no longer what it was, which is no message's own fault.
    """
    outcomes: dict[str, RawMessage | VendorError] = {}
    for message_id, outcome in concurrently(gmail.get_raw, ids):
        if isinstance(outcome, SchemaDrift):
            raise outcome
        outcomes[message_id] = outcome
    return outcomes


def _blamed(outcomes: Outcomes, new: Collection[str]) -> frozenset[str]:
    """The messages that are at fault themselves, and are written down as that.

    Where several fail and none can be read, Gmail is. A new message is given all attempts of its first run, if a retry
    can help; one that is known for it already gets one a run, and keeps nobody waiting.
    """
    failed = {i: e for i, e in outcomes.items() if isinstance(e, VendorError) and not isinstance(e, MessageGone)}
    if len(failed) > 1 and not any(isinstance(outcome, RawMessage) for outcome in outcomes.values()):
        return frozenset()
    return frozenset(
        message_id
        for message_id, error in failed.items()
        if error.status not in ACCOUNT
        and not isinstance(error, CircuitOpen)
        and (error.permanent or last_attempt() or message_id not in new)
    )


def _worth_telling(outcome: RawMessage | VendorError) -> VendorError | None:
    """The error, unless the message was only deleted since it was listed."""
    return outcome if isinstance(outcome, VendorError) and not isinstance(outcome, MessageGone) else None


def _arrived(
    run: Run, box: Mailbox, message_id: str, outcome: RawMessage | VendorError, blamed: bool
) -> dict[str, Any] | None:
    """The new record of a message; None when it is left to the next run, or gone."""
    identity = {"workflow": run.card.workflow, "source": box.source, "external_id": message_id, "version": "1"}
    if isinstance(outcome, RawMessage):
        return {**identity, "failures": 0, **_content(box, outcome, asked_for=False)}
    if not blamed:
        return None
    blank = {"title": "(not read yet)", "payload": {"message_id": message_id}}
    return {**identity, **blank, **_failed_to_read(records.UNREAD, 0, outcome)}


def _taken_up(box: Mailbox, record: Record, outcome: RawMessage | VendorError | None, blamed: bool) -> dict[str, Any]:
    """The change to a record that was to be read again; an empty one when it stays as it is."""
    if isinstance(outcome, RawMessage):
        content = _content(box, outcome, asked_for=record.state == records.REPLAY)
        unreadable = content["state"] == records.QUARANTINED
        if unreadable and _stored(record):  # what an earlier version could read is worth keeping
            del content["payload"], content["title"]
        return {"external_id": record.external_id, "failures": 0, **content}
    if outcome is None or isinstance(outcome, MessageGone):
        return {"external_id": record.external_id, **_without_message(box.gmail, record, gone=outcome is not None)}
    return _failed_to_read(record.state, record.failures, outcome) if blamed else {}


def _content(box: Mailbox, message: RawMessage, *, asked_for: bool) -> dict[str, Any]:
    """What a message says, and the state in which its record begins; `asked_for` when a person put it back."""
    try:
        email = parse(message.raw, message_id=message.id, thread_id=message.thread_id, received_at=message.received_at)
    except MalformedMail as error:
        payload = {"message_id": message.id, "thread_id": message.thread_id}
        reason = f"malformed: {error}"
        return {"title": "(unreadable)", "payload": payload, "state": records.QUARANTINED, "reason": reason}
    why = _not_ours_to_answer(email, box.gmail) or box.not_ours(message.label_ids, asked_for=asked_for)
    return _of_email(email, why)


def _of_email(email: Email, why_not: str) -> dict[str, Any]:
    state = records.SKIPPED if why_not else records.FETCHED
    title, payload = email.subject or "(no subject)", email.model_dump(mode="json")
    return {"title": title, "payload": payload, "state": state, "reason": why_not or None}


def _without_message(gmail: Gmail, record: Record, *, gone: bool) -> dict[str, Any]:
    """What becomes of a record whose message cannot be had any more: what the ledger holds of it must do."""
    if record.state == records.UNREAD:
        return {"state": records.SKIPPED, "reason": "it was deleted before it could be read"}
    email = _stored(record)
    if email:
        return _of_email(email, _not_ours_to_answer(email, gmail))
    what = "its message was deleted" if gone else f"its message is in another mailbox than {gmail.mailbox}"
    reason = f"{what}, and the ledger holds no more of it than its ids"
    return {"state": records.QUARANTINED, "reason": reason}


def _stored(record: Record) -> Email | None:
    """The e-mail as the ledger holds it, if it does as a whole."""
    try:
        return Email.model_validate(record.payload)
    except ValidationError:
        return None


def _failed_to_read(state: str, failures: int, error: VendorError) -> dict[str, Any]:
    failures += 1
    if failures < UNREADABLE_AFTER:
        return {"state": state, "failures": failures, "reason": f"will be read again: {error}"}
    reason = f"its message could not be read in {failures} runs: {error}"
    return {"state": records.QUARANTINED, "failures": failures, "reason": reason}


def _not_ours_to_answer(email: Email, gmail: Gmail) -> str:
    if email.machine:
        return f"{email.machine}: not written by a person to us"
    if email.sender.lower() == gmail.mailbox.lower() and not email.reply_to:  # with one, it is the web site's form
        return "our own mail"
    return ""


def _tell(run: Run, waiting: int, limit: int, blamed: Collection[str], changes: Mapping[int, dict[str, Any]]) -> None:
    if waiting:
        run.left_outside = waiting
        run.note(f"{waiting} more e-mails wait in the inbox (limit {limit} a run)")
    if blamed:
        some = "1 e-mail" if len(blamed) == 1 else f"{len(blamed)} e-mails"
        run.note(f"{some} could not be read; the next runs try again: signoff ledger show")
    back = [change for change in changes.values() if change.get("state") == records.QUARANTINED]
    if back:
        run.note(f"{len(back)} replayed records went back to quarantine: {back[0]['reason']}")


def _check(rows: list[dict[str, Any]], suite: Suite) -> None:
    """Quarantine, in place, the rows that the suite refuses."""
    fresh = {row["external_id"]: row for row in rows if row.get("state") == records.FETCHED}
    reasons = unfit([as_checked(key, row["payload"]) for key, row in fresh.items()], suite)
    for key, reason in reasons.items():
        fresh[key] |= {"state": records.QUARANTINED, "reason": reason}


def as_checked(key: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A message's fields, and `said`: subject and text together, since some people write only one of them."""
    return {**payload, "said": f"{payload['subject']} {payload['text']}", "id": key}


def _store_again(session: Session, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Only where it still stands as it was read: another run may have taken it up at the same time."""
    for record_id, change in changes.items():
        values = {name: value for name, value in change.items() if name != "external_id"}
        if values:
            standing = sa.update(Record).where(Record.id == record_id, Record.state.in_(records.TO_READ))
            session.execute(standing.values(**values, updated_at=utcnow()))


def _insert_new(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose identity is not there yet: two runs may have read the same inbox at once."""
    if not rows:
        return
    session.execute(insert(session, Record).on_conflict_do_nothing(), list(rows))
