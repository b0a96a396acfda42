"""`signoff audit`, `signoff ledger redact`, and what redacted rows look like in the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from prefect.variables import Variable

from blocks.ledger import Action, Ledger, Record, history, utcnow
from blocks.mail import Email
from tasks import audit, retention
from tests.deployments.machinery import Finished, clean_environment, run
from tests.work import ANN, SECRET, Work, add_work, tamper

MakeEmail = Callable[..., Email]


@pytest.fixture
def signoff(in_process: Callable[..., Finished]) -> Callable[..., Finished]:
    """Runs a command as the terminal would, with nobody there to answer a question."""

    def command(*arguments: str) -> Finished:
        said = in_process(*arguments)
        assert all(len(line) <= 80 for line in said.out.splitlines()), said.out
        return said

    return command


@pytest.fixture
def work(ledger: Ledger, email: MakeEmail) -> Work:
    return add_work(ledger, email(sender=ANN))


def whole(ledger: Ledger, number: int) -> bool:
    with ledger.read() as session:
        return session.get_one(Record, number).redacted_at is None


class TestVerify:
    @pytest.mark.usefixtures("ledger")
    def test_an_empty_ledger(self, signoff: Callable[..., Finished]) -> None:
        said = signoff("audit", "verify")
        assert (said.code, said.err) == (0, "")
        assert "Nothing has happened in this ledger yet." in said.out

    @pytest.mark.usefixtures("work")
    def test_counts_and_the_head(self, signoff: Callable[..., Finished], ledger: Ledger) -> None:
        said = signoff("audit", "verify")
        head = audit.head(ledger)
        assert said.code == 0
        assert "Checked 7 rows of the history" in said.out
        assert "As they were written: 1 action, 1 model call, 1 decision, 1 receipt, 1 tool call." in " ".join(
            said.out.split()
        )
        assert f"row {head.number}" in said.out
        assert head.hash in said.out
        assert "Note it down elsewhere" in said.out
        checked = signoff("audit", "verify", "--json").json
        assert (checked["passed"], checked["head"], checked["findings"]) == (True, head.model_dump(), [])

    def test_findings_are_named_and_the_exit_code_says_so(
        self, signoff: Callable[..., Finished], ledger: Ledger, work: Work
    ) -> None:
        tamper(ledger, "UPDATE decisions SET approver = 'Mallory'")
        said = signoff("audit", "verify")
        assert said.code == 1
        assert "1 row is not what it was" in said.out
        assert f"decisions/{work.decision}  was changed after it was written" in said.out
        assert "Somebody wrote into the database past Signoff" in said.out
        found = signoff("audit", "verify", "--json")
        assert found.code == 1
        assert json.loads(found.out)["findings"] == [
            {"subject": f"decisions/{work.decision}", "means": "was changed after it was written"}
        ]

    def test_many_findings_are_counted(
        self, signoff: Callable[..., Finished], ledger: Ledger, email: MakeEmail
    ) -> None:
        for _ in range(7):
            add_work(ledger, email())
        for table in ("actions", "decisions", "receipts"):
            tamper(ledger, f"UPDATE {table} SET created_at = '2020-01-01 00:00:00'")
        said = signoff("audit", "verify")
        assert "21 rows are not what they were" in said.out
        assert "... and 1 more" in said.out

    @pytest.mark.usefixtures("work")
    def test_a_hash_that_was_noted_down(self, signoff: Callable[..., Finished], ledger: Ledger) -> None:
        noted = audit.head(ledger)
        said = signoff("audit", "verify", "--expect", noted.hash)
        assert said.code == 0
        assert f"The hash that you noted down is row {noted.number}" in said.out
        tamper(ledger, "DELETE FROM history WHERE id = :id", id=noted.number)
        said = signoff("audit", "verify", "--expect", noted.hash)
        assert said.code == 1
        assert "no row has the hash that was noted down" in said.out
        refused = signoff("audit", "verify", "--expect", "12")
        assert (refused.code, refused.out) == (1, "")
        assert "is no hash of the history" in refused.err


class TestHead:
    @pytest.mark.usefixtures("work")
    def test_number_and_hash(self, signoff: Callable[..., Finished], ledger: Ledger) -> None:
        head = audit.head(ledger)
        assert head.hash in signoff("audit", "head").out
        assert signoff("audit", "head", "--json").json == {"number": head.number, "hash": head.hash}


class TestShow:
    def test_the_story_in_order(self, signoff: Callable[..., Finished], ledger: Ledger, work: Work) -> None:
        with ledger.write() as session:
            history.note(session, "action settled", f"actions/{work.action}", by="Mara", said="done")
        said = signoff("audit", "show", str(work.action))
        assert said.code == 0
        lines = [line.rstrip().split(maxsplit=3) for line in said.out.splitlines()[1:-1]]
        assert [line[3] for line in lines] == [
            "action wanted   gmail.send_reply, high impact: done",
            "model call      claude: end_turn",
            "decision        approved by Mara, with another text",
            "receipt         gmail sent1",
            "tool call       send (high)",
            "action acting   run r, attempt 1",
            "action settled  by Mara, said done",
        ]
        assert all(line[1].startswith(f"{utcnow():%Y-}") for line in lines)

    def test_of_a_redacted_action(self, signoff: Callable[..., Finished], ledger: Ledger, work: Work) -> None:
        retention.redact(ledger, [work.record], by="Mara")
        said = signoff("audit", "show", str(work.action))
        assert "reply (redacted): done" in said.out
        assert "decision redacted" in said.out
        assert "2 fields, by Mara" in said.out
        assert SECRET not in said.out

    def test_as_json(self, signoff: Callable[..., Finished], work: Work) -> None:
        events = signoff("audit", "show", str(work.action), "--json").json
        assert [event["event"] for event in events][:2] == ["action wanted", "model call"]

    @pytest.mark.usefixtures("ledger")
    def test_of_an_action_that_never_was(self, signoff: Callable[..., Finished]) -> None:
        said = signoff("audit", "show", "9")
        assert said.code == 1
        assert "there is no action 9" in said.err


class TestRedact:
    def test_by_age_with_the_setting(
        self, signoff: Callable[..., Finished], ledger: Ledger, email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, young = add_work(ledger, email(), days_ago=31).record, add_work(ledger, email(), days_ago=29).record
        assert "Nothing to redact." in signoff("ledger", "redact", "--yes").out
        monkeypatch.setenv(retention.SETTING, "30")
        said = signoff("ledger", "redact", "--yes")
        assert (said.code, said.out) == (0, "1 record redacted: 17 fields in 7 rows.\n")
        assert (whole(ledger, old), whole(ledger, young)) == (False, True)
        assert signoff("ledger", "redact", "--older-than-days", "20", "--yes").code == 0
        assert not whole(ledger, young)
        assert signoff("audit", "verify").code == 0

    @pytest.mark.usefixtures("work")
    def test_nothing_goes_without_a_yes(self, signoff: Callable[..., Finished], ledger: Ledger, work: Work) -> None:
        said = signoff("ledger", "redact", "--record", str(work.record))
        assert said.code == 1
        assert "personal data of 1 record for good: add --yes" in said.err
        assert whole(ledger, work.record)

    def test_records_by_number(self, signoff: Callable[..., Finished], ledger: Ledger, email: MakeEmail) -> None:
        ids = [add_work(ledger, email()).record for _ in range(3)]
        opened = add_work(ledger, email(), action_state="waiting")
        numbers = [str(number) for number in (*ids[:2], opened.record)]
        said = signoff("ledger", "redact", "--record", *numbers[:2], "--record", numbers[2], "--yes")
        assert said.code == 1
        assert "2 records redacted" in said.out
        assert f"record {opened.record} is left: its reply #{opened.action} waits for a decision" in said.out
        assert [whole(ledger, number) for number in (*ids, opened.record)] == [False, False, True, True]
        again = signoff("ledger", "redact", "--record", str(ids[0]), "--yes")
        assert "was redacted on" in again.out

    def test_one_person(self, signoff: Callable[..., Finished], ledger: Ledger, email: MakeEmail) -> None:
        theirs = add_work(ledger, email(sender=ANN))
        opened = add_work(ledger, email(sender=ANN), state="gated")
        other = add_work(ledger, email(sender="bob@fabrikam.example"))
        said = signoff("ledger", "redact", "--person", ANN, "--yes", "--json")
        assert said.code == 1
        assert json.loads(said.out) == {
            "records": 1,
            "rows": 7,
            "fields": 17,
            "left": [
                {
                    "record_id": opened.record,
                    "why": "it is still open (gated): the workflow's next run takes it up",
                }
            ],
            "events": 0,
            "mentioned": [other.record],
        }
        assert [whole(ledger, work.record) for work in (theirs, opened, other)] == [False, True, True]
        told = signoff("ledger", "redact", "--person", ANN, "--yes")
        assert f"record {opened.record} is left" in told.out
        assert f"1 record of other people: {other.record}." in told.out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--older-than-days", "0"], "--older-than-days is at least 1"),
            (["--record", "1", "--person", ANN], "give one of"),
            (["--record", "77"], "the ledger has no record 77"),
            (["--person", "Ann"], "'Ann' is no e-mail address"),
        ],
    )
    @pytest.mark.usefixtures("ledger")
    def test_what_cannot_be_meant_is_refused(
        self, signoff: Callable[..., Finished], arguments: list[str], message: str
    ) -> None:
        said = signoff("ledger", "redact", *arguments, "--yes")
        assert (said.code, said.out) == (1, "")
        assert message in said.err

    @pytest.mark.usefixtures("ledger")
    def test_keeping_everything_is_said(
        self, signoff: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(retention.SETTING, "0")
        assert "is 0, so nothing is redacted by its age" in signoff("ledger", "redact", "--yes").err


class TestFailed:
    @pytest.fixture
    def _stages(self, prefect_server: None) -> Iterator[None]:  # noqa: ARG002
        """The Variable as the other tests have it, afterwards."""
        yield
        Variable.set("lead_triage_stage", "selective", overwrite=True)

    def test_a_long_reason_stands_under_its_row(
        self, signoff: Callable[..., Finished], ledger: Ledger, work: Work
    ) -> None:
        with ledger.write() as session:
            row = session.get_one(Action, work.action)
            row.state, row.reason = "failed", f"gmail: send draft: 400 {'word ' * 30}"
        _, *reason = signoff("ledger", "failed").out.partition("\n\n")[0].splitlines()
        assert len(reason) > 2
        assert all(line.startswith(" " * 7 + line.strip()[0]) for line in reason)

    @pytest.mark.usefixtures("_stages")
    def test_one_is_listed_with_the_reason_and_tried_again(
        self, signoff: Callable[..., Finished], ledger: Ledger, work: Work
    ) -> None:
        assert signoff("ledger", "failed").out.strip() == "Nothing that was approved has failed."
        with ledger.write() as session:
            row = session.get_one(Action, work.action)
            row.state, row.reason = "failed", "gmail: send draft: 400 Recipient address required"
        listed = signoff("ledger", "failed").out
        assert f"{work.action}  Send reply to" in listed
        assert "400 Recipient address required" in listed
        assert "signoff ledger retry NUMBER" in listed
        waits_not = signoff("approvals", "approve", str(work.action)).refused()
        assert f"it is failed. Once the cause is mended: signoff ledger retry {work.action}" in waits_not
        not_done = signoff("ledger", "settle", str(work.action), "--not-done").refused()
        assert f"has failed, so it was not done: signoff ledger retry {work.action}" in not_done
        by_hand = signoff("ledger", "settle", str(work.action), "--done", "--as", "Mara")
        assert (by_hand.code, by_hand.out.strip()) == (0, f"{work.action}  done by hand")
        with ledger.write() as session:
            session.get_one(Action, work.action).state = "failed"
        Variable.set("lead_triage_stage", "shadow", overwrite=True)
        tried = signoff("ledger", "retry", str(work.action), "--as", "Mara")
        assert tried.code == 0
        assert "Tried once it is not in shadow any more: signoff stage lead-triage gated" in tried.out
        with ledger.write() as session:
            session.get_one(Action, work.action).state = "failed"
        Variable.set("lead_triage_stage", "gated", overwrite=True)
        tried = signoff("ledger", "retry", str(work.action), "--as", "Mara")
        assert (tried.code, "The next run tries it again: signoff run lead-triage" in tried.out) == (0, True)
        assert "is pending, not failed" in signoff("ledger", "retry", str(work.action)).refused()


class TestRedactedRows:
    @pytest.fixture
    def redacted(self, ledger: Ledger, work: Work) -> Work:
        retention.redact(ledger, [work.record], by="Mara")
        return work

    def test_ledger_show(self, signoff: Callable[..., Finished], redacted: Work) -> None:
        said = signoff("ledger", "show")
        assert said.code == 0
        assert f"(redacted on {utcnow():%Y-%m-%d})" in said.out
        assert "support" in said.out
        assert "(no sender)" not in said.out
        (row,) = signoff("ledger", "show", str(redacted.record), "--json").json
        assert row["redacted_at"].startswith(f"{utcnow():%Y-%m-%d}")

    def test_approvals_show(self, signoff: Callable[..., Finished], redacted: Work) -> None:
        said = signoff("approvals", "show", str(redacted.action))
        assert said.code == 0
        assert f"reply (redacted on {utcnow():%Y-%m-%d})" in said.out
        shown = signoff("approvals", "show", str(redacted.action), "--json").json
        assert (shown["explanation"], shown["payload"]) == ("", {"message_id": "m1", "thread_id": "t1"})

    def test_approvals_approve(self, signoff: Callable[..., Finished], redacted: Work) -> None:
        said = signoff("approvals", "approve", str(redacted.action))
        assert said.code == 1
        assert "(reply (redacted)) does not wait for anybody: it is done" in said.err


@pytest.mark.usefixtures("work")
def test_as_a_process_of_its_own(ledger: Ledger) -> None:
    url = ledger.engine.url.render_as_string(hide_password=False)
    environment = clean_environment(SIGNOFF_LEDGER_URL=url)
    verified = run(["signoff", "audit", "verify"], environment)
    assert (verified.code, verified.err) == (0, "")
    tamper(ledger, "DELETE FROM receipts")
    assert run(["signoff", "audit", "verify"], environment).code == 1
