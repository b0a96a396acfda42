"""The server on this machine answers this machine's user, and no web page that happens to be open there."""

import httpx
import pytest

from tests.deployments.machinery import Machine

pytestmark = pytest.mark.slow


@pytest.fixture
def stranger(machine: Machine) -> httpx.Client:
    """A page from elsewhere, in a browser on this machine."""
    return httpx.Client(
        base_url=f"{machine.stack.url}/api", headers={"Origin": "http://evil.example"}, trust_env=False, timeout=30
    )


def test_another_origin_is_not_allowed_in(stranger: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with stranger:
        preflight = stranger.options("/block_documents/filter", headers=asked)
        assert preflight.status_code == 400
        assert stranger.get("/health").headers.get("access-control-allow-origin") in (None, str(stranger.base_url)[:-5])


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_blind_post_decides_nothing_and_reads_no_secret(stranger: httpx.Client, kind: str) -> None:
    with stranger:
        reply = stranger.post(
            "/block_documents/filter", content='{"include_secrets": true}', headers={"Content-Type": kind}
        )
    assert reply.status_code == 403
    assert "sandbox-" not in reply.text
