#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Workers of other hosts: they serve as the coordinator's own do, and are lost without anybody's fault. Here all hosts
are this one; network.py puts a network between them."""
import json
import os
import pathlib
import signal

import harness
import keys

FAULTY = harness.plugin("faulty")
STATE = -16


def threads(pid):
    """Of each thread its state, and how often it has waited; the first one's job looks at its file again and again."""
    found = {}
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
        found[path.parent.name] = (fields["State"].split()[0],
                                   0 if path.parent.name == str(pid) else int(fields["voluntary_ctxt_switches"]))
    return found


def asleep(pid):
    """Whether all threads of the process wait, and none woke another one that had been looked at before."""
    before = threads(pid)
    return {state for state, _ in before.values()} == {"S"} and threads(pid) == before


class Case(keys.Case):
    def setUp(self):
        super().setUp()
        self.outposts = []
        self.allow("node", "work")

    def tearDown(self):
        for outpost in self.outposts:
            if outpost.process.poll() is None:
                outpost.signal(signal.SIGCONT)
                outpost.signal(signal.SIGTERM)
                outpost.process.wait(harness.LIMIT_S)
        super().tearDown()

    def outpost(self, *options, name="node", plugin=FAULTY, workers=2, endpoint=None):
        """Workers of somebody, who may be refused."""
        log = self.home / f"outpost-{len(self.outposts)}"
        with open(log, "wb") as stderr:
            outpost = self.start("worker", "--connect", endpoint or self.env["MUSTER_COORDINATOR"], "-j", workers,
                                 *(["--plugin", plugin] if plugin else []), *options, stderr=stderr,
                                 env=self.homes[name])
        outpost.log = log.read_text
        self.outposts.append(outpost)
        return outpost

    def join(self, *options, **more):
        outpost = self.outpost(*options, **more)
        self.until(lambda: " for tcp://" in outpost.log() or outpost.process.poll() is not None, "the host joins")
        self.assertIsNone(outpost.process.poll(), outpost.log())
        return outpost

    def at(self, *words, **more):
        """The keeper, at his socket."""
        return self.muster(words[0], "--coordinator", self.local, *words[1:], **more)

    def workers(self):
        result = self.at("workers", "-o", "json")
        self.assert_ok(result)
        return [json.loads(line) for line in result.out.splitlines()]

    def theirs(self, state=None):
        return [worker for worker in self.workers() if worker["host"] and state in (None, worker["state"])]

    def hold_own(self):
        """The coordinator's only worker has something to do until its file is there. Returns what ends that."""
        gate = self.home / "gate"
        held = self.start("map", "--coordinator", self.local, "wait_file", ":::", json.dumps(str(gate)))
        self.until(lambda: [worker for worker in self.workers() if worker["state"] == "busy"], "it is busy")

        def release():
            gate.touch()
            self.assert_ok(held.end(), "true\n")
        return release

    def refused(self, outpost, *words):
        """The one line with which it ends."""
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 255)
        self.assertEqual(outpost.log().count("\n"), 1, outpost.log())
        for word in words:
            self.assertIn(word, outpost.log())


