"""Google's public keys, by which its tokens are checked: fetched when they are needed, and not for every forgery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import httpx

from blocks.vendor import Failures, VendorError

FRESH_SECONDS = 3_600.0
"""Google changes its keys every few days, and shows the next one days before."""

PAUSE_SECONDS = 60.0
"""A token that names an unknown key makes us look again, but not more often than this: anybody can name one."""

Keys = Mapping[str, str]
"""Certificates (PEM) by their ids."""


class GoogleKeys:
    """The keys at one address. Safe to share between threads: one fetches, the others wait."""

    def __init__(self, client: httpx.Client, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._address, self._clock = client, address, clock
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def get(self, key_id: str) -> Keys:
        """The keys, fetched anew when they are old or lack the one of this id.

        Raises:
            VendorError: they could not be fetched, and none are known that could be used instead.
        """
        with self._lock:
            if self._age(self._fetched_at) < FRESH_SECONDS and key_id in self._keys:
                return self._keys
            if self._age(self._tried_at) < PAUSE_SECONDS:
                return self._known()
            self._tried_at = self._clock()
            try:
                self._keys, self._fetched_at = self._fetch(), self._clock()
            except VendorError:
                if key_id not in self._keys:
                    raise
            return self._keys

    def _known(self) -> Keys:
        if not self._keys:
            raise self._failures().error("keys", "they could not be fetched a moment ago", permanent=False)
        return self._keys

    def _age(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._clock() - moment

    def _fetch(self) -> Keys:
        try:
            response = self._client.get(self._address)
        except httpx.HTTPError as error:
            raise self._failures().lost("keys", error) from None
        if not response.is_success:
            raise self._failures().refused("keys", response.status_code, response.content, response.headers)
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()) or not found:
            raise self._failures().unreadable("keys", response.content)
        return found

    def _failures(self) -> Failures:
        return Failures("google")
