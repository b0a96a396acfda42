"""`signoff report` at 80 columns, for programs, and as a page in a real browser."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page

from blocks.ledger import Ledger, ModelCall, utcnow
from deployments.cards import cards
from deployments.charts import Row, Series, across, rising, scale, stacked
from deployments.cli import app
from tasks import roi, roi_advice
from tasks.periods import last_days, zone_of
from tests.deployments.machinery import Finished, clean_environment, run
from tests.reporting import Books, Wanted, filled

DAY = timedelta(days=1)
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\x1b[2J'
DAYS = last_days(60, zone_of("UTC"), utcnow()).days

Signoff = Callable[..., Finished]


@pytest.fixture(scope="module")
def company(empty_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a ledger with 130 days of work of a small company, and a workflow that means no good."""
    path = shutil.copy(empty_ledger, tmp_path_factory.mktemp("company") / "ledger.db")
    url, now = f"sqlite:///{path}", utcnow()
    ledger = Ledger.open(url)
    books = Books(ledger)
    books.record(now - DAY, Wanted(), workflow=HOSTILE, version=HOSTILE[:60])
    books.record(now - DAY, state="quarantined", reason=HOSTILE, workflow=HOSTILE, version=None)
    books.version(HOSTILE[:60], now - DAY, model=HOSTILE)
    filled(ledger, 400, now, 130, also=books)
    ledger.engine.dispose()
    return url


@pytest.fixture
def signoff(in_process: Signoff, company: str, monkeypatch: pytest.MonkeyPatch) -> Signoff:
    """Runs `signoff report` on the company's ledger."""
    monkeypatch.setenv("SIGNOFF_LEDGER_URL", company)
    return lambda *arguments: in_process("report", *arguments)


@pytest.fixture
def empty(in_process: Signoff, ledger: Ledger) -> Signoff:  # noqa: ARG001
    """Runs it on a ledger in which nothing is."""
    return lambda *arguments: in_process("report", *arguments)


class TestTerminal:
    def test_help_fits_80_columns(self) -> None:
        done = run(["signoff", "report", "--help"], clean_environment())
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80

    @pytest.mark.parametrize("arguments", [(), ("--days", "60", "--hourly-rate", "45", "--set-up-hours", "20")])
    def test_it_fits_80_columns_and_says_it_all(self, signoff: Signoff, arguments: tuple[str, ...]) -> None:
        done = signoff(*arguments)
        assert done.code == 0, done.err
        commands = [line for line in done.out.splitlines() if line.startswith("   signoff ")]
        assert max(len(line) for line in done.out.splitlines() if line not in commands) <= 80
        said = " ".join(done.out.split())
        for part in (
            "lead-triage",
            "went wrong",
            "(by hand 8.0%)",
            "What to improve next",
            "model calls cost $",
            "of $4.00",
        ):
            assert part in said
        assert ("Not counted" in said) == ("balance" in said) == bool(arguments)
        assert "\x1b" not in done.out

    def test_what_the_vendors_cache_held_is_told_where_it_held_anything(
        self, ledger: Ledger, in_process: Signoff
    ) -> None:
        books = Books(ledger)
        books.record(utcnow() - DAY)
        books.write()
        assert "900 tokens in, 120 out" in " ".join(in_process("report").out.split())
        with ledger.write() as session:
            session.execute(sa.update(ModelCall).values(cache_read_tokens=720, cache_write_tokens=90))
        said = " ".join(in_process("report").out.split())
        assert "900 tokens in (80% from the vendor's cache, 10% put into it), 120 out" in said
        every = in_process("report", "--json").json["workflows"]
        (found,) = (each for each in every if each["workflow"] == "lead-triage")
        assert (found["now"]["cache_read_tokens"], found["now"]["cache_write_tokens"]) == (720, 90)

    def test_only_the_workflow_that_is_named(self, signoff: Signoff) -> None:
        said = signoff("lead_triage").out
        assert "lead-triage" in said
        assert "support-answer" not in said

    def test_the_ledger_is_younger_than_what_was_asked_for(self, signoff: Signoff) -> None:
        said = " ".join(signoff("--days", "366").out.split())
        assert re.search(
            r"The ledger begins on \d\d \w+ 2\d+: this is about 13\d days, and nothing is extrapolated", said
        )

    def test_an_empty_ledger_says_so(self, empty: Signoff, tmp_path: Path) -> None:
        done = empty("--days", "60", "--html", str(tmp_path / "page.html"))
        assert done.code == 0
        assert "The ledger holds no record yet." in done.out
        assert "The ledger holds no record yet." in (tmp_path / "page.html").read_text()


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("nothing",), "there is no workflow nothing; there are"),
            (("--days", "0"), "a report is about 1 to 366 days, not 0"),
            (("--timezone", "Mars/Olympus"), "there is no time zone 'Mars/Olympus'; try UTC"),
            (("--review-seconds", "-1"), "--review-seconds is 0 or more, and less than 100,000: not -1.0"),
            (("--review-seconds", "nan"), "--review-seconds is 0 or more"),
            (("--hourly-rate", "much"), "--hourly-rate 'much' is no amount; write it as 45 or 45.50"),
            (("--hourly-rate", "NaN"), "--hourly-rate 'NaN' is no amount"),
            (("--set-up-hours", "1e9"), "--set-up-hours is 0 or more"),
            (("--html", "/nowhere/page.html"), "/nowhere/page.html cannot be written: No such file"),
        ],
    )
    def test_bad_input_is_named_with_the_way_out(self, empty: Signoff, arguments: tuple[str, ...], why: str) -> None:
        assert why in empty(*arguments).refused()


