"""The card: the checklist that is filled in before a workflow is built, and enforced ever after."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tasks import workdays
from tasks.actions import KINDS, Action, Address, Impact
from tasks.output import allowed_entry

ONE_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=15)]
AllowedEntry = Annotated[str, AfterValidator(allowed_entry)]
Credential = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
SlackChannel = Annotated[str, StringConstraints(pattern=r"^slack/[a-z0-9-]+$")]


def _calendar(name: str) -> str:
    workdays.calendar(name)
    return name


class CardError(Exception):
    """A card is incomplete or contradicts itself; the message names each field and what belongs there."""


class Stage(StrEnum):
    """How much a workflow may do by itself, lowest first."""

    SHADOW = "shadow"
    """Everything is recorded, nothing is done."""
    GATED = "gated"
    """A person decides every action."""
    SELECTIVE = "selective"
    """Low-impact actions pass; high-impact ones ask a person, for ever."""

    @property
    def rank(self) -> int:
        """0 for the lowest."""
        return list(Stage).index(self)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Baseline(_Part):
    """What the work costs by hand, measured before anything was automated."""

    minutes: float = Field(gt=0)
    """A person's minutes per record."""
    failure_rate: float = Field(ge=0, le=1)
    """The share of records that people get wrong, late or not at all."""


class Reads(_Part):
    """Something that the workflow reads, and the Prefect block that holds the credential for it."""

    what: Said
    credential: Credential
    """`block-type/block-name`, for example `gmail/inbox`."""
    fields: tuple[Said, ...] = Field(min_length=1)
    """The fields that prompt and decisions use, by the vendor's own names. If one is missing from a reply, or is no
    longer what it was, the workflow stops."""


class Writes(_Part):
    """One kind of action that the workflow may want. A kind that no card names is never done."""

    kind: Said
    where: Said
    credential: Credential
    approval: bool
    """Whether a person signs off every one of them, at every stage."""
    optional: bool = False
    """Left out, and said so in the ledger, where nobody has saved the credential."""
    most: dict[Currency, Decimal] = {}
    """The most that one such action may move, by currency: {"usd": Decimal(200)}. More, and any other currency, is
    refused before anybody is asked. Required of the kinds that move money."""

    @model_validator(mode="after")
    def _high_impact_always_asks(self) -> Self:
        action = KINDS.get(self.kind)
        if action is None:
            raise ValueError(f"'{self.kind}' is no kind of action; there are {', '.join(sorted(KINDS))}")
        if action.impact is Impact.HIGH and not self.approval:
            raise ValueError(f"'{self.kind}' is high-impact: approval must be True")
        moves_money = action.money is not Action.money
        if moves_money and not self.most:
            raise ValueError(f"'{self.kind}' moves money: most must say how much at a time, by currency")
        if self.most and not moves_money:
            raise ValueError(f"'{self.kind}' moves no money: most has no meaning")
        return self


class Agent(_Part):
    """How far an agent may go with one record. Each limit ends its run, which says what was done and what was not."""

    model: Credential
    """The block of the model that takes its steps; without that block the workflow's own rules do."""
    steps: int = Field(default=12, ge=1, le=50)
    """Turns of the model."""
    calls: int = Field(default=24, ge=1, le=200)
    """Calls of tools. Each tool has a limit of its own besides."""
    tokens: int = Field(default=150_000, ge=1_000)
    """Tokens in and out, of all its steps together."""
    usd: Decimal = Field(default=Decimal("0.50"), gt=0)
    """Dollars of all its steps together; the workflow's own limits hold besides."""
    minutes: float = Field(default=5, gt=0, le=120)
    """Minutes of work, without the time that it waits for people."""
    repeats: int = Field(default=2, ge=1, le=10)
    """How often it may make the same call."""
    idle_steps: int = Field(default=3, ge=1, le=10)
    """Steps in a row that bring nothing new: only failed or repeated calls."""
    turn_tokens: int = Field(default=2_000, ge=256, le=20_000)
    """The longest turn."""
    context_tokens: int = Field(default=60_000, ge=4_000)
    """Over about so many, old results of tools are left out of what the model is sent."""


class Thresholds(_Part):
    """The numbers that decisions in code go by."""

    confidence: float = Field(ge=0, le=1)
    """Under this probability the model's answer is not acted on: a person looks."""
    approval_days: float = Field(gt=0, le=60)
    """Days until an unanswered sign-off expires."""
    run_minutes: float = Field(default=30, gt=0, le=1440)
    """Minutes after which a run takes up no more and waits for no vendor; the rest is the next run's."""


class Evidence(_Part):
    """What has to be shown before low-impact actions pass without a person, and what takes that away again.

    All of it is of one prompt version. Records count once, however many of their actions a person decided on.
    """

    judged: tuple[Said, ...] = ()
    """The answer's fields that have to be right; without any, every field that the held-out cases expect, but texts."""
    accuracy: float = Field(default=0.90, ge=0.5, le=1)
    """The share of held-out cases that each judged field must get right."""
    cases: int = Field(default=20, ge=10)
    """Held-out cases that it takes to believe that share."""
    records: int = Field(default=50, ge=10)
    """Real records that the version has answered while nothing was done without a person."""
    approvals: int = Field(default=50, ge=10)
    """Real records on whose actions a person has decided; the newest so many make the shares below."""
    rejected: float = Field(default=0.05, ge=0, le=0.5)
    """The share of them that may have been rejected."""
    edited: float = Field(default=0.20, ge=0, le=0.5)
    """The share of them whose text may have been changed."""
    errors: float = Field(default=0.10, ge=0, le=0.5)
    """The share of the newest records that may have been set aside for an unusable answer."""
    hopeless: float = Field(default=0.50, ge=0.1, le=1)
    """Where people reject more than this share, the workflow no longer asks them, but only watches."""
    worse_by: float = Field(default=0.02, ge=0, le=0.2)
    """How much less accurate than the version in use a new one may be."""
    usd_per_evaluation: Decimal = Field(default=Decimal("1.00"), gt=0)
    """The most dollars that one evaluation of the prompt may spend."""


