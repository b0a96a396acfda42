"""The pretend Drive, through Google's own client, judged by Google's own discovery document."""

import hashlib
import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import googleapiclient
import httplib2  # type: ignore[import-untyped]
import httpx
import pytest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from sandbox import company, credentials, drive, fields
from sandbox.client import Sandbox, SandboxError
from sandbox.drive import OPERATIONS
from sandbox.folders import FOLDER, Item
from sandbox.world import World

DOC = "application/vnd.google-apps.document"
SHEET = "application/vnd.google-apps.spreadsheet"
JSON_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
SHARED = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}


@cache
def discovery() -> dict[str, Any]:
    """Return the description of Drive that ships with Google's client."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document: dict[str, Any] = json.loads((folder / "drive.v3.json").read_text())
    return document


def method_named(name: str) -> dict[str, Any]:
    """Return the description of `files.list`."""
    resource, _, verb = name.partition(".")
    found: dict[str, Any] = discovery()["resources"][resource]["methods"][verb]
    return found


def assert_conforms(value: Any, schema: dict[str, Any], where: str) -> None:
    """Fail on any field that Google does not know, or that has another type there."""
    if "$ref" in schema:
        schema = discovery()["schemas"][schema["$ref"]]
    expected = JSON_TYPES[schema["type"]]
    assert isinstance(value, expected), f"{where} is {value!r}, not a {schema['type']}"
    if schema.get("format") == "int64":
        assert str(value).isdigit(), f"{where} is not a number in a string"
    if schema.get("format") == "date-time":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(value)), f"{where} is no time"
    if isinstance(value, list):
        for number, item in enumerate(value):
            assert_conforms(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        unknown = set(value) - set(schema["properties"])
        assert not unknown, f"{where} has {sorted(unknown)}, which Drive has not"
        for name, item in value.items():
            assert_conforms(item, schema["properties"][name], f"{where}.{name}")


class CheckedRequest(HttpRequest):  # type: ignore[misc]
    """A request of Google's client whose every JSON reply is held against the discovery document."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run it and check what came back."""
        reply = super().execute(*args, **kwargs)
        if isinstance(reply, dict):
            name = str(self.methodId).removeprefix("drive.")
            assert_conforms(reply, method_named(name)["response"], name)
        return reply


@pytest.fixture
def google(sandbox: Sandbox) -> Any:
    """Return Google's client for Drive, pointed at the sandbox."""
    creds = Credentials(  # type: ignore[no-untyped-call]
        token=None,
        token_uri=sandbox.at("google") + "/token",
        refresh_token=credentials.GOOGLE_REFRESH_TOKEN,
        client_id=credentials.GOOGLE_CLIENT_ID,
        client_secret=credentials.GOOGLE_CLIENT_SECRET,
    )
    root = sandbox.at("google") + "/"
    document = discovery() | {"rootUrl": root, "baseUrl": root + discovery()["servicePath"]}
    document.pop("mtlsRootUrl", None)
    http = AuthorizedHttp(creds, http=httplib2.Http(timeout=10, proxy_info=None))
    return build_from_document(document, http=http, requestBuilder=CheckedRequest)


def ids(listing: dict[str, Any]) -> list[str]:
    """Return the ids in a list reply."""
    return [each["id"] for each in listing["files"]]


def refused(call: Any) -> tuple[int, str, str | None]:
    """Return the status, the reason and the place of the error that a call ends with."""
    with pytest.raises(HttpError) as caught:
        call.execute()
    error = json.loads(caught.value.content)["error"]
    detail = error["errors"][0]
    assert error["code"] == caught.value.status_code
    assert error["message"] == detail["message"]
    return caught.value.status_code, detail["reason"], detail.get("location")


def readers(google: Any, file_id: str) -> set[str]:
    """Return whom Drive says a file is shared with."""
    listed = google.permissions().list(fileId=file_id, supportsAllDrives=True, fields="*").execute()["permissions"]
    names = (each.get("emailAddress") or each.get("domain") for each in listed)
    return {f"{each['type']}:{name}" if name else each["type"] for each, name in zip(listed, names, strict=True)}


OWNER = "user:hello@company.example"


