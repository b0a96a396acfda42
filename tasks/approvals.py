"""Approvals: which actions wait for a person, what the person answered, and what follows from it.

The ledger's side; the suspended runs and their forms are in `tasks/approval_runs.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from prefect.runtime import flow_run
from pydantic import ValidationError
from sqlalchemy.orm import Session

from blocks import ledger
from blocks.ledger import Ledger, utcnow
from tasks import actions, approval_runs
from tasks.actions import Impact
from tasks.actions.base import Action as Wanted
from tasks.approval_runs import CANCELLED, SUSPENDED, ApprovalError
from tasks.verb import verb

__all__ = [
    "ApprovalError",
    "action_in",
    "action_of",
    "catch_up",
    "check_waits",
    "decision_in",
    "read",
    "request",
    "respond",
    "respond_together",
    "settle",
    "settle_form",
    "take_in",
    "unreadable",
    "waiting_action",
    "wanted",
]


ENDED = ("Failed", "Crashed", "Completed", "TimedOut")
TAKEN_BACK = {"decision": "reject", "approver": "Prefect", "comment": "its run was cancelled in Prefect", "body": "-"}


def request(store: Ledger, action_ids: Sequence[int]) -> None:
    """Create the suspended runs, with their forms, for those of these actions that wait and have none. Safe to repeat.

    What is high-impact, or has a text to edit, gets a form of its own; the rest of what one record wants shares one.

    Raises:
        ApprovalError: the deployment that performs actions does not exist.
        VendorError: Prefect could not make them now.
    """
    table = ledger.Action
    with store.read() as session:
        query = sa.select(table).where(table.id.in_(action_ids), table.state == "waiting", table.flow_run_id.is_(None))
        waiting = list(session.scalars(query.order_by(table.id)))  # the same forms each time: they are told by it
    if not waiting:
        return
    forms: dict[tuple[str, int], list[ledger.Action]] = {}
    for action in waiting:
        together = _decided_with(action) if not unreadable(action) else ("action", action.id)
        forms.setdefault(together, []).append(action)
    _give_forms(store, list(forms.values()))


def _decided_with(action: ledger.Action) -> tuple[str, int]:
    """Actions with the same key share a form: an approver reads what one e-mail leads to in the CRM as one thing."""
    if action.record_id is None or action.impact == Impact.HIGH or actions.blanks(action.kind, action.payload):
        return "action", action.id
    return "record", action.record_id


def _give_forms(store: Ledger, forms: Sequence[Sequence[ledger.Action]]) -> None:
    runs = approval_runs.create([_shown(form) for form in forms])
    rows = [
        {"id": action.id, "flow_run_id": str(run)} for form, run in zip(forms, runs, strict=True) for action in form
    ]
    with store.write() as session:
        session.execute(sa.update(ledger.Action), rows)


def wanted(action: ledger.Action) -> Wanted | None:
    """What an action is to do; None where this version cannot read it."""
    return read(action.kind, action.payload)


def read(kind: str, payload: dict[str, Any]) -> Wanted | None:
    """What a payload, as it was stored, is to do; None where this version cannot read it."""
    try:
        return actions.load(kind, payload)
    except (KeyError, ValidationError):
        return None


def unreadable(action: ledger.Action) -> str:
    """Why this version cannot read an action, which can then be rejected, but not approved; empty where it can."""
    return "" if wanted(action) else f"this version of Signoff cannot read an action of kind {action.kind}"


def _shown(form: Sequence[ledger.Action]) -> Sequence[ledger.Action]:
    """What of a form this version can describe. It decides on the rest no more: that is asked about by itself."""
    return [action for action in form if not unreadable(action)] or form[:1]


def _to_decide(store: Ledger, action_id: int, *, approve: bool) -> ledger.Action:
    """The waiting action, if it can be read by whoever approves it.

    Raises:
        ApprovalError: it does not wait, or cannot be read.
    """
    waiting = waiting_action(store, action_id)
    if approve and (why := unreadable(waiting)):
        raise ApprovalError(f"action {action_id} ({waiting.title}) cannot be approved: {why}")
    return waiting


def respond(
    store: Ledger,
    action_id: int,
    *,
    approve: bool,
    approver: str,
    comment: str = "",
    edits: Mapping[str, str] | None = None,
) -> None:
    """Decide on one waiting action, as the button in the Prefect UI does; others on its form go on waiting.

    Args:
        store: where.
        action_id: which.
        approve: or reject.
        approver: who decides.
        comment: why.
        edits: by the form's boxes, what is to stand in them instead: `body` for the text of a message.

    Raises:
        ApprovalError: the action does not wait, the form refuses the answer, or has no such box.
    """
    waiting = _to_decide(store, action_id, approve=approve)
    answer = _filled_in(waiting, approve=approve, approver=approver, comment=comment, edits=edits)
    if refused := _why_not(waiting, approval_runs.states([str(waiting.flow_run_id)])):
        raise refused
    (waiting,) = _split_off(store, [waiting])
    if waiting.state != "waiting":
        raise _answered_already(waiting)
    if refusal := approval_runs.resume(str(waiting.flow_run_id), answer):
        raise ApprovalError(f"action {action_id} ({waiting.title}) cannot be decided: {refusal}")
    # At once, not when a worker gets to the run: the list of what waits is then true, and a dead worker loses nothing.
    settled = settle(store, action_id, answer)
    if settled.verdict != ("approved" if approve else "rejected"):
        raise ApprovalError(f"action {action_id} ({waiting.title}) was {settled.verdict} meanwhile")


def respond_together(
    store: Ledger, action_ids: Sequence[int], *, approve: bool, approver: str, comment: str = ""
) -> dict[int, ApprovalError | None]:
    """Decide on several at once. One run carries out all that is approved: a process each would swamp the machine.

    Returns:
        For each action, why it could not be decided, or None.
    """
    outcomes: dict[int, ApprovalError | None] = {}
    chosen: list[ledger.Action] = []
    for action_id in action_ids:
        try:
            chosen.append(_to_decide(store, action_id, approve=approve))
            outcomes[action_id] = None
        except ApprovalError as error:
            outcomes[action_id] = error
    states = approval_runs.states([str(action.flow_run_id) for action in chosen])
    for action in chosen:
        outcomes[action.id] = _why_not(action, states)
    by_workflow: dict[str, list[ledger.Action]] = {}
    for action in chosen:
        if outcomes[action.id] is None:
            by_workflow.setdefault(action.workflow, []).append(action)
    for some in by_workflow.values():
        moved = _split_off(store, some)
        outcomes |= {action.id: _answered_already(action) for action in moved if action.state != "waiting"}
        together = [action for action in moved if action.state == "waiting"]
        if together and approve:
            outcomes |= _approve_together(store, together, approver, comment)
        else:
            outcomes |= _settle_each(store, together, "rejected", approver, comment)
            approval_runs.close([a for a in together if outcomes[a.id] is None], "Rejected", f"by {approver}")
    return outcomes


def _approve_together(
    store: Ledger, together: Sequence[ledger.Action], approver: str, comment: str
) -> dict[int, ApprovalError | None]:
    carrier = together[0]
    on_its_form = [action for action in together if action.flow_run_id == carrier.flow_run_id]
    others = [action for action in together if action.flow_run_id != carrier.flow_run_id]
    outcomes = _settle_each(store, others, "approved", approver, comment)
    settled = [action for action in others if outcomes[action.id] is None]
    _carried_by(store, carrier, settled)
    approval_runs.close(settled, "Approved", f"by {approver}, and carried out by the run of #{carrier.id}")
    answer = _filled_in(carrier, approve=True, approver=approver, comment=comment)
    refused = approval_runs.resume(str(carrier.flow_run_id), answer)
    if refused is None:
        settle_form(store, str(carrier.flow_run_id), answer)
    for action in on_its_form:  # somebody was faster: what was approved with it waits for the workflow's next run
        why = f"action {action.id} ({action.title}) cannot be decided: {refused}"
        outcomes[action.id] = ApprovalError(why) if refused else None
    return outcomes


def _why_not(action: ledger.Action, states: Mapping[str, str]) -> ApprovalError | None:
    """Why an action cannot be decided on here, by the state of its form's run in Prefect; None when it can be."""
    state = states.get(str(action.flow_run_id))
    if state is None:
        why = "its form was deleted in Prefect, and the workflow's next run makes a new one"
        return ApprovalError(f"action {action.id} ({action.title}) cannot be decided: {why}")
    # An answer that was given in Prefect counts, although its run has not got to the ledger yet.
    return None if state == SUSPENDED else _answered_already(action)


