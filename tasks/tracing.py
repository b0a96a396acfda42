"""Tracing: what a run does, as the spans of one trace, by OpenTelemetry's conventions for generative AI.

Off unless the block `traces/collector` is saved. Then each flow run is a trace, whose id is the run's in the ledger.
No span holds a text from outside or from a model, unless the block says so for the workflow: `tasks/tracing_content.py`
makes what is sent then. Whatever becomes of a trace, the work goes on.

The conventions: https://github.com/open-telemetry/semantic-conventions-genai. Ours are the attributes `signoff.*`.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run

from blocks import connections
from blocks.connections import TRACES
from blocks.ledger import Action, Receipt, Record
from blocks.models import Conversation, Converser, Model, Reply, Request, Turn
from blocks.vendor import VendorError

if TYPE_CHECKING:  # nothing of OpenTelemetry's SDK where nobody has asked for traces
    from opentelemetry.trace import Span

    from blocks.spans import Attribute, Pipe
    from blocks.traces import Traces
    from tasks.journal import Journal, Made, Wanted
    from tasks.run import Run
    from tasks.workbench import Workbench

    Attributes = Mapping[str, Attribute | None]

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="Made | None")

IDENTIFIER = re.compile(r"[\w.:/-]{1,128}", re.ASCII)
"""What is an id and cannot be a sentence; what looks otherwise is left out."""

METHOD = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+")
"""A vendor's method, such as `messages.create`. Other operations are in words, which may name somebody."""


@dataclass(frozen=True)
class _Trace:
    """One run's trace."""

    pipe: Pipe
    collector: Traces
    content: bool
    """Whether what models are asked and answer is sent."""


@dataclass
class Mark:
    """A span under way."""

    trace: _Trace
    span: Span
    over_at: int | None = None
    """When it was over, in nanoseconds, where the span itself ends later."""

    def note(self, attributes: Attributes) -> None:
        """Add what is known by now."""
        self.span.set_attributes(_known(attributes))

    def over(self) -> None:
        """What the span stands for is over: what is noted from now on takes none of its time."""
        self.over_at = time.time_ns()


_MARK: ContextVar[Mark | None] = ContextVar("signoff_mark", default=None)
"""The innermost span. Threads that copy the context, as `verb.concurrently` does, go on under it."""


# The run


@contextmanager
def of_run(run_id: str, workflow: str, stage: str) -> Iterator[None]:
    """Trace a flow run, if somebody wants traces; at its end its last spans are sent, within the block's timeout."""
    trace = _begun(run_id, workflow) if flow_run.id else None
    if trace is None:
        yield
        return
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": workflow,
        "signoff.run.id": run_id,
        "signoff.stage": str(stage),
        "prefect.flow_run.id": str(flow_run.id),
        "langfuse.trace.name": workflow if trace.collector.is_langfuse else None,
    }
    try:
        with _under(trace, None, f"invoke_workflow {workflow}", attributes):
            yield
    finally:
        _send_the_rest(trace, run_id)


def note_run(run: Run) -> None:
    """What is known of a run once it has begun."""
    if mark := _MARK.get():
        mark.note(
            {
                "gen_ai.prompt.name": run.card.prompt,
                "signoff.prompt.version": run.prompt_version,
                "signoff.model": run.model.model_id,
            }
        )


def _begun(run_id: str, workflow: str) -> _Trace | None:
    try:
        collector = connections.load_if_present(TRACES)
        if collector is None or not is_sampled(run_id, collector.sample):
            return None
        from blocks.spans import Pipe

        trace = _Trace(Pipe(collector, run_id), collector, collector.shows_content_of(workflow))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the traces, nothing is with the run
        # Without its words: those of an invalid block quote it, credentials and all.
        reason = "save the block anew, or delete it"
        _log().warning("this run is not traced: %s could not be used (%s); %s", TRACES, type(error).__name__, reason)
        return None
    _log().info("this run's trace is %s: %s", run_id, collector.link(run_id) or collector.address)
    return trace


