"""The command line. Each command imports what it needs when it is called: `signoff --help` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, CycloptsPanel, Group, MissingArgumentError, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from rich.panel import Panel


def explained(error: CycloptsError) -> Panel:
    """What was wrong with a command line; where a name is missing, with those that there are."""
    said = str(error)
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        from deployments.cards import prompt_names, workflow_names

        there = {"WORKFLOW": workflow_names, "PROMPT": prompt_names}.get(error.argument.name)
        said += f"\nThere are {', '.join(there())}." if there else ""
    return CycloptsPanel(said)


def default_of(value: object) -> str | None:
    """What help says of a default; nothing of one that goes without saying: a flag that is off, or nothing given."""
    return None if value in (None, False, (), "") else str(value)


app = App(
    name="signoff",
    help=(
        "AI workflows on the tools a small team already uses, with a person's sign-off before anything that matters."
        "\n\nTo look at it: signoff demo. With your accounts: signoff up, and signoff connect beside it. "
        "For a workflow of your own: signoff new NAME."
    ),
    version="0.1.0",
    help_format="plaintext",
    error_formatter=explained,
    default_parameter=Parameter(show_default=default_of),
)
start = Group("Start", sort_key=0)
work = Group("Work with it", sort_key=1)
build = Group("Build", sort_key=2)
trust = Group("Prompts and trust", sort_key=3)
serve = Group("On a server", sort_key=4)
app["--help"].group = app["--version"].group = Group("Help", sort_key=5)
approvals = App(name="approvals", help="What waits for a person: list, show, approve, reject, assign.", group=work)
ledger = App(name="ledger", help="What came in, and what became of it.", group=work)
audit = App(name="audit", help="Whether the ledger still says what it said.", group=work)
app.command(approvals)
app.command(ledger)
app.command(audit)
quarantine = App(name="quarantine", help="What was set aside: list, show, replay.", group=work)
app.command(quarantine)
library = App(name="library", help="The company's documents: index, search, ask, status.", group=work)
app.command(library)
rows = App(name="rows", help="What documents have become: list, show, remove.", group=work)
app.command(rows)
webhooks = App(name="webhooks", help="What vendors tell us by themselves: list, show, replay, test, watch.", group=work)
app.command(webhooks)

Port = Annotated[int | None, Parameter(help="The Prefect server's port. By default 4200.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Workflow = Annotated[str | None, Parameter(help="Only of this workflow, for example lead-triage.")]
Kind = Annotated[str | None, Parameter(help="Only of this kind, for example gmail.send_reply.")]
Where = Annotated[str | None, Parameter(help='A rule, as in "kind = hubspot.add_note and age > 1h".')]
Approver = Annotated[str | None, Parameter(name="--as", help="Who decides. By default your user name.")]
Comment = Annotated[str, Parameter(help="Why. A rejection with a reason teaches.")]
BodyFile = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="Send this file's text instead of the draft; - for stdin.")
]
Changes = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="Change a value of a row, as --set total=4.11; may be given again."),
]
Sources = Annotated[
    tuple[str, ...], Parameter(name="--source", negative="", help="Only of this source; may be given again.")
]
Reader = Annotated[
    str | None,
    Parameter(name="--for", help="Only what the owner of this address may be quoted. By default all."),
]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask before deciding on several at once.")]
Answer = Annotated[str | None, Parameter(allow_leading_hyphen=False)]
MOST = 2**31 - 1
RowNumber = Annotated[int, Parameter(validator=Number(gte=1, lte=MOST))]
Reason = Annotated[str | None, Parameter(help="Only what was set aside with this in its reason.")]


@app.command(group=start)
def demo(*, port: Port = None) -> int:
    """Run everything on a pretend company: no account, no key. Its state starts afresh each time.

    In a terminal it stays up until Ctrl-C, so that you can approve in the browser. Elsewhere it approves one action
    by itself, shows that it was carried out, and ends.
    """
    from deployments.demo import demo

    return demo(port)


@app.command(name="new", group=build)
def new_workflow(
    name: str,
    /,
    *,
    like: Annotated[str | None, Parameter(help="What it is copied from: tickets or mail.")] = None,
    sentence: Answer = None,
    owner: Answer = None,
    minutes: Answer = None,
    failure_rate: Answer = None,
    on_garbage: Answer = None,
    on_outage: Answer = None,
    on_rate_limit: Answer = None,
    usd_per_run: Answer = None,
    usd_per_day: Answer = None,
    usd_per_month: Answer = None,
    company: Annotated[str | None, Parameter(help="How the prompt names us. By default as the others do.")] = None,
    label: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Another name for a label, as in problem=bug; may be given again."),
    ] = (),
    yes: Annotated[bool, Parameter(negative="", help="Ask nothing: take these options, and defaults.")] = False,
    undo: Annotated[bool, Parameter(negative="", help="Take it back, if nobody has changed it.")] = False,
) -> int:
    """Make a workflow that works at once: flows/NAME.py, prompts/NAME/ with cases, its entry in prefect.yaml.

    It is a copy of a working one, with your answers on its card. In a terminal it asks them; Enter takes what is shown.

    tickets: HubSpot's new tickets get a category, a priority and a note; Slack hears of the urgent ones.

    mail: e-mails under a Gmail label get another label, and a drafted reply that waits for a person.

    Parameters
    ----------
    name:
        Such as ticket-tagging. File, flow, prompt folder and deployment carry it.
    sentence:
        What it does, in one sentence.
    owner:
        The e-mail address of the one person who answers for it.
    minutes:
        How long one record takes by hand.
    failure_rate:
        How many go wrong by hand, as in 10%.
    on_garbage:
        What happens when the model's answer is unusable.
    on_outage:
        What happens when a vendor is down.
    on_rate_limit:
        What happens when a vendor asks to wait.
    usd_per_run:
        The most dollars that one run may spend on models.
    usd_per_day:
        And a day.
    usd_per_month:
        And a month.
    """
    from deployments import new

    if undo:
        return new.undo(name)
    given = {
        "sentence": sentence,
        "owner": owner,
        "baseline.minutes": minutes,
        "baseline.failure_rate": failure_rate,
        "on_garbage": on_garbage,
        "on_outage": on_outage,
        "on_rate_limit": on_rate_limit,
        "usd_per_run": usd_per_run,
        "usd_per_day": usd_per_day,
        "usd_per_month": usd_per_month,
    }
    known = {path: said for path, said in given.items() if said is not None}
    return new.new(name, like=like, given=known, labels=label, company=company, yes=yes)


@app.command(name="try", group=build)
def try_workflow(
    workflow: str,
    /,
    *,
    limit: Annotated[int, Parameter(help="How many records it takes at most.", validator=Number(gte=1, lte=1000))] = 10,
    mail: Annotated[
        Path | None,
        Parameter(
            help="An .eml file of your own, or a folder of them: they come in instead, as tickets if it reads those."
        ),
    ] = None,
    stay: Annotated[bool, Parameter(negative="", help="Stay until Ctrl-C, so that you can decide.")] = False,
) -> int:
    """Run one workflow once on the pretend company: no account, no key. It starts afresh each time.

    It prints what came in, what would be done about it, and what waits for you. Exit code 1 when your own code
    failed: it says where.
    """
    from deployments.try_it import try_it

    return try_it(workflow, limit=limit, mail=mail, stay=stay)


@app.command(group=start)
def up(
    *,
    port: Port = None,
    host: Annotated[str, Parameter(help="The address to listen on. Others than this machine need a password.")] = (
        "127.0.0.1"
    ),
    password: Annotated[bool, Parameter(negative="", help="Ask for a password on this machine, too.")] = False,
    servers: Annotated[int, Parameter(help="API servers, on ports that follow each other.")] = 1,
    workers: Annotated[int, Parameter(help="Workers.")] = 1,
    runs: Annotated[int | None, Parameter(help="The most runs that a worker has at once. By default any number.")] = (
        None
    ),
    database: Annotated[
        str | None, Parameter(help="Prefect's own database, postgresql://user@host/prefect. By default a file.")
    ] = None,
    redis: Annotated[str | None, Parameter(help="What several servers share, such as redis://127.0.0.1:6379.")] = None,
) -> int:
    """Start the Prefect server, a worker and every deployment on this machine, until Ctrl-C.

    Whatever ends by itself is started again.
    """
    from deployments.scale import Scale
    from deployments.up import up

    scale = Scale(servers=servers, workers=workers, runs=runs, database=database, redis=redis)
    return up(port, host, ask_password=password, scale=scale)


@app.command(group=work)
def run(
    workflow: str,
    /,
    *,
    limit: Annotated[int | None, Parameter(help="How many records it takes at most.", validator=Number(gte=1))] = None,
    wait: Annotated[bool, Parameter(negative="", help="Wait for its end; exit code 1 unless it ends well.")] = False,
) -> int:
    """Start a workflow now, instead of when its schedule says, for example `signoff run lead-triage`."""
    from deployments.run_now import run

    return run(workflow, limit=limit, wait=wait)


@app.command(group=serve)
def deploy() -> int:
    """Put every deployment on the Prefect server at PREFECT_API_URL, and bring the databases up to date.

    For servers that `signoff up` has not started. Safe to repeat, as after every change of the code.
    """
    from deployments.deploy import deploy

    return deploy()


@app.command(group=start)
def connect(
    *vendors: str,
    again: Annotated[bool, Parameter(negative="", help="Connect anew what is connected already, too.")] = False,
    from_environment: Annotated[
        bool, Parameter(negative="", help="Ask nothing: take what environment variables hold, and list the rest.")
    ] = False,
    no_browser: Annotated[bool, Parameter(negative="", help="Only print the address of Google's page.")] = False,
) -> int:
    """Connect your accounts, one after the other: each is checked before it is saved. Needs `signoff up`.

    Environment variables that you have (STRIPE_API_KEY, ANTHROPIC_API_KEY, ...) are used; what is missing is asked for.
    Without a terminal nothing is asked. Exit code 1 when something that is needed is not connected.

    Parameters
    ----------
    vendors:
        Such as gmail or notion/meetings. By default all that the workflows need.
    """
    from deployments.connect import connect

    return connect(vendors, again=again, from_environment=from_environment, browser=not no_browser)


@app.command(group=build)
def sandbox(*, port: Annotated[int, Parameter(help="Its port; 0 lets the system pick one.")] = 4290) -> int:
    """Start only the pretend company (Gmail, HubSpot, Stripe, Slack, Notion, Claude on loopback), until Ctrl-C.

    To try an account against it, give its block this address: SIGNOFF_HUBSPOT_ADDRESS=http://127.0.0.1:4290/hubspot
    signoff connect hubspot. Its keys stand in sandbox/credentials.py, Google's two addresses in deployments/pretend.py.
    """
    from sandbox import company
    from sandbox.server import serve

    sys.stderr.write(
        "The pretend company, in memory: what it is sent is shown at this address, and how accounts are pointed at it "
        "by signoff sandbox --help. Ctrl-C stops it.\n"
    )
    serve(port, company=company.load())
    return 0


@app.command(group=work)
def inbox(
    *,
    person: Annotated[
        str | None,
        Parameter(name="--as", help="Your e-mail address, as a card has it. By default the cards' one owner."),
    ] = None,
    no_browser: Annotated[bool, Parameter(negative="", help="Only print the link.")] = False,
) -> int:
    """Open the page on which you decide what waits: a link for this machine that counts once. Needs `signoff up`."""
    from deployments.inbox.open import open_inbox

    return open_inbox(person, browser=not no_browser)


@app.command(group=serve)
def receive(
    *,
    host: Annotated[str, Parameter(help="The address to listen on. Put a proxy with TLS before it.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Its port.")] = 4280,
) -> int:
    """Take webhooks from your vendors and start the workflows they are for, until Ctrl-C. `signoff up` does it, too."""
    from deployments.receiver.serve import receive

    return receive(host, port)


@app.command(group=build)
def mcp(*, person: Annotated[str, Parameter(name="--as", help="Whose assistant it is: the ledger names them.")]) -> int:
    """Offer the billing tools to a person's own assistant (MCP on standard streams), through the same gate."""
    from deployments.mcp_server import serve

    return serve(person)


