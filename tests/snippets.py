"""The documentation's snippets: found in its pages, held against the code, and run as a reader would.

What a fence means, its first line says:

- `sh`: commands, run in the page's order in a copy of the checkout. With `<!-- not run: REASON -->` on the line before
  it they are only parsed.
- `text`, directly after `sh`: what the commands printed; `...` stands for anything.
- any language with `title="path"`: stands in that file, line by line; a line `...` is a gap.
- `title="NEW path"`: the reader makes this file. `title="EDIT path"`: replaces what stands before `# becomes`.
- `python` without a title: is run by itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from cyclopts.exceptions import CycloptsError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError
from markdown_it import MarkdownIt

from tests.checkout import copied_to

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REASONS = ("your accounts", "stays until Ctrl-C", "takes minutes", "another machine")
NOT_RUN = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->")
TITLE = re.compile(r'\btitle="([^"]*)"')
HIDDEN = re.compile(r"^\s*```", re.MULTILINE)
BECOMES = "# becomes"
GAP = re.compile(r"^(#|//)?\s*\.\.\.$")
SUBSTITUTION = re.compile(r"\$\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)\)")
VARIABLE = re.compile(r"\$\{?\w+\}?")
COMPUTED = "1"
SECONDS, MARKS = 600, ("NEW", "EDIT")
MISTAKES_IN_PROSE = (UnknownCommandError, UnknownOptionError, UnusedCliTokensError)
"""What a command in the middle of a sentence must not be; there it may lack its arguments."""

QUICK = frozenset({"help", "check", "layers"})
"""What a page may make where it is run; all else takes minutes, or would run the tests that run the page."""
WITHOUT_STACK = frozenset({"new", "try", "extract", "--help", "--version"})
"""Commands that need no server. A page with others has the stack up."""
COPIED = (
    *("blocks", "deployments", "docs", "flows", "prompts", "sandbox", "tasks", "tests", "benchmarks", ".ci"),
    *("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "mkdocs.yml", "prefect.yaml", "pyproject.toml", ".gitignore"),
    *("requirements.lock", "requirements-audit.lock"),
)
"""What a checkout holds, and no state of anybody's."""


class SnippetError(AssertionError):
    """A snippet says what is not so; the message begins with page and line."""


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page."""

    page: Path
    line: int
    """Of its first line of text."""
    language: str
    title: str
    text: str
    not_run: str | None
    """The reason for which it is not run; None where it is."""
    follows: bool
    """It stands directly after the fence before it."""

    @property
    def mark(self) -> str:
        """`NEW` or `EDIT`, where the title has one."""
        first = self.title.partition(" ")[0]
        return first if first in MARKS else ""

    @property
    def path(self) -> str:
        """The file that the title names; empty without one."""
        return self.title.removeprefix(self.mark).strip()

    @property
    def runs(self) -> bool:
        """It holds commands that are run."""
        return self.language == "sh" and self.not_run is None

    def at(self, offset: int = 0) -> str:
        """`docs/index.md:12`."""
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name
        return f"{page}:{self.line + offset}"


def fences(page: Path) -> list[Fence]:
    """Every fenced block of a page, in its order; those within a note or a tab, too."""
    return list(_fences(page, page.read_text(encoding="utf-8"), 1))


def _fences(page: Path, text: str, first: int) -> Iterator[Fence]:
    reason: str | None = None
    after: Fence | None = None
    for token in MarkdownIt("commonmark").parse(text):
        at = first + (token.map[0] if token.map else 0)
        if token.type == "html_block":
            found = NOT_RUN.search(token.content)
            reason, after = found[1] if found else None, None
        elif token.type == "code_block" and HIDDEN.search(token.content):  # an admonition's or a tab's inside
            yield from _fences(page, token.content, at)
            reason, after = None, None
        elif token.type == "fence":
            language, _, rest = token.info.strip().partition(" ")
            title = TITLE.search(rest)
            made = Fence(page, at + 1, language, title[1] if title else "", token.content, reason, after is not None)
            yield made
            reason, after = None, made
        elif token.nesting >= 0:
            reason, after = None, None


def said_in_prose(page: Path) -> Iterator[tuple[int, str]]:
    """Each inline code of a page, with its line."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline":
                yield (token.map or [0])[0] + 1, " ".join(child.content.split())


