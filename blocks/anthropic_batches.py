"""What Claude's Message Batches ask and answer: the vendor's limits, and the lines of a batch's results.

A batch takes up to a day and costs half. The requests themselves are made by `blocks/anthropic.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from blocks.models import Reply
from blocks.shape import Id, Part, Shape
from blocks.vendor import Failures, VendorError

BATCH_PRICE = Decimal("0.5")
"""What a request in a batch costs, as a share of the price of the same request by itself, tokens in and out alike.

Source: https://platform.claude.com/docs/en/build-with-claude/batch-processing, Pricing (50 %).
"""

MOST_REQUESTS = 100_000
MOST_BYTES = 256_000_000
"""The vendor's limits for one batch. It says 256 MB, and not which MB: the smaller one is never refused."""

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
RESULTS_DAYS = 29
"""How long the vendor keeps a batch's results, counted from when it was made."""

CREATE = "messages.batches.create"
RETRIEVE = "messages.batches.retrieve"
RESULTS = "messages.batches.results"
CANCEL = "messages.batches.cancel"

NO_BATCHES = "this server has no Message Batches; leave out --batch"
NOT_THERE: Mapping[int, str] = {404: NO_BATCHES, 405: NO_BATCHES, 501: NO_BATCHES}
"""The ways out where a batch is made: what a server says that speaks only the rest of the protocol."""

GONE: Mapping[int, str] = {
    404: "there is no such batch: it was deleted, or made with a key of another workspace; submit it again"
}
"""The ways out where a batch is looked at."""

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that comes with each type of error outside a batch, where it decides whether to try again."""

UNANSWERED = {
    "expired": "it was not answered within a batch's 24 hours; submit it again",
    "canceled": "the batch was canceled before it was answered",
}


class _Batch(Part):
    """A batch, as far as it is read."""

    known = frozenset(
        {"type", "request_counts", "created_at", "expires_at", "ended_at", "cancel_initiated_at", "results_url"}
    )

    id: Id
    processing_status: Id
    archived_at: str | None = None


class _Result(Part):
    known = frozenset({"message", "error"})

    type: Id


class _Line(Part):
    custom_id: Id
    result: dict[str, Any]


class _Error(Part):
    known = frozenset({"message"})

    type: Id


class _Errored(Part):
    known = frozenset({"type", "request_id"})

    error: _Error


class _Succeeded(Part):
    known = frozenset({"type"})

    message: dict[str, Any]


class _Failed(Part):
    known = frozenset({"type"})

    error: _Errored


BATCH_SHAPE = Shape("claude", "batch", _Batch)
LINE_SHAPE = Shape("claude", "batch-result", _Line)
RESULT_SHAPE = Shape("claude", "batch-result", _Result)
SUCCEEDED_SHAPE = Shape("claude", "batch-result", _Succeeded)
FAILED_SHAPE = Shape("claude", "batch-result", _Failed)


def refuse_ids(failures: Failures, ids: Collection[str]) -> None:
    """Refuse the custom ids of a batch that the vendor would refuse.

    Raises:
        VendorError: permanent; there are none, or too many, or one of another form.
    """
    if not ids:
        raise failures.error(CREATE, "a batch needs at least one request", permanent=True)
    if len(ids) > MOST_REQUESTS:
        reason = f"{len(ids):,} requests are more than the {MOST_REQUESTS:,} that a batch may have: submit several"
        raise failures.error(CREATE, reason, permanent=True)
    if odd := [custom_id for custom_id in ids if not CUSTOM_ID.fullmatch(custom_id)]:
        reason = f"the custom id {odd[0][:80]!r} is not 1 to 64 letters, digits, - and _"
        raise failures.error(CREATE, reason, permanent=True)


def refuse_size(failures: Failures, entries: Iterable[Mapping[str, Any]]) -> None:
    """Refuse requests that together are larger than the vendor takes.

    Raises:
        VendorError: permanent.
    """
    size = 0
    for entry in entries:
        size += len(json.dumps(entry, ensure_ascii=False).encode())
        if size > MOST_BYTES:
            most = f"{MOST_BYTES / 1_000_000:,.0f} MB"
            reason = f"the requests are more than the {most} that a batch may have: submit several"
            raise failures.error(CREATE, reason, permanent=True)


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a JSONL body, as it comes in.

    Split at line feeds only: what else Python takes for the end of a line (U+2028, say) may stand in an answer's text.
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from filter(bytes.strip, whole)
    if rest.strip():
        yield rest


def outcome(failures: Failures, line: bytes, read: Callable[[object], Reply]) -> tuple[str, Reply | VendorError]:
    """One line of a batch's results: the custom id, and what became of the request.

    Args:
        failures: words what went wrong.
        line: JSON.
        read: reads a message.

    Raises:
        SchemaDrift: the line is not what it was.
        VendorError: it is no JSON.
    """
    try:
        raw = json.loads(line)
    except ValueError:
        raise failures.unreadable(RESULTS, line) from None
    entry = LINE_SHAPE.read(raw, RESULTS)
    kind = RESULT_SHAPE.read(entry.result, RESULTS).type
    if kind == "succeeded":
        return entry.custom_id, read(SUCCEEDED_SHAPE.read(entry.result, RESULTS).message)
    if kind == "errored":
        return entry.custom_id, _errored(failures, entry.result)
    # Of a kind that is new, nobody knows whether asking again helps: a person has to look.
    reason = UNANSWERED.get(kind, f"a result of the unknown kind {kind[:40]!r}")
    return entry.custom_id, failures.error(RESULTS, reason, permanent=kind not in UNANSWERED)


def _errored(failures: Failures, result: dict[str, Any]) -> VendorError:
    said = FAILED_SHAPE.read(result, RESULTS).error
    return failures.refused(RESULTS, STATUS.get(said.error.type, 500), json.dumps(result["error"]))
