"""Webhooks: only what the vendor has signed just now is taken, by vectors of the vendors' own helpers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from hubspot.utils.signature import Signature
from pydantic import SecretStr, ValidationError
from stripe import WebhookSignature

from blocks import webhook_events, webhook_signatures
from blocks.google_keys import FRESH_SECONDS, PAUSE_SECONDS, GoogleKeys
from blocks.vendor import VendorError
from blocks.webhook_events import Arrived, BadEvent
from blocks.webhook_signatures import BadSignature, OwnScheme
from blocks.webhooks import Scheme, WebhookEndpoint

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
SECRET = "whsec_a_secret_of_the_test"
OLD_SECRET = "whsec_the_one_before_it_was"
BODY = b'{"id":"evt_1","type":"invoice.overdue","name":"J\xc3\xb8rgen"}'
URI = "https://hooks.example.com/hooks/hubspot"
ACCOUNT = "push@project.iam.gserviceaccount.com"
Headers = list[tuple[str, str]]


def stripe_headers(secret: str, body: bytes, at: datetime) -> Headers:
    """As Stripe's own library signs for tests."""
    made = WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return [("Stripe-Signature", made)]


def hubspot_headers(secret: str, body: bytes, at: datetime) -> Headers:
    """As HubSpot's own library computes it."""
    millis = str(int(at.timestamp() * 1000))
    made = Signature.get_signature(secret, body.decode(), "v3", URI, "POST", millis)
    return [("X-HubSpot-Signature-v3", made), ("X-HubSpot-Request-Timestamp", millis)]


def slack_headers(secret: str, body: bytes, at: datetime) -> Headers:
    """As Slack's documentation says; its own example is a test below."""
    second = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), f"v0:{second}:".encode() + body, hashlib.sha256).hexdigest()
    return [("X-Slack-Signature", f"v0={made}"), ("X-Slack-Request-Timestamp", second)]


def own_headers(secret: str, body: bytes, at: datetime) -> Headers:
    """As a script of one's own would: HMAC of `time.body`."""
    second = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), f"{second}.".encode() + body, hashlib.sha256).hexdigest()
    return [("X-Signature", f"sha256={made}"), ("X-Timestamp", second)]


OWN = OwnScheme(header="X-Signature", prefix="sha256=", timestamp_header="X-Timestamp")


@dataclass(frozen=True)
class Way:
    """One way to sign."""

    sign: Callable[[str, bytes, datetime], Headers]
    verify: Callable[[Sequence[str], Headers, bytes, datetime], None]


