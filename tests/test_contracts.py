"""What every flow, action, prompt, block and deployment must have. A new one is judged here with no new test."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from prefect.blocks.core import Block
from prefect.flows import load_flow_from_entrypoint
from pydantic import BaseModel, SecretStr, create_model

import prompts
from blocks.connections import BLOCKS, ROWS, block_class
from deployments.check import HELPERS, look_at, unknown_fields
from deployments.stack import POOL
from tasks.actions import KINDS, Action, Impact
from tasks.card import Card, Stage
from tasks.output import allowed_entry
from tasks.performers import PERFORMERS

ROOT = Path(__file__).parents[1]
FLOWS = sorted(path for path in (ROOT / "flows").glob("*.py") if path.name != "__init__.py")
PROMPTS = sorted(path.parent.name for path in (ROOT / "prompts").glob("*/prompt.md"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PREFECT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = PREFECT["deployments"]
VENDORS_SDK = {
    "gmail": ("googleapiclient", "google.auth"),
    "hubspot": ("hubspot",),
    "slack": ("slack_sdk",),
    "claude": ("anthropic",),
    "drive": ("googleapiclient", "google.auth"),
    "stripe": ("stripe",),
    "notion": ("notion_client",),
}
"""What importing a block's module must not import, by block; any other block must at least not import these."""

REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|npmmirror|anaconda\.org|--(extra-)?index-url[ =]+\S*://|"
    r"(artifactory|nexus|devpi)[.-]\S+\.\w+/|/simple/?(\s|$)",
)
KEYS = re.compile(
    r"sk-ant-(?:api|admin)\d\d-[\w-]{40,}|sk-(?:proj-)?[A-Za-z0-9]{40,}|sk_live_[A-Za-z0-9]{16,}|rk_live_[A-Za-z0-9]{16,}|"
    r"AIza[\w-]{35}|ya29\.[\w-]{40,}|1//0[\w-]{40,}|GOCSPX-[\w-]{28}|pat-(?:na|eu)\d-[0-9a-f]{8}-[0-9a-f-]{27}|"
    r"xox[abprs]-\d{10,}-\d{10,}-\w{20,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,}|AKIA[0-9A-Z]{16}|"
    r"ntn_[A-Za-z0-9]{40,}|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
"""The forms in which Anthropic, OpenAI, Stripe, Google, HubSpot, Slack, Notion, GitHub and AWS hand out secrets."""

flow_file = pytest.mark.parametrize("path", FLOWS, ids=lambda p: p.stem)
workflow_file = pytest.mark.parametrize("path", [p for p in FLOWS if p.stem not in HELPERS], ids=lambda p: p.stem)
OURS = ROWS.split("/")[0]
"""Where rows go: the ledger's own database, which needs no credential."""
action_kind = pytest.mark.parametrize("kind", sorted(KINDS))
prompt_folder = pytest.mark.parametrize("name", PROMPTS)
block_slug = pytest.mark.parametrize("slug", sorted(BLOCKS))
deployment = pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda d: d.get("name", "?"))


def card_of(path: Path) -> Card:
    card = importlib.import_module(f"flows.{path.stem}").CARD
    assert isinstance(card, Card)
    return card


