#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Batches that wait: for others, and for their time; and job files, which submit many that do."""
import contextlib
import json
import pathlib
import re
import shlex
import signal
import sqlite3
import time

import harness
from harness import plugin


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = "default"
        self.state = self.home / "state"
        self.log = self.home / "log"
        with open(self.log, "wb") as stderr:
            self.daemon = self.start("coordinator", "-j2", "--plugin", plugin("faulty"), "--state", self.state,
                                     stderr=stderr)
        self.until(lambda: "are kept in" in self.log.read_text(), "the coordinator is ready")

    def tearDown(self):
        self.daemon.signal(signal.SIGTERM)
        self.daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def batches(self, columns="state"):
        """A row for each batch in the file; one column is a list."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as database:
            rows = database.execute(f"SELECT {columns} FROM batches ORDER BY batch").fetchall()
        return [row[0] for row in rows] if "," not in columns else rows

    def begin(self, *words):
        """A client whose batch is the next one in the file."""
        before = len(self.batches())
        client = self.start("map", *words)
        self.until(lambda: len(self.batches()) > before, "the batch is in the file")
        return client


class Terms(Case):
    def test_batch_waits_until_another_has_succeeded(self):
        file = self.home / "file"
        first = self.begin("wait_file", "--name", "the first one", ":::", file)
        second = self.begin("echo", "--after", "1", "--priority", "7", ":::", "5")
        self.assertEqual(self.batches("name, priority, after")[:2], [("the first one", 0, None), (None, 7, "1")])
        self.until(lambda: self.batches()[1] == "blocked", "it waits for the first")
        file.touch()
        self.assert_ok(first.end(), "true\n")
        self.assert_ok(second.end(), "5\n")

    def test_batch_falls_with_the_one_that_it_waited_for_and_says_so(self):
        file = self.home / "file"
        first = self.begin("wait_file", ":::", file, "7")  # 7 is no file: that job fails
        second = self.begin("echo", "--after", "1", ":::", "5")
        third = self.begin("echo", "--after", "2:ok", ":::", "6")
        fourth = self.begin("echo", "--after", "2:any,1:any", ":::", "7")
        file.touch()
        self.assertEqual(first.end().status, 1)
        self.assert_fails(second.end(), 255, "batch 1, for which it waited, did not succeed")
        self.assert_fails(third.end(), 255, "batch 2, for which it waited, did not succeed")
        self.assert_ok(fourth.end(), "7\n")

    def test_batch_that_nobody_knows_cannot_be_waited_for(self):
        self.assert_one_line_error(self.muster("map", "echo", "--after", "77", ":::", "1"), "batch 77 is not known")
        self.assertEqual(self.batches(), [])

    def test_number_of_a_batch_that_is_left_is_printed_whatever_its_results_are(self):
        self.assert_ok(self.muster("map", "echo", "--detach", "-o", "none", ":::", "1"), "1\n")

    def test_batch_begins_at_its_time(self):
        began = time.time()
        self.assert_ok(self.muster("map", "echo", "--begin", "now+1s", ":::", "1"), "1\n")
        self.assertGreaterEqual(time.time() - began, 1)

    def test_waiting_is_refused_where_nothing_is_kept(self):
        for options in ("--after", "1"), ("--begin", "+60"):
            result = self.muster("map", "echo", *options, "--coordinator", "none", ":::", "1")
            self.assert_one_line_error(result, f"{options[0]} needs a coordinator", "muster coordinator")


class JobFiles(Case):
    """Steps of files in a folder of their own."""

    def setUp(self):
        super().setUp()
        self.folder = self.home / "jobs"
        self.folder.mkdir()

    def write(self, text, name="jobs.toml"):
        (self.folder / name).write_text(text)
        return self.folder / name

    def submit(self, path, *options, **more):
        """The numbers of the steps."""
        result = self.muster("submit", path, *options, **more)
        self.assert_ok(result)
        return {name: int(number) for name, number in (line.split("\t") for line in result.out.splitlines())}

    def ended(self, numbers):
        """The states of these batches, when all have ended."""
        numbers = list(numbers)

        def states():
            found = dict(self.batches("batch, state"))
            return [found[number] for number in numbers]

        self.until(lambda: not {"queued", "running", "blocked", "delayed"} & set(states()), "all have ended")
        return states()

    def test_steps_run_in_their_order(self):
        done = self.home / "done"
        path = self.write(f"""
            [[step]]
            name = "last"
            command = ["cp", "{done}", "{done}.copy"]
            after = "first"
            [[step]]
            name = "first"
            command = "echo {{}} >> {done}"
            arguments = ["a b", 2]
            max_running = 1
            priority = 3
            [[step]]
            name = "values"
            function = "echo"
            arguments = [1, "1..3"]
            after = ["last", "first:any"]
        """)
        numbers = self.submit(path)
        self.assertEqual(list(numbers), ["first", "last", "values"])
        self.assertEqual(self.ended(numbers.values()), ["succeeded"] * 3)
        self.assertEqual(pathlib.Path(f"{done}.copy").read_text(), "a b\n2\n")
        self.assert_ok(self.muster("results", str(numbers["values"])), '1\n"1..3"\n')
        self.assertEqual(self.batches("name, after")[1:], [("last", "1"), ("values", "1 2")])
        self.assertEqual(self.batches("name, priority")[0], ("first", 3))

    def test_what_waits_for_a_step_that_fails_is_cancelled(self):
        text = json.dumps({"step": [
            {"name": "fails", "command": "echo because >&2; exit 3"},
            {"name": "falls", "function": "echo", "range": [1, 2], "after": "fails"},
            {"name": "too", "function": "echo", "range": [1, 2], "after": ["falls:ok"]},
            {"name": "runs", "function": "echo", "range": [1, 2], "after": ["too:any"]}]})
        result = self.muster("submit", "-", "-o", "json", text=text)
        self.assert_ok(result)
        steps = json.loads(result.out)
        self.assertEqual([step["name"] for step in steps], ["fails", "falls", "too", "runs"])
        self.assertEqual(self.ended(step["batch"] for step in steps), ["failed", "cancelled", "cancelled", "succeeded"])
        self.assert_fails(self.muster("results", "1"), 1, "because\n", "exit status 3\n")

    def test_nothing_goes_on_of_a_file_that_the_coordinator_refuses(self):
        file = self.home / "file"
        path = self.write(f"""
            [[step]]
            name = "waits"
            function = "wait_file"
            arguments = ["{file}"]
            [[step]]
            name = "waits-too"
            command = "touch {file}"
            after = "waits:any"
            [[step]]
            name = "unknown"
            function = "no-such"
            arguments = []
        """)
        result = self.muster("submit", path)
        self.assert_fails(result, 255, "no-such", f"{path}: step 'unknown' was not accepted",
                          "the 2 steps before it are cancelled, as far as they had not ended")
        self.assertEqual(result.out, "")
        self.assertEqual(self.ended([1, 2]), ["cancelled", "cancelled"])
        self.assertFalse(file.exists())

    def test_nothing_is_submitted_of_a_file_that_is_wrong(self):
        good = "[[step]]\nname = 'good'\nfunction = 'echo'\nrange = [1, 2]\n"
        for text, said in (("", "there is no step"),
                           (good + "[[step]\n", "jobs.toml:5:"),
                           (good + good, "another step has this name"),
                           (good + "after = 'goood'", "no step 'goood' (did you mean good?)"),
                           (good + "after = 'good'", "wait for each other: good -> good"),
                           (good + "priority = 1001", "jobs.toml:1: step 'good': --priority 1001: a whole number"),
                           (good + "begin = 'soon'", "step 'good': --begin soon: a time is expected"),
                           (good + "memory = '1X'", "step 'good': --memory 1X: a size"),
                           (good.replace("range = [1, 2]", "arguments_file = 'nowhere'"), "jobs/nowhere: No such file"),
                           *((good.replace("function = 'echo'", how) + f"max_running = {number}",
                              "step 'good': max_running: a whole number from 1 to 16384")
                             for number in (-1, 0, 16385) for how in ("function = 'echo'", "command = 'echo'")),
                           *((good.replace("function = 'echo'", f"command = ['echo', '{word}', 'x']"),
                              f"step 'good': command: '{word}' would begin arguments")
                             for word in (":::", "::::", ":::+", "::::+")),
                           (good.replace("function", "command") + "timeout = -1", "step 'good': --timeout -1: ")):
            self.assert_one_line_error(self.muster("submit", self.write(text)), said)
        self.assert_one_line_error(self.muster("submit", self.folder / "nowhere"), "cannot read", "nowhere: No such file")
        self.assert_one_line_error(self.muster("submit", "/"), "cannot read /: Is a directory")
        self.assert_one_line_error(self.muster("submit"), "no job file is named", "see 'muster submit --help'")
        self.assert_one_line_error(self.muster("submit", "a", "b"), "unexpected word 'b'")
        self.assert_one_line_error(self.muster("submit", "-", text="{"), "standard input:1:")
        self.assertEqual(self.batches(), [])

    def test_nobody_there_is_said_and_nothing_printed(self):
        path = self.write("[[step]]\nname = 'a'\nfunction = 'echo'\nrange = [1, 2]\n")
        result = self.muster("submit", path, "--coordinator", f"ipc://{self.home}/nobody")
        self.assert_fails(result, 255, f"ipc://{self.home}/nobody", "step 'a' was not accepted")
        self.assertEqual(result.out, "")

    def test_text_with_a_newline_is_one_argument_of_a_command(self):
        path = self.write(json.dumps({"step": [{"name": "a", "command": ["printf", "[%s]"], "arguments": ["x\ny", "z\n", 5]}]}),
                          "jobs.json")
        numbers = self.submit(path)
        self.assertEqual(self.ended(numbers.values()), ["succeeded"])
        self.assert_ok(self.muster("results", "1"), "[x\ny][z\n][5]")

    def test_names_of_files_are_no_options_and_no_separators(self):
        for name in ("-j2", "--progress", ":::", "f"):
            (self.folder / name).write_text(f"{name}1\n{name}2\n")
        self.write("[[step]]\nname = 'a'\ncommand = ['echo']\narguments_file = ['-j2', ':::', '--progress']\n"
                   "[[step]]\nname = 'b'\nfunction = 'echo'\narguments_file = ['f', ':::']\n", "job.toml")
        for number, (path, folder) in enumerate((("job.toml", self.folder), ("jobs/job.toml", self.home))):
            numbers = self.submit(path, cwd=folder)
            self.assertEqual(self.ended(numbers.values()), ["succeeded"] * 2)
            self.assertEqual(self.batches("name, jobs")[2 * number:], [("a", 8), ("b", 4)])
        self.write("[[step]]\nname = 'a'\nfunction = 'echo'\narguments_file = '-'\n", "job.toml")
        for path, folder in (("job.toml", self.folder), ("jobs/job.toml", self.home)):
            self.assert_one_line_error(self.muster("submit", path, cwd=folder), "arguments_file: a step has no standard input")

    def test_dry_run_shows_command_lines_that_do_the_same(self):
        path = self.write("[[step]]\nname = 'a'\nfunction = 'echo'\narguments = ['x y', [1]]\n"
                          "[[step]]\nname = 'b'\ncommand = ['echo', \"it's\"]\nafter = ['a:any', 7]\n")
        result = self.muster("submit", "--dry-run", path)
        self.assert_ok(result)
        first, second = result.out.splitlines()
        self.assertEqual(shlex.split(first.partition("\t")[2]),
                         ["muster", "map", "--detach", "--name=a", "--", "echo", ":::", '"x y"', "[1]"])
        self.assertEqual(shlex.split(second.partition("\t")[2]),
                         ["muster", "exec", "--after=a:any", "--after=7", "--detach", "-n0", "--name=b", "-q", "--", "echo", "it's",
                          ":::", ""])
        steps = json.loads(self.muster("submit", "--dry-run", "-o", "json", path).out)
        self.assertEqual([step["name"] for step in steps], ["a", "b"])
        self.assertEqual(self.batches(), [])

    def test_examples_of_the_documentation_run(self):
        text = (pathlib.Path(__file__).parents[2] / "docs" / "JOBFILES.md").read_text()
        examples = re.findall(r"^```(toml|json)\n(.*?)^```", text, re.M | re.S)
        self.assertEqual([kind for kind, _ in examples], ["toml", "toml", "json"])
        (self.folder / "names.txt").write_text("a.txt\nb.txt\n")
        for name in "a.txt", "b.txt":
            (self.folder / name).write_text(name)
        for kind, example in examples:
            example = re.sub("^begin = .*\n", "begin = 'now'\n", example, flags=re.M)
            numbers = self.submit(self.write(example, f"example.{kind}").name, cwd=self.folder)
            self.assertEqual(set(self.ended(numbers.values())), {"succeeded"}, example)
        self.assertEqual((self.folder / "report.txt").read_text(), "squares are done\n")
        self.assertTrue((self.folder / "b.gz").exists())


if __name__ == "__main__":
    harness.main()