class TestContract:
    """The tables of operations and fields against Google's."""

    @pytest.mark.parametrize(("name", "method", "path"), [each[:3] for each in OPERATIONS])
    def test_every_operation_is_one_of_drives(self, name: str, method: str, path: str) -> None:
        known = method_named(name)
        assert (known["httpMethod"], known["path"]) == (method, path)
        assert discovery()["servicePath"] == "drive/v3/"

    @pytest.mark.parametrize(
        ("tree", "schema"),
        [
            (drive.FILES, "FileList"),
            (drive.PERMISSIONS, "PermissionList"),
            (drive.CHANGES, "ChangeList"),
            (drive.START, "StartPageToken"),
            (drive.ABOUT, "About"),
        ],
    )
    def test_every_field_is_one_of_drives(self, tree: fields.Tree, schema: str) -> None:
        assert_named(tree, {"$ref": schema})

    @pytest.mark.parametrize("wrong", [{"size": 5}, {"md5": "x"}, {"trashed": "false"}, {"parents": "root"}])
    def test_the_judge_is_strict(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(AssertionError):
            assert_conforms(wrong, {"$ref": "File"}, "file")


def assert_named(tree: fields.Tree, schema: dict[str, Any]) -> None:
    """Fail on any name that Google's schema has not."""
    if "$ref" in schema:
        schema = discovery()["schemas"][schema["$ref"]]
    if schema["type"] == "array":
        return assert_named(tree, schema["items"])
    for name, inner in tree.items():
        assert name in schema["properties"], name
        if inner:
            assert_named(inner, schema["properties"][name])


class TestAccount:
    """Who we are, and who we are not."""

    def test_about_must_be_asked_for_fields(self, sandbox: Sandbox, google: Any) -> None:
        sandbox.put_file("a.txt", "12345", "text/plain")
        about = google.about().get(fields="user,storageQuota(usage,limit)").execute()
        assert about["user"]["emailAddress"] == "hello@company.example"
        assert about["storageQuota"] == {"usage": "5", "limit": str(15 * 1024**3)}
        assert refused(google.about().get()) == (400, "required", "fields")

    def test_wrong_bearer_gets_googles_401(self, sandbox: Sandbox) -> None:
        reply = httpx.get(sandbox.at("google") + "/drive/v3/files", headers={"Authorization": "Bearer ya29.wrong"})
        assert (reply.status_code, reply.json()["error"]["status"]) == (401, "UNAUTHENTICATED")

    def test_client_logs_in_again_when_its_token_ends(self, sandbox: Sandbox, google: Any) -> None:
        google.files().list().execute()
        sandbox.expire_google_tokens()
        google.files().list().execute()
        assert [call["status"] for call in sandbox.requests("google")] == [200, 200, 401, 200, 200]


class TestFiles:
    """Listing and reading files."""

    def test_a_file_has_what_google_says_of_one(self, sandbox: Sandbox, google: Any) -> None:
        folder = sandbox.put_folder("Größe & Maß")
        made = sandbox.put_file("Tür.md", "# Tür\n", parent=folder)
        file = google.files().get(fileId=made, fields="*").execute()
        assert (file["name"], file["mimeType"], file["parents"]) == ("Tür.md", "text/markdown", [folder])
        assert (file["size"], file["md5Checksum"]) == ("7", hashlib.md5("# Tür\n".encode()).hexdigest())
        assert file["webViewLink"] == f"https://drive.example/file/d/{made}/view"
        assert google.files().get_media(fileId=made).execute() == "# Tür\n".encode()
        above = google.files().get(fileId=folder, fields="*").execute()
        assert above["mimeType"] == FOLDER
        assert "size" not in above
        assert google.files().get(fileId="root").execute()["name"] == "My Drive"

    def test_nothing_is_sent_that_was_not_asked_for(self, sandbox: Sandbox, google: Any) -> None:
        made = sandbox.put_file("a.md")
        get = google.files().get
        assert set(get(fileId=made).execute()) == {"kind", "id", "name", "mimeType"}
        assert get(fileId=made, fields="id, permissions/type").execute() == {
            "id": made,
            "permissions": [{"type": "user"}],
        }
        listing = google.files().list(fields="files(name,permissions(role,type))").execute()
        assert listing == {"files": [{"name": "a.md", "permissions": [{"role": "owner", "type": "user"}]}]}
        assert set(google.files().list().execute()) == {"kind", "incompleteSearch", "files"}

    @pytest.mark.parametrize("mask", ["id,readers", "files(id", "id,", "name(first)", "id)", "ä", "(", "a" + "(a" * 99])
    def test_a_wrong_mask_is_refused(self, sandbox: Sandbox, google: Any, mask: str) -> None:
        made = sandbox.put_file("a.md")
        assert refused(google.files().get(fileId=made, fields=mask)) == (400, "invalidParameter", "fields")

    def test_what_is_not_there_is_not_found(self, google: Any) -> None:
        for call in (
            google.files().get(fileId="1Nothing"),
            google.files().get_media(fileId="1Nothing"),
            google.files().export(fileId="1Nothing", mimeType="text/plain"),
            google.permissions().list(fileId="1Nothing"),
            google.files().list(q="'1Nothing' in parents"),
        ):
            assert refused(call) == (404, "notFound", "fileId")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", "guide guides old prices sheet"),
            ("trashed = false", "guide guides prices sheet"),
            ("trashed=true", "old"),
            ("'root' in parents and trashed = false", "guides prices sheet"),
            ("'{guides}' in parents", "guide old"),
            ("'{guides}' in parents and trashed != true", "guide"),
            (f"mimeType = '{DOC}'", "guide"),
            (f"mimeType != '{DOC}' and mimeType != '{FOLDER}' and trashed = false", "prices sheet"),
            ("mimeType contains 'text/'", "old prices"),
            ("name = 'prices.md'", "prices"),
            ("name contains 'gui'", "guide guides"),
            ("name contains 'uide'", ""),
            (r"name = 'Fin\'s guide'", "guide"),
            ("name = 'old.txt' or (name = 'prices.md' and not trashed = true)", "old prices"),
            ("modifiedTime > '2020-01-01T00:00:00'", "guide guides old prices sheet"),
            ("modifiedTime < '2020-01-01T00:00:00Z'", ""),
        ],
    )
    def test_search(self, sandbox: Sandbox, google: Any, query: str, found: str) -> None:
        names = {"guides": sandbox.put_folder("Guides")}
        names["guide"] = sandbox.put_file("Fin's guide", "# Hi", DOC, names["guides"])
        names["prices"] = sandbox.put_file("prices.md")
        names["sheet"] = sandbox.put_file("Numbers", "a,b", SHEET)
        names["old"] = sandbox.put_file("old.txt", "", "text/plain", names["guides"])
        sandbox.change_file(names["old"], trashed=True)
        listing = google.files().list(q=query.replace("{guides}", names["guides"])).execute()
        by_id = {made: name for name, made in names.items()}
        assert " ".join(sorted(by_id[each] for each in ids(listing))) == found

    @pytest.mark.parametrize(
        "query",
        ["fullText contains 'x'", "title = 'x'", "name > 'x'", "name = x", "trashed = 'yes'", "trashed",
         "'a' in owners", "name = 'x", "name = 'x' and", "(name = 'x'", "name = 'x' name = 'y'",
         "modifiedTime > 'soon'", "((" * 30, "'it's' in parents"],
    )  # fmt: skip
    def test_search_refuses_what_it_does_not_speak(self, google: Any, query: str) -> None:
        assert refused(google.files().list(q=query)) == (400, "invalid", "q")

    def test_pages_stay_put_when_files_come_and_go(self, sandbox: Sandbox, google: Any) -> None:
        made = sandbox.put_files([{"name": f"{n}.md", "mime_type": "text/markdown"} for n in range(5)])
        listing = google.files().list(pageSize=2)
        seen = ids(first := listing.execute())
        sandbox.delete_file(made[0])
        sandbox.change_file(made[1], content="newer")
        listing = google.files().list_next(listing, first)
        while listing is not None:
            page = listing.execute()
            seen += ids(page)
            listing = google.files().list_next(listing, page)
        assert seen == made

    def test_nonsense_about_pages_is_refused(self, google: Any) -> None:
        assert refused(google.files().list(pageToken="BOGUS")) == (400, "invalid", "pageToken")
        assert refused(google.files().list(pageSize=0)) == (400, "invalid", "pageSize")
        headers = {"Authorization": f"Bearer {google._http.credentials.token}"}
        base = google._baseUrl
        reply = httpx.get(f"{base}files", params={"pageSize": "NOPE"}, headers=headers)
        assert (reply.status_code, "TYPE_INT32" in reply.text) == (400, True)


