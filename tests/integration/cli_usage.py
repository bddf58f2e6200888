#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Command lines as users type them: what goes in, what comes out, what is said of mistakes."""
import json
import os
import re
import subprocess

import harness
import http_server
from harness import plugin


class Arguments(harness.Case):
    def test_words_are_json_or_strings_and_ranges_expand(self):
        words = ["1", "-2", "1.50", '"1"', "a b", "3..5", '{"k":[null,true]}', "", "1..", "-x"]
        self.assert_ok(self.muster("map", "echo", ":::", *words),
                       '1\n-2\n1.5\n"1"\n"a b"\n3\n4\n5\n{"k":[null,true]}\n""\n"1.."\n"-x"\n')

    def test_lines_are_arguments_and_ranges_are_not(self):
        self.assert_ok(self.muster("map", "echo", text="1\n\n1..3\nlast"), '1\n""\n"1..3"\n"last"\n')

    def test_files_are_read_in_turn(self):
        first, second = self.home / "first", self.home / "second"
        first.write_text("1\n2")
        second.write_text("[3]\n")
        self.assert_ok(self.muster("map", "echo", "::::", first, "-", second, text="x\n"), '1\n2\n"x"\n[3]\n')

    def test_no_arguments_are_no_jobs(self):
        self.assert_ok(self.muster("map", "echo", ":::"), "")
        self.assert_ok(self.muster("map", "echo", text=""), "")

    def test_a_line_is_answered_while_the_input_is_idle(self):
        run = self.start("map", "echo")
        for number in range(5):
            run.write(f"{number}\n")
            self.assertEqual(run.line(), str(number))
        self.assert_ok(run.end(), "")

    def test_many_lines_come_back_whole_and_in_order(self):
        text = "".join(f'"{number:x}{"y" * (number % 97)}"\n' for number in range(100_000))
        for model in ("inline", "threads", "processes"):
            self.assert_ok(self.muster("map", "echo", "--model", model, text=text), text)

    def test_options_may_follow_the_arguments(self):
        self.assert_ok(self.muster("map", "noop", ":::", "1..1000000", "-o", "none"), "")

    def test_bad_arguments_run_nothing_and_are_numbered(self):
        for words, said in ((["1", "99999999999999999999"], "argument 2: a number is out of range"),
                            (["5..1"], "argument 1: the range 5..1 is empty"),
                            (["[" * 29 + "]" * 29], "argument 1: the value nests deeper than 28 levels")):
            self.assert_one_line_error(self.muster("map", "echo", ":::", *words), said)

    def test_bad_line_ends_the_batch_after_those_before_it(self):
        result = self.muster("map", "echo", text="1\n2\n99999999999999999999\n4\n")
        self.assert_fails(result, 255, "standard input, line 3: a number is out of range")
        self.assertEqual(result.out, "1\n2\n")


class Output(harness.Case):
    def test_json_has_an_object_for_every_job(self):
        result = self.muster("map", "is_prime", "-o", "json", ":::", "7", "x")
        self.assert_fails(result, 1, "1 of 2 jobs failed")
        good, bad = map(json.loads, result.out.splitlines())
        self.assertEqual((good["job"], good["argument"], good["result"], good["attempts"]), ("1.1", 7, True, 1))
        self.assertEqual((bad["job"], bad["argument"], bad["error_kind"]), ("1.2", "x", "failed"))
        self.assertEqual(set(good), {"job", "argument", "result", "attempts", "worker", "wall_us", "cpu_us",
                                     "receipt"})
        self.assertEqual(set(bad), {"job", "argument", "error", "error_kind", "attempts", "worker", "wall_us",
                                    "cpu_us", "receipt"})

    def test_unordered_loses_nothing(self):
        result = self.muster("map", "echo", "--unordered", "--chunk", "7", ":::", "1..1000")
        self.assertEqual(sorted(map(int, result.out.split())), list(range(1, 1001)))

    def test_none_prints_failures_only(self):
        result = self.muster("map", "is_prime", "-o", "none", ":::", "7", "x")
        self.assert_fails(result, 1, 'job 1.2 (argument "x"): is_prime takes')
        self.assertEqual(result.out, "")

    def test_failures_are_counted_in_the_status_and_named_up_to_twenty(self):
        result = self.muster("map", "is_prime", text="x\n" * 20)
        self.assert_fails(result, 20, "job 1.20 ", "20 of 20 jobs failed")
        result = self.muster("map", "is_prime", text="x\n" * 150 + "7\n")
        self.assert_fails(result, 101, "job 1.20 ", "and 130 more failed", "150 of 151 jobs failed")
        self.assertNotIn("job 1.21 ", result.err)
        self.assertEqual(result.out, "true\n")

    def test_long_arguments_are_cut_where_they_are_named(self):
        result = self.muster("map", "is_prime", text="\u00e9" * 5000 + "\n")
        self.assert_fails(result, 1, "...): is_prime takes")
        self.assertLess(len(result.err), 3000)

    def test_halt_says_how_far_it_came(self):
        result = self.muster("map", "is_prime", "--model", "inline", "--halt", "now,fail=2", ":::", "a", "b", "c",
                             "1..100")
        self.assert_fails(result, 2, "2 of 103 jobs failed", "halted: 2 of 103 jobs done")

    def test_progress_is_shown_on_a_terminal_and_nowhere_else(self):
        words = ["map", "spin", "-j", "1", ":::", *["0.3"] * 5]
        self.assert_ok(self.muster(*words))
        reader, terminal = os.openpty()
        result = self.start(*words, stderr=terminal).end()
        os.close(terminal)
        shown = harness.shown_on(reader).decode()
        self.assertEqual(result.status, 0)
        self.assertRegex(shown, r"\r\x1b\[K\d/5 done, \d+\.\d/s, ETA \d+ s")
        self.assertTrue(shown.endswith("\r\x1b[K"), shown)


