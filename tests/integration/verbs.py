#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The verbs that ask a coordinator: what they say of one that runs, of one that is not there, does not answer,
or answers with nonsense; and what they make of wrong words."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import zmq

import foreign_protocol as protocol
import harness
from foreign_client import Client

ALL = {"status": [], "jobs": [], "results": ["1"], "wait": ["1"], "cancel": ["1"], "retry": ["1"], "forget": ["1"],
       "workers": [], "scale": ["2"], "drain": [], "stop": []}  # each with the words that it needs
FAULTY = harness.plugin("faulty")


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = "default"
        self.endpoint = f"ipc://{self.temporary}/muster-{os.getuid()}/daemon/socket"
        self.daemon = None
        self.clients = []

    def tearDown(self):
        self.leave()
        if self.daemon and self.daemon.process.poll() is None:
            self.daemon.signal(signal.SIGCONT)
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def serve(self, *options):
        log = self.home / "log"
        with open(log, "wb") as stderr:
            self.daemon = self.start("coordinator", "--plugin", FAULTY, "-j2", *options, stderr=stderr)
        self.daemon.log = log.read_text
        self.until(lambda: " on disk" in self.daemon.log() or " kept in " in self.daemon.log(), "it is ready")

    def client(self, user=""):
        client = Client(self.endpoint, harness.LIMIT_S)
        self.clients.append(client)
        client.hello(user=user)
        return client

    def leave(self):
        """While somebody is there to hear it."""
        while self.clients:
            self.clients.pop().leave()

    def submit(self, function, *arguments, client=None, **more):
        """A batch that stays; returns its number once it is accepted."""
        client = client or self.client()
        if "last" not in more:
            more |= {"arguments": arguments, "count": len(arguments)}
        batch = client.submit(function, keep=True, hold=True, attach=False, **more)
        client.until(lambda: batch.batch or batch.error)
        self.assertIsNone(batch.error)
        return str(batch.batch)

    def ended(self, function, *arguments, **more):
        """The same, when it is over."""
        batch = self.submit(function, *arguments, **more)
        self.muster("wait", batch)
        return batch

    def objects(self, *words):
        result = self.muster(*words, "-o", "json")
        self.assert_ok(result)
        return [json.loads(line) for line in result.out.splitlines()]

    def state(self, batch):
        (found,) = self.objects("status", batch)
        return found["state"]


    def answers(self, reply, *words, **options):
        """Runs muster against a coordinator of the test's: `reply` gets a message, and returns messages as encode() takes them."""
        context = zmq.Context()
        router = context.socket(zmq.ROUTER)
        path = self.home / "socket"
        router.bind(f"ipc://{path}")
        over = threading.Event()

        def serve():
            while not over.is_set():
                if not router.poll(20):
                    continue
                peer, *frames = router.recv_multipart()
                message = protocol.decode(frames)
                if message.type == "HELLO":
                    answers = [protocol.encode("WELCOME", version=protocol.VERSION, workers=1, host=0, keeps=1, epoch=0)]
                else:
                    answers = reply(message) if message.type != "STOP" else []
                for answer in answers:
                    router.send_multipart([peer, *answer])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return self.muster(words[0], "--coordinator", f"ipc://{path}", *words[1:], **options)
        finally:
            over.set()
            thread.join()
            context.destroy(linger=0)
            path.unlink()