# Held against the code


def problems(page: Path) -> list[str]:
    """All that is wrong on a page and shows without running anything."""
    made: set[str] = set()
    found: list[str] = []
    for fence in fences(page):
        try:
            _look_at(fence, made)
        except SnippetError as error:
            found.append(str(error))
        if fence.mark == "NEW":
            made.add(fence.path)
    where = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name
    for line, text in said_in_prose(page):
        if reason := _mistake(text, MISTAKES_IN_PROSE):
            found.append(f"{where}:{line}: `{text}`: {reason}")
    return found


def _look_at(fence: Fence, made: set[str]) -> None:
    if fence.language in ("bash", "shell", "console", "shell-session", "zsh"):
        raise SnippetError(f"{fence.at()}: {fence.language} is not run: commands stand in ```sh")
    if fence.not_run is not None and fence.not_run not in REASONS:
        raise SnippetError(f"{fence.at()}: '{fence.not_run}' is no reason; there are {', '.join(REASONS)}")
    if fence.language == "sh" and not fence.title:
        for offset, line in commands(fence.text):
            if reason := _mistake(line, (CycloptsError,)) or (fence.runs and _takes_too_long(line)):
                raise SnippetError(f"{fence.at(offset)}: {line}: {reason}")
    if fence.title and not fence.mark and fence.path not in made:
        verbatim(fence, ROOT)
    if fence.mark == "EDIT":
        _halves(fence)
    if not fence.title:
        _parses(fence)


def _parses(fence: Fence) -> None:
    """Whether YAML, JSON and TOML without a title are such at all. Python without one is run."""
    readers: Mapping[str, Callable[[str], object]] = {
        "yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads,
    }  # fmt: skip
    if read := readers.get(fence.language):
        try:
            read(fence.text)
        except yaml.composer.ComposerError:  # a piece of a file may name what stands elsewhere in it
            return
        except (yaml.YAMLError, ValueError) as error:
            raise SnippetError(f"{fence.at()}: no {fence.language}: {error}") from None


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Each command line with its place, those that go on over several lines as one."""
    whole, begins = "", 0
    for number, line in enumerate(text.splitlines()):
        begins = begins if whole else number
        whole = f"{whole}\n{line}" if whole else line
        if whole.endswith("\\"):
            whole = whole[:-1].rstrip() + " "
            continue
        if _words(whole) is None:  # a quotation that is still open
            continue
        if whole.strip() and not whole.strip().startswith("#"):
            yield begins, whole.strip()
        whole = ""
    if whole.strip():
        yield begins, whole.strip()


def _words(line: str) -> list[str] | None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return None


def _simple(line: str) -> Iterator[list[str]]:
    """The commands of a line without what redirects or joins them; where a value is computed, a 1 stands for it."""
    while found := SUBSTITUTION.search(line):
        yield from _simple(found[1])
        line = f"{line[: found.start()]}{COMPUTED}{line[found.end() :]}"
    line = VARIABLE.sub(COMPUTED, line)
    words: list[str] = []
    skip = False
    for word in _words(line) or ():
        if word and set(word) <= set("();|&"):
            yield words
            words = []
        elif word and set(word) <= set("<>&"):
            skip = True
        elif skip:
            skip = False
        else:
            words.append(word)
    yield words


def _mistake(line: str, errors: tuple[type[CycloptsError], ...]) -> str:
    """Why a command line of ours cannot be; empty where it can, or is nobody's of ours."""
    for words in _simple(line):
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
            words = words[1:]
        if not words:
            continue
        name, arguments = words[0].rpartition("/")[2], words[1:]
        if name == "signoff" and (reason := _refused(tuple(arguments), errors)):
            return reason
        if name == "make":
            targets = [each for each in arguments if "=" not in each and not each.startswith("-")]
            if unknown := sorted(set(targets) - make_targets()):
                return f"the Makefile has no target {', '.join(unknown)}"
    return ""


