"""`signoff eval` as people and programs see it, and the gate that a worse prompt does not pass."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import deployments.evaluate as command
import prompts
from blocks import connections
from blocks.embedded import EmbeddedModel
from blocks.ledger import Evaluation, Ledger, PromptVersion
from blocks.models import version_of
from deployments import views
from deployments.cli import app
from deployments.known_errors import exit_code_of
from prompts import Prompt
from sandbox.client import Sandbox
from tasks.card import Card
from tasks.comparison import family
from tests.deployments.machinery import Finished, clean_environment, run
from tests.evaluating import card_of, case, claude_at, held_out, many, prompt_of, replies, ticket

Signoff = Callable[..., Finished]
EMBEDDED = EmbeddedModel()
"""Learns each prompt once, for all tests."""


@pytest.fixture
def signoff(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, in_process: Callable[..., Finished]) -> Signoff:  # noqa: ARG001
    """Runs `signoff eval ticket ...` in this process, with 80 columns; the prompt and its card can be others."""
    monkeypatch.setattr("blocks.embedded.EmbeddedModel", lambda: EMBEDDED)

    def call(*arguments: str, prompt: Prompt | None = None, card: Card | None = None) -> Finished:
        monkeypatch.setattr(command, "prompt_of", lambda _: prompt or prompt_of())
        monkeypatch.setattr(command, "every_card", lambda: [card or card_of()])
        return in_process("eval", "ticket", *arguments)

    return call


@pytest.fixture
def claude(accounts: Callable[[], None], sandbox: Sandbox) -> Sandbox:
    """The pretend company's Claude is saved as the card's."""
    accounts()
    return sandbox


def worsened(prompt: Prompt) -> Prompt:
    """The same prompt with careless examples: what it learns about billing is called access, and so on."""
    topics = {"billing": "access", "access": "praise", "praise": "billing"}
    changed = dataclasses.replace(prompt)
    vars(changed)["cases"] = tuple(
        each.model_copy(update={"expect": {**each.expect, "topic": topics[each.expect["topic"]]}})
        if each.split == "example"
        else each
        for each in prompt.cases
    )
    return changed


def test_help_fits_80_columns() -> None:
    done = run(["signoff", "eval", "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


class TestEmbedded:
    def test_it_tells_everything_at_80_columns_and_passes(self, signoff: Signoff) -> None:
        done = signoff("--model", "embedded")
        assert (done.code, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80
        version = version_of(prompt_of(), EMBEDDED)
        assert f"ticket {version}, embedded-minilm-1, 12 held-out cases" in done.out
        for said in (
            "95% interval",
            "judged by the card",
            "It stands by",
            "There is no other version yet",
            "Passed: ",
        ):
            assert said in done.out
        again = signoff("--model", "embedded")
        assert "12 answers were known" in again.out
        assert "12 answers were known" not in signoff("--model", "embedded", "--again").out

    def test_a_worsened_prompt_is_refused(self, signoff: Signoff, ledger: Ledger) -> None:
        before = version_of(prompt_of(), EMBEDDED)
        assert signoff("--model", "embedded").code == 0
        done = signoff("--model", "embedded", prompt=worsened(prompt_of()))
        assert done.code == 1
        said = " ".join(done.out.split())
        assert f"Compared with {before} (embedded-minilm-1, the newest other version) on 12 cases" in said
        assert "points under 70%" in said
        assert f"points worse than {before} on 12 cases, at most 2.0 points are allowed" in said
        assert "  worse: " in done.out
        assert max(map(len, done.out.splitlines())) <= 80
        with ledger.read() as session:
            assert session.query(Evaluation).filter_by(state="done").count() == 2

    def test_json_has_all_of_it(self, signoff: Signoff) -> None:
        signoff("--model", "embedded")
        done = signoff("--model", "embedded", "--json", prompt=worsened(prompt_of()))
        assert (done.code, done.err) == (1, "")
        found = json.loads(done.out)
        assert (found["prompt"], found["model"], found["source"], found["cases"]) == (
            "ticket", "embedded-minilm-1", "held_out", 12,
        )  # fmt: skip
        assert (found["passed"], found["judged"]) == (False, ["topic", "mood"])
        assert found["failures"]
        assert found["scores"]["fields"][0]["field"] == "topic"
        assert found["comparison"]["fields"][0]["p_value"] <= 1
        topic = next(one for one in found["wrong"] if "topic" in one["expected"])
        assert topic["expected"]["topic"] != topic["got"]["topic"]
        assert topic["begins"] in {each.inputs["text"] for each in held_out()}

    def test_a_file_of_cases_is_all_held_out_and_no_evidence(
        self, signoff: Signoff, tmp_path: Path, ledger: Ledger
    ) -> None:
        file = tmp_path / "held_out"
        file.write_text("".join(f"{each.line()}\n" for each in held_out()))
        done = signoff("--model", "embedded", "--cases", str(file))
        assert (done.code, "12 cases of file held_out" in done.out) == (0, True)
        with ledger.read() as session:
            assert [row.source for row in session.query(Evaluation)] == ["file held_out"]

    def test_what_comes_from_outside_cannot_rewrite_the_terminal(self, signoff: Signoff, tmp_path: Path) -> None:
        file = tmp_path / "cases.jsonl"
        odd = case("odd\x1b[2J [bold]x", "\x1b]0;hello\x07 [red]thanks[/red]", "billing")
        file.write_text("".join(f"{each.line()}\n" for each in (odd, *held_out())))
        done = signoff("--model", "embedded", "--cases", str(file))
        assert "\x1b" not in done.out
        assert "odd[2J [bold]x" in done.out
        assert "[red]thanks[/red]" in done.out

    def test_of_many_mistakes_twenty_are_shown(self, signoff: Signoff, tmp_path: Path) -> None:
        file = tmp_path / "cases.jsonl"
        wrong = [case(f"wrong-{n}", f"Thank you, lovely work {n}", "billing") for n in range(25)]
        file.write_text("".join(f"{each.line()}\n" for each in wrong))
        done = signoff("--model", "embedded", "--cases", str(file))
        assert done.code == 1
        assert "25 wrong" in done.out
        assert "wrong-19" in done.out
        assert "wrong-20" not in done.out
        assert "and 5 more; --json has them all" in done.out

    def test_without_a_card_the_defaults_hold(self, signoff: Signoff) -> None:
        done = signoff("--model", "embedded", card=card_of().model_copy(update={"prompt": "another"}))
        assert done.code == 1
        assert "no card uses ticket: it is judged by the defaults" in done.out
        assert "12 cases are too few, the card asks for 20" in done.out

    def test_against_a_version_that_cannot_be_asked(self, signoff: Signoff) -> None:
        signoff("--model", "embedded", "--cases", "/dev/null")  # refused, so that nothing is known yet
        signoff("--model", "embedded")
        before = version_of(prompt_of(), EMBEDDED)
        changed = prompt_of(system="Sort tickets well.")
        done = signoff("--model", "embedded", "--against", before[:6], prompt=changed)
        assert f"Compared with {before} (embedded-minilm-1, as asked) on 12 cases" in done.out
        assert "p = 1" in done.out

    def test_on_a_terminal_a_bar_shows_how_far_it_is_and_leaves_json_alone(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(views.errors, "_force_terminal", True)
        monkeypatch.setattr(views.errors, "is_interactive", True)
        done = signoff("--model", "embedded", "--again", "--json")
        assert "12/12" in done.err
        assert "ticket embedded-minilm-1 $0.0000" in done.err
        assert done.json["cases"] == 12


class TestRefusals:
    def test_an_unknown_prompt(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG002
        said = io.StringIO()
        monkeypatch.setattr("sys.stderr", said)
        assert exit_code_of(lambda: app(["eval", "nothing"], result_action="return_value")) == 1
        every = ", ".join(sorted(path.parent.name for path in prompts.FOLDER.glob("*/prompt.md")))
        assert said.getvalue() == f"signoff: there is no prompt nothing; there are {every}\n"

    def test_no_held_out_cases(self, signoff: Signoff) -> None:
        prompt = prompt_of()
        vars(prompt)["cases"] = ()
        assert "ticket has no held-out cases among its 0" in signoff("--model", "embedded", prompt=prompt).refused()

    def test_a_file_that_cannot_be_read(self, signoff: Signoff, tmp_path: Path) -> None:
        file = tmp_path / "cases.jsonl"
        assert f"{file} cannot be read" in signoff("--model", "embedded", "--cases", str(file)).refused()
        file.write_text('{"name": "x"}\n')
        assert f"{file}:1: inputs: Field required" in signoff("--model", "embedded", "--cases", str(file)).refused()
        file.write_text("\n")
        assert "has no cases" in signoff("--model", "embedded", "--cases", str(file)).refused()

    def test_dollars_that_are_none(self, signoff: Signoff) -> None:
        for dollars in ("nan", "inf", "-1"):
            assert "is no number of dollars" in signoff("--model", "embedded", "--max-usd", dollars).refused()

    def test_batches_of_the_embedded_model(self, signoff: Signoff) -> None:
        assert "takes no batches" in signoff("--model", "embedded", "--batch").refused()

    def test_a_version_that_is_not_there(self, signoff: Signoff) -> None:
        signoff("--model", "embedded")
        changed = prompt_of(system="Sort tickets well.")
        said = signoff("--model", "embedded", "--against", "00ff00", prompt=changed).refused()
        assert "no version of ticket begins with 00ff00; there are " in said
        assert f"{version_of(prompt_of(), EMBEDDED)} (" in said
        same = signoff("--model", "embedded", "--against", "embedded").refused()
        assert "--against embedded is the same prompt and model as ours" in same

    @pytest.mark.usefixtures("claude")
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--model", "claude/none"), "there is no block claude/none on this Prefect server"),
            (("--model", "gmail/inbox"), "gmail/inbox is no model"),
            (("--model", "claude-none-1"), "the price list has no model 'claude-none-1'"),
            (("--max-usd", "0.0001"), "stopped at the limit of $0.0001: 0 of 12 cases are answered"),
        ],
    )
    def test_models_and_money(self, signoff: Signoff, arguments: tuple[str, ...], says: str) -> None:
        assert says in signoff(*arguments).refused()

    @pytest.mark.usefixtures("saved_accounts")
    def test_a_models_name_without_a_key(self, signoff: Signoff) -> None:
        said = signoff("--model", "claude-opus-5-5").refused()
        assert "nobody has saved the block claude/triage, whose key and address claude-opus-5-5 would be asked" in said
        alone = signoff("--model", "claude-opus-5-5", card=card_of().model_copy(update={"prompt": "another"}))
        assert "no card uses ticket, so that there is no key for claude-opus-5-5" in alone.refused()

    def test_no_server(self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
        import httpx

        def away(_: str) -> None:
            raise httpx.ConnectError("refused")

        monkeypatch.setattr(connections, "load_if_present", away)
        said = signoff().refused()
        assert "no Prefect server answers" in said
        assert "--model embedded" in said


class TestClaude:
    def test_the_cards_model_is_asked_and_what_it_cost_is_told(self, signoff: Signoff, claude: Sandbox) -> None:
        claude.script(*replies(held_out(), wrong=("access-held-1",), usage={"input_tokens": 10_000}))
        done = signoff()
        assert (done.code, done.err) == (0, "")
        assert "claude-haiku-5-5, 12 held-out cases" in done.out
        assert "1,000 of them cost $" in done.out
        assert "1 wrong" in done.out
        assert "access-held-1" in done.out
        assert "topic access" in done.out
        assert "topic praise" in done.out
        assert "topic 91.6%, mood 91.6% right" in done.out

    def test_against_another_model_with_the_cards_key(self, signoff: Signoff, claude: Sandbox) -> None:
        claude.script(*replies(held_out()))
        done = signoff("--against", "claude-opus-5-5", "--json")
        found = done.json
        assert found["comparison"]["model"].startswith("claude-opus-5-5@127.0.0.1:")
        assert (found["comparison"]["cases"], found["comparison"]["why"]) == (12, "as asked")
        models = [body["model"] for body in claude.model_calls()]
        assert sorted(set(models)) == ["claude-haiku-5-5", "claude-opus-5-5"]
        assert len(models) == 24
        named = signoff("--model", "claude-opus-5-5", "--against", "claude/triage", "--json").json
        assert (named["known"], family(named["comparison"]["model"])) == (12, "claude-haiku-5-5")

    def test_an_older_version_is_asked_about_what_it_has_not_answered(
        self, signoff: Signoff, claude: Sandbox, ledger: Ledger, tmp_path: Path
    ) -> None:
        older = prompt_of(user="Carelessly: {{ subject }} {{ text }}")
        claude.script(
            {"when": "Carelessly", "json": ticket("praise"), "times": None}, *replies((*held_out(), *many(3)))
        )
        file = tmp_path / "cases.jsonl"
        file.write_text("".join(f"{each.line()}\n" for each in many(3)))
        signoff("--cases", str(file), prompt=older)
        with ledger.read() as session:
            (row,) = session.query(PromptVersion)
        found = signoff("--against", row.version[:5], "--json").json
        assert (found["comparison"]["cases"], found["notes"]) == (12, [])
        topic = found["comparison"]["fields"][0]
        assert (topic["both"], topic["ours"], topic["theirs"], topic["neither"]) == (4, 8, 0, 0)
        assert topic["p_value"] == pytest.approx(2 / 256)
        assert len(claude.model_calls()) == 3 + 12 + 12

    def test_that_stays_within_the_same_dollars(
        self, signoff: Signoff, claude: Sandbox, ledger: Ledger, tmp_path: Path
    ) -> None:
        older = prompt_of(user="Carelessly: {{ subject }} {{ text }}")
        claude.script(*replies((*held_out(), *many(3)), usage={"input_tokens": 1000}))
        file = tmp_path / "cases.jsonl"
        file.write_text("".join(f"{each.line()}\n" for each in many(3)))
        signoff("--cases", str(file), prompt=older)
        with ledger.read() as session:
            (row,) = session.query(PromptVersion)
        before = len(claude.model_calls())
        found = signoff("--against", row.version, "--max-usd", "0.0025", "--json").json
        note, *_ = found["notes"]
        assert f"{row.version} has not answered all 12 cases: stopped at the limit" in note
        assert 12 < len(claude.model_calls()) - before < 24
        with ledger.read() as session:
            spent = sum((each.cost for each in session.query(Evaluation).filter(Evaluation.id > 1)), Decimal(0))
        assert spent <= Decimal("0.0025")
        assert 0 < found["comparison"]["cases"] < 12

    def test_a_version_with_other_fields_is_compared_on_what_it_has_answered(
        self, signoff: Signoff, claude: Sandbox, ledger: Ledger
    ) -> None:
        claude.script(*replies(held_out()))
        signoff(prompt=prompt_of(system="Before."))
        with ledger.write() as session:
            row = session.query(PromptVersion).one()
            row.content = {**row.content, "schema": {}}
        found = signoff("--against", row.version, "--json").json
        assert (found["comparison"]["cases"], found["notes"]) == (12, [])
        more = prompt_of()
        vars(more)["cases"] = (*more.cases, *many(2))
        claude.script(*replies(many(2)))
        found = signoff("--against", row.version, "--json", prompt=more).json
        assert found["comparison"]["cases"] == 12
        assert found["notes"] == [
            f"{row.version} has not answered all 14 cases: the answers of version {row.version} had other fields than "
            "today's"
        ]

    def test_a_batch_that_is_left_is_taken_up_by_the_same_command(
        self, signoff: Signoff, claude: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ctrl_c(_: float) -> None:
            raise KeyboardInterrupt

        claude.script(*replies(held_out()))
        claude.batches(polls=1)
        with monkeypatch.context() as patch:
            patch.setattr("tasks.evaluation_calls.time.sleep", ctrl_c)
            left = signoff("--batch")
        assert left.code == 130
        assert left.err == "signoff: batch msgbatch_sandbox00000001 runs on; the same command takes it up again\n"
        done = signoff("--batch")
        assert (done.code, len(claude.model_calls())) == (0, 12)
        assert "Passed: " in done.out

    def test_a_listed_models_price_is_not_the_blocks(self, signoff: Signoff, claude: Sandbox) -> None:
        own = claude_at(claude.url, usd_per_million_input=0, usd_per_million_output=0)
        connections.save("claude/triage", own)
        claude.script(*replies(held_out()))
        assert float(signoff("--json").json["usd"]) == 0
        assert float(signoff("--model", "claude-opus-5-5", "--json").json["usd"]) > 0
