"""What models are asked and answer, for traces: masked, cut, and in the form of OpenTelemetry's conventions.

Only where the block `traces/collector` says so for the workflow. The rules are those by which cases are masked, and
they do not see everything: see `tasks/masking.py`. Pictures are never sent.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

from blocks.ledger import Record
from blocks.models import Conversation, Reply, Request, Turn
from blocks.vendor import scrub
from tasks.lessons import OWN_NAME
from tasks.masking import Mask

P = ParamSpec("P")
Content = dict[str, str]
"""Attributes: JSON, as the conventions have it for spans."""

LONGEST_TEXT = 10_000
"""Characters of each text; of a longer one the beginning and the end are kept."""

LONGEST_CONVERSATION = 100_000
"""Characters of all messages together; of a longer conversation the newest are kept."""


def _or_nothing(make: Callable[P, Content]) -> Callable[P, Content]:
    """Content that cannot be masked is left out: it must neither leave as it is nor fail the run."""

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Content:
        try:
            return make(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - texts from outside, and rules that were not made for them
            return {"signoff.content": f"left out: it could not be masked ({type(error).__name__})"}

    return made


@_or_nothing
def of_reply(request: Request, reply: Reply, allowed: tuple[str, ...]) -> Content:
    """A prompt, what was wrong with earlier answers, and the answer."""
    system, user = request.prompt.render(dict(request.variables))
    variables = dict(request.variables)
    mask = Mask(variables, reply.text, own=[str(variables.get(OWN_NAME) or "")], allowed=allowed)
    pictures = [{"type": "picture", "width": each.width, "height": each.height} for each in request.pictures]
    asked = [_message("user", [*pictures, _text(mask, user)])]
    for answer, complaint in request.corrections:
        asked += [_message("assistant", [_text(mask, answer)]), _message("user", [_text(mask, complaint)])]
    return _messages([_text(mask, system)], asked, [_text(mask, reply.text)])


@_or_nothing
def of_turn(record: Record, conversation: Conversation, turn: Turn, allowed: tuple[str, ...]) -> Content:
    """An agent's conversation so far, and what its model said next."""
    messages = [dict(message) for message in conversation.messages]
    mask = Mask(record.payload, record.context, messages, [*turn.content], allowed=allowed)
    asked = [_message(str(message["role"]), _parts(mask, message["content"])) for message in messages]
    return _messages([_text(mask, conversation.system)], asked, _parts(mask, turn.content))


@_or_nothing
def of_call(record: Record, given: Mapping[str, Any], output: str, allowed: tuple[str, ...]) -> Content:
    """What a tool was given, and what it answered."""
    mask = Mask(record.payload, record.context, given, output, allowed=allowed)
    return {
        "gen_ai.tool.call.arguments": _json(_applied(mask, given)),
        "gen_ai.tool.call.result": _json(_applied(mask, output)),
    }


@_or_nothing
def of_question(record: Record, question: str) -> Content:
    """What was looked for in the library."""
    mask = Mask(record.payload, record.context, question)
    return {"gen_ai.retrieval.query.text": str(_applied(mask, question))}


def _messages(system: list[Any], asked: list[dict[str, Any]], said: list[Any]) -> Content:
    return {
        "gen_ai.system_instructions": _json(system),
        "gen_ai.input.messages": _json(_newest(asked)),
        "gen_ai.output.messages": _json([_message("assistant", said)]),
    }


def _newest(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many of the last messages as may be sent, and a word on those that were left out."""
    room, kept = LONGEST_CONVERSATION, len(messages)
    while kept and (room := room - len(_json(messages[kept - 1]))) >= 0:
        kept -= 1
    if not kept:
        return messages
    left_out = {"type": "text", "content": f"[... {kept:,} earlier messages left out ...]"}
    return [_message("user", [left_out]), *messages[kept:]]


def _message(role: str, parts: list[Any]) -> dict[str, Any]:
    return {"role": role, "parts": parts}


def _parts(mask: Mask, content: str | Sequence[Mapping[str, Any]]) -> list[Any]:
    """Content blocks of the Messages protocol as parts; of an unknown kind only that it was there."""
    if isinstance(content, str):
        return [_text(mask, content)]
    return [_part(mask, block) for block in content]


def _part(mask: Mask, block: Mapping[str, Any]) -> dict[str, Any]:
    match block.get("type"):
        case "text":
            return _text(mask, str(block.get("text", "")))
        case "tool_use":
            given = _applied(mask, block.get("input"))
            return {"type": "tool_call", "id": block.get("id"), "name": block.get("name"), "arguments": given}
        case "tool_result":
            answer = _applied(mask, block.get("content"))
            return {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": answer}
        case kind:
            return {"type": str(kind)}


def _text(mask: Mask, text: str) -> dict[str, Any]:
    return {"type": "text", "content": _applied(mask, text)}


def _applied(mask: Mask, value: Any) -> Any:
    """The value without personal data and credentials, its texts cut."""
    if isinstance(value, str):
        return _cut(scrub(mask.text(value)))
    if isinstance(value, Mapping):
        return {_applied(mask, str(name)): _applied(mask, inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_applied(mask, inner) for inner in value]
    return mask.apply(value)


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    head = LONGEST_TEXT * 3 // 4
    left_out = len(text) - LONGEST_TEXT
    return f"{text[:head]}\n[... {left_out:,} characters left out ...]\n{text[-(LONGEST_TEXT - head) :]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