def each_by_itself(code: str, arguments: Sequence[str]) -> list[str]:
    """What the code prints for each argument, or what it fails with, each in a process that has done nothing else.

    They are forks of one that has imported Prefect and what else takes most of the time, but nothing of ours.
    """
    mother = f"""
import io, os, sys, traceback
from contextlib import redirect_stdout
import inscriptis, jinja2, prefect.blocks.core, prefect.flows, sqlalchemy.dialects.postgresql, sqlalchemy.orm

def said():
    with redirect_stdout(io.StringIO()) as out:
        try:
            exec({textwrap.dedent(code)!r}, {{"sys": sys}})
        except BaseException:
            return traceback.format_exc()
    return out.getvalue()

for argument in sys.argv[1:]:
    if (child := os.fork()) == 0:
        sys.argv[1:] = [argument]
        print(repr(said().strip()), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", mother, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ast.literal_eval(line) for line in done.stdout.splitlines()]


class TestFlows:
    @flow_file
    def test_signoff_check_finds_nothing(self, path: Path) -> None:
        assert look_at(path, DEPLOYMENTS).problems == []

    @flow_file
    def test_one_name_everywhere(self, path: Path) -> None:
        function: Any = load_flow_from_entrypoint(f"{path}:{path.stem}")
        dashed = path.stem.replace("_", "-")
        assert function.name == dashed
        assert function.fn.__name__ == path.stem
        assert dashed in {entry["name"] for entry in DEPLOYMENTS}

    def test_each_loads_by_path_as_prefect_does(self) -> None:
        code = """
            from prefect.flows import load_flow_from_entrypoint
            from prefect.settings import get_current_settings
            print(load_flow_from_entrypoint(sys.argv[1]).name)
            print(get_current_settings().flows.heartbeat_frequency)
        """
        loaded = each_by_itself(code, [f"flows/{path.name}:{path.stem}" for path in FLOWS])
        ends_at_once = "None"  # no thread of Prefect's heartbeats to wait for (tasks/heartbeats.py)
        assert loaded == [f"{path.stem.replace('_', '-')}\n{ends_at_once}" for path in FLOWS]

    @flow_file
    def test_says_what_it_does(self, path: Path) -> None:
        function: Any = load_flow_from_entrypoint(f"{path}:{path.stem}")
        assert function.description, "the docstring is what the Prefect UI shows"
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    def test_no_name_hides_an_importable_module(self) -> None:
        # Prefect puts flows/ on the import path; looked up where flows/ is not on it.
        code = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
        command = [sys.executable, "-P", "-c", code, *(path.stem for path in FLOWS)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    @flow_file
    def test_holds_no_mutable_state(self, path: Path) -> None:
        assert list(mutable_state(ast.parse(path.read_text(encoding="utf-8")))) == []

    @workflow_file
    def test_card_names_an_existing_prompt_and_its_own_workflow(self, path: Path) -> None:
        card = card_of(path)
        assert card.workflow == path.stem.replace("_", "-")
        assert card.prompt in PROMPTS

    @workflow_file
    def test_every_kind_on_the_card_exists_and_can_be_performed(self, path: Path) -> None:
        for line in card_of(path).writes:
            assert line.kind in KINDS
            assert line.kind in PERFORMERS

    @workflow_file
    def test_every_credential_is_of_a_known_block_and_fits_the_vendor(self, path: Path) -> None:
        card = card_of(path)
        named = {x.credential for x in card.reads} | {x.credential for x in card.writes} | {card.model}
        assert {name.split("/")[0] for name in named} <= {*BLOCKS, OURS}
        for line in card.writes:
            assert line.credential.split("/")[0] == line.kind.split(".")[0]

    @workflow_file
    def test_what_its_texts_may_always_hold_is_the_companys_own(self, path: Path) -> None:
        for entry in card_of(path).allowed:
            assert allowed_entry(entry) == entry

    @workflow_file
    def test_names_the_fields_that_it_reads(self, path: Path) -> None:
        card = card_of(path)
        assert all(line.fields and len(set(line.fields)) == len(line.fields) for line in card.reads)
        assert list(unknown_fields(card)) == []

    @workflow_file
    def test_high_impact_is_never_left_to_the_workflow(self, path: Path) -> None:
        card = card_of(path)
        assert all(line.approval for line in card.writes if KINDS[line.kind].impact is Impact.HIGH)
        assert card.stage in Stage

    def test_there_are_flows_at_all(self) -> None:
        assert {path.stem for path in FLOWS} > HELPERS


def mutable_state(tree: ast.Module) -> Iterator[str]:
    """Module-level names that hold a list, dict or set, or that a function rebinds with `global`."""
    makers = {"list", "dict", "set", "defaultdict", "Counter", "deque", "OrderedDict"}
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    for node in tree.body:
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        called = value.func if isinstance(value, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", None)
        constant = isinstance(value, ast.Dict) and isinstance(node, (ast.Assign, ast.AnnAssign)) and is_constant(node)
        if (isinstance(value, mutable) and not constant) or name in makers:
            yield f"line {node.lineno}: {ast.unparse(node)[:60]}"
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            yield f"line {inner.lineno}: global {', '.join(inner.names)}"


def is_constant(node: ast.Assign | ast.AnnAssign) -> bool:
    """A table in capitals, which nothing in the file writes to, is a constant."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(isinstance(target, ast.Name) and target.id.isupper() for target in targets)