class TestExport:
    """Google's own documents as something else."""

    def test_a_document_is_kept_as_markdown(self, sandbox: Sandbox, google: Any) -> None:
        text = "# Prices\n\n## 1. Starter\n\n- **89 EUR** a month\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
        made = sandbox.put_file("Prices", text, DOC)
        export = google.files().export
        assert export(fileId=made, mimeType="text/markdown").execute() == text.encode()
        plain = export(fileId=made, mimeType="text/plain").execute().decode("utf-8-sig")
        assert plain.startswith("Prices\r\n\r\n1. Starter\r\n")
        assert "**" not in plain
        assert "---" not in plain
        assert google.files().export_media(fileId=made, mimeType="text/markdown").execute() == text.encode()

    def test_sheets_and_slides(self, sandbox: Sandbox, google: Any) -> None:
        sheet = sandbox.put_file("Numbers", "a,b\n1,2\n", SHEET)
        slides = sandbox.put_file("Talk", "Hello", "application/vnd.google-apps.presentation")
        assert google.files().export(fileId=sheet, mimeType="text/csv").execute() == b"a,b\n1,2\n"
        assert google.files().export(fileId=slides, mimeType="text/plain").execute() == b"Hello"

    def test_what_google_would_refuse(self, sandbox: Sandbox, google: Any) -> None:
        export, media = google.files().export, google.files().get_media
        doc = sandbox.put_file("Doc", "x", DOC)
        form = sandbox.put_file("Form", "", "application/vnd.google-apps.form")
        plain = sandbox.put_file("a.txt", "x", "text/plain")
        large = sandbox.put_file("Long", "x" * (10 * 1024 * 1024 + 1), DOC)
        kept = sandbox.put_file("kept.txt", "x", "text/plain", can_download=False)
        kept_doc = sandbox.put_file("Kept", "x", DOC, can_download=False)
        assert refused(media(fileId=doc)) == (403, "fileNotDownloadable", "alt")
        assert refused(media(fileId=kept)) == (403, "cannotDownloadFile", None)
        assert refused(export(fileId=plain, mimeType="text/plain")) == (403, "fileNotExportable", None)
        assert refused(export(fileId=form, mimeType="text/plain")) == (400, "badRequest", "convertTo")
        assert refused(export(fileId=doc, mimeType="image/png")) == (400, "badRequest", "convertTo")
        assert refused(export(fileId=doc, mimeType="")) == (400, "required", "mimeType")
        assert refused(export(fileId=kept_doc, mimeType="text/plain")) == (403, "cannotExportFile", None)
        assert refused(export(fileId=large, mimeType="text/markdown")) == (403, "exportSizeLimitExceeded", None)