class Serving(Case):
    def test_jobs_run_there_and_results_come_back(self):
        daemon = self.serve()
        release = self.hold_own()
        self.join()
        result = self.at("map", "-o", "json", "nqueens", ":::", *["6"] * 20)
        self.assert_ok(result)
        jobs = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual({job["result"] for job in jobs}, {4})
        self.assertTrue({job["worker"] for job in jobs} <= {2, 3}, result.out)
        for job in jobs:  # one clock, after all
            parts = [us for name, us in job["receipt"].items() if name != "total_us"]
            self.assertTrue(all(us >= 0 for us in parts), job)
        self.assertRegex(self.at("workers").out, rf"(?m) {os.uname().nodename}$")
        self.assertIn("joins with 2 workers", daemon.log())
        release()

    def test_large_values_cross(self):
        self.serve()
        release = self.hold_own()
        self.join()
        text = json.dumps("x" * (3 << 20))
        result = self.at("map", "echo", text=text + "\n")
        self.assert_ok(result, text + "\n")
        release()

    def test_host_may_send_more_than_a_message_may_have(self):
        daemon = self.serve()
        release = self.hold_own()
        self.join()
        self.assert_ok(self.at("map", "-o", "none", "work", ":::", *['{"bytes": 4194304}'] * 80))
        self.assertNotIn("cut off", daemon.log())
        release()

    def test_commands_run_where_the_coordinator_is(self):
        self.serve()
        release = self.hold_own()
        self.join()
        result = self.at("exec", "--detach", "echo $PPID", ":::", "x")
        batch = result.out.strip()
        own = {worker["pid"] for worker in self.workers() if not worker["host"]}
        self.assertEqual(self.theirs("busy"), [])
        release()
        self.at("wait", batch)
        result = self.at("results", batch)
        self.assert_ok(result)
        self.assertIn(int(result.out.split()[0]), own)

    def test_crash_there_is_blamed_on_the_job_that_ran(self):
        self.serve()
        release = self.hold_own()
        self.join()
        result = self.at("map", "-o", "json", "--crash-limit", "1", "kill_self", ":::", "1")
        self.assertEqual(result.status, 1, str(result))
        error = json.loads(result.out)
        self.assertIn("crashed its worker: killed by SIGKILL", error["error"])
        self.assertIn(f"(host {os.uname().nodename})", error["error"])
        self.until(lambda: self.at("map", "is_prime", ":::", "7").out == "true\n", "another one is there")
        release()

    def test_time_limit_is_kept_there(self):
        self.serve()
        release = self.hold_own()
        self.join()
        result = self.at("map", "-o", "json", "--timeout", "0.2", "hang", ":::", "1")
        self.assertEqual(result.status, 1, str(result))
        self.assertIn("timed out", json.loads(result.out)["error"])
        release()

    def test_drain_waits_for_them_and_scale_is_about_others(self):
        self.serve()
        self.join()
        self.assert_ok(self.at("map", "nqueens", ":::", *["5"] * 30), "10\n" * 30)
        self.assert_ok(self.at("scale", "2"), "")
        status = json.loads(self.at("status", "-o", "json").out)
        self.assertEqual(status["workers"], 4)
        self.assert_ok(self.at("scale", "1"), "")
        self.assert_ok(self.at("drain", "--wait"), "")
        self.assert_ok(self.at("drain", "--off"), "")
        self.assertEqual(json.loads(self.at("status", "-o", "json").out)["workers"], 3)


class Ends(Case):
    def busy(self, count=1):
        return self.until(lambda: len(self.theirs("busy")) >= count, "jobs run there")

    def test_host_that_is_killed_is_nobodys_fault(self):
        self.may_leave_files = True  # the host's socket
        daemon = self.serve("--host-grace", "0.5")
        release = self.hold_own()
        outpost = self.join()
        gate = self.home / "second"
        run = self.start("map", "--coordinator", self.local, "--crash-limit", "1", "wait_file", ":::",
                         json.dumps(str(gate)), json.dumps(str(gate)))
        self.busy(2)
        outpost.signal(signal.SIGKILL)
        self.until(lambda: not self.theirs(), "its workers are given up")
        self.assertIn("its connection is gone", daemon.log())
        gate.touch()
        release()
        self.assert_ok(run.end())

    def test_result_that_a_worker_sent_before_it_died_counts(self):
        """Its host sees both at once."""
        self.serve("--heartbeat", "60")
        release = self.hold_own()
        outpost = self.join(workers=1)
        counters = [self.home / str(number) for number in range(10)]
        for number, counter in enumerate(counters):
            if number not in (6, 7):  # these wait; the others show that jobs are short, so that one is held ahead
                counter.write_bytes(b"x")
        run = self.start("map", "--coordinator", self.local, "--chunk", "1", "wait_count", ":::",
                         *(json.dumps([str(counter), 2]) for counter in counters))
        worker = self.until(lambda: [each for each in self.theirs("busy") if counters[6].exists() and each["chunks"] > 1],
                            "two are in its hands")[0]
        outpost.signal(signal.SIGSTOP)
        with counters[6].open("ab") as file:
            file.write(b"x")
        self.until(counters[7].exists, "the second of them begins")
        self.until(lambda: asleep(worker["pid"]), "the result of the first has left")
        os.kill(worker["pid"], signal.SIGKILL)
        outpost.signal(signal.SIGCONT)
        self.assert_ok(run.end(), 10 * "2\n")
        self.assertEqual([counter.stat().st_size for counter in counters], 10 * [2])
        release()

    def test_host_leaves_when_it_is_asked_to(self):
        daemon = self.serve()
        outpost = self.join()
        outpost.signal(signal.SIGTERM)
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 0)
        self.until(lambda: "leaves" in daemon.log(), "the coordinator says so")
        self.assertEqual(json.loads(self.at("status", "-o", "json").out)["workers"], 1)

    def test_workers_end_with_a_coordinator_that_is_stopped(self):
        self.serve()
        outpost = self.join()
        self.assert_ok(self.at("stop"), "")
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 0)
        self.assertIn("has ended", outpost.log())

    def test_host_that_is_silent_is_given_up_and_may_come_back(self):
        daemon = self.serve("--heartbeat", "3", "--host-grace", "0")
        release = self.hold_own()
        outpost = self.join()
        gate = self.home / "second"
        run = self.start("map", "--coordinator", self.local, "--crash-limit", "1", "wait_file", ":::",
                         json.dumps(str(gate)))
        self.busy()
        outpost.signal(signal.SIGSTOP)
        self.until(lambda: "was not heard for too long" in daemon.log(), "it is given up")
        self.assertEqual(self.theirs(), [])
        outpost.signal(signal.SIGCONT)
        self.until(lambda: daemon.log().count("joins with") >= 2, "it joins again")
        gate.touch()
        self.assert_ok(run.end())
        release()

    def test_key_that_is_withdrawn_ends_it(self):
        self.serve()
        outpost = self.join()
        self.list.write_text("".join(line for line in self.list.read_text().splitlines(True) if " node" not in line)
                             + "# nobody\n")
        self.refused_later(outpost)
        self.until(lambda: json.loads(self.at("status", "-o", "json").out)["workers"] == 1, "its places are gone")

    def refused_later(self, outpost):
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 255)
        self.assertIn("this key is not allowed", outpost.log())


