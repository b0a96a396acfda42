"""Anthropic's Messages API, in Anthropic's words, with a model that answers by script or by schema."""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.drop import Dropped
from sandbox.minimal import instance
from sandbox.wire import Answer, Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

MODELS = {
    "claude-haiku-5-5": "Claude Haiku 5.5",
    "claude-sonnet-5-5": "Claude Sonnet 5.5",
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-sonnet-5": "Claude Sonnet 5",
    "claude-opus-5": "Claude Opus 5",
    "claude-haiku-4-5": "Claude Haiku 4.5",
}
FIELDS = set(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "output_config",
        "tools",
        "tool_choice",
        "stop_sequences",
        "metadata",
        "thinking",
        "service_tier",
        "stream",
        "cache_control",
        "container",
        "inference_geo",
        "speed",
        "diagnostics",
    ]
)
KEPT_CALLS = 2000
UNSUPPORTED = {
    "integer": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "number": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "string": ("maxLength", "minLength"),
    "array": ("maxItems", "uniqueItems"),
}
"""JSON schema keywords that the API refuses instead of enforcing."""


ScriptedFault = Literal[
    "reset", "reply_lost", "rate_limited", "bad_gateway", "overloaded", "server_error", "unauthorized",
    "prose", "truncated_json", "refusal",
]  # fmt: skip


@dataclass(config=ConfigDict(extra="forbid"))
class Reply:
    """One scripted answer. Without `when` it answers any call; `times=None` makes it stay."""

    when: str | None = None
    text: str | None = None
    json: Any = None
    tool_use: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    status: int | None = None
    message: str = "scripted error"
    fault: ScriptedFault | None = None
    retry_after: float | None = None
    times: int | None = 1


class Model:
    """The state behind the Messages API: the script, and every call that was made."""

    def __init__(self) -> None:
        """Start without a script."""
        self.script: list[Reply] = []
        self.calls: deque[Json] = deque(maxlen=KEPT_CALLS)
        self.made = 0

    def scripted(self, body: Json) -> Reply | None:
        """Return the first scripted answer that fits, and use it up."""
        if not self.script:
            return None
        said = user_text(body)
        for reply in self.script:
            if reply.times != 0 and (reply.when is None or reply.when in said):
                reply.times = None if reply.times is None else reply.times - 1
                return reply
        return None


# Errors

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_request_numbers = itertools.count(1)


def request_id() -> str:
    """Return a new request id."""
    return f"req_sandbox{next(_request_numbers):08}"


