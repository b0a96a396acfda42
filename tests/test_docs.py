"""The documentation: it builds without a warning, asks nobody's server for anything, and says what the code says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.check import HELPERS
from docs._build.alert_keys import alert_keys
from docs._build.names import PAGES
from docs._build.pages import settings
from tests import snippets
from tests.snippets import DOCS, ROOT, Reader, SnippetError, fences, needs_stack, problems

SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
FLOWS = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
GENERATED = "reference/"
README = ROOT / "README.md"
NAME = re.compile(r"\bSIGNOFF_[A-Z][A-Z_]*[A-Z]\b")
OF_AN_ACCOUNT = re.compile(r"SIGNOFF_(GMAIL|HUBSPOT|STRIPE|NOTION|DRIVE|SLACK|CLAUDE)_\w+")


def in_nav(entries: list[Any]) -> list[str]:
    """The files that a part of the navigation names."""
    found: list[str] = []
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += in_nav(value) if isinstance(value, list) else [value]
    return found


WRITTEN = [DOCS / name for name in in_nav(SITE["nav"]) if not name.startswith(GENERATED)]
EVERY = [README, *WRITTEN]
every_page = pytest.mark.parametrize("page", EVERY, ids=lambda page: str(page.relative_to(ROOT)))


# The pages


@every_page
def test_what_a_page_shows_is_what_the_code_says(page: Path) -> None:
    assert problems(page) == []


def test_every_page_is_in_the_navigation() -> None:
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert there == {name for name in in_nav(SITE["nav"]) if not name.startswith(GENERATED)}


@pytest.mark.parametrize("flow", FLOWS)
def test_every_workflow_has_its_page(flow: str) -> None:
    name = flow.replace("_", "-")
    page = DOCS / "workflows" / f"{'helpers' if flow in HELPERS else name}.md"
    assert page.is_file()
    assert flow not in HELPERS or re.search(rf"^#+ .*{name}", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_kind_of_alert_has_a_heading_that_says_what_to_do() -> None:
    text = (DOCS / "how-to" / "alerts.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#{2,4} .*?`([^`]+)`", text, re.MULTILINE))
    keys = {key.text for key in alert_keys()}
    assert len(keys) > 30
    assert keys - headings == set()


def test_no_heading_tells_of_an_alert_that_the_code_never_opens() -> None:
    text = (DOCS / "how-to" / "alerts.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#{2,4} `([^`]+)`", text, re.MULTILINE))
    keys = {key.text for key in alert_keys()}
    checks = {key.partition(":")[0] for key in keys}
    assert headings - keys - checks == set()


# The settings


def named_in(*folders: str) -> set[str]:
    """Every environment variable of ours that files of these folders name."""
    found: set[str] = set()
    for folder in folders:
        place = ROOT / folder
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix not in (".pyc", ".db", ".png") and path.is_file():
                found |= set(NAME.findall(path.read_text(encoding="utf-8", errors="ignore")))
    return {name for name in found if not OF_AN_ACCOUNT.fullmatch(name)}


def test_every_environment_variable_is_among_the_settings_and_no_other() -> None:
    told = {each.name for each in (*settings.SETTINGS, *settings.CONTAINERS, *settings.OURS, *settings.TESTS)}
    code = named_in("blocks", "tasks", "flows", "deployments", "prompts", "sandbox", "prefect.yaml")
    prefects = {"PREFECT_API_URL", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "PREFECT_UI_URL"}
    assert told - prefects == code | named_in("tests", "benchmarks", ".ci")
    assert {each.name for each in settings.TESTS} & code == set()


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    if find_spec("material") is None:
        pytest.fail("mkdocs-material is not installed: make install")
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(made)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_PROXY": "*", "HTTPS_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return made


FOREIGN = re.compile(r"(https?:)?//")
BY_ITSELF = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


class Asked(HTMLParser):
    """Every address that a page asks for by itself, when it is opened; where a link leads is the reader's to decide."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        wanted = BY_ITSELF.get(tag)
        self.addresses += [value for name, value in attrs if name == wanted and value]
        self.addresses += re.findall(r"url\(([^)]*)\)", dict(attrs).get("style") or "")


def test_the_site_builds_without_a_warning_and_holds_every_page(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert built - {"404.md"} == set(in_nav(SITE["nav"]))
    assert not (site / "_build").exists()


def test_no_page_asks_another_server_for_anything(site: Path) -> None:
    for path in site.rglob("*.html"):
        asked = Asked()
        asked.feed(path.read_text(encoding="utf-8"))
        assert asked.addresses
        assert [each for each in asked.addresses if FOREIGN.match(each)] == [], path.name
    for path in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)]*", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/x.css">',
        '<img alt="" src="http://pictures.example/x.png"/>',
        '<p style="background: url(https://pictures.example/x.png)">',
    ],
)
def test_what_a_page_asks_for_is_seen(text: str) -> None:
    asked = Asked()
    asked.feed(text + '<a href="https://www.prefect.io">a link</a><script src="../assets/x.js"></script>')
    assert [each for each in asked.addresses if FOREIGN.match(each)] == [asked.addresses[0]]


