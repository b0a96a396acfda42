"""What `signoff new` is made of: names, prefect.yaml as text, values in source, answers to the checklist, starters."""

from __future__ import annotations

import ast
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployments import new, new_names, new_questions, new_source, new_unit, new_yaml
from deployments.errors import CommandError
from deployments.new_questions import QUESTIONS
from deployments.new_unit import Starter, Wanted
from deployments.running import ROOT
from tasks.card import Card

QUESTION = {question.path: question for question in QUESTIONS}
starter = pytest.mark.parametrize("like", new_unit.starters(), ids=lambda s: s.name)


class TestNames:
    @pytest.mark.parametrize("name", ["ticket-tagging", "ticket_tagging", " ticket-tagging "])
    def test_dashes_and_underscores_are_the_same(self, name: str) -> None:
        assert new_names.checked(name) == "ticket-tagging"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("Ticket Tagging", "as in ticket-tagging"),
            ("", "cannot be a workflow's name"),
            ("-x", "cannot be a workflow's name"),
            ("../evil", "cannot be a workflow's name"),
            ("tickets\n", "tickets"),
            ("2fast", "cannot be a workflow's name"),
            ("ärger", "cannot be a workflow's name"),
            ("a" * 41, "at most 40"),
            ("class", "word of Python's own"),
            ("json", "module of Python's own"),
            ("anthropic", "installed package"),
            ("great-expectations", "installed package"),
            ("tasks", "installed package or a folder here"),
            ("lead-triage", "flows/lead_triage.py is there already"),
            ("perform-action", "flows/perform_action.py is there already"),
        ],
    )
    def test_a_bad_name_is_refused_with_the_reason(self, name: str, said: str) -> None:
        if name == "tickets\n":
            assert new_names.checked(name) == said
            return
        with pytest.raises(CommandError, match=said):
            new_names.checked(name)

    @pytest.mark.parametrize("there", ["flows/some_thing.py", "prompts/some_thing/prompt.md", "prompts/some_thing.py"])
    def test_what_is_there_is_named(self, tmp_path: Path, there: str) -> None:
        (tmp_path / there).parent.mkdir(parents=True)
        (tmp_path / there).write_text("mine")
        with pytest.raises(CommandError, match="is there already"):
            new_names.checked("some-thing", tmp_path)


ENTRY = "  - name: new-one\n    entrypoint: flows/new_one.py:new_one\n    work_pool: *pool\n"
DECLARED = """# first
definitions:
  work_pool: &pool {name: signoff}

deployments:
  - name: "one" # why
    work_pool: *pool
"""


class TestPrefectYaml:
    @pytest.mark.parametrize(
        "text",
        [
            DECLARED,
            DECLARED.rstrip("\n"),
            DECLARED.replace("\n", "\r\n"),
            f"{DECLARED}\n# the end\n\n",
            f"{DECLARED}\nother:\n  - name: x\n",
            f"{DECLARED}    # of the entry\nother: 1\n",
            DECLARED.replace("\n  - name", "\n- name").replace("\n    work", "\n  work"),
            DECLARED.replace("\n  - name", "\n      - name").replace("\n    work", "\n        work"),
            (ROOT / "prefect.yaml").read_text(encoding="utf-8"),
        ],
        ids=["plain", "no-end", "crlf", "comment", "key-after", "inner-comment", "no-indent", "deep", "ours"],
    )
    def test_an_entry_is_added_as_the_last_and_every_line_stays(self, text: str) -> None:
        after = new_yaml.with_entry(text, ENTRY)
        before = yaml.safe_load(text)["deployments"]
        assert yaml.safe_load(after)["deployments"][:-1] == before
        assert yaml.safe_load(after)["deployments"][-1]["name"] == "new-one"
        kept = iter(after.splitlines())
        assert all(line in kept for line in text.splitlines())  # all of them, in their order
        taken_back = new_yaml.without_entry(after, ENTRY)
        assert taken_back is not None
        assert taken_back.rstrip("\r\n") == text.rstrip("\r\n")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("deployments:\n  - name: [\n", "line 3 cannot be read"),
            ("", "list of deployments"),
            ("- a\n", "list of deployments"),
            ("deployments: []\n", "list of deployments"),
            ("deployments: [{name: a}]\n", "list of deployments"),
            ("deployments:\n  - one\n", "list of deployments"),
            ("deployments:\n  - name: one\n", "&pool"),
        ],
    )
    def test_a_file_that_cannot_take_it_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(CommandError, match=said):
            new_yaml.with_entry(text, ENTRY)

    def test_one_that_is_missing_or_no_text_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"there is no prefect\.yaml"):
            new_yaml.read(tmp_path / "prefect.yaml")
        (tmp_path / "prefect.yaml").write_bytes(b"\xff\xfe")
        with pytest.raises(CommandError, match="cannot be read"):
            new_yaml.read(tmp_path / "prefect.yaml")

    def test_an_entry_that_somebody_has_changed_is_not_taken_out(self) -> None:
        after = new_yaml.with_entry(DECLARED, ENTRY)
        assert new_yaml.without_entry(after.replace("new_one.py", "other.py"), ENTRY) is None


SOURCE = '''"""What it does."""

NAME = "ö"; CARD = Card(name="ü", owner="a", part=Part(minutes=3, rate=0.1), usd=Decimal("1"))
COMPANY = "Dockwell"
'''


