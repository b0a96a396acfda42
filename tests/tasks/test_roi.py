"""What the workflows came to, counted in ledgers of which every record is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from blocks.ledger import Action, AgentRun, Decision, Evaluation, Ledger, ModelCall, Receipt, Record, utcnow
from blocks.mail import Email
from flows.lead_triage import CARD
from tasks import retention, roi, roi_advice, roi_statement, roi_words
from tasks.card import Card, Stage
from tasks.periods import Period, last_days, zone_of
from tasks.roi import Assumptions, Report, WorkflowReport
from tests.reporting import HOUR, MINUTE, Books, Wanted, filled
from tests.work import add_work

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
"""A Friday."""

DAY = timedelta(days=1)
UTC_ZONE = zone_of("UTC")
BY_CARD = Wanted("gmail.apply_label", by="card", after=MINUTE)
ONE_SECOND = Assumptions(review_seconds=1)
USUAL = Assumptions()


@pytest.fixture
def books(ledger: Ledger) -> Books:
    """What the test's ledger is to hold."""
    return Books(ledger)


@pytest.fixture
def week(books: Books) -> Callable[..., WorkflowReport]:
    """Writes the books, and reports on the seven days until now; of the lead triage alone."""

    def look(given: Assumptions = USUAL, cards: Sequence[Card] = (CARD,), zone: str = "UTC") -> WorkflowReport:
        books.write()
        (found,) = (
            roi.report(books.ledger, cards, last_days(7, zone_of(zone), NOW), given).only(["lead-triage"]).workflows
        )
        return found

    return look


Week = Callable[..., WorkflowReport]


def whole(books: Books, days: int = 7, given: Assumptions = USUAL) -> Report:
    books.write()
    return roi.report(books.ledger, (CARD,), last_days(days, UTC_ZONE, NOW), given)


class TestVolume:
    def test_every_record_that_came_in_is_one_thing(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, Wanted())
        books.record(NOW - DAY, BY_CARD, Wanted(state="waiting"))
        books.record(NOW - DAY, Wanted(state="rejected"), Wanted(state="refused"))
        books.record(NOW - DAY, BY_CARD, Wanted(state="rejected"))  # something of it was done
        books.record(NOW - DAY, state="waits")
        books.record(NOW - DAY, state="quarantined", reason="no sender")
        books.record(NOW - DAY, state="skipped")
        books.record(NOW - DAY, state="prompted")
        books.record(NOW - DAY, Wanted(state="shadow", stage="shadow"))
        now = week().now
        parts = (now.done, now.turned_down, now.waiting, now.quarantined, now.skipped, now.open, now.watched)
        assert (now.came_in, parts) == (9, (2, 1, 2, 1, 1, 1, 1))

    def test_it_is_counted_on_the_day_it_came_in(self, books: Books, week: Week) -> None:
        books.record(datetime(2026, 11, 24, 23, 30, tzinfo=UTC), Wanted(), Wanted("hubspot.add_note"))
        days = {day.day: figures.came_in for day, figures in week().days.items() if figures.came_in}
        assert days == {24: 1}

    def test_days_begin_where_the_zone_says(self, books: Books, week: Week) -> None:
        books.record(datetime(2026, 11, 24, 23, 30, tzinfo=UTC))
        books.record(datetime(2026, 11, 20, 18, 20, tzinfo=UTC))  # five past midnight, on the first day
        days = {day.day: figures.came_in for day, figures in week(zone="Asia/Kathmandu").days.items()}
        assert {day for day, count in days.items() if count} == {21, 25}

    def test_the_period_before_ends_at_the_same_hour(self, books: Books, week: Week) -> None:
        books.record(NOW - 7 * DAY - HOUR)
        books.record(NOW - 7 * DAY + HOUR)  # in neither
        books.record(NOW - 13 * DAY)
        books.record(datetime(2026, 11, 13, 23, 59, tzinfo=UTC))
        found = week()
        assert (found.now.came_in, found.before.came_in) == (0, 2)

    def test_what_was_done_by_hand_in_the_mirror_is_no_work_of_the_workflow(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, state="skipped", source="mirror", asked=0)
        assert not week().now

    def test_actions_are_counted_by_kind_with_their_receipts(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted(), Wanted(state="rejected"))
        books.record(NOW - DAY, Wanted(attempts=3, found=True))
        found = week()
        assert {kind.kind: kind.done for kind in found.kinds} == {"gmail.send_reply": 2, "gmail.apply_label": 1}
        assert (found.now.actions, found.now.retried, found.now.found) == (3, 2, 1)