def is_sampled(run_id: str, share: float) -> bool:
    """Whether a run is among this share of all runs. It follows from its id, whoever asks.

    From the twelve digits that are random in every UUID. OpenTelemetry's own rule looks at the last sixteen, of which
    the first is always 8, 9, a or b: it would trace no run at all for a share of a half, and each for three quarters.
    """
    return int(run_id[:12], 16) < share * 16**12


def _send_the_rest(trace: _Trace, run_id: str) -> None:
    pipe, seconds = trace.pipe, trace.collector.timeout_seconds
    pipe.close(seconds)
    if pipe.lost:
        why = pipe.failure or f"the collector was too slow, and a run that is over waits for {seconds:g} seconds"
        _log().warning(
            "%d of the %d spans of trace %s were lost: %s. The run's work is not touched by it. Without the block %s "
            "nothing is traced",
            pipe.lost, pipe.ended, run_id, why, TRACES,
        )  # fmt: skip


def _log() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The run's own log, on its page in the Prefect UI."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)


# Spans


@contextmanager
def _span(name: str, attributes: Attributes, *, client: bool = False) -> Iterator[Mark | None]:
    """A span under the innermost one; nothing where nobody traces."""
    mark = _MARK.get()
    if mark is None:
        yield None
        return
    with _under(mark.trace, mark.span, name, attributes, client=client) as inner:
        yield inner


@contextmanager
def _under(
    trace: _Trace,
    outer: Span | None,
    name: str,
    attributes: Attributes,
    *,
    client: bool = False,
) -> Iterator[Mark]:
    mark = Mark(trace, trace.pipe.start(name, outer, _known(attributes), client=client))
    token = _MARK.set(mark)
    try:
        yield mark
    except BaseException as error:
        kind, words = reason_of(error)
        trace.pipe.fail(mark.span, kind, words)
        raise
    finally:
        _MARK.reset(token)
        mark.span.end(mark.over_at)


def reason_of(error: BaseException) -> tuple[str, str]:
    """An error's type and reason in our own words: what a vendor says may quote what it was sent."""
    if not isinstance(error, VendorError):
        return type(error).__name__, ""
    what = error.operation if METHOD.fullmatch(error.operation) else "a call"
    status = f" with {error.status}" if error.status else ""
    fate = "trying again cannot help" if error.permanent else "it can be tried again"
    if error.unknown:
        fate = "whether it was done is not known"
    return str(error.status or type(error).__name__), f"{error.vendor}: {what} failed{status}; {fate}"


def _known(attributes: Attributes) -> dict[str, Attribute]:
    return {name: _sendable(value) for name, value in attributes.items() if value is not None}


