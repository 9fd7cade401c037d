"""Puts a tiny server in the place of the real one, so that the command line can be tested alone."""

import contextlib
import json
import os
import signal
import sys
import types
from pathlib import Path


class Stub:
    """What shared.app.build returns."""

    def __init__(self, settings):
        self.settings = settings

    def serve(self, process, sockets):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            sockets[0].setblocking(True)
            connection, _ = sockets[0].accept()
            with connection, contextlib.suppress(OSError):
                facts = {"process": process, "listen": str(self.settings.listen), "region": self.settings.region, "pid": os.getpid(),
                         "database_url": self.settings.database_url}
                connection.sendall(json.dumps(facts).encode())

    def invoke(self, name, payload, body=b""):
        if name == "s3.Missing":
            raise LookupError("there is no function s3.Missing")
        if name == "s3.Unreachable":
            raise type("OperationalError", (Exception,), {})("could not connect")
        if name == "s3.Bug":
            raise KeyError("bug")
        if name == "s3.Refused":
            raise type("NoSuchBucket", (Exception,), {"code": "NoSuchBucket", "status": 404})("The specified bucket does not exist")
        return {"name": name, **payload, **({"Body": body} if body else {})}

    def reset_root(self):
        return "AKIANEW", "new-secret"

    def close(self):
        Path(self.settings.data_dir, "closed").touch()


class Progress:
    def __init__(self, done, state, message=""):
        self.done, self.total, self.state, self.message = done, 2, state, message


class Report:
    def __init__(self, ok):
        self.ok = ok

    def __str__(self):
        return "all is well" if self.ok else "1 object has no bytes"


def prepare(settings):
    if os.environ.get("STUB_PREPARE_FAILS"):
        raise OSError("the disk is on fire")
    first = Path(settings.data_dir, "prepared")
    if first.exists() or settings.root_access_key:
        return None
    first.touch()
    return "AKIAFIRST", "first-secret"


def watch(run_id):
    yield Progress(0, "running")
    yield Progress(2, "failed" if run_id == "bad" else "done", "why")


def check(app, repair, progress, deep=False):
    for number in range(3):
        progress(number, 2, "objects")
    return Report(repair)


def run_alone(settings):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


def module(name, **contents):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(contents)
    return sys.modules[name]


app = module("shared.app", prepare=prepare, build=Stub)
module("shared.check", check=check)
module("workflows", runner=module("workflows.runner", run_consumer=run_alone),
       scheduler=module("workflows.scheduler", run_scheduler=run_alone),
       runs=module("workflows.runs", start=lambda name, given: name, watch=watch))