def test_nothing_draws_what_a_browser_would_fetch_a_script_for(site: Path) -> None:
    # The theme fetches mermaid from elsewhere as soon as a page has a diagram of it.
    assert [path.name for path in site.rglob("*.html") if 'class="mermaid"' in path.read_text(encoding="utf-8")] == []


def test_the_reference_is_the_same_each_time() -> None:
    code = "import json; from tests.test_docs import reference; print(json.dumps(reference()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == reference()  # each process puts sets in an order of its own


def reference() -> dict[str, str]:
    """All of the reference, by page."""
    return {name: import_module(f"docs._build.pages.{name}").page() for name in PAGES}


def test_the_search_finds_commands_and_fields(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "approvals approve" in index
    assert "usd_per_month" in index


# What holds the pages to the code


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a page."""

    def made(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return made


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Somebody in a folder with one file."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "notes.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    return Reader(tmp_path / "checkout", {"PATH": os.environ["PATH"]}, seconds=20)


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```\n"


class TestLookedAt:
    @pytest.mark.parametrize(
        ("language", "text", "said"),
        [
            ("sh", "signoff approvals list --jsn", "--jsn"),
            ("sh", "signoff aprovals list", "aprovals"),
            ("sh", "signoff approvals show four", "four"),
            ("sh", "echo hello\nX=1 .venv/bin/signoff eval && true", "page.md:3"),
            ("sh", "signoff approvals approve \\\n  $(signoff approvals lst --json)", "lst"),
            ("sh", "make coffee", "coffee"),
            ("sh", "make test", "not run here"),
            ("bash", "ls", "```sh"),
            ('python title="tasks/nowhere.py"', "x", "no file tasks/nowhere.py"),
            ('python title="tasks/card.py"', "class Card(_Part):\n    nonsense: int", "nonsense: int"),
            ('python title="tasks/card.py"', "class Card(_Part):\n...\nclass Stage(StrEnum):", "class Stage"),
            ('python title="EDIT tasks/card.py"', "x = 1", "becomes"),
            ("yaml", "a: [", "no yaml"),
            ("json", "{", "no json"),
        ],
    )
    def test_what_is_wrong_is_found(self, write: Callable[[str], Path], language: str, text: str, said: str) -> None:
        assert said in "\n".join(problems(write(fenced(language, text))))

    @pytest.mark.parametrize(
        ("language", "text"),
        [
            ("sh", 'signoff approvals approve 4 --comment "as is" --yes  # the first'),
            ("sh", "signoff approvals list --json | head -1 > list.json; signoff check --offline || true"),
            ("sh", "signoff approvals approve $(signoff approvals list --json) --yes"),
            ("sh", "signoff approvals show $NUMBER"),
            ("sh", "make check\nls -l"),
            ('python title="tasks/card.py"', "class Stage(StrEnum):\n...\nclass Card(_Part):"),
            ("yaml", "work_pool: *pool"),
            ("text", "anything at all"),
            ("", "a drawing"),
        ],
    )
    def test_what_is_right_is_let_through(self, write: Callable[[str], Path], language: str, text: str) -> None:
        assert problems(write(fenced(language, text))) == []

    def test_what_is_not_run_is_parsed_all_the_same(self, write: Callable[[str], Path]) -> None:
        page = write("<!-- not run: your accounts -->\n" + fenced("sh", "signoff stage --maybe"))
        assert "--maybe" in problems(page)[0]
        assert not fences(page)[0].runs

    def test_only_known_reasons_keep_a_fence_from_being_run(self, write: Callable[[str], Path]) -> None:
        assert "no reason" in problems(write("<!-- not run: it fails -->\n" + fenced("sh", "ls")))[0]

    def test_the_reason_holds_for_the_next_fence_alone(self, write: Callable[[str], Path]) -> None:
        page = write("<!-- not run: your accounts -->\n" + fenced("sh", "ls") + "\n" + fenced("sh", "ls"))
        assert [fence.runs for fence in fences(page)] == [False, True]

    def test_a_fence_within_a_note_or_a_list_is_seen(self, write: Callable[[str], Path]) -> None:
        note = "!!! note\n\n    Do this:\n\n    ```sh\n    make coffee\n    ```\n"
        assert problems(write(note)) == ["page.md:6: make coffee: the Makefile has no target coffee"]
        assert "coffee" in problems(write("1. Do this:\n\n    ```sh\n    make coffee\n    ```\n"))[0]

    def test_commands_in_a_sentence_may_lack_their_arguments_but_must_exist(self, write: Callable[[str], Path]) -> None:
        assert problems(write("Use `signoff approvals show NUMBER`, or `signoff eval`.\n")) == []
        assert "frobnicate" in problems(write("Use `signoff frobnicate`.\n"))[0]
        assert "page.md:3" in problems(write("One.\n\nUse `signoff eval --fast`.\n"))[0]

    def test_a_file_that_the_page_makes_need_not_be_there(self, write: Callable[[str], Path]) -> None:
        made = fenced('python title="NEW flows/mine.py"', "X = 1") + fenced('python title="flows/mine.py"', "X = 1")
        assert problems(write(made)) == []

    def test_only_pages_that_ask_a_server_need_the_stack(self, write: Callable[[str], Path]) -> None:
        assert needs_stack(write(fenced("sh", "signoff ledger show")))
        assert not needs_stack(write("<!-- not run: your accounts -->\n" + fenced("sh", "signoff ledger show")))
        assert not needs_stack(write(fenced("sh", "signoff ledger show --help\nsignoff extract notes.txt\nls")))


class TestFollowed:
    def test_output_is_as_shown(self, write: Callable[[str], Path], reader: Reader) -> None:
        shown = fenced("text", "one\n...\nth...e")
        reader.follow(write(fenced("sh", "cat notes.txt") + shown))

    @pytest.mark.parametrize("shown", ["four", "two\none", "one two", "tw"])
    def test_other_output_is_found(self, write: Callable[[str], Path], reader: Reader, shown: str) -> None:
        with pytest.raises(SnippetError, match=r"page.md:\d+: not printed"):
            reader.follow(write(fenced("sh", "cat notes.txt") + fenced("text", shown)))

    def test_a_command_that_fails_is_named_with_its_line_and_output(
        self, write: Callable[[str], Path], reader: Reader
    ) -> None:
        with pytest.raises(SnippetError, match=r"page.md:5: `cat nowhere.txt` ends with 1:\n(.|\n)*No such file"):
            reader.follow(write("# Page\n\n```sh\ntrue\ncat nowhere.txt\ntrue\n```\n"))

    def test_a_failure_within_a_pipe_counts(self, write: Callable[[str], Path], reader: Reader) -> None:
        with pytest.raises(SnippetError):
            reader.follow(write(fenced("sh", "cat nowhere.txt | head -1")))

    def test_what_does_not_end_is_ended(self, write: Callable[[str], Path], tmp_path: Path) -> None:
        (tmp_path / "checkout").mkdir()
        short = Reader(tmp_path / "checkout", {"PATH": os.environ["PATH"]}, seconds=1)
        with pytest.raises(SnippetError, match=r"not done within 1 s:\nbegun"):
            short.follow(write(fenced("sh", "echo begun\nsleep 60")))

    def test_folder_and_variables_carry_over(self, write: Callable[[str], Path], reader: Reader) -> None:
        first = fenced("sh", "mkdir sub && cd sub\nexport WHO='the reader'")
        reader.follow(
            write(
                first + "\nThen:\n\n" + fenced("sh", 'basename "$PWD"; echo "$WHO"') + fenced("text", "sub\nthe reader")
            )
        )

    def test_files_are_made_and_changed(self, write: Callable[[str], Path], reader: Reader) -> None:
        page = write(
            fenced('python title="NEW a/b.py"', "X = 1\nprint(X)")
            + fenced('python title="EDIT a/b.py"', "X = 1\n# becomes\nX = 2")
            + fenced("sh", "python a/b.py")
            + fenced("text", "2")
            + fenced('python title="a/b.py"', "X = 2")
        )
        reader.follow(page)

    @pytest.mark.parametrize("old", ["four", "e"])
    def test_a_change_must_fit_once(self, write: Callable[[str], Path], reader: Reader, old: str) -> None:
        with pytest.raises(SnippetError, match=r"holds the old text \d times"):
            reader.follow(write(fenced('text title="EDIT notes.txt"', f"{old}\n# becomes\nfive")))

    def test_programs_are_run(self, write: Callable[[str], Path], reader: Reader) -> None:
        reader.follow(write(fenced("python", "from pathlib import Path\nassert Path('notes.txt').exists()")))
        with pytest.raises(SnippetError, match="ModuleNotFoundError"):
            reader.follow(write(fenced("python", "import nowhere_at_all")))

    def test_a_file_that_has_changed_since_it_was_shown_is_found(
        self, write: Callable[[str], Path], reader: Reader
    ) -> None:
        shown = fenced('text title="notes.txt"', "two\nthree")
        reader.follow(write(shown))
        (reader.checkout / "notes.txt").write_text("two\nand a half\nthree\n", encoding="utf-8")
        with pytest.raises(SnippetError, match="does not hold"):
            reader.follow(write(shown))

    def test_what_is_not_run_is_not(self, write: Callable[[str], Path], reader: Reader) -> None:
        reader.follow(
            write("<!-- not run: takes minutes -->\n" + fenced("sh", "touch made") + fenced("text", "anything"))
        )
        assert not (reader.checkout / "made").exists()

    def test_a_copy_of_the_checkout_runs_by_itself(self, write: Callable[[str], Path], tmp_path: Path) -> None:
        copy = snippets.copy_checkout(tmp_path / "copy")
        shows = "from deployments.running import ROOT; print(ROOT)"
        page = write(
            fenced("sh", f'python -c "{shows}"\nmake help\ntest ! -e .git') + fenced("text", f"{copy}\ncheck ...")
        )
        Reader(copy, {"PATH": os.environ["PATH"]}, seconds=60).follow(page)
