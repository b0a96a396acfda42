"""The Prefect side of an approval: a suspended run of `perform-action` with its form, made in bulk and read back.

A waiting action costs a row on the server; no process waits for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any, NoReturn
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, Pause, PrefectHTTPStatusError
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.run_input import Keyset, keyset_from_paused_state
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Suspended, to_state_create
from pydantic import Field, create_model

from blocks import ledger
from blocks.ledger import utcnow
from blocks.vendor import VendorError
from tasks import actions
from tasks.plain import plain
from tasks.verb import concurrently

DEPLOYMENT = "perform-action/perform-action"
PAUSE_KEY = "decision"
SUSPENDED = "Suspended"
CANCELLED = ("Cancelled", "Cancelling")
PAGE = 200
"""The most runs that Prefect's API returns at once."""

BULK = 25
"""Runs made in one request: more would keep the server's other writers waiting for longer."""


WAITS = (0.5, 2.0)
"""Seconds before Prefect is asked again for runs that its database had no time for: a person may be waiting."""


class ApprovalError(Exception):
    """A decision could not be taken; the message says why and what to do instead."""


class Decision(RunInput):
    """The form that an approver fills in."""

    # A text, not a choice: the drop-down in this UI's dialog does not open by mouse (its focus trap takes it back).
    decision: str = Field(
        title="Decision: type approve or reject",
        description="approve does exactly what is shown here; reject does nothing.",
        pattern=r"^\s*([Aa][Pp][Pp][Rr][Oo][Vv][Ee]|[Rr][Ee][Jj][Ee][Cc][Tt])\s*$",
    )
    approver: str = Field(title="Your name", description="It goes into the ledger.", min_length=1)
    comment: str = Field(default="", title="Comment", description="Why. A rejection with a reason teaches.")


Form = Sequence[ledger.Action]
"""The actions that are decided on together: one, or several without a text to edit."""


def create(forms: Sequence[Form]) -> list[UUID]:
    """The suspended run of each of these forms, in order.

    Safe to repeat: a run is found again by its idempotency key, so a crash half way leaves nothing double. Runs come
    first, then their forms: Prefect resumes no run that lacks its form.

    Raises:
        ApprovalError: the deployment that performs actions does not exist.
        VendorError: Prefect could not make them now.
    """
    made: list[UUID] = []
    with get_client(sync_client=True) as client:
        deployment_id = _deployment(client)
        for start in range(0, len(forms), BULK):
            some = forms[start : start + BULK]
            runs = _runs_of(client, deployment_id, some)
            for _ in concurrently(lambda pair: _save_form(client, *pair), list(zip(some, runs, strict=True))):
                pass
            made += runs
    return made


def resume(flow_run_id: str, answer: dict[str, Any]) -> str | None:
    """Answer a run's form; None when Prefect took the answer, else its reason why not."""
    with get_client(sync_client=True) as client:
        result = client.resume_flow_run(UUID(flow_run_id), run_input=answer)
    if result.status == SetStateStatus.ACCEPT:
        return None
    return getattr(result.details, "reason", None) or "Prefect gave no reason"


def describe_anew(flow_run_id: str, form: Form) -> None:
    """Some of a form's actions were decided on elsewhere: it shows the others only."""
    key = _keyset()["description"]
    with get_client(sync_client=True) as client:
        _delete_input(client, UUID(flow_run_id), key)
        with suppress(ObjectNotFound):  # its run was deleted: the next run of the workflow makes another
            _save_input(client, UUID(flow_run_id), key, description(form))


def ask_anew(flow_run_id: str, form: Form, given: Mapping[str, Any] | None = None, why: str = "") -> None:
    """Suspend a run with its form as it was at first; or as it was answered, with why that cannot be done."""
    if not form:
        return
    with get_client(sync_client=True) as client:
        for key in _keyset().values():
            _delete_input(client, UUID(flow_run_id), key)
        _save_form(client, form, UUID(flow_run_id), given, why)
        state = _suspended(min(map(_seconds_left, form)))
        client.set_flow_run_state(UUID(flow_run_id), state, force=True)


def give_back(form: Form, given: Mapping[str, Any], why: str) -> NoReturn:
    """Let the current run wait for another answer, with what was written and why that cannot be done. Ends it here."""
    ask_anew(str(flow_run.id), form, given, why)
    raise Pause(state=_suspended())


