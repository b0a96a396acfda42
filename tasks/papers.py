"""Documents from folders and the inbox: each is taken in once, read, and its values put beside the paper.

A file that cannot be read is set aside with the reason; one that has come before is left alone, and says so.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from PIL import Image
from pydantic import BaseModel, Field

from blocks import connections
from blocks.connections import MissingCredential
from blocks.documents import Reader, Sheet, Unreadable
from blocks.documents.kinds import SUPPORTED
from blocks.documents.sheet import unpacked
from blocks.extraction import evidence
from blocks.extraction.evidence import UNSAID, Extraction, Said
from blocks.extraction.looks import is_sound, look
from blocks.gmail import MessageGone
from blocks.ledger import Action, Ledger, ModelCall, Paper, Record, insert, utcnow
from blocks.mail import files_of
from blocks.models import Picture
from blocks.rows import Rows, identity
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from prompts.document_intake.answer import PaperAnswer
from prompts.document_intake.schemas import LINES, OTHER, find, mark_of, marks, schemas, title_of
from prompts.document_intake.schemas import Paper as Kind
from prompts.document_intake.schemas.kinds import Amount, Currency, Day, Party
from tasks import alerts, records
from tasks.actions import AddRow
from tasks.checks import Suite, unfit
from tasks.circuit import CircuitOpen
from tasks.fetch import claim
from tasks.run import Run
from tasks.sources import DriveFolder, Folder, Gone, SourceError
from tasks.verb import ACCOUNT, raise_if_worth_retrying, verb

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

    from blocks.gmail import Gmail
    from blocks.library import Item

EXTRACTION = "extraction"
"""Where in a record's context its weighed values are."""

OF = "of"
"""Where in the payload of what hangs on an e-mail it stands how many documents do."""

NOTE = "how_read"
"""Where in a record's payload it stands how the document was read."""

NOT_CLEAR = f"it is not clear whether it is one of the kinds that are entered: {', '.join(schemas())}"

LARGEST = 25_000_000
"""Bytes of a file that is taken in: it is kept until it is decided on. Gmail takes no larger ones either."""

KEPT = ("confidence", "printed", "page", "boxes", "line", "second", "where")
"""What a row keeps of each value's evidence."""

MOST_SHOWN = 8
"""Pages that a model is shown; of a longer document the first ones and the last."""

SHOWN_DPI = 110.0
"""A page of A4 then has 1,290 pixels in height, which no model scales down."""

MOST = 10_000_000
"""The largest amount that is believed, in any currency."""

SMALLEST_PICTURE = 8_000
"""Bytes under which a picture in a mail is a logo or a signature."""


class Attachments(BaseModel):
    """What is attached to e-mails."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")
    credential: str = Field(default="gmail/inbox", pattern=r"^gmail/[a-z0-9-]+$")
    query: str = "in:inbox has:attachment newer_than:30d"
    """Gmail's search for the e-mails."""


Source = Folder | DriveFolder | Attachments
"""Where documents come from."""


@dataclass(frozen=True)
class Arrival:
    """A document that is not in the ledger yet."""

    source: str
    external_id: str
    version: str
    name: str
    mime_type: str | None
    size: int
    known: Mapping[str, Any]
    """What is known of it besides: `link`, `sender`, `message_id`."""
    content: Callable[[], bytes]
    """Raises Gone, Unreadable, OSError and VendorError."""


@verb("fetch documents")
def arrived(run: Run, sources: Sequence[Source], *, limit: int) -> list[int]:
    """Take new documents into the ledger, read each, and claim unfinished records.

    One document is one transaction: a run that dies has lost none, and reads none twice. A source that nobody has
    connected, that is not there (any more) or that does not answer keeps no other from it.

    Args:
        run: the run.
        sources: where to look.
        limit: at most so many are taken, and so many claimed.

    Returns:
        The claimed records' ids, oldest first.

    Raises:
        VendorError: no source could be looked at.
    """
    errors: list[VendorError] = []
    looked = 0
    with Reader() as reader:
        _read_again(run, reader, limit)
        left = limit
        for source in sources:
            try:
                new = _new_in(run, source, errors)
                for arrival in islice(new, left):
                    errors += filter(None, [_take_in(run, reader, arrival)])
                    left -= 1
                if not left and next(new, None) is not None:
                    run.note(f"more documents wait in {source.name} (limit {limit} a run)")
            except (MissingCredential, SourceError) as error:
                run.note(f"{source.name} was passed over: {error}")
                if isinstance(error, SourceError):
                    alerts.open_alert(run.ledger, _alert(source), f"documents cannot be looked for: {error}")
                continue
            except VendorError as error:
                errors.append(error)
                continue
            alerts.close_alert(run.ledger, _alert(source))
            looked += 1
    claimed = claim(run, limit)
    raise_if_worth_retrying(errors, succeeded=looked)
    if errors:
        run.note(f"{len(errors)} documents or folders could not be had and are left to the next run: {errors[0]}")
    return claimed


