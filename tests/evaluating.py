"""A small prompt with cases of both kinds: the embedded model learns it at once, the sandbox answers by script."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from blocks.anthropic import Claude
from prompts import Case, Prompt, Settings
from prompts.fields import Extract, Label, Probability
from sandbox import credentials
from tasks.scoring import Answered, case_key

if TYPE_CHECKING:
    from tasks.card import Card

EXAMPLES = {
    "billing": [
        "The invoice for May shows the wrong amount.", "You charged my card twice this month.",
        "Where can I download my receipts?", "Please refund the last payment.",
        "Our VAT number is missing on the bill.", "How do I change the credit card we pay with?",
        "The price on the invoice is not what we agreed.", "We were billed for ten seats but have six.",
    ],
    "access": [
        "I cannot log in since this morning.", "My password reset e-mail does not arrive.",
        "The sign-in page says my account is locked.", "Please give our new colleague a login.",
        "Two-factor codes are refused.", "I lost my phone and cannot get into my account.",
        "The login page shows an error.", "How do I reset my password?",
    ],
    "praise": [
        "Thank you, the new version is lovely.", "We are so happy with your product.",
        "Great work, the whole team loves it.", "Just wanted to say that your support was wonderful.",
        "This is the best tool that we have ever used.", "Your colleague was so kind and helpful, thanks.",
        "Congratulations on the launch, it looks beautiful.", "You made my week, what a pleasure to use.",
    ],
}  # fmt: skip
HELD_OUT = {
    "billing": [
        "The bill of June has an amount that we do not owe.", "My credit card was charged two times.",
        "Please send me the receipts of this year.", "I want a refund of my payment.",
    ],
    "access": [
        "I am locked out of my account.", "The password is refused when I log in.",
        "Our new employee needs a login.", "The sign-in page does not load.",
    ],
    "praise": [
        "Thanks so much, we love what you built!", "Your support team was wonderful.",
        "What a lovely new version.", "The best product ever, great work.",
    ],
}  # fmt: skip


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[Literal["billing", "access", "praise"], Label()] = Field(description="What it is about.")
    mood: Annotated[Literal[1, 2], Label()] = Field(description="2 for a happy sender.")
    summary: Annotated[str, Extract(max_chars=120)] = Field(min_length=3, max_length=120, description="In short.")
    confidence: Annotated[float, Probability(of="topic")] = Field(ge=0, le=1, description="Of the topic.")


def case(name: str, text: str, topic: str, **more: Any) -> Case:
    """A held-out case, unless it says otherwise."""
    expect = {"topic": topic, "mood": 2 if topic == "praise" else 1}
    fields: dict[str, Any] = {"split": "held_out", "inputs": {"subject": "", "text": text}, "expect": expect}
    return Case(name=name, **fields | more)


def examples() -> tuple[Case, ...]:
    """What the embedded model learns from."""
    every = [(topic, n, text) for topic, texts in EXAMPLES.items() for n, text in enumerate(texts)]
    return tuple(case(f"{topic}-{n}", text, topic, split="example") for topic, n, text in every)


def held_out() -> tuple[Case, ...]:
    """Twelve cases that it is judged by."""
    every = [(topic, n, text) for topic, texts in HELD_OUT.items() for n, text in enumerate(texts)]
    return tuple(case(f"{topic}-held-{n}", text, topic) for topic, n, text in every)


def many(count: int) -> tuple[Case, ...]:
    """So many cases, of every topic in turn, with words that tell them apart."""
    topics = list(EXAMPLES)
    return tuple(case(f"c{n}", f"ticket-{n:04} is about {topics[n % 3]}", topics[n % 3]) for n in range(count))


def prompt_of(**changes: Any) -> Prompt:
    """A prompt that has no folder."""
    prompt = Prompt(
        name="ticket",
        settings=Settings(max_tokens=100, trim="text", classify=("subject", "text")),
        system="You sort tickets.",
        user="{{ subject }} {{ text }}",
        replies={},
        answer=Ticket,
    )
    changed = dataclasses.replace(prompt, **changes)
    vars(changed)["cases"] = (*examples(), *held_out())
    return changed


def card_of(**changes: Any) -> Card:
    """The card of a workflow that uses the prompt."""
    from flows.lead_triage import CARD  # not above: a process of its own for one evaluation needs none of it
    from tasks.card import Evidence

    rule: dict[str, Any] = {"cases": 10, "accuracy": 0.7, "worse_by": 0.02, "usd_per_evaluation": Decimal(1)}
    evidence = Evidence(**rule | changes)
    return CARD.model_copy(update={"workflow": "ticket", "prompt": "ticket", "evidence": evidence})


def claude_at(url: str, **changes: Any) -> Claude:
    """The sandbox's Claude."""
    fields: dict[str, Any] = {"api_key": SecretStr(credentials.ANTHROPIC_API_KEY), "address": f"{url}/anthropic"}
    return Claude(**fields | {"timeout_seconds": 10} | changes)


def ticket(topic: str = "billing", **changes: Any) -> dict[str, Any]:
    """What a model answers."""
    mood = 2 if topic == "praise" else 1
    return {"topic": topic, "mood": mood, "summary": "A ticket.", "confidence": 0.9} | changes


def replies(cases: tuple[Case, ...], wrong: tuple[str, ...] = (), **more: Any) -> list[dict[str, Any]]:
    """The sandbox's script that gets every case right but those named, which are about praise instead."""
    return [
        {"when": each.inputs["text"], "times": None, **more,
         "json": ticket("praise" if each.name in wrong else each.expect["topic"])}
        for each in cases
    ]  # fmt: skip


def answers(cases: tuple[Case, ...], **by_name: dict[str, Any] | None) -> dict[str, Answered]:
    """Right answers to every case, but where another is named; None for one that is not usable."""
    given = {each.name: by_name.get(each.name.replace("-", "_"), ticket(each.expect["topic"])) for each in cases}
    return {case_key(each): answered(given[each.name]) for each in cases}


def answered(answer: dict[str, Any] | None, **changes: Any) -> Answered:
    """One answer, read."""
    fields: dict[str, Any] = {
        "answer": Ticket(**answer) if answer else None, "complaint": "" if answer else "it is no JSON",
        "input_tokens": 100, "output_tokens": 10, "cost": Decimal("0.001"), "seconds": 1.0,
    }  # fmt: skip
    return Answered(**fields | changes)