def _sendable(value: Attribute) -> Attribute:
    """Without halves of characters, which a model's cut answer may end in, and over which no span could be encoded."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return [str(_sendable(one)) for one in value] if isinstance(value, Sequence) else value


def _id(value: str) -> str | None:
    return value if IDENTIFIER.fullmatch(value) else None


# Verbs


def verb(name: str, function: Callable[P, R]) -> Callable[P, R]:
    """The function in a span: one for each attempt at the batch."""

    @functools.wraps(function)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        if _MARK.get() is None:
            return function(*args, **kwargs)
        batch = next((len(arg) for arg in args if isinstance(arg, (list, tuple))), None)
        attributes: Attributes = {
            "signoff.batch.size": batch,
            "signoff.attempt": int(task_run.run_count or 1),
            "prefect.task_run.id": str(task_run.id) if task_run.id else None,
        }
        with _span(name, attributes) as mark:
            result = function(*args, **kwargs)
            if mark and isinstance(result, list):
                mark.note({"signoff.result.size": len(result)})
            return result

    return traced


@contextmanager
def retrieval(record: Record, question: str) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """A search in the library for one record; what is yielded is told what was found."""
    attributes: Attributes = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "library",
        "signoff.record.id": record.id,
    }
    with _span("retrieval library", attributes) as mark:

        def found(passages: Sequence[Mapping[str, Any]]) -> None:
            if mark is None:
                return
            mark.over()
            best = max((passage["similarity"] or 0.0 for passage in passages), default=None)
            mark.note({"signoff.passages": len(passages), "signoff.similarity": best})
            if mark.trace.collector.is_langfuse:  # it knows all the other operations by themselves
                mark.note({"langfuse.observation.type": "retriever"})
            if mark.trace.content:
                from tasks import tracing_content

                mark.note(tracing_content.of_question(record, question))

        yield found


def note_action(action: Action) -> None:
    """Which action the innermost span is about. Neither whom it goes to nor what it says."""
    if mark := _MARK.get():
        mark.span.update_name(f"act {action.kind}")
        mark.note(
            {
                "signoff.action.id": action.id,
                "signoff.action.kind": action.kind,
                "signoff.impact": action.impact,
                "signoff.record.id": action.record_id,
                "signoff.attempt": action.attempts,
            }
        )


def note_outcome(state: str, receipts: Sequence[Receipt]) -> None:
    """What became of the action that the innermost span is about."""
    if mark := _MARK.get():
        mark.note({"signoff.outcome": state})
        for receipt in receipts:
            mark.note({"signoff.external.id": _id(receipt.external_id), "signoff.found": receipt.found})


def action(function: Callable[P, R]) -> Callable[P, R]:
    """The function in a span of its own, which `note_action` and `note_outcome` fill in."""

    @functools.wraps(function)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        if _MARK.get() is None:
            return function(*args, **kwargs)
        with _span("act", {}):
            return function(*args, **kwargs)

    return traced


# Models


def ask(run: Run, record_id: int, request: Request, attempt: int) -> Reply:
    """Ask the run's model once, in a span.

    Raises:
        VendorError: the model could not be reached or refused the call.
    """
    if _MARK.get() is None:
        return run.model.ask(request)
    attributes: Attributes = {
        **_of_model(run.model),
        "gen_ai.output.type": "json",
        "gen_ai.request.max_tokens": request.prompt.settings.max_tokens,
        "gen_ai.prompt.name": request.prompt.name,
        "signoff.prompt.version": run.prompt_version,
        "signoff.record.id": record_id,
        "signoff.attempt": attempt,
    }
    with _span(f"chat {run.model.model_id}", attributes, client=_is_elsewhere(run.model)) as mark:
        reply = run.model.ask(request)
        if mark:
            mark.over()
            mark.note(_of_answer(mark.trace, reply))
            mark.note({"anthropic.request.id": _id(str(reply.metadata.get("request_id") or ""))})
            if mark.trace.content:
                from tasks import tracing_content

                mark.note(tracing_content.of_reply(request, reply, run.card.allowed))
        return reply


def converse(run: Run, record: Record, step: int, model: Converser, conversation: Conversation) -> Turn:
    """Have an agent's model take one step, in a span.

    Raises:
        VendorError: the model could not be reached or refused the call.
    """
    if _MARK.get() is None:
        return model.converse(conversation)
    attributes: Attributes = {
        **_of_model(model),
        "gen_ai.request.max_tokens": conversation.max_tokens,
        "gen_ai.prompt.name": run.card.prompt,
        "signoff.prompt.version": run.prompt_version,
        "signoff.record.id": record.id,
        "signoff.step": step,
    }
    with _span(f"chat {model.model_id}", attributes, client=_is_elsewhere(model)) as mark:
        turn = model.converse(conversation)
        if mark:
            mark.over()
            mark.note(_of_answer(mark.trace, turn))
            if mark.trace.content:
                from tasks import tracing_content

                mark.note(tracing_content.of_turn(record, conversation, turn, run.card.allowed))
        return turn


def _of_model(model: Model | Converser) -> Attributes:
    """Which model it is, and where. One with an address speaks Anthropic's protocol; any other is in this process."""
    host, port = _host(str(getattr(model, "address", "")))
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic" if _is_elsewhere(model) else "signoff",
        "gen_ai.request.model": model.model_id,
        "server.address": host,
        "server.port": port,
    }


