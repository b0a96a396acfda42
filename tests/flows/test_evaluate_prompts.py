"""Every prompt in use is tried by itself, and a change for the worse is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from markdown_it import MarkdownIt
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

import prompts
from blocks.ledger import Ledger
from flows import evaluate_prompts as module
from flows.evaluate_prompts import NotEvaluated, evaluate_prompts
from flows.lead_triage import CARD
from prompts import Case, Prompt
from sandbox.client import Sandbox
from tasks import alerts, flow_cards
from tasks.card import Card
from tests.evaluating import card_of, case, held_out, prompt_of, replies

Tickets = Callable[..., None]
HELD_OUT = held_out()


@pytest.fixture
def tickets(accounts: Callable[[], None], ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Tickets:  # noqa: ARG001
    """Lets a prompt of this name be in use, with the pretend company's Claude."""
    accounts()
    there: dict[str, Prompt] = {}
    used: list[Card] = []
    monkeypatch.setattr(prompts, "load", there.__getitem__)
    monkeypatch.setattr(flow_cards, "all_beside", lambda _: list(used))

    def use(name: str = "ticket", cases: tuple[Case, ...] = HELD_OUT, **changes: Any) -> None:
        there[name] = prompt_of(name=name, **changes)
        vars(there[name])["cases"] = cases
        used[:] = [card for card in used if card.prompt != name]
        used.append(card_of().model_copy(update={"workflow": name, "prompt": name}))

    return use


def page(key: str) -> str:
    with get_client(sync_client=True) as client:
        wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        (artifact,) = client.read_latest_artifacts(artifact_filter=wanted)
    return str(artifact.data)


def still_open(ledger: Ledger) -> dict[str, str]:
    return {alert.key: alert.message for alert in alerts.still_open(ledger)}


def test_it_finds_every_card_beside_it() -> None:
    assert CARD in flow_cards.all_beside(str(module.__file__))


def test_a_change_for_the_worse_opens_an_alert_and_its_mending_closes_it(
    tickets: Tickets, sandbox: Sandbox, ledger: Ledger
) -> None:
    odd = case("[odd](http://x.example)", "# <b>Thanks</b> | for nothing", "billing")
    cases = (*HELD_OUT, odd)
    careless = tuple(each.name for each in HELD_OUT[:6])
    sandbox.script(
        *[each | {"when": f"Carelessly {each['when']}"} for each in replies(HELD_OUT, wrong=careless)],
        *replies(cases, wrong=(odd.name,)),
    )
    tickets(cases=cases)
    assert evaluate_prompts()["ticket"].startswith("Passed: topic 92.3%, mood 92.3% right")
    assert still_open(ledger) == {}
    shown = page("ticket-evaluation")
    html = MarkdownIt("commonmark").enable("table").render(shown)
    assert "<strong>Passed: " in html
    assert "[odd](http://x.example)" in html
    assert "<a " not in html
    assert "<b>" not in html

    tickets(cases=cases, user="Carelessly {{ subject }}{{ text }}")
    asked = len(sandbox.model_calls())
    assert evaluate_prompts()["ticket"].startswith("Failed: topic: ")
    (key,) = still_open(ledger)
    assert key == "evaluation:ticket"
    assert "points worse than" in still_open(ledger)[key]
    assert "signoff eval ticket" in still_open(ledger)[key]
    assert len(sandbox.model_calls()) == asked + 13

    tickets(cases=cases)
    assert evaluate_prompts(prompt="ticket")["ticket"].startswith("Passed: ")
    assert still_open(ledger) == {}
    assert len(sandbox.model_calls()) == asked + 13  # what is known costs nothing again


def test_one_prompt_that_cannot_be_evaluated_does_not_stop_the_others(
    tickets: Tickets, sandbox: Sandbox, ledger: Ledger
) -> None:
    sandbox.script(*replies(HELD_OUT))
    tickets("empty", cases=())
    tickets("dear_one")
    with pytest.raises(NotEvaluated, match=r"^empty: .*empty has no held-out cases"):
        evaluate_prompts()
    assert "Passed" in page("dear-one-evaluation")
    assert still_open(ledger) == {}


def test_two_cards_on_one_prompt_are_told_apart(tickets: Tickets, sandbox: Sandbox, ledger: Ledger) -> None:
    sandbox.script(*replies(HELD_OUT, wrong=tuple(each.name for each in HELD_OUT[:2])))
    tickets()
    (easy,) = flow_cards.all_beside(str(module.__file__))
    strict = easy.model_copy(
        update={"workflow": "strict", "evidence": easy.evidence.model_copy(update={"accuracy": 1})}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_cards, "all_beside", lambda _: [strict, easy])
        found = evaluate_prompts()
        assert evaluate_prompts() == found
    assert [found[name].partition(":")[0] for name in ("strict", "ticket")] == ["Failed", "Passed"]
    assert list(still_open(ledger)) == ["evaluation:strict"]


@pytest.mark.usefixtures("tickets")
def test_a_prompt_that_no_card_uses_is_told() -> None:
    with pytest.raises(NotEvaluated, match="no card uses the prompt other"):
        evaluate_prompts(prompt="other")
