"""The pretend Messages API, through Anthropic's own client and judged by its own types."""

import json
from typing import Any, Literal

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageTokensCount, ModelInfo
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel, Field

from sandbox import credentials
from sandbox.client import Sandbox, SandboxError
from sandbox.minimal import instance

Json = dict[str, Any]
HEADERS = {"x-api-key": credentials.ANTHROPIC_API_KEY, "anthropic-version": "2023-06-01"}
ASK: Json = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": [{"role": "user", "content": "Hello there"}]}


class Person(BaseModel):
    """Somebody."""

    email: str
    nickname: str | None = None


class Lead(BaseModel):
    """An answer type with everything in it that our prompts use."""

    intent: Literal["demo", "spam"]
    confidence: float = Field(ge=0.25, le=1)
    urgency: int = Field(ge=1, le=5)
    summary: str = Field(min_length=20, max_length=40)
    people: list[Person] = Field(min_length=1)
    tags: list[str]
    owner: Person | None
    vip: bool


@pytest.fixture
def claude(sandbox: Sandbox) -> Anthropic:
    """Return Anthropic's client, pointed at the sandbox."""
    key, url = credentials.ANTHROPIC_API_KEY, sandbox.at("anthropic")
    return Anthropic(api_key=key, base_url=url, max_retries=0, timeout=10, _strict_response_validation=True)


def post(sandbox: Sandbox, body: Json, path: str = "/v1/messages", **headers: str) -> httpx.Response:
    """Call without a client between."""
    return httpx.post(sandbox.at("anthropic") + path, json=body, headers=HEADERS | headers, trust_env=False)