def _alert(source: Source) -> str:
    return f"documents:{source.name}"


def sheet_of(ledger: Ledger, record_id: int) -> Sheet:
    """The words of a record's document in their places. Raises KeyError where there are none (any more)."""
    with ledger.read() as session:
        packed = session.scalar(sa.select(Paper.sheet).where(Paper.record_id == record_id))
    if packed is None:
        raise KeyError(f"the words of record {record_id}'s document are not kept (any more)")
    return unpacked(json.loads(zlib.decompress(packed)))


def content_of(ledger: Ledger, record_id: int) -> tuple[bytes, str] | None:
    """A record's document and its name; None when it is not kept any more."""
    with ledger.read() as session:
        paper = session.scalar(sa.select(Paper).where(Paper.record_id == record_id))
    return (paper.content, paper.name) if paper is not None and paper.content is not None else None


def telling(company: str) -> Callable[[Record], dict[str, Any]]:
    """What the prompt is told of a document: a function of its record."""

    def variables(record: Record) -> dict[str, Any]:
        payload = record.payload
        return {
            "company": company,
            "other": OTHER,
            "name": payload["name"],
            "pages": payload.get("pages") or 1,
            "notes": "; ".join(payload.get(NOTE) or ()),
            "pictured": bool(payload.get("pictured")),
            "text": payload.get("text", ""),
        }

    return variables


def showing(ledger: Ledger) -> Callable[[Record], list[Picture]]:
    """The pages of a document as a model sees them: pictures of ours, so that hidden text stays hidden."""

    def pictures(record: Record) -> list[Picture]:
        paper = content_of(ledger, record.id) if record.payload.get("pictured") else None
        if paper is None:
            return []
        content, name = paper
        pages = int(record.payload.get("pages") or 1)
        wanted = [*range(1, min(pages, MOST_SHOWN) + 1)]
        if pages > MOST_SHOWN:
            wanted[-1] = pages  # where the total stands
        with Reader() as reader:
            return [_picture(reader.picture(content, name, page, dpi=SHOWN_DPI)) for page in wanted]

    return pictures


def _picture(jpeg: bytes) -> Picture:
    with Image.open(BytesIO(jpeg)) as opened:
        return Picture(jpeg, *opened.size)


def row_of(record: Record) -> AddRow:
    """The row that a document's record wants, as it was weighed."""
    found = (record.context or {})[EXTRACTION]
    values: Mapping[str, Any] = found["values"]
    doubtful = dict(found["unsure"])
    if found["doubts"]:
        doubtful[""] = "; ".join(found["doubts"])
    lines = [{name: cell["value"] for name, cell in line.items() if cell["value"]} for line in found["lines"]]
    evidence = {name: {key: one[key] for key in KEPT} for name, one in values.items()}
    if lines:
        cells = [{name: {key: cell[key] for key in KEPT} for name, cell in line.items()} for line in found["lines"]]
        evidence[LINES] = {"cells": cells}
    return AddRow(
        paper=found["kind"],
        fields={name: one["value"] for name, one in values.items() if one["value"]},
        lines=tuple(line for line in lines if line),
        file=record.payload["name"],
        sha256=record.payload["sha256"],
        doubtful=doubtful,
        twin=found["twin"],
        evidence=evidence,
    )


