"""The support answers as a whole, against the pretend company: e-mails and tickets, answered once, and by leave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.variables import Variable

from blocks import connections
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Action as ActionRow
from blocks.ledger import Ledger, ModelCall, Record
from blocks.library import Library, LibraryError, search
from blocks.models import Reply, Request
from blocks.vendor import VendorError
from deployments import shadow
from flows.lead_triage import lead_triage
from flows.support_answer import CARD, LABEL, complaint, support_answer
from prompts import Prompt
from prompts.support_answer.answer import SupportAnswer
from sandbox import company
from sandbox.client import Delivered, Sandbox
from tasks import approval_runs, approvals, quarantine, run
from tasks.retrieve import passages_of
from tests.answering import built_in, company_library, leaks, open_ticket
from tests.librarian import put

ANN = "ann@northwind.example"
LINK = "https://docs.google.com/document/d/1Labels/edit"
LABELS = "Printers and labels: Open Settings > Printers. Under Layout choose Narrow. Print a test label, and scan it."
ASKED = "How do I choose the layout of the labels that a printer prints?"

REPLY, NOTE, TAGS = "gmail.send_reply", "hubspot.note_ticket", "hubspot.update_ticket"


@pytest.fixture
def manual(library: Library) -> Library:
    """A library with a page for everybody."""
    put(library, "labels.md", LABELS, link=LINK)
    return library


@pytest.fixture
def embedded(accounts: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """The built-in model, trained once for all tests."""
    monkeypatch.setattr(run, "model_of", lambda _: built_in())


def said(*sentences: str, **changes: Any) -> dict[str, Any]:
    """What a model answers: sentences of the one passage that there is."""
    labels = {"topic": "how_to", "urgency": "normal", "confidence": 0.9, "summary": "Ann asks about labels."}
    answer = [{"text": text, "sources": [1]} for text in sentences]
    return {"json": labels | {"answer": answer, "missing": ""} | changes}


@pytest.fixture
def claude(accounts: Callable[[], None], sandbox: Sandbox) -> None:
    """A Claude that answers by the subject."""
    accounts()
    for subject, reply in {
        "Labels": said("Under Layout choose Narrow."),
        "Partly": said("Under Layout choose Narrow.", missing="Which printer."),
        "Merger": said(missing="A comment on the merger.", urgency="high", summary="Asks for a comment."),
    }.items():
        sandbox.script({"when": f"Subject: {subject}", "times": None} | reply)


@pytest.fixture
def write(sandbox: Sandbox, accounts: Callable[[], None]) -> Callable[..., Delivered]:  # noqa: ARG001
    """Lets an e-mail come in, which a person labels."""
    gmail: Gmail = connections.load("gmail/inbox")

    def come(subject: str, body: str = ASKED, sender: str = f"Ann Berg <{ANN}>") -> Delivered:
        mail = sandbox.write(sender=sender, subject=subject, body=body)
        gmail.modify_labels(mail.id, [gmail.ensure_label(LABEL)])
        return mail

    return come


@pytest.fixture
def hubspot(accounts: Callable[[], None]) -> HubSpot:  # noqa: ARG001
    """The CRM's block, as the verbs see it."""
    block: HubSpot = connections.load("hubspot/crm")
    return block


@pytest.fixture
def stage(saved_accounts: None) -> Iterator[Callable[[str], None]]:  # noqa: ARG001
    """Sets the variable that lowers the workflow's stage."""

    def lower(value: str) -> None:
        Variable.set("support_answer_stage", value, overwrite=True)

    yield lower
    lower(CARD.stage)


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(table).order_by(table.id)))


def states(ledger: Ledger) -> dict[str, str]:
    return {record.title: record.state for record in rows(ledger, Record)}


def actions(ledger: Ledger, kind: str = "") -> list[ActionRow]:
    return [action for action in rows(ledger, ActionRow) if kind in ("", action.kind)]