class TestMinutes:
    def test_a_result_that_is_used_saves_the_cards_minutes_less_the_look_at_it(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted())
        books.record(NOW - DAY, BY_CARD)
        found = week(Assumptions(review_seconds=90)).minutes
        assert found is not None
        assert (found.by_hand, found.mended, found.review, found.saved) == (12, 0, 1.5, 10.5)

    def test_one_that_was_changed_is_taken_to_be_done_by_hand_once_more(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted(edited=True))
        found = week()
        assert found.minutes
        assert (found.now.used, found.now.mended, found.minutes.saved) == (1, 1, -1)
        assert (found.now.edit_rate, found.now.rejection_rate) == (1, 0)

    @pytest.mark.parametrize("state", ["rejected", "failed", "handled", "expired"])
    def test_so_is_one_of_which_a_part_came_to_nothing(self, books: Books, week: Week, state: str) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted(state=state))
        found = week(ONE_SECOND)
        assert found.minutes
        assert (found.minutes.by_hand, found.minutes.mended) == (6, 6)

    def test_one_that_was_rejected_as_a_whole_saves_nothing_and_costs_the_look(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, Wanted(state="rejected"))
        found = week()
        assert found.minutes
        assert (found.now.used, found.minutes.saved) == (0, -1)

    def test_nothing_is_saved_while_a_part_waits_and_then_on_the_day_of_the_last(
        self, books: Books, week: Week
    ) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted(state="waiting"))
        books.record(NOW - DAY, BY_CARD, Wanted(state="unknown"))
        books.record(NOW - 6 * DAY, BY_CARD, Wanted(after=3 * DAY))
        found = week()
        assert found.now.used == 1
        assert {day.day for day, figures in found.days.items() if figures.used} == {24}

    def test_a_result_is_in_one_week_only(self, books: Books, week: Week) -> None:
        books.record(NOW - 9 * DAY, BY_CARD, Wanted(after=4 * DAY))
        found = week()
        assert (found.now.used, found.before.used) == (1, 0)
        assert (found.now.came_in, found.before.came_in) == (0, 1)

    def test_what_is_left_to_a_person_or_set_aside_saves_nothing(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, BY_CARD, sure=False)
        books.record(NOW - DAY, BY_CARD, state="quarantined", reason="the agent was stopped by a limit: 12 steps")
        now = week().now
        assert (now.used, now.unsure, now.quarantined) == (0, 1, 1)

    def test_shadow_saves_nothing(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, Wanted(state="shadow", stage="shadow", by=""))
        found = week()
        assert (found.now.watched, found.now.used, found.now.done, found.now.error_rate) == (1, 0, 0, None)

    def test_evidence_that_was_made_up_saves_nothing_and_is_named(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(proven=False))
        found = whole(books)
        assert (found.now.used, found.now.actions, found.minutes.by_hand) == (0, 0, 0)
        assert "1 action said to be done without a receipt: not counted" in list(roi_words.notes(found))

    def test_what_one_record_wants_in_the_crm_is_one_form_and_each_message_another(
        self, books: Books, week: Week
    ) -> None:
        low = [Wanted(kind) for kind in ("gmail.apply_label", "hubspot.add_note", "hubspot.create_task")]
        books.record(NOW - DAY, *low, Wanted(), Wanted())
        books.record(NOW - DAY, *low)
        now = week().now
        assert (now.forms, now.shared_forms, now.decided) == (4, 2, 2)

    def test_the_card_and_cancelled_runs_take_nobodys_time(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, BY_CARD, Wanted(state="rejected", by="Prefect"))
        books.record(NOW - DAY, Wanted(state="rejected", by=""))
        now = week().now
        assert (now.forms, now.decided, now.rejected) == (0, 0, 0)

    def test_a_workflow_whose_flow_file_is_gone_keeps_its_figures_without_minutes(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(), workflow="gone")
        books.record(NOW - DAY, Wanted())
        found = whole(books)
        gone = next(each for each in found.workflows if each.workflow == "gone")
        assert (gone.card, gone.minutes, gone.now.used, gone.baseline_rate) == (None, None, 1, None)
        assert (found.minutes.by_hand, found.without_card) == (6, ("gone",))
        assert any(note.startswith("gone: there is no flow file any more") for note in roi_words.notes(found))
        assert "gone" in roi_words.as_markdown(found)

    def test_two_periods_add_up_to_the_one_that_holds_both(self, ledger: Ledger) -> None:
        filled(ledger, 120, NOW, 12)
        middle = datetime(2026, 11, 21, tzinfo=UTC)
        first, second = (
            Period(middle - 7 * DAY, middle, UTC_ZONE),
            Period(middle, middle + 7 * DAY, UTC_ZONE),
        )
        both = roi.report(ledger, (CARD,), Period(first.since, second.until, UTC_ZONE)).now
        parts = [roi.report(ledger, (CARD,), each).now for each in (first, second)]
        for name in ("came_in", "used", "mended", "forms", "actions", "calls", "usd"):
            assert getattr(both, name) == sum(getattr(part, name) for part in parts), name