@verb("inspect")
def inspect(run: Run, ids: Sequence[int], own: str = "") -> None:
    """Put what the model read of each document beside the document, check it, and keep what came of it.

    Afterwards a record is `sure` when its kind and every value is. What is doubtful, and why, is in its context. What
    may or may not be of a kind is set aside.
    """
    batch = [r for r in records.in_state(run.ledger, ids, records.VALIDATED) if EXTRACTION not in (r.context or {})]
    if not batch:
        return
    by_model = _asked_a_model(run.ledger, [record.id for record in batch])
    changes = []
    weighed: dict[int, Extraction] = {}
    for record in batch:
        answer = PaperAnswer.model_validate(record.answer)
        if answer.kind == OTHER:
            kept = {"id": record.id, "context": {**(record.context or {}), EXTRACTION: None}}
            changes.append(kept if record.sure else records.quarantine(record.id, NOT_CLEAR))
            continue
        try:
            sheet = sheet_of(run.ledger, record.id)
        except KeyError as error:
            changes.append(records.quarantine(record.id, str(error.args[0])))
            continue
        weighed[record.id] = evidence.weigh(
            find(answer.kind),
            [Said(one.field, one.value, one.page) for one in answer.values],
            [[Said(one.field, one.value, one.page) for one in line.values] for line in answer.lines],
            sheet,
            today=record.created_at.date(),
            by_model=record.id in by_model,
            own=own,
        )
    odd, same = _odd(run, weighed)
    for number, one in weighed.items():
        record = next(record for record in batch if record.id == number)
        answer = PaperAnswer.model_validate(record.answer)
        unlike = () if record.sure else (f"it may be no {answer.kind}: that is {answer.confidence:.0%} sure",)
        doubts = (*unlike, *one.doubts, *odd.get(number, ()))
        unsure = _as_known(Rows(run.ledger), one, one.unsure(run.card.thresholds.confidence))
        found = one.packed() | {
            "doubts": list(doubts),
            "twin": same.get(number, ""),
            "unsure": {name: "; ".join(why) for name, why in unsure.items()},
        }
        changes.append(
            {
                "id": number,
                "sure": not unsure and not doubts,
                "context": {**(record.context or {}), EXTRACTION: found},
            }
        )
    with run.ledger.write() as session:
        records.move(session, changes)


