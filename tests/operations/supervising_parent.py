"""A parent for the supervisor's tests: runs two children of one kind, and says on stdout what happens."""

import json
import logging
import sys

from shared.host.listening import bind
from shared.host.manifest import Process
from shared.host.processes import Supervisor
from shared.settings import Address

mode, drain_timeout_s, note, child_program = sys.argv[1:]
logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
listener = bind(Address("127.0.0.1", 0), "MAXIOFS_LISTEN")


def command(launch):
    return [sys.executable, child_program, mode, str(launch.listen_fds[0]), str(launch.life_fd), str(launch.ready_fd),
            str(__import__("os").getpid()), note]


def say(**event):
    print(json.dumps(event), flush=True)


supervisor = Supervisor(
    [Process("s3", "functions", "s3", ("*",), "auto")], {"s3": [listener]}, auto=2, command=command, drain_timeout_s=float(drain_timeout_s),
    on_ready=lambda: say(event="ready", port=listener.getsockname()[1]), on_death=lambda slot: say(event="death", slot=slot))
sys.exit(supervisor.run())
