#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each process of a job's life is killed, or stopped, at each call of the operating system that it makes, ahead of it
and after it: the result is right, or whoever was not struck says what happened; every accepted job ends once, others
are served, and nothing hangs or stays behind.

A run in which nothing happens counts the calls (inject.c); then each of them is a step at which its process is
struck in a run of its own. A worker that is stopped stays so; a client, coordinator or fork server goes on when
others have done something meanwhile that takes longer than the heartbeat. The short form takes a seeded sample;
MUSTER_SWEEP='*' takes all steps, MUSTER_SWEEP=N so many of each scenario, MUSTER_SWEEP='worker*:SIGSTOP*' those that
match ROLE:FUNCTION:FIRST:1:SIGKILL or SIGSTOP, -after. MUSTER_SEED=N draws others."""
import contextlib
import os
import pathlib
import re
import signal
import threading

import diaries
import harness
import inspector
import trials
from trials import expect

HEARTBEAT = ("--heartbeat", "0.5")
HOWS = ("SIGKILL", "SIGSTOP", "SIGKILL-after", "SIGSTOP-after")
SPARED = ("malloc",)  # no step: memory is the process's own


def state(pid):
    """The letter of /proc/PID/stat; nothing when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Strike(trials.Trial):
    """A trial in which one process is struck once."""

    options = (*HEARTBEAT, "--crash-limit", "1000")  # others are struck as well where the machine stands still
    daemon_options = (*HEARTBEAT, "--plugin", harness.plugin("traced"))
    function = "traced"
    revives = True

    def __enter__(self):
        super().__enter__()
        self.party = self.role.removesuffix("-zmq")
        self.trace = self.home / "trace"
        self.trace.touch()
        self.env["MUSTER_TEST_TRACE"] = str(self.trace)
        self.inspector = inspector.Inspector(self.home / "kept.db", self.trace)
        self.over = threading.Event()
        self.troubles = []  # of those who look after the others
        self.keeper = None
        return self

    def kills(self, party):
        """Whether one of these was killed, as is seen from its last words."""
        return self.party == party and self.how.startswith("SIGKILL") and bool(self.log())

    # --- those who look after the others

    @contextlib.contextmanager
    def watch(self, keeper=None):
        self.keeper = keeper
        self.over.clear()
        watcher = threading.Thread(target=self.look_after)
        watcher.start()
        try:
            yield
        finally:
            self.over.set()
            watcher.join()
        expect(not self.troubles, f"{self.troubles}")

    def look_after(self):
        resumed = not self.how.startswith("SIGSTOP") or self.party == "worker"
        while not self.over.wait(0.005):
            try:
                resumed = resumed or self.resume()
                self.revive()
            except AssertionError as error:
                self.troubles.append(error)
                return

    def resume(self):
        """Has a process go on that was stopped, when another muster has given up a worker that was stopped as well.
        Whether that was so."""
        struck = re.search(r"^\S+ \S+ \d+ in process (\d+)$", self.log(), re.M)
        if not struck or state(struck[1]) != "T":
            return False
        try:
            result = self.muster("map", "stop_self", "--plugin", harness.plugin("faulty"), *HEARTBEAT, "--crash-limit",
                                 "1", "--coordinator", "none", "-j1", ":::", "1")
            self.assert_fails(result, 1, "not answering")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(struck[1]), signal.SIGCONT)
        return True

    def revive(self):
        """Starts a coordinator again that was killed, as a service manager does."""
        if self.keeper and self.keeper.process.poll() == -signal.SIGKILL:
            self.keeper.serve()

    # --- what may come of it

    def check_words(self, text):
        expect(all(line.startswith("muster: ") for line in text.splitlines()), f"strange words: {text}")

    def check_run(self, result, lines):
        self.check_words(result.err)
        if self.kills("client"):
            expect(result.status == 128 + signal.SIGKILL, str(result))
            expect("\n".join([*lines, ""]).startswith(result.out), f"invented: {result}")
            return
        said = self.kills("fork") and result.status == 255 and "fork" in result.err
        expect((result.status, result.out.splitlines()) == (0, lines) or said, f"not right: {result}")

    def check_results(self, result, missing):
        self.check_run(result, [])
        expect(not missing or result.status != 0, f"not in files: {missing}\n{result}")

    def check_log(self, result, ended):
        expect(len(ended) == 4 or result.status != 0, f"not in the job log: {ended}\n{result}")

    def diary(self, use):
        """Of jobs of which none fails: no number in it is a multiple of 17."""
        return diaries.Diary(use + 2, 6, diaries.LIST)

    def arguments(self, use):
        first = self.diary(use).arguments[0]
        values = [first + i for i in range(6)]
        return (f"{first}..{first + 3}", *map(str, values[4:])), [str(diaries.value_of(value)) for value in values]

    def submit(self, number):
        diary = self.diary(number)
        diary.complete = True  # as far as anybody knows
        self.inspector.add(diary)
        result = self.muster("map", "--detach", *self.options[2:], "--name", diary.number, self.function, ":::",
                             *self.arguments(number)[0], env=self.faulty)
        if result.status == 0:
            diary.batch = int(result.out)
        return result

    def check_submitted(self, result):
        self.check_words(result.err)
        killed = self.kills("client") and result.status == 128 + signal.SIGKILL
        told = self.kills("coordinator") and result.status == 255 and result.err and not result.out
        expect(result.status == 0 or killed or told, str(result))
        return result.status == 0

    def read(self, batch):
        """Whoever comes while nobody listens is told so, and comes again until somebody does."""
        wait = () if self.keeper else ("--wait-coordinator", "1")

        def once():
            result = self.muster("results", batch, "--follow", *wait, env=self.faulty)
            absent = result.status == 255 and re.search("no coordinator (answers|listens)", result.err)
            return None if absent and self.kills("coordinator") and self.keeper else result

        return self.until(once, "the coordinator is there again", trials.LIMIT_S)

    def serve(self, told):
        """Whether another client is served, and these batches are there."""
        result = self.muster("map", "--detach", "echo", ":::", "4")
        if result.status != 0:
            return str(result)
        for batch, lines in {**told, int(result.out): ["4"]}.items():
            read = self.muster("results", batch, "--follow", "--wait-coordinator", "1")
            if (read.status, read.out.splitlines()) != (0, lines):
                return str(read)
        return ""

    def check_read(self, result, lines):
        self.check_words(result.err)
        killed = self.kills("client") and result.status == 128 + signal.SIGKILL and lines[:len(result.out.split())]
        gone = self.kills("coordinator") and not self.keeper and result.status == 255 and result.err
        expect((result.status, result.out.splitlines()) == (0, lines) or killed == result.out.split() or gone, str(result))

    def check_daemon(self, status, said):
        self.check_words(said)
        struck = self.kills("coordinator") and status == -signal.SIGKILL
        probed = self.party == "worker" and status == 255 and re.search("as it loaded|did not load", said)  # a trial
        expect(status == 0 or struck or probed, f"status {status}: {said}")

    def check_host(self, status, said):
        self.check_words(said)
        expect(status in (0, 128 + signal.SIGTERM) or self.kills("host") and status == -signal.SIGKILL, f"status {status}: {said}")

    def check_state(self, path):
        self.inspector.look_at_all()

    def check_next(self, told):
        """Once more where it is struck meanwhile: the one after that is not."""
        before = self.log()
        trouble = self.serve(told)
        if trouble and self.log() != before:
            trouble = self.serve(told)
        expect(not trouble, f"nobody is served any more: {trouble}")

    def check_rest(self):
        if self.kills("coordinator") and not self.keeper and (list(self.marked()) or self.left()):  # for the next one
            self.check_next({})
            self.muster("stop", "--now")
        self.check_gone()
        if self.how.startswith("SIGKILL"):
            swept = self.muster("map", "noop", "--coordinator", "none", ":::", "1")
            expect((swept.status, swept.out, swept.err) == (0, "null\n", ""), str(swept))
        left = self.left()
        expect(not left, f"left in $TMPDIR: {left}")


class Sweep(trials.Tests):
    kind, variable = Strike, "MUSTER_SWEEP"

    def orders(self, counts, scenario):
        for (role, function), count in sorted(counts.items()):
            if function not in SPARED:
                for first in range(1, count + 1):
                    yield from (f"{role}:{function}:{first}:1:{how}" for how in HOWS)

    def sample(self, name):
        return self.some(name, 3)


if __name__ == "__main__":
    harness.main()