class TestPermissions:
    """Who may read what."""

    def test_what_is_given_on_a_folder_reaches_down(self, sandbox: Sandbox, google: Any) -> None:
        top = sandbox.put_folder("Top", readers=["domain:company.example"])
        inner = sandbox.put_folder("Inner", top)
        made = sandbox.put_file("a.md", parent=inner, readers=["user:ann@a.example"])
        assert readers(google, made) == {OWNER, "domain:company.example", "user:ann@a.example"}
        file = google.files().get(fileId=made, fields="permissions(type,permissionDetails(inherited))").execute()
        assert [each["permissionDetails"][0]["inherited"] for each in file["permissions"]] == [False, True, True]
        sandbox.share_file(top, "anyone")
        assert "anyone" in readers(google, made)
        sandbox.unshare_file(top, "anyone")
        sandbox.unshare_file(made, "user:ann@a.example")
        assert readers(google, made) == {OWNER, "domain:company.example"}

    def test_a_folder_with_limited_access_shuts_others_out(self, sandbox: Sandbox, google: Any) -> None:
        top = sandbox.put_folder("Top", readers=["anyone"])
        inner = sandbox.put_folder("Inner", top, limited=True, readers=["group:board@company.example"])
        made = sandbox.put_file("a.md", parent=inner)
        assert readers(google, made) == readers(google, inner) == {OWNER, "group:board@company.example"}
        sandbox.change_file(inner, limited=False)
        assert "anyone" in readers(google, made)

    def test_a_moved_file_has_the_readers_of_where_it_is(self, sandbox: Sandbox, google: Any) -> None:
        one, two = sandbox.put_folder("One", readers=["anyone"]), sandbox.put_folder("Two")
        made = sandbox.put_file("a.md", parent=one)
        sandbox.change_file(made, parent=two)
        assert readers(google, made) == {OWNER}
        with pytest.raises(SandboxError, match="cannot be moved there"):
            sandbox.change_file(one, parent=one)

    def test_a_mere_reader_is_not_told_who_else_reads(self, sandbox: Sandbox, google: Any) -> None:
        made = sandbox.put_file("a.md", can_share=False)
        assert "permissions" not in google.files().get(fileId=made, fields="*").execute()
        refusal = refused(google.permissions().list(fileId=made))
        assert refusal == (403, "insufficientFilePermissions", None)

    def test_permissions_come_in_pages(self, sandbox: Sandbox, google: Any) -> None:
        made = sandbox.put_file("a.md", readers=[f"user:u{n}@a.example" for n in range(5)])
        listing = google.permissions().list(fileId=made, pageSize=4)
        first = listing.execute()
        second = google.permissions().list_next(listing, first).execute()
        assert (len(first["permissions"]), len(second["permissions"])) == (4, 2)

    def test_what_a_permission_says_of_itself(self, sandbox: Sandbox, google: Any) -> None:
        made = sandbox.put_file("a.md")
        sandbox.share_file(made, "user:gone@a.example", deleted=True)
        sandbox.share_file(made, "user:soon@a.example", expires="2030-01-01T00:00:00.000Z")
        sandbox.share_file(made, "anyone", view="metadata")
        listed = google.permissions().list(fileId=made, fields="permissions").execute()["permissions"]
        gone, soon, anyone = listed[0], listed[1], listed[2]
        assert (gone["deleted"], "emailAddress" in gone) == (True, False)
        assert soon["expirationTime"] == "2030-01-01T00:00:00.000Z"
        assert (anyone["id"], anyone["view"]) == ("anyoneWithLink", "metadata")