WAYS = {
    "stripe": Way(stripe_headers, webhook_signatures.stripe),
    "hubspot": Way(hubspot_headers, lambda s, h, b, n: webhook_signatures.hubspot(s, h, b, n, uri=URI)),
    "slack": Way(slack_headers, webhook_signatures.slack),
    "own": Way(own_headers, lambda s, h, b, n: webhook_signatures.own(s, h, b, n, scheme=OWN)),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to sign with a shared secret."""
    return WAYS[request.param]


def changed(headers: Headers, index: int, value: str) -> Headers:
    """The headers with another value in one place."""
    return [(name, value if i == index else old) for i, (name, old) in enumerate(headers)]


class TestEveryWay:
    def test_what_the_vendor_has_signed_holds(self, way: Way) -> None:
        way.verify([SECRET], way.sign(SECRET, BODY, NOW), BODY, NOW)

    def test_header_names_are_taken_in_any_case(self, way: Way) -> None:
        headers = [(name.lower(), value) for name, value in way.sign(SECRET, BODY, NOW)]
        way.verify([SECRET], headers, BODY, NOW)

    @pytest.mark.parametrize("secrets", [[SECRET, OLD_SECRET], [OLD_SECRET, SECRET]])
    def test_either_of_two_secrets_will_do_while_they_are_changed(self, way: Way, secrets: list[str]) -> None:
        way.verify(secrets, way.sign(SECRET, BODY, NOW), BODY, NOW)

    @pytest.mark.parametrize("secrets", [["whsec_quite_another_one"], [SECRET + " "], [SECRET.upper()], [], [""]])
    def test_another_secret_does_not(self, way: Way, secrets: list[str]) -> None:
        with pytest.raises(BadSignature):
            way.verify(secrets, way.sign(SECRET, BODY, NOW), BODY, NOW)

    def test_an_empty_secret_is_none_even_if_somebody_signs_with_it(self, way: Way) -> None:
        with pytest.raises(BadSignature):
            way.verify([""], way.sign("", BODY, NOW), BODY, NOW)

    @pytest.mark.parametrize("place", [0, len(BODY) // 2, len(BODY) - 1])
    def test_one_changed_byte_of_the_body_is_seen(self, way: Way, place: int) -> None:
        other = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        with pytest.raises(BadSignature):
            way.verify([SECRET], way.sign(SECRET, BODY, NOW), other, NOW)

    @pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1], b"\xff\xfe"])
    def test_another_body_is_seen(self, way: Way, body: bytes) -> None:
        with pytest.raises(BadSignature):
            way.verify([SECRET], way.sign(SECRET, BODY, NOW), body, NOW)

    def test_a_changed_time_is_seen(self, way: Way) -> None:
        theirs, later = way.sign(SECRET, BODY, NOW), way.sign(SECRET, BODY, NOW + timedelta(seconds=1))
        if len(theirs) == 1:  # both in one header
            mixed = [(theirs[0][0], later[0][1].partition(",")[0] + "," + theirs[0][1].partition(",")[2])]
        else:
            mixed = changed(theirs, 1, later[1][1])
        with pytest.raises(BadSignature, match="not signed with"):
            way.verify([SECRET], mixed, BODY, NOW)

    @pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
    def test_five_minutes_either_way_are_a_matter_of_clocks(self, way: Way, seconds: int) -> None:
        way.verify([SECRET], way.sign(SECRET, BODY, NOW + timedelta(seconds=seconds)), BODY, NOW)

    @pytest.mark.parametrize("seconds", [-86_400, -301, 301, 86_400, 10**9])
    def test_what_is_old_or_from_the_future_is_refused(self, way: Way, seconds: int) -> None:
        with pytest.raises(BadSignature, match="its time is"):
            way.verify([SECRET], way.sign(SECRET, BODY, NOW + timedelta(seconds=seconds)), BODY, NOW)

    @pytest.mark.parametrize(
        "value", ["", "  ", "é", "t=é,v1=ü", "\0", "x" * 5_000, "v0=", "t=,v1=", "t=1", "=,=", "٣"]
    )
    def test_nonsense_in_any_header_is_refused(self, way: Way, value: str) -> None:
        headers = way.sign(SECRET, BODY, NOW)
        for index in range(len(headers)):
            with pytest.raises(BadSignature):
                way.verify([SECRET], changed(headers, index, value), BODY, NOW)

    def test_a_missing_header_is_refused(self, way: Way) -> None:
        headers = way.sign(SECRET, BODY, NOW)
        for index in range(len(headers)):
            with pytest.raises(BadSignature, match="is missing"):
                way.verify([SECRET], headers[:index] + headers[index + 1 :], BODY, NOW)

    def test_a_doubled_header_is_refused_even_if_both_are_right(self, way: Way) -> None:
        headers = way.sign(SECRET, BODY, NOW)
        for header in headers:
            with pytest.raises(BadSignature, match="there twice"):
                way.verify([SECRET], [*headers, header], BODY, NOW)

    def test_what_is_said_holds_neither_secret_nor_signature(self, way: Way) -> None:
        headers = way.sign(OLD_SECRET, BODY, NOW)
        with pytest.raises(BadSignature) as caught:
            way.verify([SECRET], headers, BODY, NOW)
        told = repr(caught.value)
        assert not [text for text in (SECRET, OLD_SECRET, *(value for _, value in headers)) if text in told]

    def test_all_are_compared_with_all_in_constant_time(self, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
        compared: list[tuple[Any, Any]] = []
        real = hmac.compare_digest

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return real(one, other)

        monkeypatch.setattr(hmac, "compare_digest", compare)
        way.verify([SECRET, OLD_SECRET], way.sign(SECRET, BODY, NOW), BODY, NOW)
        assert len(compared) == 2


class TestStripe:
    def test_one_right_signature_of_several_will_do(self) -> None:
        ((name, right),) = stripe_headers(SECRET, BODY, NOW)
        ((_, wrong),) = stripe_headers(OLD_SECRET, BODY, NOW)
        for header in (f"{wrong},{right.partition(',')[2]}", f"{right},{wrong.partition(',')[2]}", f"{right},v0=aa"):
            webhook_signatures.stripe([SECRET], [(name, header)], BODY, NOW)

    @pytest.mark.parametrize("scheme", ["v0", "v2", "V1"])
    def test_only_version_one_counts(self, scheme: str) -> None:
        ((name, right),) = stripe_headers(SECRET, BODY, NOW)
        with pytest.raises(BadSignature):
            webhook_signatures.stripe([SECRET], [(name, right.replace("v1", scheme))], BODY, NOW)

    def test_two_times_are_no_time(self) -> None:
        ((name, right),) = stripe_headers(SECRET, BODY, NOW)
        with pytest.raises(BadSignature, match="2 times"):
            webhook_signatures.stripe([SECRET], [(name, f"t=1,{right}")], BODY, NOW)

    def test_the_vendors_own_library_takes_a_time_in_the_future_and_we_do_not(self) -> None:
        future = datetime.now(UTC) + timedelta(days=1)
        ((name, header),) = stripe_headers(SECRET, BODY, future)
        assert WebhookSignature.verify_header(BODY.decode(), header, SECRET, tolerance=300)
        with pytest.raises(BadSignature, match="in the future"):
            webhook_signatures.stripe([SECRET], [(name, header)], BODY, datetime.now(UTC))


class TestHubSpot:
    def test_the_address_that_it_calls_is_signed(self) -> None:
        for uri in (URI.replace("https", "http"), URI + "/", URI + "?a=1", "https://127.0.0.1:4280/hooks/hubspot"):
            with pytest.raises(BadSignature):
                webhook_signatures.hubspot([SECRET], hubspot_headers(SECRET, BODY, NOW), BODY, NOW, uri=uri)

    def test_the_method_is_signed(self) -> None:
        headers = hubspot_headers(SECRET, BODY, NOW)
        with pytest.raises(BadSignature):
            webhook_signatures.hubspot([SECRET], headers, BODY, NOW, uri=URI, method="PUT")

    def test_exactly_the_characters_of_its_table_are_decoded(self) -> None:
        encoded = "https://h.example/a%3A%2f%3F%40%21%24%27%28%29%2A%2C%3Bz?q=%20%26%23%3D%2B%25%C3%B8"
        assert webhook_signatures.hubspot_uri(encoded) == "https://h.example/a:/?@!$'()*,;z?q=%20%26%23%3D%2B%25%C3%B8"

    def test_an_encoded_percent_sign_is_not_decoded_twice(self) -> None:
        assert webhook_signatures.hubspot_uri("https://h.example/%253A") == "https://h.example/%253A"


class TestSlack:
    def test_the_example_of_its_documentation_holds(self) -> None:
        body = (
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
            b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
            b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
            b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
        )
        headers = [
            ("X-Slack-Request-Timestamp", "1531420618"),
            ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ]
        at = datetime.fromtimestamp(1531420618, UTC)
        webhook_signatures.slack(["8f742231b10e8888abcd99yyyzzz85a5"], headers, body, at)


class TestOwn:
    @pytest.mark.parametrize(
        ("header", "scheme"),
        [
            (f"sha256={hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()}", OwnScheme("X-S", "sha256=")),
            (hmac.new(SECRET.encode(), BODY, hashlib.sha512).hexdigest(), OwnScheme("X-S", algorithm="sha512")),
            (
                base64.b64encode(hmac.new(SECRET.encode(), BODY, hashlib.sha256).digest()).decode(),
                OwnScheme("X-S", encoding="base64"),
            ),
        ],
        ids=["as GitHub", "sha512", "as Shopify"],
    )
    def test_without_a_time_the_body_alone_is_signed_and_is_good_for_ever(self, header: str, scheme: OwnScheme) -> None:
        for now in (NOW, NOW + timedelta(days=3_650)):
            webhook_signatures.own([SECRET], [("X-S", header)], BODY, now, scheme=scheme)
        with pytest.raises(BadSignature):
            webhook_signatures.own([SECRET], [("X-S", header)], BODY + b" ", NOW, scheme=scheme)

    def test_milliseconds_are_understood(self) -> None:
        millis = str(int(NOW.timestamp() * 1000))
        (made,) = webhook_signatures.own_signatures([SECRET], BODY, millis, OWN)
        headers = [("X-Signature", f"sha256={made}"), ("X-Timestamp", millis)]
        webhook_signatures.own([SECRET], headers, BODY, NOW, scheme=OWN)


@dataclass(frozen=True)
class Google:
    """Somebody who signs tokens as Google does."""

    key: rsa.RSAPrivateKey
    certificate: str

    def token(self, now: datetime = NOW, kid: str = "k1", **claims: Any) -> str:
        """A token as Pub/Sub sends it, by Google's own library."""
        given = {
            "iss": "https://accounts.google.com",
            "aud": URI,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 3600,
        }
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signer = crypt.RSASigner.from_string(pem, kid)  # type: ignore[no-untyped-call]
        payload = {name: value for name, value in (given | claims).items() if value is not None}
        made: bytes = jwt.encode(signer, payload)  # type: ignore[no-untyped-call]
        return made.decode()


def somebody() -> Google:
    """A key and its certificate."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(days=9), NOW + timedelta(days=9))
    signed = made.sign(key, hashes.SHA256())
    return Google(key, signed.public_bytes(serialization.Encoding.PEM).decode())


@pytest.fixture(scope="module")
def google() -> Google:
    """Google."""
    return somebody()


def judged(google: Google, token: str, now: datetime | None = None, scheme: str = "Bearer") -> None:
    """By Google's own library, which goes by the real clock: tokens of these tests are of now."""
    headers = [("Authorization", f"{scheme} {token}")]
    now = now or datetime.now(UTC)
    webhook_signatures.google({"k1": google.certificate}, headers, now, audience=URI, account=ACCOUNT)


class TestGoogle:
    def test_a_token_for_us_by_the_right_account_holds(self, google: Google) -> None:
        judged(google, google.token(datetime.now(UTC)))

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": "https://elsewhere.example"},
            {"aud": None},
            {"email": "push@project.iam.gserviceaccount.com.evil.example"},
            {"email": "other@project.iam.gserviceaccount.com"},
            {"email": None},
            {"email_verified": False},
            {"email_verified": "true"},
            {"email_verified": None},
            {"iss": "https://evil.example"},
            {"iss": None},
            {"exp": None},
            {"iat": None},
            {"iat": "now"},
            {"kid": "k2"},
        ],
        ids=str,
    )
    def test_one_for_somebody_else_or_by_somebody_else_does_not(self, google: Google, claims: dict[str, Any]) -> None:
        with pytest.raises(BadSignature):
            judged(google, google.token(datetime.now(UTC), **claims))

    @pytest.mark.parametrize("seconds", [-3_600 - 330, 330, 86_400])  # 300 are forgiven, and a busy machine takes some
    def test_an_expired_one_or_one_from_the_future_does_not(self, google: Google, seconds: int) -> None:
        with pytest.raises(BadSignature):
            judged(google, google.token(datetime.now(UTC) + timedelta(seconds=seconds)))

    def test_it_is_judged_by_the_given_clock_as_well(self, google: Google) -> None:
        for now in (datetime.now(UTC) + timedelta(hours=2), datetime.now(UTC) - timedelta(minutes=6)):
            with pytest.raises(BadSignature, match="not of now"):
                judged(google, google.token(datetime.now(UTC)), now)

    def test_another_key_under_the_same_name_does_not(self, google: Google) -> None:
        with pytest.raises(BadSignature):
            judged(google, somebody().token(datetime.now(UTC)))

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_a_changed_part_is_seen(self, google: Google, part: int) -> None:
        parts = google.token(datetime.now(UTC)).split(".")
        parts[part] = ("A" if parts[part][5] != "A" else "B").join((parts[part][:5], parts[part][6:]))
        with pytest.raises(BadSignature):
            judged(google, ".".join(parts))

    @pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": ["RS256"]}, {}, [], "x"], ids=str)
    def test_a_token_that_chooses_how_it_is_checked_does_not(self, google: Google, header: Any) -> None:
        _, payload, signature = google.token(datetime.now(UTC)).split(".")
        chosen = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        for last in (signature, ""):
            with pytest.raises(BadSignature):
                judged(google, f"{chosen}.{payload}.{last}")

    @pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "..", "a.b.c.d", "%%.%%.%%"])
    def test_nonsense_is_refused(self, google: Google, token: str) -> None:
        with pytest.raises(BadSignature):
            judged(google, token)
        with pytest.raises(BadSignature):  # and no key is fetched for it
            webhook_signatures.key_id([("Authorization", f"Bearer {token}x")])

    @pytest.mark.parametrize("part", [b"[" * 3_000, b"[" * 6_000, b'{"alg":"RS256","kid":' + b"9" * 2_900 + b"}"])
    @pytest.mark.parametrize("place", [0, 1])
    def test_one_made_to_exhaust_whoever_reads_it_is_refused(self, google: Google, part: bytes, place: int) -> None:
        parts = google.token(datetime.now(UTC)).split(".")
        parts[place] = base64.urlsafe_b64encode(part).decode().rstrip("=")
        with pytest.raises(BadSignature):
            judged(google, ".".join(parts))

    def test_a_longer_one_than_google_makes_is_not_even_read(self, google: Google) -> None:
        with pytest.raises(BadSignature, match="more than 4,096 characters"):
            judged(google, "a" * 4_097)
        with pytest.raises(BadSignature, match="more than 4,096 characters"):
            webhook_signatures.key_id([("Authorization", "Bearer " + "a" * 4_097)])

    def test_no_key_is_used_on_a_token_that_is_not_for_us_anyway(
        self, google: Google, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crypt, "verify_signature", lambda *_: pytest.fail("it costs the most"))
        with pytest.raises(BadSignature, match="another account's"):
            judged(google, google.token(datetime.now(UTC), email="other@project.iam.gserviceaccount.com"))

    def test_only_a_bearer_token_counts(self, google: Google) -> None:
        with pytest.raises(BadSignature, match="no Bearer"):
            judged(google, google.token(datetime.now(UTC)), scheme="Basic")

    def test_the_key_that_it_names_is_known_before_it_is_judged(self, google: Google) -> None:
        assert webhook_signatures.key_id([("Authorization", f"Bearer {google.token(kid='k7')}")]) == "k7"


