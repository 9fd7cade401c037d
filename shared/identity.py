"""Who is who, in memory: access keys, principals and buckets as of one value of the change counter."""

from __future__ import annotations

from shared.auth.model import Credential
from shared.auth.sealing import MasterKey
from shared.meta import buckets, people
from shared.meta.buckets import BucketInfo
from shared.meta.people import PrincipalInfo

MOST_BUCKETS = 100_000      # kept in a process; reached only by scans over many buckets


class Generation:
    """What was true at one value of the change counter. Filled as it is asked; thrown away whole when the counter moves."""

    def __init__(self, value: int, master_key: MasterKey) -> None:
        self.value = value
        self._master_key = master_key
        self._buckets: dict[str, BucketInfo] = {}
        self._credentials: dict[str, Credential] = {}
        self._principals: dict[int, PrincipalInfo] = {}

    def bucket(self, name: str) -> BucketInfo | None:
        """Find a bucket by name."""
        found = self._buckets.get(name)
        if found is None and (found := buckets.find(name)) is not None and len(self._buckets) < MOST_BUCKETS:
            self._buckets[name] = found
        return found

    def credential(self, access_key: str) -> Credential | None:
        """Find an active key pair, unsealed, and its principal."""
        found = self._credentials.get(access_key)
        if found is None and (key := people.access_key(access_key)) is not None and key.is_active:
            secret = self._master_key.open(key.sealed_secret, key.id.encode()).decode()
            found = self._credentials[access_key] = Credential(key.id, secret, self.principal(key.principal_id))
        return found

    def principal(self, principal_id: int) -> PrincipalInfo | None:
        """Find a principal by id."""
        found = self._principals.get(principal_id)
        if found is None and (found := people.principal(principal_id)) is not None:
            self._principals[principal_id] = found
        return found


class Identity:
    """The current generation, renewed when the change counter says so: one tiny query on each request."""

    def __init__(self, master_key: MasterKey) -> None:
        self._master_key = master_key
        self._generation = Generation(-1, master_key)

    def current(self) -> Generation:
        """The generation that is true now. What it answers stays true until the counter moves."""
        value = buckets.change_value()
        generation = self._generation
        if generation.value != value:
            generation = self._generation = Generation(value, self._master_key)
        return generation
