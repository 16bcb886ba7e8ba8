"""The program of "使用zookeeper实现分布式master选举(c 接口版本)" in Python: election.cpp, on the module election.

    python3 stand.py 10.0.0.1        in one terminal
    python3 stand.py 10.0.0.2        in another; then end the first with Enter, Ctrl-C or kill -9

In the source tree, tell Python where the module and the library are:

    PYTHONPATH=python ELECTION_LIB=target/release/libelection.so python3 c_examples/stand.py 10.0.0.1
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from typing import Callable

from election import Election, ElectionError, Event, Rc, Reason, load

EXIT_DONE, EXIT_USAGE, EXIT_TROUBLE = 0, 2, 3

EPILOG = """\
Lines on standard input: `resign` resigns, `stand` stands again, any other line (Enter) quits, as do the
end of the input, SIGINT and SIGTERM. What is printed is explained by the --help of election.cpp.

The library is that of --lib, else of $ELECTION_LIB, else the module's own, else the system's. Exit code: 0 when ended as above, 2 for a wrong command line, 3 when something failed.
"""


def escaped(value: bytes) -> str:
    return "".join(chr(b) if 0x20 < b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in value)


def print_event(event: Event, trouble: str) -> None:
    words = {
        Rc.OK: "Become master",
        Rc.NODEEXISTS: f"Become slave, keep watch\nget master ip :{escaped(event.value)}",
    }.get(event.rc, f"Cannot tell who is master: {trouble}")
    print(
        f"{words}\nrole={event.role.name} reason={event.reason.name} rc={event.rc:d} token={event.token}"
        f" value={escaped(event.value)} path={escaped(event.path.encode())}",
        flush=True,
    )


def run(commands: dict[bytes, Callable[[], None]], bell: int, stay: bool) -> int:
    """Execute the lines of standard input until a line means quit, or the bell rings. Returns the exit code."""
    text, waiting = b"", [bell, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if bell in ready:
            return EXIT_DONE if os.read(bell, 1)[0] in (signal.SIGINT, signal.SIGTERM) else EXIT_TROUBLE
        chunk = os.read(sys.stdin.fileno(), 256)
        if not chunk:
            if not stay:
                return EXIT_DONE
            waiting = [bell]
        *lines, text = (text + chunk).split(b"\n")
        for line in lines:
            if line not in commands:
                return EXIT_DONE
            try:
                commands[line]()
            except ElectionError as error:
                print(f"{line.decode()}: {error}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Stand for master with the value IP, and print what this program is until it is ended.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hosts", default="127.0.0.1:2181", help="ZooKeeper's servers (%(default)s)")
    parser.add_argument("--path", default="/master", help="the path of the election (%(default)s)")
    parser.add_argument("--timeout", type=int, default=30000, metavar="MS", help="the session timeout (%(default)s)")
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends")
    parser.add_argument("--lib", help="the library to load")
    parser.add_argument("ip", metavar="IP")
    arguments = parser.parse_args()

    bell, ringer = os.pipe()  # signals and callbacks write to it, the main thread reads it
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    try:
        load(arguments.lib)
        with Election(arguments.hosts, session_timeout=arguments.timeout / 1000) as election:

            def get_result(event: Event) -> None:
                try:
                    print_event(event, election.strerror(event.rc))
                except BrokenPipeError:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the rest of the buffer
                    os.write(ringer, bytes([signal.SIGPIPE]))
                if event.reason == Reason.FAILED:
                    os.write(ringer, b"F")

            def stand() -> None:
                election.go_to_election(arguments.path, os.fsencode(arguments.ip), get_result)

            def resign() -> None:
                election.resign(arguments.path)

            stand()
            code = run({b"stand": stand, b"resign": resign}, bell, arguments.stay)
            if election.close():
                return code
            print(f"election_close: {election.strerror(Rc.CONNECTIONLOSS)}", file=sys.stderr)
            return EXIT_TROUBLE
    except ElectionError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE if Rc.BAD_RECIPE <= error.rc <= Rc.BAD_HANDLE else EXIT_TROUBLE
    except OSError as error:  # the library cannot be loaded
        print(error, file=sys.stderr)
        return EXIT_TROUBLE


if __name__ == "__main__":
    sys.exit(main())
