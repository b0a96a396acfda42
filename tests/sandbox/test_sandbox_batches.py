"""The pretend Message Batches API, through Anthropic's own client and judged by its own types."""

import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from sandbox import credentials
from sandbox.client import Sandbox

Json = dict[str, Any]
HEADERS = {"x-api-key": credentials.ANTHROPIC_API_KEY, "anthropic-version": "2023-06-01"}


@pytest.fixture
def claude(sandbox: Sandbox) -> Anthropic:
    """Return Anthropic's client, pointed at the sandbox."""
    key, url = credentials.ANTHROPIC_API_KEY, sandbox.at("anthropic")
    return Anthropic(api_key=key, base_url=url, max_retries=0, timeout=10, _strict_response_validation=True)


def asked(custom_id: str, words: str = "Hello there", **changes: Any) -> Any:
    """Return one request of a batch."""
    question = [{"role": "user", "content": words}]
    params = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": question}
    return {"custom_id": custom_id, "params": params | changes}


def results(claude: Anthropic, batch: MessageBatch) -> dict[str, Any]:
    """Return the results by custom id, once the batch has ended."""
    assert claude.messages.batches.retrieve(batch.id).processing_status == "ended"
    return {each.custom_id: each.result for each in claude.messages.batches.results(batch.id)}


def get(sandbox: Sandbox, path: str) -> httpx.Response:
    """Look without a client between."""
    return httpx.get(sandbox.at("anthropic") + path, headers=HEADERS, trust_env=False)