class TestErrors:
    def test_what_went_wrong_beside_what_people_get_wrong(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, state="quarantined", reason="no sender")
        books.record(NOW - DAY, BY_CARD, Wanted(state="failed"))
        books.record(NOW - DAY, BY_CARD, Wanted(state="expired"))
        for _ in range(5):
            books.record(NOW - DAY, Wanted())
        books.record(NOW - DAY, state="skipped")
        books.record(NOW - DAY, Wanted(state="waiting"))
        found = week()
        assert (found.now.wrong, found.now.ended, found.now.error_rate, found.baseline_rate) == (3, 8, 0.375, 0.08)
        assert roi_words.went_wrong(found) == "3 of 8 went wrong, too few for a share (by hand 8.0%)"

    def test_reasons_are_in_our_words_and_name_nobody(self, books: Books, week: Week) -> None:
        for reason in (
            "the model's answer was not usable: “buy now” is no intent",
            "the model's answer was not usable: intent is missing",
            "ann@northwind.example wrote too much",
            "too long",
            "a fourth",
            None,
        ):
            books.record(NOW - DAY, state="quarantined", reason=reason)
        reasons = week().reasons
        assert reasons[0] == ("the model's answer was not usable", 2)
        assert len(reasons) == 3
        assert "northwind" not in str(reasons)

    def test_half_and_nine_of_ten_decisions(self, books: Books, week: Week) -> None:
        for minutes in (1, 2, 3, 4, 5, 6, 7, 8, 9, 600):
            books.record(NOW - DAY, Wanted(after=minutes * MINUTE))
        books.record(NOW - DAY, BY_CARD)
        found = week().latency
        assert found is not None
        assert (found.decisions, round(found.half), round(found.most)) == (10, 300, 540)

    def test_an_agents_steps_are_no_repeated_questions(self, books: Books, week: Week) -> None:
        number = books.record(NOW - DAY, Wanted(), asked=3)
        books.write()
        with books.ledger.write() as session:
            session.execute(sa.update(ModelCall).where(ModelCall.attempt == 3).values(agent_run_id=1))
        books.rows.clear()
        now = week().now
        assert (number, now.calls, now.asked_again) == (1, 3, 1)


