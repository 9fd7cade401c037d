"""A child for the supervisor's tests: answers each connection with its process id, slowly when asked to."""

import os
import signal
import socket
import sys
import time

from shared.host import child

mode, listen_fd, life_fd, ready_fd, parent_pid, note = sys.argv[1:]
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else stop)
child.follow_parent(int(life_fd), int(parent_pid))
with open(note, "a") as file:
    file.write(f"{os.getpid()}\n")
if mode == "broken":
    sys.exit(3)
listener = socket.socket(fileno=int(listen_fd))
listener.settimeout(0.05)
child.announce_ready(int(ready_fd))
while not stopping:
    try:
        connection, _ = listener.accept()
    except OSError:
        continue
    with connection:
        connection.settimeout(5)
        question = connection.recv(100)
        if question == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if question == b"slow":
            connection.sendall(b"wait ")
            time.sleep(1)
        connection.sendall(str(os.getpid()).encode())