@app.command(group=serve)
def reap(
    *,
    once: Annotated[bool, Parameter(negative="", help="Look once, and end.")] = False,
    local: Annotated[
        bool, Parameter(negative="", help="All workers run on this machine: runs can be told by their process.")
    ] = False,
) -> int:
    """Find runs whose process has died, and take up their work again. `signoff up` does this by itself."""
    from deployments.reap import reap

    return reap(once=once, local=local)


@app.command(group=build)
def check(*, offline: Annotated[bool, Parameter(negative="", help="Leave out what needs the server.")] = False) -> int:
    """Check every workflow's card, prompt, deployment and credentials, and say what is missing."""
    from deployments.check import check

    return check(offline=offline)


alerts = App(name="alerts", help="What you must know: open alerts, and trying how you are told.", group=work)
app.command(alerts)


@alerts.default
def list_alerts(
    *,
    every: Annotated[bool, Parameter(name="--all", negative="", help="Those that are over, too.")] = False,
    json: Json = False,
) -> int:
    """List what you must know: a vendor's field that is gone, a vendor that is down, and the like."""
    from deployments.alerts import list_alerts

    return list_alerts(every=every, as_json=json)


@alerts.command(name="test")
def try_alerts(*, json: Json = False) -> int:
    """Tell Slack, e-mail and webhook that this is a test, and say what became of it; 1 when one was not told.

    Whoever is told of alerts is told: slack/alerts or slack/team; the cards' owners by gmail/alerts or the inbox; and
    outgoing-webhook/alerts. The Prefect Variable signoff_notices says otherwise.
    """
    from deployments.alert_channels import try_channels

    return try_channels(as_json=json)