class TestPrograms:
    def test_the_figures_add_up(self, signoff: Signoff) -> None:
        found = signoff("--days", "60", "--json", "--hourly-rate", "45").json
        for name in ("came_in", "used", "forms", "calls"):
            assert found["total"][name] == sum(each["now"][name] for each in found["workflows"])
            for each in found["workflows"]:
                assert each["now"][name] == sum(day[name] for day in each["days"].values())
                assert each["now"][name] == sum(version[name] for version in each["versions"])
        triage = next(each for each in found["workflows"] if each["workflow"] == "lead-triage")
        minutes = triage["now"]["minutes"]
        assert minutes["saved"] == pytest.approx(minutes["by_hand"] - minutes["mended"] - minutes["review"])
        assert triage["card"]["minutes"] == 6
        assert [version["is_change"] for version in triage["versions"]] == [False, True, False]
        assert found["statement"]["worth"] is not None
        assert len(triage["days"]) == found["days"] == 60

    def test_a_week_is_no_statement(self, signoff: Signoff) -> None:
        assert signoff("--json").json["statement"] is None

    def test_every_command_that_is_advised_there_is(self, company: str) -> None:
        ledger = Ledger.open(company)
        found = roi.report(ledger, cards(), last_days(60, zone_of("UTC"), utcnow()))
        advised = [one.command for one in roi_advice.advise(found)]
        assert len({command.split()[1] for command in advised}) > 4
        for command in advised:
            program, *words = shlex.split(command)
            assert program == "signoff"
            app.parse_args(words, exit_on_error=False, print_error=False)


class Elements(HTMLParser):
    """Everything that a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture(scope="module")
def file(company: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the company's sixty days."""
    from deployments.report_page import page

    path = tmp_path_factory.mktemp("page") / "report.html"
    found = roi.report(
        Ledger.open(company), cards(), last_days(60, zone_of("UTC"), utcnow()), roi.Assumptions(set_up_hours=10)
    )
    path.write_text(page(found), encoding="utf-8")
    return path


