#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How output of commands appears: job by job, line by line, as it comes, as JSON; and what becomes of the
rest when a command writes what it should not, or goes on writing."""
import base64
import json
import os
import resource
import subprocess
import time
import unittest

import harness

MIB = 1 << 20
WAYS = ((), ("--line-buffer",), ("-k", "--line-buffer"), ("--ungroup",))
measures_memory = unittest.skipIf(harness.SANITIZE, "sanitizers need memory of their own")


class Case(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def gate(self, name):
        """A FIFO at which a command waits: `read x <PATH`."""
        os.mkfifo(self.home / name)
        return self.home / name

    @staticmethod
    def open(gate):
        with open(gate, "w", encoding="ascii"):
            pass


class Lines(Case):
    def test_line_is_written_while_its_job_runs(self):
        gate = self.gate("gate")
        for tag, line in ((), "1"), (("--tag",), "1\t1"), (("--tagstring", "{%}-{}", "-v"), None):
            run = self.start("exec", "-j1", "--line-buffer", *tag, f"echo {{}}; read x <{gate}; echo b; printf c", ":::", "1")
            if line is None:
                self.assertEqual(run.line(), f"1-1\techo 1; read x <{gate}; echo b; printf c")
                line = "1-1\t1"
            self.assertEqual(run.line(), line)
            self.open(gate)
            self.assert_ok(run.end(), f"{line[:-1]}b\n{line[:-1]}c")

    def test_line_of_standard_error_is_written_while_its_job_runs(self):
        gate = self.gate("gate")
        run = self.start("exec", "--lb", "--tag", f"echo {{}} >&2; read x <{gate}; true", ":::", "1")
        self.assertEqual(run.process.stderr.readline(), b"1\t1\n")
        self.open(gate)
        self.assert_ok(run.end(), "")

    def test_job_log_has_how_much_was_written(self):
        for order in (), ("-k",):
            self.assert_ok(self.exec("--lb", *order, "--tag", "--joblog", self.home / "log", "seq {}; exec >&-; sleep 0.1", ":::", "9", "5"), None)
            lines = [line.split("\t") for line in (self.home / "log").read_text().splitlines()[1:]]
            self.assertEqual({line[0]: line[5] for line in lines}, {"1": "18", "2": "10"})

    def test_lines_of_several_jobs_come_in_turns(self):
        gates = [self.gate(name) for name in "bc"]
        run = self.start("exec", "-j2", "--lb", "--wd", self.home,
                         "case {} in x) echo 1; read x <b; echo 2;; y) echo 3; read x <c; echo 4;; esac; true",
                         ":::", "x", "y")
        self.assertEqual({run.line(), run.line()}, {"1", "3"})
        for gate, line in zip(gates, ("2", "4")):
            self.open(gate)
            self.assertEqual(run.line(), line)
        self.assert_ok(run.end(), "")

    def test_long_lines_of_several_jobs_do_not_mix(self):
        script = "for i in 1 2 3 4 5 6; do head -c 150000 /dev/zero | tr '\\0' {}; echo; done"
        for order in (), ("-k",):
            result = self.exec("-j4", "--lb", *order, script, ":::", *"abcd")
            self.assert_ok(result)
            lines = result.out.splitlines()
            self.assertEqual(sorted(lines), sorted(letter * 150000 for letter in "abcd" for _ in range(6)))
            if order:
                self.assertEqual([line[0] for line in lines], list("aaaaaabbbbbbccccccdddddd"))

    def test_long_line_of_one_job_holds_up_output_of_another_and_not_the_job(self):
        gate = self.gate("gate")
        run = self.start("exec", "-j2", "--lb",
                         f"if [ {{}} = a ]; then head -c 100000 /dev/zero | tr '\\0' a; read x <{gate}; echo; "
                         f"else seq 100000; echo >{gate}; fi", ":::", "a", "b")
        result = run.end()
        self.assert_ok(result)
        lines = result.out.splitlines()
        self.assertEqual([line for line in lines if len(line) > 10], ["a" * 100000])
        self.assertEqual([line for line in lines if len(line) <= 10], [str(i) for i in range(1, 100001)])

    @measures_memory
    def test_line_without_end_takes_no_memory(self):
        for order in (), ("-k",):
            run = self.start("exec", "-j2", "--lb", *order, "echo {}; head -c 200M /dev/zero #", ":::", "1", "2",
                             stdout=subprocess.DEVNULL, limits={resource.RLIMIT_DATA: 100 * MIB})
            self.assert_ok(run.end(), None)

    def test_kept_order_is_live_for_the_job_whose_turn_it_is(self):
        first, second = self.gate("first"), self.gate("second")
        run = self.start("exec", "-j2", "-k", "--lb",
                         f"if [ {{}} = 1 ]; then read x <{first}; echo 1; read x <{second}; else seq 11 50000; echo >{first}; "
                         f"echo >{second}; fi", ":::", "1", "2")
        self.assertEqual(run.line(), "1")
        self.assert_ok(run.end(), "".join(f"{i}\n" for i in range(11, 50001)))

    def test_jobs_ended_ahead_of_their_turn_keep_no_descriptors(self):
        gate = self.gate("gate")
        run = self.start("exec", "-j2", "-k", "--lb",
                         f"case {{}} in 1) read x <{gate};; 200) echo >{gate};; esac; echo {{}}; seq 20000 >&2", ":::",
                         *map(str, range(1, 201)), stderr=subprocess.DEVNULL, limits={resource.RLIMIT_NOFILE: 64})
        self.assert_ok(run.end(), "".join(f"{i}\n" for i in range(1, 201)))

    def test_descriptors_are_not_used_up_by_jobs_that_run(self):
        gate = self.gate("gate")
        for limit in range(90, 141, 10):  # from too few to enough
            run = self.start("exec", "-j10", "--lb", f"echo {{}}; read x <{gate}", ":::", *range(10),
                             limits={resource.RLIMIT_NOFILE: limit})
            if run.process.stdout.readline():
                for _ in range(9):
                    self.assertTrue(run.process.stdout.readline(), limit)  # all of them run
                end = os.open(gate, os.O_RDWR)
                os.write(end, b"\n" * 10)  # a line for each
                self.assert_ok(run.end())
                os.close(end)
            else:
                self.assert_one_line_error(run.end(), "10 workers need", "ulimit -n")
                self.assertLess(limit, 140)

    def test_interrupt_ends_a_line_without_end(self):
        run = self.start("exec", "-j2", "--lb", "cat /dev/zero #", ":::", "1", "2")
        self.assertEqual(len(run.process.stdout.read(MIB)), MIB)
        run.interrupt()
        self.assertEqual(run.end().status, 130)


class Ungrouped(Case):
    def test_command_has_standard_output_itself(self):
        with open(self.home / "out", "ab") as file:
            result = self.exec("-u", "--tag", "(readlink /proc/$$/fd/1 >&2); echo {}", ":::", "1", stdout=file)
        self.assertEqual((result.status, result.err), (0, f"{self.home}/out\n"), str(result))
        self.assertEqual((self.home / "out").read_text(), "1\n")

    def test_command_has_no_descriptors_of_workers(self):
        for way in WAYS:
            self.assert_ok(self.exec(*way, "cd /proc/$$/fd && echo * #", ":::", "x"), "0 1 2 3\n")  # 3: as it looks

    def test_command_may_close_its_standard_output(self):
        for way in WAYS:
            result = self.exec(*way, "exec >&-; echo {} >&2", ":::", "1")
            self.assertEqual((result.status, result.out, result.err), (0, "", "1\n"), str(result))

    def test_ways_that_exclude_each_other_are_refused(self):
        for pair in ("-u", "--lb"), ("--group", "-u"), ("--lb", "--group"):
            self.assert_fails(self.exec(*pair, "echo", ":::", "1"), 255, "is enough")

    def test_options_that_mean_nothing_exclude_no_way(self):
        for way in WAYS:
            self.assert_ok(self.exec("--will-cite", "--gnu", *way, "echo", ":::", "1"), "1\n")


class Records(Case):
    def records(self, *arguments, status=0):
        result = self.exec("-o", "json", "-k", *arguments)
        self.assertEqual(result.status, status, str(result))
        return [json.loads(line) for line in result.out.splitlines()]

    def test_record_has_all_of_a_job(self):
        begin = time.time()
        first, second = self.records("-j1", "--tag", "echo \"{}\"; echo err >&2; exit {#}", ":::", "é \\", "b", status=2)
        self.assertTrue(begin - 1 < first.pop("start") <= second.pop("start") < time.time() + 1)
        for record in first, second:
            self.assertGreater(record.pop("wall_s"), 0)
            self.assertGreaterEqual(min(record.pop("user_s"), record.pop("system_s")), 0)
            self.assertGreater(record.pop("max_rss_kib"), 100)
        self.assertEqual(second, {"seq": 2, "command": 'echo "b"; echo err >&2; exit 2', "tag": "b", "worker": 1, "reason": "exit status 2",
                                  "exit": 2, "signal": None, "timed_out": False, "stdout_encoding": "utf-8", "stdout": "b\n",
                                  "stderr_encoding": "utf-8", "stderr": "err\n"})

    def test_jobs_that_were_ended_say_by_what(self):
        killed, = self.records("kill -9 $$ #", ":::", "x", status=1)
        self.assertEqual((killed["exit"], killed["signal"], killed["reason"]), (None, 9, "killed by signal 9 (Killed)"))
        late, = self.records("--timeout", "0.1", "sleep 1000 #", ":::", "x", status=1)
        self.assertEqual((late["exit"], late["timed_out"]), (None, True))

    def test_output_of_any_kind_and_size_is_whole(self):
        data, other = self.home / "data", self.home / "other"
        characters = "aé€😀\"\\\n\0"
        for text in "", characters, characters * 400000, "x" * 49151 + "é" * 600000, "é" * 24576:
            data.write_text(text, encoding="utf-8")
            record, = self.records("cat {}", ":::", data)
            self.assertEqual(record["stdout_encoding"], "utf-8")
            self.assertTrue(record["stdout"] == text)
        for size in 1, 49152, 3_000_000:
            data.write_bytes(b"\xff" * size)
            other.write_bytes(b"x" * (size - 1) + b"\xc3")
            record, = self.records("cat {1}; cat {2} >&2", ":::", data, ":::", other)
            for stream, path in ("stdout", data), ("stderr", other):
                self.assertEqual(record[stream + "_encoding"], "base64")
                self.assertTrue(base64.b64decode(record[stream]) == path.read_bytes())

    def test_records_and_live_output_exclude_each_other(self):
        for way in "-u", "--lb":
            self.assert_fails(self.exec("-o", "json", way, "echo", ":::", "1"), 255, "-o json shows a job when it has ended")
        self.assert_fails(self.exec("-o", "xml", "echo", ":::", "1"), 255, "text or json is expected")

    def test_statistics_tell_what_commands_used(self):
        result = self.exec("--stats", self.home / "stats", "-o", "json", "while [ $((i += 1)) -lt {} ]; do :; done", ":::", "20000", "10000")
        self.assert_ok(result)
        used = json.loads((self.home / "stats").read_text())["commands"]
        records = [json.loads(line) for line in result.out.splitlines()]
        for key in "user_s", "system_s":
            self.assertAlmostEqual(used[key], sum(record[key] for record in records), places=4)
        self.assertEqual(used["max_rss_kib"], max(record["max_rss_kib"] for record in records))


class Left(Case):
    def test_daemon_that_goes_on_is_not_waited_for(self):
        for way in WAYS:
            # What a command has from this test itself, it would keep open for its reader.
            own = " >/dev/null 2>&1" if "--ungroup" in way else ""
            result = self.exec(*way, f"sleep 1000{own} & echo $! >&2; echo {{}}", ":::", "1")
            self.assertEqual(result.status, 0, str(result))
            os.kill(int(result.err), 9)

    def test_daemon_that_writes_without_end_is_not_listened_to(self):
        for order in (), ("-k",):
            result = self.exec(*order, "--lb", "yes {} & echo {}", ":::", *"abc")
            self.assert_ok(result)
            self.assertLessEqual(set(result.out.split()), set("abc"))

    def test_full_file_system_is_an_error_of_those_whose_output_is_cut_and_then_empty(self):
        full = self.home / "full"
        full.mkdir()
        script = "case {} in 1) yes;; 2) yes 2>/dev/null; exit 0;; 3) seq 1000;; 4) seq 200000;; esac"
        command = harness.as_root(f"mount -t tmpfs -o size=2m none {full}", harness.MUSTER, "exec", "-o", "json", "-j1", "--tmpdir",
                                  full, script, ":::", *"1234")
        if not command:
            self.skipTest("no file system can be mounted")
        run = subprocess.run(command, capture_output=True, timeout=harness.LIMIT_S, check=False)
        records = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual((run.returncode, len(records)), (2, 4), run.stderr)
        for record, status in zip(records, (1, 0)):
            self.assertEqual(record["reason"], f"exit status {status}; no room is left for output, see --tmpdir")
            self.assertGreater(len(record["stdout"]), 1_500_000)
        for record, count in zip(records[2:], (1000, 200000)):
            self.assertTrue(record["stdout"] == "".join(f"{i}\n" for i in range(1, count + 1)))

    def test_command_that_could_not_start_is_told_of(self):
        for way in WAYS:
            self.assert_fails(self.exec(*way, "nonexistent-program", ":::", "x"), 1, "nonexistent-program: command not found",
                              "exit status 127")


if __name__ == "__main__":
    harness.main()