@quarantine.command(name="list")
def list_quarantine(*, workflow: Workflow = None, reason: Reason = None, json: Json = False) -> int:
    """List what was set aside, oldest first, with the reasons."""
    from deployments.quarantine import list_held

    return list_held(workflow=workflow, reason=reason, as_json=json)


@quarantine.command(name="show")
def show_quarantined(record: int, /, *, json: Json = False) -> int:
    """Show one record: what came in, why it was set aside, what the model answered.

    Parameters
    ----------
    record:
        Its number, from `signoff quarantine list`.
    """
    from deployments.quarantine import show

    return show(record, as_json=json)


@quarantine.command
def replay(
    *records: int,
    every: Annotated[bool, Parameter(name="--all", negative="", help="Everything that was set aside.")] = False,
    reason: Reason = None,
    workflow: Workflow = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask before putting several back.")] = False,
    json: Json = False,
) -> int:
    """Put records back: the next run takes them from the start, with today's code. Nothing is done twice.

    Parameters
    ----------
    records:
        Their numbers, from `signoff quarantine list`.
    """
    from deployments.quarantine import replay

    return replay(records, every=every, workflow=workflow, reason=reason, yes=yes, as_json=json)


@app.command(group=start, synonym=("health", "status", "diagnose"))
def doctor(*, json: Json = False) -> int:
    """Look at everything again (accounts, cards, server, worker, ledger, work) and say what to do, by owner.

    Nothing is changed. Exit code 1 when something is broken.
    """
    from deployments.doctor import doctor

    return doctor(as_json=json)


