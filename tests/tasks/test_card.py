"""A workflow without a complete card cannot be built."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tasks.actions import KINDS, Impact
from tasks.card import HINTS, Baseline, Card, CardError, Reads, Stage, Thresholds, Writes

BASELINE = {"minutes": 6, "failure_rate": 0.08}
READS = {"what": "the shared inbox", "credential": "gmail/inbox", "fields": ("id", "raw")}
WRITES = {"kind": "gmail.send_reply", "where": "the thread", "credential": "gmail/inbox", "approval": True}
THRESHOLDS = {"confidence": 0.6, "approval_days": 5}
CARD: dict[str, Any] = {
    "workflow": "lead-triage",
    "sentence": "Sort every inbound e-mail and draft the first reply.",
    "owner": "tom@dockwell.example",
    "baseline": Baseline(**BASELINE),
    "reads": (Reads(**READS),),
    "writes": (Writes(**WRITES),),
    "prompt": "lead_triage",
    "model": "claude/triage",
    "on_garbage": "It is asked again, then set aside.",
    "on_outage": "The next run takes it up.",
    "on_rate_limit": "The batch waits as long as it is asked to.",
    "usd_per_run": Decimal("0.50"),
    "usd_per_day": Decimal(4),
    "usd_per_month": Decimal(40),
    "stage": Stage.GATED,
    "thresholds": Thresholds(**THRESHOLDS),
}
PARTS: dict[type[BaseModel], dict[str, Any]] = {
    Baseline: BASELINE,
    Reads: READS,
    Writes: WRITES,
    Thresholds: THRESHOLDS,
}
REQUIRED = [(part, name) for part, fields in PARTS.items() for name in fields]


def blanks(value: object) -> list[object]:
    if isinstance(value, bool):
        return [None, "perhaps"]
    if isinstance(value, str):
        return [None, "", "   "]
    if isinstance(value, tuple):
        return [None, ()]
    if isinstance(value, BaseModel):
        return [None, {}]
    return [None, "", -1]


def test_a_complete_card_is_accepted() -> None:
    card = Card(**CARD)
    assert card.writes_of("gmail.send_reply") == card.writes[0]
    assert card.credential_for("gmail") == "inbox"
    assert card.credential_for("stripe") is None


def test_the_card_here_fills_in_every_field_there_is() -> None:
    assert set(CARD) == {name for name, field in Card.model_fields.items() if field.is_required()}
    assert all(set(fields) >= {n for n, f in p.model_fields.items() if f.is_required()} for p, fields in PARTS.items())


@pytest.mark.parametrize("field", CARD)
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(CardError, match=rf"(?m)^  {field}: is missing"):
        Card(**{name: value for name, value in CARD.items() if name != field})


@pytest.mark.parametrize(("field", "blank"), [(name, blank) for name in CARD for blank in blanks(CARD[name])])
def test_a_blank_field_is_refused_by_name(field: str, blank: object) -> None:
    with pytest.raises(CardError, match=rf"(?m)^  {field}"):
        Card(**CARD | {field: blank})


@pytest.mark.parametrize(("part", "field"), REQUIRED)
def test_a_part_with_a_missing_field_is_refused_by_name(part: type[BaseModel], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        part(**{name: value for name, value in PARTS[part].items() if name != field})


@pytest.mark.parametrize(
    ("part", "field", "blank"), [(part, name, blank) for part, name in REQUIRED for blank in blanks(PARTS[part][name])]
)
def test_a_part_with_a_blank_field_is_refused_by_name(part: type[BaseModel], field: str, blank: object) -> None:
    with pytest.raises(ValidationError, match=field):
        part(**PARTS[part] | {field: blank})


@pytest.mark.parametrize("field", HINTS)
def test_a_hint_says_what_belongs_into_the_field(field: str) -> None:
    assert field in CARD
    with pytest.raises(CardError) as caught:
        Card(**{name: value for name, value in CARD.items() if name != field})
    assert HINTS[field] in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CardError) as caught:
        Card(workflow="lead-triage")
    assert all(f"  {field}: is missing" in str(caught.value) for field in CARD if field != "workflow")
    assert "the card of lead-triage" in str(caught.value)


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(CardError, match="usd_per_year"):
        Card(**CARD, usd_per_year=1)


@pytest.mark.parametrize("part", PARTS)
def test_an_unknown_field_of_a_part_is_refused_by_name(part: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="colour"):
        part(**PARTS[part], colour="red")


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.impact is Impact.HIGH])
def test_a_high_impact_action_without_approval_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{kind}' is high-impact: approval must be True"):
        Writes(kind=kind, where="somewhere", credential="gmail/inbox", approval=False)


def test_a_high_impact_action_without_approval_is_refused_inside_a_card_too() -> None:
    with pytest.raises(CardError, match="high-impact"):
        Card(**CARD | {"writes": [WRITES | {"approval": False}]})


def test_an_unknown_kind_of_action_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValidationError, match=r"'gmail\.send_all' is no kind of action; there are .*gmail\.send_reply"):
        Writes(kind="gmail.send_all", where="everyone", credential="gmail/inbox", approval=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", "Tom"),
        ("owner", "tom@a.example, ann@b.example"),
        ("workflow", "Lead Triage"),
        ("model", "claude"),
        ("sentence", "Sorts."),
        ("stage", "autonomous"),
        ("usd_per_run", 0),
        ("usd_per_day", 0),
        ("usd_per_month", -1),
    ],
)
def test_a_field_that_cannot_be_right_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(CardError, match=rf"(?m)^  {field}: "):
        Card(**CARD | {field: value})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Baseline(minutes=0, failure_rate=0),
        lambda: Baseline(minutes=1, failure_rate=1.01),
        lambda: Thresholds(confidence=1.5, approval_days=1),
        lambda: Thresholds(confidence=1, approval_days=0),
        lambda: Thresholds(confidence=1, approval_days=61),
    ],
)
def test_a_number_that_cannot_be_right_is_refused(make: Callable[[], BaseModel]) -> None:
    with pytest.raises(ValidationError):
        make()


def test_a_card_cannot_be_changed_at_run_time() -> None:
    card = Card(**CARD)
    with pytest.raises(ValidationError, match="frozen"):
        card.stage = Stage.SELECTIVE  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        card.writes[0].approval = False  # type: ignore[misc]


def test_stages_are_ordered_from_the_lowest() -> None:
    assert [s.rank for s in (Stage.SHADOW, Stage.GATED, Stage.SELECTIVE)] == [0, 1, 2]