def counted(ledger: Ledger) -> list[int]:
    return [len(rows(ledger, table)) for table in (Record, ActionRow, ModelCall)]


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_e_mails_and_tickets_are_answered_once_and_no_reply_leaves_without_a_person(
    sandbox: Sandbox, ledger: Ledger, write: Callable[..., Delivered], hubspot: HubSpot
) -> None:
    mails = {subject: write(subject) for subject in ("Labels", "Partly", "Merger")}
    sandbox.write(sender=ANN, subject="Not labelled", body="Hello")
    hubspot.upsert_contact(ANN, {"firstname": "Ann"})
    numbers = [open_ticket(hubspot, ANN, subject="Labels of a ticket"), open_ticket(hubspot, subject="Nobody's")]
    numbers.append(open_ticket(hubspot, ANN, subject="Merger by ticket"))

    summary = support_answer()
    assert states(ledger) == dict.fromkeys([*mails, "Labels of a ticket", "Merger by ticket"], "done") | {
        "Nobody's": "quarantined"
    }
    assert summary.records == {"done": 5, "quarantined": 1}
    assert Counter((action.kind, action.state) for action in actions(ledger)) == {
        (REPLY, "waiting"): 3,
        ("gmail.apply_label", "done"): 3,
        ("hubspot.upsert_contact", "done"): 2,
        ("hubspot.create_task", "done"): 2,
        (NOTE, "done"): 2,
        (TAGS, "done"): 2,
        ("slack.post_message", "done"): 2,
    }
    assert summary.notes == ()
    assert summary.usd == sum((call.cost for call in rows(ledger, ModelCall)), Decimal(0)) > 0
    assert sandbox.sent() == sandbox.drafts() == []
    assert all(action.flow_run_id for action in actions(ledger, REPLY))

    by_subject = {action.payload["subject"]: action.payload for action in actions(ledger, REPLY)}
    assert by_subject["Labels"]["body"] == (
        "Hello Ann,\n\nUnder Layout choose Narrow [1].\n\nWhere this stands:\n"
        f"[1] labels.md > Printers and labels\n    {LINK}\n\nKind regards\nDockwell"
    )
    assert by_subject["Labels"]["thread_id"] == mails["Labels"].thread_id
    assert (by_subject["Labels of a ticket"]["thread_id"], by_subject["Labels of a ticket"]["to"]) == ("", ANN)
    assert "A colleague will write to you about the rest." in by_subject["Partly"]["body"]

    held = {ticket["id"]: ticket for ticket in sandbox.records("tickets")}
    assert [held[number]["properties"].get("hs_ticket_category") for number in numbers] == [
        "GENERAL_INQUIRY", None, "GENERAL_INQUIRY",
    ]  # fmt: skip
    assert [held[number]["properties"].get("hs_ticket_priority") for number in numbers] == ["MEDIUM", None, "HIGH"]
    assert [len(held[number]["associations"].get("notes", ())) for number in numbers] == [1, 0, 1]
    names = sandbox.state()["label_names"]
    shown = {mail.subject: {names[label] for label in mail.labels if label in names} for mail in sandbox.inbox()}
    assert shown == {
        "Labels": {LABEL, "Signoff/How to"},
        "Partly": {LABEL, "Signoff/How to"},
        "Merger": {LABEL, "Signoff/Not in the documents"},
        "Not labelled": set(),
    }
    assert {post["text"] for post in sandbox.posts()} == {
        f"Urgent, and not in the documents, from {ANN}: Asks for a comment."
    }

    before, calls = counted(ledger), len(sandbox.requests("anthropic"))
    again = support_answer()
    assert (again.records, again.actions, again.usd) == ({}, {}, Decimal(0))
    assert counted(ledger) == before
    assert len(sandbox.requests("anthropic")) == calls


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_what_is_approved_is_sent_once_in_its_thread_or_in_none(
    sandbox: Sandbox,
    ledger: Ledger,
    write: Callable[..., Delivered],
    hubspot: HubSpot,
    stage: Callable[[str], None],
) -> None:
    stage("gated")  # where everything waits
    mail = write("Labels")
    number = open_ticket(hubspot, ANN, subject="Labels of a ticket")
    support_answer()
    assert {action.state for action in actions(ledger)} == {"waiting"}
    assert (sandbox.records("notes"), sandbox.sent()) == ([], [])
    everything = [action.id for action in actions(ledger)]
    assert set(approvals.respond_together(ledger, everything, approve=True, approver="Mara").values()) == {None}
    for _ in range(2):
        support_answer()
    assert {(action.state, action.reason) for action in actions(ledger)} == {("done", None)}
    letter, reply = sorted(sandbox.sent(), key=lambda sent: sent.in_reply_to)
    assert (reply.thread_id, reply.to, reply.subject) == (mail.thread_id, ANN, "Re: Labels")
    assert reply.in_reply_to == mail.message_id
    assert (letter.to, letter.subject, letter.in_reply_to) == (ANN, "Re: Labels of a ticket", "")
    assert letter.thread_id not in (mail.thread_id, "")
    assert "Under Layout choose Narrow [1]." in letter.body
    (note,) = sandbox.records("notes")
    assert "The documents answer this: labels.md" in note["properties"]["hs_note_body"]
    (ticket,) = sandbox.records("tickets")
    assert (ticket["id"], ticket["properties"]["hs_ticket_category"]) == (number, "GENERAL_INQUIRY")


