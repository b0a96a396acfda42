"""Documents, read by the rules of `blocks/extraction`, as a model's answer says it."""

from typing import Any

from blocks.extraction import evidence, rules
from blocks.extraction.recognition import recognition
from prompts.document_intake.schemas import OTHER, find


def recognised(text: str) -> tuple[str, dict[str, float]]:
    """What kind of document a text is, and the probability of each kind.

    Nothing is learnt here: the classifier of `Label` fields, asked the same, was right about 70 % of the examples that
    it had not seen, and about 67 % of 42 papers of which titles and labels tell the kind of each.
    """
    found = recognition(text)
    return found.name, dict(found.probabilities)


def read_off(text: str, kind: str, part: str, own: str = "") -> list[dict[str, Any]]:
    """Its `values`, or its `lines`, as printed; none of a document that is of no kind."""
    if kind == OTHER:
        return []
    values, lines = evidence.by_rules(rules.extract(find(kind), text, own))
    if part == "values":
        return [_printed(said) for said in values]
    return [{"values": [_printed(said) for said in line]} for line in lines]


def _printed(said: evidence.Said) -> dict[str, Any]:
    return {"field": said.field, "value": said.printed[:300], "page": said.page}
