"""The parts of a running server that functions and workflows use, assembled once per process."""

from __future__ import annotations

from dataclasses import dataclass

from shared.access_log import AccessLog
from shared.auth.proxies import TrustedProxies
from shared.auth.sealing import MasterKey
from shared.blobs.engine import BlobEngine
from shared.identity import Identity
from shared.metrics import Metrics
from shared.settings import Settings
from shared.store import Store


@dataclass(frozen=True)
class Services:
    """What one process works with."""

    settings: Settings
    engine: BlobEngine
    store: Store
    identity: Identity
    proxies: TrustedProxies
    metrics: Metrics
    log: AccessLog
    master_key: MasterKey
