"""The sandbox's remote control, for tests and the demo."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from sandbox.faults import Kind, Vendor

START_SECONDS = 30


class SandboxError(Exception):
    """The sandbox did not start, or did not understand."""


@dataclass(frozen=True)
class Delivered:
    """A message that now lies in the inbox."""

    id: str
    thread_id: str
    message_id: str


@dataclass(frozen=True)
class MailSeen:
    """A message as the mailbox holds it; `headers` has every header in order."""

    id: str
    thread_id: str
    labels: tuple[str, ...]
    sender: str
    to: str
    cc: str
    subject: str
    body: str
    message_id: str
    in_reply_to: str
    date: str
    at: float
    headers: tuple[tuple[str, str], ...]
    draft_id: str | None = None

    @classmethod
    def read(cls, seen: dict[str, Any]) -> Self:
        """Read one from the admin API."""
        renamed = {"sender": seen.pop("from"), "labels": tuple(seen.pop("labels"))}
        headers = tuple((name, value) for name, value in seen.pop("headers"))
        return cls(**seen, **renamed, headers=headers)

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Sandbox:
    """A running sandbox, seen from outside. Its vendors live under `url + "/google"` and so on."""

    def __init__(self, url: str, pid: int | None = None) -> None:
        """Connect to the sandbox at this address."""
        self.url, self.pid = url.rstrip("/"), pid
        # A proxy from the environment would be asked even for loopback.
        self._http = httpx.Client(base_url=f"{self.url}/sandbox", timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        """Use as a context to close the connection at the end."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connection; the sandbox runs on."""
        self.close()

    def close(self) -> None:
        """Close the connection; the sandbox runs on."""
        self._http.close()

    def at(self, vendor: Vendor) -> str:
        """Return a vendor's base address."""
        return f"{self.url}/{vendor}"

    def deliver(self, raw: bytes) -> Delivered:
        """Put an RFC 822 message into the inbox."""
        return Delivered(**self._ask("POST", "/mail", content=raw, headers={"Content-Type": "message/rfc822"}))

    def archive(self) -> None:
        """Take everything out of the inbox."""
        self._ask("POST", "/mail/archive")

    def write(self, **fields: str) -> Delivered:
        """Put a message into the inbox that is made from `sender`, `subject`, `body`, `html`, `in_reply_to`, ...

        `label` puts it elsewhere: SPAM, for example.
        """
        if "sender" in fields:
            fields["from"] = fields.pop("sender")
        return Delivered(**self._ask("POST", "/mail", json=fields))

    def state(self) -> dict[str, Any]:
        """Return everything the sandbox holds, with `counts`."""
        return self._ask("GET", "/state")

    def sent(self) -> list[MailSeen]:
        """Return what was sent, the newest first."""
        return [MailSeen.read(seen) for seen in self.state()["sent"]]

    def inbox(self) -> list[MailSeen]:
        """Return the inbox, the newest first."""
        return [MailSeen.read(seen) for seen in self.state()["inbox"]]

    def drafts(self) -> list[MailSeen]:
        """Return the drafts."""
        return [MailSeen.read(seen) for seen in self.state()["drafts"]]

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return CRM records of a type, such as `contacts` or `notes`, with `properties` and `associations`."""
        found: list[dict[str, Any]] = self.state()[kind]
        return found

    def posts(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Return what was posted in Slack, oldest first."""
        return [post for post in self.state()["slack"] if channel in (None, post["channel"])]

    def pages(self, database: str | None = None) -> list[dict[str, Any]]:
        """Return the pages in Notion, oldest first, those in the trash too: `properties`, `body`, `in_trash`, ..."""
        return [page for page in self.state()["notion"] if database in (None, page["database"])]

    def change_database(self, database: str, **change: Any) -> None:
        """Change a Notion database as people do: `rename` or `retype` properties, `shared`, a source `beside` it."""
        self._ask("POST", "/notion/databases", json={"database": database} | change)

    def delete_page(self, page_id: str) -> None:
        """Delete a page of Notion for good, as who empties the trash does."""
        self._ask("DELETE", f"/notion/pages/{page_id}")

    def model_calls(self) -> list[dict[str, Any]]:
        """Return the bodies of the last calls to the model, oldest first."""
        return [call["body"] for call in self.state()["model_calls"]]

    def requests(self, vendor: Vendor | None = None) -> list[dict[str, Any]]:
        """Return the log of calls: vendor, method, path, query, status, fault, at, ms."""
        found: list[dict[str, Any]] = self._ask("GET", "/requests", params={"vendor": vendor} if vendor else {})[
            "requests"
        ]
        return found

    def fault(
        self,
        kind: Kind,
        vendor: Vendor | None = None,
        path: str = "",
        *,
        method: str | None = None,
        times: int | None = 1,
        after: int = 0,
        seconds: float = 0,
        commit: bool = False,
        retry_after: float | None = None,
        status: int = 401,
        body: str = "",
        rename: dict[str, str] | None = None,
        values: dict[str, Any] | None = None,
    ) -> int:
        """Let `times` matching calls go wrong (None: all), after `after` went well. Returns the fault's number."""
        wanted = {
            "kind": kind,
            "vendor": vendor,
            "path": path,
            "method": method,
            "times": times,
            "after": after,
            "seconds": seconds,
            "commit": commit,
            "retry_after": retry_after,
            "status": status,
            "body": body,
            "rename": rename or {},
            "values": values or {},
        }
        return int(self._ask("POST", "/faults", json=wanted)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults, with how many calls each has `seen` and struck (`fired`)."""
        found: list[dict[str, Any]] = self._ask("GET", "/faults")["faults"]
        return found

    def clear_faults(self, number: int | None = None) -> None:
        """Forget one fault, or all."""
        self._ask("DELETE", "/faults", params={"id": number} if number else {})

    def script(self, *replies: dict[str, Any]) -> None:
        """Queue answers of the model, as fields of `sandbox.anthropic.Reply`."""
        self._ask("POST", "/script", json={"replies": replies})

    def clear_script(self) -> None:
        """Forget the answers not yet given."""
        self._ask("DELETE", "/script")

    def batches(self, *, polls: int = 0, expire: Sequence[str] = (), archive: bool = False) -> None:
        """Say how the next batches of the model go.

        Args:
            polls: how often each may be looked at before it has ended.
            expire: the custom ids of the requests that are never answered.
            archive: let the results of the batches that have ended be gone, as after 29 days.
        """
        self._ask("POST", "/batches", json={"polls": polls, "expire": list(expire), "archive": archive})

    def bill(self, *customers: dict[str, Any]) -> None:
        """Put customers into the Stripe account, with the fields of `sandbox/company/stripe.json`."""
        self._ask("POST", "/books", json={"customers": customers})

    def change_in_books(self, kind: str, id: str, **fields: Any) -> None:
        """Let an object of Stripe's (`refund`, `charge`, ...) be otherwise, as when a bank has had its say."""
        self._ask("POST", "/books/change", json={"kind": kind, "id": id, "fields": fields})

    def forget_stripe_keys(self) -> None:
        """Let a day pass at Stripe: no idempotency key is known any more."""
        self._ask("POST", "/books/forget", json={"keys": True})

    def forget_stripe_events(self) -> None:
        """Let a month pass at Stripe: no event is listed any more."""
        self._ask("POST", "/books/forget", json={"keys": False})

    def expire_google_tokens(self) -> None:
        """End every Google access token; the refresh token goes on working."""
        self._ask("POST", "/google/expire-tokens")

    def forget_gmail_history(self) -> None:
        """Let Gmail's history expire: an older startHistoryId is answered 404 from now on."""
        self._ask("POST", "/google/forget-history")

    def put_file(
        self, name: str, content: str | bytes = "", mime_type: str = "text/markdown", parent: str = "root", **more: Any
    ) -> str:
        """Put a file into the Drive and return its id.

        `readers` are whom it is shared with (`anyone`, `domain:a.example`, `user:ann@a.example`); `can_share` and
        `can_download` are false where the account may only read; `target` is what a shortcut points to.
        """
        return self.put_files([{"name": name, "content": content, "mime_type": mime_type, "parent": parent} | more])[0]

    def put_files(self, files: Sequence[dict[str, Any]]) -> list[str]:
        """Put many files into the Drive at once, with the fields of `put_file`."""
        told = [each | {"content": in_base64(each.get("content", ""))} for each in files]
        ids: list[str] = self._ask("POST", "/drive/files", json={"files": told})["ids"]
        return ids

    def put_folder(self, name: str, parent: str = "root", **more: Any) -> str:
        """Make a folder and return its id. `limited` shuts out all whom it is not shared with directly."""
        return self.put_file(name, "", "application/vnd.google-apps.folder", parent, **more)

    def open_shared_drive(self, name: str) -> str:
        """Make a shared drive and return its id, which is its folder's too."""
        return str(self._ask("POST", "/drive/drives", json={"name": name})["id"])

    def change_file(self, file_id: str, **changes: Any) -> None:
        """Change a file's or folder's `name`, `content`, `parent`, `trashed` or a setting of `put_file`."""
        if "content" in changes:
            changes["content"] = in_base64(changes["content"])
        self._ask("PATCH", f"/drive/files/{file_id}", json=changes)

    def delete_file(self, file_id: str) -> None:
        """Delete a file, or a folder with all in it, for good."""
        self._ask("DELETE", f"/drive/files/{file_id}")

    def share_file(self, file_id: str, who: str, **more: str | bool) -> None:
        """Let somebody read a file or folder: `role`, `expires` (RFC 3339), `deleted` (the account is), `view`."""
        self._ask("POST", f"/drive/files/{file_id}/readers", json={"who": who} | more)

    def unshare_file(self, file_id: str, who: str) -> None:
        """Take back what was shared on this very file or folder."""
        self._ask("DELETE", f"/drive/files/{file_id}/readers", json={"who": who})

    def files(self) -> list[dict[str, Any]]:
        """Return what is in the Drive, folders too, with `path` and `readers`."""
        found: list[dict[str, Any]] = self.state()["drive"]
        return found

    def forget_drive_changes(self) -> None:
        """Let all page tokens of Drive's changes be unknown from now on."""
        self._ask("POST", "/google/forget-changes")

    def reset(self, *, empty: bool = False) -> None:
        """Go back to the first moment; `empty` leaves the company's records out."""
        self._ask("POST", "/reset", params={"empty": "true"} if empty else {})

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        reply = self._http.request(method, path, **options)
        if reply.is_error:
            raise SandboxError(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content else {}


def in_base64(content: str | bytes) -> str:
    """Write a file's content so that it fits into JSON."""
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


@contextlib.contextmanager
def running(*, empty: bool = False, port: int = 0) -> Iterator[Sandbox]:
    """Start a sandbox as a process of its own, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "stderr"
        command = [sys.executable, "-m", "sandbox", "--port", str(port), "--ready-file", str(ready)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command + ["--empty"] * empty,
                cwd=Path(__file__).parent.parent,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            with Sandbox(wait_for(process, ready, log), process.pid) as sandbox:
                yield sandbox
        finally:
            process.terminate()
            process.wait()


def wait_for(process: subprocess.Popen[Any], ready: Path, log: Path) -> str:
    """Wait until the sandbox listens, and return its address."""
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None:
            raise SandboxError(f"The sandbox did not start: {log.read_text().strip()}")
        if time.monotonic() > deadline:
            raise SandboxError(f"The sandbox did not listen within {START_SECONDS} seconds")
        time.sleep(0.02)
    return str(json.loads(ready.read_text())["url"])
