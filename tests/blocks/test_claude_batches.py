"""Batches on the Claude block, through Anthropic's own client, against the sandbox."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from traceback import format_exception
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from blocks import anthropic_batches, guard
from blocks.anthropic import Claude
from blocks.anthropic_batches import BATCH_PRICE
from blocks.models import Reply, Request
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from prompts import Prompt, Settings
from sandbox.client import Sandbox
from sandbox.faults import Kind


class Verdict(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")

    good: bool


def question(text: str = "this one") -> Request:
    settings = Settings(max_tokens=300, trim="text", classify=("text",))
    prompt = Prompt("verdict", settings, "You judge.", "Judge {{ text }}.", {}, Verdict)
    return Request(prompt, {"text": text})


def ended(claude: Claude, requests: Mapping[str, Request]) -> dict[str, Reply | VendorError]:
    """The results of a batch of these requests."""
    results = claude.batch_results(claude.submit_batch(requests))
    assert results is not None
    return results


def error_of(results: Mapping[str, Reply | VendorError], custom_id: str = "a") -> VendorError:
    error = results[custom_id]
    assert isinstance(error, VendorError)
    return error


def test_answers_come_back_by_id_at_half_the_price(claude: Claude, sandbox: Sandbox) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100}
    sandbox.script(dict(when="one", text="1", usage=usage), dict(when="two", text="2", usage=usage))
    results = ended(claude, {"a": question("one"), "b": question("two")})
    assert {key: getattr(reply, "text", None) for key, reply in results.items()} == {"a": "1", "b": "2"}
    reply = results["a"]
    assert isinstance(reply, Reply)
    assert (reply.model, reply.stop_reason, reply.seconds) == ("claude-haiku-5-5", "end_turn", 0.0)
    assert (reply.input_tokens, reply.output_tokens) == (1000, 100)
    assert reply.cost == Decimal("0.00015") * BATCH_PRICE == Decimal("0.000075")


def test_the_same_is_asked_as_without_a_batch(claude: Claude, sandbox: Sandbox) -> None:
    corrected = Request(question().prompt, {"text": "x"}, (("[1]", "not an object"),))
    claude.ask(corrected)
    ended(claude, {"a": corrected})
    alone, in_batch = sandbox.model_calls()
    assert alone == in_batch


def test_cached_tokens_are_halved_too(claude: Claude, sandbox: Sandbox) -> None:
    usage = {"input_tokens": 100, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 100}
    sandbox.script(dict(json={"good": True}, usage=usage | {"output_tokens": 0}, times=2))
    alone, reply = claude.ask(question()), ended(claude, {"a": question()})["a"]
    assert isinstance(reply, Reply)
    assert reply.cost == alone.cost / 2


def test_the_worst_cost_stays_above(claude: Claude) -> None:
    reply = ended(claude, {"a": question()})["a"]
    assert isinstance(reply, Reply)
    assert claude.worst_cost(question()) * BATCH_PRICE >= reply.cost > 0


def test_a_batch_under_way_has_no_results_yet(claude: Claude, sandbox: Sandbox) -> None:
    sandbox.batches(polls=2)
    batch = claude.submit_batch({"a": question()})
    assert claude.batch_results(batch) is None
    assert claude.batch_results(batch) is None
    assert claude.batch_results(batch) is not None
    assert claude.batch_results(batch) is not None  # and again: nothing is used up


def test_a_text_may_hold_what_python_takes_for_the_end_of_a_line(claude: Claude, sandbox: Sandbox) -> None:
    text = "one\u2028two\u0085three\x0bfour\nfive\r\nsix"
    sandbox.script(dict(text=text))
    reply = ended(claude, {"a": question()})["a"]
    assert isinstance(reply, Reply)
    assert reply.text == text


def test_lines_are_whole_however_they_arrive() -> None:
    body = b'{"a": 1}\n\n{"b": "\xc3\xa9"}\r\n{"c": 3}'
    for size in range(1, len(body)):
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        assert [json.loads(line) for line in anthropic_batches.lines(chunks)] == [{"a": 1}, {"b": "é"}, {"c": 3}]


@pytest.mark.parametrize(
    ("reply", "stop_reason"),
    [
        ({"fault": "refusal"}, "refusal"),
        ({"fault": "truncated_json", "json": {"good": True}}, "max_tokens"),
    ],
)
def test_a_stopped_answer_is_a_paid_reply(
    claude: Claude, sandbox: Sandbox, reply: dict[str, Any], stop_reason: str
) -> None:
    sandbox.script(dict(**reply, usage={"input_tokens": 10, "output_tokens": 5}))
    got = ended(claude, {"a": question()})["a"]
    assert isinstance(got, Reply)
    assert got.stop_reason == stop_reason
    assert got.cost > 0


@pytest.mark.parametrize(
    ("status", "permanent", "words"),
    [
        (400, True, "400 odd"),
        (401, True, "put a valid API key"),
        (402, True, "add credit"),
        (413, True, "413 odd"),
        (429, False, "429 odd"),
        (500, False, "500 odd"),
        (529, False, "529 odd"),
    ],
)
def test_one_request_that_failed_says_whether_to_ask_again(
    claude: Claude, sandbox: Sandbox, status: int, permanent: bool, words: str
) -> None:
    sandbox.script(dict(when="bad", status=status, message="odd"))
    results = ended(claude, {"a": question("bad"), "b": question()})
    error = error_of(results)
    assert words in str(error)
    assert (error.status, error.permanent, error.unknown) == (status, permanent, False)
    assert isinstance(results["b"], Reply)


def test_a_model_that_does_not_exist_is_told_in_the_results(connect_claude: Callable[..., Claude]) -> None:
    claude = connect_claude(model="qwen-9", usd_per_million_input=0, usd_per_million_output=0)
    error = error_of(ended(claude, {"a": question()}))
    assert (error.status, error.permanent) == (404, True)
    assert "qwen-9" in str(error)


def test_what_was_not_answered_in_time_can_be_asked_again(claude: Claude, sandbox: Sandbox) -> None:
    sandbox.batches(expire=["a"])
    error = error_of(ended(claude, {"a": question()}))
    assert "24 hours" in str(error)
    assert (error.permanent, error.unknown) == (False, False)


def test_canceling_leaves_what_was_not_answered(claude: Claude, sandbox: Sandbox) -> None:
    sandbox.batches(polls=9)
    batch = claude.submit_batch({"a": question()})
    claude.cancel_batch(batch)
    error = error_of(claude.batch_results(batch) or {})
    assert "canceled" in str(error)
    assert not error.permanent
    with pytest.raises(VendorError, match="already ended") as caught:
        claude.cancel_batch(batch)
    assert caught.value.permanent


def test_a_result_of_another_kind_is_for_a_person(claude: Claude) -> None:
    line = json.dumps({"custom_id": "a", "result": {"type": "postponed"}}).encode()
    custom_id, error = anthropic_batches.outcome(claude._failures(), line, claude._in_batch)
    assert custom_id == "a"
    assert isinstance(error, VendorError)
    assert error.permanent
    assert "unknown kind 'postponed'" in str(error)


class TestGone:
    def test_a_batch_that_is_not_there(self, claude: Claude) -> None:
        for look in (claude.batch_results, claude.cancel_batch):
            with pytest.raises(VendorError, match=r"no such batch.*submit it again") as caught:
                look("msgbatch_never")
            assert (caught.value.permanent, caught.value.status) == (True, 404)

    def test_results_that_were_kept_long_enough(self, claude: Claude, sandbox: Sandbox) -> None:
        batch = claude.submit_batch({"a": question()})
        claude.batch_results(batch)
        sandbox.batches(archive=True)
        with pytest.raises(VendorError, match=r"29 days.*submit it again") as caught:
            claude.batch_results(batch)
        assert caught.value.permanent

    def test_a_server_without_batches(self, connect_claude: Callable[..., Claude], sandbox: Sandbox) -> None:
        claude = connect_claude(address=f"{sandbox.url}/none")
        with pytest.raises(VendorError, match="this server has no Message Batches; leave out --batch") as caught:
            claude.submit_batch({"a": question()})
        assert caught.value.permanent


class TestLimits:
    @pytest.mark.parametrize("custom_id", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
    def test_an_id_that_the_vendor_would_refuse(
        self, claude: Claude, custom_id: str, calls: Callable[..., int]
    ) -> None:
        with pytest.raises(VendorError, match="is not 1 to 64 letters") as caught:
            claude.submit_batch({"good": question(), custom_id: question()})
        assert caught.value.permanent
        assert calls("batches") == 0

    def test_nothing_to_ask(self, claude: Claude) -> None:
        with pytest.raises(VendorError, match="at least one request"):
            claude.submit_batch({})

    def test_too_many(self, claude: Claude, calls: Callable[..., int]) -> None:
        many = dict.fromkeys((f"c{n}" for n in range(100_001)), question())
        with pytest.raises(VendorError, match=r"100,001 requests are more than the 100,000") as caught:
            claude.submit_batch(many)
        assert caught.value.permanent
        assert calls("batches") == 0

    def test_too_large(self, claude: Claude, calls: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(anthropic_batches, "MOST_BYTES", 2_000_000)
        requests = {"a": question("ä" * 500_000), "b": question("x" * 900_000)}
        claude.submit_batch(requests)
        with pytest.raises(VendorError, match="more than the 2 MB that a batch may have") as caught:
            claude.submit_batch(requests | {"c": question("x" * 100_000)})
        assert caught.value.permanent
        assert calls("batches") == 1

    def test_an_unknown_price_is_named_before_anything_is_spent(
        self, connect_claude: Callable[..., Claude], calls: Callable[..., int]
    ) -> None:
        with pytest.raises(VendorError, match="no model 'qwen-9'"):
            connect_claude(model="qwen-9").submit_batch({"a": question()})
        assert calls("batches") == 0


class TestTrouble:
    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "bad_gateway", "server_error"])
    def test_a_batch_whose_reply_was_lost_may_be_there(
        self, claude: Claude, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
    ) -> None:
        sandbox.fault(kind, path="*/batches")
        with pytest.raises(VendorError) as caught:
            claude.submit_batch({"a": question()})
        assert (caught.value.unknown, caught.value.permanent) == (True, False)
        assert calls("batches") == 1

    def test_a_batch_that_was_refused_is_not(self, claude: Claude, sandbox: Sandbox) -> None:
        sandbox.fault("rate_limited", path="*/batches", retry_after=7)
        with pytest.raises(VendorError) as caught:
            claude.submit_batch({"a": question()})
        assert (caught.value.unknown, caught.value.permanent, caught.value.retry_after) == (False, False, 7)

    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "bad_gateway", "overloaded"])
    @pytest.mark.parametrize("path", ["*/batches/*01", "*/results"])
    def test_looking_can_be_repeated(self, claude: Claude, sandbox: Sandbox, kind: Kind, path: str) -> None:
        batch = claude.submit_batch({"a": question()})
        sandbox.fault(kind, path=path)
        with pytest.raises(VendorError) as caught:
            claude.batch_results(batch)
        assert (caught.value.unknown, caught.value.permanent) == (False, False)
        assert claude.batch_results(batch)

    def test_results_that_break_off_are_not_taken_for_all(self, claude: Claude) -> None:
        import httpx2
        from anthropic import Anthropic

        line = json.dumps({"custom_id": "a", "result": {"type": "expired"}}).encode() + b"\n"

        class Broken(httpx2.SyncByteStream):
            def __iter__(self) -> Any:
                yield line
                raise httpx2.RemoteProtocolError("peer closed connection")

        def answer(request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("/results"):
                return httpx2.Response(200, stream=Broken())
            return httpx2.Response(200, json={"id": "b", "processing_status": "ended"})

        http = httpx2.Client(transport=httpx2.MockTransport(answer))
        claude._client.get(lambda: Anthropic(api_key="x", max_retries=0, http_client=http))
        with pytest.raises(VendorError, match="no reply") as caught:
            claude.batch_results("b")
        assert not caught.value.permanent

    def test_a_page_instead_of_the_results(self, claude: Claude) -> None:
        with pytest.raises(VendorError, match="not JSON: Please log in") as caught:
            anthropic_batches.outcome(claude._failures(), b"<h1>Please log in</h1>", claude._in_batch)
        assert not caught.value.permanent

    def test_renamed_fields_are_named(self, claude: Claude, sandbox: Sandbox) -> None:
        sandbox.fault("renamed_field", path="*/batches", rename={"id": "batch_id"})
        with pytest.raises(SchemaDrift, match=r"batch\.id is missing") as made:
            claude.submit_batch({"a": question()})
        assert made.value.unknown
        batch = claude.submit_batch({"a": question()})
        sandbox.fault("renamed_field", path="*/results", rename={"output_tokens": "tokens_out"})
        with pytest.raises(SchemaDrift, match=r"message\.usage\.output_tokens is missing") as read:
            claude.batch_results(batch)
        assert not read.value.unknown  # it can be read again, and costs nothing
        sandbox.fault("renamed_field", path="*/results", rename={"custom_id": "id"})
        with pytest.raises(SchemaDrift, match=r"batch-result\.custom_id is missing"):
            claude.batch_results(batch)

    def test_the_key_goes_to_no_other_address(self, claude: Claude, sandbox: Sandbox) -> None:
        batch = claude.submit_batch({"a": question()})
        elsewhere = {"results_url": "http://127.0.0.1:9/v1/messages/batches/x/results"}
        sandbox.fault("renamed_field", path=f"*/{batch}", values=elsewhere)
        assert claude.batch_results(batch)

    def test_the_key_is_in_no_error(self, connect_claude: Callable[..., Claude], sandbox: Sandbox) -> None:
        claude = connect_claude()
        batch = claude.submit_batch({"a": question()})
        shown = []
        for act in (lambda: claude.submit_batch({"a": question()}), lambda: claude.batch_results(batch)):
            sandbox.fault("leaky_error", vendor="anthropic")
            with pytest.raises(VendorError) as caught:
                act()
            shown += [*format_exception(caught.value), str(vars(caught.value))]
        assert claude.api_key.get_secret_value() not in "".join(shown)

    def test_a_dead_key(self, connect_claude: Callable[..., Claude]) -> None:
        with pytest.raises(VendorError, match="put a valid API key") as caught:
            connect_claude(api_key=SecretStr("stolen")).submit_batch({"a": question()})
        assert caught.value.permanent


def test_every_request_passes_the_guard(claude: Claude) -> None:
    class Counting:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def before(self, vendor: str, units: int) -> None:
            self.heard.append(f"before {vendor} {units}")

        def after(self, vendor: str, error: VendorError | None) -> None:
            self.heard.append(f"after {vendor} {error is None}")

    counting = Counting()
    with guard.guarded_by(counting):
        ended(claude, {"a": question()})
        with pytest.raises(VendorError):
            claude.cancel_batch("msgbatch_never")
    pair = ["before claude 1", "after claude True"]
    assert counting.heard == [*pair, *pair, *pair, "before claude 1", "after claude False"]
