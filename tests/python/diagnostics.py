"""To look inside, from Python: logging, the connection, counters, and a dump that is valid JSON.

    diagnostics.py HOSTS ROOT SESSION_TIMEOUT
"""

import asyncio
import logging
import sys
import threading

from common import PATIENCE, check
from election import (
    AsyncElection,
    ConnectionState,
    Election,
    ElectionError,
    LogLevel,
    Rc,
    Recipe,
    Role,
    log_to,
    set_log,
)


# The names of the JSON, which are promised. A name that comes or goes is a decision.
NAMES = {
    "": "version handle pid hosts open_for_ms now_boottime_ms now_unix_ms options connection last_failure task masterships session"
    " counters history",
    "options": "session_timeout_ms connect_timeout_ms dispatch frame_limit_bytes tls sasl recipe grace_ms lease_mode lease_margin_ms tick_ms",
    "connection": "state rc session_id session_timeout_ms cause",
    "masterships": "path is_master token lease_left_ms",
    "session": "link lease candidates observers watchers_of_members requests_under_way client zookeeper",
    "session.link": "state session_id rc renewed_in_ms",
    "session.lease": "holds why_not left_ms session_timeout_ms clock_rate_ms margin_ms distance_ms anchor anchor_ago_ms"
    " proof_sent_ago_ms proof_answered_ago_ms last_answer_ago_ms proofs_under_way next_renewal_in_ms",
    "session.candidates": "path recipe role reason rc token elected elected_for_ms led grace_left_ms value value_hex"
    " value_len stands_again machine",
    "session.candidates.machine": "state request next_in_ms own_znode watched_znode is_next leads_at_the_event watches_queue foreign_contender withdrawn"
    " must_delete leaving failures_in_a_row",
    "session.observers": "path rc token session_id value value_hex value_len machine",
    "session.observers.machine": "state request next_in_ms watched_znode failures_in_a_row",
    "session.watchers_of_members": "path rc members enough too_few machine",
    "session.watchers_of_members.machine": "state request next_in_ms watched_znode watched_members failures_in_a_row",
    "session.requests_under_way": "request of path sent_ago_ms",
    "session.zookeeper": "link session session_timeout_ms last_zxid heard_ago_ms without_answer not_sent bytes_not_sent"
    " bytes_not_read watches",
    "counters": "connections connect_failures suspensions sessions_opened sessions_expired sessions_renewed requests_sent"
    " requests_answered requests_unknown creates deletes sets reads touches proofs_sent proofs_committed proof_last_us"
    " proof_longest_us fenced_writes watches_fired masterships_begun masterships_ended leases_expired callbacks_run"
    " callback_longest_us",
    "history": "ago_ms boottime_ms unix_ms of path now reason rc token session_id cause",
    "last_failure": "ago_ms cause",
}


def check_names(described, where=""):
    """The names of every object in it."""
    if isinstance(described, list):
        for one in described:
            check_names(one, where)
    elif isinstance(described, dict):
        check(list(described) == NAMES[where].split(), (where, list(described)))
        for name, inner in described.items():
            check_names(inner, f"{where}.{name}" if where else name)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records, self.thread = [], None

    def emit(self, record):
        self.records.append(record)
        self.thread = threading.get_ident()


def logging_and_connection(hosts, path, session_timeout):
    kept, logger = Kept(), logging.getLogger("election")
    logger.addHandler(kept)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    log_to()
    states = []
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        handle = election.handle
        election.watch_connection(states.append)
        try:
            election.watch_connection(print)
            check(False)
        except ElectionError as error:
            check(error.rc is Rc.ALREADY, error.rc)
        election.go_to_election(path, b"v")
        election.wait(path, Role.MASTER, PATIENCE)
        session_id = int(election.dump()["connection"]["session_id"], 16)
    check([state.state for state in states] == [ConnectionState.CONNECTED, ConnectionState.CLOSED], states)
    check([state.rc for state in states] == [Rc.OK, Rc.CLOSING], states)
    check(states[0].session_id == session_id, states)
    set_log(LogLevel.OFF)
    messages = [record.getMessage() for record in kept.records]
    mastership = [record for record in kept.records if "master, elected" in record.getMessage()]
    check(len(mastership) == 1, messages)
    check(mastership[0].levelno == logging.INFO and mastership[0].election.level is LogLevel.INFO)
    check(mastership[0].election.path == path and mastership[0].election.handle == handle, mastership[0].election)
    check(mastership[0].election.session_id == session_id, mastership[0].election)
    check(all(record.levelno >= logging.INFO for record in kept.records), messages)
    check(kept.thread != threading.get_ident())
    heard = len(kept.records)
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE):
        pass
    check(len(kept.records) == heard, "off is off")


