"""One way to work through the pretend company's inbox, in a process of its own: `python -m benchmarks.ways WAY URL N`.

The report (`python -m benchmarks`) starts one for each figure, so that the seconds, the processor and the memory are
that way's alone. A line of JSON tells them. All ways meet the same e-mails, prompt, schema and answers:

- `model`: Anthropic's SDK in a loop, the model's call and nothing else;
- `calls`: the vendors' SDKs in a loop that reads each e-mail, looks up its sender, asks the model and sets a label;
- `ours`: `lead_triage`, everything recorded, on spam, which is labelled and archived;
- `approvals`: the same on leads, of which each wants a note, a task and a reply that waits for a person;
- `naive`: a Prefect flow as one writes it first, with a task for each record and stage, and no ledger;
- `prefect`: an empty flow, for what Prefect itself needs.

Each has worked through a few e-mails before the clock starts, so that everything is loaded and connected: what a new
process takes for that is start-up, and `first_seconds` of `ours`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

REQUEST = "SIGNOFF_BENCH_REQUEST"
"""Names the file with what the model is asked."""

MAILBOX = "hello@bench.example"
MODEL = "claude-haiku-5-5"
BATCH = 50
MOST_A_RUN = 1_000
"""The most that `lead_triage` takes."""
IN_FLIGHT = 50
"""Calls at once, of whoever makes several: as many as `lead_triage` has."""
BRINGERS = 8
"""E-mails that are put into the inbox at once; of more than httpx keeps open (20), one in thousands is cut off."""
WARM = 10
"""E-mails that our way does before the clock starts."""
SPAM = {"intent": "spam", "urgency": "low", "summary": "They sell lists.", "reply": "", "confidence": 0.99}
LEAD = {
    "intent": "demo_request",
    "urgency": "normal",
    "summary": "They want to see the product for two sites.",
    "reply": "Hello,\n\nthank you for writing. Would Tuesday suit you?\n\nKind regards",
    "confidence": 0.99,
}
ANSWERS = {"approvals": LEAD}


def main() -> None:
    """Run one way and tell its figures."""
    way, url, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tell(*PREPARED[way](url, records))


def tell(work: Callable[[], None], told: Callable[[], dict[str, Any]]) -> None:
    """Do the work, and print what it took, with what is told of it afterwards."""
    began, used = time.perf_counter(), time.process_time()
    work()
    figures = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(figures | {"peak_mb": peak} | told()), flush=True)  # noqa: T201


def write_request(file: Path) -> None:
    """What the model is asked, for those who have nothing of ours to make it with."""
    import prompts

    prompt = prompts.load("lead_triage")
    system, user = prompt.render(prompt.cases[0].inputs)
    asked = {"system": system, "user": user, "schema": prompt.answer.model_json_schema()}
    file.write_text(json.dumps(asked))


def deliver(url: str, records: int, answer: dict[str, Any], answer_seconds: float) -> None:
    """Fill an empty inbox, with a few more for `WARM`, and let the model always say the same, after so long."""
    from sandbox.client import Sandbox

    sandbox = Sandbox(url)
    sandbox.reset(empty=True)
    with ThreadPoolExecutor(BRINGERS) as pool:
        list(pool.map(sandbox.deliver, map(_mail, range(WARM + records))))
    sandbox.script({"json": answer, "times": None})
    if answer_seconds:
        sandbox.fault("hang", "anthropic", "/v1/messages", seconds=answer_seconds, times=None)
    sandbox.close()


def _mail(number: int) -> bytes:
    mail = EmailMessage()
    mail["From"] = f"Person {number} <person{number}@customer{number}.example>"
    mail["To"] = MAILBOX
    mail["Subject"] = f"Your product, question {number}"
    mail["Message-ID"] = f"<bench-{number}-{time.time_ns()}@customer.example>"
    mail.set_content("Hello,\n\nwe run two sites and would like to see how this works. " * 5)
    return mail.as_bytes()


class Clients:
    """The vendors' own SDKs, as anybody would set them up, against the pretend company."""

    def __init__(self, url: str) -> None:
        from anthropic import Anthropic, transform_schema
        from hubspot import HubSpot

        from sandbox import credentials

        self._url = url
        self._mine = threading.local()
        self._claude = Anthropic(api_key=credentials.ANTHROPIC_API_KEY, base_url=f"{url}/anthropic", max_retries=0)
        self._contacts = HubSpot(access_token=credentials.HUBSPOT_TOKEN).crm.contacts.batch_api
        self._contacts.api_client.configuration.host = f"{url}/hubspot"
        asked = json.loads(Path(os.environ[REQUEST]).read_text())
        self._system, self._user = asked["system"], asked["user"]
        self._schema = transform_schema(asked["schema"])
        self.label = ""

    @property
    def gmail(self) -> Any:
        """Google's client, one for each thread: its transport is not safe to share."""
        if not hasattr(self._mine, "gmail"):
            from google.oauth2.credentials import Credentials
            from google_auth_httplib2 import AuthorizedHttp
            from googleapiclient.discovery import build_from_document
            from googleapiclient.discovery_cache import get_static_doc
            from httplib2 import Http

            from sandbox import credentials

            document = json.loads(get_static_doc("gmail", "v1"))
            document["rootUrl"] = f"{self._url}/google/"
            document["baseUrl"] = document["rootUrl"] + document["servicePath"]
            document.pop("mtlsRootUrl", None)
            account = Credentials(  # type: ignore[no-untyped-call]
                None,
                refresh_token=credentials.GOOGLE_REFRESH_TOKEN,
                token_uri=f"{self._url}/google/token",
                client_id=credentials.GOOGLE_CLIENT_ID,
                client_secret=credentials.GOOGLE_CLIENT_SECRET,
            )
            self._mine.gmail = build_from_document(document, http=AuthorizedHttp(account, http=Http(timeout=30)))
        return self._mine.gmail.users()

    def inbox(self, records: int) -> list[str]:
        """The ids of the newest e-mails."""
        found: list[str] = []
        page = None
        while len(found) < records:
            reply = self.gmail.messages().list(userId="me", q="in:inbox", maxResults=500, pageToken=page).execute()
            found += [each["id"] for each in reply.get("messages", ())]
            page = reply.get("nextPageToken")
            if not page:
                break
        return found[:records]

    def read(self, id: str) -> EmailMessage:
        """An e-mail, parsed."""
        from base64 import urlsafe_b64decode
        from email import policy

        raw = self.gmail.messages().get(userId="me", id=id, format="raw").execute()["raw"]
        return message_from_bytes(urlsafe_b64decode(raw), policy=policy.default)

    def contacts(self, addresses: Sequence[str]) -> Any:
        """The senders that HubSpot knows."""
        from hubspot.crm.contacts import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

        wanted = BatchReadInputSimplePublicObjectId(
            id_property="email",
            inputs=[SimplePublicObjectId(id=address) for address in addresses],
            properties=["email", "firstname", "lastname", "company", "lifecyclestage"],
            properties_with_history=[],
        )
        return self._contacts.read(wanted)

    def ask(self) -> dict[str, Any]:
        """The model's answer."""
        reply = self._claude.messages.create(
            model=MODEL,
            max_tokens=900,
            system=self._system,
            messages=[{"role": "user", "content": self._user}],
            output_config={"format": {"type": "json_schema", "schema": self._schema}},
        )
        answer: dict[str, Any] = json.loads(reply.content[0].text)  # type: ignore[union-attr]
        return answer

    def make_label(self) -> None:
        """The label that is set on what is done."""
        body = {"name": "Bench/Spam"}
        self.label = self.gmail.labels().create(userId="me", body=body).execute()["id"]

    def set_label(self, id: str) -> None:
        """Archive an e-mail under the label."""
        body = {"addLabelIds": [self.label], "removeLabelIds": ["INBOX"]}
        self.gmail.messages().modify(userId="me", id=id, body=body).execute()


