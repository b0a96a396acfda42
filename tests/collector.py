"""A collector of traces for tests: takes OTLP over HTTP as a real one does, and shows what it got as a tree."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ERROR = 2
"""A span's status, as the protocol has it."""


@dataclass(frozen=True)
class Span:
    """A span, as it came in."""

    name: str
    trace_id: str
    id: str
    under: str
    """The id of the span that it is under; empty for the root."""
    kind: int
    attributes: dict[str, Any]
    failed: bool
    reason: str
    began: int
    ended: int


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


@dataclass
class Collector:
    """What was received, and how it is answered."""

    url: str = ""
    first: list[Answer] = field(default_factory=list)
    """How the next requests are answered, one after the other."""
    answer: Answer = (200, {"content-type": "application/x-protobuf"}, b"")
    """And how all others are."""
    hangs: threading.Event | None = None
    """When set, each request waits for it before it is answered."""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Decompressed; only of requests that were taken."""

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order in which they began."""
        found = [span for body in self.bodies for span in _spans(ExportTraceServiceRequest.FromString(body))]
        return sorted(found, key=lambda span: (span.began, -span.ended))

    @property
    def resource(self) -> dict[str, Any]:
        """Of whoever sent the first request that was taken."""
        return _attributes(ExportTraceServiceRequest.FromString(self.bodies[0]).resource_spans[0].resource.attributes)

    @property
    def everything(self) -> bytes:
        """Each byte that was received, headers apart."""
        return b"".join(self.bodies)

    def named(self, name: str) -> list[Span]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def tree(self, *shown: str) -> str:
        """The spans as indented lines, each with those of the attributes named that it has."""
        return "\n".join(_lines(self.spans, {span.id for span in self.spans}, "", 0, shown))


def _lines(spans: Sequence[Span], ids: set[str], under: str, depth: int, shown: Sequence[str]) -> Iterator[str]:
    for span in spans:
        if span.under == under or (not depth and span.under not in ids):
            told = " ".join(
                f"{name.rpartition('.')[2]}={span.attributes[name]}" for name in shown if name in span.attributes
            )
            failed = f" FAILED {span.attributes.get('error.type')}: {span.reason}" if span.failed else ""
            yield f"{'  ' * depth}{span.name} {told}".rstrip() + failed
            yield from _lines(spans, ids, span.id, depth + 1, shown)


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    under=span.parent_span_id.hex(),
                    kind=span.kind,
                    attributes=_attributes(span.attributes),
                    failed=span.status.code == ERROR,
                    reason=span.status.message,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of this machine."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found.paths.append(self.path)
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            if found.hangs is not None:
                found.hangs.wait(30)
            status, headers, content = found.first.pop(0) if found.first else found.answer
            if status == 200:
                found.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            # In one piece: with keep-alive, two would cost 40 ms a request.
            self.wfile.write(f"HTTP/1.1 {status} x\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_PROXY", "127.0.0.1")
            patch.setenv("no_proxy", "127.0.0.1")
            yield found
    finally:
        if found.hangs is not None:
            found.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()