class Looking(Case):
    def test_status_of_a_coordinator_with_and_without_a_file(self):
        for options, keeps, words in (["--state", self.home / "state"], 2, "on disk"), ([], 1, "in memory"):
            self.serve(*options)
            (found,) = self.objects("status")
            self.assertEqual((found["keeps"], found["workers"], found["pid"], found["draining"]),
                             (keeps, 2, self.daemon.pid, False))
            said = self.muster("status")
            self.assert_ok(said)
            for word in (self.endpoint, str(self.daemon.pid), words, "since 20"):
                self.assertIn(word, said.out)
            self.assert_ok(self.muster("stop"), "")
            self.assertEqual(self.daemon.end().status, 0, self.daemon.log())

    def test_status_of_a_batch_that_waits(self):
        self.serve()
        first = self.submit("wait_file", str(self.home / "file"))
        batch = self.submit("echo", 1, 2, name="n\u00e4chtlich", priority=-7, after=[[int(first), 2]])
        (found,) = self.objects("status", batch)
        self.assertEqual((found["state"], found["name"], found["total"], found["after"], found["priority"]),
                         ("blocked", "n\u00e4chtlich", 2, [[int(first), 2]], -7))
        said = self.muster("status", batch).out
        for line in (r"name +n\u00e4chtlich", "function +echo", "state +blocked", "jobs +2", "priority +-7",
                     rf"after +{first} \(however it ends\)", "submitted +20..-..-.. ..:..:.."):
            self.assertRegex(said, f"(?m)^{line}$")
        (self.home / "file").touch()
        self.assert_ok(self.muster("wait", batch))
        self.assertRegex(self.muster("status", batch).out, r"(?ms)^state +succeeded$.*^jobs +2: 2 succeeded$.*^ended ")

    def test_jobs_lists_every_batch_once_the_newest_first(self):
        self.serve()
        client, anna = self.client(), self.client("anna")
        numbers = [int(self.submit("echo", 1, client=client, name=f"b{i}")) for i in range(300)]  # more than a page
        numbers.append(int(self.submit("is_prime", "x", client=anna, name="two words")))
        self.muster("wait", *numbers[-2:])
        self.until(lambda: len(self.objects("jobs", "--state", "succeeded,failed")) == 301, "all are over")
        self.assertEqual([found["batch"] for found in self.objects("jobs")], numbers[::-1])
        self.assertEqual([found["batch"] for found in self.objects("jobs", "--limit", "270")], numbers[:-271:-1])
        for words, count in ((["--state", "failed"], 1), (["--user", "anna"], 1), (["--name", "two words"], 1),
                             (["--name", "b7"], 1), (["--state", "running"], 0),
                             (["--state", "failed", "--state", "succeeded"], 301),
                             (["--user", "anna", "--state", "succeeded"], 0)):
            self.assertEqual(len(self.objects("jobs", *words)), count, words)
        table = self.muster("jobs").out.splitlines()
        self.assertEqual(len(table), 302)
        self.assertRegex(table[0], r"^batch  state +jobs  done  failed +submitted +time  name$")
        self.assertRegex(table[1], r"^  301  failed +1     1       1  ..-.. ..:.. .*s  two words \(is_prime\)$")
        self.assertEqual(len({line.index("  b") for line in table[2:]}), 1, "columns line up from page to page")

    def test_jobs_of_a_batch(self):
        self.serve()
        batch = self.ended("is_prime", 7, "x", 8)
        self.assertEqual([(found["job"], found["state"], found["attempts"]) for found in self.objects("jobs", batch)],
                         [(f"{batch}.1", "succeeded", 1), (f"{batch}.2", "failed", 1), (f"{batch}.3", "succeeded", 1)])
        failed = self.muster("jobs", batch, "--state", "failed")
        self.assert_ok(failed)
        self.assertRegex(failed.out, rf'\Ajob +state .*\n{batch}\.2  failed +1 +\d  is_prime takes .*"x"\n\Z')
        self.assertEqual(len(self.objects("jobs", batch, "--limit", "1")), 1)

    def test_text_of_others_cannot_play_with_the_terminal(self):
        self.serve()
        batch = self.submit("echo", 1, name="a\x1b[31m\t\x07\u009b2J\U0001f600")
        for words in ["jobs"], ["status", batch]:
            said = self.muster(*words).out
            self.assertIn("a?[31m???2J\U0001f600", said)
        reader, terminal = os.openpty()
        subprocess.run(["stty", "cols", "70"], stdin=terminal, check=True)
        self.submit("echo", 1, name="\u00e9" * 60)
        self.start("jobs", stdout=terminal).end()
        os.close(terminal)
        lines = harness.shown_on(reader).decode().splitlines()
        self.assertEqual(max(map(len, lines)), 70)
        self.assertTrue(lines[1].endswith("\u00e9~"), lines)

    def test_workers_say_what_they_do(self):
        self.serve()
        batch = self.submit("wait_file", str(self.home / "file"))
        self.until(lambda: any(found["batch"] == int(batch) for found in self.objects("workers")), "one is busy")
        self.assertRegex(self.muster("workers").out, rf"(?m)^ +\d  busy +\d+ +1 +{batch} +\d\.\d\ds$")
        (self.home / "file").touch()


