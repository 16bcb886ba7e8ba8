"""A process of the campaign, as candidate.c, on the Python module.

    candidate.py LIBRARY HOSTS NAME FOLDER REGISTER [timeout_ms=N] [dispatch=manual] [tls=FILES]
                 [stand=RECIPE:PATH ...] [watch=RECIPE:PATH ...]

Orders and history are those of candidate.c; history.rs describes the format.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from typing import Any

import election

BELIEF_LINE = 256
ACT_EVERY = 0.2
THINK = 0.01
ZNODE_EVERY = 3
FENCED_TIMEOUT = 2.0


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Belief:
    """One uninterrupted belief; its line in the file is written anew after each answer."""

    def __init__(self, token: int, before: int, after: int, left: int, line: int) -> None:
        self.token, self.line = token, line
        self.first_before, self.first_after = before, after
        self.last_before, self.last_after = before, after
        self.until, self.least_left, self.answers, self.silence = before + left, left, 0, 0


class Candidate:
    def __init__(self, arguments: list[str]) -> None:
        library, hosts, self.name, folder, self.register = arguments[:5]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self.events = os.open(f"{folder}/{self.name}.events", flags | os.O_APPEND, 0o644)
        self.beliefs = os.open(f"{folder}/{self.name}.beliefs", flags, 0o644)
        self.lines, self.asks, self.told_at, self.text = 0, 0, 0, b""
        self.closing = threading.Event()
        self.open: dict[str, Belief] = {}
        self.handles: dict[int, Any] = {}
        self.stands: dict[str, Any] = {}
        options: dict[str, Any] = {"session_timeout": 10.0}
        wanted = []
        for argument in arguments[5:]:
            key, value = argument.split("=", 1)
            if key == "timeout_ms":
                options["session_timeout"] = int(value) / 1000
            elif key == "dispatch":
                options["dispatch"] = election.Dispatch[value.upper()]
            elif key == "tls":
                options["tls"] = value
            else:
                recipe, path = value.split(":", 1)
                wanted.append((key, int(recipe), path))
        self.manual = options.get("dispatch") == election.Dispatch.MANUAL
        election.load(library)
        for key, recipe, path in wanted:
            if recipe not in self.handles:
                self.handles[recipe] = election.Election(hosts, recipe=recipe, **options)
            if key == "stand":
                self.stands[path] = self.handles[recipe]
                self.stand(path)
            else:
                self.note(f"watch {now()} {path}")
                self.handles[recipe].watch_master(path, self.on_master)

    def note(self, line: str) -> None:
        data = line.encode() + b"\n"
        assert os.write(self.events, data) == len(data)

    def on_role(self, event: Any) -> None:
        self.note(f"role {now()} {event.path} {int(event.role)} {int(event.reason)} {int(event.rc)} {event.token}")

    def on_master(self, master: Any) -> None:
        value = master.value.decode() or "-"
        self.note(f"master {now()} {master.path} {int(master.rc)} {master.token} {master.session_id} {value}")

    def stand(self, path: str) -> None:
        self.note(f"stand {now()} {path}")
        self.stands[path].go_to_election(path, self.name.encode(), self.on_role)

    def put_belief(self, path: str, belief: Belief, no_before: int = 0, no_after: int = 0) -> None:
        b = belief
        line = (
            f"belief {path} {b.token} {b.first_before} {b.first_after} {b.last_before} {b.last_after} {b.until} "
            f"{b.least_left} {b.answers} {b.silence} {no_before} {no_after}"
        )
        data = line.ljust(BELIEF_LINE - 1).encode() + b"\n"
        assert os.pwrite(self.beliefs, data, belief.line) == BELIEF_LINE

    def ask(self, path: str) -> None:
        before = now()
        lease = self.stands[path].lease(path)
        after = now()
        belief = self.open.get(path)
        if belief and (not lease or lease.token != belief.token):
            self.put_belief(path, self.open.pop(path), before, after)
            belief = None
        if not lease:
            return
        if not belief:
            belief = self.open[path] = Belief(lease.token, before, after, int(lease.left * 1e9), self.lines)
            self.lines += BELIEF_LINE
        belief.silence = max(belief.silence, before - belief.last_after)
        belief.last_before, belief.last_after = before, after
        belief.answers += 1
        belief.until = max(belief.until, before + int(lease.left * 1e9))
        belief.least_left = min(belief.least_left, int(lease.left * 1e9))
        self.put_belief(path, belief)

    def act(self, path: str, register: socket.socket, with_znode: bool) -> None:
        asked = now()
        lease = self.stands[path].lease(path)
        if not lease:
            return
        time.sleep(THINK)
        for kind in ("fenced", "unfenced"):
            register.sendall(f"{kind} {path} {lease.token} {self.name}\n".encode())
            answer = b""
            while not answer.endswith(b"\n"):
                more = register.recv(64)
                assert more, "the register is there for as long as its writers"
                answer += more
            self.note(f"act {asked} {now()} {path} {kind} {lease.token} {int(answer)}")
        if with_znode:
            target = "/register/" + path.rsplit("/", 1)[1]
            rc = 0
            try:
                value = f"{lease.token} {self.name}".encode()
                self.stands[path].fenced_set(path, target, value, timeout=FENCED_TIMEOUT)
            except election.ElectionError as error:
                rc = int(error.rc)
            self.note(f"act {asked} {now()} {path} znode {lease.token} {rc}")

    def act_for_ever(self) -> None:
        with socket.socket(socket.AF_UNIX) as register:
            register.connect(self.register)
            turn = 0
            while not self.closing.is_set():
                for path in self.stands:
                    self.act(path, register, turn % ZNODE_EVERY == 0)
                turn += 1
                time.sleep(ACT_EVERY)

    def obey(self, line: str) -> None:
        verb, _, path = line.partition(" ")
        if verb == "close":
            self.closing.set()
        elif path in self.stands and verb == "resign":
            rc = 0
            try:
                self.stands[path].resign(path)
            except election.ElectionError as error:
                rc = int(error.rc)
            self.note(f"resign {now()} {path} {rc}")
        elif path in self.stands and verb == "stand":
            self.stand(path)

    def listen(self) -> None:
        chunk = os.read(sys.stdin.fileno(), 1024)
        if not chunk:
            self.closing.set()
        *lines, self.text = (self.text + chunk).split(b"\n")
        for line in lines:
            self.obey(line.decode())

    def run(self) -> None:
        actor = threading.Thread(target=self.act_for_ever)
        actor.start()
        stdin = sys.stdin.fileno()
        waiting = select.poll()
        waiting.register(stdin, select.POLLIN)
        if self.manual:
            for handle in self.handles.values():
                waiting.register(handle.fileno(), select.POLLIN)
        while not self.closing.is_set():
            ready = [descriptor for descriptor, _ in waiting.poll(1)]
            for path in self.stands:
                self.ask(path)
            self.asks += len(self.stands)
            if self.manual:
                for handle in self.handles.values():
                    handle.dispatch(0)
            if stdin in ready:
                self.listen()
            if now() - self.told_at > 1_000_000_000:
                self.told_at = now()
                self.note(f"asked {self.told_at} {self.asks}")
        actor.join()
        for recipe, handle in self.handles.items():
            before = now()
            confirmed = handle.close()
            self.note(f"close {before} {now()} {recipe} {0 if confirmed else int(election.Rc.CONNECTIONLOSS)}")
        for path in self.stands:
            self.ask(path)
        self.note(f"asked {now()} {self.asks}")


if __name__ == "__main__":
    Candidate(sys.argv[1:]).run()