class TestSharedDrives:
    """Drives that belong to a team."""

    def test_only_who_knows_of_them_sees_what_is_in_them(self, sandbox: Sandbox, google: Any) -> None:
        team = sandbox.open_shared_drive("Team")
        made = sandbox.put_file("a.md", "x", parent=team, readers=["anyone"])
        files = google.files()
        assert refused(files.get(fileId=made)) == (404, "notFound", "fileId")
        file = files.get(fileId=made, supportsAllDrives=True, fields="*").execute()
        assert (file["driveId"], file["parents"]) == (team, [team])
        assert "permissions" not in file
        assert readers(google, made) == {OWNER, "anyone"}
        assert ids(files.list().execute()) == ids(files.list(**SHARED).execute()) == []
        assert ids(files.list(corpora="drive", driveId=team, **SHARED).execute()) == [made]
        assert ids(files.list(corpora="allDrives", **SHARED).execute()) == [made]

    def test_half_a_question_is_refused(self, sandbox: Sandbox, google: Any) -> None:
        team = sandbox.open_shared_drive("Team")
        files, changes = google.files(), google.changes()
        assert refused(files.list(includeItemsFromAllDrives=True))[:2] == (403, "supportsTeamDrivesRequired")
        assert refused(files.list(driveId=team)) == (400, "required", "includeItemsFromAllDrives")
        assert refused(files.list(corpora="drive", **SHARED)) == (400, "invalid", "corpora")
        assert refused(files.list(driveId="0ANone", **SHARED)) == (404, "notFound", "driveId")
        assert refused(changes.getStartPageToken(driveId=team)) == (400, "required", "supportsAllDrives")
        assert refused(changes.getStartPageToken(driveId="x", supportsAllDrives=True))[0] == 404