class TestMutableStateFinder:
    @pytest.mark.parametrize(
        "code",
        [
            "seen = []",
            "cache = {}",
            "x: set[int] = set()",
            "x = defaultdict(list)",
            "def f():\n    global n\n    n = 1",
        ],
    )
    def test_finds(self, code: str) -> None:
        assert list(mutable_state(ast.parse(code)))

    @pytest.mark.parametrize("code", ["A = ('a',)", "N = 3", "DUE = {'high': 4}", "def f():\n    return []"])
    def test_leaves_alone(self, code: str) -> None:
        assert not list(mutable_state(ast.parse(code)))


class TestActions:
    @action_kind
    def test_key_is_vendor_and_verb_and_is_its_own(self, kind: str) -> None:
        assert KINDS[kind].kind == kind
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind)
        assert kind.split(".")[0] in {*BLOCKS, OURS}

    @action_kind
    def test_says_impact_and_noun(self, kind: str) -> None:
        assert KINDS[kind].impact in Impact
        assert re.fullmatch(r"\w{2,12}", KINDS[kind].noun)

    @action_kind
    def test_overrides_title_and_preview(self, kind: str) -> None:
        assert KINDS[kind].title is not Action.title
        assert KINDS[kind].preview is not Action.preview

    @action_kind
    def test_title_and_preview_say_something(self, kind: str) -> None:
        action = example(KINDS[kind])
        assert action.title.strip()
        assert "\n" not in action.title
        facts = action.preview()
        assert facts
        assert all(isinstance(value, str) for value in facts.values())

    @action_kind
    def test_survives_the_ledger(self, kind: str) -> None:
        action = example(KINDS[kind])
        assert KINDS[kind].model_validate(action.model_dump(mode="json")) == action

    @action_kind
    def test_editable_field_is_a_text_that_the_preview_leaves_out(self, kind: str) -> None:
        editable = KINDS[kind].editable
        if editable is None:
            return
        assert KINDS[kind].model_fields[editable].annotation is str
        action = example(KINDS[kind])
        assert getattr(action, editable) not in action.preview().values()

    @action_kind
    def test_says_where_it_goes_and_what_it_says(self, kind: str) -> None:
        # What is declared as neither would reach the vendor without having been compared with the record.
        assert KINDS[kind].targets is not Action.targets
        assert KINDS[kind].texts is not Action.texts
        action = example(KINDS[kind])
        declared = {*action.targets(), *action.texts()}
        held = {value for _, value in action if isinstance(value, str)}
        assert held - declared == set()

    @action_kind
    def test_takes_no_unknown_field(self, kind: str) -> None:
        assert KINDS[kind].model_config.get("extra") == "forbid"
        assert KINDS[kind].model_config.get("frozen")

    def test_performers_and_kinds_are_the_same(self) -> None:
        assert set(PERFORMERS) == set(KINDS)

    def test_every_action_class_is_a_kind(self) -> None:
        assert set(Action.__subclasses__()) == set(KINDS.values())