class Statistics(harness.Case):
    def test_figures_add_up(self):
        for model in ("inline", "threads", "processes"):
            path = self.home / "stats.json"
            result = self.muster("map", "is_prime", "--model", model, "-j", "2", "--stats", path, "-o", "none",
                                 ":::", "1..1000", "x")
            self.assert_fails(result, 1, "1 of 1001 jobs failed")
            stats = json.loads(path.read_text())
            self.assertEqual((stats["model"], stats["jobs"], stats["ok"], stats["failed"], stats["cancelled"],
                              stats["retried"]), (model, 1001, 1000, 1, 0, 0))
            self.assertEqual(stats["workers"], 1 if model == "inline" else 2)
            self.assertAlmostEqual(stats["jobs_per_s"], 1001 / stats["wall_s"], delta=stats["jobs_per_s"] * 1e-3)
            self.assertEqual(stats["bytes_out"] > 0, model == "processes")

    def test_they_go_to_standard_error_when_asked(self):
        result = self.muster("map", "noop", "--stats", "-", ":::", "1")
        self.assertEqual(json.loads(result.err)["jobs"], 1)

    def test_a_batch_that_never_began_leaves_no_file(self):
        path = self.home / "stats.json"
        self.assert_one_line_error(self.muster("map", "no_such", "--stats", path, ":::", "1"), "no_such")
        self.assertFalse(path.exists())

    def test_unwritable_file_is_refused_before_any_work(self):
        done = self.home / "done"
        result = self.muster("map", "crash_once", "--plugin", plugin("faulty"), "--stats", "/nonexistent/stats",
                             ":::", done)
        self.assert_one_line_error(result, "/nonexistent/stats", "No such file or directory")
        self.assertFalse(done.exists())


class Mistakes(harness.Case):
    def test_each_is_one_line_that_says_where_help_is(self):
        for words in (["map"], ["map", "--foo", "noop"], ["map", "-j", "0", "noop"], ["map", "noop", "-j"],
                      ["map", "noop", "extra"], ["map", "noop", ":::", "1", ":::", "2"],
                      ["map", "noop", "--chunk", "0"], ["map", "noop", "--halt", "soon,fail=5%"],
                      ["map", "noop", "-o", "xml"], ["map", "noop", "--memory", "lots"],
                      ["map", "noop", "--model", "fork"], ["compare", "--models", "inline,forks", "noop"],
                      ["lab", "--foo"], ["lab", "rase"], ["bench", "memroy"], ["functions", "--foo"], ["worker"]):
            self.assert_one_line_error(self.muster(*words), f"see 'muster {words[0]} --help'")

    def test_unknown_verbs_and_functions_suggest_the_nearest(self):
        self.assert_one_line_error(self.muster("mpa", "noop"), "no verb 'mpa'", "did you mean map?")
        self.assert_one_line_error(self.muster("map", "primse", ":::", "1"), "primse", "did you mean primes?")
        self.assert_one_line_error(self.muster("functions", "primse"), "primse", "did you mean primes?")
        self.assert_one_line_error(self.muster(), "no verb is given")

    def test_unreadable_files_are_named(self):
        self.assert_one_line_error(self.muster("map", "noop", "::::", "/nonexistent"), "/nonexistent: No such file")
        self.assert_one_line_error(self.muster("map", "noop", "::::", "/"), "/: Is a directory")
        self.assert_one_line_error(self.muster("map", "noop", "::::"), ":::: needs the name of a file")

    def test_limits_that_a_model_cannot_keep_are_refused(self):
        self.assert_one_line_error(self.muster("map", "noop", "--model", "threads", "--timeout", "1", ":::", "1"),
                                   "needs the model 'processes'")
        self.assert_one_line_error(self.muster("map", "noop", "--model", "inline", "--memory", "1M", ":::", "1"),
                                   "needs the model 'processes'")

    def test_bad_plugins_are_refused_by_every_verb(self):
        bad = {"wrong_abi": "ABI 9", "no_table": "does not export", "bad_name": "Bad Name", "clash": "noop is taken",
               "constructor_crash": "crashed as it loaded (SIGSEGV", "constructor_exit": "ended the program"}
        quiet = {"ASAN_OPTIONS": "handle_segv=0:detect_leaks=0"}
        for name, said in bad.items():
            for words in (["map", "noop", ":::", "1"], ["functions"], ["compare", "noop", ":::", "1"]):
                self.assert_one_line_error(self.muster(*words, "--plugin", plugin(name), env=quiet), said)
        self.assert_one_line_error(self.muster("map", "noop", "--plugin", "/nonexistent.so", ":::", "1"),
                                   "/nonexistent.so")


