"""What every block of one of Google's APIs has: how its account logs in, Google's client, and how a request is sent.

Apart from `blocks.google`, which is the transport and loads Google's libraries: a block does without until it is used.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from blocks.shape import Part, Shape
from blocks.vendor import Failures, Once, VendorError, as_kind, without_frames

if TYPE_CHECKING:
    from googleapiclient.discovery import Resource

    from blocks.google import GoogleHttp

P = TypeVar("P", bound=Part)
TOKENS = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True)
class Service:
    """One of Google's APIs."""

    name: str
    """As in Google's discovery documents and in `blocks/`: `gmail`."""
    version: str
    ways_out: Mapping[int, str]
    """What a person can do, by HTTP status."""
    units: Callable[[str], int]
    """What a request, by its operation (`POST /gmail/v1/...`), counts for in Google's quota."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What a refusal means to a person, by Google's reason for it."""


class GoogleAccount(BaseModel):
    """One account, by OAuth with offline access. Mix it into a block, which says the `service`.

    It is no block itself, so that a module of a block has that one only.
    """

    service: ClassVar[Service]

    client_id: str = Field(
        title="OAuth client id", description="From Google Cloud Console, APIs & Services, Credentials."
    )
    client_secret: SecretStr = Field(title="OAuth client secret", description="Shown beside the client id.")
    refresh_token: SecretStr
    address: str
    token_address: str = Field(
        default=TOKENS,
        title="Token address",
        description="Google's token endpoint. Change it together with the address.",
    )
    timeout_seconds: float = Field(
        default=30,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _http: Once["GoogleHttp"] = PrivateAttr(default_factory=Once)
    _service: Once["Resource"] = PrivateAttr(default_factory=Once)

    def get_client(self) -> "Resource":
        """Google's own client for this API, over a transport that sends nothing twice. Thread-safe."""
        return self._service.get(self._build_service)

    def _renew(self) -> None:
        """Get a new access token. Raises VendorError, permanent when Google no longer accepts the refresh token."""
        self._http.get(self._build_http).renew()

    def _read(self, shape: Shape[P], request: Any, *, gone: type[VendorError] | None = None, write: bool = False) -> P:
        """Send a request of Google's client and check its reply; a 404 is raised as `gone`."""
        return shape.read(self._ask(request, gone=gone, write=write), request.methodId, write=write)

    @without_frames
    def _ask(
        self,
        request: Any,
        *,
        gone: type[VendorError] | None = None,
        write: bool = False,
        most_bytes: int | None = None,
    ) -> object:
        """Send a request of Google's client. With `most_bytes`, its reply is a file's content, up to that."""
        http = None if most_bytes is None else self._http.get(self._build_http).download(most_bytes)
        try:
            return request.execute(http=http)
        except VendorError as error:
            raise (as_kind(gone, error) if gone else error) from None
        except ValueError as error:  # Google's client has read it as JSON, which it was called and is not
            raise self._failures().unreadable(request.methodId, str(error), write=write) from None

    def _pages(
        self, shape: Shape[Any], list_: Callable[..., Any], *, gone: type[VendorError] | None = None, **arguments: Any
    ) -> Iterator[Any]:
        """Every page of one of the API's list methods."""
        token: str | None = None
        while True:
            page = self._read(shape, list_(pageToken=token, **arguments), gone=gone)
            yield page
            token = page.next_page_token
            if not token:
                return

    def _failures(self) -> Failures:
        return Failures(self.service.name, (self.client_secret, self.refresh_token), self.service.ways_out)

    def _build_http(self) -> "GoogleHttp":
        from blocks.google import connect

        return connect(self, self._failures(), self.service.units, self.service.words)

    def _build_service(self) -> "Resource":
        from blocks.google import build_service

        http = self._http.get(self._build_http)
        return build_service(self.service.name, self.service.version, self.address, http)
