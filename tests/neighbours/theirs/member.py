"""A member of a group, by kazoo's Election or Lock; see Member.java for what it writes and is told.

    member.py Election|Lock HOSTS PATH VALUE LOG TIMEOUT_MS

Besides, an Election answers `contenders`.
"""

import os
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import CancelledError, KazooException

kind, hosts, path, value, log, timeout_ms = sys.argv[1:]
log = os.open(log, os.O_WRONLY | os.O_APPEND)
client = KazooClient(hosts=hosts, timeout=int(timeout_ms) / 1000, connection_retry=dict(max_tries=-1, max_delay=0.2))
change = threading.Condition()
leads = over = closing = False


def note(*words):
    os.write(log, (" ".join(map(str, words)) + "\n").encode())


def end_term(*_):
    global leads, over
    with change:
        leads, over = False, True
        change.notify_all()


def on_state(state):
    # As kazoo's documentation advises: whoever is not connected any more does not lead.
    if state != "CONNECTED":
        end_term()


def lead():
    global leads
    with change:
        leads = not over
        while not over:
            change.wait()
        leads = False


election = client.Election(path, value)
lock = client.Lock(path, value)
contender = election.lock if kind == "Election" else lock


def contend():
    global over
    while not closing:
        with change:
            over = False
        try:
            if kind == "Election":
                election.run(lead)
            else:
                with lock:
                    lead()
        except CancelledError:
            pass  # to resign before its turn
        except KazooException as error:
            print(repr(error), file=sys.stderr)


def obey():
    global closing
    for line in sys.stdin:
        word = line.strip()
        if word == "contenders":
            print("contenders", *election.contenders(), flush=True)
            continue
        closing = word == "close"
        end_term()
        contender.cancel()
        if closing:
            worker.join()
            client.stop()
            note("E", time.monotonic_ns(), 0)
            os._exit(0)
    os._exit(0)


client.add_listener(on_state)
client.start()
worker = threading.Thread(target=contend, daemon=True)
worker.start()
threading.Thread(target=obey, daemon=True).start()
known, believed = None, False
while True:
    session = client.client_id[0] if client.client_id else None
    if session != known and session:
        note("S", session)
        known = session
    before = time.monotonic_ns()
    believes = leads
    after = time.monotonic_ns()
    if believes:
        note("Y", before, after, before, 0, 0)
    elif believed:
        note("N", before, after)
    believed = believes
    time.sleep(0.001)