class TestSource:
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
    def test_any_text_arrives_on_the_card_and_nothing_else_changes(self, text: str) -> None:
        changed = new_source.with_card(SOURCE, {"owner": text})
        assert dict(new_source.constants(changed, ["owner", "name", "COMPANY", "NAME"])) == {
            "owner": text,
            "name": "ü",
            "COMPANY": "Dockwell",
            "NAME": "ö",
        }

    def test_values_are_written_as_they_are_written_by_hand(self) -> None:
        values = {"part.minutes": 1.5, "part.rate": 0.2, "usd": Decimal("2.50"), "owner": 'He said "x"', "name": "it's"}
        changed = new_source.with_card(SOURCE, values)
        said = 'CARD = Card(name="it\'s", owner=\'He said "x"\', part=Part(minutes=1.5, rate=0.2), usd=Decimal("2.50"))'
        assert said in changed

    def test_a_docstring_a_constant_and_texts(self) -> None:
        assert new_source.with_docstring(SOURCE, "Other.").startswith('"""Other."""\n\nNAME')
        assert 'COMPANY = "Acme"' in new_source.with_constant(SOURCE, "COMPANY", "Acme")
        assert new_source.with_constant(SOURCE, "NOWHERE", "Acme") == SOURCE
        assert 'owner="b"' in new_source.with_texts(SOURCE, {"a": "b"})


class TestAnswers:
    @pytest.mark.parametrize(
        ("path", "said", "value"),
        [
            ("sentence", " Tag every new ticket. ", "Tag every new ticket."),
            ("owner", "ann@ours.example", "ann@ours.example"),
            ("baseline.minutes", "1.5", 1.5),
            ("baseline.failure_rate", "10%", 0.1),
            ("baseline.failure_rate", "0.25", 0.25),
            ("usd_per_run", "$0.50", Decimal("0.50")),
        ],
    )
    def test_taken(self, path: str, said: str, value: object) -> None:
        assert new_questions.value_of(QUESTION[path], said) == value

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("sentence", "too short"),
            ("owner", "Ann"),
            ("owner", "ann@ours.example, bob@ours.example"),
            ("baseline.minutes", "0"),
            ("baseline.minutes", "soon"),
            ("baseline.minutes", "nan"),
            ("baseline.failure_rate", "110%"),
            ("baseline.failure_rate", "%"),
            ("usd_per_run", "-1"),
            ("usd_per_day", "NaN"),
            ("usd_per_month", "Infinity"),
            ("on_outage", "A line\x1b[2J that steers a terminal."),
        ],
    )
    def test_refused_with_what_would_be_right(self, path: str, said: str) -> None:
        with pytest.raises(CommandError, match="it must be"):
            new_questions.value_of(QUESTION[path], said)

    def test_every_question_is_one_of_the_cards(self) -> None:
        for question in QUESTIONS:
            assert question.field in question.part.model_fields
            assert question.path.split(".")[0] in Card.model_fields

    def test_a_day_below_a_run_is_refused(self) -> None:
        with pytest.raises(CommandError, match=r"\$4 a day is less than \$10 a run"):
            new_questions.ceilings_fit({"usd_per_run": Decimal(10), "usd_per_day": Decimal(4)})

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ("nothing=bug", "there is no label nothing"),
            ("problem", "OLD=NEW"),
            ("problem=A bug", "OLD=NEW"),
            ("problem=billing", "two labels would be called billing"),
        ],
    )
    def test_labels_that_will_not_do(self, said: str, why: str) -> None:
        with pytest.raises(CommandError, match=why):
            new_questions.labels_of(said, ("problem", "billing"))

    def test_labels_may_change_places(self) -> None:
        swapped = new_questions.labels_of("problem=billing, billing=problem", ("problem", "billing"))
        assert swapped == {"problem": "billing", "billing": "problem"}


class TestStarters:
    def test_there_are_two_and_tickets_is_the_usual_one(self) -> None:
        assert [one.name for one in new_unit.starters()] == ["tickets", "mail"]

    @starter
    def test_a_label_stands_in_the_code_as_a_label_only(self, like: Starter) -> None:
        # Another name replaces every text that is exactly the label.
        for file in ("flow.py", "prompt/answer.py"):
            tree = ast.parse((like.folder / file).read_text(encoding="utf-8"))
            found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in like.labels]
            assert len(found) == len(set(found)), file

    @starter
    def test_other_names_and_values_reach_every_file(self, like: Starter) -> None:
        first = like.labels[0]
        wanted = Wanted("new-one", like, {"owner": "ann@ours.example"}, company="Acme", labels={first: "renamed_one"})
        made = new_unit.unit(wanted)
        texts = [made.flow, made.entry, *made.prompt.values()]
        assert [text for text in texts if re.search(r"starter[_-]|deployments\.starters", text)] == []
        assert "from prompts.new_one.answer import" in made.flow
        assert 'COMPANY = "Acme"' in made.flow
        assert '"renamed_one"' in made.prompt["answer.py"]
        assert "- `renamed_one`:" in made.prompt["prompt.md"]
        labels = {json.loads(line)["expect"]["category"] for line in made.prompt["cases.jsonl"].splitlines()}
        assert labels == {*like.labels[1:], "renamed_one"}

    @starter
    def test_a_dozen_cases_of_each_label_are_examples(self, like: Starter) -> None:
        text = (like.folder / "prompt" / "cases.jsonl").read_text(encoding="utf-8")
        labels = [json.loads(line)["expect"]["category"] for line in text.splitlines()]
        assert min(labels.count(label) for label in like.labels) >= 12 / 0.75

    def test_what_the_others_have_in_common_is_what_a_new_one_begins_with(self) -> None:
        house = new.of_the_others()
        assert (house.company, house.allowed) == ("Dockwell", ("dockwell.example",))
        assert house.owner
        assert house.owner.endswith("@dockwell.example")
