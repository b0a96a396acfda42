"""The Drive block, through Google's own client, against the sandbox."""

import copy
import gzip
import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery_cache import get_static_doc
from pydantic import SecretStr

from blocks import drive as module
from blocks import guard
from blocks.drive import REFUSALS, Change, ChangesExpired, Drive, DriveFile, FileGone, quota_units
from blocks.google import GoogleHttp
from blocks.shape import SchemaDrift
from blocks.vendor import Failures, VendorError
from sandbox import credentials, papers
from sandbox.client import Sandbox, running
from sandbox.faults import Kind
from sandbox.fields import parse

GOOGLE = "application/vnd.google-apps."
DOC, SHEET, SLIDES = GOOGLE + "document", GOOGLE + "spreadsheet", GOOGLE + "presentation"
OWNER = "user:hello@company.example"
MANY = 10_000


@pytest.fixture
def connect_drive(sandbox: Sandbox) -> Callable[..., Drive]:
    """Makes Drive blocks on the sandbox."""

    def connect(**changes: Any) -> Drive:
        fields: dict[str, Any] = {
            "client_id": credentials.GOOGLE_CLIENT_ID,
            "client_secret": SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            "refresh_token": SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            "address": f"{sandbox.url}/google/",
            "token_address": f"{sandbox.url}/google/token",
            "timeout_seconds": 5,
        }
        return Drive(**fields | changes)

    return connect


@pytest.fixture
def drive(connect_drive: Callable[..., Drive]) -> Drive:
    """The sandbox's Drive."""
    return connect_drive()


@pytest.fixture
def help_centre(sandbox: Sandbox) -> str:
    return sandbox.put_folder("Help centre", readers=["anyone"])


def by_name(drive: Drive, folder: str) -> dict[str, DriveFile]:
    return {file.name: file for file in drive.files(folder)}


def only(drive: Drive, folder: str = "root") -> DriveFile:
    (file,) = drive.files(folder)
    return file


def test_check_names_the_account_and_its_storage(drive: Drive) -> None:
    assert drive.check() == "hello@company.example (0.0 of 16.1 GB used)"


def test_an_account_without_a_limit(drive: Drive, sandbox: Sandbox) -> None:
    sandbox.fault("renamed_field", path="about", rename={"limit": ""}, values={"usage": "1234567890"})
    assert drive.check() == "hello@company.example (1.2 GB used)"