def wait_for_answer(waiting: Form) -> dict[str, Any]:
    """Suspend the current run, with a fresh form, until somebody has answered it.

    For a run that was started by hand, or whose state was changed in the UI: nobody has decided there.
    """
    with get_client(sync_client=True) as client:
        for key in _keyset().values():
            _delete_input(client, UUID(flow_run.id), key)
    form = form_of(waiting[0])
    form._description = description(waiting)
    timeout = min(map(_seconds_left, waiting))
    answer: RunInput = suspend_flow_run(wait_for_input=form, key=PAUSE_KEY, timeout=timeout)
    return answer.model_dump()


def answer_of(flow_run_id: str) -> dict[str, Any] | None:
    """What the person filled in, or None when nobody has answered this run's form."""
    with get_client(sync_client=True) as client:
        try:
            text = client.read_flow_run_input(UUID(flow_run_id), _keyset()["response"])
        except (ObjectNotFound, PrefectHTTPStatusError) as error:
            if isinstance(error, PrefectHTTPStatusError) and error.response.status_code != 404:
                raise
            return None
    try:
        found = json.loads(text)
    except ValueError:
        return {"unreadable": True}
    return found if isinstance(found, dict) else {"unreadable": True}


def states(flow_run_ids: Sequence[str]) -> dict[str, str]:
    """The state names of these runs, without those that Prefect does not know: somebody has deleted them."""
    found: dict[str, str] = {}
    with get_client(sync_client=True) as client:
        for start in range(0, len(flow_run_ids), PAGE):
            wanted = {"id": {"any_": list(flow_run_ids[start : start + PAGE])}}
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted))
            found |= {str(run.id): run.state_name or "" for run in runs}
    return found


def close(decided: Sequence[ledger.Action], name: str, why: str) -> None:
    """End the suspended runs of actions that were decided elsewhere, as completed, with what was decided."""
    with get_client(sync_client=True) as client:
        for flow_run_id in dict.fromkeys(action.flow_run_id for action in decided):
            with suppress(ObjectNotFound):
                state: State[Any] = Completed(name=name, message=why)
                client.set_flow_run_state(UUID(flow_run_id), state, force=True)


def cancel(flow_run_ids: Sequence[str], why: str) -> None:
    """Cancel runs that nobody may resume any more."""
    with get_client(sync_client=True) as client:
        for flow_run_id in flow_run_ids:
            client.set_flow_run_state(UUID(flow_run_id), Cancelled(message=why), force=True)


def _deployment(client: SyncPrefectClient) -> UUID:
    try:
        return client.read_deployment_by_name(DEPLOYMENT).id
    except ObjectNotFound as error:
        raise ApprovalError(
            f"the deployment {DEPLOYMENT} does not exist, so nobody could approve: run `prefect deploy --all`"
        ) from error


def _suspended(seconds: int | None = None) -> State[Any]:
    state: State[Any] = Suspended(timeout_seconds=seconds, pause_key=PAUSE_KEY)
    state.state_details.run_input_keyset = {str(k): v for k, v in keyset_from_paused_state(state).items()}
    return state


def _keyset() -> Keyset:
    return keyset_from_paused_state(_suspended())


def _runs_of(client: SyncPrefectClient, deployment_id: UUID, forms: Sequence[Form]) -> list[UUID]:
    """The suspended runs of these forms, made in one request and one transaction of the server's."""
    wanted = []
    for form in forms:
        first = form[0]
        # With the time: a ledger that was restored asks anew, and is not given the answer of before. With all of them:
        # a form from which some were taken out is another one.
        content = sha256("".join(action.digest for action in form).encode()).hexdigest()[:16]
        run = DeploymentFlowRunCreate(
            parameters={"action_id": first.id},
            state=to_state_create(_suspended(min(map(_seconds_left, form)))),
            name=_name(form),
            idempotency_key=f"{first.key}:{content}:{first.created_at.timestamp()}",
            tags=[first.workflow, *dict.fromkeys(action.kind for action in form)],
        )
        wanted.append(run.model_dump(mode="json", exclude_unset=True))
    for patience in (*WAITS, None):
        results = create_runs(client, deployment_id, wanted)
        failed = next((str(result["error"]) for result in results if result["status"] != "CREATED"), None)
        if failed is None and len(results) == len(wanted):
            break
        # Most often "database is locked": SQLite under load. Each has its idempotency key: all may be asked for again.
        if patience is None:
            raise VendorError("prefect", "create approval runs", failed or "some are missing", permanent=False)
        time.sleep(patience)
    return [UUID(result["flow_run_id"]) for result in results]


