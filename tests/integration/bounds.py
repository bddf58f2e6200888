#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a coordinator bounds: the memory that jobs say they take, what it keeps, and what clients have on
their way to and from it."""
import json
import pathlib
import re
import signal
import unittest

import harness
from coordinator import Case

CLIENTS, LISTS, JOBS = (30, 2, 64) if harness.SANITIZE else (200, 8, 64)  # each job 2 KiB, in and out

# So many clients, each of which submits lists as fast as it is let, and reads nothing. The endpoint, how many,
# how many lists and jobs of each are its arguments. It says when all is accepted, and stays.
CROWD = """
import sys
from foreign_client import Client
endpoint, clients, lists, jobs = sys.argv[1], *map(int, sys.argv[2:5])
crowd = [Client(endpoint, 1000) for _ in range(clients)]
for client in crowd:
    client.hello()
arguments = [chr(97 + i % 26) * 2048 for i in range(jobs)]
for _ in range(lists):
    batches = [client.submit("echo", arguments=arguments, keep=True, window_bytes=4096, chunk_jobs=4) for client in crowd]
    for client, batch in zip(crowd, batches):
        batch.granted = 4 << 20  # with the SUBMIT
        client.send_arguments(batch)
    for client, batch in zip(crowd, batches):
        while not batch.batch:
            message = client.receive()
            if message.type == "ACCEPTED":
                batch.batch = message.batch
            elif message.type not in ("RESULTS", "GRANT"):
                sys.exit(f"{message}")
print("accepted", flush=True)
sys.stdin.read()
"""


def resident(pid):
    """Bytes of memory that the process had at most."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii"))[1]) << 10


class Bounds(Case):
    def refused(self, result, *words):
        self.assert_one_line_error(result, *words)

    def test_jobs_that_take_most_of_the_memory_run_one_at_a_time(self):
        daemon = self.serve("-j2", "-v")
        result = self.guest("echo", 1, memory_bytes=1 << 48).end()
        number, unit = re.search(r"jobs may take ([0-9.]+) ([MGT])iB together", result.err).groups()  # to four digits
        most = int(0.6 * float(number) * (1 << {"M": 20, "G": 30, "T": 40}[unit]))
        first = self.guest("hang", 1, memory_bytes=most)
        self.occupied(daemon, 1)
        second = self.guest("echo", 2, memory_bytes=most)
        self.occupied(daemon, 2)
        for i in range(5):
            self.assert_ok(self.muster("map", "echo", ":::", i), f"{i}\n")
        self.assertIsNone(second.process.poll())
        first.signal(signal.SIGKILL)
        first.end()
        self.assert_ok(second.end(), "1\n")

    def test_what_is_kept_in_memory_is_bounded_and_forgotten_to_make_room(self):
        daemon = self.serve("-j1", "-v", "--state-limit", "1M")
        file = self.home / "file"
        client = self.map("wait_file", file)
        self.occupied(daemon, 1)
        first = json.dumps({"bytes": 900_000})
        holder = self.map("work", first, first)
        self.occupied(daemon, 2)
        for run in client, holder:
            run.signal(signal.SIGKILL)
            run.end()
        file.touch()
        self.until(lambda: "has reached its limit of 1 MiB" in daemon.log(), "the limit is reached")
        self.refused(self.muster("map", "echo", ":::", "1"), "has reached its limit of 1 MiB")
        self.until(lambda: self.muster("forget", "2").status == 0, "the batch is forgotten")
        self.assertIn("has room again", daemon.log())
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")

    def test_clients_that_read_nothing_cost_a_bounded_memory_and_others_nothing(self):
        daemon = self.serve("-j2", "--state", self.home / "state", ready="are kept in")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")
        before = resident(daemon.pid)
        crowd = self.python(CROWD, self.endpoint, CLIENTS, LISTS, JOBS)
        self.assertEqual(crowd.line(), "accepted")
        self.assert_ok(self.muster("map", "echo", ":::", "1..3"), "1\n2\n3\n")
        data = 2 * CLIENTS * LISTS * JOBS * 2048  # arguments and results
        grown = resident(daemon.pid) - before
        crowd.signal(signal.SIGKILL)
        crowd.end()
        if not harness.SANITIZE:
            self.assertLess(grown, data * 3 / 4)


if __name__ == "__main__":
    harness.main()