class TestMoney:
    def test_dollars_by_version_and_day_and_against_the_limits(self, books: Books, week: Week) -> None:
        books.version("v1", NOW - 40 * DAY)
        books.version("v2", NOW - 2 * DAY, model="claude-sonnet-5-5")
        books.record(NOW - 20 * DAY, Wanted(), version="v1", usd="9")
        books.record(NOW - 5 * DAY, Wanted(), version="v1", usd="1.50")
        books.record(NOW - 2 * DAY, Wanted(), Wanted(state="rejected"), version="v2", usd="0.25")
        books.record(NOW - DAY, Wanted(), version="v2", usd="0.25", asked=2)
        found = week()
        assert (found.now.usd, found.now.usd_per_record) == (Decimal("2.25"), Decimal("0.75"))
        assert [(one.version, one.is_change, one.figures.usd) for one in found.versions] == [
            ("v1", False, Decimal("1.5")),
            ("v2", True, Decimal("0.75")),
        ]
        assert found.versions[1].model == "claude-sonnet-5-5"
        assert found.versions[1].figures.rejection_rate == 0.5
        assert (found.spending.highest, str(found.spending.day)) == (Decimal("1.5"), "2026-11-22")
        assert found.spending.month == Decimal("11.25")
        assert found.usd_of("v2", (NOW - DAY).date()) == Decimal("0.5")

    def test_a_workflows_first_version_is_no_change(self, books: Books, week: Week) -> None:
        books.record(NOW - DAY, version="v1")
        assert [one.is_change for one in week().versions] == [False]

    def test_evaluations_count_once_for_each_prompt(self, books: Books) -> None:
        books.version("v1", NOW - DAY)
        books.record(NOW - DAY)
        books.write()
        fields: dict[str, Any] = {"prompt_version": "v1", "model": "m", "source": "held_out", "cases_digest": "d"}
        with books.ledger.write() as session:
            session.add(
                Evaluation(prompt="lead_triage", cases=1, state="done", cost=Decimal(2), created_at=NOW - DAY, **fields)
            )
        twin = CARD.model_copy(update={"workflow": "twin"})
        found = roi.report(books.ledger, (CARD, twin), last_days(7, UTC_ZONE, NOW))
        assert (found.evaluations, found.now.usd) == (Decimal(2), Decimal("0.002"))