def _answered_already(action: ledger.Action) -> ApprovalError:
    return ApprovalError(f"action {action.id} ({action.title}) was answered in Prefect already")


def _split_off(store: Ledger, chosen: Sequence[ledger.Action]) -> list[ledger.Action]:
    """These actions with forms that hold none but them: whoever decides on some of a form decides on no others.

    Those whose form was answered in Prefect in that moment are settled by that answer.
    """
    numbers = {action.id for action in chosen}
    forms = {run: _on_form(store, run) for run in dict.fromkeys(str(action.flow_run_id) for action in chosen)}
    apart = {run: form for run, form in forms.items() if any(action.id not in numbers for action in form)}
    if not apart:
        return list(chosen)
    # Moved first, told afterwards: whatever happens in between, nobody decides on more than a form shows.
    moved = {run: [action for action in form if action.id in numbers] for run, form in apart.items()}
    _give_forms(store, list(moved.values()))
    states = approval_runs.states(list(apart))
    for run, form in apart.items():
        if states.get(run) == SUSPENDED:
            approval_runs.describe_anew(run, _shown([action for action in form if action.id not in numbers]))
        elif given := _given(run, states.get(run, "")):
            for action in moved[run]:
                settle(store, action.id, given)
    return [action_of(store, action.id) for action in chosen]


