"""Autonomy is earned: what the ledger has to hold before anything passes without a person, and what takes it away."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, History, Ledger, Record, StageChange
from flows.lead_triage import CARD, decide, explain
from tasks import alerts, audit, evidence, gate
from tasks.actions import BY_CARD
from tasks.card import Stage
from tests.earned import answered, decided, earn, evaluated

pytestmark = [pytest.mark.both_databases, pytest.mark.earns_its_stage, pytest.mark.usefixtures("prefect_server")]

V = "version-1"


def stage(ledger: Ledger, version: str = V) -> Stage:
    return evidence.supported(ledger, CARD, version)[0]


def why(ledger: Ledger, version: str = V) -> str:
    return evidence.supported(ledger, CARD, version)[1]


def missing(ledger: Ledger) -> list[str]:
    return [line.what for line in evidence.assess(ledger, CARD, V).missing]


def test_without_evidence_a_person_decides_everything(ledger: Ledger) -> None:
    assert stage(ledger) is Stage.GATED
    assert why(ledger).startswith("held-out cases right: not evaluated, needs 90% of at least 20, and 2 more")


def test_with_all_of_it_low_impact_passes(ledger: Ledger) -> None:
    earn(ledger, V)
    assert missing(ledger) == []
    assert stage(ledger) is Stage.SELECTIVE


def test_another_version_starts_over(ledger: Ledger) -> None:
    earn(ledger, V)
    assert stage(ledger, "version-2") is Stage.GATED
    assert stage(ledger) is Stage.SELECTIVE


@pytest.mark.parametrize(
    ("right", "of", "enough"), [(90, 100, True), (89, 100, False), (19, 19, False), (18, 20, True), (17, 20, False)]
)
def test_the_held_out_cases_have_to_be_right_and_enough(ledger: Ledger, right: int, of: int, enough: bool) -> None:
    earn(ledger, V)
    evaluated(ledger, V, right, of)
    assert (stage(ledger) is Stage.SELECTIVE) is enough
    assert missing(ledger) == ([] if enough else ["held-out cases right in intent"])


def test_a_share_is_never_shown_as_the_bar_that_it_misses(ledger: Ledger) -> None:
    evaluated(ledger, V, 8999, 10000)
    assert "in intent: 89.9% of 10000" in why(ledger)


@pytest.mark.parametrize(
    "other", [{"source": "their.jsonl"}, {"state": "stopped"}, {"state": "running", "scores": None}]
)
def test_only_finished_evaluations_on_the_held_out_cases_count(ledger: Ledger, other: dict[str, Any]) -> None:
    earn(ledger, V)
    evaluated(ledger, V, 10, 100, **other)
    assert stage(ledger) is Stage.SELECTIVE


def test_the_card_says_which_fields_are_judged(ledger: Ledger) -> None:
    earn(ledger, V)
    every = CARD.model_copy(update={"evidence": CARD.evidence.model_copy(update={"judged": ()})})
    lines = evidence.assess(ledger, every, V).missing
    assert [line.what for line in lines] == ["held-out cases right in urgency"]


def test_records_that_nobody_decided_on_are_not_enough(ledger: Ledger) -> None:
    evaluated(ledger, V)
    mine = answered(ledger, V, 60)
    decided(ledger, mine[:49])
    decided(ledger, mine[49:], by=BY_CARD)
    decided(ledger, mine[49:], "expired", by="")
    assert missing(ledger) == ["of them, decided on by a person"]


def test_many_actions_of_one_record_count_once(ledger: Ledger) -> None:
    evaluated(ledger, V)
    mine = answered(ledger, V, 50)
    for _ in range(5):
        decided(ledger, mine[:20])
    figures = evidence.assess(ledger, CARD, V).figures
    assert (figures.records, figures.decided) == (50, 20)


@pytest.mark.parametrize(
    ("bad", "enough"), [({"verdict": "rejected"}, 2), ({"edited": True}, 10)], ids=["rejected", "changed"]
)
def test_few_may_be_rejected_or_changed(ledger: Ledger, bad: dict[str, Any], enough: int) -> None:
    evaluated(ledger, V)
    mine = answered(ledger, V, 50)
    decided(ledger, mine[enough:])
    decided(ledger, mine[:enough], **bad)
    assert stage(ledger) is Stage.SELECTIVE
    decided(ledger, mine[-1:], **bad)
    assert stage(ledger) is Stage.GATED


def test_only_the_newest_decisions_make_the_share(ledger: Ledger) -> None:
    evaluated(ledger, V)
    decided(ledger, answered(ledger, V, 10), "rejected")
    decided(ledger, answered(ledger, V, 50))
    assert stage(ledger) is Stage.SELECTIVE


def test_answers_that_cannot_be_used_count_against_it(ledger: Ledger) -> None:
    earn(ledger, V)
    answered(ledger, V, 5, "quarantined")
    assert stage(ledger) is Stage.SELECTIVE
    answered(ledger, V, 1, "quarantined")
    assert missing(ledger) == ["answers that could not be used"]


def test_what_our_own_code_could_make_nothing_of_is_no_fault_of_the_model(ledger: Ledger) -> None:
    numbers = answered(ledger, V, 12, "quarantined")
    with ledger.write() as session:
        session.execute(sa.update(Record).where(Record.id.in_(numbers)).values(answer={"intent": "support"}))
    assert stage(ledger) is Stage.GATED


class TestTakenAway:
    def test_rejections_take_it_away_by_themselves_and_tell(self, ledger: Ledger) -> None:
        earn(ledger, V)
        assert stage(ledger) is Stage.SELECTIVE
        decided(ledger, answered(ledger, V, 3), "rejected")
        assert stage(ledger) is Stage.GATED
        (alert,) = alerts.still_open(ledger)
        assert alert.key == "stage:lead-triage"
        assert "went from selective to gated: of those, rejected: 3 of 50" in alert.message

    def test_it_is_earned_afresh_and_the_alert_closes(self, ledger: Ledger) -> None:
        earn(ledger, V)
        stage(ledger)
        decided(ledger, answered(ledger, V, 3), "rejected")
        stage(ledger)
        decided(ledger, answered(ledger, V, 49))
        assert stage(ledger) is Stage.GATED
        decided(ledger, answered(ledger, V, 1))
        assert stage(ledger) is Stage.SELECTIVE
        assert alerts.still_open(ledger) == []

    def test_what_people_mostly_reject_only_watches_until_somebody_says_otherwise(self, ledger: Ledger) -> None:
        mine = answered(ledger, V, 10)
        decided(ledger, mine[:5], "rejected")
        decided(ledger, mine[5:])
        assert stage(ledger) is Stage.GATED
        decided(ledger, answered(ledger, V, 2), "rejected")
        assert stage(ledger) is Stage.SHADOW
        decided(ledger, answered(ledger, V, 20))  # left over from before: they bring nothing back by themselves
        assert stage(ledger) is Stage.SHADOW
        assert evidence.reinstate(ledger, CARD, V, "Tom")
        assert stage(ledger) is Stage.GATED
        assert not evidence.reinstate(ledger, CARD, V, "Tom")

    def test_a_few_first_rejections_are_not_most(self, ledger: Ledger) -> None:
        decided(ledger, answered(ledger, V, 9), "rejected")
        assert stage(ledger) is Stage.GATED

    def test_a_model_that_answers_mostly_garbage_only_watches(self, ledger: Ledger) -> None:
        answered(ledger, V, 4)
        answered(ledger, V, 6, "quarantined")
        assert stage(ledger) is Stage.SHADOW

    def test_every_change_is_in_the_history_once(self, ledger: Ledger) -> None:
        earn(ledger, V)
        for _ in range(3):
            stage(ledger)
        decided(ledger, answered(ledger, V, 3), "rejected")
        for _ in range(3):
            stage(ledger)
        with ledger.read() as session:
            kept = session.scalars(sa.select(StageChange).order_by(StageChange.id)).all()
            told = session.scalars(sa.select(History).where(History.subject.like("stage_changes/%"))).all()
        assert [(c.previous, c.stage) for c in kept] == [("gated", "selective"), ("selective", "gated")]
        assert [row.event for row in told] == ["stage selective", "stage gated"]
        assert audit.verify(ledger).passed


class TestRuns:
    def test_a_card_that_asks_for_selective_without_evidence_runs_gated_and_says_why(
        self, begin: Callable[..., Any]
    ) -> None:
        assert CARD.stage is Stage.SELECTIVE
        with begin() as run:
            assert run.stage is Stage.GATED
            (note,) = run.notes
        assert note.startswith("runs gated instead of selective: held-out cases right: not evaluated, needs 90%")

    def test_what_is_high_impact_asks_a_person_whatever_the_evidence(
        self,
        begin: Callable[..., Any],
        ledger: Ledger,
        add_record: Callable[..., int],
        triaged: Callable[..., dict[str, Any]],
        deployment: object,  # noqa: ARG002
    ) -> None:
        with begin() as run:
            version = run.prompt_version
        earn(ledger, version)
        number = add_record("validated", triaged())
        with begin() as run:
            assert run.stage is Stage.SELECTIVE
            gate.check(run, [number], decide, explain)
        with ledger.read() as session:
            states = dict(
                session.execute(sa.select(Action.kind, Action.state).where(Action.record_id == number)).tuples().all()
            )
        assert states.pop("gmail.send_reply") == "waiting"
        assert set(states.values()) == {"pending"}

    def test_evidence_that_breaks_in_the_middle_of_a_run_stops_it_there(
        self, begin: Callable[..., Any], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tasks.run.EVIDENCE_SECONDS", 0.0)
        with begin() as run:
            version = run.prompt_version
        earn(ledger, version)
        with begin() as run:
            assert run.stage is Stage.SELECTIVE
            decided(ledger, answered(ledger, version, 3), "rejected")
            assert run.look_at_stage() is Stage.GATED
            assert any("in the middle of the run" in note for note in run.notes)

    def test_what_another_version_has_answered_has_not_earned_what_this_one_has(
        self,
        begin: Callable[..., Any],
        ledger: Ledger,
        add_record: Callable[..., int],
        triaged: Callable[..., dict[str, Any]],
        deployment: object,  # noqa: ARG002
    ) -> None:
        number = add_record("validated", triaged("spam"))
        with ledger.write() as session:
            session.execute(sa.update(Record).where(Record.id == number).values(prompt_version="another"))
        with begin() as run:
            version = run.prompt_version
        earn(ledger, version)
        with begin() as run:
            assert run.stage is Stage.SELECTIVE
            gate.check(run, [number], decide, explain)
        with ledger.read() as session:
            (action,) = session.scalars(sa.select(Action).where(Action.record_id == number))
        assert (action.stage, action.state) == ("gated", "waiting")