@pytest.mark.usefixtures("embedded", "manual", "deployment")
def test_the_built_in_model_quotes_and_asks_a_person(
    sandbox: Sandbox, ledger: Ledger, write: Callable[..., Delivered], hubspot: HubSpot
) -> None:
    write("Labels")
    write("Our newspaper", "What do you say about the merger of the two breweries?")
    open_ticket(hubspot, ANN, subject="Labels of a ticket", content=ASKED)
    summary = support_answer()
    assert (summary.records, summary.usd) == ({"done": 3}, Decimal(0))
    bodies = {action.payload["subject"]: action.payload["body"] for action in actions(ledger, REPLY)}
    assert set(bodies) == {"Labels", "Labels of a ticket"}
    quoted = "Open Settings > Printers [1]. Under Layout choose Narrow [1]. Print a test label, and scan it [1]."
    assert all(quoted in body for body in bodies.values())
    assert {action.state for action in actions(ledger, REPLY)} == {"waiting"}
    assert sandbox.sent() == []
    assert sandbox.model_calls() == []


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_the_lead_triage_leaves_labelled_mail_to_it_and_takes_all_where_there_is_no_such_label(
    sandbox: Sandbox, ledger: Ledger, write: Callable[..., Delivered], triaged: Callable[..., dict[str, Any]]
) -> None:
    sandbox.script({"when": "Triage this", "times": None, "json": triaged("other")})
    sandbox.write(sender=ANN, subject="Early", body="Hello")
    lead_triage()
    assert states(ledger) == {"Early": "done"}
    write("Labels")
    sandbox.write(sender=ANN, subject="Demo", body="Could we see a demo?")
    lead_triage()
    support_answer()
    found = {(row.workflow, row.title): (row.state, row.reason) for row in rows(ledger, Record)}
    assert found == {
        ("lead-triage", "Early"): ("done", None),
        ("lead-triage", "Demo"): ("done", None),
        ("lead-triage", "Labels"): ("skipped", "labelled Support: another workflow's"),
        ("support-answer", "Labels"): ("done", None),
    }