class TestWhatItIsMadeOf:
    def test_an_empty_ledger(self, ledger: Ledger) -> None:
        found = roi.report(ledger, (CARD,), last_days(60, UTC_ZONE, NOW))
        assert not found.now
        assert (found.begins, found.compares, found.is_young) == (None, False, False)
        assert list(roi_words.notes(found)) == ["The ledger holds no record yet"]
        assert "nothing came in" in roi_words.as_markdown(found)
        assert roi_advice.advise(found) == []
        assert roi_statement.statement(found).minutes.saved == 0

    def test_a_young_ledger_says_so_and_extrapolates_nothing(self, books: Books) -> None:
        books.record(NOW - 9 * DAY, Wanted())
        found = whole(books, 60)
        assert (found.is_young, found.compares, found.minutes.by_hand) == (True, False, 6)
        (note, *_) = roi_words.notes(found)
        assert note == "The ledger begins on 18 Nov 2026: this is about 10 days, and nothing is extrapolated"

    def test_what_was_redacted_counts_as_before(self, ledger: Ledger, email: Callable[..., Email]) -> None:
        for state in ("done", "quarantined"):
            add_work(ledger, email(message_id=state), state=state, days_ago=1)
        period = last_days(7, UTC_ZONE, utcnow())
        before = roi.report(ledger, (CARD,), period)
        with ledger.read() as session:
            ids = list(session.scalars(sa.select(Record.id)))
        assert retention.redact(ledger, ids, by="a test").records == 2
        after = roi.report(ledger, (CARD,), period)
        assert after.workflows == before.workflows
        assert (after.now.came_in, after.now.used, after.now.quarantined) == (2, 1, 1)

    @pytest.mark.both_databases
    def test_both_databases_count_as_one_would_by_hand(self, ledger: Ledger) -> None:
        filled(ledger, 240, NOW, 20)
        with ledger.write() as session:
            session.add(AgentRun(workflow="lead-triage", record_id=1, model="m", state="done", tools=[]))
        statements: list[str] = []
        event.listen(ledger.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        found = roi.report(ledger, (CARD,), last_days(7, UTC_ZONE, NOW))
        assert len([one for one in statements if one.lstrip().startswith("SELECT")]) < 30  # whatever the ledger's size
        assert by_hand(ledger, found.period) == {name: getattr(found.now, name) for name in COUNTED}
        assert all(each.latency and each.latency.half > 0 for each in found.workflows)


COUNTED = (
    "came_in", "done", "turned_down", "waiting", "quarantined", "skipped", "used", "mended", "forms", "decided",
    "rejected", "edited", "expired", "actions", "retried", "unsure", "failed", "calls", "asked_again", "usd",
)  # fmt: skip


def by_hand(ledger: Ledger, period: Period) -> dict[str, Any]:
    """The same figures, row by row."""

    def now(at: datetime) -> bool:
        return period.since <= at < period.until

    with ledger.read() as session:
        records = session.scalars(sa.select(Record)).all()
        actions = session.scalars(sa.select(Action)).all()
        calls = session.scalars(sa.select(ModelCall)).all()
        decisions = {one.action_id: one for one in session.scalars(sa.select(Decision))}
        receipts = {one.action_id: one for one in session.scalars(sa.select(Receipt))}
    found: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    for record in records:
        mine = [one for one in actions if one.record_id == record.id]
        states = {one.state for one in mine}
        if now(record.created_at):
            outcome = "waiting" if "waiting" in states and record.state == "done" else record.state
            outcome = "turned_down" if outcome == "done" and states == {"rejected"} else outcome
            found["came_in"] += 1
            found[outcome] += 1
            found["failed"] += "failed" in states
            found["unsure"] += record.sure is False and outcome in ("done", "turned_down")
        last = max((receipts[one.id].created_at for one in mine if one.id in receipts), default=None)
        usable = record.sure is not False and record.state != "quarantined" and "waiting" not in states
        decided = [decisions[one.id] for one in mine if one.id in decisions and decisions[one.id].approver == "Mara"]
        turned = any(one.edited or one.verdict == "rejected" for one in decided)
        if last and now(last) and usable:
            found["used"] += 1
            found["mended"] += turned or bool(states & {"failed", "expired"})
        if lately := [one for one in decided if now(one.created_at)]:
            found["forms"] += len(lately)  # each is a reply
            found["decided"] += 1
            found["rejected"] += any(one.verdict == "rejected" for one in lately)
            found["edited"] += any(one.edited for one in lately)
    for one in actions:
        done = receipts.get(one.id)
        found["actions"] += bool(done and now(done.created_at))
        found["retried"] += one.attempts - 1 if done and now(done.created_at) else 0
        verdict = decisions.get(one.id)
        found["expired"] += bool(verdict and verdict.verdict == "expired" and now(verdict.created_at))
    spent = [call for call in calls if now(call.created_at)]
    found["calls"] = len(spent)
    found["asked_again"] = sum(call.attempt > 1 for call in spent)
    return dict(found) | {"usd": sum((call.cost for call in spent), Decimal(0))}


class TestAdvice:
    def advice(self, books: Books, **changes: Any) -> dict[str, roi_advice.Advice]:
        books.write()
        card = CARD.model_copy(update=changes)
        found = roi.report(books.ledger, (card,), last_days(7, UTC_ZONE, NOW))
        return {one.command: one for one in roi_advice.advise(found)}

    def test_replies_that_people_change_teach_the_prompt(self, books: Books) -> None:
        for n in range(20):
            books.record(NOW - DAY, BY_CARD, Wanted(edited=n < 8, state="rejected" if n == 9 else "done"))
        one = self.advice(books)["signoff cases lead_triage --from-decisions"]
        assert one.said == "of 20 replies that people decided on, 8 changed and 1 rejected"
        assert one.minutes == 9 * 6

    def test_what_was_set_aside_with_the_most_frequent_reason(self, books: Books) -> None:
        for reason in ("no sender", "no sender: x", "other"):
            books.record(NOW - DAY, state="quarantined", reason=reason)
        one = self.advice(books)["signoff quarantine list --workflow lead-triage"]
        assert one.said == "3 of 3 records set aside, most often because: no sender"

    def test_what_waits_and_what_expired(self, books: Books) -> None:
        books.record(NOW - 30 * DAY, Wanted(state="waiting"))
        books.record(NOW - DAY, Wanted(state="expired"))
        one = self.advice(books)["signoff approvals list --workflow lead-triage"]
        assert one.said == (
            "1 record with something to sign off, the first since 28 Oct 15:31 UTC; 1 action expired, nobody decided "
            "in time"
        )

    def test_what_was_only_watched(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(state="shadow", stage="shadow", by=""))
        assert "signoff stage lead-triage gated" in self.advice(books)["signoff shadow lead-triage"].said

    def test_forms_that_could_pass_by_themselves_unless_the_card_does_not_want_it(self, books: Books) -> None:
        for _ in range(6):
            books.record(NOW - DAY, Wanted("gmail.apply_label"))
        one = self.advice(books)["signoff evidence lead-triage"]
        assert (one.said.split(",")[0], one.minutes) == ("6 forms with low-impact actions only", 6)
        books.rows.clear()
        assert "signoff evidence lead-triage" not in self.advice(books, stage=Stage.GATED)

    def test_a_limit_that_is_near(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(), usd="3.30")
        one = self.advice(books)["signoff eval lead_triage --model embedded"]
        assert one.said.startswith("the dearest day cost $3.30 of the $4.00 on the card")

    def test_the_rest_of_the_rules(self, books: Books) -> None:
        for n in range(8):
            books.record(NOW - DAY, BY_CARD, Wanted(state="failed" if n == 0 else "done"), asked=2, sure=n > 5)
        books.record(NOW - DAY, Wanted(state="unknown"))
        found = self.advice(books)
        assert found["signoff ledger failed"].said.startswith("1 record with an action that")
        assert found["signoff ledger doubts"].said == "1 action that may or may not have been done"
        assert found["signoff mirror lead-triage"].minutes == 0
        books.rows.clear()
        books.write()
        everything = roi_advice.advise(roi.report(books.ledger, (CARD,), last_days(7, UTC_ZONE, NOW)))
        said = {one.said for one in everything}
        assert "6 of 9 records left to a person, the model was not sure" in said
        assert "8 of 17 model calls asked again, the answer could not be used" in said

    def test_a_baseline_that_was_measured_is_not_asked_for(self, books: Books) -> None:
        number = books.record(NOW - DAY, Wanted())
        books.mirrored(number, 5.5, NOW - DAY)
        assert "signoff mirror lead-triage" not in self.advice(books)

    def test_what_saves_most_comes_first(self, ledger: Ledger) -> None:
        filled(ledger, 120, NOW, 6)
        found = roi_advice.advise(roi.report(ledger, (CARD,), last_days(7, UTC_ZONE, NOW)))
        assert [one.minutes for one in found] == sorted((one.minutes for one in found), reverse=True)
        assert len(found) > 3

    def test_a_workflow_without_a_card_gets_no_command_that_needs_one(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(edited=True), workflow="gone")
        books.record(NOW - DAY, state="quarantined", reason="x", workflow="gone")
        books.write()
        found = roi_advice.advise(roi.report(books.ledger, (), last_days(7, UTC_ZONE, NOW)))
        assert [one.command for one in found] == ["signoff quarantine list --workflow gone"]


class TestStatement:
    def worked(self, books: Books, **given: Any) -> roi_statement.Statement:
        for n in range(10):
            books.record(NOW - (10 - n) * DAY, Wanted(), usd="0.50")
        return roi_statement.statement(whole(books, 60, Assumptions(**given)))

    def test_without_a_rate_it_states_hours_only(self, books: Books) -> None:
        said = self.worked(books)
        assert (said.minutes.saved, said.model_usd) == (50, Decimal(5))
        assert (said.worth, said.balance, said.set_up_usd, said.paid_back_on) == (None, None, None, None)
        assert said.payback == "Give --set-up-hours to see when it pays back."

    def test_with_a_rate_it_states_dollars_and_when_they_are_back(self, books: Books) -> None:
        said = self.worked(books, hourly_rate=Decimal(60), set_up_hours=0.25)
        assert (said.worth, said.set_up_usd, said.balance) == (Decimal(50), Decimal(15), Decimal(30))
        assert str(said.paid_back_on) == "2026-11-20"  # five minutes a day, less half a dollar
        assert said.payback.startswith("Paid back on 20 Nov 2026: by then the hours saved were worth more")

    def test_hours_of_set_up_are_made_up_for_by_hours(self, books: Books) -> None:
        assert str(self.worked(books, set_up_hours=0.5).paid_back_on) == "2026-11-22"

    def test_what_is_not_paid_back_is_not_extrapolated(self, books: Books) -> None:
        said = self.worked(books, set_up_hours=40)
        assert said.paid_back_on is None
        assert said.payback == "Not paid back yet: 0.8 hours were saved so far, against the 40 hours of set-up."

    def test_each_assumption_has_its_source(self, books: Books) -> None:
        number = books.record(NOW - DAY, Wanted())
        books.mirrored(number, 5.5, NOW - DAY)
        said = self.worked(books, review_seconds=20, hourly_rate=Decimal(45))
        sources = {one.what: (one.value, one.source) for one in said.assumptions}
        assert sources["lead-triage: a record by hand"] == (
            "6 minutes",
            "the card; 5.5 measured by hand, 1 record",
        )
        assert sources["a person's look at a form"] == ("20 seconds", "--review-seconds")
        assert sources["an hour of a person"] == ("$45.00", "--hourly-rate")
        assert sources["setting it up"] == ("not given", "--set-up-hours")

    def test_what_is_not_counted_is_said(self, books: Books) -> None:
        books.record(NOW - DAY, Wanted(state="shadow", stage="shadow", by=""))
        books.record(NOW - DAY, Wanted(state="waiting"))
        books.record(NOW - DAY, BY_CARD, sure=False)
        books.record(NOW - DAY, Wanted(), workflow="gone")
        said = "\n".join(self.worked(books).not_counted)
        for part in ("1 record only watched", "1 record still waiting", "1 record left to a person", "saved by gone"):
            assert part in said


class TestWords:
    @pytest.mark.parametrize(
        ("minutes", "said"), [(0, "0 min"), (-0.4, "0 min"), (59, "59 min"), (90, "1.5 h"), (-90, "-1.5 h")]
    )
    def test_hours(self, minutes: float, said: str) -> None:
        assert roi_words.hours(minutes) == said

    @pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (120, "2 min"), (7_200, "2.0 h"), (200_000, "2.3 d")])
    def test_how_long(self, seconds: float, said: str) -> None:
        assert roi_words.long(seconds) == said

    @pytest.mark.parametrize(("amount", "said"), [("0", "$0.00"), ("0.00123", "$0.0012"), ("1234.5", "$1,234.50")])
    def test_dollars(self, amount: str, said: str) -> None:
        assert roi_words.dollars(Decimal(amount)) == said

    def test_change(self) -> None:
        assert [roi_words.change(*pair) for pair in ((12, 10), (10, 10), (5, 0), (5, -3))] == [
            "+20%",
            "as before",
            "",
            "",
        ]
