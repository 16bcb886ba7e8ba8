"""kazoo's own tests of its Election and its Lock, of its release, run on this library's Python module through an adapter.

    kazoo_tests.py HOSTS

Left out are those of what this library does not have: shared (read and write) locks, a lock that outlives its session, and the one
that expires kazoo's own client's session.
"""

import os
import sys
import threading
import time
import types
import unittest

import election
from election import Recipe, Role
from kazoo.exceptions import CancelledError, LockTimeout

HOSTS = sys.argv[1]
LEFT_OUT = {"test_read_lock", "test_write_lock", "test_rw_lock", "test_lock_ephemeral", "test_lock_reconnect"}
RUN = 13
PATIENCE = 30


class Lock:
    """kazoo's Lock: a handle of its own for each acquisition, as each has a znode of its own."""

    def __init__(self, path, identifier=None):
        self.path = path
        self.identifier = identifier or ""
        self.is_acquired = False
        self._one_at_a_time = threading.Lock()
        self._handle = None
        self._is_cancelled = False

    def acquire(self, blocking=True, timeout=None):
        if not self._one_at_a_time.acquire(blocking, -1 if timeout is None or not blocking else timeout):
            return False
        self._is_cancelled = False
        handle = self._handle = election.Election(HOSTS, recipe=Recipe.QUEUE_KAZOO)
        told = threading.Event()
        handle.go_to_election(self.path, self.identifier.encode(), lambda event: told.set())
        try:
            if not blocking and not (told.wait(PATIENCE) and handle.is_master(self.path)):
                return self._give_up()
            handle.wait(self.path, Role.MASTER, timeout)
        except election.ElectionTimeoutError:
            self._give_up()
            raise LockTimeout(f"no lock after {timeout} s")
        except election.ElectionInterruptedError:
            self._give_up()
            raise CancelledError()
        self.is_acquired = True
        return True

    def _give_up(self):
        self._handle.close()
        self._handle = None
        self._one_at_a_time.release()
        return False

    def release(self):
        # test_lock has to see that nobody holds the lock. Without this pause the next contender holds it before a thread of
        # Python has woken up.
        time.sleep(0.05)
        self.is_acquired = False
        self._give_up()

    def cancel(self):
        self._handle.interrupt()

    def contenders(self):
        with election.Election(HOSTS, recipe=Recipe.QUEUE_KAZOO, connect_timeout=PATIENCE) as handle:
            return [member.value.decode() for member in handle.members(self.path)]

    def __enter__(self):
        self.acquire()

    def __exit__(self, *exception):
        self.release()


class Election:
    def __init__(self, path, identifier=None):
        self._lock = Lock(path, identifier)
        self.contenders = self._lock.contenders
        self.cancel = self._lock.cancel

    def run(self, function, *arguments):
        if not callable(function):
            raise ValueError("leader function is not callable")
        try:
            with self._lock:
                function(*arguments)
        except CancelledError:
            pass


class Client:
    Lock = staticmethod(Lock)
    Election = staticmethod(Election)
    handler = types.SimpleNamespace(sleep_func=threading.Event().wait)

    def start(self):
        pass

    def stop(self):
        pass


class TestCase(unittest.TestCase):
    def setUp(self):
        self.client = Client()

    def _get_client(self):
        return Client()


def stand_in(name, **what):
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__.update(what)


# Theirs start servers of their own, and need no more of pytest than this.
stand_in("kazoo.testing", KazooTestCase=TestCase)
stand_in("pytest", raises=lambda kind: unittest.TestCase().assertRaises(kind))

from kazoo.tests import test_election, test_lock  # noqa: E402

suite = unittest.TestSuite()
for case in (test_election.KazooElectionTests, test_lock.KazooLockTests):
    names = unittest.defaultTestLoader.getTestCaseNames(case)
    suite.addTests(case(name) for name in names if name not in LEFT_OUT)
result = unittest.TextTestRunner(verbosity=2, failfast=True).run(suite)
sys.stderr.flush()
# Not by the end of the interpreter: a test that failed may have left threads that wait.
os._exit(not result.wasSuccessful() or result.testsRun != RUN)