class Results(Case):
    def test_they_are_printed_as_often_as_asked_for_and_as_map_does(self):
        self.serve("--state", self.home / "state")
        batch = self.ended("is_prime", first=-1, last=2)
        local = self.muster("map", "--coordinator", "none", "is_prime", ":::", "-1..2")
        for _ in range(2):
            result = self.muster("results", batch)
            self.assertEqual((result.status, result.out), (1, "false\nfalse\ntrue\n"), str(result))
            self.assertEqual(result.err, local.err.replace("job 1.1 ", f"job {batch}.1 "), str(result))
        found = [json.loads(line) for line in self.muster("results", batch, "-o", "json").out.splitlines()]
        self.assertEqual([(job["job"], job["argument"], job.get("result"), job.get("error_kind")) for job in found],
                         [(f"{batch}.1", -1, None, "failed"), (f"{batch}.2", 0, False, None),
                          (f"{batch}.3", 1, False, None), (f"{batch}.4", 2, True, None)])
        self.assertEqual(self.muster("results", batch, "-o", "none").out, "")

    def test_batch_that_is_not_over_says_so(self):
        self.serve()
        batch = self.submit("wait_file", str(self.home / "file"))
        self.assert_fails(self.muster("results", batch), 102, f"batch {batch} is not over", "--follow")
        (self.home / "file").touch()
        self.assert_ok(self.muster("results", batch, "--follow"), "true\n")

    def test_following_shows_results_as_they_come(self):
        self.serve()
        files = [str(self.home / f"file-{i}") for i in range(3)]
        batch = self.submit("wait_file", *files, chunk_jobs=1)
        follower = self.start("results", batch, "--follow")
        for file in files:
            open(file, "w").close()
            self.assertEqual(follower.line(), "true")
        self.assert_ok(follower.end(), "")

    def test_interrupt_ends_the_reader_and_not_the_batch(self):
        self.serve()
        batch = self.submit("wait_file", str(self.home / "a"), str(self.home / "b"), chunk_jobs=1)
        (self.home / "a").touch()
        followers = [self.start("results", batch, "--follow"), self.start("wait", batch)]
        self.assertEqual(followers[0].line(), "true")
        self.until(lambda: self.objects("status")[0]["clients"] >= 3, "both are connected")
        for follower in followers:
            follower.interrupt()
            self.assertEqual(follower.end().status, 130)
        self.assertEqual(self.state(batch), "running")
        (self.home / "b").touch()
        self.assert_ok(self.muster("wait", batch))

    def test_reader_that_leaves_is_no_error(self):
        self.serve()
        batch = self.ended("big", *[1 << 20] * 4)
        for words in ["results", batch], ["results", batch, "-o", "json"]:
            run = self.start(*words)
            run.process.stdout.read(1)
            run.process.stdout.close()
            run.process.stdout = None
            result = run.end()
            self.assertEqual((result.status, result.err), (141, ""), str(result))

    def test_large_lists_come_back_whole_and_in_order(self):
        self.serve("--state", self.home / "state")
        client = self.client()
        batch = client.submit("echo", arguments=range(20_000), keep=True, hold=True, attach=False)
        batch.granted = 4 << 20  # GRANT_BYTES
        client.send_arguments(batch)
        client.until(lambda: batch.batch or batch.error)
        self.assert_ok(self.muster("results", batch.batch, "--follow"), "".join(f"{i}\n" for i in range(20_000)))

    def test_interrupted_jobs_and_cancelled_ones_are_told_apart(self):
        self.serve()
        batch = self.submit("hang", 1, 2, 3, chunk_jobs=1)
        self.until(lambda: self.state(batch) == "running", "it runs")
        self.assert_ok(self.muster("cancel", batch, "--now"), "")
        self.assert_fails(self.muster("wait", batch), 255, f"batch {batch} was cancelled: 0 of 3 jobs done")
        self.assert_fails(self.muster("results", batch), 255, f"batch {batch} was cancelled: 0 of 3 jobs done")
        self.assertEqual(self.state(batch), "cancelled")


    def test_batch_that_was_cancelled_behind_failed_jobs_is_no_number_of_failures(self):
        self.serve()
        client = self.client()
        batch = self.submit("wait_file", 1, str(self.home / "file"), chunk_jobs=1, client=client)
        self.until(lambda: len(self.objects("jobs", batch)) == 1, "the first job has failed")
        self.assert_ok(self.muster("cancel", batch, "--now"), "")
        for verb in "wait", "results":
            self.assert_fails(self.muster(verb, batch), 255, f"batch {batch} was cancelled: 1 of 2 jobs done")


