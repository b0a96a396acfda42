"""`signoff new` in a checkout of its own: what it makes, asks, refuses, and takes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments import new_unit
from deployments.errors import CommandError
from deployments.new_unit import Wanted
from deployments.running import ROOT
from prompts.cases import replace_file
from tests.checkout import copied_to
from tests.deployments.machinery import Finished, clean_environment
from tests.deployments.machinery import forked as run_forked
from tests.deployments.terminal import Terminal, terminal
from tests.mother import Mother

Signoff = Callable[..., Finished]
EVERY = {one.name: one for one in new_unit.starters()}


def files_of(checkout: Path) -> dict[str, bytes]:
    """All that a user would see of a checkout, but for what Python makes of it."""
    found = [path for folder in ("flows", "prompts") for path in (checkout / folder).rglob("*") if path.is_file()]
    kept = [path for path in found if path.suffix != ".pyc"]
    return {str(path.relative_to(checkout)): path.read_bytes() for path in [*kept, checkout / "prefect.yaml"]}


@pytest.fixture(scope="module")
def module_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, for all tests of this file: what one makes, it takes back."""
    return copied_to(tmp_path_factory.mktemp("new") / "checkout")


def environment_of(checkout: Path) -> dict[str, str]:
    return clean_environment(PYTHONPATH=str(checkout), PREFECT_HOME=str(checkout.with_name("prefect")))


@pytest.fixture
def checkout(module_checkout: Path) -> Iterator[Path]:
    """That copy; it is as it was afterwards."""
    before = files_of(module_checkout)
    yield module_checkout
    for name in files_of(module_checkout).keys() - before.keys():
        (module_checkout / name).unlink()
    for name, data in before.items():
        (module_checkout / name).write_bytes(data)
    for folder in (module_checkout / "prompts").iterdir():
        if folder.is_dir() and not (folder / "prompt.md").exists() and folder.name != "__pycache__":
            subprocess.run(["rm", "-r", str(folder)], check=True)
    for receipt in (module_checkout / ".signoff" / "new").glob("*.json"):
        receipt.unlink()


@pytest.fixture
def signoff(mother: Mother, checkout: Path) -> Signoff:
    """Runs `signoff ...` of that checkout, with nobody there."""
    environment = environment_of(checkout)
    return lambda *arguments: run_forked(mother, environment, *arguments, cwd=checkout)


