"""What does the built-in model find in real meetings? `python -m benchmarks.meetings DATA/qmsum [--show]`

The meetings are QMSum's (product meetings of AMI, transcribed by hand, with stage directions). They have no list of
action items, so three things are measured:

- found: decisions, action items and doubts by their wording, per meeting; `--show` prints each with its line, to be
  judged by whoever reads it;
- told: of the sentences in QMSum's summaries that say what was agreed or decided, the share near which (`NEAR` lines) a
  decision was found whose words they share. The summaries were written freely: an indication, and no recall;
- caught: of the action items and doubts found, each is made an action item and spoilt in one way (another line, a
  number, a name, an owner, a day that nobody said); the checks of `tasks/minutes.py` must not let it pass as plain.

And the seconds that a meeting takes. The rules were made stricter on these very meetings (of 26 items that they found
at first, most were talk), so the figures say what they do now, and not what they would do elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from blocks.embedded.minutes import minutes
from blocks.library.words import stems
from blocks.transcripts import Line, Person, shown
from prompts.meeting_notes.answer import ActionItem, MeetingNotes
from tasks.meetings import SECTION, parted
from tasks.minutes import Company, Held, made

NOISE = re.compile(r"\{[^{}]*\}")
AGREED = re.compile(r"\b(?:agree|decide|conclude|settle|opt)(?:d|ed|s)?\b", re.IGNORECASE)
NEAR = 3
SHARED = 0.3
"""Of a reference sentence's telling words, found near a decision."""
DAY = date(2026, 3, 2)
NOBODY = Company("the company", "company.example", {})


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with QMSum's .jsonl files")
    parser.add_argument("--show", action="store_true", help="print what was found, with its lines")
    options = parser.parse_args()
    files = sorted(options.data.glob("*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    totals: Counter[str] = Counter()
    seconds: list[float] = []
    caught: Counter[tuple[str, bool]] = Counter()
    for number, row in enumerate(rows, start=1):
        lines = as_lines(row["meeting_transcripts"])
        began = time.perf_counter()
        found = minutes(shown(lines))
        seconds.append(time.perf_counter() - began)
        kinds = ("outcome", "summary", "decisions", "actions", "unsure")
        notes = MeetingNotes.model_validate({name: getattr(found, name) for name in kinds})
        held = as_held(lines)
        kept = made(held, [notes], DAY)
        told = list(told_of(row))
        totals.update(
            meetings=1,
            lines=len(lines),
            sections=len(list(parted(shown(lines), SECTION))),
            decisions=len(kept.decisions),
            actions=len(kept.actions),
            doubts=len(kept.to_confirm),
            dropped=len(kept.dropped),
            told=len(told),
            near=sum(is_near(sentence, held, [one.line for one in notes.decisions]) for sentence in told),
        )
        caught.update(spoilt(held, notes))
        if options.show:
            show(number, lines, notes)
    report(totals, seconds, caught)


def as_lines(turns: list[dict[str, str]]) -> list[Line]:
    """QMSum's turns as lines, without what is no word."""
    said = [(turn["speaker"], NOISE.sub(" ", turn["content"])) for turn in turns]
    # Tokenised text: `I 'll`, `don 't`, `D_V_D_ .`
    plain = [(who, re.sub(r"\s+([.,!?;:]|['’]\w)", r"\1", " ".join(text.split()))) for who, text in said]
    plain = [(who, text) for who, text in plain if re.search(r"[^\W\d_]", text)]
    return [Line(number=at, speaker=who, second=None, text=text) for at, (who, text) in enumerate(plain, start=1)]


def as_held(lines: list[Line]) -> Held:
    """A meeting among colleagues."""
    names = dict.fromkeys(line.speaker for line in lines)
    company = Company(NOBODY.name, NOBODY.domain, {name: f"{at}@{NOBODY.domain}" for at, name in enumerate(names)})
    people = tuple(Person(name=name) for name in names)
    return Held({line.number: line for line in lines}, people, company, DAY, heard=False)


def told_of(row: dict[str, Any]) -> Iterator[str]:
    """What the summary of the whole meeting says was agreed."""
    for query in row["general_query_list"]:
        yield from (one for one in re.split(r"(?<=[.!?])\s+", query["answer"]) if AGREED.search(one))


def is_near(sentence: str, held: Held, decided: list[int]) -> bool:
    """Whether a decision was found where these words are spoken of."""
    wanted = set(stems(sentence))
    for number in decided:
        around = " ".join(line.text for at, line in held.lines.items() if abs(at - number) <= NEAR)
        if wanted and len(wanted & set(stems(around))) >= SHARED * len(wanted):
            return True
    return False


def spoilt(held: Held, notes: MeetingNotes) -> Iterator[tuple[str, bool]]:
    """Each item, spoilt in each way, and whether it was kept from passing as plain."""
    last = max(held.lines)
    ways: dict[str, Callable[[ActionItem], dict[str, Any]]] = {
        "another line": lambda one: {"line": (one.line + last // 2) % last + 1, "also": ()},
        "a line there is none of": lambda _: {"line": last + 7},
        "a number": lambda one: {"text": f"{one.text.rstrip('.!')} for 4,750 euros."},
        "a name": lambda one: {"text": f"{one.text.rstrip('.!')} with Fitzgerald."},
        "an owner who was not there": lambda _: {"owner": "Fitzgerald"},
        "an owner who says nothing of it": lambda one: {"owner": another(held, one)},
        "a day": lambda _: {"due": "Saturday the 29th"},
    }
    doubts = [
        ActionItem(text=one.text, owner=speaker, line=one.line)
        for one in notes.unsure
        if (speaker := held.lines[one.line].speaker)
    ]
    for one in (*notes.actions, *doubts):
        for way, spoil in ways.items():
            item = one.model_copy(update=spoil(one))
            found = made(held, [notes.model_copy(update={"actions": (item,), "decisions": (), "unsure": ()})], DAY)
            yield way, not any(not each.marks for each in found.actions)


def another(held: Held, item: ActionItem) -> str:
    """Somebody who was there, and neither speaks in the item's lines nor is named there."""
    said = " ".join(f"{line.speaker} {line.text}" for line in held.cited([item.line, *item.also])).casefold()
    return next((who for who in held.names if not any(w in said for w in who.casefold().split())), "Fitzgerald")


def show(number: int, lines: list[Line], notes: MeetingNotes) -> None:
    """What was found, to be judged by a person."""
    by_number = {line.number: line for line in lines}
    for kind, items in (("DECISION", notes.decisions), ("ACTION", notes.actions), ("DOUBT", notes.unsure)):
        for item in items:
            owner = f" [{item.owner}, {item.due or 'no day'}]" if isinstance(item, ActionItem) else ""
            print(f"{number} {kind}{owner} {item.line}: {item.text}")  # noqa: T201
            after = by_number.get(item.line + 1)
            if after:
                print(f"      then {after.speaker}: {after.text[:120]}")  # noqa: T201


def report(totals: Counter[str], seconds: list[float], caught: Counter[tuple[str, bool]]) -> None:
    """The figures."""
    per = {name: totals[name] / totals["meetings"] for name in ("lines", "sections", "decisions", "actions", "doubts")}
    average = ", ".join(f"{value:.1f} {name}" for name, value in per.items())
    print(f"{totals['meetings']} meetings; on average {average}")  # noqa: T201
    print(f"dropped by the checks: {totals['dropped']} of what was found")  # noqa: T201
    print(f"told: near {totals['near']} of {totals['told']} sentences on what was agreed, a decision was found")  # noqa: T201
    print(f"seconds a meeting: median {statistics.median(seconds):.2f}, most {max(seconds):.2f}")  # noqa: T201
    for way in dict.fromkeys(way for way, _ in caught):
        right, wrong = caught[way, True], caught[way, False]
        print(f"spoilt by {way}: {right} of {right + wrong} caught")  # noqa: T201


if __name__ == "__main__":
    main()
