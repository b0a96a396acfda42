"""The spans of one run on their way to the collector: those that have ended wait in a queue, which a thread empties.

Apart from `blocks/traces.py`, so that nothing of OpenTelemetry's SDK is imported where nobody has asked for traces. The
provider is the run's own and never the process's, and no span is ever the current one of OpenTelemetry's context:
Prefect's own spans stay as they are, and no client finds anything that it would pass on to a vendor as `traceparent`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from google.protobuf.message import DecodeError
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from blocks.traces import Traces
from blocks.vendor import VendorError

Attribute = str | bool | int | float | Sequence[str]

QUEUE = 2_048
"""Spans that wait at most; more are dropped, and counted."""

BATCH = 128
"""Spans in one request: with content they may be large."""

EVERY_SECONDS = 1.0
"""How often the queue is emptied: what a `kill -9` takes along is no older."""

PAUSES = (0.5, 2.0)
"""Seconds before each further attempt at a request that was not taken; once the run is over there is only the first."""

PATIENCE_SECONDS = 10.0
"""A collector that asks for a longer pause than this gets no further attempt: the queue would be full by then."""

GRACE_SECONDS = 1.0
"""How long a run that is over waits for a collector that has not answered so far."""


class Pipe:
    """Starts the spans of one run, and sends them in the background. Safe to use from many threads.

    Args:
        collector: where they go.
        run_id: the run's id, 32 hex digits, which is the trace's as well: it stands on the run in the ledger.
    """

    def __init__(self, collector: Traces, run_id: str) -> None:
        self._collector = collector
        self._exporter = _Exporter(collector)
        self._queue = _Queue(self._exporter)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # whether a run is traced was decided before
            resource=Resource.create(_resource(collector)),
            shutdown_on_exit=False,  # it would wait for half a minute
            id_generator=_TheRunsId(run_id),
        )
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("signoff", version("signoff"))

    def start(
        self, name: str, under: Span | None, attributes: Mapping[str, Attribute], *, client: bool = False
    ) -> Span:
        """Start a span under another one; whoever starts it ends it."""
        context = Context() if under is None else set_span_in_context(under, Context())
        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        return self._tracer.start_span(name, context, kind, attributes)

    def fail(self, span: Span, kind: str, words: str) -> None:
        """Say of a span that what it stands for has failed."""
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, words or None))

    def close(self, seconds: float) -> None:
        """Send what has ended and is not sent yet, for at most so long; what is left then is lost."""
        self._exporter.closing = True
        # In a thread that may be left behind: the processor itself would wait for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="signoff-traces", daemon=True)
        closing.start()
        closing.join(min(seconds, GRACE_SECONDS) if self._exporter.is_down else seconds)
        self._exporter.over.set()

    @property
    def ended(self) -> int:
        """Spans that have ended."""
        return self._queue.ended

    @property
    def lost(self) -> int:
        """Those of them that the collector has not taken."""
        return self._queue.ended - self._exporter.sent

    @property
    def failure(self) -> VendorError | None:
        """Why the last request was not taken, if one was not."""
        return self._exporter.failure


class _TheRunsId(RandomIdGenerator):
    """Gives every trace the one id."""

    def __init__(self, run_id: str) -> None:
        self._id = int(run_id, 16)

    def generate_trace_id(self) -> int:
        return self._id

    def is_trace_id_random(self) -> bool:
        return False  # a UUID has six fixed bits


class _Queue(BatchSpanProcessor):
    """Counts what ends, and drops what finds the queue full: the SDK would drop the oldest, with a line in some log."""

    def __init__(self, exporter: _Exporter) -> None:
        super().__init__(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=EVERY_SECONDS * 1000,
            max_export_batch_size=BATCH,
        )
        self._mine = exporter
        self._lock = threading.Lock()
        self._queued = 0
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            self.ended += 1
            if self._queued - self._mine.taken >= QUEUE:
                return
            self._queued += 1
        super().on_end(span)


class _Exporter(SpanExporter):
    """Encodes spans and sends them; called from one thread."""

    def __init__(self, collector: Traces) -> None:
        self._collector = collector
        self.is_down = False
        """Whether the last request was given up: the next ones get one attempt each, until one is taken."""
        self.closing = False
        self.over = threading.Event()
        """Set when nobody waits any longer."""
        self.taken = 0
        """Spans that have left the queue."""
        self.sent = 0
        self.failure: VendorError | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        request = encode_spans(spans).SerializeToString()
        for number in range(len(PAUSES) + 1):
            try:
                self.sent += len(spans) - _rejected(self._collector.send(request))
                self.is_down = False
                return SpanExportResult.SUCCESS
            except VendorError as error:
                self.failure = error
                if not self._waits(error, number):
                    break
        self.is_down = True
        return SpanExportResult.FAILURE

    def _waits(self, error: VendorError, number: int) -> bool:
        """Whether there is a further attempt; the pause before it is over by then."""
        pauses = () if error.permanent or self.is_down else PAUSES[:1] if self.closing else PAUSES
        if number >= len(pauses):
            return False
        pause = max(pauses[number], error.retry_after or 0.0)
        return pause <= PATIENCE_SECONDS and not self.over.wait(pause)


def _rejected(answer: bytes) -> int:
    """How many spans of a request the collector says that it has not kept."""
    try:
        return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)
    except DecodeError:  # Langfuse answers in JSON, and keeps all
        return 0


def _resource(collector: Traces) -> dict[str, str]:
    """Who sends: the same for every span."""
    found = {
        "service.name": "signoff",
        "service.version": version("signoff"),
        "deployment.environment.name": collector.environment,
    }
    return found | ({"langfuse.environment": collector.environment} if collector.is_langfuse else {})
