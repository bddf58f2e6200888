#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Workers of other hosts with a network between them: namespaces that a cable joins, which is slow, loses packets
or is cut, and a host whose clock began at another time. What is not permitted here is skipped, and says so."""
import json
import os
import signal
import subprocess

import harness
import hosts

ADDRESSES = {"here": "10.77.0.1", "there": "10.77.0.2"}
AHEAD_S = 100000  # of the clock of a host


def run(*words):
    """The command's error; None: it went well."""
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return None if result.returncode == 0 else f"{' '.join(words)}: {result.stderr.strip()}"


class Network(hosts.Case):
    """The coordinator is `here`, the other host `there`."""

    def setUp(self):
        super().setUp()
        self.spaces = {side: f"muster-{os.getpid()}-{side}" for side in ADDRESSES}
        for space in self.spaces.values():
            self.must("ip", "netns", "add", space)
            self.addCleanup(run, "ip", "netns", "del", space)
        self.must("ip", "link", "add", "cable", "netns", self.spaces["here"], "type", "veth", "peer", "name", "cable",
                  "netns", self.spaces["there"])
        for side, address in ADDRESSES.items():
            self.must("ip", "-n", self.spaces[side], "addr", "add", f"{address}/24", "dev", "cable")
            self.must("ip", "-n", self.spaces[side], "link", "set", "cable", "up")
            self.must("ip", "-n", self.spaces[side], "link", "set", "lo", "up")

    def must(self, *words):
        error = run(*words)
        if error:
            self.skipTest(f"not permitted here: {error}")

    def cut(self, state):
        self.must("ip", "-n", self.spaces["here"], "link", "set", "cable", "down" if state else "up")

    def inside(self, side, *arguments, **more):
        return super().start("netns", "exec", self.spaces[side], harness.MUSTER, *arguments, command="ip", **more)

    def start(self, *arguments, **more):
        """Workers are there; all else is here, where the keeper's socket is, too."""
        if arguments[0] == "worker":
            return self.inside("there", *arguments, **more)
        arguments = [f"tcp://{ADDRESSES['here']}:*" if word == "tcp://127.0.0.1:*" else word for word in arguments]
        return self.inside("here", *arguments, **more) if arguments[0] == "coordinator" else super().start(*arguments, **more)

    def serve(self, *options, **more):
        """As keys.Case has it, at another address."""
        log = self.home / "log"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "-j1", "--plugin", hosts.FAULTY, "--listen", "tcp://127.0.0.1:*", "--listen",
                                self.local, *options, stderr=stderr, env=self.homes["keeper"], **more)
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: "1 worker; " in daemon.log(), "the coordinator says that it is ready")
        self.env["MUSTER_COORDINATOR"] = daemon.log().split("listens at ")[1].split(",")[0]
        return daemon

    def test_jobs_go_on_behind_a_cable_that_is_cut(self):
        daemon = self.serve("--heartbeat", "3")
        release = self.hold_own()
        outpost = self.join()
        files = [self.home / "a", self.home / "b"]
        begun = self.start("map", "--coordinator", self.local, "--chunk", "1", "wait_count", ":::",
                           *(json.dumps([str(file), 2]) for file in files))
        self.until(lambda: all(file.exists() for file in files), "jobs run there")
        self.cut(True)
        self.until(lambda: "was not heard for too long" in daemon.log(), "the coordinator notices")
        self.until(lambda: "is silent" in outpost.log(), "the host notices")
        for file in files:
            with file.open("ab") as end:
                end.write(b"x")
        self.cut(False)
        self.until(lambda: "is back with 2 workers" in daemon.log(), "the host is back")
        self.assert_ok(begun.end(), "2\n2\n")
        self.assertEqual([file.stat().st_size for file in files], [2, 2])
        release()

    def test_host_behind_a_cable_that_is_cut_is_given_up_and_comes_back(self):
        daemon = self.serve("--heartbeat", "3", "--host-grace", "0.5")
        release = self.hold_own()
        outpost = self.join()
        gate = self.home / "second"
        begun = self.start("map", "--coordinator", self.local, "--crash-limit", "1", "wait_file", ":::",
                           json.dumps(str(gate)), json.dumps(str(gate)))
        self.until(lambda: len(self.theirs("busy")) == 2, "jobs run there")
        self.cut(True)
        self.until(lambda: "has not come back" in daemon.log(), "the coordinator gives it up")
        self.until(lambda: "is silent" in outpost.log(), "the host gives the coordinator up")
        self.assertEqual(self.theirs(), [])
        gate.touch()
        release()
        self.assert_ok(begun.end(), "true\ntrue\n")
        self.cut(False)
        self.until(lambda: daemon.log().count("joins with 2 workers") >= 2, "the host is back")
        self.assert_ok(self.at("map", "nqueens", ":::", *["5"] * 30), "10\n" * 30)

    def test_cable_that_is_slow_and_loses_packets(self):
        for side in ADDRESSES:
            self.must("tc", "-n", self.spaces[side], "qdisc", "add", "dev", "cable", "root", "netem", "delay", "20ms", "5ms",
                      "loss", "2%")
        self.serve("--heartbeat", "5")
        release = self.hold_own()
        self.join()
        self.assert_ok(self.at("map", "nqueens", ":::", *["5"] * 300), "10\n" * 300)
        text = json.dumps("x" * (1 << 20))
        self.assert_ok(self.at("map", "echo", text=text + "\n"), text + "\n")
        release()


class Clock(hosts.Case):
    def test_times_of_a_clock_that_began_earlier_are_set_back(self):
        self.serve()
        release = self.hold_own()
        ahead = ("unshare", "--time", "--monotonic", str(AHEAD_S), "--fork", "--kill-child=SIGTERM")
        error = run(*ahead, "true")
        if error:
            self.skipTest(f"not permitted here: {error}")
        log = self.home / "ahead"
        with open(log, "wb") as stderr:
            outpost = self.start(*ahead[1:], harness.MUSTER, "worker", "--connect", self.env["MUSTER_COORDINATOR"], "-j1",
                                 "--plugin", hosts.FAULTY, stderr=stderr, env=self.homes["node"], command=ahead[0])
        outpost.log = log.read_text
        self.outposts.append(outpost)
        self.until(lambda: " for tcp://" in outpost.log(), "the host joins")
        result = self.at("map", "-o", "json", "nqueens", ":::", *["7"] * 20)
        self.assert_ok(result)
        for line in result.out.splitlines():
            job = json.loads(line)
            self.assertEqual(job["worker"], 2)
            self.assertTrue(all(0 <= us < AHEAD_S * 1e6 / 2 for us in job["receipt"].values()), job)
            parts = sum(us for name, us in job["receipt"].items() if name != "total_us")
            self.assertAlmostEqual(parts, job["receipt"]["total_us"], delta=1, msg=line)
        outpost.signal(signal.SIGKILL)
        release()


if __name__ == "__main__":
    harness.main()
