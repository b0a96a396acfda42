"""Where traces are sent: the address, the credentials, and whatever a collector answers, or does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr, ValidationError

import prompts
from blocks import spans
from blocks.anthropic import Claude
from blocks.models import Request
from blocks.spans import Pipe
from blocks.traces import Traces
from blocks.vendor import VendorError
from tests.collector import Collector, collecting

ROOT = Path(__file__).parents[2]
RUN = "0123456789abcdef0123456789abcdef"
SECRET = "sk-lf-4f2c9a"
KEYS = {"public_key": SecretStr("pk-lf-1"), "secret_key": SecretStr(SECRET)}
BASIC = b64encode(f"pk-lf-1:{SECRET}".encode()).decode()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    with collecting() as found:
        yield found


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def end_spans(pipe: Pipe, count: int) -> None:
    for number in range(count):
        pipe.start(f"span {number}", None, {}).end()


class TestAddress:
    @pytest.mark.parametrize(
        ("address", "endpoint"),
        [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example.com/otlp/v1/traces", "https://otlp.example.com/otlp/v1/traces"),
            ("https://otlp.example.com/api/spans", "https://otlp.example.com/api/spans"),
        ],
    )
    def test_of_a_collector_is_taken_as_it_is_where_it_has_a_path(self, address: str, endpoint: str) -> None:
        block = Traces(address=address)
        assert block.endpoint == endpoint
        assert block.link(RUN) is None

    @pytest.mark.parametrize(
        "address",
        [
            "https://langfuse.example.com",
            "https://langfuse.example.com/",
            "https://langfuse.example.com/api/public/otel",
            "https://langfuse.example.com/api/public/otel/v1/traces",
        ],
    )
    def test_of_langfuse_may_be_given_with_or_without_its_path(self, address: str) -> None:
        block = Traces(address=address, **KEYS)
        assert block.endpoint == "https://langfuse.example.com/api/public/otel/v1/traces"
        assert block.link(RUN) == f"https://langfuse.example.com/trace/{RUN}"

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("cloud.langfuse.com", "begins with https://"),
            ("grpc://127.0.0.1:4317", "begins with https://"),
            ("https://", "names a host"),
            ("https://me:hunter2@otlp.example.com/v1/traces", "holds no credential"),
            ("https://otlp.example.com/v1/traces?key=hunter2", "holds no credential"),
        ],
    )
    def test_that_cannot_be_is_refused_in_words(self, address: str, words: str) -> None:
        with pytest.raises(ValidationError, match=words):
            Traces(address=address)

    @pytest.mark.parametrize("field", ["public_key", "secret_key"])
    def test_one_key_of_langfuses_alone_is_refused(self, field: str) -> None:
        with pytest.raises(ValidationError, match="both of Langfuse's keys"):
            Traces(**{field: SecretStr("x")})

    @pytest.mark.parametrize("headers", [SECRET, f"x y={SECRET}", f"x=a\n{SECRET}", f"=a{SECRET}", f"x=é{SECRET}"])
    def test_headers_that_cannot_be_sent_are_refused_without_being_told(self, headers: str) -> None:
        with pytest.raises(ValidationError, match="name=value") as caught:
            Traces(headers=SecretStr(headers))
        assert SECRET not in str(caught.value)


class TestCheck:
    def test_sends_an_export_without_a_span_and_says_who_took_it(self, collector: Collector) -> None:
        said = Traces(address=collector.url, **KEYS).check()
        assert said == f"Langfuse at {collector.url} takes traces"
        assert collector.paths == ["/api/public/otel/v1/traces"]
        assert collector.headers[0]["authorization"] == f"Basic {BASIC}"
        assert collector.headers[0]["content-type"] == "application/x-protobuf"
        assert collector.spans == []

    def test_headers_are_sent_and_those_of_the_environment_are_not(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-other=for-somebody-else")
        said = Traces(address=collector.url, headers=SecretStr("x-key=Basic%20abc=, x-team=7")).check()
        assert said == f"the collector at {collector.url} takes traces"
        assert collector.headers[0]["x-key"] == "Basic abc="
        assert collector.headers[0]["x-team"] == "7"
        assert "x-other" not in collector.headers[0]

    @pytest.mark.parametrize(
        ("status", "words", "permanent"),
        [
            (401, "put valid keys", True),
            (403, "leave to write traces", True),
            (404, "correct the address in the block traces/collector", True),
            (302, "302 it has moved: put its new address into the block", True),
            (503, "503", False),
        ],
    )
    def test_a_refusal_is_told_with_the_way_out_and_without_the_credential(
        self, collector: Collector, status: int, words: str, permanent: bool
    ) -> None:
        collector.answer = (
            status,
            {"location": "https://elsewhere.example/v1/traces"},
            f"<p>no: {BASIC} and {SECRET}</p>".encode(),
        )
        with pytest.raises(VendorError, match=words) as caught:
            Traces(address=collector.url, **KEYS).check()
        assert caught.value.permanent is permanent
        assert SECRET not in repr(caught.value)
        assert BASIC not in repr(caught.value)

    def test_a_header_is_blanked_where_it_is_quoted(self, collector: Collector) -> None:
        collector.answer = (401, {}, b"your key zz-77-hush is not known")
        with pytest.raises(VendorError, match=r"your key \*\*\* is not known"):
            Traces(address=collector.url, headers=SecretStr("x-key=zz-77-hush")).check()

    def test_nobody_there_and_nobody_answering_are_told_apart(self, collector: Collector) -> None:
        with pytest.raises(VendorError, match="could not connect"):
            Traces(address=f"http://127.0.0.1:{closed_port()}").check()
        collector.hangs = threading.Event()
        with pytest.raises(VendorError, match="no reply"):
            Traces(address=collector.url, timeout_seconds=0.2).check()

    def test_no_form_of_the_block_tells_its_credentials(self) -> None:
        block = Traces(headers=SecretStr(f"x-key={SECRET}"), **KEYS)
        client = block.get_client()
        for told in (repr(block), str(block), block.model_dump_json(), repr(vars(block)), repr(client)):
            assert SECRET not in told
            assert BASIC not in told


class TestPipe:
    def test_the_trace_has_the_runs_id_and_says_who_sends(self, collector: Collector) -> None:
        pipe = Pipe(Traces(address=collector.url, environment="staging"), RUN)
        outer = pipe.start("outer", None, {"signoff.stage": "gated"})
        pipe.start("inner", outer, {}, client=True).end()
        outer.end()
        pipe.close(5)
        (first, second) = collector.spans
        assert {first.trace_id, second.trace_id} == {RUN}
        assert (first.name, first.under, second.name, second.under) == ("outer", "", "inner", first.id)
        assert collector.resource["service.name"] == "signoff"
        assert collector.resource["deployment.environment.name"] == "staging"
        assert collector.resource["service.version"]
        assert (pipe.ended, pipe.lost, pipe.failure) == (2, 0, None)

    def test_nothing_of_it_is_seen_by_others_in_this_process(self, collector: Collector) -> None:
        before = trace.get_tracer_provider()
        pipe = Pipe(Traces(address=collector.url), RUN)
        span = pipe.start("span", None, {})
        assert trace.get_tracer_provider() is before
        assert trace.get_current_span() is trace.INVALID_SPAN
        span.end()
        pipe.close(5)

    def test_what_has_ended_is_sent_while_the_run_goes_on(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spans, "EVERY_SECONDS", 0.02)
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, 3)
        until(lambda: pipe.lost == 0)
        assert len(collector.spans) == 3
        pipe.close(5)

    def test_a_collector_that_is_busy_is_asked_again(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spans, "PAUSES", (0.01, 0.01))
        collector.first = [(503, {}, b""), (429, {"retry-after": "0.01"}, b"")]
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, spans.BATCH)  # a full batch is sent at once
        until(lambda: pipe.lost == 0)
        pipe.close(5)
        assert len(collector.spans) == spans.BATCH

    def test_one_that_refuses_for_good_is_not_asked_again(self, collector: Collector) -> None:
        collector.answer = (401, {}, b"no")
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, 2)
        pipe.close(5)
        assert len(collector.paths) == 1
        assert pipe.lost == 2
        assert "put valid keys" in str(pipe.failure)

    def test_spans_that_it_says_it_has_not_kept_are_counted(self, collector: Collector) -> None:
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = 2
        collector.answer = (200, {"content-type": "application/x-protobuf"}, answer.SerializeToString())
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, 5)
        pipe.close(5)
        assert pipe.lost == 2

    def test_an_answer_in_json_is_taken_for_what_it_is(self, collector: Collector) -> None:
        collector.answer = (200, {"content-type": "application/json"}, b'{"partialSuccess": {}}')
        pipe = Pipe(Traces(address=collector.url, **KEYS), RUN)
        end_spans(pipe, 2)
        pipe.close(5)
        assert (pipe.lost, collector.resource["langfuse.environment"]) == (0, "production")

    def test_one_that_hangs_holds_nobody_up_for_longer_than_was_said(self, collector: Collector) -> None:
        collector.hangs = threading.Event()
        pipe = Pipe(Traces(address=collector.url, timeout_seconds=30), RUN)
        began = time.monotonic()
        end_spans(pipe, spans.BATCH)
        assert time.monotonic() - began < 1
        pipe.close(0.2)
        assert time.monotonic() - began < 2
        assert pipe.lost == spans.BATCH

    def test_one_that_was_given_up_gets_one_attempt_at_a_time_until_it_is_back(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spans, "PAUSES", (0.01, 0.01))
        collector.first = [(503, {}, b"")] * 5
        pipe = Pipe(Traces(address=collector.url), RUN)
        for attempts in (3, 4, 5, 6):
            end_spans(pipe, spans.BATCH)
            until(lambda wanted=attempts: len(collector.paths) == wanted)
        pipe.close(5)
        assert len(collector.spans) == spans.BATCH
        assert pipe.lost == 3 * spans.BATCH

    def test_one_that_was_given_up_is_hardly_waited_for_at_the_end(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spans, "PAUSES", (0.01, 0.01))
        monkeypatch.setattr(spans, "GRACE_SECONDS", 0.1)
        pipe = Pipe(Traces(address=collector.url, timeout_seconds=30), RUN)
        collector.first = [(503, {}, b"")] * 4
        for attempts in (3, 4):
            end_spans(pipe, spans.BATCH)
            until(lambda wanted=attempts: len(collector.paths) == wanted)
        collector.hangs = threading.Event()
        end_spans(pipe, 1)
        began = time.monotonic()
        pipe.close(30)
        assert time.monotonic() - began < 5

    def test_one_that_asks_for_a_long_pause_is_left_alone(self, collector: Collector) -> None:
        collector.answer = (429, {"retry-after": "3600"}, b"")
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, 1)
        began = time.monotonic()
        pipe.close(5)
        assert time.monotonic() - began < 2
        assert len(collector.paths) == pipe.lost == 1

    def test_the_queue_is_bounded_and_what_it_drops_is_counted(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(spans, "QUEUE", 200)
        collector.hangs = threading.Event()
        pipe = Pipe(Traces(address=collector.url), RUN)
        end_spans(pipe, 1_000)
        collector.hangs.set()
        pipe.close(5)
        assert 200 <= len(collector.spans) <= 200 + spans.BATCH
        assert pipe.lost == 1_000 - len(collector.spans)
        assert caplog.records == []

    def test_threads_may_end_spans_at_the_same_time(self, collector: Collector) -> None:
        pipe = Pipe(Traces(address=collector.url), RUN)
        threads = [threading.Thread(target=end_spans, args=(pipe, 100)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.close(5)
        assert len({span.id for span in collector.spans}) == pipe.ended == 800
        assert pipe.lost == 0

    def test_kill_9_takes_along_what_was_not_sent_yet_and_no_more(self, collector: Collector) -> None:
        code = f"""