def example(kind: type[Action]) -> Action:
    """An instance of an action, made from its schema."""
    schema = kind.model_json_schema()
    known = schema.get("$defs", {})
    return kind.model_validate({name: sample(name, field, known) for name, field in schema["properties"].items()})


def sample(name: str, field: dict[str, Any], known: dict[str, Any]) -> Any:
    """A value that a field's schema allows."""
    if "$ref" in field:
        return sample(name, known[field["$ref"].rpartition("/")[2]], known)
    if "enum" in field:
        return field["enum"][0]
    match field["type"]:
        case "string" if field.get("format") == "date-time":
            return "2026-01-05T09:00:00+00:00"
        case "string" if "@" in field.get("pattern", ""):
            return "ana@example.com"
        case "string":
            return "eur" if "{3}" in field.get("pattern", "") else f"{name} text"
        case "array":
            return [sample(name, field["items"], known)] if field.get("minItems") else []
        case "object":
            return {each: sample(each, inner, known) for each, inner in field.get("properties", {}).items()}
        case kind:
            return {"boolean": True, "integer": 1, "number": 1}[kind]


class TestPrompts:
    @prompt_folder
    def test_loads_with_an_answer_type_of_described_fields(self, name: str) -> None:
        prompt = prompts.load(name)
        assert prompt.schema["type"] == "object"
        blank = [key for key, field in prompt.schema["properties"].items() if not field.get("description", "").strip()]
        assert blank == []
        assert prompt.schema.get("additionalProperties") is False

    @prompt_folder
    def test_settings_name_variables_that_the_text_uses(self, name: str) -> None:
        prompt = prompts.load(name)
        used = variables_in(prompt.system) | variables_in(prompt.user)
        assert prompt.settings.trim in used
        assert set(prompt.settings.classify) <= used

    @prompt_folder
    def test_cases_are_of_both_splits_and_named_once(self, name: str) -> None:
        cases = prompts.load(name).cases
        assert {case.split for case in cases} == {"example", "held_out"}
        names = [case.name for case in cases]
        assert len(names) == len(set(names))

    @prompt_folder
    def test_cases_expect_what_an_answer_can_hold(self, name: str) -> None:
        answer = prompts.load(name).answer
        for case in prompts.load(name).cases:
            assert case.expect, case.name
            assert set(case.expect) <= set(answer.model_fields), case.name
            for key, value in case.expect.items():
                one_field(answer, key).model_validate_json(json.dumps({key: value}), strict=True)

    @prompt_folder
    def test_every_case_renders_with_strict_variables(self, name: str) -> None:
        prompt = prompts.load(name)
        for case in prompt.cases:
            system, user = prompt.render(case.inputs)
            assert system.strip(), case.name
            assert user.strip(), case.name
            assert "{{" not in system

    @prompt_folder
    def test_a_missing_variable_is_refused_by_name(self, name: str) -> None:
        prompt = prompts.load(name)
        inputs = dict(prompt.cases[0].inputs)
        del inputs[prompt.settings.trim]
        with pytest.raises(prompts.PromptError, match=prompt.settings.trim):
            prompt.render(inputs)

    @prompt_folder
    def test_held_out_cases_are_no_examples(self, name: str) -> None:
        prompt = prompts.load(name)
        texts: dict[str, set[str]] = {"example": set(), "held_out": set()}
        for case in prompt.cases:
            said = " ".join(str(case.inputs[key]) for key in prompt.settings.classify)
            texts[case.split].add(" ".join(re.findall(r"\w+", said.lower())))
        assert texts["example"].isdisjoint(texts["held_out"])

    @prompt_folder
    def test_every_example_label_is_also_held_out(self, name: str) -> None:
        prompt = prompts.load(name)
        for key in {key for case in prompt.cases for key in case.expect if not is_list(prompt.answer, key)}:
            by_split = {
                split: {str(case.expect.get(key)) for case in prompt.cases if case.split == split}
                for split in ("example", "held_out")
            }
            assert by_split["example"] == by_split["held_out"], key

    @prompt_folder
    def test_is_used_by_a_card(self, name: str) -> None:
        assert name in {card_of(path).prompt for path in FLOWS if path.stem not in HELPERS}

    def test_every_folder_is_a_prompt(self) -> None:
        folders = {path.name for path in (ROOT / "prompts").iterdir() if path.is_dir() and path.name[0] not in "._"}
        assert folders == set(PROMPTS)


