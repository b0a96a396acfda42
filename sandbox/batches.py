"""Anthropic's Message Batches API: many requests at once, their answers later, in no order."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from sandbox import anthropic
from sandbox.anthropic import Table, error
from sandbox.wire import Answer, Ask, Json, Refused

if TYPE_CHECKING:
    from sandbox.world import World

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MOST_REQUESTS = 100_000
DAY = 86_400
OUTCOMES = ("succeeded", "errored", "canceled", "expired")


@dataclass
class Batch:
    """One batch. Its results are known from the start, and shown once it has ended."""

    id: str
    results: dict[str, Json]
    polls: int
    """How often it may still be looked at before it has ended."""
    created: float = field(default_factory=time.time)
    canceled: float | None = None
    ended: float | None = None
    archived: float | None = None

    def look(self) -> None:
        """Come one poll closer to the end."""
        if self.ended is None and (self.canceled or self.polls <= 0):
            self.ended = time.time()
        self.polls -= 1

    @property
    def status(self) -> str:
        """In Anthropic's word."""
        if self.ended is not None:
            return "ended"
        return "canceling" if self.canceled else "in_progress"


class Batches:
    """All batches by id, oldest first, and how the next ones go."""

    def __init__(self) -> None:
        """Start without any, and end each of them when it is first looked at."""
        self.batches: dict[str, Batch] = {}
        self.polls = 0
        self.expire: tuple[str, ...] = ()
        self._made = 0

    def add(self, results: dict[str, Json]) -> Batch:
        """Take a batch in."""
        self._made += 1
        batch = Batch(f"msgbatch_sandbox{self._made:08}", results, self.polls)
        self.batches[batch.id] = batch
        return batch

    def archive(self) -> None:
        """Let 29 days go by: the batches stay, the results of those that have ended are gone."""
        for batch in self.batches.values():
            if batch.ended is not None:
                batch.archived = time.time()


# Requests


def create_batch(world: World, ask: Ask) -> Answer:
    """POST /v1/messages/batches. What is wrong with one request shows only in its result."""
    requests = validated(ask.body)
    results = {each["custom_id"]: result(world, each, ask) for each in requests}
    return anthropic.with_headers(view(world.batches.add(results), ask))


def validated(body: Json) -> list[Json]:
    """Return the requests, or refuse the whole batch as the API does."""
    requests = body.get("requests")
    if not isinstance(requests, list):
        raise error(400, "requests: Field required")
    if not requests:
        raise error(400, "requests: List should have at least 1 item after validation, not 0")
    if len(requests) > MOST_REQUESTS:
        raise error(400, f"requests: List should have at most {MOST_REQUESTS} items after validation")
    for number, each in enumerate(requests):
        check_request(each, f"requests.{number}")
    ids = Counter(each["custom_id"] for each in requests)
    if twice := [custom_id for custom_id, count in ids.items() if count > 1]:
        raise error(400, f"requests: custom_id must be unique; '{twice[0]}' is given {ids[twice[0]]} times")
    return requests