def test_a_batch_is_answered_by_the_same_model(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.script({"when": "one", "text": "first"}, {"when": "two", "text": "second", "usage": {"output_tokens": 7}})
    batch = claude.messages.batches.create(requests=[asked("a", "one"), asked("b", "two")])
    assert (batch.processing_status, batch.results_url, batch.ended_at) == ("in_progress", None, None)
    assert batch.request_counts.processing == 2
    found = results(claude, batch)
    assert list(found) == ["b", "a"]  # never rely on the order
    assert found["a"].message.content[0].text == "first"
    assert (found["b"].message.usage.output_tokens, found["b"].message.usage.service_tier) == (7, "batch")
    assert [call["messages"][0]["content"] for call in sandbox.model_calls()] == ["one", "two"]


def test_everything_conforms_strictly(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(expire=["late"])
    sandbox.script({"when": "bad", "status": 400}, {"when": "full", "fault": "overloaded"})
    requests = [asked("ok"), asked("late"), asked("bad", "bad"), asked("full", "full")]
    batch = claude.messages.batches.create(requests=requests)
    path = f"/v1/messages/batches/{batch.id}"
    ended = MessageBatch.model_validate_json(get(sandbox, path).content, strict=True)
    assert not ended.model_extra
    assert ended.ended_at is not None
    assert ended.request_counts.to_dict() == {
        "succeeded": 1, "errored": 2, "expired": 1, "canceled": 0, "processing": 0,
    }  # fmt: skip
    assert ended.results_url == sandbox.at("anthropic") + path + "/results"
    lines = get(sandbox, path + "/results").text.splitlines()
    read = [MessageBatchIndividualResponse.model_validate_json(line, strict=True) for line in lines]
    kinds = {each.custom_id: each.result for each in read}
    assert {name: each.type for name, each in kinds.items()} == {
        "ok": "succeeded", "late": "expired", "bad": "errored", "full": "errored",
    }  # fmt: skip
    errors = [kinds[name].to_dict()["error"]["error"]["type"] for name in ("bad", "full")]  # type: ignore[index]
    assert errors == ["invalid_request_error", "overloaded_error"]


def test_what_is_wrong_with_one_request_shows_in_its_result(claude: Anthropic, sandbox: Sandbox) -> None:
    batch = claude.messages.batches.create(requests=[asked("odd", temperature=1), asked("no", model="gpt-9")])
    found = results(claude, batch)
    assert found["odd"].error.error.message == "temperature: Extra inputs are not permitted"
    assert found["no"].error.error.type == "not_found_error"
    assert sandbox.model_calls() == []


def test_ends_after_so_many_polls(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(polls=2)
    batch = claude.messages.batches.create(requests=[asked("a")])
    statuses = [claude.messages.batches.retrieve(batch.id).processing_status for _ in range(4)]
    assert statuses == ["in_progress", "in_progress", "ended", "ended"]


def test_no_results_before_the_end(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(polls=5)
    batch = claude.messages.batches.create(requests=[asked("a")])
    assert get(sandbox, f"/v1/messages/batches/{batch.id}/results").status_code == 404


def test_canceling(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(polls=5)
    batch = claude.messages.batches.create(requests=[asked("a"), asked("b")])
    canceling = claude.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling"
    assert canceling.cancel_initiated_at is not None
    assert {each.type for each in results(claude, batch).values()} == {"canceled"}
    with pytest.raises(anthropic.BadRequestError, match="already ended"):
        claude.messages.batches.cancel(batch.id)


def test_results_are_gone_after_29_days(claude: Anthropic, sandbox: Sandbox) -> None:
    batch = claude.messages.batches.create(requests=[asked("a")])
    results(claude, batch)
    sandbox.batches(archive=True)
    old = claude.messages.batches.retrieve(batch.id)
    assert old.archived_at is not None
    assert (old.processing_status, old.results_url, old.request_counts.succeeded) == ("ended", None, 1)
    assert get(sandbox, f"/v1/messages/batches/{batch.id}/results").status_code == 404


def test_deleting(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(polls=1)
    batch = claude.messages.batches.create(requests=[asked("a")])
    with pytest.raises(anthropic.BadRequestError, match="cancel it first"):
        claude.messages.batches.delete(batch.id)
    claude.messages.batches.cancel(batch.id)
    results(claude, batch)
    assert claude.messages.batches.delete(batch.id).type == "message_batch_deleted"
    for look in (claude.messages.batches.retrieve, claude.messages.batches.cancel, claude.messages.batches.delete):
        with pytest.raises(anthropic.NotFoundError):
            look(batch.id)


def test_listing_newest_first_in_pages(claude: Anthropic) -> None:
    made = [claude.messages.batches.create(requests=[asked("a")]).id for _ in range(5)]
    assert [batch.id for batch in claude.messages.batches.list(limit=2)] == made[::-1]
    before = claude.messages.batches.list(before_id=made[0], limit=2)
    assert ([batch.id for batch in before.data], before.has_more) == ([made[2], made[1]], True)
    assert (before.first_id, before.last_id) == (made[2], made[1])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "requests: Field required"),
        ({"requests": []}, "at least 1 item"),
        ({"requests": [asked("x" * 65)]}, "requests.0.custom_id: String should have at most 64 characters"),
        ({"requests": [asked("a"), asked("a b")]}, "requests.1.custom_id: String should match pattern"),
        ({"requests": [asked("")]}, "requests.0.custom_id: String should match pattern"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ({"requests": [asked("a") | {"body": {}}]}, "requests.0.body: Extra inputs"),
        ({"requests": [asked("a"), asked("b"), asked("a")]}, "custom_id must be unique"),
    ],
)
def test_bad_batches_are_refused_whole(sandbox: Sandbox, body: Json, words: str) -> None:
    url = sandbox.at("anthropic") + "/v1/messages/batches"
    reply = httpx.post(url, json=body, headers=HEADERS, trust_env=False)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
    assert words in reply.json()["error"]["message"]
    assert sandbox.model_calls() == []


def test_other_keys_are_refused(sandbox: Sandbox) -> None:
    stranger = Anthropic(api_key="stolen", base_url=sandbox.at("anthropic"), max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.batches.list()


def test_faults_strike_here_too(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.fault("refusal", path="*/batches")
    refused = claude.messages.batches.create(requests=[asked("a")])
    assert results(claude, refused)["a"].message.stop_reason == "refusal"
    sandbox.fault("reply_lost", path="*/batches", method="POST")
    with pytest.raises(anthropic.APIConnectionError):
        claude.messages.batches.create(requests=[asked("a")])
    assert len(claude.messages.batches.list().data) == 2  # the work was done, the reply got lost


def test_a_reset_forgets_all(claude: Anthropic, sandbox: Sandbox) -> None:
    sandbox.batches(polls=9)
    claude.messages.batches.create(requests=[asked("a")])
    sandbox.reset(empty=True)
    assert json.loads(get(sandbox, "/v1/messages/batches").content)["data"] == []
    batch = claude.messages.batches.create(requests=[asked("a")])
    assert results(claude, batch)["a"].type == "succeeded"