@app.command(group=work)
def report(
    *workflows: str,
    days: Annotated[int, Parameter(help="The newest so many; from 28 on with what they were worth.")] = 7,
    html: Annotated[str | None, Parameter(help="Also write a page with charts, for a browser or a printer.")] = None,
    timezone: Annotated[str, Parameter(help="Where days begin, for example Europe/Dublin.")] = "UTC",
    review_seconds: Annotated[float, Parameter(help="A person's look at a form before deciding.")] = 60.0,
    hourly_rate: Annotated[
        str | None, Parameter(help="Dollars that an hour of a person is worth. Without it hours only.")
    ] = None,
    set_up_hours: Annotated[float | None, Parameter(help="Hours of set-up: says when they are back.")] = None,
    json: Json = False,
) -> int:
    """Show what the workflows came to: volume, minutes saved, cost, errors, and what to improve next.

    Parameters
    ----------
    workflows:
        Only these, for example lead-triage.
    """
    from deployments.report import assumptions, report

    given = assumptions(review_seconds, hourly_rate, set_up_hours)
    return report(workflows, days=days, html=html, timezone=timezone, given=given, as_json=json)


@webhooks.command(name="list")
def list_webhooks(
    *,
    state: Annotated[str | None, Parameter(help="Only stored, started, ignored or failed ones.")] = None,
    source: Annotated[str | None, Parameter(help="Only of this endpoint, for example stripe.")] = None,
    limit: Annotated[int, Parameter(help="The newest so many.", validator=Number(gte=1, lte=MOST))] = 50,
    json: Json = False,
) -> int:
    """List the events that came, and what became of each."""
    from deployments.webhooks import list_events

    return list_events(state=state, source=source, limit=limit, as_json=json)


@webhooks.command(name="show")
def show_webhook(event: RowNumber, /, *, json: Json = False) -> int:
    """Show one event: what it said, when it came, and what became of it.

    Parameters
    ----------
    event:
        Its number, from `signoff webhooks list`.
    """
    from deployments.webhooks import show

    return show(event, as_json=json)


@webhooks.command(name="replay")
def replay_webhooks(
    *events: RowNumber,
    failed: Annotated[bool, Parameter(negative="", help="All that have failed.")] = False,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask before starting several.")] = False,
    json: Json = False,
) -> int:
    """Start a run anew for events; the ledger's history says who wanted it.

    Parameters
    ----------
    events:
        Their numbers, from `signoff webhooks list`.
    """
    from deployments.webhooks import replay

    return replay(events, failed=failed, yes=yes, as_json=json)


@webhooks.command(name="test")
def try_webhook(
    source: str,
    /,
    *,
    kind: Annotated[str, Parameter(help="What it says has happened: with one of a trigger's, its workflow starts.")] = (
        "signoff.test"
    ),
    public: Annotated[
        bool, Parameter(negative="", help="Send it to the public address, as the vendor does; not to this machine.")
    ] = False,
    json: Json = False,
) -> int:
    """Send a signed event of your own through an endpoint, and say what became of it.

    Parameters
    ----------
    source:
        The endpoint's name, for example stripe.
    """
    from deployments.webhooks import try_endpoint

    return try_endpoint(source, kind=kind, public=public, as_json=json)


