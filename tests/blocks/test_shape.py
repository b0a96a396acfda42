"""Schema drift at the blocks' edge: whatever field of a reply is renamed, left out or retyped, it is named."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from types import ModuleType
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict

import blocks.anthropic
import blocks.anthropic_batches
import blocks.gmail
import blocks.hubspot
import blocks.notion
import blocks.slack
from blocks.anthropic import Claude
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.models import Conversation, Request
from blocks.notion import Notion
from blocks.notion_parts import batches
from blocks.notion_parts import blocks as blocks_of
from blocks.shape import Bytes, CamelPart, Digits, Id, Millis, Part, SchemaDrift, Shape
from blocks.slack import Slack
from prompts import Prompt, Settings
from sandbox.client import Delivered, Sandbox
from sandbox.notion import database_id

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ANN = "ann@sender.example"
Change = Literal["remove", "rename", "retype"]
Path = tuple[str, ...]


class Verdict(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")
    label: str


PROMPT = Prompt("v", Settings(max_tokens=50, trim="text", classify=("text",)), "Judge.", "{{ text }}", {}, Verdict)
QUESTION = Request(PROMPT, {"text": "x"})
CONVERSATION = Conversation("You look.", [{"role": "user", "content": "Who?"}], [], 50)


class Company:
    """The vendors with something in them, and the call that reads each shape."""

    def __init__(
        self, sandbox: Sandbox, gmail: Gmail, hubspot: HubSpot, slack: Slack, claude: Claude, notion: Notion
    ) -> None:
        self.sandbox, self.gmail, self.hubspot, self.slack, self.claude = sandbox, gmail, hubspot, slack, claude
        self.notion = notion

    def prepare(self, shape: str) -> None:
        """Put into its vendor what there is to read."""
        of_vendor = {"gmail": self.write_mails, "hubspot": self.know_ann, "notion": self.write_pages}
        vendor = shape.partition(".")[0]
        if vendor == "slack":
            self.slack.post("Hello", key="a1")
        elif make := of_vendor.get(vendor):
            make()

    def write_mails(self) -> None:
        self.start = self.gmail.history_id()
        self.mail: Delivered = self.sandbox.write(sender=ANN, subject="Prices", body="How much?")
        self.gmail.modify_labels(self.mail.id, [], ["INBOX"])
        self.gmail.modify_labels(self.mail.id, ["INBOX"])
        self.draft = self.gmail.create_draft(self.answer("d"), self.mail.thread_id)
        self.gmail.send_draft(self.gmail.create_draft(self.answer("s"), self.mail.thread_id))

    def know_ann(self) -> None:
        self.contact = self.hubspot.upsert_contact(ANN, {"firstname": "Ann", "company": "Sender"})
        self.hubspot.create_note(self.contact, "A note", NOON)
        self.hubspot.create_task(self.contact, "Call", "Soon", NOON)

    def write_pages(self) -> None:
        self.page = self.notion.create("Weekly", {"Status": "Draft"}, key="a1").id
        for batch in batches(blocks_of("- one\n" * 101)):
            self.notion.append(self.page, batch)
        self.trashed = self.notion.create("Old", {}, key="a2").id
        self.notion.archive(self.trashed)

    def batch(self) -> str:
        """A batch with an answer and an error."""
        self.sandbox.script({"when": "bad", "status": 400})
        return self.claude.submit_batch({"a": QUESTION, "b": Request(PROMPT, {"text": "bad"})})

    def old_batch(self) -> str:
        """A batch whose results are gone, which is the only one with every field."""
        batch = self.batch()
        self.claude.batch_results(batch)
        self.sandbox.batches(archive=True)
        return batch

    def answer(self, key: str) -> bytes:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "hello@company.example", ANN, "Re: Prices"
        message["In-Reply-To"] = message["References"] = self.mail.message_id
        message["X-Action"] = key
        message.set_content("Dear Ann")
        return message.as_bytes()

    def read(self, shape: str) -> object:
        """Make the call whose reply has this shape."""
        gmail, hubspot, slack, claude, notion = self.gmail, self.hubspot, self.slack, self.claude, self.notion
        calls: dict[str, Callable[[], object]] = {
            "gmail.MESSAGE_SHAPE": lambda: gmail.get_raw(self.mail.id),
            "gmail.LABELS_SHAPE": lambda: gmail.labels_of(self.mail.id),
            "gmail.MESSAGES_SHAPE": lambda: gmail.list_message_ids("in:inbox"),
            "gmail.HISTORY_SHAPE": lambda: gmail.added_since(self.start),
            "gmail.PROFILE_SHAPE": gmail.check,
            "gmail.WATCH_SHAPE": lambda: gmail.watch("projects/sandbox/topics/inbox"),
            "gmail.DRAFT_SHAPE": lambda: gmail.create_draft(self.answer("x"), self.mail.thread_id),
            "gmail.DRAFT_HEADERS_SHAPE": lambda: gmail.drafts(self.mail.thread_id),
            "gmail.DRAFTS_SHAPE": lambda: gmail.drafts(self.mail.thread_id),
            "gmail.SENT_SHAPE": lambda: gmail.send_draft(self.draft),
            "gmail.SENT_HEADERS_SHAPE": lambda: gmail.sent_to(ANN, NOON, "X-Action", "s"),
            "gmail.THREAD_SHAPE": lambda: gmail.sent_with_header(self.mail.thread_id, "X-Action", "s"),
            "gmail.CONVERSATION_SHAPE": lambda: gmail.messages_of(self.mail.thread_id, ["From"]),
            "gmail.LABEL_SHAPE": lambda: gmail.ensure_label("Signoff/New"),
            "gmail.LABEL_LIST_SHAPE": lambda: gmail.ensure_label("Signoff/New"),
            "hubspot.CONTACTS_SHAPE": lambda: hubspot.contacts_by_email([ANN], ["firstname"]),
            "hubspot.UPSERTS_SHAPE": lambda: hubspot.upsert_contact(ANN, {}),
            "hubspot.UPSERTED_SHAPE": lambda: hubspot.upsert_contact(ANN, {}),
            "hubspot.ASSOCIATIONS_SHAPE": lambda: hubspot.notes_of(self.contact),
            "hubspot.note-batch": lambda: hubspot.notes_of(self.contact),
            "hubspot.task-batch": lambda: hubspot.tasks_of(self.contact),
            "hubspot.note": lambda: hubspot.create_note(self.contact, "x", NOON),
            "hubspot.task": lambda: hubspot.create_task(self.contact, "x", "x", NOON),
            "hubspot.contact read": lambda: hubspot.contacts_by_email([ANN], ["firstname", "company"]),
            "hubspot.note read": lambda: hubspot.notes_of(self.contact),
            "hubspot.task read": lambda: hubspot.tasks_of(self.contact),
            "hubspot.note made": lambda: hubspot.made_on(self.contact, "note"),
            "hubspot.task made": lambda: hubspot.made_on(self.contact, "task"),
            "slack.REPLY_SHAPE": lambda: slack.post("x", key="x"),
            "slack.POSTED_SHAPE": lambda: slack.post("x", key="x"),
            "slack.POSTS_SHAPE": lambda: slack.find("a1"),
            "slack.CHANNELS_SHAPE": lambda: slack.model_copy(update={"channel": "approvals"})._look_up_channel(),
            "slack.HOME_SHAPE": slack.team,
            "slack.USER_SHAPE": lambda: slack.user("U0TOM"),
            "notion.PAGE_SHAPE": lambda: notion.page(self.trashed),
            "notion.FOUND_SHAPE": lambda: notion.find("a1"),
            "notion.CHILDREN_SHAPE": lambda: notion.length(self.page),
            "notion.SOURCE_SHAPE": notion.database,
            "notion.PROPERTY_SHAPE": notion.database,
            "notion.DATABASE_SHAPE": notion.model_copy(
                update={"data_source": database_id("Meeting notes")}
            )._look_up_source,
            "anthropic.MESSAGE_SHAPE": lambda: claude.ask(QUESTION),
            "anthropic.CONTENT_SHAPE": lambda: claude.ask(QUESTION),
            "anthropic.COUNT_SHAPE": lambda: claude.count(CONVERSATION),
            "anthropic.TEXT_SHAPE": lambda: claude.ask(QUESTION),
            "anthropic_batches.BATCH_SHAPE": lambda: claude.batch_results(self.old_batch()),
            "anthropic_batches.LINE_SHAPE": lambda: claude.batch_results(self.batch()),
            "anthropic_batches.RESULT_SHAPE": lambda: claude.batch_results(self.batch()),
            "anthropic_batches.SUCCEEDED_SHAPE": lambda: claude.batch_results(self.batch()),
            "anthropic_batches.FAILED_SHAPE": lambda: claude.batch_results(self.batch()),
        }
        return calls[shape]()


def shapes() -> dict[str, Shape[Any]]:
    """Every shape that a block reads, by the name under which `Company.read` makes the call."""
    found: dict[str, Shape[Any]] = {}
    modules: list[ModuleType] = [
        blocks.gmail, blocks.hubspot, blocks.slack, blocks.notion, blocks.anthropic, blocks.anthropic_batches,
    ]  # fmt: skip
    for module in modules:
        short = module.__name__.removeprefix("blocks.")
        for name, value in vars(module).items():
            if isinstance(value, Shape):
                found[f"{short}.{name}"] = value
            if isinstance(value, dict):
                found |= {f"{short}.{each.object}": each for each in value.values() if isinstance(each, Shape)}
    return found | {
        "hubspot.contact read": blocks.hubspot._with_properties(
            "contact", ("company", "email", "firstname", "hs_additional_emails")
        ),
        "hubspot.note read": blocks.hubspot._with_properties("note", ("hs_note_body",)),
        "hubspot.task read": blocks.hubspot._with_properties("task", ("hs_task_body", "hs_task_subject")),
        "hubspot.note made": blocks.hubspot._with_properties("note", ("hs_createdate", "hs_note_body")),
        "hubspot.task made": blocks.hubspot._with_properties("task", ("hs_createdate", "hs_task_body")),
    }


SHAPES = shapes()


def fields(kind: Any, place: Path = (), certain: bool = True) -> Iterator[tuple[Path, bool]]:
    """Every field of a shape, however deep, and whether the vendor always gives it, with all that it is in."""
    if isinstance(kind, type) and issubclass(kind, Part):
        for name, field in kind.model_fields.items():
            here, always = (*place, field.alias or name), certain and field.is_required()
            yield here, always
            yield from fields(field.annotation, here, always)
    elif hasattr(kind, "__required_keys__"):
        yield from (((*place, name), True) for name in kind.__required_keys__)
    else:
        for inner in get_args(kind):
            yield from fields(inner, place, certain)


ALL = [
    (name, path, always) for name, shape in SHAPES.items() for path, always in sorted(fields(shape.kind))
]  # in one order for all workers
CASES = [
    pytest.param(name, path, change, id=f"{name}-{'.'.join(path)}-{change}")
    for name, path, always in ALL
    for change in get_args(Change)
    if always or change != "remove"
]


@pytest.fixture
def company(sandbox: Sandbox, gmail: Gmail, hubspot: HubSpot, slack: Slack, claude: Claude, notion: Notion) -> Company:
    return Company(sandbox, gmail, hubspot, slack, claude, notion)


@pytest.fixture
def drifted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Shape[Any], Path, Change], list[int]]:
    """Changes one field of every reply of a shape, on its way from the SDK; counts how often there was something."""

    def start(shape: Shape[Any], path: Path, change: Change) -> list[int]:
        read, touched = Shape.read, [0]

        def changed(self: Shape[Any], reply: object, operation: str, *, write: bool = False) -> Any:
            if (self.vendor, self.object, self.kind) == (shape.vendor, shape.object, shape.kind):
                reply = copy.deepcopy(reply)
                touched[0] += alter(reply, path, change)
            return read(self, reply, operation, write=write)

        monkeypatch.setattr(Shape, "read", changed)
        return touched

    return start


def alter(reply: Any, path: Path, change: Change) -> int:
    """Change the field at `path` in an object, or in each object of a list."""
    if isinstance(reply, list):
        return sum(alter(each, path, change) for each in reply)
    name, *inner = path
    if not isinstance(reply, dict) or name not in reply:
        return 0
    if inner:
        return alter(reply[name], tuple(inner), change)
    value = reply.pop(name)
    if value is not False and value in ("", 0, []):  # nothing is lost with it
        return 0
    if change == "rename":
        reply[f"{name}_v2"] = value
    if change == "retype":
        reply[name] = "odd" if isinstance(value, dict) else {"odd": 1}
    return 1


@pytest.mark.parametrize(("name", "path", "change"), CASES)
def test_a_used_field_that_drifts_is_named(
    company: Company,
    drifted: Callable[[Shape[Any], Path, Change], list[int]],
    name: str,
    path: Path,
    change: Change,
) -> None:
    shape = SHAPES[name]
    company.prepare(name)
    touched = drifted(shape, path, change)
    told = ".".join(path[1:] if len(path) > 1 and path[0] == shape.inside else path)
    try:
        company.read(name)
    except SchemaDrift as error:
        drift = error
    else:
        assert touched == [0], "a changed field went unnoticed"
        always = dict((p, a) for n, p, a in ALL if n == name)[path]
        assert not always, "the call that should read it does not"
        return  # left out when empty, and empty here
    assert (drift.vendor, drift.object, drift.field) == (shape.vendor, shape.object, told)
    assert drift.permanent
    assert str(drift).startswith(f"{shape.vendor}: {shape.object}.{told} is ")
    if change == "rename":
        assert drift.new[0] == f"{path[-1]}_v2"
        assert f"({path[-1]}_v2 is new)" in str(drift)
        assert f"{path[-1]}_v2" in drift.keys


def test_most_of_what_may_be_left_out_is_there_in_these_tests() -> None:
    assert len(ALL) > 80
    assert {name for name, *_ in ALL} == set(SHAPES)


@pytest.mark.parametrize("reply", [None, [], "text", 7, [{}], {}])
@pytest.mark.parametrize("name", SHAPES)
def test_any_other_reply_is_drift_and_no_crash(name: str, reply: object) -> None:
    if reply == {} and not any(field.is_required() for field in SHAPES[name].kind.model_fields.values()):
        return  # Gmail leaves out what is empty
    with pytest.raises(SchemaDrift):
        SHAPES[name].read(reply, "x")


class Thing(Part):
    """Of a vendor."""

    known = frozenset({"etag"})

    id: Id
    note: str | None = None
    tags: list[str] | None = None


class Inner(CamelPart):
    """Nested."""

    some_id: Id


class Outer(CamelPart):
    """With a list, a number and bytes."""

    things: list[Inner] | None = None
    at: Millis
    size: Digits
    raw: Bytes


THING, OUTER = Shape("acme", "thing", Thing), Shape("acme", "outer", Outer)
GOOD = {"at": "1700000000000", "size": "12", "raw": "aGk"}


def test_what_is_in_shape_is_read() -> None:
    assert THING.read({"id": "1", "more": 1}, "x").id == "1"
    outer = OUTER.read({**GOOD, "things": [{"someId": "1"}], "new": True}, "x")
    assert (outer.raw, outer.size, outer.at.year, [t.some_id for t in outer.things or ()]) == (b"hi", "12", 2023, ["1"])


@pytest.mark.parametrize(
    ("shape", "reply", "said"),
    [
        (THING, {}, "acme: thing.id is missing from the reply"),
        (THING, {"ident": "1"}, "acme: thing.id is missing from the reply (ident is new)"),
        (THING, {"id": 1}, "acme: thing.id is a number, not text"),
        (THING, {"id": None}, "acme: thing.id is null, not text"),
        (THING, {"id": ""}, "acme: thing.id is an empty text, not a text that is not empty"),
        (THING, {"id": "1", "notes": "x"}, "acme: thing.note is missing from the reply (notes is new)"),
        (THING, [], "acme: thing is a list, not an object"),
        (
            OUTER,
            {**GOOD, "things": [{"someId": "1"}, {"id": "2"}]},
            "acme: outer.things.someId is missing from the reply (id is new)",
        ),
        (OUTER, {**GOOD, "items": [{"someId": "1"}]}, "acme: outer.things is missing from the reply (items is new)"),
        (OUTER, {**GOOD, "at": 1700000000000}, "acme: outer.at is a number, not milliseconds since 1970, as text"),
        (OUTER, {**GOOD, "at": "yesterday"}, "acme: outer.at is other text than milliseconds since 1970, as text"),
        (OUTER, {**GOOD, "size": "12kB"}, "acme: outer.size is other text than digits"),
        (OUTER, {**GOOD, "raw": "From: ann"}, "acme: outer.raw is other text than base64"),
        (OUTER, {**GOOD, "raw": "aGkaG"}, "acme: outer.raw is other text than base64"),
    ],
)  # fmt: skip
def test_the_message_names_field_and_what_came(shape: Shape[Any], reply: Any, said: str) -> None:
    with pytest.raises(SchemaDrift) as caught:
        shape.read(reply, "x")
    assert str(caught.value) == said


def test_new_keys_alone_are_no_drift() -> None:
    assert THING.read({"id": "1", "etag": "x", "colour": "red", "labels": [{"a": 1}], "memo": "y"}, "x").note is None


def test_a_value_is_never_in_the_message_and_a_strange_key_is_cut() -> None:
    with pytest.raises(SchemaDrift) as caught:
        THING.read({"ann@private.example\x1b[31m" + "x" * 99: "secret"}, "x")
    assert "secret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_of_many_unread_fields_only_the_likely_new_name_is_told() -> None:
    with pytest.raises(SchemaDrift) as caught:
        Shape("acme", "o", Inner).read({"a": 1, "b": 2, "c": 3, "d": 4, "some_id": 5}, "x")
    assert str(caught.value) == "acme: o.someId is missing from the reply (some_id is new)"


def test_drift_survives_another_process_and_tells_what_a_write_leaves_open() -> None:
    with pytest.raises(SchemaDrift) as caught:
        THING.read({"ident": "1"}, "POST things", write=True)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.new, again.unknown) == (str(caught.value), "thing.id", ("ident",), True)


def test_a_message_without_labels_is_drift_only_where_gmail_lists_it_in_the_inbox(
    company: Company, drifted: Callable[[Shape[Any], Path, Change], list[int]], gmail: Gmail
) -> None:
    company.prepare("gmail.MESSAGE_SHAPE")
    drifted(SHAPES["gmail.MESSAGE_SHAPE"], ("labelIds",), "remove")
    with pytest.raises(SchemaDrift, match=r"gmail: message\.labelIds is missing from the reply$"):
        company.read("gmail.MESSAGE_SHAPE")
    gmail.modify_labels(company.mail.id, [], ["INBOX", "UNREAD"])
    assert gmail.get_raw(company.mail.id).label_ids == frozenset()


@pytest.mark.parametrize(
    "write", ["gmail.DRAFT_SHAPE", "hubspot.note", "slack.POSTED_SHAPE", "anthropic.MESSAGE_SHAPE"]
)
def test_after_a_write_that_cannot_be_read_nobody_knows(
    company: Company, drifted: Callable[[Shape[Any], Path, Change], list[int]], write: str
) -> None:
    path = next(path for name, path, always in ALL if name == write and always)
    company.prepare(write)
    drifted(SHAPES[write], path, "remove")
    with pytest.raises(SchemaDrift) as caught:
        company.read(write)
    assert caught.value.unknown
