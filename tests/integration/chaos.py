#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""muster coordinator --state, killed again and again: at a moment of a seeded choice, or at a system call (the
Nth sync, write or send), while clients submit, read, cancel, forget, leave and are killed, and workers are
killed and stopped. After every death the state file is compared with what clients were told.

MUSTER_SEED=N runs the schedule N (as far as real processes can repeat one), MUSTER_KILLS=N lets the coordinator
die so often: MUSTER_KILLS=2000 takes some ten minutes."""
import contextlib
import os
import pathlib
import random
import select
import signal
import time
import unittest

import zmq

import diaries
import foreign_protocol as protocol
import harness
import inspector

MORTAL = os.environ["MUSTER_TEST_MORTAL"]
KILLS = int(os.environ.get("MUSTER_KILLS", "12" if harness.SANITIZE else "100"))
SEED = int(os.environ.get("MUSTER_SEED", "1"))
SLOW = 10 if harness.SANITIZE else 1
CONNECTIONS = 3
LIFE_S = 0.3 * SLOW  # until a coordinator is killed, at most
LAST_S = 0.6 * SLOW  # the same, where a system call should have ended it before
CALLS = (("sync", 60), ("write", 400), ("tear", 2), ("send", 400))  # of which one may be its last, and how many there may be
MAPS = 2  # real clients at once
OPEN_BATCHES = 12  # that are not over: more are not submitted


class Case(harness.Case):
    may_leave_files = True

    def setUp(self):
        super().setUp()
        self.folder = self.temporary / f"muster-{os.getuid()}" / "daemon"
        self.endpoint = f"ipc://{self.folder}/socket"
        self.state, self.trace, self.log = self.home / "state", self.home / "trace", self.home / "log"
        self.trace.touch()
        self.env["MUSTER_TEST_TRACE"] = str(self.trace)
        self.daemon = None
        self.context = zmq.Context()

    def tearDown(self):
        if self.daemon and self.daemon.process.poll() is None:
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(harness.LIMIT_S)
        self.context.destroy(linger=0)
        super().tearDown()

    def serve(self, **env):
        """Starts a coordinator; clients need not wait for it."""
        with open(self.log, "ab") as log:
            self.daemon = self.start("coordinator", "--state", self.state, "-j2", "--plugin", harness.plugin("traced"),
                                     stdin=None, stdout=None, stderr=log, env=env)

    def connect(self, name, life=0):
        return diaries.Connection(self.context, self.endpoint, name, life)

    def listen_until(self, connection, condition, what):
        deadline = time.monotonic() + harness.LIMIT_S
        while not condition():
            self.assertGreater(deadline, time.monotonic(), f"{what}\n{self.log.read_text()}")
            connection.socket.poll(100)
            connection.listen()
            connection.consume()


class Sync(Case):
    """What is said when."""

    @unittest.skipIf(harness.SANITIZE, "their libraries want to be loaded first")
    def test_accepted_is_not_told_ahead_of_the_sync(self):
        arm = self.home / "arm"
        self.serve(LD_PRELOAD=MORTAL, MUSTER_TEST_DIE="sync:1:stall", MUSTER_TEST_ARM=str(arm))
        client = self.connect("ann-1")
        self.listen_until(client, lambda: client.welcome, "the coordinator is there")
        arm.touch()
        diary = diaries.Diary(1, 3, diaries.RANGE)
        client.submit(diary)
        client.request(diary, "workers", diaries.REQUEST_WORKERS)
        self.listen_until(client, lambda: len(client.uses) == 1, "the coordinator goes on without its store")
        self.assertEqual((diary.batch, self.trace.read_text()), (0, ""))
        self.daemon.signal(signal.SIGKILL)
        client.close()

    @unittest.skipIf(harness.SANITIZE, "their libraries want to be loaded first")
    def test_coordinator_that_is_to_end_waits_for_a_disk_that_is_slow(self):
        arm = self.home / "arm"
        self.serve(LD_PRELOAD=MORTAL, MUSTER_TEST_DIE="sync:1:slow", MUSTER_TEST_ARM=str(arm))
        client = self.connect("ann-1")
        self.listen_until(client, lambda: client.welcome, "the coordinator is there")
        arm.touch()
        client.submit(diaries.Diary(1, 3, diaries.RANGE))
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(harness.LIMIT_S), 0, self.log.read_text())
        client.close()
        self.assertFalse((self.folder / "socket").exists(), "its socket is removed")

    @unittest.skipIf(harness.SANITIZE, "their libraries want to be loaded first")
    def test_result_is_not_told_ahead_of_the_sync(self):
        arm = self.home / "arm"
        self.serve(LD_PRELOAD=MORTAL, MUSTER_TEST_DIE="sync:2:stall", MUSTER_TEST_ARM=str(arm))
        client = self.connect("ann-1")
        self.listen_until(client, lambda: client.welcome, "the coordinator is there")
        first, diary = diaries.Diary(1, 1, diaries.RANGE), diaries.Diary(2, 1, diaries.RANGE)
        client.submit(first)  # what is synced once in the life of a file is
        self.listen_until(client, lambda: first.ended, "a batch has ended")
        arm.touch()  # the next sync is of the batch, the second of its result
        client.submit(diary)
        self.listen_until(client, lambda: diary.batch, "it is accepted")
        self.listen_until(client, lambda: len(self.trace.read_text().split()) == 2, "its job has run")
        uses = len(client.uses)
        client.request(diary, "workers", diaries.REQUEST_WORKERS)
        self.listen_until(client, lambda: len(client.uses) == uses, "the coordinator goes on without its store")
        self.assertEqual((diary.told, diary.ended), (set(), False))
        for pid in list(self.marked()):  # workers, too, which would wait for the next
            os.kill(pid, signal.SIGKILL)
        client.close()


class Chaos(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.inspector = inspector.Inspector(self.state, self.trace)
        self.connections, self.maps, self.children, self.stopped = [], [], [], []
        self.life = self.names = 0
        self.addCleanup(self.kill_stopped)
        self.addCleanup(self.kill_children, all_of_them=True)

    def once_in(self, times):
        return self.random.randrange(times) == 0

    def name(self):
        self.names += 1
        return f"{self.random.choice(('ann', 'bob'))}-{self.names}"

    # --- what clients do

    def diary(self, most=60, kind=None):
        diary = diaries.Diary(len(self.inspector.diaries) + 1, self.random.randint(1, most),
                              kind or self.random.choice((diaries.RANGE, diaries.LIST)))
        self.inspector.add(diary)
        return diary

    def known(self):
        """A submission that was accepted and may be there; None: there is none."""
        some = [diary for diary in list(self.inspector.diaries.values())[-30:]
                if diary.batch and not diary.told_forgotten]
        return self.random.choice(some) if some else None

    def submit(self, connection):
        unended = sum(bool(diary.batch) and not diary.ended for diary in self.inspector.diaries.values())
        if unended >= OPEN_BATCHES and not self.once_in(10):
            return
        diary, after = self.diary(), self.known()
        diary.hold = not self.once_in(4)
        if after and self.once_in(4):
            diary.after, diary.after_ok = after, self.once_in(2)
        begin_ms = int(time.time() * 1000) + self.random.randrange(300) if self.once_in(10) else 0
        connection.submit(diary, self.once_in(2), self.once_in(2), self.once_in(2), self.random.choice((1, 1 << 20)),
                          begin_ms, self.random.randrange(3))

    def read(self, connection, diary):
        ordered, results = self.once_in(2), not self.once_in(6)
        first = self.random.randint(1, max(1, diary.jobs if ordered else len(diary.pieces))) if self.once_in(3) else 1
        connection.attach(diary, ordered, not self.once_in(4), results, self.random.choice((1, 1 << 20)), first)

    def cancel_ticket(self, connection):
        tickets = [ticket for ticket, use in connection.uses.items() if use.what in ("submit", "attach")]
        if tickets:
            connection.cancel(self.random.choice(tickets))

    def act(self, connection):
        what, known = self.random.randrange(100), self.known()
        if what < 28:
            self.submit(connection)
        elif what < 58:
            connection.go_on(self.random.randint(1, 40))
        elif what < 63:
            connection.consume()
        elif what < 75 and known:
            self.read(connection, known)
        elif what < 78 and known:
            connection.request(known, "cancel", diaries.REQUEST_CANCEL, self.random.randint(1, 2))
        elif what < 80:
            self.cancel_ticket(connection)
        elif what < 83 and known:
            connection.request(known, "forget", diaries.REQUEST_FORGET)
        elif what < 88 and known:
            connection.request(known, *self.random.choice((("look", diaries.REQUEST_BATCHES),
                                                           ("retry", diaries.REQUEST_RETRY, self.random.randint(1, 2)))))
        elif what < 90:
            connection.send("STOP")
            connection.close()
            self.connections[self.connections.index(connection)] = self.connect(self.name(), self.life)
        elif what < 92:
            self.start_map()
        elif what < 94:
            self.start_child()
        elif what < 96:
            self.hurt_worker()

    def start_map(self):
        """A real client."""
        if len(self.maps) < MAPS:
            diary = self.diary(400, diaries.RANGE)
            diary.hold, diary.complete, diary.taken = False, True, True
            out = open(self.home / f"map-{diary.number}", "w+b")
            client = self.start("map", "--coordinator", self.endpoint, "--crash-limit", "1000", "traced", ":::",
                                f"{diary.arguments[0]}..{diary.arguments[-1]}", stdout=out, stderr=out, stdin=None)
            self.maps.append((diary, client, out))

    def look_at_maps(self, all_of_them=False):
        """Those that have ended printed results, in order; all of them, unless they were ended."""
        for entry in list(self.maps):
            diary, client, out = entry
            if all_of_them and client.process.poll() is None:
                client.signal(self.random.choice((signal.SIGINT, signal.SIGKILL)))
                client.process.wait(harness.LIMIT_S)
            if client.process.poll() is None:
                continue
            self.maps.remove(entry)
            out.seek(0)
            lines = out.read().decode().splitlines()
            out.close()
            expected = [str(diaries.value_of(argument)) for argument in diary.arguments if not diaries.fails(argument)]
            printed = [line for line in lines if line.isdigit()]
            left = iter(expected)
            self.assertTrue(all(value in left for value in printed), f"{diary}: {lines}")
            if 0 <= client.process.returncode <= 101:
                self.assertEqual(printed, expected, f"{diary}: status {client.process.returncode}, {lines}")

    def start_child(self):
        """A client in a process of its own, to be killed in mid-submission or soon after."""
        diary = self.diary(300, diaries.LIST)
        whole, attach, size = self.once_in(4), self.once_in(2), self.random.randint(1, 60)
        diary.complete = True  # as far as anybody knows
        name = self.name()
        pid = os.fork()
        if pid == 0:
            try:
                client = diaries.Connection(zmq.Context(), self.endpoint, name, self.life)
                client.submit(diary, whole, attach)
                while client.go_on(size):
                    client.socket.poll(1)
                while True:
                    client.socket.poll()
                    client.listen()
                    client.consume()
            finally:
                os._exit(0)
        self.children.append((pid, time.monotonic() + self.random.random() * LIFE_S / 4))

    def kill_children(self, all_of_them=False):
        for child in list(self.children):
            if all_of_them or child[1] < time.monotonic():
                self.children.remove(child)
                os.kill(child[0], signal.SIGKILL)
                os.waitpid(child[0], 0)

    def workers(self):
        words = pathlib.Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text(encoding="ascii")
        return [int(word) for word in words.split() if b"--name" in pathlib.Path(f"/proc/{word}/cmdline").read_bytes()]

    def hurt_worker(self):
        """Kills one, or stops it: that one is killed when its coordinator is dead, if it still lives."""
        try:
            pid, number = self.random.choice(self.workers()), self.random.choice((signal.SIGKILL, signal.SIGSTOP))
            descriptor = os.pidfd_open(pid)
            signal.pidfd_send_signal(descriptor, number)
            self.stopped.append(descriptor)
        except (IndexError, OSError):
            pass  # there is none, or no more

    def kill_stopped(self):
        for descriptor in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)
        self.stopped.clear()

    # --- lives

    def begin(self):
        """Starts a coordinator. Returns when it is to be killed from outside, if it does not die before."""
        self.life += 1
        if harness.SANITIZE or self.once_in(2):
            self.serve()
            limit_s = self.random.random() * LIFE_S
        else:
            call, most = self.random.choice(CALLS)
            when = self.random.choice(("before", "after", "amid"))
            self.serve(LD_PRELOAD=MORTAL, MUSTER_TEST_DIE=f"{call}:{self.random.randint(1, self.random.randint(1, most))}:{when}")
            limit_s = LAST_S
        self.connections = [self.connect(self.name(), self.life) for _ in range(CONNECTIONS)]
        return time.monotonic() + limit_s

    def end(self):
        """It is dead: what was said may have been heard, or not."""
        self.kill_children(all_of_them=True)
        self.kill_stopped()
        for connection in self.connections:
            if self.once_in(2):
                connection.listen()
            connection.close()

    def live(self):
        deadline = self.begin()
        while self.daemon.process.poll() is None:
            if time.monotonic() > deadline:
                self.daemon.signal(signal.SIGKILL)
                self.daemon.process.wait(harness.LIMIT_S)
                break
            for connection in list(self.connections):
                self.act(connection)
            for connection in self.connections:
                connection.listen(self.random.choice((0, 1, 1000)))
            select.select([], [], [], 0.001)  # so that others get on
            self.kill_children()
            self.look_at_maps()
        self.assertEqual(self.daemon.process.returncode, -signal.SIGKILL, self.log.read_text())
        self.end()

    def survive(self):
        """A last life, in which everything ends."""
        self.serve()
        self.look_at_maps(all_of_them=True)
        client = self.connect("last-1")
        self.listen_until(client, lambda: client.welcome, "the coordinator is there")
        left = "SELECT batch, state, jobs FROM batches WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
        self.until(lambda: not self.inspector.read(left), "every batch ends")
        for diary in self.inspector.diaries.values():
            if diary.batch and not diary.told_forgotten:
                client.attach(diary, ordered=bool(diary.number % 2))
        self.listen_until(client, lambda: not client.uses, "every batch can be read")
        client.close()
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(harness.LIMIT_S), 0, self.log.read_text())

    def run_lives(self):
        while self.life < KILLS:
            self.live()
            self.inspector.look()
        self.survive()
        self.inspector.look_at_all()

    def test_every_accepted_job_ends_once_whenever_the_coordinator_is_killed(self):
        try:
            self.run_lives()
        except BaseException:
            print(f"the schedule was that of MUSTER_SEED={SEED} MUSTER_KILLS={KILLS}, in life {self.life}", flush=True)
            print(self.log.read_text()[-3000:], flush=True)
            raise
        accepted = sum(bool(diary.batch) for diary in self.inspector.diaries.values())
        print(f"{self.life} lives, {len(self.inspector.diaries)} submissions, {accepted} told that they are accepted, "
              f"{len(self.inspector.recorded)} results", flush=True)


if __name__ == "__main__":
    harness.main()