def assert_nothing_extra(value: Any, where: str) -> None:
    """Fail on fields that the SDK's type does not have; they are allowed by default, and kept apart."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{where} has {sorted(value.model_extra)}"
        for name in type(value).model_fields:
            assert_nothing_extra(getattr(value, name), f"{where}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            assert_nothing_extra(item, f"{where}[{number}]")


def test_replies_conform_strictly(sandbox: Sandbox) -> None:
    sandbox.script({"text": "Yes"}, {"tool_use": [{"name": "look", "input": {"id": 1}}], "text": "Let me look."})
    sandbox.fault("refusal", after=2)
    for _ in range(4):
        message = Message.model_validate_json(post(sandbox, ASK).content, strict=True)
        assert_nothing_extra(message, "message")
    counted = post(sandbox, {k: ASK[k] for k in ("model", "messages")}, "/v1/messages/count_tokens")
    assert_nothing_extra(MessageTokensCount.model_validate_json(counted.content, strict=True), "count")
    listed = httpx.get(sandbox.at("anthropic") + "/v1/models", headers=HEADERS, trust_env=False).json()
    assert set(listed) == {"data", "has_more", "first_id", "last_id"}
    for each in listed["data"]:
        assert_nothing_extra(ModelInfo.model_validate_json(json.dumps(each), strict=True), "model")


def test_default_answer_fits_the_schema(claude: Anthropic) -> None:
    schema = anthropic.transform_schema(Lead)
    message = claude.messages.create(**ASK, output_config={"format": {"type": "json_schema", "schema": schema}})
    (block,) = message.content
    assert block.type == "text"
    lead = Lead.model_validate_json(block.text)
    assert (lead.intent, lead.urgency, lead.confidence, lead.vip) == ("demo", 1, 0.25, False)
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens >= len(block.text) // 4


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "date-time"},
        {"type": "string", "minLength": 12, "maxLength": 12},
        {"type": "integer", "exclusiveMinimum": 3},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25},
        {"type": "number", "maximum": -2},
        {"type": ["string", "null"]},
        {"const": 4},
        {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        {"type": "array", "minItems": 2, "items": {"enum": ["a"]}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"b": {"type": "boolean"}}}}},
    ],
)
def test_minimal_instances_are_valid(schema: Json) -> None:
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(instance(schema))


def test_script_by_order_and_by_words(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.script(
        {"when": "invoice", "json": {"intent": "billing"}, "times": None},
        {"text": "first"},
        {"text": "second", "stop_reason": "max_tokens", "usage": {"output_tokens": 9, "cache_read_input_tokens": 7}},
    )

    def said(words: str) -> Message:
        return claude.messages.create(**ASK | {"messages": [{"role": "user", "content": words}]})

    texts = [said(words).content[0] for words in ("Hello", "An invoice", "An invoice")]
    assert [getattr(each, "text", None) for each in texts] == [
        "first",
        '{"intent": "billing"}',
        '{"intent": "billing"}',
    ]
    last = said("Hello")
    assert (last.stop_reason, last.usage.output_tokens, last.usage.cache_read_input_tokens) == ("max_tokens", 9, 7)
    assert getattr(said("Hello").content[0], "text", "") == "Understood."


def test_scripted_tool_call(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.script({"tool_use": [{"name": "look_up", "input": {"email": "a@b.example"}}]})
    message = claude.messages.create(
        **ASK, tools=[{"name": "look_up", "input_schema": {"type": "object", "properties": {}}}]
    )
    (call,) = message.content
    assert call.type == "tool_use"
    assert (message.stop_reason, call.name, call.input) == ("tool_use", "look_up", {"email": "a@b.example"})
    answer = {"type": "tool_result", "tool_use_id": call.id, "content": "found nobody"}
    sandbox.script({"when": "found nobody", "text": "Then we are done."})
    turns = [*ASK["messages"], message.to_param(), {"role": "user", "content": [answer]}]
    done = claude.messages.create(**ASK | {"messages": turns})
    assert getattr(done.content[0], "text", "") == "Then we are done."


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"status": 429, "retry_after": 2}, anthropic.RateLimitError),
        ({"status": 402, "message": "no credit"}, anthropic.APIStatusError),
        ({"status": 413}, anthropic.APIStatusError),
        ({"fault": "overloaded"}, anthropic.APIStatusError),
        ({"fault": "server_error"}, anthropic.InternalServerError),
        ({"fault": "bad_gateway"}, anthropic.InternalServerError),
        ({"fault": "reset"}, anthropic.APIConnectionError),
        ({"fault": "reply_lost"}, anthropic.APIConnectionError),
    ],
)
def test_scripted_errors(claude: Anthropic, sandbox: Sandbox, reply: Json, error: type[Exception]) -> None:
    sandbox.script(reply)
    with pytest.raises(error):
        claude.messages.create(**ASK)
    assert claude.messages.create(**ASK)


def test_long_answer_is_cut_at_max_tokens(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.script({"text": "word " * 100})
    message = claude.messages.create(**ASK | {"max_tokens": 10})
    assert (message.stop_reason, len(getattr(message.content[0], "text", ""))) == ("max_tokens", 40)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"model": None}, 404, "model"),
        ({"model": "gpt-9"}, 404, "model: gpt-9"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": "many"}, 400, "max_tokens"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "first message"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, 400, "messages.0.content.0.type"),
        ({"temperature": 0}, 400, "temperature: Extra inputs"),
        ({"stream": True}, 400, "stream"),
        ({"output_config": {"format": {"type": "json"}}}, 400, "output_config.format"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, 400, "additionalProp"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer", "minimum": 1}}}},
            400,
            "properties minimum are not supported",
        ),
    ],
)
def test_bad_bodies_are_refused(sandbox: Sandbox, change: Json, status: int, words: str) -> None:
    reply = post(sandbox, ASK | change)
    error = reply.json()
    assert (reply.status_code, error["type"], error["request_id"]) == (status, "error", reply.headers["request-id"])
    assert words in error["error"]["message"]
    assert sandbox.model_calls() == []


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_required_fields(sandbox: Sandbox, field: str) -> None:
    body = {name: value for name, value in ASK.items() if name != field}
    reply = post(sandbox, body)
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, f"{field}: Field required")


def test_other_keys_are_refused(sandbox: Sandbox) -> None:
    claude = Anthropic(api_key="stolen", base_url=sandbox.at("anthropic"), max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        claude.messages.create(**ASK)
    assert post(sandbox, ASK, **{"anthropic-version": "x"}).status_code == 200
    bare = httpx.post(sandbox.at("anthropic") + "/v1/messages", json=ASK, trust_env=False)
    assert (bare.status_code, bare.json()["error"]["type"]) == (401, "authentication_error")


def test_models_and_counting(claude: Anthropic) -> None:
    names = [model.id for model in claude.models.list(limit=2)]
    assert "claude-haiku-5-5" in names
    assert claude.models.retrieve("claude-opus-5-5").display_name == "Claude Opus 5.5"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("none")
    text = "x" * 4000
    counted = claude.messages.count_tokens(model="claude-haiku-5-5", messages=[{"role": "user", "content": text}])
    assert 1000 <= counted.input_tokens < 1050


def test_headers_and_record(claude: Anthropic, sandbox: Sandbox) -> None:
    reply = claude.messages.with_raw_response.create(**ASK, system="Be brief")
    assert reply.headers["request-id"] == reply.request_id
    assert int(reply.headers["anthropic-ratelimit-requests-remaining"]) > 0
    (body,) = sandbox.model_calls()
    assert body == ASK | {"system": "Be brief"}
    assert credentials.ANTHROPIC_API_KEY not in json.dumps(sandbox.state())


def test_script_refuses_unknown_fields(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="txet"):
        sandbox.script({"txet": "typo"})
