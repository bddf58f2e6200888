#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a client asks of a coordinator, and orders: more workers and fewer, no further job, the end; and
the jobs of a batch again."""
import signal

import harness
import foreign_client
import foreign_protocol

FAULTY = harness.plugin("faulty")
STATUS, BATCHES, WORKERS, _, RETRY, FORGET, SCALE, DRAIN, STOP = range(1, 10)
SOON, NOW = 1, 2
FAILED, ALL = 1, 2


class Asker(foreign_client.Client):
    """A client that keeps batches, and asks about them."""

    def ask(self, operation, batch=0, number=0, text=""):
        """The code of the answer, and its value."""
        self.tickets += 1
        self.peer.send("REQUEST", ticket=self.tickets, operation=operation, batch=batch, number=number, text=text)
        answers = []
        while not answers or answers[-1].more:
            message = self.receive()
            if message.type == "ANSWER":
                answers.append(message)
            else:
                self.handle(message)
        values = [foreign_protocol.unpack(answer.values[0]) for answer in answers]
        return answers[-1].code, sum(values, []) if isinstance(values[0], list) else values[0]

    def keep(self, function, **more):
        batch = self.submit(function, keep=True, hold=True, attach=False, **more)
        self.until(lambda: batch.batch or batch.error)
        return batch.batch


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.endpoint = f"ipc://{self.home}/socket"
        self.log = self.home / "log"
        self.daemon, self.client = self.serve()

    def serve(self, **more):
        """A coordinator with one worker, and a client of it."""
        with open(self.log, "wb") as stderr:
            daemon = self.start("coordinator", "--plugin", FAULTY, "-j1", "--listen", self.endpoint, "--state",
                                self.home / "state", stderr=stderr, **more)
        self.until(lambda: "are kept in" in self.log.read_text(), "the coordinator says that it is ready")
        client = Asker(self.endpoint, harness.LIMIT_S)
        client.hello()
        return daemon, client

    def tearDown(self):
        self.client.peer.close()
        if self.daemon.process.poll() is None:
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def done(self, operation, **more):
        code, value = self.client.ask(operation, **more)
        self.assertEqual(code, 0)
        return value

    def state(self, batch):
        return self.done(STATUS, batch=batch)["state"]

    def waits(self, *files):
        """A batch whose jobs end when their files are there."""
        return self.client.keep("wait_file", arguments=[str(file) for file in files], count=len(files))


class Crew(Case):
    def test_workers_come_when_they_are_asked_for_and_leave_when_their_jobs_are_over(self):
        files = [self.home / f"file-{i}" for i in range(3)]
        batch = self.waits(*files)
        self.done(SCALE, number=3)
        self.until(lambda: self.done(STATUS, batch=batch)["running"] == 3, "three jobs run")
        workers = self.done(WORKERS)
        self.assertEqual({worker["pid"] for worker in workers}, {int(pid) for pid in self.daemon.children()})
        self.assertEqual([worker["state"] for worker in workers], ["busy"] * 3)
        self.done(SCALE, number=1)
        self.assertEqual(len(self.done(WORKERS)), 3)
        for file in files:
            file.touch()
        self.until(lambda: len(self.daemon.children()) == 1, "two workers have left")
        self.until(lambda: self.state(batch) == "succeeded", "no job is lost")
        self.assertNotIn("worker ", self.log.read_text(), "nothing is said of workers that end as they should")

    def test_job_of_many_workers_at_once(self):
        self.done(SCALE, number=40)
        batch = self.client.keep("echo", first=1, last=4000, chunk_jobs=1)
        self.until(lambda: self.state(batch) == "succeeded", "all have ended")
        self.assertEqual(self.done(STATUS)["workers"], 40)

    def test_no_more_workers_than_descriptors_allow(self):
        self.done(STOP, number=NOW)
        self.daemon.end()
        self.client.peer.close()
        limit = 32 + 3 * 1024 + 3 * 5  # as the command counts for its clients and three workers
        self.daemon, self.client = self.serve(limits={harness.resource.RLIMIT_NOFILE: limit})
        self.done(SCALE, number=3)
        self.assertEqual(self.client.ask(SCALE, number=4)[0], -3)


class End(Case):
    def test_drained_coordinator_starts_nothing_and_goes_on(self):
        self.done(DRAIN, number=1)
        batch = self.client.keep("echo", first=1, last=10)
        self.assertTrue(self.done(STATUS)["draining"])
        self.assertEqual(self.daemon.children(), [])
        self.done(DRAIN)
        self.until(lambda: self.state(batch) == "succeeded", "it has run")

    def test_coordinator_that_is_stopped_ends_when_its_jobs_have(self):
        files = [self.home / "first", self.home / "second"]
        batch = self.waits(*files)
        self.until(lambda: self.done(STATUS, batch=batch)["running"] == 1, "a job runs")
        self.done(STOP, number=SOON)
        self.assertEqual(self.client.ask(DRAIN)[0], -16)
        files[0].touch()
        result = self.daemon.end()
        self.assertEqual(result.status, 0)
        self.assertEqual(self.started_again(batch), (1, 0))

    def test_coordinator_that_is_stopped_now_does_not_wait(self):
        batch = self.waits(self.home / "never")
        self.until(lambda: self.done(STATUS, batch=batch)["running"] == 1, "a job runs")
        self.done(STOP, number=NOW)
        self.assertEqual(self.daemon.end().status, 0)
        self.assertEqual(self.started_again(batch), (0, 0))

    def started_again(self, batch):
        """How many of its jobs succeeded and failed, as the next coordinator finds them."""
        self.client.peer.close()
        self.daemon, self.client = self.serve()
        status = self.done(STATUS, batch=batch)
        self.assertEqual(status["state"], "running")
        return status["succeeded"], status["failed"]


class Again(Case):
    def test_failed_jobs_are_tried_again_as_a_batch_of_their_own(self):
        batch = self.client.keep("is_prime", arguments=[7, "seven", 8, None], count=4)
        self.until(lambda: self.state(batch) == "failed", "it has ended")
        again = self.done(RETRY, batch=batch, number=FAILED)["batch"]
        self.until(lambda: self.state(again) == "failed", "it has ended again")
        status = self.done(STATUS, batch=again)
        self.assertEqual((status["origin"], status["total"], status["failed"]), (batch, 2, 2))
        whole = self.done(RETRY, batch=batch, number=ALL)["batch"]
        self.until(lambda: self.state(whole) == "failed", "all have ended again")
        self.assertEqual(self.done(STATUS, batch=whole)["succeeded"], 2)
        self.assertEqual([row["batch"] for row in self.done(BATCHES, text="state=failed")], [whole, again, batch])
        self.done(FORGET, batch=batch)
        self.assertEqual(self.client.ask(STATUS, batch=batch)[0], -6)


if __name__ == "__main__":
    harness.main()
