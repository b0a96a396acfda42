"""The health check's looks, one by one: what each finds, what it leaves alone, and when an alert opens and closes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed, Scheduled

from blocks.ledger import (
    Action,
    Alert,
    Assignment,
    Decision,
    Ledger,
    ModelCall,
    Notice,
    Record,
    Run,
    WebhookEvent,
    utcnow,
)
from flows.lead_triage import CARD
from tasks import alerts, health, health_accounts, health_machine, health_runs
from tasks.credentials import CredentialState
from tasks.health_finding import Finding, Look
from tasks.health_machine import days_left, grows_by
from tasks.health_silence import silence, silences
from tasks.health_work import (
    doubts,
    failures,
    missed_notices,
    record_errors,
    spending,
    waiting_approvals,
    webhook_backlog,
)

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
"""A Tuesday."""
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
MAILBOX = "gmail:hello@company.example"
Find = Callable[..., dict[str, str]]


@pytest.fixture(autouse=True)
def _no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.events.emit_event", lambda **_: None)


@pytest.fixture
def find(ledger: Ledger) -> Find:
    """What a check finds, by key, while the alerts of these keys are open."""

    def call(check: health.Check, *still_open: str, now: datetime = NOW, opened: datetime = NOW, **card: Any) -> Any:
        known = {key: Alert(key=key, message="", opened_at=opened) for key in still_open}
        look = Look(ledger, (CARD.model_copy(update=card),), now, known)
        return {finding.key: finding.message for finding in check(look)}

    return call


def put(ledger: Ledger, *rows: Any) -> None:
    """Rows, or statements."""
    with ledger.write() as session:
        for row in rows:
            if isinstance(row, sa.Executable):
                session.execute(row)
            else:
                session.add(row)


def record(number: int, state: str, at: datetime) -> Record:
    identity = {"workflow": "lead-triage", "source": MAILBOX, "external_id": f"m{number}"}
    return Record(**identity, payload={}, state=state, created_at=at, updated_at=at)


class TestSilence:
    """Synthetic mailboxes: what each of them has usually got by now."""

    @staticmethod
    def office(
        weeks: float, until: datetime, every: timedelta = HOUR / 3, zone: str = "UTC", hours: tuple[int, int] = (8, 18)
    ) -> list[datetime]:
        """Mail on weekdays, in office hours by this zone's clock."""
        at, found = until - weeks * WEEK, []
        while at < until:
            local = at.astimezone(ZoneInfo(zone))
            if local.weekday() < 5 and hours[0] <= local.hour < hours[1]:
                found.append(at)
            at += every
        return found

    def test_a_weekday_on_which_nothing_comes_is_silence(self) -> None:
        since = NOW - 4 * HOUR
        found = silence(self.office(5, since), NOW)
        assert found is not None
        assert found.since == since - HOUR / 3
        assert found.usually == 8, "an hour at both ends is left off"
        assert silence(self.office(5, since, every=HOUR), NOW) is None, "two or three may be missing by chance"
        assert silence(self.office(5, NOW - 2 * HOUR), NOW) is None, "two hours are none"

    def test_no_hour_of_a_week_is_silence_where_it_comes_as_usual(self) -> None:
        arrivals = self.office(7, NOW + WEEK)
        hours = [NOW + number * HOUR for number in range(24 * 7)]
        assert [at for at in hours if silence([a for a in arrivals if a < at], at)] == []

    def test_a_weekend_after_a_silent_friday_is_told_and_a_plain_one_is_not(self) -> None:
        friday = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
        sunday = friday + 2 * DAY
        assert silence(self.office(5, friday), sunday) is None
        assert silence(self.office(5, friday - 9 * HOUR), sunday) is not None

    @pytest.mark.parametrize("weeks", [0.1, 1, 1.9])
    def test_a_new_mailbox_has_no_silence(self, weeks: float) -> None:
        assert silence(self.office(weeks, NOW - 8 * HOUR), NOW) is None

    def test_with_two_weeks_of_history_there_is(self) -> None:
        assert silence(self.office(2.5, NOW - DAY), NOW) is not None

    def test_a_season_that_fades_or_comes_once_a_month_is_no_silence(self) -> None:
        since = NOW - 5 * WEEK
        every_day = self.office(10, NOW - DAY)
        fading = [at for n, at in enumerate(every_day) if n % (1 + 4 * max(0, (at - since) // WEEK)) == 0]
        assert silence(fading, NOW) is None
        monthly = [at for at in self.office(12, NOW) if at.day <= 7]
        hours = [NOW - 4 * WEEK + number * HOUR for number in range(24 * 28)]
        assert [at for at in hours if silence([a for a in monthly if a < at], at)] == []

    @pytest.mark.parametrize("change", [datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)])
    def test_a_change_of_the_clocks_is_no_silence_and_hides_none(self, change: datetime) -> None:
        arrivals = self.office(8, change + 2 * WEEK, every=HOUR / 12, zone="Europe/Berlin")
        hours = [change - WEEK + number * HOUR for number in range(24 * 21)]
        assert [at for at in hours if silence([a for a in arrivals if a < at], at)] == []
        monday = change.replace(hour=12) + DAY
        assert silence([a for a in arrivals if a < monday], monday + 4 * HOUR) is not None

    def test_what_brings_little_is_given_longer(self) -> None:
        few = self.office(5, NOW - 7 * HOUR, every=4 * HOUR)
        assert silence(few, NOW) is None
        assert silence([at for at in few if at < NOW - 5 * DAY], NOW) is not None

    def test_nothing_at_all(self) -> None:
        assert silence([], NOW) is None

    @pytest.mark.workdays
    def test_in_the_ledger_a_holiday_is_none_and_an_alert_stays_until_something_comes(
        self, ledger: Ledger, find: Find
    ) -> None:
        christmas = datetime(2026, 12, 25, 15, 0, tzinfo=UTC)  # a Friday
        times = self.office(5, christmas - 9 * HOUR)
        put(ledger, *(record(number, "done", at) for number, at in enumerate(times)))
        key = f"silence:lead-triage:{MAILBOX}"
        found = find(silences, now=christmas)
        assert list(found) == [key]
        assert "nothing has come from gmail:hello@company.example for 21 hours" in found[key]
        assert find(silences, now=christmas, calendar="GB") == {}
        later = christmas + 16 * DAY
        assert find(silences, now=later) == {}, "by then last week was silent as well"
        assert list(find(silences, key, now=later, opened=christmas)) == [key]
        put(ledger, record(-1, "done", christmas + DAY))
        assert find(silences, key, now=later, opened=christmas) == {}


class TestWork:
    def test_errors_over_the_cards_limit(self, ledger: Ledger, find: Find) -> None:
        limit = CARD.evidence.errors
        put(ledger, *(record(n, "quarantined" if n < 3 else "done", NOW - HOUR) for n in range(20)))
        found = find(record_errors)
        assert list(found) == ["errors:lead-triage:rate"]
        assert (
            f"3 of 20 records (15%) were set aside within a day; the card allows {limit:.0%}"
            in found["errors:lead-triage:rate"]
        )

    @pytest.mark.parametrize(("aside", "of"), [(2, 20), (4, 9), (0, 20)])
    def test_too_few_say_nothing(self, ledger: Ledger, find: Find, aside: int, of: int) -> None:
        put(ledger, *(record(n, "quarantined" if n < aside else "done", NOW - HOUR) for n in range(of)))
        assert find(record_errors) == {}

    def test_an_error_rate_around_the_limit_does_not_flap(self, ledger: Ledger, find: Find) -> None:
        put(ledger, *(record(-n, "quarantined", NOW - 3 * DAY) for n in range(1, 30)))  # so it is not rising
        put(ledger, *(record(n, "quarantined" if n < 9 else "done", NOW - HOUR) for n in range(100)))
        assert find(record_errors, evidence=CARD.evidence.model_copy(update={"errors": 0.1})) == {}
        assert find(record_errors, "errors:lead-triage:rate")
        put(ledger, *(record(1_000 + n, "done", NOW - HOUR) for n in range(20)))
        assert find(record_errors, "errors:lead-triage:rate") == {}, "7.5 % is well under 80 % of the limit"

    def test_a_quarantine_that_rises(self, ledger: Ledger, find: Find) -> None:
        put(ledger, *(record(n, "quarantined", NOW - 3 * DAY) for n in range(7)))
        put(ledger, *(record(100 + n, "done", NOW - HOUR) for n in range(95)))
        put(ledger, *(record(500 + n, "quarantined", NOW - HOUR) for n in range(5)))
        found = find(record_errors, evidence=CARD.evidence.model_copy(update={"errors": 0.09}))
        assert found == {
            "errors:lead-triage:rising": "lead-triage: 5 records set aside within a day, and 7 in the seven days "
            "before. See signoff quarantine list --workflow lead-triage"
        }
        assert find(record_errors) == {}, "half of what the card allows is not much"

    def test_doubts_that_no_run_has_settled(self, ledger: Ledger, find: Find) -> None:
        put(ledger, action("a", "unknown", NOW - 2 * HOUR), action("b", "unknown", NOW - HOUR / 2))
        said = "of 1 action of lead-triage nobody knows whether they were done: signoff ledger doubts"
        assert find(doubts) == {"doubts:lead-triage": said}

    def test_what_was_allowed_and_has_failed_within_a_week(self, ledger: Ledger, find: Find) -> None:
        ago = {"a": HOUR, "b": 2 * HOUR, "c": 2 * DAY, "old": 8 * DAY}
        rows = [action(key, "failed", NOW - since) for key, since in ago.items()]
        put(ledger, *rows, action("nobody allowed it", "failed", NOW - HOUR), action("d", "done", NOW - HOUR))
        allowed = {"verdict": "approved", "approver": "Mara", "payload": {}, "digest": "d"}
        put(ledger, *(Decision(action_id=row.id, **allowed) for row in rows))
        found = find(failures)
        assert list(found) == ["failed:lead-triage:2026-11-22", "failed:lead-triage:2026-11-24"]
        said = "something that lead-triage was allowed to do failed for good on 2026-11-24 (UTC): signoff ledger failed"
        assert found["failed:lead-triage:2026-11-24"] == said
        put(ledger, sa.update(Action).where(Action.key.in_(("a", "b", "c"))).values(state="handled"))
        assert find(failures) == {}

    def test_approvals_that_end_soon_are_found_only_where_their_notice_has_reached_nobody(
        self, ledger: Ledger, find: Find
    ) -> None:
        soon, later = action("a", "waiting", NOW - 4 * DAY), action("b", "waiting", NOW - DAY)
        put(ledger, soon, later, action("c", "done", NOW - 4 * DAY), action("d", "waiting", NOW - 6 * DAY))
        assert find(waiting_approvals) == {
            "approvals:lead-triage:untold": f"1 approval of lead-triage runs out soon, the first (#{soon.id}) on "
            "25 Nov 15:00 UTC, and tom@dockwell.example could not be told. signoff approvals list; signoff alerts test "
            "tries every channel"
        }
        key = "expiry/tom@dockwell.example/lead-triage/2026-11-25T15:00:00"
        mail = Notice(key=key, channel="gmail/inbox/tom@dockwell.example", state="pending", text="x", created_at=NOW)
        put(ledger, mail)
        assert find(waiting_approvals) == {}, "the hours may be quiet"
        assert len(find(waiting_approvals, now=NOW + DAY / 2)) == 1, "no night is so long"
        for state, attempts in (("pending", 1), ("sending", 3), ("failed", 1), ("unknown", 1)):
            put(ledger, sa.update(Notice).values(state=state, attempts=attempts))
            assert list(find(waiting_approvals)) == ["approvals:lead-triage:untold"], state
        put(ledger, Notice(key=key, channel="slack/team", state="sent", text="x", attempts=1))
        assert find(waiting_approvals) == {}, "in one channel they were"
        put(ledger, Assignment(action_id=soon.id, person="mara@dockwell.example", by="tom"))
        assert "mara@dockwell.example could not be told" in find(waiting_approvals).popitem()[1]

    def test_approvals_that_nobody_is_asked_for(self, ledger: Ledger, find: Find) -> None:
        put(ledger, action("a", "waiting", NOW - DAY))
        put(ledger, sa.update(Action).values(workflow="gone"))
        assert find(waiting_approvals) == {
            "approvals:gone:nobody": "1 approval of gone waits, and nobody is asked: its card is gone. Bring its flow "
            "back, or reject them: signoff approvals list"
        }

    def test_too_many_that_wait_do_not_flap(self, ledger: Ledger, find: Find) -> None:
        put(ledger, *(action(f"a{n}", "waiting", NOW - HOUR) for n in range(20)))
        key = "approvals:lead-triage:many"
        assert find(waiting_approvals) == {}
        assert list(find(waiting_approvals, key)) == [key]
        put(ledger, action("one more", "waiting", NOW - HOUR))
        assert "21 approvals of lead-triage wait, the oldest since 24 Nov 14:00 UTC" in find(waiting_approvals)[key]

    def test_webhook_events_that_start_nothing(self, ledger: Ledger, find: Find) -> None:
        def event(number: int, state: str, at: datetime) -> WebhookEvent:
            return WebhookEvent(source="stripe", external_id=f"e{number}", kind="x", state=state, received_at=at)

        put(ledger, event(1, "stored", NOW - HOUR), event(2, "stored", NOW - HOUR / 6), event(3, "started", NOW - HOUR))
        found = find(webhook_backlog)
        assert list(found) == ["events:stripe"]
        assert "1 webhook event of stripe wait to start a run, the oldest since 24 Nov 14:00 UTC" in found.popitem()[1]

    def test_notices_that_may_not_have_arrived(self, ledger: Ledger, find: Find) -> None:
        lost = Notice(key="k", channel="outgoing-webhook/alerts", state="unknown", text="t", reason="no reply")
        put(ledger, lost, Notice(key="k", channel="slack/team", state="sent", text="t"))
        found = find(missed_notices, now=utcnow())
        assert list(found) == ["channel:outgoing-webhook/alerts"]
        assert "1 notice may not have arrived in outgoing-webhook/alerts: no reply" in found.popitem()[1]


def action(key: str, state: str, at: datetime) -> Action:
    made = {"created_at": at, "updated_at": at, "expires_at": at + 5 * DAY}
    what = {"kind": "gmail.send_reply", "impact": "high", "title": "t", "payload": {}, "digest": "d"}
    where = {"credential": "gmail/inbox", "explanation": "", "stage": "gated"}
    return Action(key=key, workflow="lead-triage", state=state, **what, **where, **made)


class TestSpending:
    @pytest.fixture
    def spend(self, ledger: Ledger) -> Callable[[str, datetime], None]:
        put(ledger, Run(id="r", workflow="lead-triage", stage="gated", started_at=NOW, heartbeat_at=NOW))
        put(ledger, record(1, "done", NOW))

        def call(usd: str, at: datetime) -> None:
            told = {"prompt": "p", "prompt_version": "v", "model": "m", "attempt": 1, "reply": "", "stop_reason": "x"}
            spent = {"input_tokens": 1, "output_tokens": 1, "cost": Decimal(usd), "seconds": 1.0, "created_at": at}
            put(ledger, ModelCall(workflow="lead-triage", record_id=1, run_id="r", **told, **spent))

        return call

    @pytest.mark.both_databases
    def test_at_80_percent_and_when_it_is_used_up_once_for_each_day(
        self, find: Find, spend: Callable[[str, datetime], None]
    ) -> None:
        eighty, full = "spend:lead-triage:2026-11-24:80", "spend:lead-triage:2026-11-24:100"
        for _ in range(31):
            spend("0.10", NOW - HOUR)
        assert find(spending) == {}
        spend("0.10", NOW - HOUR)
        assert find(spending) == {
            eighty: "lead-triage has spent $3.20 of the $4.00 that its card allows a day (2026-11-24 UTC), which is 80%"
        }
        for _ in range(4):
            spend("0.10", NOW - HOUR)
        found = find(spending, eighty)
        assert set(found) == {eighty, full}, "less is left than five calls may take"
        assert "what is left waits until the next day, or until usd_per_day on the card is raised" in found[full]
        assert find(spending, now=NOW + DAY) == {}, "another day"

    def test_at_one_go_one_alert_says_it_all(self, find: Find, spend: Callable[[str, datetime], None]) -> None:
        spend("41", NOW - 2 * HOUR)
        assert set(find(spending)) == {"spend:lead-triage:2026-11-24:100", "spend:lead-triage:2026-11:100"}
        assert set(find(spending, now=NOW + DAY)) == {"spend:lead-triage:2026-11:100"}
        assert find(spending, now=NOW + 8 * DAY) == {}

    def test_nothing_was_spent(self, find: Find) -> None:
        assert find(spending) == {}


class TestAccounts:
    @staticmethod
    def state(credential: str = "gmail/inbox", **changes: Any) -> CredentialState:
        known: dict[str, Any] = {
            "credential": credential, "workflows": ("lead-triage", "support-answer"), "owner": "tom", "required": True,
            "present": True, "ok": True, "as_whom": "", "reason": "", "way_out": "signoff connect gmail/inbox",
            "lasting": False, "expires_at": None, "checked_at": NOW,
        }  # fmt: skip
        return CredentialState(**known | changes)

    @pytest.fixture
    def states(self, monkeypatch: pytest.MonkeyPatch) -> list[CredentialState]:
        found: list[CredentialState] = []
        monkeypatch.setattr("tasks.credentials.check_all", lambda _: found)
        return found

    def test_dead_ending_and_silent_ones(self, find: Find, states: list[CredentialState]) -> None:
        states += [
            self.state(ok=False, lasting=True, reason="gmail: invalid_grant"),
            self.state("drive/company", reason="it ends on 29 Nov 2026, 09:00 UTC"),
            self.state("hubspot/crm", ok=False, reason="hubspot: 502"),
            self.state("stripe/billing"),
            self.state("notion/meetings", present=False, ok=False, reason="not connected"),
        ]
        found = find(health_accounts.accounts)
        assert set(found) == {
            "accounts:gmail/inbox",
            "accounts:drive/company:ends",
            "accounts:hubspot/crm:silent",
        }
        assert found["accounts:gmail/inbox"] == (
            "gmail/inbox cannot be used: gmail: invalid_grant. Needed by lead-triage, support-answer. Way out: "
            "signoff connect gmail/inbox"
        )

    @pytest.mark.parametrize(
        ("still_open", "reason"),
        [
            ("circuit:gmail", "gmail: paused: it does not answer"),
            ("drift:gmail:profile.historyId", "gmail: profile.historyId is missing from the reply"),
        ],
    )
    def test_what_was_told_of_already_is_not_told_again(
        self, find: Find, states: list[CredentialState], still_open: str, reason: str
    ) -> None:
        states.append(self.state(ok=False, lasting=True, reason=reason))
        assert find(health_accounts.accounts, still_open) == {}
        assert len(find(health_accounts.accounts, "circuit:hubspot", "drift:gmail:message.raw")) == 1


class TestMachine:
    def test_growth_and_the_day_it_would_be_full(self) -> None:
        day = date(2026, 11, 1)
        assert grows_by([]) is None
        assert grows_by([(day, 10), (day + 2 * DAY, 90)]) is None, "too short a time"
        assert grows_by([(day + 4 * DAY, 50), (day, 10), (day + 2 * DAY, 90)]) == 10
        store = health_machine.Store("ledger", 50, None, per_day=10.0)
        assert days_left(200, [store, store]) == 10
        assert days_left(200, [health_machine.Store("ledger", 50, None, per_day=-1.0)]) is None
        assert days_left(200, [health_machine.Store("ledger", 50, None)]) is None

    def test_sizes_are_noted_once_a_day_and_kept_for_a_month(self, ledger: Ledger) -> None:
        for days in range(40):
            today = date(2026, 11, 1) + days * DAY
            grown = health_machine._growth(ledger, {"ledger": 100 * days}, today)
            assert health_machine._growth(ledger, {"ledger": 100 * days}, today) == grown
        assert grown == {"ledger": 100.0}
        assert len(health_machine.remembered(ledger, "sizes")) == health_machine.MOST_DAYS

    @pytest.fixture
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Makes up what the machine is like."""

        def make(*known: health_machine.Store, free: int = 500 * health_machine.GB, prunes: bool = False) -> None:
            monkeypatch.setattr(health_machine, "stores", lambda *_: list(known))
            monkeypatch.setattr(health_machine, "prunes_runs", lambda: prunes)
            usage = type("Usage", (), {"free": free})
            monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

        return make

    def test_what_is_found_on_the_disk(self, find: Find, machine: Callable[..., None]) -> None:
        gb = health_machine.GB
        ledger = health_machine.Store("ledger", gb, Path("/tmp/l.db"), wal=gb, per_day=0.1 * gb)
        prefect = health_machine.Store("prefect", 3 * gb, Path("/tmp/p.db"), per_day=0.1 * gb)
        machine(ledger, prefect, free=gb)
        assert [key.rpartition(":")[0] or key for key in find(health_machine.disk)] == [
            "disk:free", "disk:full", "disk:wal", "disk",
        ]  # fmt: skip
        found = " ".join(find(health_machine.disk).values())
        assert "1.0 GB are free on the disk that holds ledger, prefect" in found
        assert "is full on 29 Nov, if they go on growing as they do (a day: ledger 100 MB, prefect 100 MB)" in found
        assert "keeps every run for ever: set PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs" in found
        machine(ledger, prefect, prunes=True)
        assert list(find(health_machine.disk)) == ["disk:wal:ledger"]

    def test_the_page_says_how_the_databases_grow_and_when_the_disk_is_full(
        self, ledger: Ledger, machine: Callable[..., None]
    ) -> None:
        gb = health_machine.GB
        grows = health_machine.Store("ledger", gb, Path("/tmp/l.db"), per_day=5.0 * gb)
        machine(grows, health_machine.Store("library", 2 * gb, None))
        summary = health.Summary(
            findings={"disk:a": "[no](http://x)"},
            opened=("disk:a",),
            closed=(),
            told={"slack/team: sent": 1},
            pruned={"alerts": 3},
        )
        page = health.as_markdown(ledger, summary)
        day = utcnow() + timedelta(days=100)
        assert f"| ledger | 1.0 GB | 5.0 GB | {day:%d %b %Y} |" in page
        assert "| library | 2.0 GB | not known yet | - |" in page
        assert r"- `disk:a`: \[no\]\(http\:\/\/x\)" in page
        assert "Prefect's database keeps every run for ever" in page
        assert "Deleted, for want of any use: 3 alerts" in page

    def test_a_disk_around_the_limit_does_not_flap(self, find: Find, machine: Callable[..., None]) -> None:
        machine(health_machine.Store("ledger", 1, Path("/tmp/l.db")), free=2_200 * health_machine.MB)
        assert find(health_machine.disk) == {}
        mount = health_machine._mount_of(Path("/tmp/l.db"))
        assert list(find(health_machine.disk, f"disk:free:{mount}")) == [f"disk:free:{mount}"]

    @pytest.mark.both_databases
    @pytest.mark.usefixtures("prefect_server")
    def test_the_real_machine(self, ledger: Ledger) -> None:
        found = {store.name: store for store in health_machine.stores(ledger, utcnow())}
        assert found["ledger"].size > 10_000
        assert not health_machine.prunes_runs(), "Prefect's default"

    @pytest.mark.parametrize(("skews", "found"), [((-300.0, -2.0), 0), ((300.0, 290.0), 1), ((), 0), ((-130.0,), 1)])
    def test_the_clock(self, find: Find, monkeypatch: pytest.MonkeyPatch, skews: Sequence[float], found: int) -> None:
        left = list(skews)
        monkeypatch.setattr(health_machine, "skew", lambda _: left.pop() if left else None)
        blocks = {line.credential: type("Block", (), {"address": line.credential}) for line in CARD.reads}
        monkeypatch.setattr("blocks.connections.load_if_present", blocks.get)
        assert len(find(health_machine.clock)) == found

    def test_the_clock_of_a_real_server(self, sandbox: Any) -> None:
        assert abs(health_machine.skew(sandbox.url) or 99) < 5


class TestRuns:
    @pytest.fixture
    def prefect(self, prefect_server: None) -> Iterator[SyncPrefectClient]:  # noqa: ARG002
        with get_client(sync_client=True) as client:
            yield client

    @pytest.fixture
    def triage(self, prefect: SyncPrefectClient) -> Iterator[UUID]:
        """The lead triage's deployment, in a pool that no worker knows."""
        from flows.lead_triage import lead_triage

        flow_id = prefect.create_flow(lead_triage)
        prefect.create_work_pool(WorkPoolCreate(name="idle", type="process"))
        yield prefect.create_deployment(flow_id=flow_id, name="lead-triage", work_pool_name="idle")
        prefect.delete_flow(flow_id)
        prefect.delete_work_pool("idle")

    def test_failing_late_and_without_a_worker(
        self, ledger: Ledger, find: Find, prefect: SyncPrefectClient, triage: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ended(state: State[Any]) -> None:
            run = prefect.create_flow_run_from_deployment(triage)
            prefect.set_flow_run_state(run.id, state, force=True)

        key = "runs:lead-triage:failing"

        def look(*still_open: str) -> dict[str, str]:
            return find(health_runs.runs, *still_open, now=utcnow())

        ended(Completed())
        ended(Failed(message="gmail: 401"))
        assert list(look()) == ["runs:pool:idle"]
        ended(Failed(message="gmail: 401 the token is dead"))
        found = look()
        assert set(found) == {"runs:pool:idle", key}
        assert "has failed: gmail: 401 the token is dead" in found[key]
        assert found["runs:pool:idle"].startswith("no worker asks the work pool idle for work, and none ever has")
        ended(Failed(message="gmail: paused: it does not answer"))
        assert key not in look("circuit:gmail"), "the circuit's alert says so"
        assert key in look("circuit:hubspot")
        prefect.send_worker_heartbeat("idle", "a worker")
        ended(Completed())
        due: State[Any] = Scheduled(scheduled_time=utcnow() - HOUR)
        prefect.create_flow_run_from_deployment(triage, state=due)
        assert set(look()) == {"runs:lead-triage:late"}
        assert "1 run of lead-triage should have begun" in look()["runs:lead-triage:late"]
        monkeypatch.setattr(health_runs, "NO_WORKER", timedelta(seconds=-1))
        assert "since" in look()["runs:pool:idle"]
        assert ledger

    def test_one_failure_is_enough_where_runs_are_rare(self) -> None:
        def run(state: State[Any], at: datetime) -> Any:
            return type("Ended", (), {"state": state, "end_time": at})()

        failed = run(Failed(), NOW)
        assert health_runs.failing([failed])
        assert health_runs.failing([failed, run(Completed(), NOW - DAY)])
        assert not health_runs.failing([failed, run(Completed(), NOW - HOUR)])
        assert health_runs.failing([failed, run(Failed(), NOW - HOUR)])
        assert not health_runs.failing([run(Completed(), NOW), failed])
        assert not health_runs.failing([])


class TestSettling:
    @pytest.fixture
    def found(self) -> list[Finding]:
        return []

    @pytest.fixture
    def once(self, ledger: Ledger, found: list[Finding]) -> Callable[..., tuple[list[str], list[str]]]:
        """One health check with one check, which finds what is in `found`."""

        def call(check: health.Check = lambda _: found, seconds: float = 30) -> tuple[list[str], list[str]]:
            return health.settle(ledger, health.look(ledger, [CARD], {"disk": check, "spend": lambda _: ()}, seconds))

        return call

    def test_opens_at_once_and_closes_when_two_in_a_row_have_not_met_it(
        self, ledger: Ledger, found: list[Finding], once: Callable[..., tuple[list[str], list[str]]]
    ) -> None:
        found.append(Finding("disk:a", "no room", "lead-triage"))
        assert once() == (["disk:a"], [])
        assert once() == ([], [])
        (alert,) = alerts.still_open(ledger)
        assert (alert.key, alert.message, alert.workflow, alert.times) == ("disk:a", "no room", "lead-triage", 2)
        gone = found.pop()
        assert once() == ([], [])
        found.append(gone)
        assert once() == ([], []), "it flaps: still the same alert"
        found.clear()
        assert once() == ([], [])
        assert once() == ([], ["disk:a"])
        assert once() == ([], [])

    def test_what_may_pass_is_told_when_two_in_a_row_have_met_it(
        self, found: list[Finding], once: Callable[..., tuple[list[str], list[str]]]
    ) -> None:
        blip = Finding("disk:a", "slow", may_pass=True)
        found.append(blip)
        assert once() == ([], [])
        found.clear()
        assert once() == ([], [])
        found.append(blip)
        assert once() == ([], [])
        assert once() == (["disk:a"], [])

    def test_a_check_that_fails_or_hangs_is_a_finding_and_leaves_its_alerts_as_they_are(
        self, ledger: Ledger, found: list[Finding], once: Callable[..., tuple[list[str], list[str]]]
    ) -> None:
        found.append(Finding("disk:a", "no room"))
        once()
        ended = threading.Event()

        def breaks(_: Look) -> list[Finding]:
            raise RuntimeError("with Bearer abcdefghij in it")

        def hangs(_: Look) -> list[Finding]:
            ended.wait(60)
            return []

        def strays(_: Look) -> list[Finding]:
            return [Finding("spend:a", "another check's")]

        assert once(breaks) == ([], [])
        assert once(hangs, 0.05) == (["check:disk"], [])
        ended.set()
        assert once(strays) == ([], [])
        told = {alert.key: alert.message for alert in alerts.still_open(ledger)}
        assert set(told) == {"disk:a", "check:disk"}
        assert "was not done within 0.05 s" in told["check:disk"]
        report = health.look(ledger, [CARD], {"disk": breaks})
        assert "RuntimeError: with Bearer *** in it" in report.findings[0].message
        once()
        assert once() == ([], ["check:disk"])

    def test_other_peoples_alerts_are_left_alone(
        self, ledger: Ledger, once: Callable[..., tuple[list[str], list[str]]]
    ) -> None:
        for key in ("drift:gmail:message.raw", "circuit:gmail", "crash:lead-triage", "diskless"):
            alerts.open_alert(ledger, key, "x")
        for _ in range(3):
            assert once() == ([], [])

    def test_every_check_has_a_name_of_its_own(self) -> None:
        others = {"drift", "circuit", "crash", "stage", "evaluation", "library", "documents"}
        assert others.isdisjoint({*health.CHECKS, health.FLOWS, health.FAILED})


class TestPruning:
    def test_only_what_has_no_use_goes(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        old, young = utcnow() - 100 * DAY, utcnow() - 80 * DAY
        over = Alert(key="over", message="m", opened_at=old - DAY, closed_at=old)
        still = Alert(key="still", message="m", opened_at=old)
        lately = Alert(key="lately", message="m", opened_at=old, closed_at=young)
        put(ledger, over, still, lately)

        def notice(key: str, state: str = "sent", at: datetime = old) -> Notice:
            return Notice(key=key, channel="slack/team", state=state, text="t", created_at=at)

        put(ledger, WebhookEvent(source="stripe", external_id="e", kind="x", state="started", received_at=old))
        put(ledger, *(notice(f"alert/{alert.id}/opened") for alert in (over, still, lately)))
        put(ledger, notice("digest/1"), notice("digest/2", "pending"), notice("digest/3", at=young))
        monkeypatch.setenv("SIGNOFF_RETENTION_DAYS", "0")
        assert health.prune(ledger) == {}
        monkeypatch.setenv("SIGNOFF_RETENTION_DAYS", "30")
        assert health.prune(ledger) == {"notices": 2, "alerts": 1}
        assert health.prune(ledger) == {}
        with ledger.read() as session:
            assert set(session.scalars(sa.select(Alert.key))) == {"still", "lately"}
            kept = set(session.scalars(sa.select(Notice.key)))
            assert session.scalars(sa.select(WebhookEvent.state)).all() == ["started"]
        assert kept == {f"alert/{still.id}/opened", f"alert/{lately.id}/opened", "digest/2", "digest/3"}
