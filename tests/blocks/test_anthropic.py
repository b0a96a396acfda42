"""The Claude block, through Anthropic's own client, against the sandbox."""

import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from traceback import format_exception
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from blocks.anthropic import Claude
from blocks.models import Conversation, Model, Request, ToolSpec
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from prompts import Prompt, Settings
from sandbox.client import Sandbox
from sandbox.faults import Kind


class Place(BaseModel):
    """A nested object, which ends up in the schema's `$defs`."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(min_length=1)


class Verdict(BaseModel):
    """An answer with everything that the API does not take as it is."""

    model_config = ConfigDict(extra="forbid")

    label: Literal["good", "bad"]
    confidence: float = Field(ge=0, le=1)
    note: str = Field(max_length=20, pattern="^[a-z]+$")
    places: list[Place] = Field(max_length=3)
    who: Place | None = None


ANSWER = {"label": "good", "confidence": 0.9, "note": "fine", "places": [{"city": "Łódź"}], "who": None}


def prompt(system: str = "You judge.", max_tokens: int = 300) -> Prompt:
    settings = Settings(max_tokens=max_tokens, trim="text", classify=("text",))
    return Prompt("verdict", settings, system, "Judge this: {{ text }}", {}, Verdict)


def question(text: str = "zażółć", **changes: Any) -> Request:
    corrections = changes.pop("corrections", ())
    return Request(prompt(**changes), {"text": text}, corrections)


def sent(sandbox: Sandbox) -> dict[str, Any]:
    """The last request that the model was sent."""
    body: dict[str, Any] = sandbox.model_calls()[-1]
    return body


def test_claude_is_a_model(claude: Claude) -> None:
    model: Model = claude
    assert model.model_id == "claude-haiku-5-5"
    assert model.input_limit() == 90_000


@pytest.mark.parametrize(
    ("changes", "identity"),
    [
        ({}, "claude-haiku-5-5"),
        ({"address": "https://API.anthropic.com:443/"}, "claude-haiku-5-5"),
        ({"address": "http://me:secret@127.0.0.1:8080/v1"}, "claude-haiku-5-5@127.0.0.1:8080"),
        ({"address": "http://own.example:80"}, "claude-haiku-5-5@own.example"),
        ({"input_characters": 40_000}, "claude-haiku-5-5/40000"),
        ({"model": "own/7", "address": "https://own.example", "input_characters": 9}, "own/7@own.example/9"),
    ],
)
def test_another_server_is_another_model_under_the_same_name(changes: dict[str, Any], identity: str) -> None:
    model = Claude(**{"api_key": SecretStr("key")} | changes)
    assert model.identity(prompt()) == identity


def test_check_says_which_model_and_where(claude: Claude, sandbox: Sandbox) -> None:
    assert claude.check() == f"claude-haiku-5-5 at {sandbox.url}/anthropic"


def test_answer_comes_back_with_what_it_cost(claude: Claude, sandbox: Sandbox) -> None:
    sandbox.script(dict(json=ANSWER, usage={"input_tokens": 1000, "output_tokens": 100}))
    reply = claude.ask(question())
    assert json.loads(reply.text) == ANSWER
    assert (reply.model, reply.stop_reason) == ("claude-haiku-5-5", "end_turn")
    assert (reply.input_tokens, reply.output_tokens) == (1000, 100)
    assert reply.cost == Decimal("0.00015")  # 1000 at 0.10, 100 at 0.50 USD per million
    assert reply.seconds > 0
    assert reply.metadata["request_id"].startswith("req_")


def test_schema_is_one_that_the_api_takes(claude: Claude, sandbox: Sandbox) -> None:
    reply = claude.ask(question())
    schema = sent(sandbox)["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Place"]["additionalProperties"] is False
    assert "maximum" not in schema["properties"]["confidence"]
    assert "maximum: 1" in schema["properties"]["confidence"]["description"]
    assert set(json.loads(reply.text)) >= {"label", "confidence", "note", "places"}


def test_real_prompt_gets_a_valid_answer(claude: Claude) -> None:
    import prompts

    lead = prompts.load("lead_triage")
    reply = claude.ask(Request(lead, lead.cases[0].inputs))
    assert set(json.loads(reply.text)) == set(lead.answer.model_fields)


def test_corrections_are_turns(claude: Claude, sandbox: Sandbox) -> None:
    claude.ask(question(corrections=(("[1]", "not an object"), ("", "empty answer"))))
    assert sent(sandbox)["messages"] == [
        {"role": "user", "content": "Judge this: zażółć"},
        {"role": "assistant", "content": "[1]"},
        {"role": "user", "content": "not an object"},
        {"role": "assistant", "content": "(no answer)"},
        {"role": "user", "content": "empty answer"},
    ]


def test_cached_tokens_are_counted_in_and_priced_apart(claude: Claude, sandbox: Sandbox) -> None:
    usage = {"input_tokens": 100, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 100}
    sandbox.script(dict(json=ANSWER, usage=usage | {"output_tokens": 0}))
    reply = claude.ask(question())
    assert reply.input_tokens == 1000
    assert reply.cost == (100 * Decimal("0.1") + 800 * Decimal("0.01") + 100 * Decimal("0.125")) / 1_000_000
    assert (reply.cache_read_tokens, reply.cache_write_tokens) == (800, 100)


def test_only_a_long_system_text_is_cached(claude: Claude, sandbox: Sandbox) -> None:
    claude.ask(question(system="x" * 16_383))
    assert "cache_control" not in sent(sandbox)["system"][0]
    claude.ask(question(system="x" * 16_384))
    assert sent(sandbox)["system"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("reply", "stop_reason"),
    [
        ({"fault": "refusal"}, "refusal"),
        ({"fault": "truncated_json", "json": ANSWER}, "max_tokens"),
        ({"text": "", "stop_reason": "model_context_window_exceeded"}, "model_context_window_exceeded"),
    ],
)
def test_stopped_answer_is_a_paid_reply(
    claude: Claude, sandbox: Sandbox, reply: dict[str, Any], stop_reason: str
) -> None:
    sandbox.script(dict(**reply, usage={"input_tokens": 10, "output_tokens": 5}))
    got = claude.ask(question())
    assert got.stop_reason == stop_reason
    assert got.cost > 0


@pytest.mark.parametrize("text", ["short", "zażółć gęślą jaźń " * 500, "🦊" * 1000])
def test_worst_cost_is_above_what_it_costs(claude: Claude, sandbox: Sandbox, text: str) -> None:
    request = question(text, corrections=(("x" * 500, "y" * 500),))
    tokens = len(text.encode()) + 1000  # a token per byte: no tokenizer does worse
    sandbox.script(dict(json=ANSWER, usage={"input_tokens": tokens, "output_tokens": 300}))
    assert claude.worst_cost(request) >= claude.ask(request).cost > 0


def test_worst_cost_knows_the_price_of_long_prompts_and_of_writing_the_cache(claude: Claude) -> None:
    short, long = claude.worst_cost(question("x" * 90_000)), claude.worst_cost(question("x" * 110_000))
    assert long > 5 * short
    assert claude.worst_cost(question(system="x" * 16_384)) > claude.worst_cost(question("x" * 17_000))


def test_unknown_model_is_named_before_anything_is_spent(
    connect_claude: Callable[..., Claude], calls: Callable[..., int]
) -> None:
    claude = connect_claude(model="qwen-9")
    for call in (claude.worst_cost, claude.ask):
        with pytest.raises(VendorError, match=r"no model 'qwen-9'.*usd_per_million_input") as caught:
            call(question())
        assert caught.value.permanent
    assert calls("messages") == 0


def test_prices_of_ones_own(connect_claude: Callable[..., Claude], sandbox: Sandbox) -> None:
    sandbox.script(dict(json=ANSWER, usage={"input_tokens": 1000, "output_tokens": 100}))
    claude = connect_claude(usd_per_million_input=2, usd_per_million_output=10)
    assert claude.ask(question()).cost == Decimal("0.003")
    assert connect_claude(model="m", usd_per_million_input=0, usd_per_million_output=0).worst_cost(question()) == 0


def test_one_price_without_the_other_is_refused(connect_claude: Callable[..., Claude]) -> None:
    with pytest.raises(ValidationError, match="give both prices"):
        connect_claude(usd_per_million_input=2)


@pytest.mark.parametrize(
    ("status", "permanent", "way_out"),
    [
        (400, True, "bad request"),
        (401, True, "put a valid API key"),
        (402, True, "add credit"),
        (403, True, "give the API key's workspace access"),
        (404, True, "check the model's name"),
        (413, True, "bad request"),
        (429, False, "bad request"),
        (500, False, "bad request"),
        (529, False, "bad request"),
    ],
)
def test_refused_call(
    claude: Claude, sandbox: Sandbox, status: int, permanent: bool, way_out: str, calls: Callable[..., int]
) -> None:
    sandbox.script(dict(status=status, message="bad request", retry_after=3600))
    with pytest.raises(VendorError, match=way_out) as caught:
        claude.ask(question())
    error = caught.value
    assert (error.status, error.permanent, error.unknown) == (status, permanent, False)
    assert error.retry_after == 3600
    assert calls("messages") == 1


def test_spend_limit_is_permanent(connect_claude: Callable[..., Claude]) -> None:
    import httpx2
    from anthropic import Anthropic

    details = {"error_code": "enforced_spend_limit_reached"}
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "limit", "details": details}}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(429, json=body))
    claude = connect_claude()
    claude._client.get(lambda: Anthropic(api_key="x", max_retries=0, http_client=httpx2.Client(transport=transport)))
    with pytest.raises(VendorError, match="raise the spend limit") as caught:
        claude.ask(question())
    assert (caught.value.permanent, caught.value.status) == (True, 402)


@pytest.mark.parametrize("kind", ["reply_lost", "reset"])
def test_lost_reply_may_have_been_paid_and_is_not_asked_again_here(
    claude: Claude, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
) -> None:
    sandbox.fault(kind, path="messages")
    with pytest.raises(VendorError, match="no reply") as caught:
        claude.ask(question())
    assert (caught.value.unknown, caught.value.permanent) == (True, False)
    assert calls("messages") == 1


def test_hang_ends_at_the_timeout(connect_claude: Callable[..., Claude], sandbox: Sandbox) -> None:
    sandbox.fault("hang", path="messages", seconds=30)
    with pytest.raises(VendorError, match="ReadTimeout") as caught:
        connect_claude(timeout_seconds=0.2).ask(question())
    assert caught.value.unknown


def test_unreachable_vendor_cost_nothing(connect_claude: Callable[..., Claude]) -> None:
    with pytest.raises(VendorError, match="could not connect") as caught:
        connect_claude(address="http://127.0.0.1:9").ask(question())
    assert (caught.value.unknown, caught.value.permanent) == (False, False)


def test_bad_gateway_is_told_without_its_markup(claude: Claude, sandbox: Sandbox) -> None:
    sandbox.fault("bad_gateway", path="messages")
    with pytest.raises(VendorError, match="502 Bad Gateway") as caught:
        claude.ask(question())
    assert not caught.value.permanent
    assert "<" not in str(caught.value)


def test_page_instead_of_json_is_retryable(connect_claude: Callable[..., Claude]) -> None:
    import httpx2
    from anthropic import Anthropic

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, html="<h1>Please log in</h1>"))
    claude = connect_claude()
    claude._client.get(lambda: Anthropic(api_key="x", max_retries=0, http_client=httpx2.Client(transport=transport)))
    with pytest.raises(VendorError, match="not JSON: Please log in") as caught:
        claude.ask(question())
    assert not caught.value.permanent


def test_key_is_in_no_error_and_no_repr(connect_claude: Callable[..., Claude], sandbox: Sandbox) -> None:
    claude = connect_claude(api_key=SecretStr("planted-key"))
    with pytest.raises(VendorError) as refused:
        claude.check()
    assert (refused.value.permanent, refused.value.status) == (True, 401)
    sandbox.script(dict(status=400, message="the key planted-key is odd"))
    with pytest.raises(VendorError) as also:
        claude.ask(question())
    errors = format_exception(refused.value) + format_exception(also.value)
    shown = f"{claude!r} {errors} {vars(also.value)} {claude.model_dump()}"
    assert "planted" not in shown


def test_eight_threads_each_get_their_own_answer(claude: Claude, sandbox: Sandbox) -> None:
    for n in range(24):
        sandbox.script(dict(when=f"no {n}.", text=str(n)))
    with ThreadPoolExecutor(8) as pool:
        texts = pool.map(lambda n: claude.ask(question(f"no {n}.")).text, range(24))
    assert list(texts) == [str(n) for n in range(24)]


def test_client_sends_once_and_follows_nothing(claude: Claude) -> None:
    client = claude.get_client()
    assert client is claude.get_client()
    assert client.max_retries == 0
    assert not client._client.follow_redirects


class TestConversing:
    """An agent's steps: what is sent, what may be cached, what comes back."""

    TOOL = ToolSpec("look", "Look something up.", {"type": "object", "properties": {"at": {"type": "string"}}})

    def conversation(self, *more: dict[str, Any], **changes: Any) -> Conversation:
        said: list[dict[str, Any]] = [{"role": "user", "content": "Who is Ann?"}, *more]
        return dataclasses.replace(Conversation("You look.", said, [self.TOOL], 500), **changes)

    def test_a_turn_is_told_with_its_calls_and_its_cost(self, claude: Claude, sandbox: Sandbox) -> None:
        usage = {"input_tokens": 1_000, "output_tokens": 200, "cache_read_input_tokens": 9_000}
        sandbox.script(dict(text="Let me see.", tool_use=[{"name": "look", "input": {"at": "x"}}], usage=usage))
        turn = claude.converse(self.conversation())
        assert [block["type"] for block in turn.content] == ["text", "tool_use"]
        assert (turn.stop_reason, turn.input_tokens, turn.output_tokens) == ("tool_use", 10_000, 200)
        assert (turn.cache_read_tokens, turn.cache_write_tokens) == (9_000, 0)
        assert 0 < turn.cost < claude.price(10_000, 200)

    def test_its_turn_goes_back_as_it_came_and_the_end_is_marked_for_the_cache(
        self, claude: Claude, sandbox: Sandbox
    ) -> None:
        sandbox.script(dict(tool_use=[{"id": "t1", "name": "look", "input": {"at": "x"}}]))
        first = claude.converse(self.conversation())
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Ann Berg"}]}
        claude.converse(self.conversation({"role": "assistant", "content": first.content}, result))
        body = sandbox.model_calls()[-1]
        assert body["messages"][1]["content"] == first.content
        assert body["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral"}
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in json.dumps(body["messages"][:2])

    @given(st.text(max_size=2_000))
    def test_the_quick_count_is_never_low(self, text: str) -> None:
        claude = Claude(api_key=SecretStr("x"))
        body = self.conversation(system=text)
        assert claude.size(body) >= len(text.encode()) + len("Who is Ann?")

    def test_the_exact_count_is_the_vendors(self, claude: Claude) -> None:
        counted = claude.count(self.conversation())
        assert 0 < counted < claude.size(self.conversation())

    def test_a_server_that_cannot_count_is_no_failure(self, claude: Claude, sandbox: Sandbox) -> None:
        import httpx2
        from anthropic import Anthropic

        transport = httpx2.MockTransport(lambda _: httpx2.Response(404, json={"error": {"message": "no such route"}}))
        own = Claude(api_key=SecretStr("x"), address=sandbox.url)
        own._client.get(lambda: Anthropic(api_key="x", max_retries=0, http_client=httpx2.Client(transport=transport)))
        assert own.count(self.conversation()) == claude.size(self.conversation())

    @pytest.mark.parametrize("kind", ["reset", "reply_lost"])
    def test_a_lost_turn_may_have_been_paid(self, claude: Claude, sandbox: Sandbox, kind: Any) -> None:
        sandbox.script(dict(fault=kind))
        with pytest.raises(VendorError) as caught:
            claude.converse(self.conversation())
        assert caught.value.unknown

    def test_a_call_that_is_no_longer_what_it_was_is_named(self, claude: Claude, sandbox: Sandbox) -> None:
        sandbox.script(dict(tool_use=[{"name": "look", "input": {}}]))
        sandbox.fault("renamed_field", "anthropic", "*/v1/messages", rename={"input": "arguments"})
        with pytest.raises(SchemaDrift, match=r"tool_use\.input"):
            claude.converse(self.conversation())