class Refusals(Case):
    def test_key_that_is_not_allowed(self):
        key = self.person("eve")
        self.serve()
        self.refused(self.outpost(name="eve"), "does not accept this host's key", f"muster key allow {key} work NAME")

    def test_key_that_may_submit_alone(self):
        self.allow("alice", "submit")
        self.serve()
        self.refused(self.outpost(name="alice"), "the roles of this key do not allow that")

    def test_key_that_is_missing(self):
        self.person("bob", key=False)
        self.serve()
        self.refused(self.outpost(name="bob"), "muster key make")

    def test_plugin_that_is_missing_or_differs(self):
        self.serve()
        self.refused(self.outpost(plugin=None), "the plug-in faulty.so of the coordinator", "is not among those")
        other = self.home / "faulty.so"
        with open(FAULTY, "rb") as source:
            other.write_bytes(source.read() + b"\0")
        self.refused(self.outpost(plugin=other), "the plug-in faulty.so of the coordinator", "--plugin FILE")
        self.refused(self.outpost("--plugin", harness.plugin("traced")), "traced.so", "is not among those of the coordinator")

    def test_workers_that_are_less_confined(self):
        sockets = self.home / "run"  # not where jobs may write, as TMPDIR is
        sockets.mkdir()
        self.env["XDG_RUNTIME_DIR"] = str(sockets)
        self.serve("--sandbox")
        self.refused(self.outpost(), "--sandbox is needed")
        for word in "net", "home", "local":
            self.refused(self.outpost(f"--sandbox={word}"), "--sandbox is needed")
        self.join("--sandbox")
        self.assert_ok(self.at("map", "is_prime", ":::", "7"), "true\n")

    def test_more_workers_than_a_host_can_name(self):
        self.serve()
        self.refused(self.outpost(workers=1025), "-j 1025: a number of workers from 1 to 1024 is expected")
        self.refused(self.outpost(workers=0), "-j 0: a number of workers from 1 to 1024 is expected")

    def test_endpoint_that_cannot_be(self):
        self.serve()
        for endpoint, words in (("ipc:///tmp/s", "--connect takes tcp://"), ("tcp://192.0.2.1:5555", "#KEY"),
                                ("tcp://127.0.0.1", "PORT")):
            self.refused(self.outpost(endpoint=endpoint), *words.split("|"))
        address, key = self.env["MUSTER_COORDINATOR"].split("#")
        self.refused(self.outpost(endpoint=f"{address}#{key[::-1]}"), "no coordinator answers at")
        self.refused(self.outpost(endpoint=f"tcp://127.0.0.1:1#{key}"), "no coordinator answers at")

    def test_what_a_host_may_not_send_ends_its_connection(self):
        self.serve()
        peer = self.peer("node", "host-of-mine")
        self.assertEqual(self.say(peer, "BEAT", nonce=0, clock_ns=0).code, STATE)


if __name__ == "__main__":
    harness.main()