def error(status: int, message: str, retry_after: float | None = None) -> Refused:
    """Return a refusal in Anthropic's error JSON."""
    number = request_id()
    detail = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    headers = {"request-id": number} | ({} if retry_after is None else {"retry-after": f"{retry_after:g}"})
    return Refused(status, {"type": "error", "error": detail, "request_id": number}, headers)


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what Anthropic says when it is not well."""
    return faulty(kind, retry_after).response()


def faulty(kind: str, retry_after: float | None) -> Refused:
    """Return the refusal for a fault."""
    match kind:
        case "rate_limited":
            return error(429, "This request would exceed your organization's rate limit.", retry_after)
        case "unauthorized":
            return error(401, "invalid x-api-key")
        case "overloaded":
            return error(529, "Overloaded", retry_after)
        case "bad_request":
            return error(400, "messages: invalid")
        case _:
            return error(500, "Internal server error")


# Requests


def validate(body: Json) -> None:
    """Refuse a body that the API would refuse."""
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise error(400, f"{name}: Field required")
    if unknown := sorted(set(body) - FIELDS):
        raise error(400, f"{unknown[0]}: Extra inputs are not permitted")
    if not isinstance(body["max_tokens"], int) or isinstance(body["max_tokens"], bool) or body["max_tokens"] < 1:
        raise error(400, "max_tokens: Input should be a valid integer greater than or equal to 1")
    if body.get("stream"):
        raise error(400, "stream: the sandbox does not stream")
    validate_messages(body["messages"])
    validate_tools(body)
    validate_model(body["model"])
    validate_format((body.get("output_config") or {}).get("format"))


def validate_model(model: Any) -> None:
    """Refuse a model that does not exist."""
    if model not in MODELS:
        raise error(404, f"model: {model}")


def validate_messages(messages: Any) -> None:
    """Refuse a conversation that is empty, starts wrong, or has content of no known shape."""
    if not isinstance(messages, list) or not messages:
        raise error(400, "messages: at least one message is required")
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise error(400, f"{where}.role: Input should be 'user' or 'assistant'")
        if unknown := sorted(set(message) - {"role", "content"}):
            raise error(400, f"{where}.{unknown[0]}: Extra inputs are not permitted")
        validate_content(message.get("content"), where, last=number == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise error(400, 'messages: first message must use the "user" role')


def validate_content(content: Any, where: str, *, last: bool) -> None:
    """Refuse content that is neither text nor a list of blocks."""
    if isinstance(content, str):
        if not content.strip() and not last:
            raise error(400, f"{where}: text content blocks must be non-empty")
        return
    if not isinstance(content, list):
        raise error(400, f"{where}.content: Input should be a valid list")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or "type" not in block:
            raise error(400, f"{where}.content.{number}.type: Field required")
        if block["type"] == "image":
            validate_image(block.get("source"), f"{where}.content.{number}.image.source")


MAX_IMAGE_BYTES = 5 * 1024 * 1024
IMAGE_TYPES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG", "image/gif": b"GIF8", "image/webp": b"RIFF"}


def validate_image(source: Any, where: str) -> None:
    """Refuse a picture that is not base64, too large, or of another type than it says."""
    if not isinstance(source, dict) or source.get("type") != "base64":
        raise error(400, f"{where}.type: Input tag should be 'base64'")
    begins = IMAGE_TYPES.get(source.get("media_type", ""))
    if begins is None:
        raise error(400, f"{where}.base64.media_type: Input should be {', '.join(IMAGE_TYPES)}")
    try:
        data = base64.b64decode(source.get("data", ""), validate=True)
    except ValueError:
        raise error(400, f"{where}.base64.data: Invalid base64 data") from None
    if len(data) > MAX_IMAGE_BYTES:
        raise error(400, f"{where}.base64: image exceeds 5 MB maximum: {len(data)} bytes > {MAX_IMAGE_BYTES} bytes")
    if not data.startswith(begins):
        raise error(400, f"{where}.base64.data: Image does not match the provided media type {source['media_type']}")


def validate_tools(body: Json) -> None:
    """Refuse tools, calls and results that do not belong together."""
    for number, tool in enumerate(body.get("tools") or []):
        where = f"tools.{number}.custom"
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", str(tool.get("name"))):
            raise error(400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if (tool.get("input_schema") or {}).get("type") != "object":
            raise error(400, f"{where}.input_schema.type: Field required")
    marks = json.dumps([body.get("system"), body["messages"], body.get("tools")]).count('"cache_control"')
    if marks > 4:
        raise error(400, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    open_calls: list[str] = []
    for number, message in enumerate(body["messages"]):
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = [each.get("tool_use_id") for each in blocks if each["type"] == "tool_result"]
        if message["role"] == "user" and sorted(answered) != sorted(open_calls):
            raise error(
                400, f"messages.{number}: `tool_use` ids {open_calls} need `tool_result` blocks; found {answered}"
            )
        open_calls = [each["id"] for each in blocks if each["type"] == "tool_use"]
    if open_calls:
        raise error(400, f"messages: `tool_use` ids were found without `tool_result` blocks: {open_calls}")


def validate_format(fmt: Any) -> None:
    """Refuse an output format that the API would refuse."""
    if fmt is None:
        return
    if not isinstance(fmt, dict) or fmt.get("type") != "json_schema" or not isinstance(fmt.get("schema"), dict):
        raise error(400, "output_config.format: Input should be a json_schema with a schema")
    for node in nodes(fmt["schema"]):
        if problem := unsupported(node):
            raise error(400, f"output_config.format.schema: {problem}")


def unsupported(node: Json) -> str | None:
    """Say what the API does not take about one schema."""
    kind = str(node.get("type"))
    if kind == "object" and node.get("additionalProperties") is not False:
        return "For 'object' type, 'additionalProperties' must be explicitly set to false"
    refused = [name for name in UNSUPPORTED.get(kind, ()) if name in node]
    if kind == "array" and node.get("minItems", 0) > 1:
        refused.append("minItems")
    return f"For '{kind}' type, properties {', '.join(refused)} are not supported" if refused else None


def nodes(schema: Json) -> Iterator[Json]:
    """Yield a schema and every schema inside it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
    if isinstance(items := schema.get("items"), dict):
        inner.append(items)
    for each in inner:
        yield from nodes(each)


