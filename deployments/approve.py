"""`signoff approvals`: see what waits, and decide, one by one or by rule."""

from __future__ import annotations

import functools
import getpass
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blocks.ledger import Action, Ledger, utcnow
from deployments import awaited, comments, views
from deployments.cards import cards
from deployments.errors import CommandError
from deployments.waiting import about, listed, ui_url, waiting
from tasks import approval_notices, approval_rules, approvals
from tasks import assign as assigning
from tasks import inbox as waiting_room
from tasks.card import Stage
from tasks.run import lowered_to


def show(action_id: int, *, as_json: bool) -> int:
    """Print one action with everything that an approver needs."""
    ledger = Ledger.open()
    action = approvals.action_of(ledger, action_id)
    if as_json:
        views.as_json(views.approval_json(action, about(ledger, [action])[action.id], ui_url()))
        return 0
    views.approval(action, ui_url())
    with ledger.read() as session:
        decision = approvals.decision_in(session, action_id)
    if decision:
        views.decided(action, decision)
    return 0


def decide(
    ids: Sequence[int],
    *,
    approve: bool,
    workflow: str | None,
    kind: str | None,
    body_file: str | None,
    changes: Sequence[str] = (),
    comment: str,
    approver: str | None,
    yes: bool,
    wait: bool = False,
    as_json: bool,
) -> int:
    """Approve or reject; one that cannot be decided does not stop the others. 1 when any could not.

    With `wait`, stay until what was approved is done, and 1 also when any was not.
    """
    ledger = Ledger.open()
    chosen = _chosen(ledger, ids, workflow=workflow, kind=kind)
    if len(chosen) > 1 and (body_file or changes):
        what = "--body-file replaces the text" if body_file else "--set changes values"
        raise CommandError(f"{what} of one action: give one number")
    _refuse_slip(chosen, comment)
    if (len(chosen) > 1 or not ids) and not yes:
        _confirm(chosen, approve=approve)
    who, edits = approver or getpass.getuser(), _edits(body_file, changes)
    if len(chosen) > 1:
        numbers = [action.id for action in chosen]
        errors = approvals.respond_together(ledger, numbers, approve=approve, approver=who, comment=comment)
    else:
        errors = {chosen[0].id: _respond(ledger, chosen[0].id, approve, who, comment, edits)}
    return _end(ledger, chosen, errors, approve=approve, comment=comment, wait=wait, as_json=as_json)


def _end(
    ledger: Ledger,
    chosen: Sequence[Action],
    errors: Mapping[int, approvals.ApprovalError | None],
    *,
    approve: bool,
    comment: str,
    wait: bool,
    as_json: bool,
) -> int:
    """Say what was decided and, with `wait`, what became of it."""
    outcomes = _outcomes(chosen, errors)
    decided = [action for action in chosen if errors[action.id] is None]
    if not as_json:
        _tell(outcomes, approve=approve)
    for wrong in comments.misunderstood((action.workflow for action in decided), comment):
        views.errors.print(
            f"signoff: decided, but the comment will teach nothing: {wrong}", markup=False, soft_wrap=True
        )
    try:
        became = awaited.wait(ledger, decided) if wait else []
    except KeyboardInterrupt:
        if as_json:
            views.as_json(outcomes)
        raise
    if as_json:
        states = {action.id: {"state": action.state, "reason": action.reason} for action in became}
        views.as_json([outcome | states.get(outcome["id"], {}) for outcome in outcomes])
    else:
        awaited.tell(became)
    is_well = len(decided) == len(chosen) and all(action.state == "done" for action in became)
    return 0 if is_well else 1


def _refuse_slip(chosen: Sequence[Action], comment: str) -> None:
    if wrong := comments.slip((action.workflow for action in chosen), comment):
        raise CommandError(wrong)


def _outcomes(chosen: Sequence[Action], errors: Mapping[int, approvals.ApprovalError | None]) -> list[dict[str, Any]]:
    return [
        {
            "id": action.id,
            "title": action.title,
            "workflow": action.workflow,
            "decided": errors[action.id] is None,
            "error": str(errors[action.id] or "") or None,
        }
        for action in chosen
    ]