def check_request(request: Any, where: str) -> None:
    """Refuse an entry without an id of the right form, or without parameters."""
    if not isinstance(request, dict) or not isinstance(request.get("params"), dict):
        raise error(400, f"{where}.params: Field required")
    if unknown := sorted(set(request) - {"custom_id", "params"}):
        raise error(400, f"{where}.{unknown[0]}: Extra inputs are not permitted")
    custom_id = request.get("custom_id")
    if not isinstance(custom_id, str):
        raise error(400, f"{where}.custom_id: Field required")
    if len(custom_id) > 64:
        raise error(400, f"{where}.custom_id: String should have at most 64 characters")
    if not CUSTOM_ID.fullmatch(custom_id):
        raise error(400, f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")


def result(world: World, request: Json, ask: Ask) -> Json:
    """Return what became of one request, as the same model would have answered it by itself."""
    if request["custom_id"] in world.batches.expire:
        return {"type": "expired"}
    try:
        message = anthropic.answered(world, request["params"], ask.fault.kind if ask.fault else None)
    except Refused as no:
        return {"type": "errored", "error": no.body}
    message["usage"]["service_tier"] = "batch"
    return {"type": "succeeded", "message": message}


# Looking


def get_batch(world: World, ask: Ask) -> Answer:
    """GET /v1/messages/batches/{id}."""
    batch = batch_of(world, ask)
    batch.look()
    return anthropic.with_headers(view(batch, ask))


def list_batches(world: World, ask: Ask) -> Answer:
    """GET /v1/messages/batches: the newest first."""
    ids = list(reversed(world.batches.batches))
    size, after, before = ask.number("limit", 20, 1000), ask.query.get("after_id"), ask.query.get("before_id")
    if before in ids:
        end = ids.index(before)
        page, more = ids[max(0, end - size) : end], end > size
    else:
        start = ids.index(after) + 1 if after in ids else 0
        page, more = ids[start : start + size], start + size < len(ids)
    listed = [view(world.batches.batches[each], ask) for each in page]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return anthropic.with_headers({"data": listed, "has_more": more} | ends)


def get_results(world: World, ask: Ask) -> Answer:
    """GET /v1/messages/batches/{id}/results: a line each, not in the order of the requests."""
    batch = batch_of(world, ask)
    if batch.ended is None or batch.archived is not None:
        raise error(404, f"The results of {batch.id} are not available.")
    lines = [{"custom_id": custom_id, "result": each} for custom_id, each in reversed(batch.results.items())]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return Response(text, media_type="application/x-jsonl", headers={"request-id": anthropic.request_id()})


def cancel_batch(world: World, ask: Ask) -> Answer:
    """POST /v1/messages/batches/{id}/cancel: what has not been answered never will be."""
    batch = batch_of(world, ask)
    if batch.ended is not None:
        raise error(400, f"{batch.id} has already ended and cannot be canceled.")
    batch.canceled = batch.canceled or time.time()
    batch.results = {custom_id: {"type": "canceled"} for custom_id in batch.results}
    return anthropic.with_headers(view(batch, ask))


def delete_batch(world: World, ask: Ask) -> Answer:
    """DELETE /v1/messages/batches/{id}."""
    batch = batch_of(world, ask)
    if batch.ended is None:
        raise error(400, f"{batch.id} is still being processed: cancel it first.")
    del world.batches.batches[batch.id]
    return anthropic.with_headers({"id": batch.id, "type": "message_batch_deleted"})


def batch_of(world: World, ask: Ask) -> Batch:
    """Return a batch or refuse."""
    if batch := world.batches.batches.get(ask.path["id"]):
        return batch
    raise error(404, f"Message batch {ask.path['id']} not found.")


def view(batch: Batch, ask: Ask) -> Json:
    """Return a MessageBatch."""
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": counts(batch),
        "created_at": iso(batch.created),
        "expires_at": iso(batch.created + DAY),
        "cancel_initiated_at": iso(batch.canceled),
        "ended_at": iso(batch.ended),
        "archived_at": iso(batch.archived),
        "results_url": results_url(batch, ask) if batch.ended and not batch.archived else None,
    }


def counts(batch: Batch) -> dict[str, int]:
    """Return how many requests ended how; until the whole batch has ended, all of them are under way."""
    if batch.ended is None:
        return dict.fromkeys(OUTCOMES, 0) | {"processing": len(batch.results)}
    ended = Counter(each["type"] for each in batch.results.values())
    return {name: ended[name] for name in OUTCOMES} | {"processing": 0}


def results_url(batch: Batch, ask: Ask) -> str:
    """Return the full address of the results."""
    return f"{ask.url.split('/v1/')[0]}/v1/messages/batches/{batch.id}/results"


def iso(moment: float | None) -> str | None:
    """Return a moment as Anthropic writes it."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


ROUTES: Table = (
    ("POST", "/v1/messages/batches", create_batch),
    ("GET", "/v1/messages/batches", list_batches),
    ("GET", "/v1/messages/batches/{id}", get_batch),
    ("GET", "/v1/messages/batches/{id}/results", get_results),
    ("POST", "/v1/messages/batches/{id}/cancel", cancel_batch),
    ("DELETE", "/v1/messages/batches/{id}", delete_batch),
)
