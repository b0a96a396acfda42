"""What a failure says, and what it must not say."""

import copy
import importlib
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import urllib3
from prefect.blocks.core import Block
from pydantic import SecretStr

from blocks.vendor import Failures, Once, VendorError, from_status, reply_text, retry_after_seconds, scrub, shortened

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("status", "permanent", "unknown"),
    [
        (400, True, False),
        (401, True, False),
        (404, True, False),
        (409, False, False),
        (429, False, False),
        (500, False, True),
        (502, False, True),
        (503, False, True),
        (529, False, True),
    ],
)
def test_status_of_a_write_says_whether_to_try_again(status: int, permanent: bool, unknown: bool) -> None:
    error = from_status("slack", "chat.postMessage", status, "no", write=True)
    assert (error.permanent, error.unknown, error.status) == (permanent, unknown, status)


def test_a_failed_read_is_never_unknown() -> None:
    assert not from_status("gmail", "messages.get", 502, "no").unknown


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after_seconds({"retry-after": "2.5"}) == 2.5
    assert retry_after_seconds({"Retry-After": "-3"}) == 0
    assert 55 < (retry_after_seconds({"RETRY-AFTER": soon}) or 0) <= 60
    assert retry_after_seconds({"retry-after": "soon"}) is None
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"code": 403, "message": "Insufficient Permission"}}', "Insufficient Permission"),
        (b'{"status": "error", "message": "bad property"}', "bad property"),
        (b'{"error": "invalid_grant", "error_description": "revoked"}', "invalid_grant: revoked"),
        (b"<html><style>p {}</style><h1>502</h1>\n<p>Bad Gateway</p></html>", "502 Bad Gateway"),
        (b"[1, 2]", "[1, 2]"),
        (b"\xff plain", "� plain"),
        ("x" * 1000, "x" * 299 + "…"),
        ("word " * 100, "word " * 59 + "word…"),
    ],
)
def test_reply_text_is_what_a_person_can_read(body: bytes | str, text: str) -> None:
    assert shortened(reply_text(body)) == text


def test_lost_reply_is_unknown_only_when_the_write_reached_the_wire() -> None:
    failures = Failures("gmail")
    assert failures.lost("send", httpx.ReadTimeout("slow"), write=True).unknown
    assert failures.lost("send", httpx.RemoteProtocolError("gone"), write=True).unknown
    assert not failures.lost("send", httpx.ConnectTimeout("slow"), write=True).unknown
    assert not failures.lost("send", httpx.ConnectError("refused"), write=True).unknown
    assert not failures.lost("get", httpx.ReadTimeout("slow")).unknown
    assert failures.lost("create", urllib3.exceptions.ProtocolError("gone"), write=True).unknown
    refused = urllib3.exceptions.ConnectTimeoutError("refused")
    assert not failures.lost("create", refused, write=True).unknown


def test_way_out_follows_the_reason() -> None:
    failures = Failures("hubspot", ways_out={401: "create a new key"})
    error = failures.refused("GET /contacts", 401, b'{"message": "expired"}')
    assert str(error) == "hubspot: GET /contacts: 401 expired: create a new key"


@pytest.mark.parametrize(
    "text",
    [
        "sent Authorization: Bearer planted.token-123",
        "could not reach https://api.example.com/v1/x?api_key=planted.token-123",
        "key sk-ant-planted.token-123 is dead",
        "token xoxb-planted.token-123",
        "token ntn_plantedtoken12345678901234",
        "ya29.planted.token-123 expired",
        "pat-eu1-planted.token-123",
        "Expired API Key provided: rk_live_planted123",
        "the key (sk_test_planted123) is dead",
    ],
)
def test_what_looks_like_a_credential_is_blanked(text: str) -> None:
    assert "planted" not in scrub(text)
    assert "planted" not in str(VendorError("slack", "post", text, permanent=True))
    assert "planted" not in repr(VendorError("slack", "post", text, permanent=True))


def test_scrubbing_leaves_sentences_alone() -> None:
    text = "what? a basic error: see https://example.com/docs"
    assert scrub(text) == text


def test_a_credential_in_use_is_blanked_whatever_it_looks_like() -> None:
    failures = Failures("hubspot", (SecretStr("hunter2"), SecretStr("")))
    error = failures.refused("GET /contacts", 401, b'{"message": "the token hunter2 expired"}')
    assert "hunter2" not in f"{error!r} {error} {failures!r} {vars(error)}"


def test_a_credential_that_is_read_only_out_of_escapes_is_blanked_before_the_text_is_cut() -> None:
    failures = Failures("hubspot", (SecretStr("hunter2"),))
    error = failures.refused("GET /contacts", 401, '{"message": "%s \\u0068unter2"}' % ("x" * 290))
    assert str(error).endswith("xxx ***")


def test_errors_survive_pickling() -> None:
    error = VendorError("slack", "post", "no", permanent=False, retry_after=3, unknown=True, status=503)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (VendorError, str(error), vars(error))


def test_once_builds_once_for_all_threads() -> None:
    once: Once[object] = Once()
    start = threading.Barrier(8)
    built: list[int] = []

    def build() -> object:
        built.append(1)
        return object()

    def get(_: int) -> object:
        start.wait()
        return once.get(build)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(get, range(8)))) == 1
    assert built == [1]


def test_once_does_not_travel() -> None:
    once: Once[object] = Once()
    once.get(threading.Lock)
    for other in (copy.deepcopy(once), pickle.loads(pickle.dumps(once))):
        assert other.get(lambda: "new") == "new"


def test_once_closes_what_it_built() -> None:
    closed: list[bool] = []

    class Client:
        def close(self) -> None:
            closed.append(True)

    once: Once[Client] = Once()
    once.get(Client)
    del once
    assert closed == [True]


BLOCKS = ("blocks.gmail", "blocks.hubspot", "blocks.slack", "blocks.anthropic", "blocks.notion")


def block_in(module: str) -> type[Block]:
    found = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Block) and value is not Block
    ]
    (only,) = found
    return only


@pytest.mark.parametrize("module", BLOCKS)
def test_form_of_a_block_explains_itself(module: str) -> None:
    block = block_in(module)
    schema = block._to_block_schema().fields
    assert block.get_description()
    assert schema["secret_fields"]
    for name, field in schema["properties"].items():
        assert field.get("description"), name
        assert field["title"] != name
    assert schema["properties"]["address"]["default"].startswith("https://")


def test_blocks_load_no_sdk_until_they_need_it() -> None:
    heavy = ["anthropic", "googleapiclient", "google.auth", "hubspot", "genai_prices"]
    code = f"import sys, {', '.join(BLOCKS)}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