def is_list(answer: type[BaseModel], key: str) -> bool:
    """Whether a field holds what was found, and no label: each case finds something else."""
    return get_origin(answer.model_fields[key].annotation) is tuple


def one_field(answer: type[BaseModel], key: str) -> type[BaseModel]:
    """A model with only this field of the answer, and all its limits."""
    field = answer.model_fields[key]
    definition: dict[str, Any] = {key: (field.annotation, field)}
    return create_model("Expected", **definition)


def variables_in(template: str) -> set[str]:
    """The variables that a template's text names."""
    import jinja2
    from jinja2 import meta

    return set(meta.find_undeclared_variables(jinja2.Environment(autoescape=False).parse(template)))


class TestBlocks:
    @block_slug
    def test_is_a_prefect_block_under_its_key(self, slug: str) -> None:
        found = block_class(slug)
        assert issubclass(found, Block)
        assert found.get_block_type_slug() == slug
        assert found.get_block_type_name()

    @block_slug
    def test_describes_itself(self, slug: str) -> None:
        assert len(block_class(slug).get_description() or "") > 20

    @block_slug
    def test_every_field_has_a_title_and_a_description(self, slug: str) -> None:
        for name, field in block_class(slug).model_fields.items():
            assert field.title, name
            assert (field.description or "").endswith("."), name

    @block_slug
    def test_secrets_are_hidden(self, slug: str) -> None:
        found = block_class(slug)
        secret = re.compile(r"(^|_)(secret|token|key|password)$")
        open_ones = [n for n, f in found.model_fields.items() if secret.search(n) and f.annotation is not SecretStr]
        assert open_ones == []
        assert SecretStr in {field.annotation for field in found.model_fields.values()}

    @block_slug
    def test_can_be_checked_and_gives_its_client(self, slug: str) -> None:
        for method in ("check", "get_client"):
            function = getattr(block_class(slug), method, None)
            assert callable(function), method
            assert function.__doc__, method

    def test_importing_no_module_imports_a_vendors_sdk(self) -> None:
        every = sorted({name for names in VENDORS_SDK.values() for name in names})
        code = f"""
            import importlib
            importlib.import_module(sys.argv[1])
            print([name for name in {every!r} if name in sys.modules])
        """
        modules = sorted({module for module, _ in BLOCKS.values()})
        assert dict(zip(modules, each_by_itself(code, modules), strict=True)) == dict.fromkeys(modules, "[]")

    def test_every_block_class_in_the_folder_can_be_named(self) -> None:
        for path in (ROOT / "blocks").glob("*.py"):
            if re.search(r"^class \w+\((?:\w+, )*Block\b", path.read_text(encoding="utf-8"), re.MULTILINE):
                assert f"blocks.{path.stem}" in {module for module, _ in BLOCKS.values()}, path.name


class TestDeployments:
    @deployment
    def test_points_at_a_flow_of_its_name_in_our_pool(self, entry: dict[str, Any]) -> None:
        file, _, function = entry["entrypoint"].partition(":")
        assert ROOT / file in FLOWS
        assert function == Path(file).stem
        assert entry["name"] == function.replace("_", "-")
        assert entry["work_pool"]["name"] == POOL

    @deployment
    def test_schedules_have_a_slug(self, entry: dict[str, Any]) -> None:
        # Without one, each `prefect deploy` would make the schedule anew, and switch on again what was paused.
        assert all(schedule.get("slug") for schedule in entry.get("schedules", []))

    def test_names_are_given_once(self) -> None:
        names = [entry["name"] for entry in DEPLOYMENTS]
        assert len(names) == len(set(names))

    def test_no_flow_is_left_out(self) -> None:
        assert {entry["name"] for entry in DEPLOYMENTS} == {path.stem.replace("_", "-") for path in FLOWS}


