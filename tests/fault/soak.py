#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A coordinator with a state file that is used for long: clients submit, read, wait, cancel, try again and forget, with
large values, with commands, one batch after another, while workers, clients and the coordinator itself are killed, and
workers stopped, at moments of a seeded choice. In the pauses between, when all has ended and is forgotten, what
there is of descriptors, threads, processes and files is exactly what there was at first, and memory and what the state
file holds do not grow. Beside it there is a map with workers of its own, which likewise are killed and stopped, as it
is: its large values go through shared memory, of which it never has more than what it keeps for the next ones.

It takes some seconds; MUSTER_SOAK=MINUTES takes as long as that, MUSTER_SEED=N draws other moments. For the first quarter
of the time the coordinator is killed in every other round; then one life has the rest, and is killed at its end."""
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import select
import signal
import sqlite3
import time

import harness

MINUTES = float(os.environ.get("MUSTER_SOAK", "0.1"))
SEED = int(os.environ.get("MUSTER_SEED", "1"))
WORKERS = 2
ROUND_S = 2.0  # in which things happen, ahead of a pause
CLIENTS = 16  # in one round
WARM = 10  # pauses of a life, or of all for the state file, after which nothing grows
PAGES_MORE = 8  # of the state file that hold something, from the first pauses on
GROWTH, MORE_BYTES = 1.25, 4 << 20  # but for so much
SLOPE, SLOPE_BYTES = 1.1, 1 << 20  # from the second quarter of a life to the last, on average
LOOKS_S = 0.1  # between two looks that have to agree
LARGE = 300_000  # of a value: goes through shared memory, where no coordinator keeps it
HEAP = "/memfd:muster-heap"  # as /proc has it
HEAPS_MAX = 2 * (1 + WORKERS)  # each process keeps some shared memory for the next values
OPEN = ("opening", "blocked", "delayed", "queued", "running")


def heaps(pid):
    """The inodes of the shared memory that a process has, mapped or open; it has no other name."""
    found = set()
    with contextlib.suppress(OSError):  # gone meanwhile
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
        found |= {int(line.split()[4]) for line in lines if HEAP in line}
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.readlink(path).startswith(HEAP):
                    found.add(path.stat().st_ino)
    return found


def is_worker(pid):
    """Whether it is one, and no process in which a coordinator that starts tries a plug-in."""
    return harness.name(pid) == "muster-worker"


class Client:
    """A muster under way, and what it is to print: `lines`, if anybody knows."""

    def __init__(self, soak, what, words, lines=None, text=None, left=None):
        self.what, self.lines, self.left, self.deaths = what, lines, left, soak.deaths
        soak.count += 1
        self.out, self.err = soak.home / f"{soak.count}.out", soak.home / f"{soak.count}.err"
        self.input = soak.home / f"{soak.count}.in"
        self.input.write_text(text or "")
        self.killed, self.early = False, not soak.is_up()
        with open(self.out, "wb") as out, open(self.err, "wb") as err, open(self.input, "rb") as stdin:
            self.running = soak.start(*words, stdin=stdin, stdout=out, stderr=err)

    def __str__(self):
        err = self.err.read_text(errors="replace")[-2000:]
        out = self.out.read_text(errors="replace")
        command = " ".join(map(str, self.running.command))
        return f"\n$ {command[:400]}\nstatus {self.running.process.returncode}\n{out[:400]}\n{err}"

    def forget(self):
        for path in (self.out, self.err, self.input):
            path.unlink()


class Soak(harness.Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.folder = self.temporary / f"muster-{os.getuid()}" / "daemon"
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.folder}/socket"
        self.state, self.log = self.home / "state.db", self.home / "daemon.log"
        self.clients, self.stopped = [], []
        self.batches = {}  # that were left and are not forgotten: their lines; None where they are not known any more
        self.count = self.deaths = self.rounds = self.killed = self.ended = 0
        self.base = None  # what there is in a pause
        self.pages = []  # of the state file that hold something, in all pauses
        self.memory = []  # of this life
        self.serve()
        self.values, self.said = self.home / "values", self.home / "said"  # of the map beside it
        self.begin_apart()

    def tearDown(self):
        for pid in self.stopped:
            self.hit(pid, signal.SIGKILL)
        for client in self.clients:
            client.running.process.kill()
            client.running.process.wait()
        if self.apart.process.poll() is None:
            self.apart.signal(signal.SIGTERM)
        self.apart.process.communicate(timeout=harness.LIMIT_S)
        if self.daemon.process.poll() is None:
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def serve(self):
        self.begin_log = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.daemon = self.start("coordinator", "--state", self.state, f"-j{WORKERS}", "--heartbeat", "1", "--plugin",
                                     harness.plugin("faulty"), stdin=None, stdout=None, stderr=log)
        self.memory = []

    def begin_apart(self):
        """The map with workers of its own."""
        self.fed = 0
        with open(self.values, "wb") as out, open(self.said, "wb") as err:
            self.apart = self.start("map", "--coordinator", "none", f"-j{WORKERS}", "--crash-limit", 1000, "--heartbeat", "1",
                                    "--chunk", 1, "work", stdout=out, stderr=err)

    def feed(self, count):
        """It has so many more values to take, and to return."""
        argument = json.dumps({"wait": 0.01, "bytes": LARGE, "data": "x" * LARGE})
        self.apart.write(f"{argument}\n" * count)
        self.fed += count

    def is_fed(self):
        self.assertIsNone(self.apart.process.poll(), self.said.read_text())
        return self.values.stat().st_size == self.fed * (LARGE + len('""\n'))

    def is_up(self):
        """Whether this life of the coordinator listens."""
        return "are kept in" in self.log.read_text()[self.begin_log:]

    def hit(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    # --- what happens

    def numbers(self):
        first = self.random.randrange(1, 1000)
        count = self.random.choice((1, 5, 50, 2000))
        return f"{first}..{first + count - 1}", [str(value) for value in range(first, first + count)]

    def known(self):
        return self.random.choice(list(self.batches)) if self.batches else None

    def spoil(self, batch):
        """What a batch returns is not known any more: somebody may have ended it, or removed it."""
        self.batches[batch] = None
        for client in self.clients:
            if client.left == batch:
                client.lines = None

    def begin_map(self):
        words, lines = self.numbers()
        return Client(self, "map", ("map", "--crash-limit", 1000, "echo", ":::", words), lines)

    def begin_work(self):
        count = self.random.randint(1, 40)
        jobs = [json.dumps({"wait": self.random.random() / 50, "bytes": 3})] * count
        words = ("map", "--crash-limit", 1000, "--chunk", 3, "work")
        return Client(self, "map", words, ['"xxx"'] * count, "\n".join(jobs))

    def begin_large(self):
        values = [json.dumps(str(self.random.randrange(10)) * LARGE) for _ in range(self.random.randint(1, 6))]
        return Client(self, "map", ("map", "--crash-limit", 1000, "echo"), values, "\n".join(values))

    def begin_exec(self):
        size = self.random.choice((1, 1_200_000))
        return Client(self, "exec", ("exec", "-k", f"head -c {size} /dev/zero | tr '\\0' {{}}; echo", ":::", *"abc"),
                      [letter * size for letter in "abc"])

    def begin_detached(self):
        words, lines = self.numbers()
        after = self.known() if self.random.random() < 0.4 else None
        waits = ("--after", f"{after}:any") if after else ()
        client = Client(self, "left", ("map", "--detach", "--crash-limit", 1000, *waits, "echo", ":::", words))
        client.will = lines
        client.left = after
        return client

    def begin_results(self):
        batch = self.known()
        return batch and Client(self, "results", ("results", batch, "--follow"), self.batches[batch], left=batch)

    def begin_wait(self):
        batch = self.known()
        return batch and Client(self, "verb", ("wait", batch), None, left=batch)

    def begin_cancel(self):
        batch = self.known()
        if batch:
            self.spoil(batch)
        return batch and Client(self, "verb", ("cancel", *(("--now",) if self.random.random() < 0.5 else ()), batch))

    def begin_retry(self):
        batch = self.known()
        return batch and Client(self, "verb", ("retry", "--all", batch))

    def begin_forget(self):
        batch = self.known()
        if batch:
            self.spoil(batch)
        return batch and Client(self, "verb", ("forget", batch))

    def begin_question(self):
        return Client(self, "verb", (self.random.choice(("status", "jobs", "workers")), "-o", "json"))

    def begin(self):
        """A client."""
        kinds = {self.begin_map: 4, self.begin_work: 4, self.begin_large: 3, self.begin_exec: 4, self.begin_detached: 6,
                 self.begin_results: 3, self.begin_wait: 1, self.begin_cancel: 2, self.begin_retry: 2, self.begin_forget: 1,
                 self.begin_question: 1}
        kind, = self.random.choices(list(kinds), weights=kinds.values())
        client = kind()
        if client:
            self.clients.append(client)

    def kill_client(self):
        if self.clients:
            client = self.random.choice(self.clients)
            client.killed = True
            client.running.process.kill()
            self.killed += 1

    def hurt_worker(self, whose, number):
        workers = [pid for pid in whose.children() if is_worker(pid)]
        if workers:
            pid = self.random.choice(workers)
            self.hit(pid, number)
            if number == signal.SIGSTOP:
                self.stopped.append(pid)
            self.killed += 1

    def kill_daemon(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.process.wait(harness.LIMIT_S)
        self.deaths += 1
        self.serve()

    def kill_apart(self):
        """All that it started ends with it."""
        tree = self.tree()
        self.apart.process.kill()
        self.apart.process.communicate()
        for pid in tree:
            self.assert_gone(pid)
        self.killed += 1
        self.begin_apart()

    # --- what came of it

    def look_at_clients(self):
        for client in list(self.clients):
            if client.running.process.poll() is not None:
                self.clients.remove(client)
                self.look_at(client)
                client.forget()
                self.ended += 1

    def look_at(self, client):
        status, out = client.running.process.returncode, client.out.read_text().splitlines()
        lost = client.early or client.deaths != self.deaths  # the coordinator: it was not there, or died meanwhile
        if client.killed and status == -signal.SIGKILL:
            whole = "\n".join([*client.lines, ""]) if client.lines is not None else None
            self.assertTrue(whole is None or whole.startswith(client.out.read_text()), f"{client}")
            return
        err = client.err.read_text()
        self.assertTrue(all(line.startswith("muster: ") for line in err.splitlines()), f"strange words: {client}")
        if client.what == "left" and status == 0:
            self.batches[int(out[0])] = client.will
        elif client.lines is not None and not (lost and status == 255):
            # Somebody may have been struck three times in the same command.
            unlucky = client.what == "exec" and "crashed its worker" in err
            self.assertTrue(status == 0 and out == client.lines or unlucky, f"not right: {client}")
        elif status == 255:
            self.assertTrue(err, f"no error: {client}")
        else:
            self.assertIn(status, range(0, 103), f"{client}")

    def live(self, dies):
        """A round: things happen at moments of it, in some order."""
        chance = self.random.random
        plan = [(chance() * ROUND_S, self.begin) for _ in range(CLIENTS)]
        plan += [(chance() * ROUND_S, self.kill_client) for _ in range(4)]
        plan += [(chance() * ROUND_S, lambda: self.hurt_worker(self.daemon, signal.SIGKILL)) for _ in range(2)]
        plan += [(chance() * ROUND_S, lambda: self.hurt_worker(self.daemon, signal.SIGSTOP))] if chance() < 0.2 else []
        plan += [(chance() * ROUND_S, self.kill_daemon)] if dies else []
        plan += [(chance() * ROUND_S, lambda: self.feed(6)) for _ in range(3)]
        plan += [(chance() * ROUND_S, lambda: self.hurt_worker(self.apart, signal.SIGKILL))]
        plan += [(chance() * ROUND_S, lambda: self.hurt_worker(self.apart, signal.SIGSTOP))] if chance() < 0.2 else []
        plan += [(chance() * ROUND_S, self.kill_apart)] if chance() < 0.2 else []
        begin = time.monotonic()
        for moment, act in sorted(plan, key=lambda entry: entry[0]):
            while (rest := begin + moment - time.monotonic()) > 0:
                select.select([], [], [], min(rest, 0.01))
                self.look_at_clients()
            act()

    def status(self):
        result = self.muster("status", "-o", "json")
        return json.loads(result.out) if result.status == 0 else None

    def is_idle(self):
        status = self.status()
        return status and status["clients"] == 1 and not any(status["batches"][name] for name in OPEN)

    def is_complete(self):
        """All workers are there: they are started when there is something to do."""
        self.assert_ok(self.muster("map", "--chunk", "1", "work", ":::", *['{"wait":0.01}'] * 4 * WORKERS))
        return self.status()["workers_ready"] == WORKERS

    def pause(self):
        """All ends. What was left is right, and is forgotten."""
        self.feed(4 * WORKERS)
        self.until(lambda: self.look_at_clients() or not self.clients, "all clients end")
        self.until(self.is_idle, "all batches end")
        self.until(self.is_complete, "all workers are there")
        self.until(self.is_fed, "the map beside it has returned all values")
        for batch, lines in list(self.batches.items())[:5]:
            if lines is not None:
                result = self.muster("results", batch)
                self.assertEqual((result.status, result.out.splitlines()), (0, lines), str(result))
        self.assert_ok(self.muster("forget", "--ended"))
        self.batches.clear()
        for pid in self.stopped:  # those of a coordinator that died; others are gone
            self.hit(pid, signal.SIGCONT)
        self.stopped.clear()

    # --- what there is

    def tree(self):
        """The processes of the map beside it."""
        return {self.apart.pid, *self.apart.fork_server(), *self.apart.children()}

    def counts(self):
        """What has to be the same in each pause; None where something was closed meanwhile."""
        counts = collections.Counter()
        try:
            for path in pathlib.Path(f"/proc/{self.daemon.pid}/fd").iterdir():
                counts["descriptor " + re.sub(r"\d+", "N", os.readlink(path).removeprefix(str(self.home)))] += 1
            counts["threads"] = len(os.listdir(f"/proc/{self.daemon.pid}/task"))
        except OSError:
            return None
        for path in self.temporary.rglob("*"):
            name = re.sub(r"(?<=/)(?!daemon)\w{6}(?=/|\.lock|$)", "N", str(path.relative_to(self.temporary)))  # of a map
            counts["file " + re.sub(r"\d+", "N", name)] += 1
        counts["processes"] = len(set(self.marked()) - self.tree())
        counts["files of output"] = len(list(pathlib.Path(f"{self.state}.output").iterdir()))
        return counts

    def bytes_in_use(self):
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text(encoding="ascii")
        return 1024 * sum(int(size) for size in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", status, re.M))

    def counts_at_rest(self):
        """What two looks in a row agree on: a coordinator closes what a client had after that client has ended."""
        before, now = None, self.counts()
        while now is None or now != before:
            select.select([], [], [], LOOKS_S)
            before, now = now, self.counts()
        return now

    def look(self):
        """In a pause."""
        if self.base is None:
            self.base = self.counts_at_rest()
        counts = collections.Counter()

        def same():
            nonlocal counts
            counts = self.counts() or counts
            return counts == self.base

        try:
            self.until(same, "all is as it was", harness.GONE_LIMIT_S)
        except AssertionError:
            self.fail(f"more than at first: {dict(counts - self.base)}, less: {dict(self.base - counts)}")
        others = self.marked()
        tree = self.tree()  # behind those, of which a new worker of the map's is in no older one
        shared = len(set().union(*(heaps(pid) for pid in tree)))
        self.assertIn(shared, range(1, HEAPS_MAX + 1), "pieces of shared memory")
        self.assertEqual([pid for pid in others if pid not in tree and heaps(pid)], [], "a coordinator offers none")
        self.memory.append(self.bytes_in_use())
        self.pages.append(self.pages_in_use())
        for what, values, limit in (("memory of the coordinator", self.memory, GROWTH * max(self.memory[:WARM]) + MORE_BYTES),
                                    ("what the state file holds", self.pages, max(self.pages[:WARM]) + PAGES_MORE)):
            self.assertLessEqual(values[-1], limit, f"{what} grows: {values[:WARM]} ... {values[-WARM:]}")
        size = sum(path.stat().st_size for path in self.home.glob("state.db*") if path.is_file())
        print(f"round {self.rounds}: {self.ended} clients, {self.killed} killed or stopped, {self.deaths} lives ended, "
              f"{sum(n for name, n in self.base.items() if name.startswith('descriptor'))} descriptors, "
              f"{self.base['threads']} threads, {shared} heaps, {self.memory[-1] >> 10} KiB, state file {self.pages[-1]} pages in {size >> 10} KiB",
              flush=True)

    def pages_in_use(self):
        """The others are free, for the next: the file is as large as the most that was ever under way."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as database:
            return (database.execute("PRAGMA page_count").fetchone()[0]
                    - database.execute("PRAGMA freelist_count").fetchone()[0])

    def check_slope(self):
        """Of the memory of a life that was long."""
        quarter = len(self.memory) // 4
        if quarter >= WARM:
            second, last = sum(self.memory[quarter:2 * quarter]) / quarter, sum(self.memory[-quarter:]) / quarter
            self.assertLess(last, SLOPE * second + SLOPE_BYTES, f"memory of the coordinator grows: {self.memory}")

    def test_nothing_grows_and_nothing_is_left_while_all_are_killed(self):
        begin, seconds = time.monotonic(), 60 * MINUTES
        try:
            self.pause()
            self.look()
            while time.monotonic() < begin + seconds:
                self.rounds += 1
                self.live(time.monotonic() < begin + seconds / 4 and self.rounds % 2 == 1)
                self.pause()
                self.look()
            self.check_slope()
            self.live(True)
            self.pause()
            self.look()
        except BaseException:
            print(f"MUSTER_SEED={SEED}, round {self.rounds}\n{self.log.read_text()[-3000:]}", flush=True)
            raise
        self.assertEqual(self.apart.end().status, 0, self.said.read_text())
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(harness.LIMIT_S), 0, self.log.read_text()[-3000:])
        with sqlite3.connect(self.state) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])


if __name__ == "__main__":
    harness.main()