Way = tuple[Callable[[], None], Callable[[], dict[str, Any]]]


def model(url: str, records: int) -> Way:
    """The model's call alone."""
    clients = Clients(url)
    clients.ask()  # connected

    def work() -> None:
        for _ in range(records):
            clients.ask()

    return work, dict


def calls(url: str, records: int, in_flight: int) -> Way:
    """The same calls as ours, with nothing kept, retried or checked."""
    clients = Clients(url)
    clients.make_label()
    clients.ask()
    clients.contacts([str(clients.read(clients.inbox(1)[0])["From"].addresses[0].addr_spec)])  # connected

    def one(mail: tuple[str, EmailMessage]) -> None:
        if clients.ask()["intent"] == "spam":
            clients.set_label(mail[0])

    def work() -> None:
        ids = clients.inbox(records)
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            mails = each_of(clients.read, batch, in_flight)
            clients.contacts([str(mail["From"].addresses[0].addr_spec) for mail in mails])
            each_of(one, list(zip(batch, mails, strict=True)), in_flight)

    return work, dict


def ours(url: str, records: int) -> Way:
    """`lead_triage`, one run after the other until all is done."""
    import prompts
    from benchmarks.waiting import size
    from blocks import connections
    from blocks.ledger import Action, Ledger, Record
    from blocks.models import version_of
    from deployments.pretend import connect
    from flows import lead_triage as module
    from tests.earned import earn

    ledger = Ledger.open()  # a new one, as the report has it
    file = Path(str(ledger.engine.url.database))
    connect(url, MAILBOX)
    connections.save("claude/triage", claude_at(url))
    connections.load.cache_clear()
    # Low impact passes: without evidence everything would wait for a person.
    earn(ledger, version_of(prompts.load(module.CARD.prompt), claude_at(url)))
    budgeted = module.CARD.model_copy(update={f"usd_per_{span}": Decimal(10_000) for span in ("run", "day", "month")})
    module.CARD = budgeted
    began = time.perf_counter()
    module.lead_triage(limit=WARM)
    first_seconds = time.perf_counter() - began
    before = size(file)

    def work() -> None:
        left = records
        while left > 0:
            module.lead_triage(limit=min(left, MOST_A_RUN))
            left -= MOST_A_RUN

    def told() -> dict[str, Any]:
        import sqlalchemy as sa

        with ledger.read() as session:
            mine = Record.source.startswith("gmail:")
            decided = session.scalar(sa.select(sa.func.count(sa.distinct(Action.record_id))).join(Record).where(mine))
        if decided != WARM + records:
            raise SystemExit(f"only {decided} of {WARM + records} e-mails were decided on")
        return {"ledger_bytes": size(file) - before, "first_seconds": first_seconds}

    return work, told