class Doing(Case):
    def test_wait_counts_the_failed_jobs_of_all(self):
        self.serve()
        batches = [self.submit("is_prime", 7), self.submit("is_prime", "x", "y"), self.submit("is_prime", "z")]
        result = self.muster("wait", *batches)
        self.assert_fails(result, 3, f"batch {batches[1]}: 2 of 2 jobs failed", f"batch {batches[2]}: 1 of 1 job")
        run = self.muster("wait", *batches, "-o", "json")
        self.assertEqual([json.loads(line)["outcome"] for line in run.out.splitlines()], ["succeeded", "failed", "failed"])
        self.assertEqual(run.status, 3)
        slow = self.submit("wait_file", str(self.home / "file"))
        self.assert_fails(self.muster("wait", batches[0], slow, "--timeout", "0.05"), 102, f"batch {slow} is not over")
        (self.home / "file").touch()
        self.assert_ok(self.muster("wait", slow, "--timeout", "60"), "")

    def test_unknown_batch_is_found_before_anything_is_waited_for(self):
        self.serve()
        slow = self.submit("wait_file", str(self.home / "file"))
        self.assert_one_line_error(self.muster("wait", slow, "77"), f"there is no batch 77 at {self.endpoint}")
        (self.home / "file").touch()

    def test_cancel_goes_on_behind_one_that_is_not_there(self):
        self.serve()
        first = self.submit("wait_file", str(self.home / "file"))
        second = self.submit("echo", 1, after=[[int(first), 1]])
        result = self.muster("cancel", second, "99", first, "-o", "json")
        self.assert_fails(result, 255, f"there is no batch 99 at {self.endpoint}")
        self.assertEqual([json.loads(line) for line in result.out.splitlines()],
                         [{"batch": int(second)}, {"batch": int(first)}])
        self.assertEqual(self.state(second), "cancelled")
        (self.home / "file").touch()

    def test_retry_makes_a_batch_of_what_failed(self):
        self.serve()
        batch = self.ended("fail_times", [str(self.home / "one"), 1], [str(self.home / "other"), 0])
        again = self.muster("retry", batch)
        self.assert_ok(again)
        self.assertRegex(again.out, r"\A\d+\n\Z")
        self.assert_ok(self.muster("wait", again.out.strip()))
        (found,) = self.objects("status", again.out.strip())
        self.assertEqual((found["origin"], found["total"]), (int(batch), 1))
        (whole,) = self.objects("retry", batch, "--all")
        self.muster("wait", whole["batch"])
        self.assertEqual(self.objects("status", whole["batch"])[0]["total"], 2)
        self.assert_one_line_error(self.muster("retry", again.out.strip()), "nothing")
        self.assert_one_line_error(self.muster("retry", "99"), f"there is no batch 99 at {self.endpoint}")

    def test_forget_removes_what_has_ended_and_nothing_else(self):
        self.serve("--state", self.home / "state")
        done = [self.ended("echo", 1) for _ in range(3)]
        running = self.submit("wait_file", str(self.home / "file"))
        self.assert_one_line_error(self.muster("forget", running), f"batch {running}")
        self.assert_ok(self.muster("forget", done[0]), "")
        self.assert_one_line_error(self.muster("status", done[0]), f"there is no batch {done[0]} at {self.endpoint}")
        self.assert_ok(self.muster("forget", "--ended", "--older-than", "1d"), "0 batches forgotten\n")
        self.assertEqual(self.objects("forget", "--ended"), [{"batch": int(batch)} for batch in done[:0:-1]])
        self.assertEqual([found["batch"] for found in self.objects("jobs")], [int(running)])
        (self.home / "file").touch()

    def test_drained_coordinator_starts_no_job(self):
        self.serve()
        first = self.submit("wait_file", str(self.home / "file"))
        self.until(lambda: self.objects("status", first)[0]["running"] == 1, "it runs")
        waiting = self.start("drain", "--wait")
        self.until(lambda: self.objects("status")[0]["draining"], "it drains")
        self.assertIn("draining", self.muster("status").out)
        second = self.submit("echo", 1)
        (self.home / "file").touch()
        self.assert_ok(waiting.end(), "")
        self.assert_fails(self.muster("wait", second, "--timeout", "0.05"), 102, "not over")
        self.assertEqual(self.objects("drain", "--off"), [{"draining": 0}])
        self.assert_ok(self.muster("wait", second))

    def test_drain_waits_for_a_worker_that_is_too_many(self):
        self.serve()
        files = [self.home / "first", self.home / "second"]
        batches = [self.submit("wait_file", str(file)) for file in files]
        self.until(lambda: [worker["state"] for worker in self.objects("workers")] == ["busy"] * 2, "both run")
        self.assert_ok(self.muster("scale", "1"), "")
        (leaving,) = [worker["batch"] for worker in self.objects("workers") if worker["state"] == "stopping"]
        last = batches.index(str(leaving))
        files[1 - last].touch()
        self.assert_ok(self.muster("wait", batches[1 - last]))
        self.assertTrue(self.objects("status")[0]["busy"])
        waiting = self.start("drain", "--wait")
        self.until(lambda: self.objects("status")[0]["draining"], "it drains")
        self.assertIsNone(waiting.process.poll())
        files[last].touch()
        self.assert_ok(waiting.end(), "")
        self.assertEqual(self.state(batches[last]), "succeeded")
        self.assertFalse(self.objects("status")[0]["busy"])

    def test_scale_changes_how_many_workers_run(self):
        self.serve()
        self.assertEqual(self.objects("scale", "1"), [{"workers": 1}])
        self.assertEqual(self.objects("status")[0]["workers"], 1)
        batch = self.ended("echo", *range(20))
        self.assertEqual(self.state(batch), "succeeded")
        self.until(lambda: len(self.objects("workers")) == 1, "one is left")

    def test_stop_returns_when_it_has_ended(self):
        for words in [], ["--now"]:
            self.serve("--state", self.home / "state")
            batch = self.submit("wait_file", str(self.home / "file"))
            self.until(lambda: self.objects("status", batch)[0]["running"] == 1, "it runs")
            self.leave()
            stopping = self.start("stop", *words)
            if not words:
                self.until(lambda: self.objects("status")[0]["draining"], "it ends soon")
                (self.home / "file").touch()
            self.assert_ok(stopping.end(), "")
            self.assertIsNotNone(self.daemon.process.poll(), "stop has waited for it")
            self.daemon.end()
            (self.home / "file").unlink(missing_ok=True)
        self.may_leave_files = True

    def test_stop_waits_for_no_process_that_has_the_number_of_a_coordinator_of_another_namespace(self):
        apart = ("unshare", *([] if os.geteuid() == 0 else ["--map-current-user"]), "--pid", "--fork", "--kill-child")
        if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
            self.skipTest("no namespaces here")
        log = self.home / "log"
        with open(log, "wb") as stderr:
            around = self.start(*apart[1:], harness.MUSTER, "coordinator", "-j1", stderr=stderr, command=apart[0])
        self.until(lambda: " on disk" in log.read_text(), "it is ready")
        self.assertEqual(self.objects("stop"), [{"process": 1}])
        around.end()


