"""What people decided becomes cases: which decisions teach what, in which order, and with nobody's name in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import prompts
from blocks.ledger import Action, Decision, Ledger, Mirror, ModelCall, Record, Run, utcnow
from flows.lead_triage import CARD, variables
from prompts import Prompt
from prompts.cases import append
from tasks import lessons
from tasks.actions import BY_CARD
from tasks.lessons import Doubt, Heard, Lesson, Proposals, Source, hint, hinted

SOURCE = Source(CARD, variables)
REPLY = "Hello Ann,\n\nthank you for asking.\n\nDockwell"
Decide = Callable[..., int]


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompt]:
    """The lead triage's folder, copied, without cases."""
    shutil.copytree(prompts.FOLDER / "lead_triage", tmp_path / "lead_triage")
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    (tmp_path / "lead_triage" / "cases.jsonl").write_text("", encoding="utf-8")
    prompts.load.cache_clear()
    yield prompts.load("lead_triage")
    prompts.load.cache_clear()


@pytest.fixture
def decide(ledger: Ledger, add_record: Callable[..., int], triaged: Callable[..., dict[str, Any]]) -> Decide:
    """Adds an e-mail that the model has answered, and what a person decided on its reply; returns its number."""
    count = 0

    def add(
        verdict: str = "approved", comment: str = "", *, edited: str = "", by: str = "Mara", state: str = "done",
        record: int | None = None, action_state: str = "done", answer: dict[str, Any] | None = None, **mail: Any,
    ) -> int:  # fmt: skip
        nonlocal count
        count += 1
        fields = {"message_id": f"m{count}", "subject": f"Nr {count}", **mail}
        number = record or add_record(state, triaged(**answer or {}), **fields)
        payload = {"body": REPLY, "to": "ann@northwind.example"}
        with ledger.write() as session:
            action = Action(
                key=f"k{count}", workflow="lead-triage", record_id=number, kind="gmail.send_reply", impact="high",
                title="Send", payload=payload, digest="d", credential="gmail/inbox", explanation="", stage="gated",
                state=action_state,
            )  # fmt: skip
            session.add(action)
            session.flush()
            if verdict:
                decided = payload | ({"body": edited} if edited else {})
                session.add(
                    Decision(
                        action_id=action.id, verdict=verdict, approver=by, comment=comment, payload=decided, digest="d",
                        edited=bool(edited),
                    )
                )  # fmt: skip
        return number

    return add


def heard(ledger: Ledger, prompt: Prompt) -> Heard:
    return lessons.heard(ledger, SOURCE, prompt)


def proposed(ledger: Ledger, prompt: Prompt, limit: int = 20) -> Proposals:
    return lessons.propose(prompt, heard(ledger, prompt).lessons, limit)


def only(ledger: Ledger, prompt: Prompt) -> Lesson:
    [found] = heard(ledger, prompt).lessons
    return found


def change(ledger: Ledger, number: int, **values: Any) -> None:
    with ledger.write() as session:
        record = session.get_one(Record, number)
        for name, value in values.items():
            setattr(record, name, value)


