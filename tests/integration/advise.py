#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster advise as its users run it: what it finds out about jobs, and what they do to it.

What is advised depends on the machine; that it is one of the ways that were measured, follows from
what was measured and can be run does not.
"""
import json
import os
import shlex
import unittest

import harness
from harness import plugin

QUICK = ["--time", "0.5"]
LIMIT_S = 2 * harness.LIMIT_S


class Advice(harness.Case):
    def advise(self, *words, **options):
        result = self.muster("advise", *QUICK, "-o", "json", *words, limit=LIMIT_S, **options)
        self.assert_ok(result)
        return json.loads(result.out)

    def models(self, document):
        return [way["model"] for way in document["ways"]]

    def test_document_is_whole_and_follows_from_itself(self):
        document = self.advise("-j", "2", "spin", ":::", "0.002", "0.001")
        self.assertEqual(list(document), ["function", "cores", "workers", "jobs", "samples", "job", "ways", "fastest",
                                          "advice", "break_even", "round_trip_s", "sentence"])
        self.assertEqual(self.models(document), ["inline", "processes", "threads"])
        self.assertEqual((document["job"]["kind"], document["samples"]["given"], document["samples"]["failed"]),
                         ("CPU-bound", 2, 0))
        self.assertGreater(document["job"]["time_s"], 0.001)  # whichever of both was run more often
        self.assertTrue(document["job"]["repeatable"])
        self.assertGreater(document["samples"]["runs"], 2)
        best = min(document["ways"], key=lambda way: way["job_s"])
        self.assertEqual(document["ways"][document["fastest"]], best)
        advice = document["advice"]
        self.assertIn((advice["model"], advice["workers"], advice["concurrency"]),
                      [(way["model"], way["workers"], way["concurrency"]) for way in document["ways"]])
        self.assertLessEqual(advice["speedup_low"], advice["speedup"])
        self.assertLessEqual(advice["speedup"], advice["speedup_high"])
        self.assertIn(f"Advised: {advice['model']}", document["sentence"])

    def test_waits_are_told_from_computing_and_overlapped(self):
        document = self.advise("request", ":::", '{"number":1,"seconds":0.01}', '{"number":2,"seconds":0.01}')
        self.assertEqual(document["job"]["kind"], "I/O-bound")
        self.assertIn("loop", self.models(document))
        self.assertGreater(document["advice"]["speedup"], 5)
        self.assertNotEqual(document["advice"]["model"], "inline")

    def test_few_jobs_do_not_pay_for_processes(self):
        document = self.advise("--jobs", "1", "spin", ":::", "0.001", "0.001")
        self.assertEqual((document["jobs"], document["advice"]["model"]), (1, "inline"))

    def test_jobs_that_do_nothing(self):
        document = self.advise("noop", ":::", "1..100000")
        self.assertEqual(document["samples"]["given"], 32)
        self.assertGreater(document["job"]["time_s"], 0)

    def test_large_values(self):
        document = self.advise("work", text=json.dumps({"data": "x" * 1_000_000, "bytes": 1_000_000}))
        self.assertGreaterEqual(document["job"]["bytes_in"], 1_000_000)
        self.assertGreaterEqual(document["job"]["bytes_out"], 1_000_000)
        self.assertTrue(document["advice"]["uncertain"])
        self.assertIn("give several", document["sentence"])

    def test_samples_that_differ_much_are_no_sure_ground(self):
        document = self.advise("spin", ":::", *["0.0001"] * 5, "0.02")
        self.assertTrue(document["advice"]["uncertain"])
        self.assertIn("The samples differ much", document["sentence"])

    def test_jobs_too_long_to_try_are_predicted(self):
        document = self.advise("-j", "2", "spin", ":::", "0.4", "0.4")
        self.assertFalse(any(way["tried"] for way in document["ways"]))
        self.assertIn("too long to be tried", document["sentence"])

    @unittest.skipUnless(hasattr(os, "sched_setaffinity"), "no affinity here")
    def test_short_sample_before_a_long_one_does_not_pass_for_all_jobs(self):
        document = self.advise("--time", "2", "work", ":::", '{"wait":0.000001}', '{"wait":0.2}')
        self.assertEqual(document["job"]["kind"], "I/O-bound")
        self.assertGreater(document["job"]["time_s"], 0.05)
        self.assertLess(document["samples"]["runs"], 20, "as many as if all were short")

    def test_one_core_gains_nothing(self):
        core = min(os.sched_getaffinity(0))
        result = self.muster("-c", str(core), harness.MUSTER, "advise", *QUICK, "-o", "json", "spin", ":::", "0.001",
                             "0.001", command="taskset", limit=LIMIT_S)
        self.assert_ok(result)
        document = json.loads(result.out)
        self.assertEqual((document["cores"], document["break_even"]["beats_inline_s"]), (1, None))

    def test_text_ends_with_a_command(self):
        result = self.muster("advise", *QUICK, "spin", ":::", "0.001", limit=LIMIT_S)
        self.assert_ok(result)
        self.assertRegex(result.out, r"\Aspin, 1 sample, \d+ runs, \d+ cores?\n\nmodel +workers +at once ")
        self.assertRegex(result.out.splitlines()[-1], r"\A  muster map spin --model [a-z]+")
        self.assertEqual([line for line in result.out.splitlines() if len(line) > 80], [])


class BadSamples(harness.Case):
    QUIET = {"ASAN_OPTIONS": "handle_segv=0:detect_leaks=0"}

    def advise(self, *words):
        result = self.muster("advise", *QUICK, "--plugin", plugin("faulty"), "--timeout", "0.5", "-o", "json", *words,
                             limit=LIMIT_S, env=self.QUIET)
        self.assert_ok(result)
        return json.loads(result.out)

    def test_crash_is_reported_and_processes_are_advised(self):
        document = self.advise("crash", ":::", "false", "1")
        self.assertEqual((document["samples"]["crashed"], document["advice"]["model"], document["advice"]["reason"]),
                         (1, "processes", "safe"))
        self.assertIn("SIGSEGV", document["sentence"])

    def test_first_crash_of_a_job_that_is_run_again_ends_its_trials(self):
        """It crashed its worker hundreds of times, and each way of processes was given up as one that hangs."""
        document = self.advise("wear_out", ":::", "20")
        self.assertIn("failed when it was run again: ", document["sentence"])
        self.assertIn("SIGABRT", document["sentence"])
        self.assertEqual((document["advice"]["model"], document["advice"]["reason"]), ("processes", "safe"))
        self.assertEqual([way["fault"] for way in document["ways"] if way["model"] == "processes" and way["fault"]], [])

    def test_hang_is_reported_and_processes_are_advised(self):
        document = self.advise("hang", ":::", "1", "false")
        self.assertEqual((document["samples"]["timed_out"], document["advice"]["reason"]), (1, "safe"))
        self.assertRegex(document["advice"]["options"], r"^--model processes -j\d+ --timeout 0\.5$")

    def test_failed_samples_are_counted_once_and_the_reason_is_that_of_the_one_named(self):
        document = self.advise("-j", "3", "after", ":::", '[0, "busy"]', '[0.1, "crash"]', "[0, null]")
        self.assertIn("2 of 3 samples failed, 1 by crashing the worker, 1 by not ending within 500 ms (sample 2: ",
                      document["sentence"])
        self.assertEqual(document["sentence"].count("of 3 samples"), 1)

    def test_command_lacks_the_plugin_and_the_time_limit_that_its_jobs_need(self):
        path = str(self.home / "it's faulty.so")
        os.symlink(plugin("faulty"), path)
        result = self.muster("advise", *QUICK, "--plugin", path, "--timeout", "0.5", "hang", ":::", "1", "false",
                             limit=LIMIT_S, env=self.QUIET)
        self.assert_ok(result)
        words = shlex.split(result.out.splitlines()[-1])
        self.assertEqual((words[:3], words[-4:]), (["muster", "map", "hang"], ["--timeout", "0.5", "--plugin", path]))
        again = self.muster(*words[1:], ":::", "1", "false", limit=LIMIT_S, env=self.QUIET)
        self.assertEqual((again.status, again.out), (1, "false\n"), str(again))

    def test_workers_that_were_measured_are_not_those_of_a_coordinator_that_the_environment_names(self):
        words = ["--plugin", plugin("faulty"), "--timeout", "0.5", "hang", ":::", "1", "false"]
        env = {**self.QUIET, "MUSTER_COORDINATOR": "default"}
        shown = self.muster("advise", *QUICK, *words, limit=LIMIT_S, env=env)
        self.assert_ok(shown)
        self.assertIn(" --coordinator none ", shown.out.splitlines()[-1])
        result = self.muster("advise", *QUICK, "--run", *words, limit=LIMIT_S, env=env)
        self.assertEqual((result.status, result.out), (1, "false\n"), str(result))

    def test_failures_are_left_out(self):
        document = self.advise("fail_silently", ":::", "1", "false", "false")
        self.assertEqual((document["samples"]["given"], document["samples"]["failed"]), (3, 1))

    def test_results_that_depend_on_the_process_are_no_disagreement_of_a_model(self):
        document = self.advise("pid", ":::", "1")
        self.assertIn("processes", [way["model"] for way in document["ways"]])

    def test_no_sample_that_succeeds_is_an_error(self):
        for words, said in ((["fail", ":::", '"no luck"'], "the sample failed: no luck"),
                            (["fail", ":::", '"a"', '"a"'], "all 2 samples failed, the first so: a"),
                            (["crash", ":::", "1"], "SIGSEGV"), (["busy", ":::", "1"], "timed out")):
            result = self.muster("advise", *QUICK, "--timeout", "0.3", "--plugin", plugin("faulty"), *words,
                                 env=self.QUIET, limit=LIMIT_S)
            self.assert_one_line_error(result, said)


class Run(harness.Case):
    def test_names_that_are_not_utf8_are_measured_as_they_are(self):
        name = os.fsencode(self.home) + b"/n\xff"
        with open(name, "wb") as file:
            file.write(b"hi\n")
        self.assert_ok(self.muster("advise", *QUICK, "sha256", ":::", os.fsdecode(name), limit=LIMIT_S))

    def test_it_becomes_the_map_that_is_advised(self):
        result = self.muster("advise", *QUICK, "--run", "echo", ":::", "1..3", "-x", "-5", "a b", limit=LIMIT_S)
        self.assertEqual((result.status, result.out), (0, '1\n2\n3\n"-x"\n-5\n"a b"\n'), str(result))
        self.assertIn("Advised: ", result.err)

    def test_lines_are_there_again(self):
        lines = "".join(f"[{number}]\n" for number in range(1000))
        result = self.muster("advise", *QUICK, "--run", "echo", text=lines, limit=LIMIT_S)
        self.assertEqual((result.status, result.out), (0, lines), str(result))
        self.assertIn("for 1,000 jobs", result.err)

    def test_results_have_the_format_that_is_asked_for(self):
        result = self.muster("advise", *QUICK, "--run", "-o", "json", "is_prime", ":::", "7", "x", limit=LIMIT_S)
        self.assertEqual(result.status, 1, str(result))
        self.assertEqual([json.loads(line)["job"] for line in result.out.splitlines()], ["1.1", "1.2"])


class Mistakes(harness.Case):
    def test_each_is_one_line_that_helps(self):
        for words, said in ((["spin", "--time", "0", ":::", "1"], "--time 0"), (["spin", "--jobs", "0", ":::", "1"], "--jobs 0"),
                            (["spin", "-o", "none", ":::", "1"], "needs --run"), ([], "no FUNCTION"),
                            (["spin", "--chunk", "3", ":::", "1"], "unknown")):
            self.assert_one_line_error(self.muster("advise", *words), said, "see 'muster advise --help'")
        self.assert_one_line_error(self.muster("advise", "spin", ":::"), "no samples")
        self.assert_one_line_error(self.muster("advise", "spni", ":::", "1"), "did you mean spin?")

    def test_interrupt_leaves_nothing(self):
        reader, terminal = os.openpty()
        run = self.start("advise", "spin", ":::", "0.001", stderr=terminal)
        os.close(terminal)
        self.assertIn(b"measuring: ", os.read(reader, 4096))
        run.interrupt()
        result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), str(result))
        os.close(reader)

    def test_killed_leaves_no_process(self):
        reader, terminal = os.openpty()
        run = self.start("advise", "spin", ":::", "0.001", stderr=terminal)
        os.close(terminal)
        self.assertIn(b"measuring: ", os.read(reader, 4096))
        run.process.kill()
        run.end()
        os.close(reader)


if __name__ == "__main__":
    harness.main()