def _given(flow_run_id: str, state: str) -> dict[str, Any] | None:
    """What a person answered on a run's form, or None. One who cancels the run has taken the answer back."""
    return TAKEN_BACK if state in CANCELLED else approval_runs.answer_of(flow_run_id)


def _on_form(store: Ledger, flow_run_id: str) -> list[ledger.Action]:
    """What waits on a run's form."""
    table = ledger.Action
    query = sa.select(table).where(table.flow_run_id == flow_run_id, table.state == "waiting").order_by(table.id)
    with store.read() as session:
        return list(session.scalars(query))


def _settle_each(
    store: Ledger, chosen: Sequence[ledger.Action], verdict: str, approver: str, comment: str
) -> dict[int, ApprovalError | None]:
    outcomes: dict[int, ApprovalError | None] = {}
    for action in chosen:
        answer = _filled_in(action, approve=verdict == "approved", approver=approver, comment=comment)
        settled = settle(store, action.id, answer)
        meanwhile = f"action {action.id} ({action.title}) was {settled.verdict} meanwhile"
        outcomes[action.id] = None if settled.verdict == verdict else ApprovalError(meanwhile)
    return outcomes


def take_in(store: Ledger, action_id: int) -> ledger.Decision:
    """Settle what a person filled into the current run's form; suspends the run when nobody has.

    Returns:
        The decision on `action_id`, or on another of the form's actions when that one was decided on elsewhere.

    Raises:
        ApprovalError: nobody has, and the action does not wait for anybody.
    """
    run_id = str(flow_run.id)
    given = approval_runs.answer_of(run_id)
    if given is not None and (why := _misfit(form := _on_form(store, run_id), given)):
        approval_runs.give_back(form, given, why)
    # The form is about what waits on this run, whatever the run's parameter says by now (it can be changed), and
    # whatever action has this number by now (a ledger can be replaced by a backup). Only a run that somebody started
    # by hand has nothing: it gets the action that it names.
    if given is None:
        form = _on_form(store, run_id)
        if not form:
            waiting = waiting_action(store, action_id)
            _bind(store, action_id, run_id)
            form = [waiting]
        given = approval_runs.wait_for_answer(_shown(form))
    settle_form(store, run_id, given)
    table, mine = ledger.Decision, ledger.Action
    query = sa.select(table).join(mine).where(mine.flow_run_id == run_id).order_by(mine.id != action_id, mine.id)
    with store.read() as session:
        found = session.scalars(query.limit(1)).first()
    if found is None:
        raise ApprovalError(f"this run's form was not about action {action_id} of this ledger: nothing is done")
    return found