class Card(_Part):
    """One workflow's checklist. What has no default is required; a blank is refused where the flow is imported."""

    workflow: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    """The flow's and deployment's name."""
    sentence: Sentence
    """What the workflow does, in one sentence."""
    owner: Address
    """The one person who answers for it."""
    baseline: Baseline
    reads: tuple[Reads, ...] = Field(min_length=1)
    writes: tuple[Writes, ...] = Field(min_length=1)
    prompt: Said
    """The folder under `prompts/`."""
    model: Credential
    """The block that answers the prompt; without that block the embedded model does."""
    on_garbage: Sentence
    """What happens when the model's answer is not usable."""
    on_outage: Sentence
    """What happens when a vendor is down."""
    on_rate_limit: Sentence
    """What happens when a vendor asks to wait."""
    usd_per_run: Decimal = Field(gt=0)
    usd_per_day: Decimal = Field(gt=0)
    usd_per_month: Decimal = Field(gt=0)
    stage: Stage
    """The most that the workflow may do. A Prefect Variable can lower it, nothing can raise it."""
    thresholds: Thresholds
    calendar: Annotated[str, AfterValidator(_calendar)] | None = None
    """Whose weekends and holidays are kept, where customers are written to unasked: a country such as DE, or a region
    such as DE-BY. A day is the one in UTC."""
    agent: Agent | None = None
    """The agent's model and limits, where the workflow has one."""
    evidence: Evidence = Evidence()
    shadow_report: SlackChannel | None = None
    """The Slack block, such as slack/team, that is told what a run in shadow would have done."""
    allowed: tuple[AllowedEntry, ...] = ()
    """Domains, e-mail addresses and telephone numbers of the company's own, which any text may hold. Whatever
    else of this kind the model writes must stand in the record. Actions may go to the addresses, not to the domains."""

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise CardError(_readable(fields.get("workflow"), error)) from None

    def fields_of(self, vendor: str) -> tuple[str, ...]:
        """The fields that the workflow uses of what it reads from `vendor`, by the vendor's names."""
        lines = (line for line in self.reads if line.credential.split("/")[0] == vendor)
        return tuple(dict.fromkeys(name for line in lines for name in line.fields))

    def writes_of(self, kind: str) -> Writes | None:
        """The card's line for a kind of action, or None when the card does not name it."""
        return next((line for line in self.writes if line.kind == kind), None)

    def credential_for(self, vendor: str) -> str | None:
        """The name of the block of type `vendor` that this card reads or writes with."""
        credentials = [line.credential for line in self.reads] + [line.credential for line in self.writes]
        return next((name for slug, name in (c.split("/") for c in credentials) if slug == vendor), None)

    def names(self, address: str) -> bool:
        """Whether an e-mail address is the owner's, or on the `allowed` list: itself, or by its domain."""
        address = address.strip().lower()
        ours = {entry.lower() for entry in (self.owner, *self.allowed)}
        # One address and nothing else: "x@elsewhere.example,ann@ours.example" is two, and ends like one of ours.
        is_one = ONE_ADDRESS.fullmatch(address) is not None and address.isprintable()
        return is_one and (address in ours or address.partition("@")[2] in ours)


def of_workflow(workflow: str, cards: Iterable[Card]) -> Card | None:
    """The card of a workflow; None where its flow file is gone."""
    return next((card for card in cards if card.workflow == workflow), None)


def _readable(workflow: object, error: ValidationError) -> str:
    lines = [f"the card of {workflow or 'a workflow without a name'} is not complete:"]
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "card"
        what = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        hint = _hint(str(problem["loc"][0])) if problem["loc"] else ""
        lines.append(f"  {field}: {what}{hint}")
    return "\n".join(lines)


HINTS = {
    "sentence": "say in one sentence what it does",
    "owner": "the e-mail address of the one person who answers for it",
    "baseline": "minutes by hand and failure rate, measured before automating",
    "reads": "what it reads, with the credential's block, such as gmail/inbox, and the fields that it uses",
    "writes": "each kind of action, where it goes and whether it needs approval",
    "on_garbage": "what happens when the model's answer is unusable",
    "on_outage": "what happens when a vendor is down",
    "on_rate_limit": "what happens when a vendor asks to wait",
    "usd_per_run": "the most dollars that one run may spend on models",
    "usd_per_day": "the most dollars that a day of runs (UTC) may spend on models",
    "usd_per_month": "the most dollars that a month of runs may spend on models",
    "stage": "shadow, gated or selective",
    "thresholds": "confidence and approval_days",
}


def _hint(field: str) -> str:
    return f" ({HINTS[field]})" if field in HINTS else ""