class Mistakes(Case):
    def test_wrong_words_are_refused_before_anybody_is_asked(self):
        for words, said in ((["results"], "no BATCH is named"), (["wait"], "no BATCH is named"),
                            (["cancel"], "no BATCH is named"), (["forget"], "no BATCH is named"),
                            (["retry", "1", "2"], "unexpected word '2'"), (["results", "0"], "'0' is no number"),
                            (["results", "-1"], "unknown option -1"), (["wait", "1", "x"], "'x' is no number"),
                            (["status", str(2**64)], "is no number"), (["jobs", "1.5"], "'1.5' is no number"),
                            (["scale"], "N, the number"), (["scale", "0"], "from 1 to"), (["scale", "16385"], "16384"),
                            (["jobs", "--state", "faild"], "did you mean failed?"), (["jobs", "--limit", "0"], "--limit 0"),
                            (["wait", "1", "--timeout", "0"], "--timeout 0"), (["forget", "1", "--ended"], "--ended"),
                            (["forget", "1", "--older-than", "1d"], "--older-than needs --ended"),
                            (["forget", "--ended", "--older-than", "soon"], "a duration is expected"),
                            (["retry", "1", "--all", "--failed"], "exclude"), (["drain", "--off", "--wait"], "exclude"),
                            (["workers", "1"], "unexpected word"), (["stop", "-o", "none"], "text or json"),
                            (["status", "--coordinator", "none"], "there has to be one")):
            self.assert_one_line_error(self.muster(*words), said, f"see 'muster {words[0]} --help'")
        for words, said in ((["--orphan-grace", "5"], "needs --state"), (["--state", "x", "--orphan-grace", "-1"], "from 0")):
            self.assert_one_line_error(self.muster("coordinator", *words), said, "see 'muster coordinator --help'")
        self.assert_one_line_error(self.muster("jobs", "--coordinator", "here"), "'here' is no endpoint")

    def test_nobody_there_is_said_with_the_endpoint(self):
        for verb, words in ALL.items():
            self.assert_one_line_error(self.muster(verb, *words), f"no coordinator listens at {self.endpoint}",
                                       "'muster coordinator' starts one")
        self.assert_one_line_error(self.muster("status", "--coordinator", f"ipc://{self.home}/x", env={"MUSTER_COORDINATOR": ""}),
                                   f"ipc://{self.home}/x")
        self.assert_one_line_error(self.muster("status", env={"MUSTER_COORDINATOR": "none"}), self.endpoint)

    def test_unknown_batch_is_said_with_the_endpoint(self):
        self.serve()
        for words in (["status"], ["jobs"], ["results"], ["wait"], ["cancel"], ["retry"], ["forget"],
                      ["results", "--follow"], ["results", "-o", "json"]):
            self.assert_one_line_error(self.muster(*words, str(2**64 - 1)),
                                       f"there is no batch {2**64 - 1} at {self.endpoint}")

    def test_one_that_is_stopped_is_given_up(self):
        self.serve()
        self.daemon.signal(signal.SIGSTOP)
        runs = [self.start(verb, *words) for verb, words in ALL.items()]
        for run in runs:
            self.assert_one_line_error(run.end(), f"no coordinator answers at {self.endpoint}")

    def test_one_that_dies_meanwhile_is_named(self):
        self.serve()
        batch = self.submit("hang", 1)
        runs = [self.start("wait", batch), self.start("results", batch, "--follow")]
        # who submitted it, and who asks, are clients, too
        self.until(lambda: self.objects("status")[0]["clients"] >= 4, "both are connected")
        self.leave()
        self.daemon.signal(signal.SIGKILL)
        for run in runs:
            self.assert_one_line_error(run.end(), self.endpoint, "broke")
        self.daemon.end()
        self.may_leave_files = True