@webhooks.command(name="watch")
def watch_mailbox(
    mailbox: str = "gmail/inbox",
    /,
    *,
    topic: Annotated[
        str | None, Parameter(help="projects/PROJECT/topics/TOPIC. By default the one that it is watched for.")
    ] = None,
    stop: Annotated[bool, Parameter(negative="", help="Let Google tell us no more.")] = False,
    json: Json = False,
) -> int:
    """Let Google tell us at once of changes in an inbox (Gmail push); again: renew it now.

    Make a Pub/Sub topic in the OAuth client's own project, give gmail-api-push@system.gserviceaccount.com the role
    Pub/Sub Publisher on it, and let a push subscription with authentication call webhook-endpoint/gmail's address.
    Google stops after seven days; the health check renews it every day, and opens an alert if it cannot.

    Parameters
    ----------
    mailbox:
        The mailbox's block.
    """
    from deployments.mail_watch import watch

    return watch(mailbox, topic=topic, stop=stop, as_json=json)


@library.command(name="index")
def index_library(
    *sources: str,
    folder: Annotated[
        str | None, Parameter(help="A folder of this machine, instead of the sources in the repository.")
    ] = None,
    name: Annotated[str | None, Parameter(help="What to call that folder. By default its own name.")] = None,
    readers: Annotated[
        tuple[str, ...],
        Parameter(
            name="--readers",
            negative="",
            help="Who may be quoted from that folder: anyone, domain:dockwell.example, user:ann@dockwell.example. "
            "By default nobody but you, here.",
        ),
    ] = (),
    again: Annotated[bool, Parameter(negative="", help="Try documents once more that could not be read.")] = False,
    json: Json = False,
) -> int:
    """Read what is new or changed, forget what is gone. It can be stopped and started again at any time.

    Parameters
    ----------
    sources:
        Names from flows/index_documents.py. By default all of them.
    """
    from deployments.library_index import index

    return index(sources, folder=folder, name=name, readers=readers, again=again, as_json=json)


@library.command(name="search")
def search_library(
    question: str,
    /,
    *,
    limit: Annotated[int, Parameter(help="At most so many passages.")] = 5,
    source: Sources = (),
    reader: Reader = None,
    json: Json = False,
) -> int:
    """Find the passages that answer a question, and say why each was found.

    Parameters
    ----------
    question:
        In your own words.
    """
    from deployments.library import find

    return find(question, limit=limit, sources=source, reader=reader, as_json=json)


@library.command(name="ask")
def ask_library(
    question: str,
    /,
    *,
    source: Sources = (),
    reader: Reader = None,
    model: Annotated[
        str | None, Parameter(help="embedded, or a block such as claude/triage. By default the card's.")
    ] = None,
    json: Json = False,
) -> int:
    """Answer a question from the documents, every sentence with its source; exit code 1 when they do not answer it.

    Parameters
    ----------
    question:
        In your own words.
    """
    from deployments.library_ask import ask

    return ask(question, sources=source, reader=reader, model=model, as_json=json)


@app.command(group=work)
def extract(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    schema: Annotated[
        str | None, Parameter(help="invoice, receipt or contract. By default what it calls itself.")
    ] = None,
    html: Annotated[str | None, Parameter(help="Also write a page that shows every value on the paper.")] = None,
    json: Json = False,
) -> int:
    """Read one document on this machine (PDF, scan, text), without an account or a key; nothing is stored.

    Parameters
    ----------
    file:
        Its path, or - for what is piped in.
    """
    from deployments.extract import extract

    return extract(file, schema=schema, html=html, as_json=json)


@rows.command(name="tables")
def list_tables(*, json: Json = False) -> int:
    """List the kinds of document, their tables, and how many rows each has."""
    from deployments.rows import list_tables

    return list_tables(as_json=json)


@rows.command(name="list")
def list_rows(
    kind: str,
    /,
    *,
    limit: Annotated[int, Parameter(help="At most so many, the newest first.", validator=Number(gte=1, lte=MOST))] = 50,
    csv: Annotated[bool, Parameter(negative="", help="Print CSV.")] = False,
    json: Json = False,
) -> int:
    """List the rows of a kind of document.

    Parameters
    ----------
    kind:
        invoice, receipt, contract, or a schema of your own.
    """
    from deployments.rows import list_rows

    return list_rows(kind, limit=limit, as_csv=csv, as_json=json)


@rows.command(name="show")
def show_row(kind: str, number: RowNumber, /, *, json: Json = False) -> int:
    """Show a row, and where on its document each value stands.

    Parameters
    ----------
    kind:
        invoice, receipt, contract, or a schema of your own.
    number:
        Its number, from `signoff rows list`.
    """
    from deployments.rows import show_row

    return show_row(kind, number, as_json=json)