def waiting_action(store: Ledger, action_id: int) -> ledger.Action:
    """The action, if a person can decide on it now.

    Raises:
        ApprovalError: there is no such action, or it was decided, or it has expired.
    """
    found = action_of(store, action_id)
    if found.state == "waiting" and found.flow_run_id is None:
        raise ApprovalError(f"action {action_id} ({found.title}) has no form yet: the workflow's next run makes it")
    check_waits(found)
    if found.expires_at and found.expires_at <= utcnow():
        raise ApprovalError(f"action {action_id} ({found.title}) expired at {found.expires_at:%Y-%m-%d %H:%M} UTC")
    return found


def action_of(store: Ledger, action_id: int) -> ledger.Action:
    """The action with this number.

    Raises:
        ApprovalError: there is none.
    """
    with store.read() as session:
        return action_in(session, action_id)


def action_in(session: Session, action_id: int) -> ledger.Action:
    """The same, within a transaction."""
    found = session.get(ledger.Action, action_id)
    if found is None:
        raise ApprovalError(f"there is no action {action_id}; `signoff approvals list` shows those that wait")
    return found


def decision_in(session: Session, action_id: int) -> ledger.Decision | None:
    """What was decided on an action; None where nothing was."""
    return session.scalar(sa.select(ledger.Decision).where(ledger.Decision.action_id == action_id))


def check_waits(action: ledger.Action) -> None:
    """Return if an action waits for somebody.

    Raises:
        ApprovalError: it does not.
    """
    if action.state != "waiting":
        way_out = f". Once the cause is mended: signoff ledger retry {action.id}" if action.state == "failed" else ""
        raise ApprovalError(
            f"action {action.id} ({action.title}) does not wait for anybody: it is {action.state}{way_out}"
        )


def settle_form(store: Ledger, flow_run_id: str, answer: dict[str, Any] | None) -> None:
    """Write a person's answer into the ledger for whatever waits on a run's form."""
    form: Sequence[ledger.Action] = _on_form(store, flow_run_id)
    if len({_decided_with(action) for action in form}) > 1:  # never made so: whoever answered cannot have seen it all
        answer = {"unreadable": True}
    if answer is not None and len(stays := _shown(form)) < len(form):
        _forget_form(store, [action.id for action in form if action not in stays])
        form = stays
    for waiting in form:
        with suppress(ApprovalError):  # decided on elsewhere in this moment
            settle(store, waiting.id, answer, on_form=flow_run_id)


def settle(store: Ledger, action_id: int, answer: dict[str, Any] | None, on_form: str | None = None) -> ledger.Decision:
    """Write a person's answer into the ledger, once, and move the action on: to `pending` or to `rejected`.

    The approved payload, edited or not, is bound by its digest. An answer that cannot be read is never an approval,
    and no answer (None) means that the time is up. One that is there was given in time, however late it is settled:
    Prefect takes none after a form's timeout. Settling again returns the decision that is there.

    Args:
        store: where.
        action_id: which.
        answer: what was filled in.
        on_form: the run on whose form it stood.

    Raises:
        ApprovalError: nobody was asked about this action, or it has left that form.
    """
    with store.write() as session:
        action = session.get_one(ledger.Action, action_id)
        decided = decision_in(session, action_id)
        if decided is not None:
            return decided
        check_waits(action)
        if on_form is not None and action.flow_run_id != on_form:
            raise ApprovalError(f"action {action_id} ({action.title}) is decided on elsewhere")
        decision = _read_answer(action, answer)
        session.add(decision)
        action.state = "pending" if decision.verdict == "approved" else decision.verdict
        action.reason = decision.comment or None
    return decision