class TestPage:
    def test_what_comes_from_outside_is_no_markup(self, file: Path) -> None:
        text = file.read_text()
        found = Elements(text)
        assert {"script", "img", "iframe", "link", "form"} & set(found.tags) == set()
        assert [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href")] == []
        assert "&lt;script&gt;alert(1)" in text

    def test_it_asks_the_network_for_nothing(self, file: Path) -> None:
        assert re.findall(r"url\(|@import|https?://|//cdn", file.read_text()) == []

    def test_each_chart_has_its_figures_as_a_table_and_a_name(self, file: Path) -> None:
        found = Elements(file.read_text())
        figures = found.tags.count("figure")
        assert figures > 8
        assert found.tags.count("svg") == 2 * figures
        assert sum(name == "aria-label" and bool(value) for name, value in found.attributes) == 2 * figures
        text = file.read_text()
        assert all("<table>" in part.split("</figure>")[0] for part in text.split("<figure>")[1:])

    def test_the_change_of_a_prompt_is_marked(self, file: Path) -> None:
        assert "now lead2" in file.read_text()

    def test_in_a_browser_at_two_widths_and_in_both_colours(self, file: Path, page: Page) -> None:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.on("console", lambda message: asked.append(message.text))
        grounds = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width, shown in ((380, "narrow"), (1280, "wide")):
                page.set_viewport_size({"width": width, "height": 900})
                page.goto(file.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") == width
                chart = page.locator(f"svg.{shown}").first
                assert chart.is_visible()
                box = chart.bounding_box()
                assert box
                assert 300 < box["width"] <= width
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        assert set(asked) == {file.as_uri()}


class TestCharts:
    """Where things stand."""

    @staticmethod
    def said(value: float) -> str:
        return f"{value:g}"

    def test_bars_stand_on_each_other_and_stay_inside(self) -> None:
        parts = [Series("a", "done", [3.0] * 60), Series("b", "open", [float(n) for n in range(60)])]
        for width in (340, 560):
            found = stacked(DAYS, parts, width=width, said=self.said)
            assert len(found.bars) == 119
            assert all(bar.x >= 0 and bar.x + bar.width <= width and bar.y >= 0 for bar in found.bars)
            first, *_, last = (bar for bar in found.bars if bar.look == "done")
            assert first.y + first.height == pytest.approx(found.bottom, abs=0.2)
            top = found.bars[-1]
            assert top.y + top.height == pytest.approx(last.y, abs=0.2)
            assert [label.text for label in found.values] == ["62"]
            assert 3 <= len(found.lines) <= 5

    def test_days_names_do_not_run_into_each_other(self) -> None:
        for width in (340, 560):
            names = stacked(DAYS, [Series("a", "done", [1.0] * 60)], width=width, said=self.said).days
            gaps = [second.x - first.x for first, second in pairwise(names)]
            assert min(gaps) > 6 * 6.6
            assert names

    def test_a_week_prints_every_value(self) -> None:
        found = stacked(DAYS[:7], [Series("a", "done", [1, 0, 3, 4, 5, 6, 7])], width=340, said=self.said)
        assert [label.text for label in found.values] == ["1", "3", "4", "5", "6", "7"]
        assert len(found.days) == 7

    def test_nothing_is_drawn_of_nothing(self) -> None:
        assert stacked(DAYS[:7], [Series("a", "done", [0.0] * 7)], width=340, said=self.said).bars == ()
        assert across([Row("a", 0.0, "0", "done")], width=340).bars[0].width == 0
        assert rising(DAYS[:7], [0.0] * 7, width=340, said=self.said).path

    def test_what_is_taken_away_begins_where_the_bar_above_ends(self) -> None:
        whole, taken, left = across(
            [Row("a", 10, "10", "x"), Row("b", -4, "-4", "x", 10), Row("c", 6, "6", "x")], width=340
        ).bars
        assert taken.x + taken.width == pytest.approx(whole.x + whole.width, abs=0.2)
        assert taken.x == pytest.approx(left.x + left.width, abs=0.2)

    def test_less_than_nothing_goes_to_the_left(self) -> None:
        gain, loss = across([Row("a", 10, "10", "x"), Row("b", -5, "-5", "x")], width=340).bars
        assert loss.x + loss.width == pytest.approx(gain.x, abs=0.2)
        low = rising(DAYS[:3], [-1.0, -3.0, 2.0], width=340, said=self.said)
        assert low.lines[0].text == "-3"

    @pytest.mark.parametrize(
        ("most", "whole", "top", "step"),
        [(0, True, 1, 1), (1, True, 1, 1), (3, True, 3, 1), (43, True, 60, 20), (0.017, False, 0.02, 0.005)],
    )
    def test_an_axis_has_round_numbers(self, most: float, whole: bool, top: float, step: float) -> None:
        assert scale(most, whole=whole) == pytest.approx((top, step))