class Nonsense(Case):
    """A coordinator that answers each message of a client with what a test says."""

    def answer(self, *values):
        """To a REQUEST, in so many parts."""
        def reply(message):
            return [protocol.encode("ANSWER", [protocol.pack(value)], ticket=message.ticket, code=0, text="",
                                    more=place + 1 < len(values)) for place, value in enumerate(values)]
        return reply

    def test_answers_of_other_types_are_refused_or_shown_as_nothing(self):
        batches = [{"batch": 5, "state": "queued"}, {"batch": 5}], [{"batch": 0}], [{"state": "queued"}], [7], [None]
        for value in ({}, 7, "x", None, *batches):
            self.assert_one_line_error(self.answers(self.answer(value), "jobs"), f"ipc://{self.home}/socket")
        for value in ({}, [], 7):
            self.assert_one_line_error(self.answers(self.answer(value), "workers")) if value != [] else None
        strange = {"batch": -1, "state": 7, "name": b"x", "total": "many", "after": [[1], 7, [None, 1]], "submitted_ms": 2**64 - 1,
                   "priority": -2**63, "batches": 7, "pid": 2**63, "keeps": 9, 7: 8}
        for words in ["status"], ["status", "7"]:
            self.assert_ok(self.answers(self.answer(strange), *words))

    def test_answer_in_parts_is_one(self):
        rows = [[{"batch": 9, "state": "queued", "name": "a"}], [], [{"batch": 7, "state": "running", "name": "b"}]]
        asked = []

        def reply(message):
            asked.append((message.batch, message.number, message.text))
            return self.answer(*(rows if len(asked) == 1 else [[]]))(message)

        result = self.answers(reply, "jobs", "--state", "queued,running", "--name", "a b", "--user", "u", "-o", "json")
        self.assert_ok(result)
        self.assertEqual([json.loads(line)["batch"] for line in result.out.splitlines()], [9, 7])
        self.assertEqual(asked, [(0, 256, "state=queued state=running user=u name=a b"),
                                 (7, 256, "state=queued state=running user=u name=a b")])

    def test_refusals_are_passed_on(self):
        def refuse(message):
            return [protocol.encode("ERROR", ticket=message.ticket, code=-protocol.STATE, text="not\ttoday")]
        for verb, words in ALL.items():
            self.assert_one_line_error(self.answers(refuse, verb, *words), "not?today")

    def test_codes_that_mean_waiting_are_no_reason_to_wait(self):
        for code in 8, 13:
            for kind in ("ERROR", {}), ("ANSWER", {"more": False}):
                def refuse(message, kind=kind, code=code):
                    return [protocol.encode(kind[0], [b"\xc0"] if kind[0] == "ANSWER" else [], ticket=message.ticket,
                                            code=-code, text="no", **kind[1])]
                self.assert_one_line_error(self.answers(refuse, "status"), "no")

    def test_garbage_ends_it(self):
        garbage = [[b""], [b"\xc1"], [b"\x93\x17\x01\x02", b""], [b"\xdd\xff\xff\xff\xff"],
                   [protocol.pack([protocol.NUMBERS["ANSWER"], 1, 0, False, ""]), b"\xdd\xff\xff\xff\xff"],
                   [protocol.pack([protocol.NUMBERS["ANSWER"], 1, 0, False, ""]), b"\xc0\xc0"]]
        for frames in garbage:
            for verb in "status", "wait":
                result = self.answers(lambda message, frames=frames: [frames], verb, *ALL[verb])
                self.assert_one_line_error(result, f"ipc://{self.home}/socket: the coordinator sent ")

    def status(self, message):
        """The answer of one that knows nothing of the batch; CONSUMED has none."""
        return self.answer({})(message) if message.type == "REQUEST" else []

    def attached(self, message, *rest, **more):
        fields = {"ticket": message.ticket, "batch": message.batch, "function": "echo", "kind": protocol.LIST, "first": 0,
                  "last": 0, "total": 3, "sealed": True}
        return [protocol.encode("ATTACHED", **fields | more), *rest]

    def results(self, message, first, *values, **more):
        fields = {field: 0 for field in protocol.FIELDS["RESULTS"]}
        fields |= {"ticket": message.ticket, "worker": 1, "first": first, "count": len(values), "attempt": 1, "split": False,
                   "failures": [], "timings": None}
        return protocol.encode("RESULTS", [protocol.pack(value) for value in values], **fields | more)

    def test_results_that_cannot_be_are_refused(self):
        cases = ((lambda m: self.attached(m, self.results(m, 2, 1, 2), self.results(m, 3, 1)), "out of order"),
                 (lambda m: self.attached(m, self.results(m, 1, 1, shared_bytes=5)), "shared memory"))
        for reply, said in cases:
            for words in ["results", "1"], ["jobs", "1"]:
                result = self.answers(lambda m, reply=reply: reply(m) if m.type == "ATTACH" else self.status(m), *words)
                self.assert_fails(result, 255, said, f"ipc://{self.home}/socket")

    def test_jobs_are_not_all_gathered_before_one_is_written(self):
        def reply(message):
            if message.type != "ATTACH":
                return self.status(message)
            many = self.results(message, 1, *range(4000))  # of 70 bytes and more each: above 64 KiB
            return self.attached(message, many, self.results(message, 1, 1), total=5000)

        with open("/dev/full", "wb") as full:
            result = self.answers(reply, "jobs", "1", "-o", "json", stdout=full)
        self.assert_fails(result, 255, "No space left")
        self.assertNotIn("out of order", result.err)

    def test_files_that_it_names_stay_as_they_are(self):
        mine, kept = self.home / "mine", self.home / "kept"

        def reply(message):
            if message.type == "SUBMIT":
                return [protocol.encode("ACCEPTED", ticket=message.ticket, batch=1),
                        protocol.encode("GRANT", ticket=message.ticket, bytes=1 << 20)]
            if message.type != "SEAL":
                return []
            ended = {field: 0 for field in protocol.FIELDS["ENDED"]}
            value = [0, 0, 1.5, 1, 1, 1, 1, 0, str(mine), b""]
            return [self.results(message, 1, value),
                    protocol.encode("ENDED", **ended | {"ticket": message.ticket, "succeeded": 1, "text": ""})]

        mine.write_text("precious\n")
        mine.chmod(0o600)
        for words in [], ["--results", kept], ["--files", "--tmpdir", self.home]:
            self.assert_ok(self.answers(reply, "exec", *words, "true", ":::", "1"))
            self.assertEqual((mine.read_text(), mine.stat().st_mode & 0o777), ("precious\n", 0o600))

    def test_messages_about_something_else_are_passed_over(self):
        ended = {field: 0 for field in protocol.FIELDS["ENDED"]}

        def reply(message):
            other = type(message)(ticket=message.ticket + 9, batch=message.batch)
            return [*self.attached(other, self.results(other, 1, "other")), self.results(message, 1, "early"),
                    *self.attached(message, self.results(message, 1, "a")), *self.attached(message, self.results(message, 2, "b")),
                    protocol.encode("ENDED", **ended | {"ticket": message.ticket, "succeeded": 2, "text": ""})]

        self.assert_ok(self.answers(reply, "results", "4"), '"a"\n"b"\n')


if __name__ == "__main__":
    harness.main()
