"""Every fault, seen by a real client."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import anthropic
import google.auth.exceptions
import httpx
import pytest
from anthropic import Anthropic
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from hubspot import HubSpot
from hubspot.crm.contacts.exceptions import ApiException

from sandbox import credentials
from sandbox.client import Sandbox, SandboxError
from sandbox.faults import Kind, Vendor

TASK = {"properties": {"hs_timestamp": "2026-11-23T10:00:00Z", "hs_task_subject": "Call Ann"}}
TASKS = "/hubspot/crm/v3/objects/tasks"
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
    "output_config": {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"intent": {"enum": ["demo"]}},
                "required": ["intent"],
                "additionalProperties": False,
            },
        }
    },
}
TOKENS = {"google": "none", "hubspot": credentials.HUBSPOT_TOKEN, "slack": credentials.SLACK_BOT_TOKEN}
PATHS = {
    "google": "/google/gmail/v1/users/me/profile",
    "hubspot": "/hubspot/crm/v3/owners",
    "slack": "/slack/api/auth.test",
    "anthropic": "/anthropic/v1/models",
}


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a plain client that may call HubSpot."""
    headers = {"Authorization": f"Bearer {credentials.HUBSPOT_TOKEN}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def claude(sandbox: Sandbox) -> Anthropic:
    """Return Anthropic's client without retries."""
    return Anthropic(api_key=credentials.ANTHROPIC_API_KEY, base_url=sandbox.at("anthropic"), max_retries=0)


def google_login(sandbox: Sandbox) -> Credentials:
    """Return fresh Google credentials."""
    return Credentials(  # type: ignore[no-untyped-call]
        token=None,
        token_uri=sandbox.at("google") + "/token",
        refresh_token=credentials.GOOGLE_REFRESH_TOKEN,
        client_id=credentials.GOOGLE_CLIENT_ID,
        client_secret=credentials.GOOGLE_CLIENT_SECRET,
    )


def gmail(sandbox: Sandbox) -> httpx.Client:
    """Return a plain client that may call Gmail."""
    login = google_login(sandbox)
    login.refresh(Request())  # type: ignore[no-untyped-call]
    base = sandbox.at("google") + "/gmail/v1/users/me"
    return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {login.token}"}, trust_env=False)


class TestConnection:
    """Faults that cut the line."""

    def test_reply_lost_does_the_work_and_says_nothing(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("reply_lost", "hubspot", "/tasks")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            http.post(TASKS, json=TASK)
        assert len(sandbox.records("tasks")) == 1
        assert http.post(TASKS, json=TASK).status_code == 201

    def test_reset_does_nothing(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("reset", "hubspot", "/tasks")
        with pytest.raises(httpx.ReadError, match="reset"):
            http.post(TASKS, json=TASK)
        assert sandbox.records("tasks") == []
        assert http.post(TASKS, json=TASK).status_code == 201

    def test_hang_leaves_nothing_behind_for_a_caller_who_gave_up(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("hang", "hubspot", "/tasks", seconds=60)
        with pytest.raises(httpx.ReadTimeout):
            http.post(TASKS, json=TASK, timeout=0.3)
        assert sandbox.records("tasks") == []

    def test_hang_after_commit(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("hang", "hubspot", "/tasks", seconds=60, commit=True)
        with pytest.raises(httpx.ReadTimeout):
            http.post(TASKS, json=TASK, timeout=0.3)
        assert len(sandbox.records("tasks")) == 1

    def test_hang_ends(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("hang", "hubspot", "/tasks", seconds=0.2, times=2)
        sandbox.fault("hang", "hubspot", "/tasks", seconds=0.2, commit=True)
        for _ in range(3):
            before = time.monotonic()
            assert http.post(TASKS, json=TASK).status_code == 201
            assert time.monotonic() - before >= 0.2
        assert len(sandbox.records("tasks")) == 3

    def test_other_connections_live_on(self, sandbox: Sandbox, http: httpx.Client) -> None:
        http.get(TASKS)
        sandbox.fault("reset", "hubspot", "/tasks")
        with httpx.Client(trust_env=False, headers=http.headers) as other, pytest.raises(httpx.TransportError):
            other.get(sandbox.url + TASKS)
        assert http.get(TASKS).status_code == 200

    @pytest.mark.parametrize("kind", ["reply_lost", "reset"])
    def test_the_sdks_see_it_too(self, sandbox: Sandbox, claude: Anthropic, kind: Kind) -> None:
        sandbox.fault(kind, times=2)
        with pytest.raises(anthropic.APIConnectionError):
            claude.messages.create(**ASK)
        hubspot = HubSpot(access_token=credentials.HUBSPOT_TOKEN, host=sandbox.at("hubspot"))
        with pytest.raises(Exception, match=r"Connection aborted|Connection broken") as caught:
            hubspot.crm.contacts.basic_api.create({"properties": {"email": "a@b.example"}})
        assert type(caught.value).__module__.startswith("urllib3")
        assert len(sandbox.records("contacts")) == (kind == "reply_lost")


class TestRefusals:
    """Faults that answer, each vendor in its own words."""

    @pytest.mark.parametrize("retry_after", [None, 7.0])
    def test_rate_limited(self, sandbox: Sandbox, claude: Anthropic, retry_after: float | None) -> None:
        sandbox.fault("rate_limited", times=None, retry_after=retry_after)
        with pytest.raises(anthropic.RateLimitError) as limited:
            claude.messages.create(**ASK)
        hubspot = HubSpot(access_token=credentials.HUBSPOT_TOKEN, host=sandbox.at("hubspot"))
        with pytest.raises(ApiException) as refused:
            hubspot.crm.contacts.basic_api.create({"properties": {}})
        assert (refused.value.status, '"errorType":"RATE_LIMIT"' in refused.value.body) == (429, True)
        assert '"policyName":"TEN_SECONDLY_ROLLING"' in refused.value.body
        replies: list[Any] = [
            limited.value.response,
            *(call(sandbox, vendor) for vendor in ("google", "hubspot", "slack")),
        ]
        assert [reply.status_code for reply in replies] == [429] * 4
        assert {reply.headers.get("retry-after") for reply in replies} == {retry_after and "7"}

    @pytest.mark.parametrize(
        ("kind", "statuses"),
        [
            ("server_error", (500, 500, 500, 500)),
            ("overloaded", (503, 503, 503, 529)),
            ("unauthorized", (401, 401, 200, 401)),
            ("bad_gateway", (502, 502, 502, 502)),
        ],
    )
    def test_statuses(self, sandbox: Sandbox, kind: Kind, statuses: tuple[int, ...]) -> None:
        sandbox.fault(kind, times=4)
        replies = [call(sandbox, vendor) for vendor in PATHS]
        assert tuple(reply.status_code for reply in replies) == statuses
        shape = "text/html" if kind == "bad_gateway" else "application/json"
        assert all(reply.headers["content-type"].startswith(shape) for reply in replies)
        assert [each["fault"] for each in sandbox.requests()] == [kind] * 4

    def test_the_sdk_understands_an_overload(self, sandbox: Sandbox, claude: Anthropic) -> None:
        sandbox.fault("overloaded", "anthropic")
        with pytest.raises(anthropic.APIStatusError) as caught:
            claude.messages.create(**ASK)
        assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")

    def test_invalid_grant(self, sandbox: Sandbox) -> None:
        sandbox.fault("invalid_grant")
        login = google_login(sandbox)
        with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant"):
            login.refresh(Request())  # type: ignore[no-untyped-call]
        login.refresh(Request())  # type: ignore[no-untyped-call]
        assert login.valid

    def test_history_expired(self, sandbox: Sandbox) -> None:
        with gmail(sandbox) as client:
            since = client.get("/profile").json()["historyId"]
            sandbox.fault("history_expired")
            replies = [client.get("/history", params={"startHistoryId": since}) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [404, 200]
        assert replies[0].json()["error"]["errors"][0]["reason"] == "notFound"


class TestSubtle:
    """Faults that look like success."""

    def test_google_may_not_publish_to_a_topic_once(self, sandbox: Sandbox) -> None:
        sandbox.fault("topic_forbidden")
        with gmail(sandbox) as client:
            replies = [client.post("/watch", json={"topicName": "projects/p/topics/t"}) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [403, 200]
        assert "User not authorized to perform this action" in replies[0].json()["error"]["message"]

    @pytest.mark.parametrize("through_draft", [False, True])
    def test_message_id_is_rewritten(self, sandbox: Sandbox, through_draft: bool) -> None:
        sandbox.fault("message_id_rewrite")
        raw = "VG86IGFAYi5leGFtcGxlCk1lc3NhZ2UtSUQ6IDxvdXJzQGMuZXhhbXBsZT4KCkhp"
        with gmail(sandbox) as client:
            if through_draft:
                draft = client.post("/drafts", json={"message": {"raw": raw}}).json()["id"]
                client.post("/drafts/send", json={"id": draft}).raise_for_status()
            else:
                client.post("/messages/send", json={"raw": raw}).raise_for_status()
            found = client.get("/messages", params={"q": "rfc822msgid:ours@c.example"}).json()
        assert "messages" not in found
        (mail,) = sandbox.sent()
        assert mail.message_id.endswith("@mail.gmail.com>")
        assert mail.header("X-Google-Original-Message-ID") == "<ours@c.example>"
        assert mail.body == "Hi"

    def test_renamed_field(self, sandbox: Sandbox, http: httpx.Client) -> None:
        http.post(TASKS, json=TASK)
        sandbox.fault("renamed_field", "hubspot", "/tasks", method="GET", rename={"hs_createdate": "created_on"})
        first, second = (http.get(TASKS).json()["results"][0]["properties"] for _ in range(2))
        assert ("created_on" in first, "hs_createdate" in first) == (True, False)
        assert ("created_on" in second, "hs_createdate" in second) == (False, True)

    def test_a_field_left_out_or_retyped(self, sandbox: Sandbox, http: httpx.Client) -> None:
        http.post(TASKS, json=TASK)
        sandbox.fault(
            "renamed_field", "hubspot", "/tasks", method="GET", rename={"hs_createdate": ""}, values={"hs_object_id": 7}
        )
        (task,) = http.get(TASKS).json()["results"]
        assert "hs_createdate" not in task["properties"]
        assert task["properties"]["hs_object_id"] == 7

    def test_a_fault_may_be_about_what_is_sent(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("bad_request", "hubspot", "/tasks", body="needle", times=None)
        assert http.post(TASKS, json=TASK).status_code == 201
        refused = http.post(TASKS, json=TASK | {"needle": 1})
        assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
        assert http.get(TASKS).status_code == 200

    @pytest.mark.parametrize(
        ("vendor", "path"), [("google", "/google/gmail/v1/users/me/profile"), ("anthropic", "/anthropic/v1/models")]
    )
    def test_bad_request(self, sandbox: Sandbox, vendor: Vendor, path: str) -> None:
        sandbox.fault("bad_request", vendor)
        assert httpx.get(sandbox.url + path, trust_env=False).status_code == 400

    @pytest.mark.parametrize(
        ("kind", "stop_reason", "text"),
        [
            ("prose", "end_turn", "Sure! Here"),
            ("truncated_json", "max_tokens", '{"intent":'),
            ("refusal", "refusal", None),
        ],
    )
    def test_the_model_misbehaves(
        self, sandbox: Sandbox, claude: Anthropic, kind: Kind, stop_reason: str, text: str | None
    ) -> None:
        sandbox.fault(kind)
        message = claude.messages.create(**ASK)
        assert message.stop_reason == stop_reason
        assert message.usage.output_tokens > 0
        if text is None:
            assert message.content == []
        else:
            assert getattr(message.content[0], "text", "").startswith(text)
            assert "}" not in getattr(message.content[0], "text", "")
        assert getattr(claude.messages.create(**ASK).content[0], "text", "") == '{"intent": "demo"}'


class TestLeaks:
    """Refusals that quote what they should not."""

    @pytest.mark.parametrize("vendor", ["hubspot", "slack", "google", "anthropic"])
    def test_a_leaky_error_quotes_the_credential(self, sandbox: Sandbox, vendor: Vendor) -> None:
        sandbox.fault("leaky_error", vendor, status=400)
        reply = call(sandbox, vendor)
        assert reply.status_code == (200 if vendor == "slack" else 400)
        secret = f"Bearer {TOKENS[vendor]}" if vendor in TOKENS else credentials.ANTHROPIC_API_KEY
        assert f"(refused credential: {secret}" in reply.text
        assert secret in reply.headers["x-echo"]
        assert call(sandbox, vendor).status_code != 400

    def test_it_quotes_a_form_as_it_came_and_as_it_was_read(self, sandbox: Sandbox) -> None:
        sandbox.fault("leaky_error", "google", "/token")
        reply = httpx.post(sandbox.at("google") + "/token", data={"refresh_token": "1//0a+b"}, trust_env=False)
        assert reply.status_code == 401
        assert "refresh_token=1%2F%2F0a%2Bb refresh_token=1//0a+b" in reply.json()["error"]["message"]


class TestBooking:
    """Which calls a fault strikes."""

    def test_after_and_times(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("server_error", "hubspot", "/tasks", after=1, times=2)
        assert [http.get(TASKS).status_code for _ in range(4)] == [200, 500, 500, 200]
        (fault,) = sandbox.faults()
        assert (fault["seen"], fault["fired"]) == (4, 2)

    def test_method_path_and_pattern(self, sandbox: Sandbox, http: httpx.Client) -> None:
        sandbox.fault("server_error", "hubspot", "*/objects/tasks", method="post", times=None)
        assert http.get(TASKS).status_code == 200
        assert http.post(TASKS + "/search", json={}).status_code == 200
        assert http.post(TASKS, json=TASK).status_code == 500

    def test_faults_can_be_taken_back(self, sandbox: Sandbox, http: httpx.Client) -> None:
        number = sandbox.fault("server_error", times=None)
        sandbox.fault("overloaded", times=None)
        assert http.get(TASKS).status_code == 500
        sandbox.clear_faults(number)
        assert http.get(TASKS).status_code == 503
        sandbox.clear_faults()
        assert http.get(TASKS).status_code == 200

    def test_unknown_kinds_are_refused(self, sandbox: Sandbox) -> None:
        with pytest.raises(SandboxError, match="kind"):
            sandbox.fault("meteor")  # type: ignore[arg-type]

    def test_every_kind_is_tested_here(self) -> None:
        source = Path(__file__).read_text(encoding="utf-8") + "search_lag"  # that one in test_sandbox_hubspot.py
        assert all(kind in source for kind in get_args(Kind))


def call(sandbox: Sandbox, vendor: str) -> httpx.Response:
    """Make a harmless call to a vendor."""
    bearer = {"Authorization": f"Bearer {TOKENS[vendor]}"} if vendor in TOKENS else {}
    headers = bearer | {"x-api-key": credentials.ANTHROPIC_API_KEY, "anthropic-version": "2023-06-01"}
    return httpx.get(sandbox.url + PATHS[vendor], headers=headers, trust_env=False)