class TestWhatTeaches:
    @pytest.mark.both_databases
    def test_an_approval_confirms_the_labels(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        number = decide(answer={"intent": "support", "urgency": "high"})
        found = only(ledger, prompt)
        assert (found.record.id, found.kind) == (number, "confirmation")
        assert found.expect == {"intent": "support", "urgency": "high"}
        assert found.why == "Mara approved it as it was"

    @pytest.mark.both_databases
    def test_an_edit_says_what_the_text_should_be(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide(answer={"reply": f"{REPLY}\n"}, edited="Hello Ann,\n\nTuesday it is.", comment="say when")
        found = only(ledger, prompt)
        assert found.kind == "edit"
        assert found.expect == {"intent": "demo_request", "urgency": "normal", "reply": "Hello Ann,\n\nTuesday it is."}
        assert found.why == "Mara changed the reply: “say when”"

    def test_a_text_that_the_flow_put_together_is_left_out(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        decide(answer={"reply": "something else"}, edited="Better")
        assert only(ledger, prompt).expect == {"intent": "demo_request", "urgency": "normal"}

    def test_a_rejection_teaches_what_its_comment_names(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide("rejected", "intent=support, please")
        found = only(ledger, prompt)
        assert (found.kind, found.expect) == ("correction", {"intent": "support"})
        assert found.why == "Mara rejected it: “intent=support, please”"

    def test_one_label_by_itself_is_enough(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide("rejected", "This is partnership!")
        assert only(ledger, prompt).expect == {"intent": "partnership"}

    @pytest.mark.parametrize(
        ("comment", "why"),
        [
            ("", "Mara rejected it"),
            ("wrong tone", "Mara rejected it: “wrong tone”"),
            ("this is not support", "Mara rejected it: “this is not support”"),
            ("demo_request", "Mara rejected it: “demo_request”"),
            ("intent=sales", "Mara rejected it: “intent=sales”; intent cannot be sales; it can be demo_request,"),
        ],
    )
    def test_a_rejection_that_names_nothing_is_in_doubt(
        self, ledger: Ledger, prompt: Prompt, decide: Decide, comment: str, why: str
    ) -> None:
        number = decide("rejected", comment)
        found = heard(ledger, prompt)
        assert found.lessons == []
        [doubt] = found.doubts
        assert doubt.record.id == number
        assert doubt.why.startswith(why)

    def test_one_rejection_among_approvals_puts_all_in_doubt(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        number = decide()
        decide("rejected", record=number)
        found = heard(ledger, prompt)
        assert (found.lessons, len(found.doubts)) == ([], 1)

    def test_an_approver_may_correct_a_label_in_the_comment(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        decide(comment="fine, but urgency=high")
        found = only(ledger, prompt)
        assert (found.kind, found.expect) == ("correction", {"intent": "demo_request", "urgency": "high"})

    def test_what_the_model_left_to_a_person_was_not_put_to_them(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        decide(answer={"confidence": 0.3})
        taught = decide(comment="intent=other", answer={"confidence": 0.3})
        found = only(ledger, prompt)
        assert (found.record.id, found.expect) == (taught, {"intent": "other"})

    def test_a_label_that_the_answer_no_longer_has_is_left_out(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        decide(answer={"intent": "sales"})
        assert only(ledger, prompt).expect == {"urgency": "normal"}


class TestWhatDoesNot:
    @pytest.mark.both_databases
    def test_the_cards_word_nobodys_and_the_others_workflow(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        decide(by=BY_CARD)
        decide("rejected", by="Prefect", comment="its run was cancelled in Prefect")
        decide("rejected", by="", comment="the answer could not be read: intent=spam")
        decide("expired", by="")
        decide("")
        assert heard(ledger, prompt) == Heard()
        decide()
        other = Source(CARD.model_copy(update={"workflow": "another"}), variables)
        assert lessons.heard(ledger, other, prompt) == Heard()

    @pytest.mark.both_databases
    def test_open_quarantined_and_unanswered_records(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        waits = decide()
        decide("", record=waits, action_state="waiting")
        decide(state="quarantined")
        change(ledger, decide(), answer=None)
        assert heard(ledger, prompt) == Heard()

    @pytest.mark.both_databases
    def test_redacted_records_are_counted(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        change(ledger, decide(), redacted_at=utcnow(), payload={}, answer={"intent": "spam"})
        assert heard(ledger, prompt) == Heard(redacted=1)

    @pytest.mark.both_databases
    def test_an_answer_that_came_after_the_decision_was_never_judged(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        judged, replayed = decide(), decide()
        with ledger.write() as session:
            now = utcnow()
            session.add(Run(id="r", workflow="lead-triage", stage="gated", started_at=now, heartbeat_at=now))
            session.flush()
            for number, at in ((judged, now - timedelta(hours=1)), (replayed, now + timedelta(hours=1))):
                session.add(
                    ModelCall(
                        workflow="lead-triage", record_id=number, run_id="r", prompt="lead_triage", prompt_version="v",
                        model="m", attempt=1, reply="", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                        cost=Decimal(0), seconds=1, created_at=at,
                    )
                )  # fmt: skip
        assert only(ledger, prompt).record.id == judged


class TestComments:
    @pytest.mark.parametrize(
        ("comment", "named"),
        [
            ("intent=support urgency=high", {"intent": "support", "urgency": "high"}),
            ("Intent: demo request, urgency = low", {"intent": "demo_request", "urgency": "low"}),
            ("it is intent=demo-request for sure", {"intent": "demo_request"}),
            ("note: call them; intent=spam.", {"intent": "spam"}),
            ("support", {}),
            ("reply=nicer", {}),
        ],
    )
    def test_field_and_value(self, prompt: Prompt, comment: str, named: dict[str, str]) -> None:
        assert hint(prompt, [comment]).expect == named

    @pytest.mark.parametrize("comments", [["intent=support", "intent=spam"], ["intent=sales"], ["intent=-"]])
    def test_what_contradicts_itself_or_is_no_value_teaches_nothing(self, prompt: Prompt, comments: list[str]) -> None:
        found = hint(prompt, comments)
        assert found.expect == {}
        assert found.wrong.startswith("intent cannot be ")

    @pytest.mark.parametrize(
        ("comment", "wrong", "is_slip"),
        [
            ("intent=sales", "intent cannot be sales; it can be demo_request, ", True),
            ("intent: sales", "intent cannot be sales; it can be ", False),
            ("urgncy=high", "there is no urgncy; the answer has intent, urgency", True),
            ("topic=support", "there is no topic; the answer has ", True),
            ("order=1234, thanks", "", False),
            ("topic: support", "", False),
            ("please do not put intent=other here", "it says what the intent is not", False),
            ("not this, but intent=other", "", False),
        ],
    )
    def test_a_slip_is_not_taken_for_something_else(
        self, prompt: Prompt, comment: str, wrong: str, is_slip: bool
    ) -> None:
        found = hint(prompt, [comment])
        assert found.wrong.startswith(wrong)
        assert bool(found.wrong) == bool(wrong)
        assert found.is_slip == is_slip

    @pytest.mark.parametrize(
        ("comment", "named"),
        [
            ("Support!", {"intent": "support"}),
            ("should be demo request", {"intent": "demo_request"}),
            ("c'est du spam", {"intent": "spam"}),
            ("support or partnership", {}),
            ("kein support", {}),
            ("it isn't support", {}),
            ("supported by nobody", {}),
            ("please ask them first what they need before you write support", {}),
            ("normal", {}),
        ],
    )
    def test_a_label_by_itself(self, prompt: Prompt, comment: str, named: dict[str, str]) -> None:
        assert hinted(prompt, [comment], {"intent": "other", "urgency": "normal"}) == named


class TestProposals:
    def test_a_case_has_every_variable_and_nobodys_data(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        number = decide(
            answer={"reply": REPLY},
            edited="Hello Ann,\n\ncall +49 30 1234567.\n\nBest regards\nFatima\nDockwell",
            text="Hi Tomas,\n\nhere is Ann of Northwind, ann@northwind.example, 030 1234567. Ask "
            "tomas@dockwell.example or Okonkwo",
            signature="Best regards\nIfe Okonkwo",
        )
        change(ledger, number, context={"contact": {"firstname": "Ann", "company": "Northwind Traders", "phone": "1"}})
        [found] = proposed(ledger, prompt).chosen
        assert found.case.name == f"demo-request-{number}"
        assert found.case.inputs == {
            "attachments": [],
            "company": "Dockwell",
            "contact": {"firstname": "Averin", "company": "Alderworks", "phone": "0"},
            "date": "Monday 02 March 2026",
            "sender": "person1@example.com",
            "sender_name": "Averin Ashmark",
            "subject": "Nr 1",
            "text": "Hi Brisel,\n\nhere is Averin of Alderworks, person1@example.com, 000 0000000. Ask "
            "person2@dockwell.example or Delmy",
        }
        reply = "Hello Averin,\n\ncall +00 00 0000000.\n\nBest regards\nElorin\nDockwell"
        assert found.case.expect == {"intent": "demo_request", "urgency": "normal", "reply": reply}
        assert found.masked == {"address": 2, "name": 5, "company": 2, "number": 3}
        assert (found.answered, found.probability) == ({"intent": "demo_request", "urgency": "normal"}, 0.95)

    def test_the_most_telling_come_first(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        confirmed = decide(answer={"confidence": 0.9})
        unsure = decide(answer={"confidence": 0.7})
        edited = decide(answer={"reply": REPLY}, edited="x")
        corrected = decide("rejected", "intent=spam", answer={"confidence": 0.7})
        sure_and_wrong = decide("rejected", "intent=spam", answer={"confidence": 0.99})
        found = proposed(ledger, prompt)
        assert [one.record_id for one in found.chosen] == [sure_and_wrong, corrected, edited, unsure, confirmed]
        few = proposed(ledger, prompt, limit=2)
        assert [one.record_id for one in few.chosen] == [sure_and_wrong, corrected]
        assert few.left == 3

    def test_labels_with_cases_in_plenty_come_last(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        for number in range(3):
            decide(text=f"A demo of part {number}?")
        append(prompt, [one.case for one in proposed(ledger, prompt).chosen])
        prompt.__dict__.pop("cases")
        plenty = decide(answer={"confidence": 0.65}, text="And another demo?")
        rare = decide(answer={"confidence": 0.99, "intent": "partnership"}, text="Let us work together")
        assert [one.record_id for one in proposed(ledger, prompt).chosen] == [rare, plenty]

    def test_twice_adds_nothing(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide()
        decide("rejected", "intent=support")
        first = proposed(ledger, prompt)
        append(prompt, [one.case for one in first.chosen])
        prompt.__dict__.pop("cases")
        again = proposed(ledger, prompt)
        assert (again.chosen, again.known, again.contradicting) == ([], 2, [])

    def test_the_same_words_make_one_case(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide(subject="Prices", text="How much, says Ann?")
        decide(subject="prices!", text="HOW MUCH says Juan?", sender="juan@smith.example", sender_name="Juan Rossi")
        found = proposed(ledger, prompt)
        assert (len(found.chosen), found.known) == (1, 1)

    def test_what_contradicts_a_case_is_told_and_not_written(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        first = decide("rejected", "intent=support", subject="Prices", answer={"confidence": 0.99})
        second = decide("rejected", "intent=spam", subject="Prices", answer={"confidence": 0.8})
        found = proposed(ledger, prompt)
        assert [one.record_id for one in found.chosen] == [first]
        [other] = found.contradicting
        assert (other.record_id, other.why) == (
            second,
            f"case support-{first} expects intent=support, and here it is spam",
        )

    def test_a_name_that_is_taken_by_other_words_gets_its_own(
        self, ledger: Ledger, prompt: Prompt, decide: Decide
    ) -> None:
        number = decide(text="A demo?")
        append(prompt, [one.case for one in proposed(ledger, prompt).chosen])
        prompt.__dict__.pop("cases")
        change(ledger, number, payload={**_payload(ledger, number), "text": "Another ledger's record"})
        [found] = proposed(ledger, prompt).chosen
        assert found.case.name.startswith(f"demo-request-{number}-")
        assert proposed(ledger, prompt).chosen[0].case.name == found.case.name

    def test_what_cannot_be_a_case_is_told(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        long, odd = decide(text="word " * 5000), decide()
        change(ledger, odd, payload={"message_id": "m"})
        found = proposed(ledger, prompt)
        assert found.chosen == []
        assert {one.record_id: one.why.partition(":")[0] for one in found.unusable} == {
            long: "it is longer than 20,000 characters",
            odd: "its flow's variables() fails",
        }

    def test_a_text_that_no_answer_can_be_is_left_out(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide(answer={"reply": REPLY}, edited="x" * 4001)
        [found] = proposed(ledger, prompt).chosen
        assert found.case.expect == {"intent": "demo_request", "urgency": "normal"}

    def test_variables_are_completed_restricted_and_json(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide()
        source = Source(
            CARD, lambda record: {"text": record.title, "date": datetime(2026, 3, 2, tzinfo=UTC), "more": 1}
        )
        [found] = lessons.propose(prompt, lessons.heard(ledger, source, prompt).lessons, 1).chosen
        assert set(found.case.inputs) == prompt.variables
        assert found.case.inputs["date"] == "2026-03-02 00:00:00+00:00"
        assert found.case.inputs["subject"] is None


class TestDoubts:
    def test_a_person_may_settle_one(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide("rejected", "wrong", text="ann@northwind.example here")
        [(doubt, masked)] = lessons.unknown(prompt, heard(ledger, prompt).doubts)
        assert isinstance(doubt, Doubt)
        assert "northwind" not in json.dumps(masked.inputs)
        lesson = lessons.settled(prompt, doubt, {"intent": "spam"}, "Tom")
        [found] = lessons.propose(prompt, [lesson], 5).chosen
        assert (found.kind, found.why) == ("correction", "Tom says so; Mara rejected it: “wrong”")
        append(prompt, [found.case])
        prompt.__dict__.pop("cases")
        assert list(lessons.unknown(prompt, heard(ledger, prompt).doubts)) == []

    def test_the_same_label_after_all_is_a_confirmation(self, ledger: Ledger, prompt: Prompt, decide: Decide) -> None:
        decide("rejected")
        [doubt] = heard(ledger, prompt).doubts
        assert lessons.settled(prompt, doubt, {"intent": "demo_request"}, "Tom").kind == "confirmation"


class TestByHand:
    @pytest.mark.both_databases
    def test_what_was_labelled_teaches_and_what_the_model_missed_first(
        self, ledger: Ledger, prompt: Prompt, add_record: Callable[..., int], triaged: Callable[..., dict[str, Any]]
    ) -> None:
        fresh = add_record("skipped", message_id="a")
        missed = add_record("done", triaged("spam"), message_id="b", subject="B")
        gone = add_record("done", triaged(), message_id="c")
        split = add_record("done", triaged(), message_id="d")
        change(ledger, gone, redacted_at=utcnow())
        labels = ((fresh, "Tom", "support"), (missed, "Tom", "support"), (gone, "Tom", "spam"), (split, "Tom", "spam"))
        for number, person, intent in (*labels, (split, "Ann", "other"), (fresh, "Ann", "support")):
            mirrored(ledger, number, person, {"intent": intent})
        found = lessons.by_hand(ledger, SOURCE, prompt)
        assert [(one.record.id, one.kind, one.why) for one in found.lessons] == [
            (fresh, "by hand", "Tom and Ann did it by hand"),
            (missed, "correction", "Tom did it by hand"),
        ]
        assert found.redacted == 1
        chosen = lessons.propose(prompt, found.lessons, 5).chosen
        assert [one.record_id for one in chosen] == [missed, fresh]
        mine = lessons.by_hand(ledger, SOURCE, prompt, "Ann")
        assert [(one.record.id, one.expect["intent"]) for one in mine.lessons] == [(split, "other"), (fresh, "support")]


def mirrored(ledger: Ledger, number: int, person: str, answer: dict[str, Any]) -> None:
    with ledger.write() as session:
        session.add(
            Mirror(
                workflow="lead-triage", record_id=number, person=person, seconds=60, answer=answer, steps=["look"],
                failed=False,
            )
        )  # fmt: skip


def _payload(ledger: Ledger, number: int) -> dict[str, Any]:
    with ledger.read() as session:
        return session.get_one(Record, number).payload