def dumps(hosts, root, session_timeout):
    values = [b"10.0.0.7", b"", bytes(range(256)), "\u4e3b\U0001f600\"\\\n\0\x7f".encode(), b"\xff\0", b"x" * 300]
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, recipe=Recipe.QUEUE) as election:
        check_names(election.dump())
        paths = [f"{root}/{name}" for name in ["\u4e3b", "a\"b\\c", "%00", "d e", "\u00a9", "e"]]
        for path, value in zip(paths, values):
            election.go_to_election(path, value)
            election.watch_master(path, lambda _: None)
            election.watch_members(path, lambda _: None, enough=2)
        for path in paths:
            election.wait(path, Role.MASTER, PATIENCE)
        dump = election.dump()
        check_names(dump)
        check({one["path"] for one in dump["session"]["candidates"]} == set(paths), dump)
        for path, value in zip(paths, values):
            one = next(one for one in dump["session"]["candidates"] if one["path"] == path)
            told = one["value"].encode() if one["value"] is not None else bytes.fromhex(one["value_hex"])
            check(told == value[:256] and one["value_len"] == len(value), one)
            check(one["role"] == "master" and one["reason"] == "elected" and one["token"] > 0, one)
            check(one["machine"]["own_znode"].startswith(path + "/_c_"), one)
        lease = dump["session"]["lease"]
        check(lease["holds"] and lease["why_not"] is None, lease)
        # The arithmetic, as it stands in the dump; each figure is cut to whole milliseconds.
        left = lease["session_timeout_ms"] - lease["clock_rate_ms"] - lease["margin_ms"] - lease["anchor_ago_ms"]
        check(abs(left - lease["left_ms"]) <= 4, lease)
        check(lease["proof_sent_ago_ms"] >= lease["proof_answered_ago_ms"], lease)
        check(all(one["is_master"] and one["token"] > 0 for one in dump["masterships"]), dump["masterships"])
        check(dump["task"] == "answered" and dump["hosts"] == hosts)
        check(dump["counters"]["masterships_begun"] == len(paths), dump["counters"])
        check([name.removesuffix("_us") for name in dump["counters"]] == list(election.counters()._fields))
        history = dump["history"]
        check(sum((one["of"], one["now"]) == ("candidate", "master") for one in history) == len(paths), history)
        check([one["boottime_ms"] for one in history] == sorted(one["boottime_ms"] for one in history), history)
        check(all(one["session_id"] == dump["connection"]["session_id"] for one in history), history)
        for round_ in range(70):
            election.watch_master(f"{root}/round", lambda _: None)
            election.unwatch_master(f"{root}/round")
            election.go_to_election(f"{root}/round", b"")
            election.wait(f"{root}/round", Role.MASTER, PATIENCE)
            election.resign(f"{root}/round")
        history = election.dump()["history"]
        check(len(history) == 64, len(history))
        text = election.dump_text()
        check(text.startswith("version") and "\nhistory\n" in text, text)
        check(all(line.isprintable() for line in text.splitlines()), text)


async def in_a_loop(hosts, session_timeout):
    async with AsyncElection(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        news = election.connections()
        first = await asyncio.wait_for(news.__anext__(), 30)
        check(first.state is ConnectionState.CONNECTED, first)
        check_names(await election.dump())
        check((await election.dump_text()).startswith("version"))
    check((await asyncio.wait_for(news.__anext__(), 30)).state is ConnectionState.CLOSED)
    check([one async for one in news] == [])


if __name__ == "__main__":
    hosts, root, session_timeout = sys.argv[1:]
    logging_and_connection(hosts, root + "/logging", float(session_timeout))
    dumps(hosts, root + "/dump", float(session_timeout))
    asyncio.run(in_a_loop(hosts, float(session_timeout)))
    # Left on: the interpreter's end turns it off.
    log_to()
    left = Election(hosts, session_timeout=float(session_timeout), connect_timeout=PATIENCE)