def _takes_too_long(line: str) -> str:
    made = {target for words in _simple(line) if words[:1] == ["make"] for target in words[1:]}
    slow = ", ".join(sorted(made - QUICK))
    return f"make {slow} is not run here: say so with <!-- not run: takes minutes -->" if slow else ""


def _refused(arguments: Sequence[str], errors: tuple[type[CycloptsError], ...]) -> str:
    from deployments.cli import app

    if any("..." in each or each.startswith("<") for each in arguments) and CycloptsError not in errors:
        arguments = [each for each in arguments if "..." not in each and not each.startswith("<")]
    try:
        app.parse_args(list(arguments), exit_on_error=False, print_error=False)
    except errors as error:
        return " ".join(str(error).split())
    except CycloptsError:
        return ""
    return ""


@cache
def make_targets() -> frozenset[str]:
    """What there is to make."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def verbatim(fence: Fence, root: Path) -> None:
    """Whether a file holds what a fence shows of it: each part in one piece, one after the other.

    Raises:
        SnippetError: it does not, or there is no such file.
    """
    file = root / fence.path
    if not file.is_file():
        raise SnippetError(f"{fence.at()}: there is no file {fence.path}")
    lines = _significant(file.read_text(encoding="utf-8"))
    begin = 0
    for part in _parts(fence.text):
        place = next((n for n in range(begin, len(lines) - len(part) + 1) if lines[n : n + len(part)] == part), None)
        if place is None:
            raise SnippetError(f"{fence.at()}: {fence.path} does not hold{_nearest(part, lines[begin:])}")
        begin = place + len(part)


def _significant(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _parts(text: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in _significant(text):
        if GAP.match(line):
            parts.append([])
        else:
            parts[-1].append(line)
    return [part for part in parts if part]


def _nearest(part: Sequence[str], lines: Sequence[str]) -> str:
    """The line of a part from which on the file says something else."""
    held = set(lines)
    odd = next((line for line in part if line not in held), None)
    return f" this line (after what stands before it): {odd}" if odd else f" these lines in one piece: {part[0]} ..."


def _halves(fence: Fence) -> tuple[str, str]:
    lines = fence.text.splitlines()
    at = [number for number, line in enumerate(lines) if line.strip() == BECOMES]
    if len(at) != 1:
        raise SnippetError(f"{fence.at()}: a change has one line `{BECOMES}` between the old and the new text")
    return "\n".join(lines[: at[0]]).strip("\n"), "\n".join(lines[at[0] + 1 :]).strip("\n")


# Run


def needs_stack(page: Path) -> bool:
    """Whether a page has commands that ask a server, and that are run."""
    for fence in fences(page):
        if fence.runs:
            for _, line in commands(fence.text):
                for words in _simple(line):
                    ours = words and words[0].rpartition("/")[2] in ("signoff", "prefect")
                    if ours and not (WITHOUT_STACK & set(words[1:2]) or "--help" in words or "--offline" in words):
                        return True
    return False


def has_something_to_run(page: Path) -> bool:
    """Whether there is anything on a page that is run."""
    return any(fence.runs or fence.mark or _is_program(fence) for fence in fences(page))


def _is_program(fence: Fence) -> bool:
    return fence.language == "python" and not fence.title and fence.not_run is None


def copy_checkout(to: Path) -> Path:
    """A checkout without state, with this one's environment."""
    copied_to(to, COPIED)
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(to / name, (0, 0))  # older than the environment, which `make` would else bring up to date
    (to / ".venv").symlink_to(Path(sys.prefix))
    return to