@cache
def tracked_files() -> list[Path]:
    """What git would hold: tracked and new files, without the ignored ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [path for name in done.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


class TestRepository:
    def test_no_file_names_a_package_registry(self) -> None:
        found = [f"{path.relative_to(ROOT)}: {hit}" for path in tracked_files() for hit in hits(REGISTRIES, path)]
        assert found == []

    def test_no_file_holds_what_looks_like_a_real_key(self) -> None:
        found = [f"{path.relative_to(ROOT)}: {hit[:12]}..." for path in tracked_files() for hit in hits(KEYS, path)]
        assert found == []

    def test_the_lock_has_hashes_and_no_address(self) -> None:
        lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        assert "://" not in lock
        pinned = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", lock, re.MULTILINE)
        entries = re.split(r"^(?=[A-Za-z0-9._-]+(?:\[[^\]]*\])?==)", lock, flags=re.MULTILINE)[1:]
        assert len(pinned) == len(entries) > 50
        assert [name for name, entry in zip(pinned, entries, strict=True) if "--hash=sha256:" not in entry] == []

    def test_the_lock_has_every_dependency(self) -> None:
        lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        pinned = {
            re.sub(r"[._]", "-", n).lower() for n in re.findall(r"^([A-Za-z0-9._-]+)(?:\[|==)", lock, re.MULTILINE)
        }
        project = tomllib.loads(PYPROJECT)
        wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
        names = {re.sub(r"[._]", "-", re.split(r"[\s\[<>=!~;]", line)[0]).lower() for line in wanted}
        assert names - pinned == set()

    def test_every_dependency_has_its_reason_beside_it(self) -> None:
        block = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
        assert block is not None
        lines = [line for line in block[1].splitlines() if line.strip()]
        assert len(lines) == len(tomllib.loads(PYPROJECT)["project"]["dependencies"])
        assert [line for line in lines if not re.fullmatch(r' *"[^"]+", *# .{8,}', line)] == []

    def test_an_exact_pin_says_why_or_for_what(self) -> None:
        for line in PYPROJECT.splitlines():
            if re.match(r' *"prefect==', line):
                assert "drop the pin" in line


def normal(name: str) -> str:
    """A package's name in the form in which names are compared."""
    return re.sub(r"[._]", "-", name).lower()


def hits(pattern: re.Pattern[str], path: Path) -> list[str]:
    """What of a text file the pattern matches, line by line."""
    data = path.read_bytes()
    if b"\0" in data[:1024] or os.path.samefile(path, __file__):
        return []
    text = data.decode("utf-8", errors="replace")
    return [match[0] for match in pattern.finditer(text)]


class TestPatterns:
    @pytest.mark.parametrize(
        "text",
        ["sk-ant-api03-" + "a" * 60, "sk_live_" + "4" * 24, "AKIA" + "A" * 16, "ghp_" + "a" * 36,
         "xoxb-" + "1" * 11 + "-" + "2" * 11 + "-" + "c" * 24, "GOCSPX-" + "a" * 28, "ntn_" + "a" * 46],
    )  # fmt: skip
    def test_a_real_key_would_be_seen(self, text: str) -> None:
        assert KEYS.search(text)

    @pytest.mark.parametrize(
        "text", ["https://" + "pypi" + ".org/simple", "--index-url https://mirror.example/simple/"]
    )
    def test_a_registry_would_be_seen(self, text: str) -> None:
        assert REGISTRIES.search(text)