ASKING = ("status", "jobs", "results", "wait", "cancel", "retry", "forget", "workers", "scale", "drain", "stop")


class Help(harness.Case):
    def test_every_verb_has_it_in_80_columns(self):
        self.assertIn("muster map FUNCTION", self.muster("--help").out)
        for verb in ("map", "exec", "compare", "advise", "lab", "bench", "functions", "submit", "worker", "key", *ASKING):
            result = self.muster(verb, "--help")
            self.assert_ok(result, self.muster("help", verb).out)
            self.assertTrue(result.out.startswith(f"usage: muster {verb} "), result.out)
            self.assertEqual([line for line in result.out.splitlines() if len(line) > 80], [])

    def test_every_model_is_explained_where_one_can_be_chosen(self):
        said = self.muster("map", "noop", "--model", "no-such", ":::", "1").err
        models = said.split("there are:")[1].split(";")[0].split()
        self.assertIn("processes", models)
        for verb in ("map", "compare", "advise"):
            text = self.muster(verb, "--help").out
            for model in models:
                self.assertRegex(text, rf"\n  {model} +\w[^\n]+", f"{verb}: {model}")

    def test_its_examples_work(self):
        for words in (["map", "nqueens", ":::", "8..10"], ["map", "primes", ":::", "[0,4999]", "[5000,9999]"],
                      ["map", "noop", ":::", "1..10000", "-o", "none"],
                      ["compare", "spin", ":::", "0.001", "0.001", "0.001", "0.001"],
                      ["advise", "nqueens", ":::", "9", "10", "11"],
                      ["lab", "race", "--rounds", "2000"], ["bench", "memory"]):
            self.assert_ok(self.muster(*words))

    def test_every_function_is_documented_by_an_example_that_works(self):
        functions = json.loads(self.muster("functions", "-o", "json").out)
        listed = [line.split()[0] for line in self.muster("functions").out.splitlines()]
        self.assertEqual([function["name"] for function in functions], listed)
        for function in functions:
            text = self.muster("functions", function["name"])
            self.assert_ok(text)
            for field in ("name", "summary", "argument", "result", "example", "origin"):
                self.assertIn(function[field], text.out)
            with http_server.Server() as server:  # any document's, as a proxy
                self.assert_ok(self.muster("map", function["name"], ":::", function["example"],
                                           env={"http_proxy": server.url("/"), "no_proxy": ""}))

    def test_version(self):
        self.assertRegex(self.muster("--version").out, r"\Amuster \d+\.\d+\.\d+\n\Z")

    def test_completion_knows_verbs_options_and_functions(self):
        script = harness.pathlib.Path(__file__).parents[2] / "deploy" / "completion" / "muster"

        def complete(*words):
            program = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _muster; '
                       'printf "%s\\n" "${COMPREPLY[@]}"')
            command = ["bash", "-c", program, "bash", script, harness.MUSTER, *words]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

        self.assertEqual(complete("com"), ["compare"])
        self.assertEqual(complete("map", "nq"), ["nqueens"])
        self.assertEqual(complete("map", "--mod"), ["--model"])
        self.assertEqual(complete("map", "--model", "t"), ["threads"])
        self.assertEqual(complete("map", "echo", ":::", "--mod"), [])
        self.assertEqual(complete("lab", ""), ["race", "deadlock"])
        self.assertEqual((complete("map", "-o", "n"), complete("jobs", "-o", "n")), (["none"], []))
        self.assertEqual((complete("exec", "--coordinator", "n"), complete("jobs", "--coordinator", "n")),
                         (["none"], []))
        self.assertEqual(complete("exec", "--nice", ""), [])
        for words in (["coordinator", "--state"], ["exec", "-a"]):
            self.assertEqual(complete(*words, str(script)), [str(script)])
        self.assert_ok(self.muster("help", "help"), self.muster("help").out)
        self.assertEqual(complete("bench", "m"), ["memory"])
        self.assertEqual(complete("key", ""), ["make", "show", "allow"])
        for verb in ("map", "exec", "compare", "advise", "lab", "bench", "functions", "coordinator", "submit", "key", *ASKING):
            said = self.muster(verb, "--help").out
            options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said)) | {"--help"}
            self.assertEqual(set(complete(verb, "--")), options, f"{verb}: what completion offers, what the help says")


