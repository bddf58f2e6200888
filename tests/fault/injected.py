#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each call of a function of the operating system fails once, or from then on: the result is right, or an error
says what failed; nothing crashes, hangs, is lost or stays behind.

A run in which nothing fails counts the calls (inject.c); then each of them fails in a run of its own. The short
form takes a seeded sample of them; MUSTER_FAULTS='*' takes all, MUSTER_FAULTS=N so many of each scenario,
MUSTER_FAULTS='client:malloc:*' those that match: ROLE:FUNCTION:FIRST:COUNT:ERRNO. MUSTER_SEED=N draws others."""
import contextlib
import errno
import fnmatch
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import struct
import unittest

import harness

INJECT = os.environ["MUSTER_TEST_INJECT_LIBRARY"]
FAULTS = os.environ.get("MUSTER_FAULTS", "6")  # of each scenario
SEED = int(os.environ.get("MUSTER_SEED", "1"))
LIMIT_S = 60  # of a run; nothing that fails is waited for so long
ALWAYS = 1 << 40  # as a count
ROLES = ("client", "coordinator", "fork", "worker", "client-zmq", "coordinator-zmq", "fork-zmq", "worker-zmq")
ROW = struct.Struct(f"32s{len(ROLES)}Q")

# How a function fails; EIO where nothing is said.
NUMBERS = {
    errno.ENOMEM: "malloc mmap mprotect epoll_ctl recvmsg sigaltstack",
    errno.EINTR: "poll epoll_wait",
    errno.EMFILE: "open fopen opendir fcntl dup2 dup3 pipe2 memfd_create eventfd epoll_create1 timerfd_create "
                  "pidfd_open socket socketpair accept4",
    errno.EAGAIN: "fork clone posix_spawn posix_spawnp pthread_create",
    errno.ENOSPC: "write pwrite fwrite ftruncate fallocate posix_fallocate rename mkdir mkdirat mkdtemp mkostemp linkat",
    errno.EACCES: "unlink unlinkat bind connect stat fstat readlink",
    errno.ENOLCK: "flock",
}
NUMBER = {name: number for number, names in NUMBERS.items() for name in names.split()}

# These fail once: with no memory at all libzmq aborts anyway, and signals do not come for ever.
ONCE = ("malloc", "poll", "epoll_wait")

# Where these fail, something may have to stay.
TIDYING = ("unlink", "unlinkat", "opendir", "stat", "fstat", "open")


class Wrong(Exception):
    """What a fault led to, and must not."""


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def prefix_of(part, whole):
    return whole[:len(part)] == part


def is_part(part, whole):
    """Whether what is in `part` is in `whole`, in this order."""
    rest = iter(whole)
    return all(item in rest for item in part)


class Trial(harness.Case):
    """One scenario in surroundings of its own, in which calls fail as ordered."""

    def __init__(self, order):
        super().__init__("run")
        self.order = order
        self.role, self.function, self.first, self.count, _ = order.split(":")

    def __enter__(self):
        self.setUp()
        self.calls = self.home / "calls"
        self.daemon_log = self.home / "daemon.log"
        self.faulty = {"LD_PRELOAD": INJECT, "MUSTER": harness.MUSTER, "MUSTER_TEST_INJECT": self.order,
                       "MUSTER_TEST_INJECT_FILE": str(self.calls)}
        self.env.update(HOME=str(self.home), XDG_STATE_HOME=str(self.home / "state"))
        return self

    def __exit__(self, *_):
        for pid in list(self.marked()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, result=None):
        """Not a test of its own."""

    def muster(self, *arguments, **options):
        return super().muster(*arguments, limit=LIMIT_S, **options)

    def counts(self):
        """How often each function was called, by (role, function)."""
        rows = ROW.iter_unpack(self.calls.read_bytes())
        return {(role, name.split(b"\0")[0].decode()): count
                for name, *counts in rows for role, count in zip(ROLES, counts) if count}

    def log(self):
        path = pathlib.Path(f"{self.calls}.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def notes(self):
        """What inject.c wrote down: each with its backtrace."""
        return re.split(r"^(?=\S+ \S+ \d+ in process)", self.log(), flags=re.M)

    def aborts(self):
        return [note for note in self.notes() if re.match(r"\S+ (abort|assertion) ", note)]

    def is_theirs(self):
        """Whether a process has died in libzmq, or for what failed as glibc was told not to look for a database of
        protocols: docs/TESTING.md has why."""
        return any("/libzmq.so" in note for note in self.aborts()) or "__nss_configure_lookup" in self.log()

    def is_mute(self):
        """Whether it cannot say what is wrong."""
        return self.function == "write" and int(self.count) == ALWAYS

    def check_run(self, result, lines):
        """What a client that prints these lines may have done."""
        out = result.out.splitlines()
        if self.is_theirs():
            return
        expect(result.status < 128 or result.status == 255, f"died: {result}")
        expect(all(line.startswith("muster: ") for line in result.err.splitlines()), f"strange words: {result}")
        expect("killed by" not in result.err and "assert" not in result.err, f"a worker crashed: {result}")
        if result.status == 0:
            expect(out == lines, f"not what it should be: {result}")
        elif result.status == 255:
            expect(result.err or self.is_mute(), f"no error: {result}")
            expect(is_part(out, lines) or "\n".join(lines).startswith(result.out), f"invented: {result}")
            said = [line for line in result.err.splitlines() if not re.match("muster: (job |\\d+ of |worker: )", line)]
            kinds = {re.sub(r"\d+", "N", line) for line in said}
            expect(len(kinds) <= 2, f"more than what failed, at a worker and here: {result}")
        else:
            expect(result.status == len(lines) - len(out) and is_part(out, lines), f"lost or invented: {result}")
            expect(result.err, f"no error: {result}")

    def check_left(self):
        """Nothing stays. What is shared is in memfds, which end with the processes."""
        expect(self.is_theirs() or not self.aborts(), "aborted")
        try:
            self.assert_processes_gone()
        except AssertionError as error:
            raise Wrong(f"left behind: {error}") from error
        left = {str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")}
        left -= {f"muster-{os.getuid()}", f"muster-{os.getuid()}/daemon"}
        expect(not left or self.function in TIDYING, f"left in $TMPDIR: {left}")


class MapScenario:
    """Values small and, with `data`, so large that they go through shared memory."""

    for_ever = True

    def __init__(self, data=0):
        self.data = data

    def run(self, trial):
        arguments = [json.dumps(str(i) * self.data) if self.data else str(i) for i in range(1, 5)]
        result = trial.muster("map", "-j2", "echo", text="\n".join(arguments), env=trial.faulty)
        trial.check_run(result, arguments)
        trial.check_left()


class ExecScenario:
    """Commands whose output goes to files, with a job log."""

    for_ever = True

    def run(self, trial):
        joblog = trial.home / "joblog"
        result = trial.muster("exec", "-k", "-j2", "--joblog", joblog, "head -c 1500000 /dev/zero | tr '\\0' {}; echo",
                              ":::", *"abcd", env=trial.faulty)
        trial.check_run(result, [letter * 1500000 for letter in "abcd"])
        logged = joblog.read_text().splitlines()[1:] if joblog.exists() else []
        ended = [line.split("\t") for line in logged]
        expect(all(len(fields) >= 9 for fields in ended), f"job log: {logged}\n{result}")
        expect(len(ended) == 4 or result.status == 255 or result.err, f"not in the job log: {logged}\n{result}")
        trial.check_left()


class KeptScenario:
    """A coordinator with a state file: what it accepts and tells stays, whatever fails. Not for ever: what cannot run is
    given up then, and says so."""

    for_ever = False

    def run(self, trial):
        state = trial.home / "kept.db"
        with open(trial.daemon_log, "wb") as log:
            daemon = trial.start("coordinator", "-j2", "--state", state, env=trial.faulty, stderr=log, stdin=None,
                                 stdout=None)
        trial.env["MUSTER_COORDINATOR"] = f"ipc://{trial.temporary}/muster-{os.getuid()}/daemon/socket"
        told = set()
        try:
            trial.until(lambda: daemon.process.poll() is not None or "are kept in" in trial.daemon_log.read_text(),
                        "it is ready, or ends", LIMIT_S)
            for _ in range(2):
                if daemon.process.poll() is None:
                    self.use(trial, told)
        finally:
            if daemon.process.poll() is None:
                trial.muster("stop", "--now")
                with contextlib.suppress(Exception):
                    daemon.process.wait(5)
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
        status = daemon.process.wait(LIMIT_S)
        said = trial.daemon_log.read_text()
        expect(status in (0, 255) or trial.is_theirs(), f"status {status}: {said}")
        words = all(line.startswith("muster: ") for line in said.splitlines())
        expect(words or trial.is_theirs(), f"strange words: {said}")
        expect(status != 255 or said, "no error")
        self.check_kept(trial, state, told)
        trial.check_left()

    def use(self, trial, told):
        result = trial.muster("map", "--detach", "echo", ":::", "1..4", "5", "6")
        expect(result.status in (0, 255), str(result))
        if result.status == 0:
            batch = int(result.out)
            expect(batch not in told, f"number {batch} given twice")
            told.add(batch)
            read = trial.muster("results", str(batch), "--follow", "--wait-coordinator", "1")
            expect(read.status in (0, 255), f"{read}")
            out = read.out.splitlines()
            expect(out == list("123456") or read.status == 255 and prefix_of(out, list("123456")), f"{read}")

    def check_kept(self, trial, state, told):
        """What the next coordinator, in which nothing fails, has of it."""
        expect(state.exists() or not told, "the file is gone")
        with open(trial.home / "second.log", "wb") as file:
            daemon = trial.start("coordinator", "-j2", "--state", state, stderr=file, stdin=None, stdout=None)
        try:
            log = (trial.home / "second.log").read_text
            trial.until(lambda: daemon.process.poll() is not None or "are kept in" in log(), "it is ready again", LIMIT_S)
            expect(daemon.process.poll() is None, f"does not start again: {log()}")
            for number in told:
                read = trial.muster("results", str(number), "--follow")
                expect((read.status, read.out.splitlines()) == (0, list("123456")), f"lost: batch {number}: {read}{log()}")
        finally:
            daemon.signal(signal.SIGTERM)
            daemon.process.wait(LIMIT_S)
        with contextlib.closing(sqlite3.connect(state)) as database:
            expect(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "damaged")


class DetachScenario:
    """A coordinator that is started on demand."""

    for_ever = False

    def run(self, trial):
        result = trial.muster("map", "--detach", "echo", ":::", *"123", env=trial.faulty)
        well = result.status in (0, 255) or trial.is_theirs()
        expect(well, str(result))
        words = all(line.startswith("muster: ") for line in result.err.splitlines())
        expect(words or trial.is_theirs(), f"strange words: {result}")
        expect(result.status == 0 or result.err and not result.out or trial.is_theirs(), f"no error: {result}")
        try:
            if result.status == 0:
                read = trial.muster("results", result.out.strip(), "--follow", "--wait-coordinator", "1")
                expect((read.status, read.out) == (0, "1\n2\n3\n"), f"{result}{read}")
        finally:
            lock = trial.temporary / f"muster-{os.getuid()}" / "daemon" / "socket.lock"
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                pid = int(lock.read_text())
                os.kill(pid, signal.SIGTERM)
        trial.check_left()


SCENARIOS = {"map": MapScenario(), "shared": MapScenario(300_000), "exec": ExecScenario(), "kept": KeptScenario(),
             "detach": DetachScenario()}


def orders(counts, scenario):
    """All that may fail in a run with so many calls."""
    for (role, function), count in sorted(counts.items()):
        if role.endswith("-zmq"):
            continue
        number = NUMBER.get(function, errno.EIO)
        for first in range(1, count + 1):
            yield f"{role}:{function}:{first}:1:{number}"
            if function not in ONCE and scenario.for_ever:
                yield f"{role}:{function}:{first}:{ALWAYS}:{number}"


class Injected(unittest.TestCase):
    def orders_of(self, name):
        with Trial("none:none:1:0:5") as trial:
            SCENARIOS[name].run(trial)
            every = list(orders(trial.counts(), SCENARIOS[name]))
        if not FAULTS.isdigit():
            return fnmatch.filter(every, FAULTS)
        # Those of functions that are called seldom are as likely as others.
        chooser = random.Random(f"{SEED} {name}")
        by_function = {}
        for order in every:
            by_function.setdefault(order.split(":")[1], []).append(order)
        return [chooser.choice(by_function[function])
                for function in chooser.choices(sorted(by_function), k=int(FAULTS))]

    def check(self, name):
        wrong = []
        for order in self.orders_of(name):
            with Trial(order) as trial:
                try:
                    SCENARIOS[name].run(trial)
                except (Wrong, AssertionError) as error:
                    wrong.append(f"MUSTER_FAULTS={order}: {error}\n{trial.log()}")
                    print(wrong[-1], flush=True)
        self.assertEqual(wrong, [])

    def test_map(self):
        self.check("map")

    def test_map_with_values_in_shared_memory(self):
        self.check("shared")

    def test_exec_with_output_and_a_job_log(self):
        self.check("exec")

    def test_coordinator_with_a_state_file(self):
        self.check("kept")

    def test_detach(self):
        self.check("detach")


if __name__ == "__main__":
    harness.main()
