"""What one attempt does, in a process of its own: what a run of a workflow does, without Prefect's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from blocks import connections
from blocks.ledger import Ledger
from blocks.vendor import VendorError
from tests.chaos.destinations import accounts
from tests.chaos.traps import At, Trap, set_trap

WORKFLOW = "lead-triage"
RETURNED, REFUSED, FAILED = 0, 10, 11
"""How a child ends that was not killed: its work returned, the ledger refused it, a vendor failed it."""


def prepare(ledger_url: str, sandbox_url: str) -> None:
    """Import and build what attempts need, once, and cut the ties to Prefect's server: the children have none.

    Nothing is left connected: neither to a vendor nor to the database.
    """
    import anthropic  # noqa: F401
    import googleapiclient.discovery  # noqa: F401
    import hubspot
    import hubspot.crm.associations.v4
    import hubspot.crm.contacts
    import hubspot.crm.objects.notes
    import hubspot.crm.objects.tasks  # noqa: F401

    import tasks.fetch
    import tasks.gate
    import tasks.prompt
    import tasks.validate
    from flows import lead_triage  # noqa: F401
    from tasks import checks, run, workdays
    from tasks.card import Stage

    run.lowered_to = lambda workflow: (Stage.SELECTIVE, f"{workflow} has no Prefect server here")
    vars(run)["supported"] = lambda *_: (Stage.SELECTIVE, "what was earned is not the subject here")
    checks.unfit = lambda *_: {}
    tasks.fetch.unfit = lambda *_: {}  # type: ignore[attr-defined]
    workdays.day_off = lambda *_: ""
    _unpaced()
    blocks = accounts(sandbox_url)
    for block in blocks.values():
        getattr(block, "_api", block.get_client)()
    connections.load = blocks.__getitem__  # type: ignore[assignment]
    connections.load_if_present = blocks.get  # type: ignore[assignment]
    # One vain attempt, for whatever is only compiled or imported when it is first used.
    attempt({"work": "act", "ledger": ledger_url, "action": 0, "decision": 0, "trap": None})
    Ledger.open(ledger_url).engine.dispose()


def _unpaced() -> None:
    """No pace is asked of Prefect: the sandbox counts nothing, and the faults say when it has had enough."""
    from tasks import pace

    pace.Pace._look = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005


def attempt(job: dict[str, Any]) -> int:
    """Do the job in this process, which may not survive it. Returns the exit code."""
    if job.get("break"):
        BREAKS[job["break"]]()
    ledger = Ledger.open(job["ledger"])
    if job["trap"]:
        set_trap(Trap(**{**job["trap"], "at": At(job["trap"]["at"])}), ledger)
    try:
        WORK[job["work"]](ledger, job)
    except VendorError:
        return FAILED
    except _refusals():
        return REFUSED
    return RETURNED


def _refusals() -> tuple[type[Exception], ...]:
    from tasks.act import LostClaim, NotApproved
    from tasks.approval_runs import ApprovalError

    return (NotApproved, LostClaim, ApprovalError)


def _act(ledger: Ledger, job: dict[str, Any]) -> None:
    from tasks import act
    from tasks.run import alive

    with alive(ledger, WORKFLOW, "selective") as run_id:
        act.do(ledger, run_id, act.Approved(job["action"], job["decision"]))


def _settle(ledger: Ledger, job: dict[str, Any]) -> None:
    from tasks import approvals

    approvals.settle(ledger, job["action"], job["answer"])


def _fetch(ledger: Ledger, job: dict[str, Any]) -> None:
    from tasks import fetch

    with _running(ledger) as run:
        _plain(fetch.inbox)(run, query="in:inbox", limit=job["limit"], suite=list)


def _take_in(ledger: Ledger, job: dict[str, Any]) -> None:
    from flows.document_intake import CARD
    from tasks import papers
    from tasks.run import begin
    from tasks.sources import Folder

    with begin(CARD, ledger) as run:
        _plain(papers.arrived)(run, [Folder(name="files", path=job["folder"], readers=("anyone",))], limit=10)


def _ask(ledger: Ledger, job: dict[str, Any]) -> None:
    from flows import lead_triage
    from tasks import fetch, prompt, validate

    with _running(ledger) as run:
        ids = fetch.claim(run, job["limit"])
        _plain(prompt.ask)(run, ids, lead_triage.variables)
        _plain(validate.answers)(run, ids, lead_triage.variables)


def _plain(verb: Any) -> Callable[..., Any]:
    """The verb's own function: Prefect's retries are what the next attempts are here."""
    function: Callable[..., Any] = verb.__wrapped__
    return function


@contextmanager
def _running(ledger: Ledger) -> Iterator[Any]:
    from flows.lead_triage import CARD
    from tasks.run import begin

    with begin(CARD, ledger) as run:
        yield run


WORK: dict[str, Callable[[Ledger, dict[str, Any]], None]] = {
    "act": _act,
    "settle": _settle,
    "fetch": _fetch,
    "take in": _take_in,
    "ask": _ask,
}


def _never_look() -> None:
    """What was begun is done again without a look."""
    from tasks.performers import PERFORMERS, Performer

    for kind, performer in PERFORMERS.items():
        PERFORMERS[kind] = Performer(performer.perform, lambda *_: None)


def _ask_nobody() -> None:
    """Whatever is in the ledger is done, whoever has or has not decided on it."""
    from blocks.ledger import Action, Decision
    from tasks import act

    def allowed(session: Any, approved: Any) -> tuple[Any, Any]:
        action = session.get_one(Action, approved.action_id)
        return action, Decision(payload=action.payload)

    act._allowed_by_ledger = allowed


def _take_silence_for_a_no() -> None:
    """A lost reply counts as not done for good."""
    from tasks import act

    act._state_after = lambda *_, **__: "failed"


def _forget_the_intent() -> None:
    """What a dead run was doing is never taken up again."""
    from tasks import run

    run.bury_the_dead = lambda *_: []


BREAKS: dict[str, Callable[[], None]] = {
    "never look": _never_look,
    "ask nobody": _ask_nobody,
    "take silence for a no": _take_silence_for_a_no,
    "forget the intent": _forget_the_intent,
}
"""Ways to break the product on purpose: the matrix has to see each of them."""
