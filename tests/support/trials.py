# SPDX-License-Identifier: MIT
"""Scenarios of real programs, each in surroundings of its own, in which something goes wrong at one call of the
operating system (tests/fault/inject.c): a Trial says what, and what may come of it. fault/injected.py has calls fail,
fault/sweep.py kills and stops processes there."""
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
import socket
import sqlite3
import struct
import subprocess
import unittest

import harness

INJECT = os.environ["MUSTER_TEST_INJECT_LIBRARY"]
LIMIT_S = 60  # of a run; nothing that goes wrong is waited for so long
PARTIES = ("client", "coordinator", "fork", "worker", "host")
ROLES = (*PARTIES, *(f"{party}-zmq" for party in PARTIES))
ROW = struct.Struct(f"32s{len(ROLES)}Q")
NOTHING = f"none:none:1:0:{errno.EIO}"  # the order by which calls are counted alone
STEPS = ("send", "recv", "close", "munmap", "waitid", "kill")  # processes are struck there, and they do not fail


class Wrong(Exception):
    """What came of it, and must not."""


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def is_part(part, whole):
    """Whether what is in `part` is in `whole`, in this order."""
    rest = iter(whole)
    return all(item in rest for item in part)


class Trial(harness.Case):
    """Surroundings in which an order is obeyed: ROLE:FUNCTION:FIRST:COUNT:HOW."""

    options = ()  # of map
    daemon_options = ()
    function = "echo"  # of jobs that are kept

    def __init__(self, order):
        super().__init__("run")
        self.order = order
        self.role, self.call, self.first, self.count, self.how = order.split(":")

    def __enter__(self):
        self.setUp()
        self.calls = self.home / "calls"
        self.faulty = {"LD_PRELOAD": INJECT, "MUSTER": harness.MUSTER, "MUSTER_TEST_INJECT": self.order,
                       "MUSTER_TEST_INJECT_FILE": str(self.calls),
                       "GCOV_PREFIX": str(self.home / "gcov")}  # counts that could not be written harm no others
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
        """What inject.c wrote down: each with its backtrace."""
        path = pathlib.Path(f"{self.calls}.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # --- what kinds of trials differ in

    def check_run(self, result, lines):
        """What a client that prints these lines may have done."""
        raise NotImplementedError

    def check_log(self, result, ended):
        """How many of four commands may be in its job log."""
        raise NotImplementedError

    def check_results(self, result, missing):
        """How many of four commands may not have their output in a file."""
        raise NotImplementedError

    def check_submitted(self, result):
        """Whether a batch that was left is there."""
        raise NotImplementedError

    def check_read(self, result, lines):
        """What a client that reads these results may have done."""
        raise NotImplementedError

    def check_daemon(self, status, said):
        """How a coordinator may have ended."""
        raise NotImplementedError

    def check_host(self, status, said):
        """How another host may have ended, which was asked to."""
        raise NotImplementedError

    def check_rest(self):
        """What is left when all is over."""
        raise NotImplementedError

    def read(self, batch):
        """Follows the results of a batch that was left."""
        raise NotImplementedError

    revives = False  # a coordinator that dies is started again

    def watch(self, _keeper=None):
        """While programs run, somebody may have to look after them."""
        return contextlib.nullcontext()

    def check_next(self, _told):
        """Whether others can go on after what happened to a coordinator on demand, which has told of these batches."""

    def check_state(self, _path):
        """What a state file has, in which all has ended."""

    def arguments(self, _use):
        """Of the jobs of one submission, and what they return."""
        return ("1..4", "5", "6"), list("123456")

    def submit(self, number):
        """Leaves jobs with the coordinator; how that went."""
        return self.muster("map", "--detach", self.function, ":::", *self.arguments(number)[0])

    # --- what they share

    def check_gone(self):
        """No process stays."""
        try:
            self.assert_processes_gone()
        except AssertionError as error:
            raise Wrong(f"left behind: {error}") from error

    def left(self):
        """Files in the temporary directory but for the folders that stay. What is shared is in memfds, which end
        with the processes."""
        left = {str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")}
        return left - {f"muster-{os.getuid()}", f"muster-{os.getuid()}/daemon"}


class Keeper:
    """A coordinator with a state file, in one life after another."""

    def __init__(self, trial):
        self.trial = trial
        self.state, self.log = trial.home / "kept.db", trial.home / "daemon.log"
        self.serve()

    def serve(self, faulty=True):
        """Starts it."""
        self.begin = len(self.said()) if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = self.trial.start("coordinator", "-j2", "--state", self.state, *self.trial.daemon_options,
                                            env=self.trial.faulty if faulty else None, stderr=log, stdin=None,
                                            stdout=None).process

    def until_ready(self):
        """Returns when it is, or has ended and nobody starts it again."""
        self.trial.until(lambda: self.is_ready() or self.has_ended(), "it is ready", LIMIT_S)

    def is_ready(self):
        """It says so, if it is not this that fails."""
        if "are kept in" in self.said()[self.begin:]:
            return True
        with socket.socket(socket.AF_UNIX) as peer:
            path = self.trial.env["MUSTER_COORDINATOR"].removeprefix("ipc://")
            return self.trial.call == "write" and peer.connect_ex(path) == 0

    def has_ended(self):
        return not self.lives() and not (self.trial.revives and self.process.returncode == -signal.SIGKILL)

    def said(self):
        return harness.COUNTS.sub(b"", self.log.read_bytes()).decode()

    def lives(self):
        return self.process.poll() is None

    def stop(self):
        """Returns its exit status: one that is struck as it ends may be started again meanwhile, and is stopped, too."""
        status = process = None
        while process is not self.process:
            process = self.process
            if process.poll() is None:
                self.trial.muster("stop", "--now")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            if process.poll() is None:
                self.until_ready()  # before, a signal kills it
                process.send_signal(signal.SIGTERM)
            status = process.wait(LIMIT_S)
        return status


class MapScenario:
    """Values small and, with `data`, so large that they go through shared memory."""

    for_ever = True

    def __init__(self, data=0):
        self.data = data

    def run(self, trial):
        arguments = [json.dumps(str(i) * self.data) if self.data else str(i) for i in range(1, 5)]
        with trial.watch():
            result = trial.muster("map", "-j2", *trial.options, "echo", text="\n".join(arguments), env=trial.faulty)
        trial.check_run(result, arguments)
        trial.check_rest()


class ExecScenario:
    """Commands whose output goes to files, with a job log."""

    for_ever = True

    def run(self, trial):
        joblog = trial.home / "joblog"
        with trial.watch():
            result = trial.muster("exec", "-k", "-j2", "--joblog", joblog,
                                  "head -c 1500000 /dev/zero | tr '\\0' {}; echo", ":::", *"abcd", env=trial.faulty)
        trial.check_run(result, [letter * 1500000 for letter in "abcd"])
        logged = joblog.read_text().splitlines()[1:] if joblog.exists() else []
        expect(all(len(line.split("\t")) >= 9 for line in logged), f"job log: {logged}\n{result}")
        trial.check_log(result, logged)
        trial.check_rest()


class ResultsScenario:
    """Commands whose output goes to files that stay: what is large is moved there."""

    for_ever = True

    def run(self, trial):
        folder = trial.home / "results"
        lines = [letter * 1500000 for letter in "abcd"]
        with trial.watch():
            result = trial.muster("exec", "-k", "-j2", "--results", folder, "head -c 1500000 /dev/zero | tr '\\0' {}; echo",
                                  ":::", *"abcd", env=trial.faulty)
        paths = [folder / "1" / line[0] / "stdout" for line in lines]
        trial.check_results(result, [path for path, line in zip(paths, lines)
                                     if not path.exists() or path.read_text() != line + "\n"])
        trial.check_rest()


class KeptScenario:
    """A coordinator with a state file: what it accepts and tells stays, whatever happens. What fails fails once: what
    cannot run is given up then, and says so."""

    for_ever = False

    def run(self, trial):
        trial.env["MUSTER_COORDINATOR"] = f"ipc://{trial.temporary}/muster-{os.getuid()}/daemon/socket"
        keeper = Keeper(trial)
        told = {}
        with trial.watch(keeper):
            for number in (1, 2):
                keeper.until_ready()
                if not keeper.has_ended():
                    self.use(trial, told, number)
            status = keeper.stop()
        trial.check_daemon(status, keeper.said())
        keeper.stop()  # where it was started again meanwhile
        self.check_kept(trial, keeper, told)
        trial.check_rest()

    def use(self, trial, told, number):
        result = trial.submit(number)
        if trial.check_submitted(result):
            batch = int(result.out)
            expect(batch not in told, f"number {batch} given twice")
            told[batch] = trial.arguments(number)[1]
            trial.check_read(trial.read(batch), told[batch])

    def check_kept(self, trial, keeper, told):
        """What the next coordinator, in which nothing goes wrong, has of it."""
        expect(keeper.state.exists() or not told, "the file is gone")
        keeper.serve(faulty=False)
        try:
            keeper.until_ready()
            expect(keeper.lives(), f"does not start again: {keeper.said()}")
            for number, lines in told.items():
                read = trial.muster("results", str(number), "--follow")
                expect((read.status, read.out.splitlines()) == (0, lines),
                       f"lost: batch {number}: {read}{keeper.said()}")
        finally:
            keeper.process.send_signal(signal.SIGTERM)
            keeper.process.wait(LIMIT_S)
        with contextlib.closing(sqlite3.connect(keeper.state)) as database:
            expect(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "damaged")
        trial.check_state(keeper.state)


class DetachScenario:
    """A coordinator that is started on demand."""

    for_ever = False

    def run(self, trial):
        with trial.watch():
            result = trial.muster("map", "--detach", "echo", ":::", *"123", env=trial.faulty)
            try:
                told = {int(result.out): list("123")} if trial.check_submitted(result) else {}
                for batch, lines in told.items():
                    trial.check_read(trial.read(batch), lines)
                trial.check_next(told)
            finally:
                lock = trial.temporary / f"muster-{os.getuid()}" / "daemon" / "socket.lock"
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                    pid = int(lock.read_text())
                    os.kill(pid, signal.SIGTERM)
                    trial.assert_gone(pid, LIMIT_S)
            trial.check_rest()


class HostScenario:
    """A coordinator that all goes well with has a worker, and another host another one."""

    for_ever = False

    def run(self, trial):
        log, host_log = trial.home / "daemon.log", trial.home / "host.log"
        with open(log, "wb") as stderr:
            daemon = trial.start("coordinator", "-j1", "--listen", "tcp://127.0.0.1:*", "--host-grace", "0.5", "--heartbeat",
                                 "0.5", stderr=stderr, stdin=None, stdout=None)
        trial.until(lambda: "1 worker" in log.read_text(), "it is ready", LIMIT_S)
        trial.env["MUSTER_COORDINATOR"] = re.search(r"tcp://127.0.0.1:\d+", log.read_text())[0]
        with open(host_log, "wb") as stderr:
            host = trial.start("worker", "--connect", trial.env["MUSTER_COORDINATOR"], "-j1", env=trial.faulty, stderr=stderr,
                               stdin=None, stdout=None)
        with trial.watch():
            trial.until(lambda: " joins with " in log.read_text() or host.process.poll() is not None, "it joins", LIMIT_S)
            result = trial.muster("map", "--chunk", "1", "fib", ":::", *["20"] * 20)
            expect((result.status, result.out.split()) == (0, ["6765"] * 20), f"not right: {result}")
            host.process.send_signal(signal.SIGTERM)
            host.process.wait(LIMIT_S)
        trial.check_host(host.process.returncode, host_log.read_text())
        daemon.process.send_signal(signal.SIGTERM)
        expect(daemon.process.wait(LIMIT_S) == 0, log.read_text())
        trial.check_rest()


SCENARIOS = {"map": MapScenario(), "shared": MapScenario(300_000), "exec": ExecScenario(), "results": ResultsScenario(),
             "kept": KeptScenario(), "detach": DetachScenario(), "host": HostScenario()}


class Tests(unittest.TestCase):
    """Each scenario with each order that there can be, or a sample of them, or those that match."""

    kind = Trial
    variable = ""  # in the environment: how many orders of each scenario, or a pattern
    scenarios = SCENARIOS
    known = {}

    def orders(self, counts, scenario):
        """All orders that a run with so many calls can be given."""
        raise NotImplementedError

    def sample(self, name):
        """Some of these orders."""
        raise NotImplementedError

    def every(self, name):
        """All orders that this scenario can be given, by function."""
        if name not in self.known:
            with self.kind(NOTHING) as trial:
                self.scenarios[name].run(trial)
                self.known[name] = {}
                for order in self.orders(trial.counts(), self.scenarios[name]):
                    self.known[name].setdefault(order.split(":")[1], []).append(order)
        return self.known[name]

    def some(self, name, count):
        """So many of them. Those of functions that are called seldom are as likely as others."""
        chooser = random.Random(f"{os.environ.get('MUSTER_SEED', '1')} {name}")
        return [chooser.choice(self.every(name)[function])
                for function in chooser.choices(sorted(self.every(name)), k=count)]

    def orders_of(self, name):
        wanted = os.environ.get(self.variable, "")
        if not wanted:
            return self.sample(name)
        if wanted.isdigit():
            return self.some(name, int(wanted))
        return fnmatch.filter([order for orders in self.every(name).values() for order in orders], wanted)

    def check(self, name):
        wrong = []
        for order in self.orders_of(name):
            with self.kind(order) as trial:
                try:
                    self.scenarios[name].run(trial)
                except (Wrong, AssertionError, subprocess.TimeoutExpired) as error:
                    wrong.append(f"{self.variable}={order}: {error}\n{trial.log()}")
                    print(wrong[-1], flush=True)
        self.assertEqual(wrong, [])

    def test_map(self):
        self.check("map")

    def test_map_with_values_in_shared_memory(self):
        self.check("shared")

    def test_exec_with_output_and_a_job_log(self):
        self.check("exec")

    def test_exec_with_results_in_files(self):
        self.check("results")

    def test_coordinator_with_a_state_file(self):
        self.check("kept")

    def test_detach(self):
        self.check("detach")

    def test_another_host(self):
        self.check("host")


def notes(log):
    """The parts of a log, each about one process."""
    return re.split(r"^(?=\S+ \S+ \d+ in process)", log, flags=re.M)
