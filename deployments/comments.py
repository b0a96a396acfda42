"""What a decision's comment names as the right label, looked at before it is too late to write it right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployments.cards import prompt_of
from tasks import lessons
from tasks.lessons import Hint


def slip(workflows: Iterable[str], comment: str) -> str:
    """Why nothing should be decided with this comment: it names, by `field=value`, what no answer can be."""
    found = next((hint.wrong for hint in _hints(workflows, comment) if hint.is_slip), "")
    return f"nothing was decided: {found}. Without the “=” it is a comment like any other" if found else ""


def misunderstood(workflows: Iterable[str], comment: str) -> Iterator[str]:
    """Why nothing is learnt of a comment that seems to name a label."""
    return (hint.wrong for hint in _hints(workflows, comment) if hint.wrong)


def _hints(workflows: Iterable[str], comment: str) -> Iterator[Hint]:
    if not lessons.EXPLICIT.search(comment):
        return
    for workflow in dict.fromkeys(workflows):
        try:
            yield lessons.hint(prompt_of(workflow), [comment])
        except Exception:  # noqa: BLE001 - a prompt that somebody is writing keeps nobody from deciding
            continue
