"""The lanes of worker threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.host.lanes import SLOW_NICENESS, Lanes

ROOT = Path(__file__).parents[2]


def test_only_the_slow_lane_gives_way():
    lanes = Lanes(fast=1, write=1, slow=1)
    niceness, done = {}, threading.Barrier(4)

    def service(lane):
        niceness[lane] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        done.wait(10)

    for lane in ("now", "write", "slow"):
        lanes.add_task(SimpleNamespace(lane=lane, service=lambda lane=lane: service(lane)))
    done.wait(10)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert niceness == {"now": own, "write": own, "slow": max(own, SLOW_NICENESS)}
    lanes.shutdown(timeout_s=5)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give the right away again")
def test_a_process_that_is_nicer_already_and_may_not_change_it_has_a_slow_lane():
    script = """
import os, threading
from types import SimpleNamespace
from shared.host.lanes import Lanes
os.nice(15)
os.setuid(65534)
lanes, done = Lanes(1, 1, 1), threading.Event()
lanes.add_task(SimpleNamespace(lane="slow", service=done.set))
print(done.wait(5))
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-P", "-c", script], env=environ, capture_output=True, text=True)
    assert found.stdout.strip() == "True", found.stderr