class Compare(harness.Case):
    def test_json_has_the_fields_that_were_promised(self):
        result = self.muster("compare", "spin", "--rounds", "1", "-o", "json", ":::", *["0.001"] * 20)
        self.assert_ok(result)
        document = json.loads(result.out)
        self.assertEqual(list(document), ["function", "cores", "rounds", "computing", "rows", "failures", "sentence"])
        self.assertEqual((document["function"], document["rounds"], document["failures"]), ("spin", 1, []))
        models = [row["model"] for row in document["rows"]]
        self.assertEqual((models[0], models[-1]), ("inline", "processes"))
        for row in document["rows"]:
            self.assertEqual(list(row), [
                "name", "model", "workers", "concurrency", "jobs", "failed", "wall_s", "cpu_s", "speedup",
                "ideal_speedup", "efficiency", "utilization", "overhead_us_per_job", "voluntary_switches",
                "involuntary_switches", "stall_s", "spread"])
            self.assertEqual(row["jobs"], 20)

    def test_lines_are_given_to_every_model(self):
        result = self.muster("compare", "echo", "--rounds", "2", "-o", "json", text="1\nx\n[2]")
        self.assert_ok(result)
        self.assertEqual({row["jobs"] for row in json.loads(result.out)["rows"]}, {3})

    def test_table_and_sentence(self):
        result = self.muster("compare", "spin", "--rounds", "1", "--models", "inline,processes", ":::", *["0.001"] * 9)
        self.assert_ok(result)
        self.assertRegex(result.out, r"\A9 jobs of spin, [^\n]*\n\nmodel +workers +wall .*\ninline .*\n"
                                     r"processes .*\n\n\w[^\n]+\.\n\Z")

    def test_timeline_has_a_line_for_every_worker(self):
        env = {"COLUMNS": "60"}
        result = self.muster("compare", "spin", "-j", "2", "--rounds", "1", "--models", "threads,processes", "--timeline",
                             ":::", *["0.01"] * 8, env=env)
        self.assert_ok(result)
        drawn = result.out[result.out.index("Who did what"):]
        self.assertEqual(len(re.findall(r"^ +[12] [\u2588\u2591\u00b7 ]+$", drawn, re.M)), 5, str(result))
        self.assertNotIn("not known", drawn)
        self.assertNotIn("\x1b", drawn)
        result = self.muster("compare", "spin", "--rounds", "1", "--models", "inline", "--timeline", ":::", "0.01",
                             env={"LC_ALL": "C"})
        self.assert_ok(result)
        self.assertTrue(result.out.isascii(), str(result))
        self.assertRegex(result.out, r"\n       1 [#.-]+\n")

    def test_failed_jobs_are_named_and_counted(self):
        result = self.muster("compare", "is_prime", "--rounds", "1", ":::", "7", "x", "y")
        self.assert_fails(result, 2, "job 1.2: ", "job 1.3: ", "2 of 3 jobs failed")
        self.assertNotIn("more failed", result.err)
        result = self.muster("compare", "is_prime", "--rounds", "1", "-o", "json", ":::", *"abcdefg")
        self.assert_fails(result, 7, "job 1.1: ", "and 2 more failed", "7 of 7 jobs failed")
        self.assertEqual([failure["job"] for failure in json.loads(result.out)["failures"]], [1, 2, 3, 4, 5])


if __name__ == "__main__":
    harness.main()
