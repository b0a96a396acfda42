"""The library is kept as the documents are, whatever becomes of one source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from markdown_it import MarkdownIt
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from pydantic import SecretStr

from blocks import connections
from blocks.drive import Drive
from blocks.ledger import Circuit, Ledger
from blocks.library import ANYONE, Library
from flows import index_documents as module
from flows.index_documents import NotIndexed, index_documents
from sandbox import credentials
from sandbox.client import Sandbox, running
from tasks import alerts, index
from tasks.indexing import Tally
from tasks.sources import DriveFolder, Folder
from tests.librarian import Lasting, hits, names, texts

COLLEAGUE = frozenset({ANYONE, "domain:dockwell.example"})

Use = Callable[..., None]


@pytest.fixture
def use(
    prefect_server: None,  # noqa: ARG001
    ledger: Ledger,  # noqa: ARG001
    library: Library,  # noqa: ARG001
    lasting_reader: Lasting,
    monkeypatch: pytest.MonkeyPatch,
) -> Use:
    """Says which sources the flow has."""
    monkeypatch.setattr(module, "Reader", lambda: lasting_reader)
    return lambda *sources: monkeypatch.setattr(module, "SOURCES", sources)


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    """A folder with one file, as a source."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "gates.md").write_text("The gates open at six.")
    return Folder(name="files", path=str(tmp_path / "files"), readers=(ANYONE,))


@pytest.fixture
def shared(saved_accounts: None, sandbox: Sandbox) -> DriveFolder:  # noqa: ARG001
    """A folder of the sandbox's Drive with one file, as a source."""
    folder = sandbox.put_folder("Handbook", readers=[ANYONE])
    sandbox.put_file("slots.md", "A slot is half an hour.", parent=folder)
    return DriveFolder(name="drive", credential="drive/company", folder=folder)


def page() -> str:
    with get_client(sync_client=True) as client:
        wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=["index-documents-results"]))
        (artifact,) = client.read_latest_artifacts(artifact_filter=wanted)
    return str(artifact.data)


def still_open(ledger: Ledger) -> dict[str, str]:
    return {alert.key: alert.message for alert in alerts.still_open(ledger)}


@pytest.mark.usefixtures("use")
def test_the_pretend_companys_documents(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as sandbox:
        drive = Drive(
            client_id=credentials.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            address=f"{sandbox.url}/google/",
            token_address=f"{sandbox.url}/google/token",
        )
        monkeypatch.setattr(connections, "load", {"drive/company": drive}.__getitem__)
        assert index_documents() == {
            "help-centre": "18 new, 0 changed, 0 as before, 0 removed",
            "handbook": "6 new, 0 changed, 0 as before, 0 removed",
        }
        before = len(sandbox.requests("google"))
        assert index_documents("handbook") == {"handbook": "0 new, 0 changed, 6 as before, 0 removed"}
        assert len(sandbox.requests("google")) == before + 1
    assert library.refused() == []
    question = "CSV exports have strange characters in Excel"
    assert hits(library, question)[0].title == "CSV exports: strange characters instead of accents in Excel"
    discounts = "What discount may I give, by the discount ladder?"
    assert hits(library, discounts, COLLEAGUE)[0].title == "Discount ladder"
    assert {hit.source for hit in hits(library, discounts)} == {"help-centre"}
    assert "**handbook**: 0 new, 0 changed, 6 as before" in page()


def test_one_that_nobody_connected_is_passed_over_and_one_that_is_gone_fails_the_run_at_its_end(
    use: Use, files: Folder, ledger: Ledger, library: Library
) -> None:
    gone = files.model_copy(update={"name": "gone", "path": f"{files.path}/gone"})
    use(DriveFolder(name="unconnected", credential="drive/nobody", folder="f"), gone, files)
    with pytest.raises(NotIndexed) as caught:
        index_documents()
    problem = f"{gone.path} is no folder (any more); what was indexed of it stays"
    assert str(caught.value) == f"gone: {problem}"
    assert still_open(ledger) == {"library:gone": f"the library cannot look at its source gone: {problem}"}
    assert texts(library, "gates") == ["The gates open at six."]
    told = {status.name: status.problem or "" for status in library.status()}
    assert (told["files"], told["gone"]) == ("", problem)
    assert told["unconnected"].startswith("no credential drive/nobody: no such block")
    assert "**unconnected**: not looked at\\: no credential drive" in page()


@pytest.mark.usefixtures("fast_retries")
def test_a_vendor_that_is_down_opens_one_alert_until_it_is_back(
    use: Use, files: Folder, shared: DriveFolder, sandbox: Sandbox, ledger: Ledger, library: Library
) -> None:
    use(shared, files)
    sandbox.fault("overloaded", "google", times=None)
    for _ in range(2):
        with pytest.raises(NotIndexed, match=r"^drive: "):
            index_documents()
    [alert] = [alert for alert in alerts.every(ledger) if alert.key == "library:drive"]
    assert alert.message.startswith("the library cannot look at its source drive: drive: ")
    assert (alert.times, alert.closed_at) == (2, None)
    assert texts(library, "gates") == ["The gates open at six."]
    sandbox.clear_faults()
    with ledger.write() as session:  # the vendor is asked again at once
        session.execute(sa.delete(Circuit))
    index_documents()
    assert "library:drive" not in still_open(ledger)
    assert {status.problem for status in library.status()} == {None}


@pytest.mark.usefixtures("fast_retries")
def test_a_source_whose_documents_cannot_be_had_keeps_no_other_from_being_looked_at(
    use: Use, files: Folder, shared: DriveFolder, sandbox: Sandbox, library: Library
) -> None:
    sandbox.change_file(sandbox.put_file("a.md", "x", parent=shared.folder), name="b.md")
    sandbox.fault("server_error", "google", "*/1SandboxItem*", after=2, times=None)  # it looks at the folder twice
    use(shared, files)
    with pytest.raises(NotIndexed, match=r"^drive: "):
        index_documents()
    assert names(library, "files") == {"gates.md": "indexed"}
    assert library.cursor("drive") is None


def test_what_a_document_is_called_stays_text_on_the_runs_page(use: Use, files: Folder) -> None:
    for name in ("[free](http:\u2215\u2215x.example).pdf", "<b>bold.pdf", "| a | `b`.pdf"):
        (Path(files.path) / name).write_bytes(b"%PDF-1.4 broken")
    other = files.model_copy(update={"name": "others"})
    use(files, other)
    said = index_documents()
    assert said["files"] == "1 new, 0 changed, 0 as before, 0 removed; 3 cannot be read"
    shown = page()
    html = MarkdownIt("commonmark").enable("table").render(shown)
    assert "[free](http:∕∕x.example).pdf: " in html
    assert html.count("&lt;b&gt;bold.pdf: ") == 2, "each source's own"
    assert "<b>" not in html
    assert "<a " not in html
    assert "<code>" not in html


def test_a_source_that_is_not_there_is_named_with_those_that_are(use: Use, files: Folder) -> None:
    use(files)
    with pytest.raises(NotIndexed, match="there is no source handbook; there are files"):
        index_documents.fn("handbook")


def test_a_long_list_is_cut_and_counted() -> None:
    refused = {f"{number:03}.pdf": "it is encrypted" for number in range(index.SHOWN + 5)}
    shown = index.as_markdown([Tally("files", refused=refused, left={"a.md": "busy"})])
    assert shown.count("it is encrypted") == index.SHOWN
    assert "- ... and 5 more" in shown
    assert "1 document left to the next run" in shown