def create_runs(
    client: SyncPrefectClient, deployment_id: UUID, wanted: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Make runs of a deployment in one request and one transaction; for each what became of it, as Prefect says it.

    Raises:
        PrefectHTTPStatusError: Prefect refuses all of them.
    """
    # One by one they take 40 ms each, mostly transactions; the client has no method yet for the bulk route.
    path: Any = "/deployments/{id}/create_flow_run/bulk"
    reply = client.request("POST", path, path_params={"id": deployment_id}, json=list(wanted))
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


def _name(form: Form) -> str:
    numbers = ", ".join(f"#{action.id}" for action in form)
    more = f" and {len(form) - 1} more" if len(form) > 1 else ""
    return f"{form[0].title}{more} ({numbers})"


def description(form: Form) -> str:
    """What an approver reads: each action with all that it would do, and why. Markdown."""
    first, *others = form
    if not others:
        return first.explanation
    parts = [f"**{len(form)} things are decided together here.** To decide on one of them: `signoff approvals`."]
    for action in others:
        preview = actions.load(action.kind, action.payload).preview()
        facts = "\n".join(f"- **{label}:** {plain(value)}" for label, value in preview.items())
        parts.append(f"**{plain(action.title)}**\n\n{facts}")
    return "\n\n".join([*parts, first.explanation])


def _seconds_left(action: ledger.Action) -> int:
    left = (action.expires_at - utcnow()) if action.expires_at else timedelta(days=365)
    return max(1, int(left.total_seconds()))


def _save_form(
    client: SyncPrefectClient, form: Form, flow_run_id: UUID, given: Mapping[str, Any] | None = None, why: str = ""
) -> None:
    keyset = _keyset()
    said = [f"**The last answer was not taken:** {plain(why)}. What was written stands below."] if why else []
    _save_input(client, flow_run_id, keyset["schema"], form_of(form[0], given=given).model_json_schema())
    _save_input(client, flow_run_id, keyset["description"], "\n\n".join([*said, description(form)]))


def form_of(action: ledger.Action, *, filled_in: bool = True, given: Mapping[str, Any] | None = None) -> type[Decision]:
    """The form, with what may be rewritten filled in; or without the texts that have to be there, to read an answer.

    With `given`, what a person has written stands in its boxes. Prefect's `with_initial_data` would drop the fields'
    titles and descriptions.
    """
    blanks = actions.blanks(action.kind, action.payload)
    written = as_left(given or {}, [blank.name for blank in blanks])
    boxes: dict[str, Any] = {
        blank.name: (
            str,
            Field(
                default=str(written.get(blank.name, blank.text)) if filled_in or not blank.required else ...,
                title=blank.title,
                description=blank.description,
                pattern=blank.pattern or None,
                min_length=1 if blank.required else None,
            ),
        )
        for blank in blanks
    }
    return create_model("EditableDecision", __base__=Decision, **boxes) if boxes else Decision


def as_left(given: Mapping[str, Any], boxes: Sequence[str]) -> dict[str, Any]:
    """What stood in each box of a form; nothing when none was sent, so that all is as it was.

    Prefect's page sends every box, and leaves out those that a person has emptied.
    """
    return {name: given.get(name, "") for name in boxes} if any(name in given for name in boxes) else {}


def _delete_input(client: SyncPrefectClient, flow_run_id: UUID, key: str) -> None:
    try:
        client.delete_flow_run_input(flow_run_id, key)
    except (ObjectNotFound, PrefectHTTPStatusError) as error:
        # Prefect says either when there is none.
        if isinstance(error, PrefectHTTPStatusError) and error.response.status_code != 404:
            raise


def _save_input(client: SyncPrefectClient, flow_run_id: UUID, key: str, value: Any) -> None:
    try:
        client.create_flow_run_input(flow_run_id, key, json.dumps(value))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != 409:  # 409: a crash came after this one was saved
            raise