class Reader:
    """Somebody who does what a page says, from its first line to its last."""

    def __init__(self, checkout: Path, environment: Mapping[str, str], seconds: float = SECONDS) -> None:
        """Begin in `checkout`, a copy that nobody else uses; `seconds` is the most that one fence may take."""
        self.checkout, self._seconds = checkout, seconds
        self._state = checkout / ".signoff" / "reader"
        self._state.mkdir(parents=True, exist_ok=True)
        home = self._state / "home"
        home.mkdir(exist_ok=True)
        path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        own = {"PATH": path, "PYTHONPATH": str(checkout), "HOME": str(home), "COLUMNS": "80", "NO_COLOR": "1"}
        self._environment = {"SIGNOFF_HOME": str(checkout / ".signoff"), **environment, **own, "TERM": "dumb"}
        self._environment.pop("SIGNOFF_ROOT", None)
        self._printed = ""

    def follow(self, page: Path) -> None:
        """Do all that a page says.

        Raises:
            SnippetError: a command fails, prints something else, or a file is not as the page shows it.
        """
        before: Fence | None = None
        for fence in fences(page):
            if fence.runs:
                self._printed = self._run(fence)
            elif fence.language == "text" and fence.follows and before is not None and before.runs:
                printed(fence, self._printed)
            elif fence.mark == "NEW":
                self._write(fence)
            elif fence.mark == "EDIT":
                self._change(fence)
            elif fence.title:
                verbatim(fence, self.checkout)
            elif _is_program(fence):
                self._program(fence)
            before = fence

    def _write(self, fence: Fence) -> None:
        path = self.checkout / fence.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fence.text, encoding="utf-8")

    def _change(self, fence: Fence) -> None:
        old, new = _halves(fence)
        path = self.checkout / fence.path
        if not path.is_file():
            raise SnippetError(f"{fence.at()}: there is no file {fence.path}")
        text = path.read_text(encoding="utf-8")
        if (times := text.count(old)) != 1:
            raise SnippetError(f"{fence.at()}: {fence.path} holds the old text {times} times, not once:\n{old}")
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _program(self, fence: Fence) -> None:
        code, out = self._started([sys.executable, "-c", fence.text], fence)
        if code:
            raise SnippetError(f"{fence.at()}: it ends with {code}:\n{out}")

    def _run(self, fence: Fence) -> str:
        """Run a fence's commands where those before it left off: in their folder, with what they exported."""
        script, failed = self._state / "commands.sh", self._state / "failed"
        script.write_text(fence.text, encoding="utf-8")
        failed.unlink(missing_ok=True)
        around = (
            "set -eEo pipefail; "
            f"trap 'echo $LINENO >{shlex.quote(str(failed))}' ERR; "
            f"cd {shlex.quote(str(self.checkout))}; "
            f"test ! -e {self._state}/exports || . {self._state}/exports; "
            f'test ! -e {self._state}/folder || cd "$(cat {self._state}/folder)"; '
            f". {shlex.quote(str(script))}; "
            f"export -p >{self._state}/exports; pwd >{self._state}/folder"
        )
        code, out = self._started(["bash", "-c", around], fence)
        if code:
            offset = int(failed.read_text()) - 1 if failed.exists() else 0
            line = (fence.text.splitlines() or [""])[min(offset, len(fence.text.splitlines()) - 1)]
            raise SnippetError(f"{fence.at(offset)}: `{line}` ends with {code}:\n{out}")
        return out

    def _started(self, command: Sequence[str], fence: Fence) -> tuple[int, str]:
        log = self._state / "printed"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.checkout,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                said = log.read_text(encoding="utf-8", errors="replace")
                raise SnippetError(f"{fence.at()}: not done within {self._seconds:g} s:\n{said}") from None
            finally:
                if process.poll() is None:  # whatever ended the wait, the test's own limit or Ctrl-C
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return code, log.read_text(encoding="utf-8", errors="replace")


def printed(fence: Fence, out: str) -> None:
    """Whether commands have printed the lines of a fence, in their order; `...` in a line stands for anything.

    Raises:
        SnippetError: a line is missing.
    """
    lines = iter(_significant(out))
    for offset, line in enumerate(fence.text.splitlines()):
        wanted = " ".join(line.split())
        if not wanted or GAP.match(wanted):
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("...")))
        if not any(map(pattern.fullmatch, lines)):
            raise SnippetError(f"{fence.at(offset)}: not printed (there, or at all): {line}\nbut:\n{out}")