class KeyServer:
    """Where keys are fetched: it counts how often, and can be down."""

    def __init__(self) -> None:
        self.keys: Any = {"k1": "one"}
        self.status = 200
        self.asked = 0
        self.time = 1_000.0

    def keep(self) -> GoogleKeys:
        """What fetches from here, by a clock that stands still."""
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        return GoogleKeys(client, "http://keys.example/certs", lambda: self.time)

    def _answer(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(self.status, json=self.keys)


class TestGoogleKeys:
    def test_they_are_fetched_once_and_again_after_an_hour(self) -> None:
        server = KeyServer()
        kept = server.keep()
        for _ in range(3):
            assert kept.get("k1") == {"k1": "one"}
        assert server.asked == 1
        server.time += FRESH_SECONDS
        kept.get("k1")
        assert server.asked == 2

    def test_unknown_keys_make_us_look_once_a_minute_however_many_there_are(self) -> None:
        server = KeyServer()
        kept = server.keep()
        for number in range(100):
            kept.get(f"forged-{number}")
        assert server.asked == 1
        server.time += PAUSE_SECONDS
        server.keys = {"k2": "two"}
        assert kept.get("k2") == {"k2": "two"}
        assert server.asked == 2

    def test_while_they_cannot_be_fetched_the_known_ones_count(self) -> None:
        server = KeyServer()
        kept = server.keep()
        kept.get("k1")
        server.time += FRESH_SECONDS
        server.status = 500
        assert kept.get("k1") == {"k1": "one"}

    @pytest.mark.parametrize(("status", "keys"), [(500, {}), (200, []), (200, {}), (200, {"k1": 1})])
    def test_none_at_all_is_said_and_not_asked_for_again_at_once(self, status: int, keys: Any) -> None:
        server = KeyServer()
        server.status, server.keys = status, keys
        kept = server.keep()
        for _ in range(3):
            with pytest.raises(VendorError) as caught:
                kept.get("k1")
            assert not caught.value.permanent
        assert server.asked == 1


def only_event(said: webhook_events.Said) -> Arrived:
    (event,) = said.events
    return event


class TestWhatItSays:
    def test_stripes_event_is_known_by_its_own_id(self) -> None:
        event = only_event(webhook_events.stripe(b'{"id":"evt_1","type":"invoice.overdue","data":{}}'))
        assert (event.external_id, event.kind, event.payload["data"]) == ("evt_1", "invoice.overdue", {})

    def test_each_of_hubspots_is_an_event_and_is_the_same_when_it_is_sent_again(self) -> None:
        one = {"eventId": 1, "subscriptionType": "deal.creation", "objectId": 7, "attemptNumber": 0}
        two = one | {"objectId": 8}
        first = webhook_events.hubspot(json.dumps([one, two]).encode()).events
        again = webhook_events.hubspot(json.dumps([two | {"attemptNumber": 3}, one]).encode()).events
        assert [event.kind for event in first] == ["deal.creation"] * 2
        assert len({event.external_id for event in first}) == 2
        assert {event.external_id for event in first} == {event.external_id for event in again}

    @pytest.mark.parametrize(
        ("said", "type_id", "kind"),
        [
            ("object.propertyChange", "0-3", "deal.propertyChange"),
            ("object.creation", "0-5", "ticket.creation"),
            ("object.creation", "2-1234", "2-1234.creation"),
            ("contact.creation", "0-3", "contact.creation"),
        ],
    )
    def test_hubspots_new_names_are_told_as_the_old_ones(self, said: str, type_id: str, kind: str) -> None:
        body = json.dumps([{"subscriptionType": said, "objectTypeId": type_id}]).encode()
        assert only_event(webhook_events.hubspot(body)).kind == kind

    def test_one_of_hubspots_that_is_none_costs_the_others_nothing(self) -> None:
        good = {"subscriptionType": "deal.creation", "objectId": 1}
        odd = [{"subscriptionType": "deal.größe"}, {"eventId": 1}, 7, good | {"objectTypeId": "2 1"}]
        said = webhook_events.hubspot(json.dumps([*odd[:2], good, *odd[2:], good | {"objectId": 2}]).encode())
        assert [event.payload["objectId"] for event in said.events] == [1, 1, 2]
        assert len(said.left_out) == 3
        assert "größe" not in str(said.left_out)

    def test_half_a_character_is_replaced_wherever_it_stands_and_a_whole_one_is_kept(self) -> None:
        body = b'{"\\ud800k":["a\\udfff",{"x":"\\ud83d\\ude00"}]}'
        assert only_event(webhook_events.own(body)).payload == {"\ufffdk": ["a\ufffd", {"x": "😀"}]}

    @pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")], ids=["objects", "lists"])
    def test_no_more_levels_are_taken_than_a_run_can_read(self, opening: bytes, closing: bytes) -> None:
        most = webhook_events.DEEPEST - 1  # and the body itself
        webhook_events.own(b'{"a":' + opening * most + b"1" + closing * most + b"}")
        for levels in (most + 1, 956):
            with pytest.raises(BadEvent, match="nested too deeply: more than 64 levels"):
                webhook_events.own(b'{"a":' + opening * levels + b"1" + closing * levels + b"}")

    def test_slacks_verification_token_is_left_out(self) -> None:
        said = {"token": "secret", "event_id": "Ev1", "event": {"type": "message", "token": "of a message"}}
        event = only_event(webhook_events.slack(json.dumps(said).encode(), "application/json"))
        assert event.payload == {"event_id": "Ev1", "event": said["event"]}
        limited = json.dumps({"token": "secret", "type": "app_rate_limited"}).encode()
        assert only_event(webhook_events.slack(limited, "application/json")).payload == {"type": "app_rate_limited"}
        pressed = webhook_events.slack(b"payload=%7B%22token%22%3A%22secret%22%7D", "application/x-www-form-urlencoded")
        assert pressed.interaction == {}

    def test_an_empty_list_is_no_event(self) -> None:
        assert webhook_events.hubspot(b"[]").events == []

    def test_slack_asks_whether_anybody_is_there(self) -> None:
        said = webhook_events.slack(b'{"type":"url_verification","challenge":"abc"}', "application/json")
        assert (said.answer, said.events) == ({"challenge": "abc"}, ())

    def test_slacks_event_is_known_by_its_id(self) -> None:
        body = b'{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention","text":"hi"}}'
        event = only_event(webhook_events.slack(body, "application/json"))
        assert (event.external_id, event.kind) == ("Ev1", "app_mention")

    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-urlencoded; x=y"])
    def test_what_somebody_has_pressed_comes_as_a_form(self, kind: str) -> None:
        said = webhook_events.slack(
            b"payload=%7B%22type%22%3A%22block_actions%22%2C%22x%22%3A%22a%2Bb+%C3%B8%22%7D", kind
        )
        assert said.interaction == {"type": "block_actions", "x": "a+b ø"}
        assert said.events == ()

    def test_gmails_push_says_whose_mailbox_and_how_far(self) -> None:
        data = base64.b64encode(b'{"emailAddress":"hello@company.example","historyId":9}').decode()
        body = json.dumps({"message": {"data": data, "messageId": "42"}, "subscription": "projects/p/s"}).encode()
        event = only_event(webhook_events.gmail(body))
        assert (event.external_id, event.kind) == ("42", "mailbox.changed")
        assert event.payload["message"]["data"] == {"emailAddress": "hello@company.example", "historyId": 9}

    def test_ones_own_event_is_known_by_a_digest_of_body_and_time_or_by_its_id(self) -> None:
        body = b'{"data":{"id":7},"type":"order.paid"}'
        plain = only_event(webhook_events.own(body, signed_at="1"))
        assert plain == only_event(webhook_events.own(body, signed_at="1"))
        assert plain.external_id != only_event(webhook_events.own(body, signed_at="2")).external_id
        assert plain.kind == "event"
        named = only_event(webhook_events.own(body, signed_at="1", id_field="data.id", kind_field="type"))
        assert (named.external_id, named.kind) == ("7", "order.paid")

    @pytest.mark.parametrize(
        ("read", "body", "why"),
        [
            (webhook_events.stripe, b"", "not JSON"),
            (webhook_events.stripe, b"{", "not JSON"),
            (webhook_events.stripe, b"\xff{}", "not UTF-8"),
            (webhook_events.stripe, b"[]", "no object"),
            (webhook_events.stripe, b"null", "no object"),
            (webhook_events.stripe, b"[" * 100_000, "nested too deeply"),
            (webhook_events.stripe, b'{"id":"e","type":"t","x":NaN}', "NaN"),
            (webhook_events.stripe, b'{"id":"e","type":"t","x":1e999}', "too large"),
            (webhook_events.stripe, b'{"id":"e","type":"t","x":' + b"9" * 5_000 + b"}", "not JSON"),
            (webhook_events.stripe, b'{"type":"t"}', "id is missing"),
            (webhook_events.stripe, b'{"id":7,"type":"t"}', "id is missing"),
            (webhook_events.stripe, b'{"id":"a b","type":"t"}', "id is no id"),
            (webhook_events.stripe, b'{"id":"\\ud800","type":"t"}', "id is no id"),
            (webhook_events.stripe, b'{"id":"' + b"e" * 300 + b'","type":"t"}', "id is no id"),
            (webhook_events.stripe, b'{"id":"e"}', "type is no name"),
            (webhook_events.stripe, b'{"id":"e","type":"a\\nb"}', "type is no name"),
            (webhook_events.hubspot, b"{}", "no list"),
            (webhook_events.hubspot, b"[1]", "no list of objects"),
            (webhook_events.hubspot, b"[{}]", "subscriptionType is no name"),
            (webhook_events.gmail, b"{}", "message is no object"),
            (webhook_events.gmail, b'{"message":{"data":"%%%","messageId":"1"}}', "not base64"),
            (webhook_events.gmail, b'{"message":{"data":"W10=","messageId":"1"}}', "holds no object"),
            (webhook_events.gmail, b'{"message":{"data":"e30="}}', "messageId is missing"),
            (lambda b: webhook_events.slack(b, "application/json"), b'{"type":"url_verification"}', "no text"),
            (lambda b: webhook_events.slack(b, "application/json"), b'{"event_id":"e","event":7}', "event.type"),
            (lambda b: webhook_events.slack(b, "application/x-www-form-urlencoded"), b"command=%2Fx", "no payload"),
            (lambda b: webhook_events.slack(b, "application/x-www-form-urlencoded"), b"payload=%FF", "no form"),
            (lambda b: webhook_events.slack(b, "application/x-www-form-urlencoded"), b"a&" * 99, "no form"),
            (lambda b: webhook_events.own(b, id_field="data.id"), b'{"data":[]}', "data.id is missing"),
            (lambda b: webhook_events.own(b, kind_field="type"), b"{}", "type is no name"),
        ],
    )
    def test_what_is_no_event_is_refused_with_what_is_wrong(
        self, read: Callable[[bytes], Any], body: bytes, why: str
    ) -> None:
        with pytest.raises(BadEvent, match=why):
            read(body)


def endpoint(scheme: Scheme, **fields: Any) -> WebhookEndpoint:
    """A block, with what every scheme needs."""
    given = {"secret": SecretStr(SECRET), "public_url": URI, "service_account": ACCOUNT} | fields
    return WebhookEndpoint(scheme=scheme, **given)


class TestTheBlock:
    @pytest.mark.parametrize("scheme", ["stripe", "hubspot", "slack", "own"])
    def test_what_it_signs_itself_holds_with_it_and_with_the_vendors_library(self, scheme: Scheme) -> None:
        block, now = endpoint(scheme, previous_secret=SecretStr(OLD_SECRET)), datetime.now(UTC)
        made = block.sign(BODY, now)
        block.verify(list(made.items()), BODY, now)
        if scheme == "stripe":
            assert WebhookSignature.verify_header(BODY, made["Stripe-Signature"], SECRET, tolerance=300)
        if scheme == "hubspot":
            given, at = made["X-HubSpot-Signature-v3"], made["X-HubSpot-Request-Timestamp"]
            assert Signature.is_valid(given, SECRET, BODY.decode(), URI, "POST", "v3", at)

    @pytest.mark.parametrize("scheme", ["stripe", "hubspot", "slack", "own"])
    def test_each_reads_its_own_vendors_events(self, scheme: Scheme) -> None:
        body = {
            "hubspot": b'[{"subscriptionType":"deal.creation"}]',
            "slack": b'{"event_id":"Ev1","event":{"type":"app_mention"}}',
        }.get(scheme, BODY)
        kinds = {"hubspot": "deal.creation", "slack": "app_mention", "own": "event", "stripe": "invoice.overdue"}
        block = endpoint(scheme)
        assert only_event(block.read(list(block.sign(body, NOW).items()), body)).kind == kinds[scheme]

    def test_hubspots_query_is_part_of_what_it_signs(self) -> None:
        at = str(int(NOW.timestamp() * 1000))
        made = Signature.get_signature(SECRET, BODY.decode(), "v3", f"{URI}?a=b", "POST", at)
        headers = [("X-HubSpot-Signature-v3", made), ("X-HubSpot-Request-Timestamp", at)]
        endpoint("hubspot").verify(headers, BODY, NOW, query="a=b")
        with pytest.raises(BadSignature):
            endpoint("hubspot").verify(headers, BODY, NOW)

    def test_gmail_is_judged_by_the_keys_of_its_address(self, google: Google) -> None:
        server, block = KeyServer(), endpoint("gmail")
        server.keys = {"k1": google.certificate}
        kept = server.keep()
        block._keys.get(lambda: kept)
        block.verify([("Authorization", f"Bearer {google.token(datetime.now(UTC))}")], BODY, datetime.now(UTC))
        with pytest.raises(BadSignature, match="only Google"):
            block.sign(BODY, NOW)

    @pytest.mark.parametrize(
        ("scheme", "fields", "why"),
        [
            ("stripe", {"secret": SecretStr("")}, "needs a secret"),
            ("stripe", {"secret": SecretStr("short")}, "at least 16 characters"),
            ("own", {"previous_secret": SecretStr("short")}, "at least 16 characters"),
            ("hubspot", {"public_url": ""}, "public address"),
            ("hubspot", {"public_url": "hooks.example.com"}, "begins with https"),
            ("gmail", {"service_account": ""}, "service account"),
            ("gmail", {"public_url": ""}, "audience or public address"),
            ("own", {"signature_header": ""}, "header"),
        ],
    )
    def test_one_that_could_check_nothing_is_refused(self, scheme: Scheme, fields: dict[str, Any], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            endpoint(scheme, **fields)

    def test_it_says_what_it_takes_and_never_its_secret(self) -> None:
        block = endpoint("stripe", previous_secret=SecretStr(OLD_SECRET))
        assert block.check() == f"signed by stripe, with two secrets, at {URI}"
        assert SECRET not in repr(block) + str(block) + block.check()