class TestChanges:
    """What changed since."""

    @pytest.fixture
    def since(self, google: Any) -> Any:
        start = google.changes().getStartPageToken().execute()["startPageToken"]

        def read(**options: Any) -> Any:
            return google.changes().list(**{"pageToken": start, "fields": "*"} | options).execute()

        return read

    def test_only_the_last_state_of_each_is_told(self, sandbox: Sandbox, since: Any) -> None:
        assert since()["changes"] == []
        made = sandbox.put_file("a.md", "x")
        gone = sandbox.put_file("b.md", "x")
        sandbox.change_file(made, name="c.md")
        sandbox.share_file(made, "anyone")
        sandbox.change_file(made, content="y")
        sandbox.delete_file(gone)
        told = since()
        first, second = told["changes"]
        assert (first["fileId"], first["removed"], first["file"]["name"]) == (made, False, "c.md")
        assert (second["fileId"], second["removed"], "file" in second) == (gone, True, False)
        assert since(pageToken=told["newStartPageToken"])["changes"] == []
        assert len(since(includeRemoved=False)["changes"]) == 1
        assert set(since(fields="changes")["changes"][0]) > {"changeType", "time"}

    def test_a_folder_is_told_of_and_not_what_is_in_it(self, sandbox: Sandbox, since: Any, google: Any) -> None:
        folder = sandbox.put_folder("Top")
        made = sandbox.put_file("a.md", parent=folder)
        start = google.changes().getStartPageToken().execute()["startPageToken"]
        sandbox.share_file(folder, "anyone")
        sandbox.change_file(folder, trashed=True)
        (told,) = since(pageToken=start)["changes"]
        assert (told["fileId"], told["file"]["trashed"]) == (folder, True)
        assert google.files().get(fileId=made, fields="trashed").execute() == {"trashed": True}
        sandbox.delete_file(folder)
        assert [each["fileId"] for each in since(pageToken=start)["changes"]] == [made, folder]

    def test_pages(self, sandbox: Sandbox, since: Any) -> None:
        made = sandbox.put_files([{"name": f"{n}.md", "mime_type": "text/markdown"} for n in range(5)])
        told = since(pageSize=2)
        seen = told["changes"]
        while token := told.get("nextPageToken"):
            assert "newStartPageToken" not in told
            told = since(pageSize=2, pageToken=token)
            seen += told["changes"]
        assert [each["fileId"] for each in seen] == made

    def test_a_token_that_is_not_known(self, sandbox: Sandbox, google: Any, since: Any) -> None:
        sandbox.put_file("a.md")
        sandbox.forget_drive_changes()
        with pytest.raises(HttpError) as caught:
            since()
        assert caught.value.status_code == 400
        changes = google.changes()
        for token in ("-1", "soon", "999999999"):
            assert refused(changes.list(pageToken=token)) == (400, "invalid", "pageToken")
        assert refused(changes.list(pageToken="")) == (400, "required", "pageToken")
        fresh = changes.getStartPageToken().execute()["startPageToken"]
        assert changes.list(pageToken=fresh).execute()["changes"] == []

    def test_a_shared_drive_has_its_own_log(self, sandbox: Sandbox, google: Any, since: Any) -> None:
        team = sandbox.open_shared_drive("Team")
        changes = google.changes()
        start = changes.getStartPageToken(driveId=team, supportsAllDrives=True).execute()["startPageToken"]
        made = sandbox.put_file("a.md", parent=team)
        sandbox.share_file(team, "user:ann@a.example")
        assert since(**SHARED)["changes"] == []
        told = since(pageToken=start, driveId=team, **SHARED)["changes"]
        assert [each["changeType"] for each in told] == ["file", "drive"]
        assert (told[0]["fileId"], told[1]["driveId"]) == (made, team)


def test_the_page_shows_the_drive(sandbox: Sandbox) -> None:
    folder = sandbox.put_folder("<b>Top</b>", readers=["anyone"])
    sandbox.put_file("<script>x</script>.md", parent=folder)
    page = httpx.get(sandbox.url).text
    assert "&lt;script&gt;x&lt;/script&gt;.md" in page
    assert '<span class="chip">anyone</span>' in page
    assert "My Drive / &lt;b&gt;Top&lt;/b&gt;" in page


def test_the_admin_names_what_is_not_there(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="there is no item 1None"):
        sandbox.delete_file("1None")
    made = sandbox.put_file("a.md", "x")
    (seen,) = sandbox.files()
    assert (seen["id"], seen["path"], seen["readers"], seen["size"]) == (made, ["My Drive"], [OWNER], 1)


@pytest.fixture(scope="module")
def world() -> World:
    """Return the pretend company's world."""
    return World(company.load())