def user_text(body: Json) -> str:
    """Return everything the user said in the conversation, tool results included."""
    said = (message["content"] for message in body["messages"] if message["role"] == "user")
    return "\n".join(each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in said)


def tokens(*parts: Any) -> int:
    """Count tokens roughly: four characters each."""
    text = "".join(part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in parts if part)
    return max(1, len(text) // 4)


# Answers


def create_message(world: World, ask: Ask) -> Answer:
    """POST /v1/messages."""
    reply = taken(world, ask.body)
    if reply.fault in ("reset", "reply_lost"):
        raise Dropped(hard=reply.fault == "reset")
    if reply.fault == "bad_gateway":
        return Response("<html><h1>502 Bad Gateway</h1></html>", 502, media_type="text/html")
    return with_headers(spoken(ask.body, reply, ask.fault.kind if ask.fault else None))


def answered(world: World, body: Json, fault: str | None) -> Json:
    """Return the model's message where there is no connection that could break: in a batch."""
    return spoken(body, taken(world, body), fault)


def taken(world: World, body: Json) -> Reply:
    """Take note of a call that is in order, and return the scripted answer, or an empty one."""
    validate(body)
    world.model.made += 1
    world.model.calls.append({"at": time.time(), "body": body})
    return world.model.scripted(body) or Reply(times=0)


def spoken(body: Json, reply: Reply, fault: str | None) -> Json:
    """Return the model's message, or refuse as the script says."""
    if reply.fault in ("prose", "truncated_json", "refusal"):
        return answer(body, reply, reply.fault)
    if reply.fault:
        raise faulty(reply.fault, reply.retry_after)
    if reply.status is not None:
        raise error(reply.status, reply.message, reply.retry_after)
    return answer(body, reply, fault)


def answer(body: Json, reply: Reply, fault: str | None) -> Json:
    """Return the model's message."""
    text, stop_reason = reply_text(body, reply), reply.stop_reason or "end_turn"
    content: list[Json] = [{"type": "text", "text": text}] if text else []
    content += [tool_block(each, number) for number, each in enumerate(reply.tool_use)]
    if reply.tool_use and not reply.stop_reason:
        stop_reason = "tool_use"
    match fault:
        case "prose":
            content = [{"type": "text", "text": "Sure! Here is my assessment of the message, in short: it depends."}]
        case "truncated_json":
            content, stop_reason = [{"type": "text", "text": text[: max(1, len(text) * 3 // 5)]}], "max_tokens"
        case "refusal":
            content, stop_reason = [], "refusal"
    if tokens(text) > body["max_tokens"] and fault is None:
        content, stop_reason = [{"type": "text", "text": text[: body["max_tokens"] * 4]}], "max_tokens"
    return message(body, content, stop_reason, reply.usage)


def reply_text(body: Json, reply: Reply) -> str:
    """Return the scripted text, or the smallest JSON that the schema accepts, or a plain sentence."""
    if reply.text is not None:
        return reply.text
    if reply.json is not None:
        return json.dumps(reply.json, ensure_ascii=False)
    if reply.tool_use:
        return ""
    fmt = (body.get("output_config") or {}).get("format")
    return json.dumps(instance(fmt["schema"]), ensure_ascii=False) if fmt else "Understood."


def tool_block(call: Json, number: int) -> Json:
    """Return a tool call as a content block."""
    return {
        "type": "tool_use",
        "id": call.get("id") or f"toolu_sandbox{next(_request_numbers):08}_{number}",
        "name": call["name"],
        "input": call.get("input", {}),
    }


def message(body: Json, content: list[Json], stop_reason: str, usage: dict[str, int]) -> Json:
    """Return a Message."""
    refused = {"type": "refusal", "category": None, "explanation": None} if stop_reason == "refusal" else None
    return {
        "id": f"msg_sandbox{next(_request_numbers):08}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": refused,
        "usage": {
            "input_tokens": tokens(body.get("system"), body["messages"], body.get("tools")),
            "output_tokens": tokens(content),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "service_tier": "standard",
        }
        | usage,
    }


def with_headers(body: Json) -> Response:
    """Return a reply with the headers that the API sends along."""
    reset = datetime.fromtimestamp(int(time.time()) + 60, UTC).isoformat().replace("+00:00", "Z")
    headers = {"request-id": request_id(), "anthropic-organization-id": "sandbox"}
    for name, limit in (("requests", 4000), ("input-tokens", 2_000_000), ("output-tokens", 400_000)):
        headers |= {
            f"anthropic-ratelimit-{name}-limit": str(limit),
            f"anthropic-ratelimit-{name}-remaining": str(limit - 1),
            f"anthropic-ratelimit-{name}-reset": reset,
        }
    return json_reply(body, 200, headers)


def count_tokens(_world: World, ask: Ask) -> Answer:
    """POST /v1/messages/count_tokens."""
    validate({"max_tokens": 1} | ask.body)
    return with_headers({"input_tokens": tokens(ask.body.get("system"), ask.body["messages"], ask.body.get("tools"))})


def list_models(_world: World, ask: Ask) -> Answer:
    """GET /v1/models."""
    names = list(MODELS)
    after = ask.query.get("after_id")
    start = names.index(after) + 1 if after in names else 0
    page = names[start : start + ask.number("limit", 20, 1000)]
    last = page[-1] if page else None
    return with_headers(
        {
            "data": [model_view(name) for name in page],
            "has_more": bool(page) and page[-1] != names[-1],
            "first_id": page[0] if page else None,
            "last_id": last,
        }
    )


def get_model(_world: World, ask: Ask) -> Answer:
    """GET /v1/models/{id}."""
    validate_model(ask.path["id"])
    return with_headers(model_view(ask.path["id"]))


def model_view(name: str) -> Json:
    """Return a model's entry."""
    return {
        "id": name,
        "type": "model",
        "display_name": MODELS[name],
        "created_at": "2026-01-15T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


# Routes

Table = tuple[tuple[str, str, "Callable[[World, Ask], Answer]"], ...]
"""Method, path and handler of each operation."""

ROUTES: Table = (
    ("POST", "/v1/messages", create_message),
    ("POST", "/v1/messages/count_tokens", count_tokens),
    ("GET", "/v1/models", list_models),
    ("GET", "/v1/models/{id}", get_model),
)


def routes(world: World, table: Table = ROUTES) -> Iterator[Route]:
    """Yield Anthropic's routes of a table, relative to `/anthropic`."""

    def check(request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or bearer
        if not key:
            raise error(401, "x-api-key header is required")
        if key != credentials.ANTHROPIC_API_KEY:
            raise error(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise error(400, "anthropic-version: header is required")

    def bad_json() -> Refused:
        return error(400, "The request body is not valid JSON")

    def in_world(handler: Callable[[World, Ask], Answer]) -> Callable[[Ask], Answer]:
        return lambda ask: handler(world, ask)

    for method, path, handler in table:
        yield Route(path, endpoint(in_world(handler), check, bad_json), methods=[method])