@rows.command(name="remove")
def remove_row(kind: str, number: RowNumber, /, *, yes: Yes = False) -> int:
    """Take a row out of its table again.

    Parameters
    ----------
    kind:
        invoice, receipt, contract, or a schema of your own.
    number:
        Its number, from `signoff rows list`.
    """
    from deployments.rows import remove

    return remove(kind, number, yes=yes)


@library.command(name="status")
def library_status(*, json: Json = False) -> int:
    """Show what each source holds, and every document that cannot be read, with the reason."""
    from deployments.library import status

    return status(as_json=json)


@library.command(name="eval")
def evaluate_library(
    file: Annotated[
        str | None, Parameter(help="One JSON object a line. By default prompts/support_answer/questions.jsonl.")
    ] = None,
    /,
    *,
    json: Json = False,
) -> int:
    """Ask questions whose answers' places are known: how many are found, which not. 1 when it is worse than before."""
    from deployments.library_ask import evaluate

    return evaluate(file, as_json=json)


@library.command(name="forget")
def forget_source(name: str, /, *, yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False) -> int:
    """Remove a source and all that was indexed of it. The documents themselves stay where they are.

    Parameters
    ----------
    name:
        The source, from `signoff library status`.
    """
    from deployments.library import forget

    return forget(name, yes=yes)


@app.command(name="eval", group=trust)
def evaluate(
    prompt: str,
    /,
    *,
    model: Annotated[
        str | None,
        Parameter(help="embedded, a block such as claude/triage, or a Claude model's name. By default the card's."),
    ] = None,
    cases: Annotated[
        str | None, Parameter(help="A file of cases, all of them held out. By default the folder's own held-out ones.")
    ] = None,
    against: Annotated[
        str | None, Parameter(help="A version, or a model as in --model. By default the version in use.")
    ] = None,
    batch: Annotated[
        bool, Parameter(negative="", help="Through the Batches API: half the price, done within a day.")
    ] = False,
    again: Annotated[bool, Parameter(negative="", help="Ask anew what was asked before.")] = False,
    max_usd: Annotated[float | None, Parameter(help="The most dollars to spend. By default the card's.")] = None,
    json: Json = False,
) -> int:
    """Try a prompt on its held-out cases: accuracy, confusions, cost, and every case that went wrong.

    Exit code 1 when it is under the card's bar, or worse than the version in use by more than the card allows.

    Parameters
    ----------
    prompt:
        The folder under prompts/, for example lead_triage.
    """
    from deployments.evaluate import evaluate

    return evaluate(
        prompt, model=model, cases=cases, against=against, batch=batch, again=again, max_usd=max_usd, as_json=json
    )


@app.command(group=trust)
def evidence(workflow: str, /, *, json: Json = False) -> int:
    """Show what supports a workflow's stage, and exactly what is missing for the next.

    Parameters
    ----------
    workflow:
        Its name, for example lead-triage.
    """
    from deployments.evidence import show

    return show(workflow, as_json=json)


@app.command(group=trust)
def stage(
    workflow: str,
    to: str | None = None,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask when evidence is missing.")] = False,
) -> int:
    """Show or set how much a workflow may do: shadow, gated or selective; never more than its card and evidence say.

    Parameters
    ----------
    workflow:
        Its name, for example lead-triage.
    to:
        The stage to set. `shadow` is the emergency stop: it holds from the next batch on.
    """
    from deployments.evidence import set_stage

    return set_stage(workflow, to, yes=yes)


@app.command(group=trust)
def cases(
    prompt: str,
    /,
    *,
    from_decisions: Annotated[
        bool, Parameter(negative="", help="Make cases of what people approved, edited and rejected.")
    ] = False,
    limit: Annotated[int, Parameter(help="At most so many new cases, the most telling first.")] = 20,
    yes: Annotated[bool, Parameter(negative="", help="Write without asking.")] = False,
    json: Json = False,
) -> int:
    """Count and check a prompt's cases, or make new ones of what people decided, with personal data masked.

    Parameters
    ----------
    prompt:
        The folder under prompts/, for example lead_triage.
    """
    from deployments.cases import cases

    return cases(prompt, from_decisions=from_decisions, limit=limit, yes=yes, as_json=json)


@app.command(group=trust)
def shadow(
    workflow: str,
    /,
    *,
    limit: Annotated[int, Parameter(help="The newest so many records.")] = 50,
    offline: Annotated[bool, Parameter(negative="", help="Do not ask the vendors, show what is known.")] = False,
    json: Json = False,
) -> int:
    """Compare what a workflow would have done, in shadow, with what people really did.

    Parameters
    ----------
    workflow:
        Its name, for example lead-triage.
    """
    from deployments.shadow import compare

    return compare(workflow, limit=limit, offline=offline, as_json=json)