def approve_where(
    rule: str | None,
    *,
    alone: bool,
    dry_run: bool,
    comment: str,
    approver: str | None,
    yes: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Approve what a rule matches, once it was shown; 1 when any could not be, or with `wait`, was not done."""
    if rule is None:
        raise CommandError('--dry-run goes with a rule: --where "kind = hubspot.add_note and age > 1h"')
    if not alone:
        raise CommandError("give --where alone: numbers, filters and changed texts go without it")
    ledger, read = Ledger.open(), approval_rules.read(rule)
    chosen, left_out = _matching(ledger, read)
    if left_out:
        kinds = sorted({action.kind for action in left_out})
        views.errors.print(
            f"signoff: {len(left_out)} high-impact left out: name the kind ({', '.join(kinds)}) to mean them",
            markup=False,
            soft_wrap=True,
        )
    if not chosen:
        raise CommandError("nothing that waits matches this rule")
    if dry_run:
        return _show_matching(ledger, chosen, as_json=as_json)
    _refuse_slip(chosen, comment)
    if not yes:
        _confirm(chosen, approve=True)
    who, numbers = approver or getpass.getuser(), [action.id for action in chosen]
    errors = approvals.respond_together(ledger, numbers, approve=True, approver=who, comment=comment)
    return _end(ledger, chosen, errors, approve=True, comment=comment, wait=wait, as_json=as_json)


def _matching(ledger: Ledger, rule: approval_rules.Rule) -> tuple[list[Action], list[Action]]:
    """What waits and is meant; and what is high-impact, meets the conditions, and is not meant all the same."""
    now = utcnow()
    actions = {action.id: action for action in waiting(ledger)}
    rows = [row for row in waiting_room.waiting(ledger, cards()) if row.id in actions and row.has_form]
    facts = [(actions[row.id], waiting_room.facts(row, actions[row.id], now)) for row in rows]
    meant = [action for action, found in facts if rule.matches(found)]
    return meant, [action for action, found in facts if rule.meets(found) and not rule.matches(found)]


def _show_matching(ledger: Ledger, chosen: Sequence[Action], *, as_json: bool) -> int:
    rows = {row.id: row for row in listed(ledger)}
    there = [action for action in chosen if action.id in rows]  # somebody may have decided on one meanwhile
    if as_json:
        views.as_json([views.approval_json(action, rows[action.id].about, ui_url()) for action in there])
    else:
        views.approvals(views.forms([rows[action.id] for action in there]), ui_url())
        views.console.print(f"\n{len(there)} match. Nothing was decided: leave --dry-run out to approve them.")
    return 0


def assign(action_id: int, person: str, *, comment: str, by: str | None) -> int:
    """Pass an action on, and tell the person."""
    ledger, every = Ledger.open(), cards()
    row = assigning.assign(ledger, action_id, person, by=by or getpass.getuser(), comment=comment, cards=every)
    told = approval_notices.tell_due(ledger, every)
    views.console.print(f"{row.person} is asked to decide on action {action_id}.", markup=False)
    for one in told:
        why = f" ({one.reason})" if one.reason else ""
        views.console.print(f"{one.channel}: {one.state}{why}", markup=False, soft_wrap=True)
    return 0


def _respond(
    ledger: Ledger, action_id: int, approve: bool, approver: str, comment: str, edits: dict[str, str]
) -> approvals.ApprovalError | None:
    try:
        approvals.respond(ledger, action_id, approve=approve, approver=approver, comment=comment, edits=edits)
    except approvals.ApprovalError as error:
        return error
    return None


def _chosen(ledger: Ledger, ids: Sequence[int], *, workflow: str | None, kind: str | None) -> list[Action]:
    if ids and (workflow or kind):
        raise CommandError("give numbers or a filter, not both")
    if ids:
        found = [approvals.action_of(ledger, i) for i in dict.fromkeys(ids)]
        return found if len(found) > 1 else [approvals.waiting_action(ledger, found[0].id)]
    if not (workflow or kind):
        raise CommandError("say which: numbers from `signoff approvals list`, or --workflow, or --kind")
    found = waiting(ledger, workflow=workflow, kind=kind)
    if not found:
        raise CommandError("nothing that waits matches this filter")
    return found


def _confirm(chosen: Sequence[Action], *, approve: bool) -> None:
    verb = "Approve" if approve else "Reject"
    for action in chosen:
        views.console.print(f"  {action.id}  {views.printable(action.title)}", markup=False)
    unattended = f"{len(chosen)} match: add --yes to {verb.lower()} them all without being asked"
    if not views.agrees(f"{verb} these {len(chosen)}?", unattended):
        raise CommandError("nothing was decided")


def _edits(body_file: str | None, changes: Sequence[str]) -> dict[str, str]:
    """By the form's boxes, what is to stand in them."""
    edits: dict[str, str] = {} if body_file is None else {"body": _read(body_file)}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"--set {change}: write it as --set total=4.11")
        edits[name.strip()] = text
    return edits


def _read(body_file: str) -> str:
    try:
        return sys.stdin.read() if body_file == "-" else Path(body_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(f"--body-file {body_file} cannot be read: {why}") from error


def then_what(workflow: str) -> str:
    """What comes of an approval."""
    if lowered_to(workflow)[0] is Stage.SHADOW:
        return f"approved; {workflow} is in shadow, and does it once it is not: signoff stage {workflow} gated"
    return "approved, the worker does it now"


def _tell(outcomes: Sequence[dict[str, Any]], *, approve: bool) -> None:
    then = functools.cache(then_what)  # one question to the server for each workflow
    for outcome in outcomes:
        if outcome["decided"]:
            done = then(str(outcome["workflow"])) if approve else "rejected, nothing is done"
            views.console.print(f"{outcome['id']}  {outcome['title']}: {done}", markup=False, soft_wrap=True)
        else:
            views.errors.print(f"signoff: {outcome['error']}", markup=False, soft_wrap=True)