def _host(address: str) -> tuple[str | None, int | None]:
    """Without whatever else may stand in an address. Of one that cannot be read the request itself will tell."""
    try:
        where = urlsplit(address)
        return where.hostname, (where.port or (443 if where.scheme == "https" else 80)) if where.hostname else None
    except ValueError:
        return None, None


def _is_elsewhere(model: Model | Converser) -> bool:
    return bool(getattr(model, "address", ""))


def _of_answer(trace: _Trace, answer: Reply | Turn) -> Attributes:
    """What was paid for an answer; for Langfuse also in its own words, so that it reckons with our costs."""
    found: dict[str, Attribute | None] = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.stop_reason],
        "gen_ai.usage.input_tokens": answer.input_tokens,
        "gen_ai.usage.output_tokens": answer.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": answer.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": answer.cache_write_tokens,
        "signoff.cost_usd": float(answer.cost),
    }
    if trace.collector.is_langfuse:
        usage = {
            "input": answer.input_tokens - answer.cache_read_tokens - answer.cache_write_tokens,
            "input_cached_tokens": answer.cache_read_tokens,
            "input_cache_creation": answer.cache_write_tokens,
            "output": answer.output_tokens,
        }
        found["langfuse.observation.usage_details"] = json.dumps(usage)
        found["langfuse.observation.cost_details"] = json.dumps({"total": float(answer.cost)})
    return found


# Agents


@contextmanager
def agent(run: Run, journal: Journal) -> Iterator[None]:
    """An agent's work on one record, as far as it goes in this run. Its steps are the spans within."""
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "signoff",
        "gen_ai.agent.name": run.card.workflow,
        # The same in each run that an agent needs, since it waits for people.
        "gen_ai.conversation.id": f"agent_runs/{journal.run.id}",
        "gen_ai.request.model": journal.run.model,
        "signoff.record.id": journal.run.record_id,
    }
    with _span(f"invoke_agent {run.card.workflow}", attributes) as mark:
        try:
            yield
        finally:
            if mark:
                limit = (journal.run.limit or {}).get("kind")
                mark.note({"signoff.outcome": journal.run.state, "signoff.steps": len(journal.steps)})
                mark.note({"signoff.limit": limit and str(limit).partition(" of ")[0]})


def tool(
    method: Callable[Concatenate[Workbench, Wanted, P], M],
) -> Callable[Concatenate[Workbench, Wanted, P], M]:
    """A workbench's method that makes a call, in a span."""

    @functools.wraps(method)
    def traced(bench: Workbench, call: Wanted, /, *args: P.args, **kwargs: P.kwargs) -> M:
        if _MARK.get() is None:
            return method(bench, call, *args, **kwargs)
        known = bench.tools.get(call.tool)
        name = known.name if known else "unknown"  # a name that the model has made up may say anything
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": _id(call.call_id),
            "signoff.impact": known.impact if known else "unknown",
            "signoff.record.id": bench.record.id,
        }
        with _span(f"execute_tool {name}", attributes) as mark:
            made = method(bench, call, *args, **kwargs)
            if mark:
                _note_made(mark, bench, call, made)
            return made

    return traced


def _note_made(mark: Mark, bench: Workbench, call: Wanted, made: Made | None) -> None:
    mark.over()
    if made is None:
        mark.note({"signoff.outcome": "waits for a person"})
        return
    mark.note({"signoff.outcome": "refused" if made.is_error else "answered", "signoff.action.id": made.action_id})
    if made.is_error:
        mark.trace.pipe.fail(mark.span, "ToolRefused", "")
    if mark.trace.content:
        from tasks import tracing_content

        mark.note(tracing_content.of_call(bench.record, call.input, made.output, bench.run.card.allowed))