@app.command(group=trust)
def mirror(
    workflow: str,
    /,
    *,
    limit: Annotated[int, Parameter(help="At most so many records.")] = 20,
    mail: Annotated[
        Path | None, Parameter(help="An .eml file, or a folder of them, to work on instead of what the workflow reads.")
    ] = None,
    report: Annotated[bool, Parameter(negative="", help="Only show what was measured so far.")] = False,
    person: Annotated[str | None, Parameter(name="--as", help="Who does it. By default your user name.")] = None,
    json: Json = False,
) -> int:
    """Do a workflow by hand on real records, with a clock: the card's baseline and the first cases come of it.

    Parameters
    ----------
    workflow:
        Its name, for example lead-triage.
    """
    from deployments.mirror import mirror

    return mirror(workflow, limit=limit, mail=mail, report=report, person=person, as_json=json)


@approvals.command(name="list")
def list_(*, workflow: Workflow = None, kind: Kind = None, json: Json = False) -> int:
    """List what waits for a decision, oldest first."""
    from deployments.waiting import list_waiting

    return list_waiting(workflow=workflow, kind=kind, as_json=json)


@approvals.command
def show(action: int, /, *, json: Json = False) -> int:
    """Show what an action would do, to whom, why, and from which source.

    Parameters
    ----------
    action:
        Its number, from `signoff approvals list`.
    """
    from deployments.approve import show

    return show(action, as_json=json)


@approvals.command
def approve(
    *actions: int,
    workflow: Workflow = None,
    kind: Kind = None,
    where: Where = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only show what --where matches.")] = False,
    body_file: BodyFile = None,
    set_: Changes = (),
    comment: Comment = "",
    approver: Approver = None,
    yes: Yes = False,
    wait: Annotated[bool, Parameter(negative="", help="Stay until it is done, and say what became of it.")] = False,
    json: Json = False,
) -> int:
    """Approve actions by number, or all that a filter or a rule matches.

    A rule is conditions joined by and, on workflow, kind, impact, confidence, age, amount, to-domain and person, as in
    --where "kind = hubspot.add_note and confidence >= 0.9 and age > 1h". What is high-impact is left out unless its
    kind is named.

    Parameters
    ----------
    actions:
        Their numbers, from `signoff approvals list`.
    """
    from deployments.approve import approve_where, decide

    if where is not None or dry_run:
        given = bool(actions or workflow or kind or body_file or set_)
        return approve_where(
            where, alone=not given, dry_run=dry_run, comment=comment, approver=approver, yes=yes, wait=wait,
            as_json=json,
        )  # fmt: skip

    return decide(
        actions, approve=True, workflow=workflow, kind=kind, body_file=body_file, changes=set_, comment=comment,
        approver=approver, yes=yes, wait=wait, as_json=json,
    )  # fmt: skip


@approvals.command
def assign(action: int, person: str, /, *, comment: Comment = "", approver: Approver = None) -> int:
    """Ask somebody else to decide on an action, who is told so. They must be on the workflow's card.

    Parameters
    ----------
    action:
        Its number, from `signoff approvals list`.
    person:
        Their e-mail address: the card's owner, or one that its allowed list holds.
    """
    from deployments.approve import assign

    return assign(action, person, comment=comment, by=approver)