import os, signal, time
from blocks.spans import Pipe
from blocks.traces import Traces
pipe = Pipe(Traces(address={collector.url!r}), {RUN!r})
for number in range(3):
    pipe.start("sent", None, {{}}).end()
while pipe.lost:
    time.sleep(0.01)
pipe.start("lost", None, {{}}).end()
os.kill(os.getpid(), signal.SIGKILL)
"""
        environment = os.environ | {"NO_PROXY": "127.0.0.1"}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60, env=environment)
        assert done.returncode == -signal.SIGKILL
        assert [span.name for span in collector.spans] == ["sent"] * 3


def until(holds: Any) -> None:
    """Wait for what another thread brings about."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def test_no_trace_is_told_to_the_model_whoever_traces_this_process(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a tool such as `opentelemetry-instrument` has it: a provider for the whole process, and a span under way.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(shutdown_on_exit=False))
    collector.answer = (
        200,
        {"content-type": "application/json"},
        b'{"id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "stop_reason": "end_turn", '
        b'"content": [{"type": "text", "text": "{}"}], "usage": {"input_tokens": 1, "output_tokens": 1}}',
    )
    claude = Claude(api_key=SecretStr("k"), address=collector.url)
    with trace.get_tracer("other").start_as_current_span("theirs"):
        claude.ask(Request(prompts.load("lead_triage"), prompts.load("lead_triage").cases[0].inputs))
    (headers,) = collector.headers
    assert not {"traceparent", "tracestate", "baggage"} & headers.keys()


def test_whoever_wants_no_traces_imports_nothing_for_them() -> None:
    code = (
        "import sys, blocks.traces, tasks.run;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