class TestWithNobodyThere:
    @pytest.mark.slow
    def test_a_unit_of_each_starter_meets_the_contract_and_passes_check(self, signoff: Signoff, checkout: Path) -> None:
        for like in EVERY:
            done = signoff("new", f"like-{like}", "--like", like, "--yes")
            assert done.code == 0, done.out + done.err
            assert f"like-{like} is there. `signoff check --offline` finds nothing wrong with it." in done.out
            assert max(map(len, done.out.splitlines())) <= 80
        contract = checkout / "tests" / "test_contracts.py"
        contract.parent.mkdir(exist_ok=True)
        contract.write_bytes((ROOT / "tests" / "test_contracts.py").read_bytes())
        units = "like_ or like- or TestDeployments or (TestFlows and not path) or is_used_by_a_card"
        judged = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(contract), "-k", units],
            cwd=checkout, env=environment_of(checkout), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert judged.returncode == 0, judged.stdout
        assert judged.stdout.count("[like_tickets] PASSED") > 15
        checked = signoff("check", "--offline")
        assert checked.code == 0, checked.out + checked.err
        for tool in (["ruff", "check", "--no-cache"], ["ruff", "format", "--no-cache", "--check"]):
            linted = subprocess.run(
                [sys.executable, "-m", *tool, "flows", "prompts"],
                cwd=checkout,
                capture_output=True,
                text=True,
                check=False,
            )
            assert linted.returncode == 0, linted.stdout

    def test_what_is_given_stands_on_the_card(self, signoff: Signoff, checkout: Path) -> None:
        long = "It is asked again, with what is wrong with its answer, twice; then somebody on the desk has a look."
        done = signoff(
            *("new", "refund-requests", "--like", "mail", "--owner", "ann@ours.example", "--minutes", "4"),
            *("--failure-rate", "12%", "--usd-per-run", "0.20", "--label", "sales=orders", "--on-garbage", long),
            *("--sentence", "Sort what asks for money back, and draft the answer.", "--company", 'Ann & "Sons"'),
        )
        assert done.code == 0, done.out + done.err
        flow = (checkout / "flows" / "refund_requests.py").read_text(encoding="utf-8")
        for said in (
            'owner="ann@ours.example"', "Baseline(minutes=4, failure_rate=0.12)", 'usd_per_run=Decimal("0.20")',
            "COMPANY = 'Ann & \"Sons\"'", '"orders": "Signoff/Sales"', '"""Sort what asks for money back,',
        ):  # fmt: skip
            assert said in flow
        assert max(map(len, flow.splitlines())) <= 120
        assert "# orders.de" in (checkout / "prompts" / "refund_requests" / "replies.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["anthropic"], "would hide"),
            (["lead-triage"], "is there already"),
            (["new-one", "--like", "letters"], "no starter letters; there are tickets, mail"),
            (["new-one", "--owner", "Ann"], "--owner: 'Ann' will not do"),
            (["new-one", "--usd-per-run", "9"], "--usd-per-day"),
            (["new-one", "--label", "problem=billing"], "two labels"),
            (["never-made", "--undo"], "has not made never-made"),
        ],
    )
    def test_what_will_not_do_is_one_line_and_nothing_is_written(
        self, signoff: Signoff, checkout: Path, arguments: list[str], said: str
    ) -> None:
        before = files_of(checkout)
        assert said in signoff("new", *arguments, "--yes").refused()
        assert files_of(checkout) == before

    def test_a_deployment_of_that_name_is_named(self, signoff: Signoff, checkout: Path) -> None:
        (checkout / "flows" / "deal_followup.py").rename(checkout / "flows" / "deals.py")
        (checkout / "prompts" / "deal_followup").rename(checkout / "prompts" / "deals")
        assert "a deployment called deal-followup already" in signoff("new", "deal-followup", "--yes").refused()
        (checkout / "prompts" / "deals").rename(checkout / "prompts" / "deal_followup")

    def test_a_prefect_yaml_that_cannot_be_read_is_named_with_its_line(self, signoff: Signoff, checkout: Path) -> None:
        (checkout / "prefect.yaml").write_text("deployments:\n  - name: [\n")
        before = files_of(checkout)
        assert "prefect.yaml, line 3 cannot be read" in signoff("new", "new-one", "--yes").refused()
        assert files_of(checkout) == before

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written_leaves_nothing(self, signoff: Signoff, checkout: Path) -> None:
        before = files_of(checkout)
        (checkout / "flows").chmod(0o555)
        try:
            assert "nothing was written" in signoff("new", "new-one", "--yes").refused()
        finally:
            (checkout / "flows").chmod(0o755)
        assert files_of(checkout) == before

    def test_it_is_taken_back_and_every_file_is_as_it_was(self, signoff: Signoff, checkout: Path) -> None:
        before = files_of(checkout)
        assert signoff("new", "new-one", "--yes").code == 0
        assert "flows/new_one.py is there already" in signoff("new", "new-one", "--yes").refused()
        done = signoff("new", "new_one", "--undo")
        assert done.code == 0, done.err
        assert files_of(checkout) == before
        assert not (checkout / "prompts" / "new_one").exists()
        assert "taken back already" in signoff("new", "new-one", "--undo").refused()

    @pytest.mark.parametrize("file", ["flows/new_one.py", "prompts/new_one/cases.jsonl", "prompts/new_one/mine.txt"])
    def test_what_somebody_has_changed_is_not_taken_back(self, signoff: Signoff, checkout: Path, file: str) -> None:
        assert signoff("new", "new-one", "--yes").code == 0
        with (checkout / file).open("a") as changed:
            changed.write("\n")
        before = files_of(checkout)
        assert f"{file} changed since" in signoff("new", "new-one", "--undo").refused()
        assert files_of(checkout) == before

    def test_what_its_owner_removes_of_it_is_their_business(self, signoff: Signoff, checkout: Path) -> None:
        declared = (checkout / "prefect.yaml").read_bytes()
        assert signoff("new", "new-one", "--yes").code == 0
        (checkout / "prefect.yaml").write_bytes(declared)
        assert signoff("new", "another-one", "--yes").code == 0
        assert (checkout / "flows" / "new_one.py").exists()
        assert (checkout / "prompts" / "new_one" / "prompt.md").exists()


