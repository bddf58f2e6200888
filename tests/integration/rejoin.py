#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Another host whose connection is lost for a while: its workers go on, and when it is back their jobs are theirs
still. Each job adds a byte to a file of its own when it begins, and ends when the test has added one, too: two bytes
are a job that began once."""
import json
import os
import pathlib
import signal

import harness
import hosts
import relay


LONG = 4 << 20  # bytes of a value that crosses a slow line, there and back,
SILENCES = 3    # for so many times as long as a host may be silent


class Rejoin(hosts.Case):
    def setUp(self):
        super().setUp()
        self.relay = relay.Relay()
        self.addCleanup(self.relay.close)

    def serve(self, *options, **more):
        daemon = super().serve("--heartbeat", "3", *options, **more)
        self.relay.open(self.port)
        return daemon

    def host(self, **more):
        """Behind the relay, with its workers' only competitor busy. Returns it."""
        key = self.env["MUSTER_COORDINATOR"].split("#")[1]
        return self.join(endpoint=f"tcp://127.0.0.1:{self.relay.port}#{key}", **more)

    def job(self, name):
        return self.home / f"job-{name}"

    def begun(self, name):
        return self.job(name).stat().st_size if self.job(name).exists() else 0

    def finish(self, *names):
        for name in names:
            with self.job(name).open("ab") as file:
                file.write(b"x")

    def submit(self, *names, options=()):
        """A batch of which the first two jobs have begun."""
        arguments = (json.dumps([str(self.job(name)), 2]) for name in names)
        result = self.at("map", "--detach", "--chunk", "1", *options, "wait_count", ":::", *arguments)
        self.assertEqual(result.status, 0, str(result))
        self.until(lambda: all(self.begun(name) for name in names[:2]), "jobs begin")
        return result.out.strip()

    def succeeds(self, batch, *names):
        self.assert_ok(self.at("wait", batch))
        self.assert_ok(self.at("results", batch), "2\n" * len(names))
        self.assertEqual({name: self.begun(name) for name in names}, {name: 2 for name in names})

    def pids(self):
        return {worker["pid"] for worker in self.theirs()}

    def noted(self):
        """Hosts that the next life of the coordinator is to wait for."""
        return [path for path in self.home.rglob("host-*") if len(path.name) == len("host-") + 16]

    def watched(self, daemon):
        """How many processes it watches, none of which is a worker."""
        folder = pathlib.Path(f"/proc/{daemon.pid}/fd")
        return sum("pidfd" in os.readlink(path) for path in folder.iterdir())

    def part(self, daemon, outpost):
        """Nothing comes through until both sides have noticed."""
        self.relay.hold()
        self.until(lambda: "was not heard for too long" in daemon.log(), "the coordinator notices")
        self.until(lambda: "is silent" in outpost.log(), "the host notices")

    def comes_back(self, daemon, how="is back with 2 workers"):
        self.until(lambda: how in daemon.log(), "the host is back")

    def test_jobs_go_on_behind_a_connection_that_breaks(self):
        daemon = self.serve()
        release = self.hold_own()
        self.host()
        batch = self.submit("a", "b", "c")
        before = self.pids()
        self.relay.cut()
        self.until(lambda: "its connection is gone" in daemon.log(), "the coordinator notices")
        self.finish("a")
        self.relay.open()
        self.comes_back(daemon)
        self.until(lambda: self.begun("c"), "the next job begins")
        self.finish("b", "c")
        self.succeeds(batch, "a", "b", "c")
        self.assertEqual(self.pids(), before)
        release()

    def test_jobs_go_on_behind_a_partition(self):
        daemon = self.serve()
        release = self.hold_own()
        outpost = self.host()
        batch = self.submit("a", "b", "c")
        self.part(daemon, outpost)
        self.finish("a")
        self.assertEqual(self.begun("c"), 0)
        self.relay.open()
        self.comes_back(daemon)
        self.until(lambda: self.begun("c"), "the next job begins")
        self.finish("b", "c")
        self.succeeds(batch, "a", "b", "c")
        release()

    def test_host_that_was_given_up_is_told_so_and_starts_anew(self):
        daemon = self.serve("--host-grace", "0.5")
        release = self.hold_own()
        outpost = self.host()
        batch = self.submit("a", "b")
        before = self.pids()
        self.part(daemon, outpost)
        self.until(lambda: "has not come back" in daemon.log(), "it is given up")
        self.assertEqual(self.theirs(), [])
        self.relay.open()
        self.until(lambda: "this host was given up" in outpost.log(), "it is told so")
        self.until(lambda: daemon.log().count("joins with 2 workers") == 2, "it begins anew")
        self.assert_ok(self.at("wait", batch))  # each began twice, and finds two bytes
        release()
        self.assertFalse(self.pids() & before)

    def test_jobs_go_on_while_the_coordinator_is_killed_and_comes_back(self):
        self.may_leave_files = True
        state = self.home / "state"
        daemon = self.serve("--state", state)
        outpost = self.host()
        batch = self.submit("a", "b", "c", "d")  # the third has the coordinator's own worker
        self.until(lambda: self.begun("c"), "three run")
        before = {worker["pid"] for worker in self.workers()}
        for life in range(2):
            lost = outpost.log().count("is lost")
            joined = outpost.log().count("2 workers for")
            daemon.signal(signal.SIGKILL)
            daemon.process.wait()
            self.until(lambda: outpost.log().count("is lost") > lost, "the host notices")
            self.finish("ab"[life])
            daemon = self.serve("--state", state)
            self.comes_back(daemon, "is back from another life with 2 workers")
            # Who is lost before it has heard of that says nothing.
            self.until(lambda: outpost.log().count("2 workers for") > joined, "the host knows")
        self.until(lambda: self.begun("d"), "the last job begins")
        self.finish("c", "d")
        self.succeeds(batch, "a", "b", "c", "d")
        self.assertEqual({worker["pid"] for worker in self.workers()}, before)

    def test_host_of_the_life_before_is_forgotten_where_none_is_waited_for(self):
        self.may_leave_files = True
        state = self.home / "state"
        daemon = self.serve("--state", state)
        outpost = self.host()
        self.assertEqual(len(self.noted()), 1)
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        outpost.signal(signal.SIGTERM)
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 0)
        self.serve("--state", state, "--host-grace", "0")
        self.assertEqual(self.noted(), [])

    def test_host_without_a_key_that_comes_again_leaves_no_descriptor(self):
        log = self.home / "log-plain"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "-j1", "--heartbeat", "3", "--listen", "tcp://127.0.0.1:*",
                                "--listen", self.local, stderr=stderr, env=self.homes["keeper"])
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: "1 worker; " in daemon.log(), "the coordinator says that it is ready")
        self.port = int(daemon.log().split("listens at tcp://127.0.0.1:")[1].split(",")[0])
        self.relay.open(self.port)
        outpost = self.join(endpoint=f"tcp://127.0.0.1:{self.relay.port}", plugin=None)
        for time in range(2):
            self.relay.hold()
            self.until(lambda: daemon.log().count("was not heard for too long") > time, "the coordinator notices")
            self.until(lambda: outpost.log().count("is silent") > time, "the host notices")
            self.relay.open()
            self.until(lambda: daemon.log().count("is back with") > time, "the host is back")
            self.until(lambda: outpost.log().count(" for tcp://") > time + 1, "the host knows that it is")
            self.workers()  # it is answered behind what the host said, by a client that is watched, too
            self.until(lambda: self.watched(daemon) == 1, "the host alone is watched, and once")

    def test_coordinator_without_a_file_that_comes_back_tells_the_host_to_start_anew(self):
        self.may_leave_files = True
        daemon = self.serve()
        outpost = self.host()
        self.submit("a", "b")
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        daemon = self.serve()
        self.until(lambda: "this host was given up" in outpost.log(), "it is told so")
        self.comes_back(daemon, "joins with 2 workers")
        self.assertEqual(self.theirs(), [])

    def test_job_of_a_worker_that_died_meanwhile_is_blamed(self):
        daemon = self.serve()
        release = self.hold_own()
        outpost = self.host()
        batch = self.submit("a", "b", options=("--crash-limit", "1"))
        victim = self.theirs()[0]["pid"]
        self.part(daemon, outpost)
        os.kill(victim, signal.SIGKILL)
        self.assert_gone(victim)
        self.relay.open()
        self.comes_back(daemon)
        self.finish("a", "b")
        self.at("wait", batch)
        result = self.at("results", "-o", "json", batch)
        errors = [line for line in result.out.splitlines() if "crashed its worker: killed by SIGKILL" in line]
        self.assertEqual(len(errors), 1, str(result))
        self.assertEqual((self.begun("a"), self.begun("b")), (2, 2))
        release()

    def test_job_of_a_worker_that_died_while_there_was_no_coordinator_is_blamed_by_the_next(self):
        self.may_leave_files = True
        state = self.home / "state"
        daemon = self.serve("--state", state)
        outpost = self.host()
        batch = self.submit("a", "b", options=("--crash-limit", "1"))
        victim = self.theirs("busy")[0]["pid"]
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        self.until(lambda: "is lost" in outpost.log(), "the host notices")
        os.kill(victim, signal.SIGKILL)
        self.assert_gone(victim)
        daemon = self.serve("--state", state)
        self.comes_back(daemon, "is back from another life")
        self.finish("a", "b")
        self.at("wait", batch)
        result = self.at("results", "-o", "json", batch)
        self.assertEqual(result.out.count("crashed its worker: killed by SIGKILL"), 1, str(result))
        self.assertEqual((self.begun("a"), self.begun("b")), (2, 2))

    def test_batch_that_is_cancelled_while_its_host_is_away_ends(self):
        daemon = self.serve()
        release = self.hold_own()
        outpost = self.host()
        batch = self.submit("a", "b")
        self.part(daemon, outpost)
        self.assert_ok(self.at("cancel", "--now", batch))
        self.at("wait", batch)
        self.assertEqual(json.loads(self.at("jobs", "-o", "json").out.splitlines()[0])["state"], "cancelled")
        self.relay.open()
        self.comes_back(daemon)
        self.submit("c", "d")  # which begin when the others have ended
        self.finish("c", "d")
        self.assertEqual((self.begun("a"), self.begun("b")), (1, 1))
        release()

    def test_value_that_takes_longer_to_cross_than_silence_may_last_crosses(self):
        daemon = self.serve()
        release = self.hold_own()
        outpost = self.host()
        text = json.dumps("x" * LONG)
        self.relay.change(pace=SILENCES * 1.8 / LONG)  # 3/5 of --heartbeat 3, so often
        self.assert_ok(self.at("map", "echo", text=text + "\n"), text + "\n")
        for log in daemon.log(), outpost.log():
            self.assertNotIn("was not heard", log)
            self.assertNotIn("is silent", log)
            self.assertNotIn("not answering", log)
        release()

    def test_host_that_leaves_while_it_is_away_is_given_up(self):
        daemon = self.serve("--host-grace", "1")
        release = self.hold_own()
        outpost = self.host()
        batch = self.submit("a", "b")
        self.relay.cut()
        outpost.signal(signal.SIGTERM)
        self.assertEqual(outpost.process.wait(harness.LIMIT_S), 0)
        self.until(lambda: "has not come back" in daemon.log(), "it is given up")
        release()
        self.assert_ok(self.at("wait", batch))


if __name__ == "__main__":
    harness.main()