def _as_known(rows: Rows, one: Extraction, unsure: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What is unsure, seen beside earlier rows: a name that is there already is sure, an account that is new is not.

    Whoever pays looks at an account when it is first seen, and when it changes: that is how invoices are forged.
    """
    found = dict(unsure)
    for name, why in unsure.items():
        value = one.values[name].value if name in one.values else None
        known = isinstance(mark_of(one.kind, name), Party) and value is not None and why == (UNSAID,)
        if known and rows.latest(one.kind, name, {name: value}):
            del found[name]
    for name, owner in one.kind.steady:
        value, whose = (one.values[each].value if each in one.values else None for each in (name, owner))
        if value is None:
            continue
        last = rows.latest(one.kind, name, {owner: whose})
        if last is None:
            found[name] = (*found.get(name, ()), f"it is the first that is seen of this {title_of(owner).lower()}")
        elif last[1] != value:
            why_not = f"row {last[0]} of {one.kind.table} has {last[1]} for this {title_of(owner).lower()}"
            found[name] = (*found.get(name, ()), why_not)
    return found


def suite_of(kind: type[Kind]) -> Suite:
    """What the rows of a kind must be like, made of what its fields are."""

    def suite() -> Sequence[Expectation]:
        import great_expectations.expectations as gxe

        found: list[Expectation] = []
        for name, _, mark in marks(kind):
            if isinstance(mark, Amount):
                notes = f"its {name} is out of all range"
                found.append(
                    gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-MOST, max_value=MOST, notes=notes)
                )
            elif isinstance(mark, Day):
                found.append(
                    gxe.ExpectColumnValuesToMatchRegex(
                        column=name, regex=r"^(?:19[89]|20[0-5])\d-", notes=f"its {name} is a year that cannot be"
                    )
                )
            elif isinstance(mark, Currency):
                found.append(
                    gxe.ExpectColumnValuesToMatchRegex(
                        column=name, regex=r"^[A-Z]{3}$", notes=f"its {name} is no currency's code"
                    )
                )
        return found

    return suite


def _odd(run: Run, weighed: Mapping[int, Extraction]) -> tuple[dict[int, list[str]], dict[int, str]]:
    """By record, what is wrong with a whole row, what the batch's checks say; and which other is of the same paper."""
    odd: dict[int, list[str]] = {}
    same: dict[int, str] = {}
    rows = Rows(run.ledger)
    waiting = _waiting(run.ledger, run.card.workflow)
    for kind in dict.fromkeys(one.kind for one in weighed.values()):
        mine = {number: one for number, one in weighed.items() if one.kind is kind}
        checked = [_as_checked(number, one) for number, one in mine.items()]
        for name, why in unfit(checked, suite_of(kind)).items():
            odd.setdefault(int(name), []).append(why)
        for number, one in mine.items():
            values = {name: weighed.value for name, weighed in one.values.items()}
            who = identity(kind, values)
            if who is None:
                continue
            twin, other = rows.same_as(kind, values), waiting.get((kind.name, who), number)
            if twin is not None or other != number:
                same[number] = f"row {twin} of {kind.table}" if twin is not None else f"record {other}"
                odd.setdefault(number, []).append(f"it may be a duplicate: {same[number]} is the same {kind.name}")
            waiting.setdefault((kind.name, who), number)
    return odd, same


def _as_checked(number: int, one: Extraction) -> dict[str, Any]:
    """A row as Great Expectations takes it: amounts as numbers, dates as text."""
    row: dict[str, Any] = {"id": str(number)}
    for name, _, mark in marks(one.kind):
        value = one.values[name].value if name in one.values else None
        row[name] = None if value is None else float(str(value)) if isinstance(mark, Amount) else str(value)
    return row


def _waiting(ledger: Ledger, workflow: str) -> dict[tuple[str, str], int]:
    """The record of each paper whose row has not been added yet, by its kind and what is the same for its copies."""
    query = sa.select(Action.record_id, Action.payload).where(
        Action.workflow == workflow,
        Action.kind == AddRow.kind,
        Action.state.in_(("waiting", "pending", "acting", "unknown")),
        Action.record_id.is_not(None),
    )
    found: dict[tuple[str, str], int] = {}
    with ledger.read() as session:
        for record_id, payload in session.execute(query.order_by(Action.id)):
            wanted = AddRow.model_validate(payload)
            who = identity(find(wanted.paper), dict(wanted.row()))
            if who is not None:
                found.setdefault((wanted.paper, who), int(record_id))
    return found


def _asked_a_model(ledger: Ledger, ids: Sequence[int]) -> set[int]:
    """The records whose last answer is a model's, and not that of rules."""
    query = sa.select(ModelCall.record_id, ModelCall.model).where(ModelCall.record_id.in_(ids)).order_by(ModelCall.id)
    with ledger.read() as session:
        last = {record: model for record, model in session.execute(query)}
    return {record for record, model in last.items() if not model.startswith("embedded")}


def _new_in(run: Run, source: Source, errors: list[VendorError]) -> Iterator[Arrival]:
    """What a source holds that the ledger does not. An e-mail that cannot be had now is told in `errors`."""
    if isinstance(source, Attachments):
        yield from _new_attachments(run, source, errors)
        return
    look = source.look(None)
    known = _known(run.ledger, run.card.workflow, source.name)
    for item in (look.items or {}).values():
        if (item.external_id, item.version) not in known:
            known_of = {"link": item.link, "place": source.place}
            yield Arrival(
                source.name, item.external_id, item.version, item.name, item.mime_type, item.size or 0, known_of,
                partial(_content, source, item),
            )  # fmt: skip


def _content(source: Folder | DriveFolder, item: Item) -> bytes:
    content, _ = source.fetch(item, LARGEST)
    return content


def _new_attachments(run: Run, source: Attachments, errors: list[VendorError]) -> Iterator[Arrival]:
    """What hangs on e-mails of which not all was taken in yet. One with nothing to read is noted, and looked at once.

    A run may end, or die, between two documents of an e-mail: each says how many there are, so that the next goes on.
    """
    gmail: Gmail = connections.load(source.credential)
    name = f"{source.name}:{gmail.mailbox}"
    taken: dict[str, set[str]] = {}
    of: dict[str, int] = {}
    for (external_id, _), many in _known(run.ledger, run.card.workflow, name).items():
        mail, _, position = external_id.partition("/")
        taken.setdefault(mail, set()).add(position)
        of[mail] = many
    listed = gmail.list_message_ids(source.query)
    for number in reversed([number for number in listed if len(taken.get(number, ())) < of.get(number, 1)]):
        try:
            message = gmail.get_raw(number)
        except SchemaDrift:
            raise
        except MessageGone:
            continue
        except VendorError as error:
            if error.status in ACCOUNT or isinstance(error, CircuitOpen):
                raise
            if not error.permanent:
                errors.append(error)
                continue
            _note_looked_at(run, name, number, f"the e-mail cannot be had: {error}", records.QUARANTINED)
            continue
        files = [
            (at, found, content)
            for at, (found, content) in enumerate(files_of(message.raw))
            if _is_paper(found.name, found.content_type, content)
        ]
        if not files:
            _note_looked_at(run, name, number, "nothing that is attached to it is a document", records.SKIPPED)
        for at, found, content in files:
            if str(at) in taken.get(number, ()):
                continue
            known_of = {
                "message_id": number,
                "sent_at": message.received_at.isoformat(),
                "place": f"e-mail to {gmail.mailbox}",
                OF: len(files),
            }
            yield Arrival(
                name, f"{number}/{at}", "1", found.name, found.content_type, len(content), known_of,
                partial(_itself, content),
            )  # fmt: skip


def _itself(content: bytes) -> bytes:
    return content


def _is_paper(name: str, content_type: str, content: bytes) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    picture = content_type.startswith("image/") or suffix in (".png", ".jpg", ".jpeg")
    if picture and len(content) < SMALLEST_PICTURE:
        return False
    if suffix in SUPPORTED or content_type == "application/pdf" or content.startswith(b"%PDF-"):
        return True
    return is_sound(content[:64], name, content_type)


def _note_looked_at(run: Run, source: str, message_id: str, reason: str, state: str) -> None:
    row = {
        "workflow": run.card.workflow, "source": source, "external_id": f"{message_id}/-", "version": "1",
        "title": "(no document)", "payload": {"message_id": message_id}, "state": state, "reason": reason,
    }  # fmt: skip
    with run.ledger.write() as session:
        session.execute(insert(session, Record).on_conflict_do_nothing(), [row])


def _known(ledger: Ledger, workflow: str, source: str) -> dict[tuple[str, str], int]:
    """What of a source is in the ledger, by its name there and its version; and how many it hung on an e-mail with."""
    query = sa.select(Record.external_id, Record.version, Record.payload[OF].as_integer())
    with ledger.read() as session:
        found = session.execute(query.where(Record.workflow == workflow, Record.source == source))
        return {(name, version): of or 1 for name, version, of in found}


def _take_in(run: Run, reader: Reader, arrival: Arrival) -> VendorError | None:
    """Fetch, read and store one document. Returns the error of one that could not be had now."""
    if arrival.size > LARGEST:
        _store(run, arrival, None, None, _set_aside(f"it has {arrival.size:,} bytes; at most {LARGEST:,} are taken in"))
        return None
    try:
        content = arrival.content()
    except Gone:
        return None
    except VendorError as error:
        if not error.permanent or error.status in ACCOUNT:
            return error
        _store(run, arrival, None, None, _set_aside(str(error)))
        return None
    except OSError as error:
        _store(run, arrival, None, None, _set_aside(f"it cannot be read: {error.strerror or error}"))
        return None
    if len(content) > LARGEST:
        _store(run, arrival, None, None, _set_aside(f"it has more than {LARGEST:,} bytes"))
        return None
    digest = hashlib.sha256(content).hexdigest()
    if twin := _same_file(run, digest):
        _store(
            run, arrival, None, None, {"state": records.SKIPPED, "reason": f"the same file as record {twin}"}, digest
        )
        return None
    try:
        sheet, change = _read(reader, content, arrival.name, arrival.mime_type)
    except VendorError as error:
        return error
    _store(run, arrival, content, sheet, change, digest)
    return None


def _read(reader: Reader, content: bytes, name: str, mime_type: str | None) -> tuple[Sheet | None, dict[str, Any]]:
    """The words of a document, and what becomes of its record.

    Raises:
        VendorError: what reads it is not to be had now.
    """
    try:
        sheet = look(reader, content, name, mime_type)
    except (Unreadable, VendorError) as error:
        if isinstance(error, VendorError) and not error.permanent:
            raise
        return None, _set_aside(f"it cannot be read: {error}")
    return sheet, {"state": records.FETCHED, "reason": None}


def _set_aside(reason: str) -> dict[str, Any]:
    return {"state": records.QUARANTINED, "reason": reason}


def _same_file(run: Run, digest: str) -> int | None:
    """The record of this workflow that has the very same file, and was read; not one whose row was taken out again."""
    query = (
        sa.select(Record.id, Action.key, Action.payload["paper"].as_string())
        .join(Paper, Paper.record_id == Record.id)
        .outerjoin(Action, (Action.record_id == Record.id) & (Action.kind == AddRow.kind) & (Action.state == "done"))
        .where(Paper.sha256 == digest, Paper.workflow == run.card.workflow)
        .where(Record.state.not_in((records.QUARANTINED, records.SKIPPED)))
    )
    rows = Rows(run.ledger)
    with run.ledger.read() as session:
        found = session.execute(query.order_by(Record.id)).all()
    return next((number for number, key, kind in found if key is None or rows.find(find(kind), key) is not None), None)


def _store(
    run: Run,
    arrival: Arrival,
    content: bytes | None,
    sheet: Sheet | None,
    change: Mapping[str, Any],
    digest: str = "",
) -> None:
    payload = {
        "name": arrival.name,
        "mime_type": arrival.mime_type,
        "size": arrival.size or (len(content) if content else 0),
        "sha256": digest,
        **arrival.known,
        **_told(sheet),
    }
    identity = {
        "workflow": run.card.workflow, "source": arrival.source, "external_id": arrival.external_id,
        "version": arrival.version,
    }  # fmt: skip
    with run.ledger.write() as session:
        new = {**identity, "title": arrival.name, "payload": payload, **change}
        query = insert(session, Record).values(**new).on_conflict_do_nothing().returning(Record.id)
        record_id = session.scalar(query)
        if record_id is None:
            return  # another run has taken it in meanwhile
        session.add(
            Paper(
                record_id=record_id,
                workflow=run.card.workflow,
                name=arrival.name,
                mime_type=arrival.mime_type,
                size=payload["size"],
                sha256=digest,
                # What is set aside is kept: with a newer version it may be readable.
                content=content,
                sheet=_packed(sheet),
            )
        )


def _told(sheet: Sheet | None) -> dict[str, Any]:
    if sheet is None:
        return {}
    told = {"pages": len(sheet.pages), NOTE: list(sheet.notes), "text": sheet.text}
    return told | {"pictured": sheet.made_by == "print"}


def _packed(sheet: Sheet | None) -> bytes | None:
    if sheet is None:
        return None
    return zlib.compress(json.dumps(sheet.packed(), separators=(",", ":"), ensure_ascii=False).encode(), 6)


def _read_again(run: Run, reader: Reader, limit: int) -> None:
    """What a person has put back is read anew, out of what is kept of it. What cannot be read now stays put back."""
    query = sa.select(Record.id).where(Record.workflow == run.card.workflow, Record.state == records.REPLAY)
    with run.ledger.read() as session:
        wanted = session.scalars(query.order_by(Record.id).limit(limit)).all()
    for number in wanted:
        with run.ledger.read() as session:
            record, paper = session.execute(
                sa.select(Record, Paper).join(Paper, Paper.record_id == Record.id).where(Record.id == number)
            ).one()
        try:
            sheet, change = _anew(reader, paper)
        except VendorError as error:
            run.note(f"{record.title} could not be read again: {error}")
            continue
        with run.ledger.write() as session:
            if sheet is not None:
                session.execute(sa.update(Paper).where(Paper.id == paper.id).values(sheet=_packed(sheet)))
            payload = {**record.payload, **_told(sheet)}
            standing = sa.update(Record).where(Record.id == record.id, Record.state == records.REPLAY)
            session.execute(standing.values(payload=payload, updated_at=utcnow(), **change))


def _anew(reader: Reader, paper: Paper) -> tuple[Sheet | None, dict[str, Any]]:
    if paper.content is None:
        return None, _set_aside("its file is not kept any more: put it into the folder again, under another name")
    return _read(reader, paper.content, paper.name, paper.mime_type)