class TestFiles:
    def test_a_file_is_told_with_its_place_and_its_readers(
        self, drive: Drive, sandbox: Sandbox, help_centre: str
    ) -> None:
        billing = sandbox.put_folder("Billing", help_centre)
        made = sandbox.put_file("Größe & 'Maß' 東京.md", "# Größe", parent=billing, readers=["user:Ann@A.example"])
        file = only(drive, help_centre)
        assert (file.id, file.name, file.mime_type) == (made, "Größe & 'Maß' 東京.md", "text/markdown")
        assert file.modified_at.tzinfo == UTC
        assert datetime.now(UTC) - file.modified_at < timedelta(minutes=5)
        assert (file.size, len(file.version)) == (8 + 1, 32)
        assert file.link == f"https://drive.example/file/d/{made}/view"
        assert (file.parents, file.path) == ((billing,), ("Help centre", "Billing"))
        assert file.readers == {OWNER, "anyone", "user:ann@a.example"}

    def test_folders_shortcuts_and_the_trash_are_left_out(
        self, drive: Drive, sandbox: Sandbox, help_centre: str
    ) -> None:
        elsewhere = sandbox.put_file("secret.md", "x")
        sandbox.put_file("to the secret", "", GOOGLE + "shortcut", help_centre, target=elsewhere)
        sandbox.change_file(sandbox.put_file("old.md", parent=help_centre), trashed=True)
        cellar = sandbox.put_folder("Cellar", help_centre)
        sandbox.put_file("lost.md", parent=cellar)
        sandbox.change_file(cellar, trashed=True)
        sandbox.put_file("a.md", parent=help_centre)
        assert set(by_name(drive, help_centre)) == {"a.md"}

    def test_every_page_is_read(
        self, drive: Drive, sandbox: Sandbox, help_centre: str, calls: Callable[..., int]
    ) -> None:
        rows = [{"name": f"{n}.md", "mime_type": "text/markdown", "parent": help_centre} for n in range(1005)]
        made = sandbox.put_files(rows)
        assert [file.id for file in drive.files(help_centre)] == made
        assert calls("/files") == 2

    def test_folders_within_folders_are_walked(self, drive: Drive, sandbox: Sandbox) -> None:
        parent, names = "root", [f"f{depth}" for depth in range(12)]
        for name in names:
            parent = sandbox.put_folder(name, parent)
        sandbox.put_file("deep.md", parent=parent)
        assert only(drive).path == ("My Drive", *names)
        assert only(drive, parent).path == ("f11",)

    def test_an_empty_folder_has_no_files(self, drive: Drive, help_centre: str) -> None:
        def google(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={} if request.url.path == "/drive/v3/files" else folder("a"))

        assert list(drive.files(help_centre)) == []
        assert list(answered_by(drive, google).files("a")) == []

    def test_a_circle_of_folders_is_walked_once(self, drive: Drive) -> None:
        def google(request: httpx.Request) -> httpx.Response:
            if request.url.path != "/drive/v3/files":
                return httpx.Response(200, json=folder("a"))
            parent = request.url.params["q"].split("'")[1]
            file = plain("f") | {"permissions": []}
            inside = {"a": [folder("b")], "b": [folder("a"), file, file]}[parent]
            return httpx.Response(200, json={"files": inside})

        assert [file.id for file in answered_by(drive, google).files("a")] == ["f"]

    def test_a_version_changes_with_the_content(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        kept = sandbox.put_file("kept.md", "x", parent=help_centre)
        doc = sandbox.put_file("Doc", "x", DOC, help_centre)
        before = {file.id: file.version for file in drive.files(help_centre)}
        sandbox.share_file(doc, "user:ann@a.example")
        sandbox.change_file(kept, name="renamed.md")
        assert {file.id: file.version for file in drive.files(help_centre)} == before
        sandbox.change_file(kept, content="y")
        sandbox.change_file(doc, content="y")
        after = {file.id: file.version for file in drive.files(help_centre)}
        assert all(after[id] != before[id] for id in (kept, doc))

    def test_only_what_can_be_downloaded_has_a_size(self, drive: Drive, sandbox: Sandbox) -> None:
        sandbox.put_file("Doc", "12345", DOC)
        sandbox.put_file("a.pdf", b"12345", "application/pdf")
        found = by_name(drive, "root")
        assert (found["Doc"].size, found["a.pdf"].size) == (None, 5)

    @pytest.mark.parametrize("folder_id", ["", "it's", "a' in parents or 'b", "https://drive.example/folders/1A", "ä"])
    def test_what_is_no_id_is_not_sent(self, drive: Drive, folder_id: str, calls: Callable[..., int]) -> None:
        for call in (lambda: list(drive.files(folder_id)), partial(drive.start_token, folder_id)):
            with pytest.raises(VendorError, match="this is no id") as caught:
                call()
            assert caught.value.permanent
        with pytest.raises(VendorError, match="this is no id"):
            drive.file(folder_id)
        assert calls("", "GET") == 0

    def test_a_folder_that_is_none(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        made = sandbox.put_file("a.md")
        with pytest.raises(VendorError, match=r"a\.md is a file, not a folder") as caught:
            list(drive.files(made))
        assert caught.value.permanent
        for call in (partial(drive.files, "1None"), partial(drive.start_token, "1None")):
            with pytest.raises(FileGone) as gone:
                list(call())
            assert gone.value.permanent
        sandbox.change_file(help_centre, trashed=True)
        with pytest.raises(FileGone, match="Help centre is in the trash"):
            list(drive.files(help_centre))

    def test_a_folder_that_goes_while_we_look_is_not_missed(
        self, drive: Drive, sandbox: Sandbox, help_centre: str
    ) -> None:
        inner = sandbox.put_folder("Inner", help_centre)
        sandbox.put_file("inner.md", parent=inner)
        sandbox.put_file("a.md", parent=help_centre)
        walk = drive.files(help_centre)
        assert next(walk).name == "a.md"
        sandbox.delete_file(inner)
        assert list(walk) == []

    def test_one_file_is_looked_at_alone(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        made = sandbox.put_file("a.md", "x", parent=help_centre)
        assert replace(drive.file(made), path=("Help centre",)) == only(drive, help_centre)
        assert drive.file(help_centre).readers == {OWNER, "anyone"}
        sandbox.change_file(made, trashed=True)
        with pytest.raises(FileGone, match="in the trash"):
            drive.file(made)
        sandbox.delete_file(made)
        with pytest.raises(FileGone) as caught:
            drive.file(made)
        assert caught.value.status == 404

    def test_one_file_of_a_shared_drive_comes_with_its_readers(self, drive: Drive, sandbox: Sandbox) -> None:
        made = sandbox.put_file("a.md", "x", parent=sandbox.open_shared_drive("Team"), readers=["anyone"])
        assert drive.file(made).readers == {OWNER, "anyone"}

    def test_a_search_that_was_not_complete_is_not_taken_for_one(self, drive: Drive) -> None:
        def google(request: httpx.Request) -> httpx.Response:
            page = {"files": [plain("f")], "incompleteSearch": True}
            return httpx.Response(200, json=page if request.url.path == "/drive/v3/files" else folder("a"))

        with pytest.raises(VendorError, match="did not search everywhere") as caught:
            list(answered_by(drive, google).files("a"))
        assert not caught.value.permanent


class TestReaders:
    def test_all_four_kinds_in_lower_case(self, drive: Drive, sandbox: Sandbox) -> None:
        who = ["anyone", "domain:Dockwell.example", "group:Support@Dockwell.example", "user:ANN@Dockwell.example"]
        sandbox.put_file("a.md", readers=who)
        assert only(drive).readers == {OWNER, *(each.lower() for each in who)}

    def test_the_role_does_not_matter(self, drive: Drive, sandbox: Sandbox) -> None:
        made = sandbox.put_file("a.md")
        for role in ("reader", "commenter", "writer"):
            sandbox.share_file(made, f"user:{role}@a.example", role=role)
        assert only(drive).readers == {
            OWNER,
            "user:reader@a.example",
            "user:commenter@a.example",
            "user:writer@a.example",
        }

    def test_what_lets_nobody_in_does_not_count(self, drive: Drive, sandbox: Sandbox) -> None:
        made = sandbox.put_file("a.md")
        sandbox.share_file(made, "user:over@a.example", expires="2020-01-01T00:00:00.000Z")
        sandbox.share_file(made, "user:left@a.example", deleted=True)
        sandbox.share_file(made, "anyone", view="metadata")
        sandbox.share_file(made, "user:still@a.example", expires="2099-01-01T00:00:00.000Z")
        assert only(drive).readers == {OWNER, "user:still@a.example"}

    @pytest.mark.parametrize(
        ("permission", "counts"),
        [
            ({"type": "anyone", "role": "reader"}, True),
            ({"type": "domain", "role": "reader"}, False),
            ({"type": "user", "role": "reader", "emailAddress": ""}, False),
            ({"type": "martian", "role": "reader", "emailAddress": "x@a.example"}, False),
            ({"type": "anyone", "role": "reader", "inheritedPermissionsDisabled": True}, False),
            ({"type": "anyone", "role": "reader", "inheritedPermissionsDisabled": True,
              "permissionDetails": [{"inherited": True}]}, False),
            ({"type": "anyone", "role": "reader", "inheritedPermissionsDisabled": True,
              "permissionDetails": [{"inherited": True}, {"inherited": False}]}, True),
            ({"type": "group", "role": "organizer", "emailAddress": "g@a.example",
              "inheritedPermissionsDisabled": True}, True),
        ],
    )  # fmt: skip
    def test_a_doubtful_permission_counts_for_nobody(
        self, drive: Drive, permission: dict[str, Any], counts: bool
    ) -> None:
        def google(request: httpx.Request) -> httpx.Response:
            listed = {"files": [plain("f") | {"permissions": [permission]}]}
            return httpx.Response(200, json=listed if request.url.path == "/drive/v3/files" else folder("a"))

        assert bool(only(answered_by(drive, google), "a").readers) is counts

    def test_a_folder_decides_for_what_is_in_it(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        board = sandbox.put_folder("Board", help_centre, limited=True, readers=["user:mara@company.example"])
        sandbox.put_file("pay.md", parent=board)
        sandbox.put_file("a.md", parent=help_centre)
        found = by_name(drive, help_centre)
        assert found["pay.md"].readers == {OWNER, "user:mara@company.example"}
        assert found["a.md"].readers == {OWNER, "anyone"}

    def test_a_narrowed_permission_is_seen_at_once(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        sandbox.put_file("a.md", parent=help_centre)
        assert "anyone" in only(drive, help_centre).readers
        sandbox.unshare_file(help_centre, "anyone")
        assert only(drive, help_centre).readers == {OWNER}

    def test_a_moved_file_has_the_readers_of_its_new_place(
        self, drive: Drive, sandbox: Sandbox, help_centre: str
    ) -> None:
        drafts = sandbox.put_folder("Drafts")
        sandbox.put_file("a.md", parent=drafts)
        sandbox.change_file(drafts, parent=help_centre)
        moved = only(drive, help_centre)
        assert moved.path == ("Help centre", "Drafts")
        assert moved.readers == {OWNER, "anyone"}

    def test_where_google_does_not_tell_nobody_is_known_to_read(
        self, drive: Drive, sandbox: Sandbox, help_centre: str
    ) -> None:
        sandbox.put_file("theirs.md", parent=help_centre, can_share=False)
        assert only(drive, help_centre).readers == frozenset()

    @pytest.mark.parametrize("kind", ["server_error", "rate_limited", "reply_lost"])
    def test_a_failure_is_not_taken_for_nobody(
        self, drive: Drive, sandbox: Sandbox, help_centre: str, kind: Kind
    ) -> None:
        sandbox.put_file("theirs.md", parent=help_centre, can_share=False)
        sandbox.fault(kind, path="permissions")
        with pytest.raises(VendorError) as caught:
            list(drive.files(help_centre))
        assert not caught.value.permanent


class TestSharedDrives:
    @pytest.fixture
    def team(self, sandbox: Sandbox) -> str:
        return sandbox.open_shared_drive("Team")

    def test_their_files_come_with_readers_too(
        self, drive: Drive, sandbox: Sandbox, team: str, calls: Callable[..., int]
    ) -> None:
        folder = sandbox.put_folder("Guides", team, readers=["anyone"])
        made = sandbox.put_file("a.md", "# A", parent=folder, readers=["domain:company.example"])
        sandbox.put_file("mine.md")
        file = only(drive, team)
        assert (file.id, file.path) == (made, ("Team", "Guides"))
        assert file.readers == {OWNER, "anyone", "domain:company.example"}
        assert calls("/permissions") == 1
        assert only(drive, folder).path == ("Guides",)
        assert drive.content(file, MANY) == (b"# A", "text/markdown")
        assert only(drive).name == "mine.md"

    def test_many_readers_come_in_pages(
        self, drive: Drive, sandbox: Sandbox, team: str, calls: Callable[..., int]
    ) -> None:
        readers = [f"user:u{n}@a.example" for n in range(250)]
        sandbox.put_file("a.md", parent=team, readers=readers)
        assert only(drive, team).readers == {OWNER, *readers}
        assert calls("/permissions") == 3

    def test_a_file_that_goes_while_its_readers_are_asked_for(self, drive: Drive) -> None:
        def google(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/drive/v3/files":
                return httpx.Response(200, json={"files": [plain("gone"), plain("there")]})
            if request.url.path.endswith("gone/permissions"):
                return httpx.Response(404, json={"error": {"message": "File not found: gone."}})
            if request.url.path.endswith("/permissions"):
                return httpx.Response(200, json={"permissions": [{"type": "anyone", "role": "reader"}]})
            return httpx.Response(200, json=folder("a"))

        assert [file.id for file in answered_by(drive, google).files("a")] == ["there"]

    def test_a_shared_drive_has_its_own_changes(self, drive: Drive, sandbox: Sandbox, team: str) -> None:
        folder = sandbox.put_folder("Guides", team)
        ours, mine = drive.start_token(folder), drive.start_token()
        made = sandbox.put_file("a.md", parent=folder)
        changes, ours = drive.changes(ours)
        assert [(each.file_id, each.file is not None) for each in changes] == [(made, True)]
        assert drive.changes(mine)[0] == []
        assert drive.changes(ours)[0] == []

    def test_a_new_member_is_a_change_of_the_whole_drive(self, drive: Drive, sandbox: Sandbox, team: str) -> None:
        token = drive.start_token(team)
        sandbox.share_file(team, "user:ann@a.example")
        assert drive.changes(token)[0] == [Change(team, removed=False, is_folder=True, file=None)]


class TestChanges:
    def test_each_file_is_told_once_as_it_is_now(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        old = sandbox.put_file("old.md", "x", parent=help_centre)
        binned = sandbox.put_file("binned.md", "x", parent=help_centre)
        token = drive.start_token()
        assert drive.changes(token) == ([], token)
        new = sandbox.put_file("new.md", "x", parent=help_centre)
        sandbox.change_file(new, content="y")
        sandbox.delete_file(old)
        sandbox.change_file(binned, trashed=True)
        changes, after = drive.changes(token)
        told = {each.file_id: each for each in changes}
        assert set(told) == {old, new, binned}
        assert told[old] == Change(old, removed=True, is_folder=False, file=None)
        assert told[binned] == Change(binned, removed=True, is_folder=False, file=None)
        file = told[new].file
        assert file is not None
        assert (told[new].removed, file.name, file.parents, file.path) == (False, "new.md", (help_centre,), ())
        assert replace(file, path=("Help centre",)) == only(drive, help_centre)
        assert drive.changes(after) == ([], after)

    def test_of_a_folder_only_the_folder_is_told(self, drive: Drive, sandbox: Sandbox, help_centre: str) -> None:
        sandbox.put_file("a.md", parent=help_centre)
        token = drive.start_token(help_centre)
        sandbox.unshare_file(help_centre, "anyone")
        changes, token = drive.changes(token)
        assert changes == [Change(help_centre, removed=False, is_folder=True, file=None)]
        sandbox.change_file(help_centre, trashed=True)
        assert drive.changes(token)[0] == [Change(help_centre, removed=True, is_folder=True, file=None)]

    def test_a_narrowed_file_is_told_with_fewer_readers(self, drive: Drive, sandbox: Sandbox) -> None:
        made = sandbox.put_file("a.md", readers=["anyone"])
        token = drive.start_token()
        sandbox.unshare_file(made, "anyone")
        ((change,), _) = drive.changes(token)
        assert change.file is not None
        assert change.file.readers == {OWNER}

    def test_every_page_is_read(self, drive: Drive, sandbox: Sandbox, calls: Callable[..., int]) -> None:
        token = drive.start_token()
        made = sandbox.put_files([{"name": f"{n}.md", "mime_type": "text/markdown"} for n in range(1005)])
        changes, token = drive.changes(token)
        assert [each.file_id for each in changes] == made
        assert calls("/changes") == 2
        assert drive.changes(token)[0] == []

    def test_a_token_that_google_forgot_says_so(self, drive: Drive, sandbox: Sandbox) -> None:
        token = drive.start_token()
        sandbox.forget_drive_changes()
        for unknown in (token, "nonsense", "", "0ANoSuchDrive:1000"):
            with pytest.raises(ChangesExpired) as caught:
                drive.changes(unknown)
            assert caught.value.permanent

    @pytest.mark.parametrize("status", [404, 410])
    def test_other_ways_to_say_so(self, drive: Drive, status: int) -> None:
        with pytest.raises(ChangesExpired):
            answered_by(drive, lambda _: httpx.Response(status, json={"error": {"message": "gone"}})).changes(":1")

    @pytest.mark.parametrize("kind", ["overloaded", "rate_limited", "server_error", "unauthorized"])
    def test_another_failure_is_not_an_expiry(self, drive: Drive, sandbox: Sandbox, kind: Kind) -> None:
        token = drive.start_token()
        sandbox.fault(kind, path="changes", times=None)
        with pytest.raises(VendorError) as caught:
            drive.changes(token)
        assert type(caught.value) is VendorError

    def test_a_log_without_an_end_is_drift(self, drive: Drive) -> None:
        with pytest.raises(SchemaDrift, match=r"change-list\.newStartPageToken"):
            answered_by(drive, lambda _: httpx.Response(200, json={"changes": []})).changes(":1")

    def test_a_change_that_does_not_say_to_what_is_drift(self, drive: Drive) -> None:
        change = {"changeType": "file", "removed": False, "fileId": "f"}
        page = {"changes": [change], "newStartPageToken": "2"}
        with pytest.raises(SchemaDrift, match=r"change-list\.changes\.file"):
            answered_by(drive, lambda _: httpx.Response(200, json=page)).changes(":1")


class TestContent:
    @pytest.mark.parametrize(
        ("kept_as", "content", "read_as"),
        [
            ("text/markdown", b"# A\n", "text/markdown"),
            ("text/html", b"<h1>A</h1>", "text/html"),
            ("application/pdf", papers.pdf("# A"), "application/pdf"),
            ("application/octet-stream", bytes(range(256)), "application/octet-stream"),
            ("application/json", b'{"a": 1}', "application/json"),
            ("text/plain", b"", "text/plain"),
            (DOC, "# Zażółć\n".encode(), "text/markdown"),
            (SHEET, b"a,b\n1,2\n", "text/csv"),
            (SLIDES, b"Hello", "text/plain"),
        ],
    )
    def test_is_what_was_put_there(
        self, drive: Drive, sandbox: Sandbox, kept_as: str, content: bytes, read_as: str
    ) -> None:
        sandbox.put_file("a", content, kept_as)
        assert drive.content(only(drive), MANY) == (content, read_as)

    @pytest.mark.parametrize("kind", ["form", "drawing", "map", "site", "script", "vid", "folder", "shortcut", "jam"])
    def test_what_has_no_text_is_refused_before_it_is_asked_for(
        self, drive: Drive, sandbox: Sandbox, kind: str, calls: Callable[..., int]
    ) -> None:
        sandbox.put_file("a", "x", "text/plain")
        file = replace(only(drive), mime_type=GOOGLE + kind, size=None)
        before = calls()
        with pytest.raises(VendorError, match=f"a Google {kind} has no text") as caught:
            drive.content(file, MANY)
        assert (caught.value.permanent, calls()) == (True, before)

    def test_too_large_a_file_is_refused_before_it_is_asked_for(
        self, drive: Drive, sandbox: Sandbox, calls: Callable[..., int]
    ) -> None:
        sandbox.put_file("film.mp4", b"x" * 2000, "video/mp4")
        file, before = only(drive), calls()
        with pytest.raises(VendorError, match="it has 2,000 bytes, and 1,999 may be read") as caught:
            drive.content(file, 1999)
        assert (caught.value.permanent, calls()) == (True, before)
        assert len(drive.content(file, 2000)[0]) == 2000

    @pytest.mark.parametrize("kept_as", ["text/plain", DOC])
    def test_a_file_that_grew_is_not_read_to_its_end(self, drive: Drive, sandbox: Sandbox, kept_as: str) -> None:
        made = sandbox.put_file("a", "x", kept_as)
        file = only(drive)
        sandbox.change_file(made, content="x" * 5_000_000)
        with pytest.raises(VendorError, match="larger than 10,000 bytes") as caught:
            drive.content(file, MANY)
        assert caught.value.permanent

    def test_what_unfolds_to_more_is_not_read_to_its_end(self, drive: Drive) -> None:
        bomb = gzip.compress(b"x" * 5_000_000)
        google = answered_by(drive, lambda _: httpx.Response(200, content=bomb, headers={"content-encoding": "gzip"}))
        with pytest.raises(VendorError, match="larger than 10,000 bytes"):
            google.content(a_file(), MANY)

    def test_a_file_that_went_is_gone(self, drive: Drive, sandbox: Sandbox) -> None:
        ids = [sandbox.put_file("a", "x", kept_as) for kept_as in ("text/plain", DOC)]
        files = list(drive.files("root"))
        for made in ids:
            sandbox.delete_file(made)
        for file in files:
            with pytest.raises(FileGone) as caught:
                drive.content(file, MANY)
            assert (caught.value.permanent, caught.value.status) == (True, 404)

    def test_google_exports_no_more_than_ten_megabytes(self, drive: Drive, sandbox: Sandbox) -> None:
        sandbox.put_file("Long", "x" * (10 * 1024 * 1024 + 1), DOC)
        with pytest.raises(VendorError, match=r"larger than the 10 MB that Google exports; split it") as caught:
            drive.content(only(drive), 10**9)
        assert (caught.value.permanent, caught.value.status) == (True, 403)

    @pytest.mark.parametrize("kept_as", ["text/plain", DOC])
    def test_who_may_only_look_is_told_why(self, drive: Drive, sandbox: Sandbox, kept_as: str) -> None:
        sandbox.put_file("a", "x", kept_as, can_download=False)
        with pytest.raises(VendorError, match="only editors may download this file") as caught:
            drive.content(only(drive), MANY)
        assert caught.value.permanent

    @pytest.mark.parametrize("reason", sorted(REFUSALS))
    def test_every_refusal_is_told_in_words(self, drive: Drive, reason: str) -> None:
        google = answered_by(drive, lambda _: refusal(reason))
        with pytest.raises(VendorError) as caught:
            google.content(a_file(), MANY)
        assert caught.value.permanent
        assert REFUSALS[reason] in str(caught.value)
        assert "connect the Google account again" not in str(caught.value)

    @pytest.mark.parametrize("reason", ["userRateLimitExceeded", "rateLimitExceeded"])
    def test_a_rate_limit_is_not_a_refusal(self, drive: Drive, reason: str) -> None:
        with pytest.raises(VendorError) as caught:
            answered_by(drive, lambda _: refusal(reason)).content(a_file(), MANY)
        assert not caught.value.permanent

    def test_another_refusal_names_the_way_out(self, drive: Drive) -> None:
        with pytest.raises(VendorError, match="with read access to Drive") as caught:
            answered_by(drive, lambda _: refusal("insufficientPermissions")).content(a_file(), MANY)
        assert caught.value.permanent


class TestFailures:
    @pytest.mark.parametrize(
        ("kind", "status", "retry_after"),
        [
            ("rate_limited", 429, 7),
            ("rate_limited", 429, None),
            ("overloaded", 503, 7),
            ("server_error", 500, None),
            ("bad_gateway", 502, None),
            ("reply_lost", None, None),
            ("reset", None, None),
        ],
    )
    @pytest.mark.parametrize("path", ["*/files", "*/1SandboxItem*", "*/export", "*/changes", "*/about"])
    def test_one_request_is_one_attempt(
        self, drive: Drive, sandbox: Sandbox, kind: Kind, status: int | None, retry_after: float | None, path: str
    ) -> None:
        files, token = self.prepared(drive, sandbox)
        sandbox.fault(kind, "google", path, retry_after=retry_after, times=None)
        before = len(sandbox.requests("google"))
        with pytest.raises(VendorError) as caught:
            self.call(drive, files, token, path)
        error = caught.value
        assert (error.status, error.permanent, error.unknown) == (status, False, False)
        assert error.retry_after == retry_after
        assert "<" not in str(error)
        struck = [each for each in sandbox.requests("google")[before:] if each["fault"]]
        assert len(struck) == 1

    @pytest.mark.parametrize("path", ["*/files", "*/1SandboxItem*", "*/export", "*/changes"])
    def test_a_hanging_reply_ends_at_the_timeout(
        self, connect_drive: Callable[..., Drive], sandbox: Sandbox, path: str
    ) -> None:
        drive = connect_drive(timeout_seconds=0.3)
        files, token = self.prepared(drive, sandbox)
        sandbox.fault("hang", "google", path, seconds=30)
        with pytest.raises(VendorError, match="ReadTimeout") as caught:
            self.call(drive, files, token, path)
        assert not caught.value.permanent

    def prepared(self, drive: Drive, sandbox: Sandbox) -> tuple[dict[str, DriveFile], str]:
        sandbox.put_file("Doc", "x", DOC)
        sandbox.put_file("a.txt", "x", "text/plain")
        return by_name(drive, "root"), drive.start_token()

    def call(self, drive: Drive, files: dict[str, DriveFile], token: str, path: str) -> None:
        {
            "*/files": lambda: list(drive.files("root")),
            "*/1SandboxItem*": lambda: drive.content(files["a.txt"], MANY),
            "*/export": lambda: drive.content(files["Doc"], MANY),
            "*/changes": lambda: drive.changes(token),
            "*/about": drive.check,
        }[path]()

    def test_unreachable_vendor(self, connect_drive: Callable[..., Drive]) -> None:
        with pytest.raises(VendorError, match="could not connect") as caught:
            list(connect_drive(address="http://127.0.0.1:9/").files("root"))
        assert not caught.value.permanent

    def test_a_page_that_is_not_json(self, drive: Drive) -> None:
        page = httpx.Response(200, html="<h1>Sign in to the hotel's network</h1>")
        with pytest.raises(VendorError, match="not JSON: Sign in to the hotel") as caught:
            list(answered_by(drive, lambda _: page).files("root"))
        assert not caught.value.permanent

    @pytest.mark.parametrize(
        ("rename", "field"),
        [
            ({"modifiedTime": "changedTime"}, "file-list.files.modifiedTime"),
            ({"mimeType": "kind"}, "folder.mimeType"),
            ({"permissions": "sharedWith"}, "file-list.files.permissions"),
            ({"emailAddress": "mailAddress"}, "file-list.files.permissions.emailAddress"),
            ({"trashed": ""}, "folder.trashed"),
            ({"files": "items"}, "file-list.files"),
        ],
    )
    def test_a_renamed_field_is_drift(self, drive: Drive, sandbox: Sandbox, rename: dict[str, str], field: str) -> None:
        sandbox.put_file("a.md", "x")
        sandbox.fault("renamed_field", "google", "*/drive/v3/files*", rename=rename, times=None)
        with pytest.raises(SchemaDrift) as caught:
            list(drive.files("root"))
        assert caught.value.path == field

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"modifiedTime": "yesterday"}, "file-list.files.modifiedTime"),
            ({"modifiedTime": "2026-11-03T09:00:00"}, "file-list.files.modifiedTime"),
            ({"size": 12}, "file-list.files.size"),
            ({"id": ""}, "folder.id"),
            ({"parents": "root"}, "file-list.files.parents"),
        ],
    )
    def test_a_retyped_field_is_drift(self, drive: Drive, sandbox: Sandbox, values: dict[str, Any], field: str) -> None:
        sandbox.put_file("a.md", "x")
        sandbox.fault("renamed_field", "google", "*/drive/v3/files*", values=values, times=None)
        with pytest.raises(SchemaDrift) as caught:
            list(drive.files("root"))
        assert caught.value.path == field


class TestLogin:
    def test_expired_access_token_is_renewed_once(
        self, drive: Drive, sandbox: Sandbox, calls: Callable[..., int]
    ) -> None:
        sandbox.put_file("a.md", "x")
        file = only(drive)
        sandbox.expire_google_tokens()
        assert drive.content(file, MANY)[0] == b"x"
        assert calls("/token") == 2

    def test_revoked_refresh_token_is_permanent_and_names_the_way_out(self, drive: Drive, sandbox: Sandbox) -> None:
        sandbox.fault("invalid_grant")
        with pytest.raises(VendorError, match=r"invalid_grant.*connect the Google account again") as caught:
            drive.check()
        assert (caught.value.permanent, caught.value.status) == (True, 401)

    def test_wrong_client_secret_says_what_to_check(self, connect_drive: Callable[..., Drive]) -> None:
        with pytest.raises(VendorError, match="check the OAuth client's id and secret"):
            connect_drive(client_secret=SecretStr("planted-secret")).start_token()

    def test_eight_threads_each_get_their_own_file(
        self, drive: Drive, sandbox: Sandbox, calls: Callable[..., int]
    ) -> None:
        rows = [
            {"name": str(n), "content": f"body {n}", "mime_type": DOC if n % 2 else "text/plain"} for n in range(40)
        ]
        sandbox.put_files(rows)
        files = list(drive.files("root"))

        def right(file: DriveFile) -> bool:
            return drive.content(file, MANY)[0] == f"body {file.name}".encode()

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(right, files * 4))
            walks = list(pool.map(lambda _: [file.id for file in drive.files("root")], range(8)))
        assert all(one == other for one, other in pairwise(walks))
        assert calls("/token") == 1

    @pytest.mark.parametrize("fault", ["leaky_error", "bad_gateway", "reset", "invalid_grant"])
    def test_secrets_are_in_no_error_and_no_repr(self, drive: Drive, sandbox: Sandbox, fault: Kind) -> None:
        sandbox.put_file("a.md", "x")
        file = only(drive)
        sandbox.expire_google_tokens()
        sandbox.fault(fault, "google", times=None, status=403)
        calls = (drive.check, drive.start_token, lambda: only(drive), lambda: drive.content(file, MANY))
        for call in calls:
            with pytest.raises(VendorError) as caught:
                call()
            assert secrets_in(told_of(caught.value)) == []
        assert secrets_in(f"{drive!r} {drive.model_dump()}") == []

    def test_block_travels_after_use(self, drive: Drive) -> None:
        drive.check()
        for other in (copy.deepcopy(drive), pickle.loads(pickle.dumps(drive))):
            assert other.check() == drive.check()


class TestQuota:
    @pytest.mark.parametrize(
        ("operation", "units"),
        [
            ("GET /drive/v3/files", 100),
            ("GET /google/drive/v3/changes", 100),
            ("GET /drive/v3/files/1A/permissions", 100),
            ("GET /drive/v3/files/1A", 5),
            ("GET /drive/v3/about", 5),
            ("GET /drive/v3/changes/startPageToken", 5),
            ("GET /drive/v3/files/1A?alt=media", 200),
            ("GET /drive/v3/files/1A/export?alt=media", 200),
        ],
    )
    def test_costs_what_google_says(self, operation: str, units: int) -> None:
        assert quota_units(operation) == units

    def test_the_guard_hears_what_each_request_costs(self, drive: Drive, sandbox: Sandbox) -> None:
        sandbox.put_file("Doc", "x", DOC)
        sandbox.put_file("a.txt", "x", "text/plain")
        with counted() as asked:
            for file in list(drive.files("root")):
                drive.content(file, MANY)
        assert asked == [("drive", 5), ("drive", 100), ("drive", 200), ("drive", 200)]


def test_every_field_that_is_asked_for_is_one_of_googles() -> None:
    schemas = json.loads(get_static_doc("drive", "v3"))["schemas"]
    for mask, schema in (
        (module.ABOUT_FIELDS, "About"),
        (module.FOLDER_FIELDS, "File"),
        (module.FILES_FIELDS, "FileList"),
        (module.PERMISSIONS_FIELDS, "PermissionList"),
        (module.CHANGES_FIELDS, "ChangeList"),
    ):
        assert_named(parse(mask), {"$ref": schema}, schemas)


def assert_named(tree: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    if schema["type"] == "array":
        return assert_named(tree, schema["items"], schemas)
    for name, inner in tree.items():
        assert name in schema["properties"], name
        if inner:
            assert_named(inner, schema["properties"][name], schemas)


def told_of(error: VendorError) -> str:
    """All that a log, and a crash reporter that keeps local variables, would hold of an error."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return f"{''.join(lines)} {vars(error)} {error.__reduce__()}"


def secrets_in(text: str) -> list[str]:
    secrets = (credentials.GOOGLE_CLIENT_SECRET, credentials.GOOGLE_REFRESH_TOKEN, "ya29.")
    return [secret for secret in secrets if secret in text]


def answered_by(drive: Drive, handler: Callable[[httpx.Request], httpx.Response]) -> Drive:
    """The block, with a Google that plays what the sandbox does not."""
    alive = Credentials(token="ya29.alive")  # type: ignore[no-untyped-call]
    client = httpx.Client(transport=httpx.MockTransport(handler))
    failures = Failures("drive", ways_out=module.WAYS_OUT)
    # A deep copy, because a shallow one has the same connections.
    block = copy.deepcopy(drive).model_copy(update={"address": "https://drive.example"})
    block._http.get(lambda: GoogleHttp(alive, client, failures, words=REFUSALS))
    return block


def folder(id: str) -> dict[str, Any]:
    return plain(id) | {"mimeType": GOOGLE + "folder"}


def plain(id: str) -> dict[str, Any]:
    """A file as Google tells it in a shared drive."""
    when = "2026-11-03T09:00:00.000Z"
    return {"id": id, "name": id, "mimeType": "text/plain", "modifiedTime": when, "trashed": False}


def a_file() -> DriveFile:
    when = datetime(2026, 11, 3, 9, tzinfo=UTC)
    return DriveFile("f", "f", "text/plain", when, "v", None, "", (), (), frozenset())


def refusal(reason: str) -> httpx.Response:
    error = {"code": 403, "message": "No.", "errors": [{"reason": reason, "message": "No."}]}
    return httpx.Response(403, json={"error": error})


@contextmanager
def counted() -> Iterator[list[tuple[str, int]]]:
    """Notes what the guard hears before each request."""
    asked: list[tuple[str, int]] = []

    class Counter:
        def before(self, vendor: str, units: int) -> None:
            asked.append((vendor, units))

        def after(self, vendor: str, error: VendorError | None) -> None:
            pass

    with guard.guarded_by(Counter()):
        yield asked


def test_the_pretend_companys_drive() -> None:
    with running() as sandbox:
        drive = Drive(
            client_id=credentials.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            address=f"{sandbox.url}/google",
            token_address=f"{sandbox.url}/google/token",
        )
        owner = "user:hello@dockwell.example"
        articles, handbook = list(drive.files("help-centre")), by_name(drive, "handbook")
        assert {file.readers for file in articles} == {frozenset({"anyone", owner})}
        assert handbook["Discount ladder"].readers == {owner, "domain:dockwell.example"}
        assert handbook["Commission plan"].path == ("Handbook", "Board")
        assert handbook["Commission plan"].readers == {
            owner,
            "user:mara@dockwell.example",
            "user:kofi@dockwell.example",
        }
        read = {file.name: drive.content(file, 1_000_000) for file in [*articles, *handbook.values()]}
    assert len(read) == 24
    assert all(len(content) > 500 for content, _ in read.values())
    assert b"CSV pour Excel" in read["CSV exports: strange characters in Excel"][0]