def naive(url: str, records: int) -> Way:
    """A task for each record and stage: Prefect's first tutorial."""
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    clients = Clients(url)
    clients.make_label()

    @task(retries=3)
    def read(id: str) -> str:
        return str(clients.read(id)["From"].addresses[0].addr_spec)

    @task(retries=3)
    def look_up(address: str) -> str:
        clients.contacts([address])
        return address

    @task(retries=3)
    def ask(_: str) -> dict[str, Any]:
        return clients.ask()

    @task(retries=3)
    def act(id: str, answer: dict[str, Any]) -> None:
        if answer["intent"] == "spam":
            clients.set_label(id)

    @flow(name="bench-naive", task_runner=ThreadPoolTaskRunner(max_workers=IN_FLIGHT))  # type: ignore[arg-type]
    def triage() -> None:
        from prefect.futures import wait

        ids = clients.inbox(records)
        wait([act.submit(id, ask.submit(look_up.submit(read.submit(id)))) for id in ids])

    return lambda: triage(), dict


def prefect(url: str, records: int) -> Way:  # noqa: ARG001
    """What Prefect itself needs."""
    from prefect import flow, task

    @task
    def nothing() -> None: ...

    @flow(name="bench-empty")
    def empty() -> None:
        nothing()

    return lambda: empty(), dict


def claude_at(url: str) -> Any:
    """The pretend company's Claude."""
    from pydantic import SecretStr

    from blocks.anthropic import Claude
    from sandbox.credentials import ANTHROPIC_API_KEY

    return Claude(api_key=SecretStr(ANTHROPIC_API_KEY), address=f"{url}/anthropic")


def each_of(call: Callable[[Any], Any], of: Sequence[Any], in_flight: int) -> list[Any]:
    """Call it with each, so many at a time."""
    if in_flight == 1:
        return [call(one) for one in of]
    return list(pool(in_flight).map(call, of))


@cache
def pool(in_flight: int) -> ThreadPoolExecutor:
    """The same threads for all batches: each keeps its connections."""
    return ThreadPoolExecutor(in_flight)


PREPARED: dict[str, Callable[[str, int], Way]] = {
    "model": model,
    "calls": lambda url, records: calls(url, records, 1),
    "calls_at_once": lambda url, records: calls(url, records, IN_FLIGHT),
    "ours": ours,
    "approvals": ours,
    "naive": naive,
    "prefect": prefect,
}


if __name__ == "__main__":
    main()
