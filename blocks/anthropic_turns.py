"""An agent's conversation on the wire: what is sent, what may be kept in the vendor's cache, what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from blocks.models import Conversation
from blocks.shape import Id, Part, Shape

EPHEMERAL = {"type": "ephemeral"}
"""The mark up to which the vendor caches, for 5 minutes; where there is too little to cache it means nothing."""


class _ToolUse(Part):
    known = frozenset({"type", "caller", "cache_control"})

    id: Id
    name: Id
    input: dict[str, Any]


TOOL_USE_SHAPE = Shape("claude", "tool_use", _ToolUse)


def size(conversation: Conversation) -> int:
    """Bytes that are sent. No tokenizer makes more tokens of them."""
    tools = [(tool.name, tool.description, tool.input_schema) for tool in conversation.tools]
    return len(conversation.system.encode()) + len(
        json.dumps([list(conversation.messages), tools], ensure_ascii=False).encode()
    )


def params(conversation: Conversation) -> dict[str, Any]:
    """System, messages and tools as the API takes them.

    Tools and system are the same at every step, and the conversation only grows: both are cached up to their end, at a
    tenth of the price, so that a step pays in full for what is new only.
    """
    system = {"type": "text", "text": conversation.system, "cache_control": EPHEMERAL}
    messages = [*conversation.messages[:-1], _cached(conversation.messages[-1])]
    return {"system": [system], "messages": messages, "tools": _tools(conversation)}


def read_content(content: Sequence[Mapping[str, Any]], operation: str) -> None:
    """Check the tool calls in what a model said.

    Raises:
        SchemaDrift: one is not what it was; it has been paid for.
    """
    for block in content:
        if block.get("type") == "tool_use":
            TOOL_USE_SHAPE.read(block, operation, write=True)


def _tools(conversation: Conversation) -> list[dict[str, Any]]:
    return [
        {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)}
        for tool in conversation.tools
    ]


def _cached(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with the cache's mark on its last block."""
    content = message["content"]
    blocks: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else [dict(block) for block in content]
    )
    blocks[-1] = {**blocks[-1], "cache_control": EPHEMERAL}
    return {**message, "content": blocks}