@pytest.mark.usefixtures("claude", "manual", "deployment", "fast_retries")
def test_a_vendor_or_library_that_is_down_costs_no_question_its_place(
    sandbox: Sandbox, ledger: Ledger, manual: Library, write: Callable[..., Delivered], hubspot: HubSpot
) -> None:
    write("Labels")
    number = open_ticket(hubspot, ANN, subject="Labels of a ticket")
    sandbox.fault("server_error", "hubspot", "*/tickets", times=None)
    with pytest.raises(VendorError, match="hubspot"):
        support_answer()
    assert states(ledger) == {"Labels": "fetched"}
    sandbox.clear_faults()
    with manual.write() as connection:
        connection.exec_driver_sql("UPDATE library_meta SET value = 'old' WHERE key = 'format'")
    with pytest.raises(LibraryError, match="run `signoff library index`"):
        support_answer()
    assert states(ledger) == {"Labels": "fetched", "Labels of a ticket": "fetched"}
    assert {record.run_id for record in rows(ledger, Record)} == {None}
    assert sandbox.model_calls() == []
    put(manual, "labels.md", LABELS, link=LINK)  # as indexing anew does
    sandbox.fault("server_error", "hubspot", "*/notes", times=None)
    summary = support_answer()
    assert any("could not all be done" in note for note in summary.notes)
    assert states(ledger) == {"Labels": "done", "Labels of a ticket": "gated"}
    sandbox.clear_faults()
    support_answer()
    assert set(states(ledger).values()) == {"done"}
    assert len(sandbox.records("notes")) == 1
    assert sandbox.records("notes")[0]["associations"]["tickets"] == [number]


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_a_question_that_was_set_aside_is_put_back_and_answered(
    sandbox: Sandbox, ledger: Ledger, write: Callable[..., Delivered], hubspot: HubSpot
) -> None:
    write("Garbage")
    open_ticket(hubspot, ANN, subject="Garbage of a ticket")
    sandbox.script({"when": "Subject: Garbage", "times": 6} | said("Choose layout 77."))
    support_answer()
    aside = rows(ledger, Record)
    assert {record.state for record in aside} == {"quarantined"}
    assert all("says 77, which passage 1 does not hold" in record.reason for record in aside)
    assert (actions(ledger), len(sandbox.model_calls())) == ([], 6)
    quarantine.replay(ledger, [record.id for record in aside], by="Mara")
    sandbox.script({"when": "Subject: Garbage", "times": None} | said("Under Layout choose Narrow."))
    support_answer()
    assert set(states(ledger).values()) == {"done"}
    assert len(actions(ledger, REPLY)) == 2
    assert len(sandbox.records("notes")) == 1


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_a_run_that_dies_is_finished_by_the_next_without_doing_anything_twice(
    sandbox: Sandbox,
    ledger: Ledger,
    write: Callable[..., Delivered],
    hubspot: HubSpot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tasks import act, retrieve, validate

    class Interrupted(Exception):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Interrupted

    write("Labels")
    write("Merger")
    open_ticket(hubspot, ANN, subject="Labels of a ticket")
    searches: list[str] = []

    def watched(library: Library, question: str, *rest: Any) -> Any:
        searches.append(question)
        return search(library, question, *rest)

    monkeypatch.setattr(retrieve, "search", watched)
    for module, verb in ((retrieve, "passages"), (validate, "answers"), (act, "perform")):
        with monkeypatch.context() as patch:
            patch.setattr(module, verb, crash)
            with pytest.raises(Interrupted):
                support_answer()
    support_answer()
    assert states(ledger) == dict.fromkeys(("Labels", "Merger", "Labels of a ticket"), "done")
    assert counted(ledger) == [3, 9, 3]
    assert len(searches) == 3
    assert [len(sandbox.records(kind)) for kind in ("notes", "tasks")] == [1, 1]
    assert len(sandbox.posts()) == 1
    assert sandbox.sent() == []


@pytest.mark.usefixtures("claude", "manual", "deployment")
def test_in_shadow_nothing_is_done_and_the_comparison_takes_tickets_too(
    sandbox: Sandbox,
    ledger: Ledger,
    write: Callable[..., Delivered],
    hubspot: HubSpot,
    stage: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage("shadow")
    write("Labels")
    open_ticket(hubspot, ANN, subject="Labels of a ticket")
    open_ticket(hubspot, ANN, subject="Merger by ticket")
    support_answer()
    assert {action.state for action in actions(ledger)} == {"shadow"}
    assert (sandbox.sent(), sandbox.drafts(), sandbox.records("notes"), sandbox.posts()) == ([], [], [], [])
    assert shadow.compare(CARD.workflow, limit=50, offline=False, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["unreachable"], told["missed"]) == (3, {}, [])
    assert {each["kind"]: (each["actions"], each["unknown"]) for each in told["counts"]}[REPLY] == (2, 2)
    assert shadow.compare(CARD.workflow, limit=50, offline=True, as_json=False) == 0
    assert "nobody can tell" in capsys.readouterr().out


# All that comes to the pretend company


class Gossip:
    """The worst that a model can do within what is checked: it tells all that it was given."""

    model_id = "gossip"

    def __init__(self) -> None:
        self.told: list[str] = []

    @property
    def sees(self) -> bool:
        return False

    def identity(self, prompt: Prompt) -> str:  # noqa: ARG002
        return self.model_id

    def threshold(self, prompt: Prompt) -> float:  # noqa: ARG002
        return 0.0

    def worst_cost(self, request: Request) -> Decimal:  # noqa: ARG002
        return Decimal(0)

    def input_limit(self) -> int:
        return 90_000

    def ask(self, request: Request) -> Reply:
        """A sentence for each passage, which is all of its text; what is too long, in pieces."""
        self.told.append("\n".join(request.prompt.render(dict(request.variables))))
        pieces = [
            {"text": line[:600], "sources": [passage["number"]]}
            for passage in request.variables["passages"]
            for line in passage["text"].splitlines()
            if line.strip()
        ]
        labels = {"topic": "billing", "urgency": "high", "confidence": 1, "summary": "All of it."}
        chosen = [pieces[at * len(pieces) // 12] for at in range(12)] if len(pieces) > 12 else pieces
        return Reply(text=json.dumps(labels | {"answer": chosen, "missing": "More."}), model=self.model_id, seconds=0)


@pytest.fixture
def everything(
    sandbox: Sandbox,
    hubspot: HubSpot,
    deployment: object,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The company's documents; its inbox, all labelled; its tickets, all of them new; and a colleague's question."""
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", company_library(tmp_path_factory.getbasetemp()))
    # Prefect makes ten forms a second: what they would say is in the ledger.
    monkeypatch.setattr(approval_runs, "create", lambda forms: [uuid4() for _ in forms])
    gmail: Gmail = connections.load("gmail/inbox")
    label, data = gmail.ensure_label(LABEL), company.load()
    question = b"What is the commission, and the discount for a charity?"
    for raw in [*data.emails, b"From: Mara <mara@dockwell.example>\r\nSubject: Discounts\r\n\r\n" + question]:
        gmail.modify_labels(sandbox.deliver(raw).id, [label])
    contacts = {one["id"]: one["properties"]["email"] for one in data.hubspot["contacts"]}
    for row in data.hubspot["tickets"]:
        theirs = [contacts[link["to_id"]] for link in row["associations"] if link["to_type"] == "contacts"]
        properties = {name: row["properties"][name] for name in ("subject", "content")}
        open_ticket(hubspot, "".join(theirs[:1]), **properties)


MADE_UP = SupportAnswer.model_validate(
    said("Two sites cost 44.50 EUR each, or 195 EUR from five to eight, says Tom.")["json"]
)
"""What the handbook says, as a model would have it that knew it from elsewhere."""


def told(record: Record, wanted: Sequence[ActionRow]) -> str:
    """All that is said anywhere about a question, and the question where a form shows it."""
    texts = [str(record.answer)]
    for action in wanted:
        if action.record_id == record.id:
            texts += [json.dumps(action.payload, ensure_ascii=False), action.explanation]
    return " ".join(texts).replace("\\", "")


def quoted_by_the_asker(record: Record) -> set[str]:
    return set(leaks(f"{record.payload['subject']} {record.payload['text']}"))


@pytest.mark.usefixtures("everything")
def test_whoever_asks_is_told_nothing_that_they_may_not_read_by_a_model_that_tells_all(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gossip = Gossip()
    monkeypatch.setattr(run, "model_of", lambda _: gossip)
    summary = support_answer(limit=1000)
    assert summary.records["done"] > 60
    found, wanted = rows(ledger, Record), actions(ledger)
    strangers = [record for record in found if not str(record.payload.get("sender")).endswith("@dockwell.example")]
    answered = [record for record in strangers if record.state == "done" and record.answer["answer"]]
    assert len(answered) > 55
    for record in answered:
        assert {one["source"] for one in passages_of(record)} == {"help-centre"}
        assert set(leaks(told(record, wanted))) <= quoted_by_the_asker(record)
        assert complaint(record, MADE_UP)
    mara = next(record for record in found if record.payload.get("sender") == "mara@dockwell.example")
    assert {"help-centre", "handbook"} >= {one["source"] for one in passages_of(mara)} >= {"handbook"}
    (reply,) = [action for action in actions(ledger, REPLY) if action.record_id == mara.id]
    assert (reply.payload["to"], reply.state) == ("mara@dockwell.example", "waiting")
    assert leaks(told(mara, wanted))

    asked = set().union(*(quoted_by_the_asker(record) for record in strangers if "text" in record.payload))
    prompted = " ".join(prompt for prompt in gossip.told if "mara" not in prompt.lower().split("<question>")[-1])
    assert set(leaks(prompted)) <= asked
    with get_client(sync_client=True) as client:
        key = ArtifactCollectionFilterKey(any_=["support-answer-results"])
        (artifact,) = client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter(key=key))
    assert set(leaks(str(artifact.data).replace("\\", ""))) <= asked
    written = [str(thing["properties"]) for kind in ("notes", "tasks", "contacts") for thing in sandbox.records(kind)]
    assert set(leaks(" ".join(written + [post["text"] for post in sandbox.posts()]))) <= asked
    assert sandbox.sent() == sandbox.drafts() == []