@verb("catch up on approvals")
def catch_up(store: Ledger, workflow: str) -> None:
    """Before new work: take in what was answered, close what has expired, and ask for what has no form (any more).

    Raises:
        ApprovalError: actions wait, but nobody could approve them.
    """
    # Taken first: Prefect takes no answer after the timeout, so whatever was answered in time is collected.
    now = utcnow()
    runs = {a.flow_run_id for a in _waiting(store, workflow) if a.flow_run_id}
    states = approval_runs.states(sorted(runs))
    _collect(store, states)
    _expire(store, workflow, now)
    _forget_deleted_forms(store, runs - states.keys())
    request(store, [a.id for a in _waiting(store, workflow)])


def _filled_in(
    waiting: ledger.Action,
    *,
    approve: bool,
    approver: str,
    comment: str,
    edits: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The action's form as a person has filled it in.

    Raises:
        ApprovalError: it has no such box, or what is to stand there is refused.
    """
    filled = {"decision": "approve" if approve else "reject", "approver": approver, "comment": comment}
    boxes = {blank.name: blank.text for blank in actions.blanks(waiting.kind, waiting.payload)}
    for name in edits or {}:
        if name not in boxes:
            there = f"what can be changed is {', '.join(boxes)}" if boxes else "has no text to edit"
            what = f"has no {name!r}: {there}" if boxes else there
            raise ApprovalError(f"action {waiting.id} ({waiting.title}) {what}")
    answer = filled | boxes | dict(edits or {})
    if edits and approve and approver:
        try:
            changed = actions.load(waiting.kind, waiting.payload).filled(answer)
            actions.load(waiting.kind, waiting.payload | changed)
        except ValueError as error:
            why = _said(error)
            raise ApprovalError(f"action {waiting.id} ({waiting.title}) cannot be decided: {why}") from error
    return answer


def _said(error: ValueError) -> str:
    """What is wrong with what was filled in, and where."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _carried_by(store: Ledger, carrier: ledger.Action, others: Sequence[ledger.Action]) -> None:
    table = ledger.Action
    theirs = sa.update(table).where(table.id.in_([other.id for other in others]), table.state == "pending")
    with store.write() as session:
        session.execute(theirs.values(flow_run_id=carrier.flow_run_id))


def _bind(store: Ledger, action_id: int, flow_run_id: str) -> None:
    """From now on this run's form is the one that counts for the action; others of its old one go on waiting there."""
    before = action_of(store, action_id).flow_run_id
    with store.write() as session:
        session.execute(sa.update(ledger.Action).where(ledger.Action.id == action_id).values(flow_run_id=flow_run_id))
    if before and before != flow_run_id and (rest := _on_form(store, before)):
        approval_runs.describe_anew(before, _shown(rest))


def _collect(store: Ledger, states: Mapping[str, str]) -> None:
    """Settle waiting actions that a person has answered but whose run never got to say so (its worker died).

    A person who cancels the run has taken the answer back, or given none: that is a rejection.
    """
    for flow_run_id, state in states.items():
        if state == SUSPENDED:
            continue
        given = _given(flow_run_id, state)
        if given and (why := _misfit(form := _on_form(store, flow_run_id), given)):
            approval_runs.ask_anew(flow_run_id, form, given, why)
        elif given:
            settle_form(store, flow_run_id, given)
        elif state in ENDED:  # somebody forced it on, and it failed: it asks again
            approval_runs.ask_anew(flow_run_id, _shown(_on_form(store, flow_run_id)))


def _forget_deleted_forms(store: Ledger, gone: Collection[str]) -> None:
    """Whoever deletes a form in Prefect has decided nothing: the action gets a new one."""
    if gone:
        table = ledger.Action
        orphans = sa.update(table).where(table.state == "waiting", table.flow_run_id.in_(gone))
        with store.write() as session:
            session.execute(orphans.values(flow_run_id=None))


def _forget_form(store: Ledger, numbers: Sequence[int]) -> None:
    """Let the workflow's next run make a form of their own for these."""
    table = ledger.Action
    alone = sa.update(table).where(table.id.in_(numbers), table.state == "waiting").values(flow_run_id=None)
    with store.write() as session:
        session.execute(alone)


def _expire(store: Ledger, workflow: str, now: datetime) -> None:
    """Close the waiting actions whose time is up. Their runs in Prefect are cancelled."""
    late = [a for a in _waiting(store, workflow) if a.expires_at and a.expires_at <= now]
    for action in late:
        if action.flow_run_id is None:
            settle(store, action.id, None)
    for flow_run_id in dict.fromkeys(action.flow_run_id for action in late if action.flow_run_id):
        settle_form(store, flow_run_id, approval_runs.answer_of(flow_run_id))
    approval_runs.cancel(sorted({a.flow_run_id for a in late if a.flow_run_id}), "Expired: nobody decided in time.")


def _waiting(store: Ledger, workflow: str) -> list[ledger.Action]:
    table = ledger.Action
    with store.read() as session:
        query = sa.select(table).where(table.workflow == workflow, table.state == "waiting")
        return list(session.scalars(query.order_by(table.id)))


def _misfit(form: Sequence[ledger.Action], given: Mapping[str, Any]) -> str:
    """Why an approval cannot be done as it was edited, so that it is asked for again; empty for any other answer."""
    if len(form) != 1:
        return ""
    blanks = {blank.name for blank in actions.blanks(form[0].kind, form[0].payload)}
    try:
        said = approval_runs.Decision.model_validate({name: given[name] for name in given.keys() - blanks})
        if said.decision.strip().lower() != "approve" or not blanks & given.keys():
            return ""
        _approved(form[0], given)
    except ValidationError as error:
        return _said(error) if error.title != approval_runs.Decision.__name__ else ""
    except ValueError as error:
        return _said(error)
    return ""


def _approved(action: ledger.Action, answer: Mapping[str, Any]) -> tuple[approval_runs.Decision, dict[str, Any]]:
    """A form as it was filled in, and what is then to be done. Raises ValueError, with what does not fit."""
    kind = approval_runs.form_of(action, filled_in=False)
    boxes = kind.model_fields.keys() - approval_runs.Decision.model_fields.keys()
    form = kind.model_validate({name: value for name, value in answer.items() if boxes or name != "body"})
    payload = dict(action.payload)
    if form.decision.strip().lower() != "approve":  # nothing is done, so it need not be readable
        return form, payload
    if why := unreadable(action):
        raise ValueError(why)
    if boxes:
        left = approval_runs.as_left(form.model_dump(include=form.model_fields_set), sorted(boxes))
        payload |= actions.load(action.kind, payload).filled(left)
    actions.load(action.kind, payload)
    return form, payload


def _read_answer(action: ledger.Action, answer: dict[str, Any] | None) -> ledger.Decision:
    decision = ledger.Decision(
        action_id=action.id,
        approver="",
        comment="",
        payload=action.payload,
        digest=action.digest,
        edited=False,
    )
    if answer is None:
        decision.verdict, decision.comment = "expired", "nobody decided in time"
        return decision
    try:
        form, payload = _approved(action, answer)
    except ValueError as error:
        decision.verdict, decision.comment = "rejected", f"the answer could not be read: {_said(error)}"
        return decision
    decision.verdict = "approved" if form.decision.strip().lower() == "approve" else "rejected"
    decision.approver, decision.comment = form.approver, form.comment
    decision.edited = payload != action.payload
    decision.payload, decision.digest = payload, actions.digest(action.kind, payload, action.credential)
    return decision
