"""`signoff evidence` and `signoff stage` as people and programs see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from prefect.variables import Variable

import prompts
from blocks.embedded import EmbeddedModel
from blocks.ledger import Ledger
from blocks.models import version_of
from deployments.approve import then_what
from tests.deployments.machinery import Finished, clean_environment, run
from tests.earned import answered, decided, earn, evaluated

pytestmark = pytest.mark.earns_its_stage

Signoff = Callable[..., Finished]
VARIABLE = "lead_triage_stage"


@pytest.fixture
def version() -> str:
    """The lead triage's prompt as the built-in model answers it: no key is saved here."""
    return version_of(prompts.load("lead_triage"), EmbeddedModel())


@pytest.fixture
def signoff(
    prefect_server: None,  # noqa: ARG001
    ledger: Ledger,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    in_process: Signoff,
) -> Iterator[Signoff]:
    """Runs `signoff ...`, with a Variable that lowers nothing."""
    monkeypatch.setattr("prefect.events.emit_event", lambda **_: None)
    Variable.set(VARIABLE, "selective", overwrite=True)
    yield in_process
    Variable.set(VARIABLE, "selective", overwrite=True)


@pytest.mark.parametrize("command", ["evidence", "stage"])
def test_help_fits_80_columns(command: str) -> None:
    done = run(["signoff", command, "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


class TestEvidence:
    def test_nothing_yet_names_all_that_is_missing(self, signoff: Signoff) -> None:
        said = signoff("evidence", "lead-triage").out
        assert "lead-triage runs gated: held-out cases right: not evaluated" in said
        assert "signoff eval lead_triage" in said
        missing = said[said.index("Missing for selective:") :]
        assert [line.split(":")[0].strip() for line in missing.splitlines()[1:4]] == [
            "held-out cases right",
            "real records answered, nothing done without a person",
            "of them, decided on by a person",
        ]

    def test_exactly_what_is_missing_is_said(self, signoff: Signoff, ledger: Ledger, version: str) -> None:
        evaluated(ledger, version, 80)
        decided(ledger, answered(ledger, version, 47))
        said = signoff("evidence", "lead-triage")
        assert "80% of 100 (50% to 100%), needs 90% of at least 20" in said.out
        assert "of them, decided on by a person: 47, needs 50" in said.out
        table = said.out[: said.out.index("Missing")].splitlines()[3:]
        assert max(map(len, table)) <= 80

    def test_for_people_every_line_fits_and_what_is_missing_hangs(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        said = signoff("evidence", "lead-triage").out
        assert max(len(line.rstrip()) for line in said.splitlines()) <= 80
        assert "\nThe held-out cases are tried by: signoff eval lead_triage\n" in said

    def test_for_programs(self, signoff: Signoff, ledger: Ledger, version: str) -> None:
        earn(ledger, version)
        found = json.loads(signoff("evidence", "lead_triage", "--json").out)
        assert (found["runs"], found["supported"], found["card"]) == ("selective",) * 3
        assert (found["version"], found["missing"]) == (version, [])
        assert all(line["met"] for line in found["lines"])
        assert found["scores"]["threshold"] == 0.6

    def test_an_unknown_workflow_is_named_with_those_that_there_are(self, signoff: Signoff) -> None:
        done = signoff("evidence", "billing")
        assert done.code == 1
        assert "there is no workflow billing; there are billing-agent" in done.err
        assert "Did you mean billing-agent?" in done.err

    @pytest.mark.parametrize(("command", "named"), [("evidence", "lead-triage"), ("cases", "lead_triage")])
    def test_without_a_name_those_that_there_are_are_listed(self, signoff: Signoff, command: str, named: str) -> None:
        done = signoff(command)
        assert done.code == 2
        assert named in done.err


class TestStage:
    def test_its_three_limits_are_shown(self, signoff: Signoff) -> None:
        said = " ".join(signoff("stage", "lead-triage").out.split())
        assert "runs gated" in said
        for line in ("the card selective", "the variable selective", "the evidence gated"):
            assert line in said

    def test_shadow_is_the_emergency_stop_and_asks_nothing(self, signoff: Signoff) -> None:
        done = signoff("stage", "lead-triage", "shadow")
        assert (done.code, Variable.get(VARIABLE)) == (0, "shadow")
        assert "lead-triage runs shadow: lowered by the variable" in done.out

    def test_raising_it_without_evidence_has_to_be_meant(self, signoff: Signoff) -> None:
        Variable.set(VARIABLE, "shadow", overwrite=True)
        done = signoff("stage", "lead-triage", "selective")
        assert done.code == 1
        assert "held-out cases right: not evaluated" in done.out
        assert "--yes" in done.err
        assert Variable.get(VARIABLE) == "shadow"
        assert signoff("stage", "lead-triage", "selective", "--yes").code == 0
        assert Variable.get(VARIABLE) == "selective"

    def test_back_to_gated_needs_no_evidence(self, signoff: Signoff) -> None:
        Variable.set(VARIABLE, "shadow", overwrite=True)
        assert signoff("stage", "lead-triage", "gated").code == 0
        assert Variable.get(VARIABLE) == "gated"

    @pytest.mark.usefixtures("prefect_server")
    def test_an_approval_says_whether_it_is_done_now(self) -> None:
        Variable.set(VARIABLE, "shadow", overwrite=True)
        assert then_what("lead-triage").endswith("does it once it is not: signoff stage lead-triage gated")
        Variable.set(VARIABLE, "gated", overwrite=True)
        assert then_what("lead-triage") == "approved, the worker does it now"

    def test_selective_without_evidence_still_runs_gated(self, signoff: Signoff) -> None:
        Variable.set(VARIABLE, "gated", overwrite=True)
        assert "lead-triage runs gated" in signoff("stage", "lead-triage", "selective", "--yes").out

    def test_with_the_evidence_nothing_is_asked(self, signoff: Signoff, ledger: Ledger, version: str) -> None:
        earn(ledger, version)
        Variable.set(VARIABLE, "gated", overwrite=True)
        assert "lead-triage runs selective" in signoff("stage", "lead-triage", "selective").out

    def test_it_gives_what_people_mostly_rejected_another_try(
        self, signoff: Signoff, ledger: Ledger, version: str
    ) -> None:
        decided(ledger, answered(ledger, version, 12), "rejected")
        assert "runs shadow: people rejected 12 of the newest 12" in signoff("stage", "lead-triage").out
        Variable.set(VARIABLE, "shadow", overwrite=True)
        assert "--yes" in signoff("stage", "lead-triage", "gated").refused()
        assert "lead-triage runs gated" in signoff("stage", "lead-triage", "gated", "--yes").out

    def test_what_is_no_stage_is_refused(self, signoff: Signoff) -> None:
        done = signoff("stage", "lead-triage", "full")
        assert (done.code, "there are shadow, gated, selective" in done.err) == (1, True)