class TestHalfWay:
    """A failure at each step of the writing."""

    @pytest.fixture(autouse=True)
    def _in_a_copy(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(new_unit, "ROOT", checkout)
        monkeypatch.setattr(new_unit, "RECEIPTS", checkout / ".signoff" / "new")
        monkeypatch.setattr(new_unit, "STARTERS", checkout / "deployments" / "starters")

    @pytest.mark.parametrize("step", range(5))
    @pytest.mark.parametrize(
        "error", [OSError(30, "Read-only file system"), KeyboardInterrupt()], ids=["error", "ctrl-c"]
    )
    def test_leaves_all_as_it_was(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException
    ) -> None:
        before = files_of(checkout)
        self.fail_at(monkeypatch, step, error)
        with new_unit.alone(), pytest.raises(CommandError if isinstance(error, OSError) else KeyboardInterrupt):
            new_unit.write(new_unit.unit(Wanted("new-one", EVERY["tickets"])))
        monkeypatch.undo()
        assert files_of(checkout) == before
        assert not list((checkout / "prompts").glob(".*"))

    @pytest.mark.parametrize("step", [1, 2, 3])
    def test_what_a_kill_leaves_half_is_removed_by_the_next_call(self, checkout: Path, step: int) -> None:
        before = files_of(checkout)
        with pytest.MonkeyPatch.context() as killed:
            self.fail_at(killed, step, KeyboardInterrupt())
            killed.setattr(new_unit, "take_back", lambda _: None)
            with new_unit.alone(), pytest.raises(KeyboardInterrupt):
                new_unit.write(new_unit.unit(Wanted("new-one", EVERY["tickets"])))
        assert (files_of(checkout) != before) is (step > 1)
        with new_unit.alone():
            assert new_unit.mend() == (["new-one"] if step > 1 else [])
        assert files_of(checkout) == before

    def fail_at(self, patch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
        """Fail at the receipt, the prompt folder, the flow file, prefect.yaml, or the receipt's end."""
        calls = iter(range(10))

        def failing(real: Callable[..., None]) -> Callable[..., None]:
            def call(*args: object) -> None:
                if next(calls) == step:
                    raise error
                real(*args)

            return call

        patch.setattr(os, "rename", failing(os.rename))
        patch.setattr("deployments.new_unit.replace_file", failing(replace_file))


@pytest.mark.slow
class TestInATerminal:
    @pytest.fixture
    def shown(self, checkout: Path) -> Iterator[Terminal]:
        with terminal("new", "ticket-tagging", environment=environment_of(checkout), cwd=checkout) as shown:
            yield shown

    def test_enter_takes_what_is_shown_and_a_wrong_answer_is_asked_again(self, shown: Terminal, checkout: Path) -> None:
        shown.answer("Which one is it like.*> ", "letters")
        shown.answer("there is no starter letters; there are tickets, mail.*> ", "")
        shown.answer("in one sentence.*Enter: Tag every new ticket.*> ", "")
        shown.answer("Whose is it.*> ", "Ann")
        shown.answer("'Ann' will not do: it must be one e-mail address.*> ", "ann@ours.example")
        for said in ("by hand today", "go wrong by hand", "unusable", "vendor is down", "asks to wait", "one run may"):
            shown.answer(f"{said}.*> ", "")
        shown.answer("And a day.*> ", "0.10")
        shown.answer("less than .0.50 a run.*> ", "")
        shown.answer("And a month.*> ", "")
        shown.answer("chooses from: problem, question, billing, wish.*> ", "problem=bug")
        shown.see("ticket-tagging is there. `signoff check --offline` finds nothing wrong with it.")
        assert shown.end() == 0
        assert max(map(len, shown.seen.splitlines())) <= 80
        flow = (checkout / "flows" / "ticket_tagging.py").read_text(encoding="utf-8")
        assert 'owner="ann@ours.example"' in flow
        assert '"bug": "PRODUCT_ISSUE"' in flow

    def test_a_second_one_at_the_same_time_is_refused(self, shown: Terminal, checkout: Path, signoff: Signoff) -> None:
        shown.see("Which one is it like.*> ")
        assert "another `signoff new` is on" in signoff("new", "new-one", "--yes").refused()
        assert not (checkout / "flows" / "new_one.py").exists()

    def test_ctrl_c_at_a_question_leaves_nothing(self, shown: Terminal, checkout: Path) -> None:
        before = files_of(checkout)
        shown.answer("Which one is it like.*> ", "mail")
        shown.see("in one sentence.*> ")
        shown.interrupt()
        shown.type("")  # one that comes before the prompt has begun to listen is seen with the next line
        assert shown.end() == 130
        assert files_of(checkout) == before

    def test_ctrl_d_at_a_question_leaves_nothing_and_says_so(self, shown: Terminal, checkout: Path) -> None:
        before = files_of(checkout)
        shown.answer("Which one is it like.*> ", "\x04")
        shown.see("nothing was written")
        assert shown.end() == 1
        assert files_of(checkout) == before


@pytest.mark.parametrize("name", ["new", "try"])
def test_help_fits_80_columns(in_process: Signoff, name: str) -> None:
    done = in_process(name, "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert f"signoff {name}" in done.out


def test_both_are_listed_under_build(in_process: Signoff) -> None:
    listed = in_process("--help").out.partition("Build")[2].partition("Prompts and trust")[0]
    assert " new " in listed
    assert " try " in listed