class TestCompany:
    """Dockwell's own Drive: what the demo and the tests of answers stand on."""

    HELP = "help-centre"
    ANSWERS: ClassVar[dict[str, dict[str, Any]]] = json.loads(
        (company.HERE / "drive" / "answers.json").read_text(encoding="utf-8")
    )

    def public(self, world: World) -> dict[str, Item]:
        """Return the files that anybody may read, by id."""
        return {
            item.id: item
            for item in world.drive.items.values()
            if item.mime_type != FOLDER and "anyone" in {grant.type for grant, _ in world.drive.permissions(item)}
        }

    def texts(self) -> dict[str, str]:
        """Return each document's source, by id."""
        rows = json.loads((company.HERE / "drive" / "index.json").read_text(encoding="utf-8"))
        folder = company.HERE / "drive"
        return {row["id"]: flat((folder / row["file"]).read_text(encoding="utf-8")) for row in rows if "file" in row}

    def test_every_text_is_in_the_drive(self) -> None:
        rows = json.loads((company.HERE / "drive" / "index.json").read_text(encoding="utf-8"))
        there = {str(path.relative_to(company.HERE / "drive")) for path in (company.HERE / "drive").glob("*/*.*")}
        assert {row["file"] for row in rows if "file" in row} == {each for each in there if "__pycache__" not in each}
        assert len({row["id"] for row in rows}) == len(rows)

    def test_the_help_centre_is_for_all_and_the_handbook_is_not(self, world: World) -> None:
        public = self.public(world)
        assert all(self.HELP in {folder.id for folder in world.drive.above(item)} for item in public.values())
        assert len(public) == 18
        kinds = {item.mime_type.rpartition("/")[2].rpartition(".")[2] for item in public.values()}
        assert kinds == {"document", "markdown", "html", "pdf"}
        pay = world.drive.items["1HandbookCommission"]
        assert {grant.email for grant, _ in world.drive.permissions(pay)} == {
            "hello@dockwell.example",
            "mara@dockwell.example",
            "kofi@dockwell.example",
        }

    def test_articles_have_sections_and_are_neither_short_nor_long(self, world: World) -> None:
        texts = self.texts()
        for id in self.public(world):
            words = len(re.sub(r"<[^>]+>", " ", texts[id]).split())
            assert 150 <= words <= 700, id
            assert len(re.findall(r"(?:^|\n)## \d\. |<h2[^>]*>\d\. ", texts[id])) >= 3, id

    def test_nobody_real_is_named(self) -> None:
        for id, text in self.texts().items():
            domains = re.findall(r"[\w-]+\.(?:com|org|net|io|eu|de|nl|fr|uk|example)\b", text)
            assert {each for each in domains if not each.endswith("example")} == set(), id

    def test_every_email_that_asks_something_has_its_entry(self) -> None:
        expected = json.loads((company.HERE / "expected.json").read_text(encoding="utf-8"))
        asking = {name for name, label in expected.items() if label["intent"] in ("support", "demo_request")}
        assert asking <= set(self.ANSWERS) <= set(expected)
        assert all(entry["answer"] in ("full", "part", "none") for entry in self.ANSWERS.values())

    @pytest.mark.parametrize("name", ANSWERS)
    def test_what_answers_an_email_is_public_and_says_so(self, world: World, name: str) -> None:
        entry, texts, public = self.ANSWERS[name], self.texts(), self.public(world)
        files = entry.get("files", [])
        assert bool(files) or entry["answer"] == "none"
        assert bool(entry.get("rest")) or entry["answer"] == "full"
        assert set(files) <= set(public)
        for fact in entry.get("facts", []):
            assert any(fact in texts[id] for id in files), fact

    @pytest.mark.parametrize("name", ANSWERS)
    def test_what_would_give_away_a_leak_is_in_the_handbook_only(self, world: World, name: str) -> None:
        texts, public = self.texts(), self.public(world)
        for secret in self.ANSWERS[name].get("internal", []):
            assert any(secret in text for id, text in texts.items() if id not in public), secret
            assert not any(secret in text for id, text in texts.items() if id in public), secret

    def test_the_word_file_and_the_pdf_are_what_they_say(self, world: World) -> None:
        word = world.drive.items["1HelpSingleSignOn"]
        with zipfile.ZipFile(io.BytesIO(word.data)) as package:
            document = package.read("word/document.xml").decode()
        assert '<w:pStyle w:val="Heading2"/>' in document
        assert "No workspace for this identity" in document
        paper = world.drive.items["1HelpSecurityOverview"]
        assert paper.data.startswith(b"%PDF-1.4")
        assert b"two data centres in the European Union, in Frankfurt" in paper.data
        again = {item["id"]: item["content"] for item in company.load().drive}
        assert (again[word.id], again[paper.id]) == (word.data, paper.data)


def flat(text: str) -> str:
    """Return a text without the line breaks inside its paragraphs, and HTML's marks in words."""
    text = text.replace("&gt;", ">").replace("&rsquo;", "’").replace("&nbsp;", " ")
    return re.sub(r"(?<=[^\n])\n(?=[^\n#|*0-9-])", " ", text)