@approvals.command
def reject(
    *actions: int,
    workflow: Workflow = None,
    kind: Kind = None,
    comment: Comment = "",
    approver: Approver = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Reject actions by number, or all that a filter matches. Nothing is done about them.

    Parameters
    ----------
    actions:
        Their numbers, from `signoff approvals list`.
    """
    from deployments.approve import decide

    return decide(
        actions, approve=False, workflow=workflow, kind=kind, body_file=None, comment=comment,
        approver=approver, yes=yes, as_json=json,
    )  # fmt: skip


@ledger.command
def steps(record: int, /, *, json: Json = False) -> int:
    """Show what an agent did about a record: each step, each call of a tool, what it waits for and how it ended.

    Parameters
    ----------
    record:
        Its number, from `signoff ledger show`.
    """
    from deployments.steps import show

    return show(record, as_json=json)


@ledger.command(name="show")
def show_ledger(
    *records: int,
    workflow: Workflow = None,
    quarantined: Annotated[bool, Parameter(negative="", help="Only what was set aside, with the reason.")] = False,
    limit: Annotated[int, Parameter(help="The newest so many.")] = 100,
    json: Json = False,
) -> int:
    """Show records: what came in, the model's answer, what was done, what waits, what it cost.

    Parameters
    ----------
    records:
        Their numbers; without any, the newest.
    """
    from deployments.show import show_records

    return show_records(records, workflow=workflow, quarantined=quarantined, limit=limit, as_json=json)


@ledger.command(name="doubts")
def list_doubts(*, json: Json = False) -> int:
    """List actions of which nobody knows whether they were done, with the evidence."""
    from deployments.doubts import list_doubts

    return list_doubts(as_json=json)


@ledger.command
def settle(
    action: int,
    /,
    *,
    done: Annotated[bool | None, Parameter(negative="--not-done", help="Whether it was done.")] = None,
    comment: Comment = "",
    approver: Approver = None,
) -> int:
    """Say whether an action in doubt was done. What was not is done by the workflow's next run.

    One that has failed can be said to be done, too, once you have done it by hand.

    Parameters
    ----------
    action:
        Its number, from `signoff ledger doubts` or `failed`.
    """
    from deployments.doubts import settle

    return settle(action, done=done, comment=comment, by=approver)


@ledger.command(name="failed")
def list_failed(*, json: Json = False) -> int:
    """List approved actions that their vendor refused for good, with its reason."""
    from deployments.doubts import list_failed

    return list_failed(as_json=json)


@ledger.command
def retry(action: int, /, *, approver: Approver = None) -> int:
    """Let the workflow's next run try a failed action again, once you have mended the cause.

    The approval that it has still counts, and it looks first whether it was done after all. What moves money is not
    tried again.

    Parameters
    ----------
    action:
        Its number, from `signoff ledger failed`.
    """
    from deployments.doubts import retry

    return retry(action, by=approver)


@ledger.command
def redact(
    *,
    older_than_days: Annotated[
        int | None, Parameter(help="What was closed longer ago. By default SIGNOFF_RETENTION_DAYS, or 90.")
    ] = None,
    record: Annotated[
        list[int] | None, Parameter(negative="", consume_multiple=True, help="These records, however young.")
    ] = None,
    person: Annotated[str | None, Parameter(help="Everything that came from this e-mail address.")] = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask first.")] = False,
    json: Json = False,
) -> int:
    """Take the personal data out of closed records, for good. What is counted stays, and the history tells of it.

    Text, addresses, drafts and model replies go; states, costs, decisions and vendors' ids stay. What is open, or has
    an action that waits, is left as it is.
    """
    from deployments.redact import redact

    return redact(older_than_days=older_than_days, records=record or [], person=person, yes=yes, as_json=json)


@ledger.command
def backup(file: Path, /) -> int:
    """Write the whole ledger into a new file, while work goes on. Only you can read it."""
    from deployments.backup import backup

    return backup(file)


@ledger.command
def restore(file: Path, /) -> int:
    """Put a backup in the ledger's place, once every row was found as it was written. What was there is kept."""
    from deployments.backup import restore

    return restore(file)


@audit.command
def verify(
    *,
    expect: Annotated[str | None, Parameter(help="A hash that you noted down earlier: it must still be there.")] = None,
    json: Json = False,
) -> int:
    """Recompute the whole history and compare every row that it tells of. Exit code 1 when anything was tampered with.

    Whoever can write to the database could compute it all anew: that shows only against a hash that is kept elsewhere.
    Every run's page in Prefect holds one, and `signoff audit head` prints the newest.
    """
    from deployments.audit import verify

    return verify(expect=expect, as_json=json)


@audit.command
def head(*, json: Json = False) -> int:
    """Print the newest hash, which vouches for everything before it. Keep it where nobody can change it."""
    from deployments.audit import head

    return head(as_json=json)


@audit.command(name="show")
def show_story(action: int, /, *, json: Json = False) -> int:
    """Tell all that the history says about an action: wanted, decided, done, by whom and when.

    Parameters
    ----------
    action:
        Its number, from `signoff ledger show` or `signoff approvals list`.
    """
    from deployments.audit import show

    return show(action, as_json=json)


def main() -> None:
    """Entry of the `signoff` command: known errors become one line on stderr and exit code 1."""
    from deployments import telemetry
    from deployments.known_errors import exit_code_of

    os.environ.update(telemetry.OFF)
    if sys.argv[1:2] not in ([], ["demo"], ["new"], ["try"], ["up"], ["-h"], ["--help"], ["--version"]):
        from deployments.running import find_running

        find_running()
    sys.exit(exit_code_of(lambda: app(result_action="return_value")))


# The list of commands is plain text: rich's Markdown takes a third of the time until it is there. The pages of help
# need it, for their paragraphs.
for _command in (app[name] for name in app if not name.startswith("-")):
    _command.help_format = "markdown"
