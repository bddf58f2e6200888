#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster exec through a coordinator: as if the commands ran here. Each line of the table is run by workers of
its own, by those of a coordinator with a file, and by those of one without, and must come to the same."""
import contextlib
import csv
import json
import os
import pathlib
import re
import resource
import signal
import unittest

import harness

BIG = 3 << 20  # above what a result may carry itself
HUGE = (8 if harness.SANITIZE else 32) << 20

# Words of a command line; standard input. What they write is in the folder they run in.
TABLE = [
    (["-k", "echo", "{#}", "{}", ":::", "a b", "$HOME", "it's", "*"], ""),
    (["-k", "echo {}; echo {} >&2"], "1\n2\n"),
    (["-k", "--tag", "printf 'x\\ny\\n' #", ":::", "a", "b"], ""),
    (["-k", "-v", "--tagstring", "{#}", "echo", ":::", "a", "b"], ""),
    (["-k", "exit {}", ":::", "0", "3", "1"], ""),
    (["-k", "kill -{} $$", ":::", "TERM", "KILL"], ""),
    (["-k", "no-such-program", ":::", "1"], ""),
    (["-k", "exec >&- 2>&-; exit {}", ":::", "4"], ""),
    (["-k", "--joblog", "log", "exit {}", ":::", "0", "2"], ""),
    (["-k", "--joblog", "log", "--resume", "exit {}", ":::", "0", "2", "0"], ""),
    (["-k", "--joblog", "log", "--resume-failed", "exit {}", ":::", "0", "2", "0"], ""),
    (["-k", "--results", "tree", "echo {}; echo e{} >&2", ":::", "a", "b"], ""),
    (["-k", "--results", "big", "head -c %d /dev/zero #" % BIG, ":::", "1", "2"], ""),
    (["-k", "--results", "table.csv", "echo", ":::", "a", "b"], ""),
    (["-k", "--halt", "now,fail=1", "-j1", "exit {}", ":::", "0", "3", "0", "4"], ""),
    (["-k", "--halt", "soon,fail=1", "-j1", "echo {}; exit {}", ":::", "0", "3", "0"], ""),
    (["-k", "--timeout", "1", "sleep {}", ":::", "30", "0"], ""),
    (["-k", "--retries", "3", "echo x >> tries; exit {}", ":::", "1"], ""),
    (["-k", "--pipe", "--block", "1k", "wc"], "".join(f"{n}\n" for n in range(2000))),
    (["-k", "--pipe", "--cat", "-N", "100", "wc -l <"], "".join(f"{n}\n" for n in range(250))),
    (["-k", "--pipepart", "-a", "lines", "--block", "100", "wc"], ""),
    (["-j2", "-X", "-k", "echo", ":::", *map(str, range(20))], ""),
    (["-k", "echo $FOO; pwd; umask; ulimit -f; echo $PARALLEL_SEQ; ls >/dev/null && touch made-{}", ":::", "1", "2"], ""),
    (["-k", "--wd", "below", "pwd; touch file-{}", ":::", "1"], ""),
    (["-k", "--file-size", "1k", "head -c 10000 /dev/zero > long #", ":::", "1"], ""),
    (["-k", "head -c %d /dev/zero; echo {}" % BIG, ":::", "1", "2"], ""),
    (["-k", "--files", "true", ":::"], ""),
    (["-k", "cat", ":::", "/dev/stdin"], "x"),
    (["--dry-run", "-k", "echo", ":::", "a b", "c"], ""),
]


def logged(path):
    """A job log or table without its times."""
    text = path.read_bytes().decode()
    if path.suffix == ".csv" or text.startswith("Seq\t"):
        rows = list(csv.reader(text.splitlines(), delimiter="," if path.suffix == ".csv" else "\t"))
        return [[cell for name, cell in zip(rows[0], row) if name not in ("Starttime", "JobRuntime")] for row in rows]
    return text if len(text) < 1000 else (len(text), hash(text))


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.daemons = []
        self.work = self.home / "work"
        self.renew()

    def tearDown(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
                daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def renew(self):
        """The folder that commands run in, with what is in it before."""
        for path in sorted(self.work.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.work.mkdir(exist_ok=True)
        (self.work / "lines").write_text("".join(f"{n}\n" for n in range(100)))
        (self.work / "log").write_text("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
                                       "1\t:\t1.000\t     1.000\t0\t0\t0\t0\texit 0\n")

    def serve(self, *options, cwd=None, **more):
        """A coordinator whose surroundings are its own."""
        folder = self.home / "daemon"
        folder.mkdir(exist_ok=True)
        before = os.umask(0o077)
        log = self.home / f"log-{len(self.daemons)}"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", *(options or ["-j2"]), stderr=stderr, cwd=cwd or folder,
                                env={"FOO": "the daemon's", "ONLY": "the daemon's"}, **more)
        os.umask(before)
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: "worker" in daemon.log(), "the coordinator listens")
        return daemon

    def keep(self, *options, **more):
        return self.serve("--state", self.home / "state.db", *(options or ["-j2"]), **more)

    def stop(self):
        daemon = self.daemons[-1]
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.end().status, 0)

    def exec(self, *words, coordinator="default", **options):
        options.setdefault("cwd", self.work)
        options["env"] = {"MUSTER_COORDINATOR": coordinator, **options.get("env", {})}
        return self.muster("exec", *words, **options)

    def look(self, words, text, coordinator):
        """What a line of the table comes to."""
        self.renew()
        result = self.exec(*words, text=text, coordinator=coordinator, env={"FOO": "mine"},
                           limits={resource.RLIMIT_FSIZE: 64 << 20})
        files = {str(path.relative_to(self.work)): (oct(path.stat().st_mode), None if path.is_dir() else logged(path))
                 for path in self.work.rglob("*")}
        # Of a coordinator, whose batches have numbers, or none yet.
        said = re.sub(r"(?m)^(muster: job )(?:\d+\.)?(\d+)", r"\1\2", result.err)
        return result.status, result.out, said, files


# Of a process that is started in a coroutine it takes all other ones to be gone, as after a fork; but it shares memory.
FIBERS = "thread" in harness.SANITIZE, "the thread sanitizer loses track of coroutines"


@unittest.skipIf(*FIBERS)
class Several(Case):
    """Workers that run several jobs at once run one command at a time."""

    def setUp(self):
        super().setUp()
        self.serve("-j1", "--concurrency", "4")

    # One in a hundred waits for its file.
    COMMAND = "echo {} >> begun; [ $(({} % 100)) -ne 0 ] || until [ -e go-{} ]; do sleep 0.01; done"
    COUNT = 1000

    def begun(self):
        path = self.work / "begun"
        return len(path.read_text().split()) if path.exists() else 0

    def held(self):
        """Jobs that the worker has."""
        return json.loads(self.muster("workers", "--coordinator", "default", "-o", "json").out)["jobs"]

    def block(self):
        """Lets commands go on until one runs behind which others wait in the worker; returns which one. A worker
        is given them ahead once they take less than 20 ms."""
        for number in range(100, self.COUNT, 100):
            self.until(lambda: self.begun() == number, f"command {number} runs")
            if self.held() > 2:
                return number
            (self.work / f"go-{number}").touch()
        self.fail("no command waits in the worker")

    def go(self):
        for number in range(100, self.COUNT + 1, 100):
            (self.work / f"go-{number}").touch()

    def test_command_waits_for_the_one_before_and_functions_do_not(self):
        run = self.start("exec", "--coordinator", "default", "-k", self.COMMAND, ":::", *map(str, range(1, self.COUNT + 1)), cwd=self.work)
        number = self.block()
        self.assert_ok(self.muster("map", "--coordinator", "default", "nqueens", ":::", *["5"] * 9), "10\n" * 9)
        self.assertEqual(self.begun(), number)
        self.go()
        self.assert_ok(run.end(), "")
        self.assertEqual((self.work / "begun").read_text().split(), [str(n) for n in range(1, self.COUNT + 1)])

    def test_commands_that_wait_in_a_worker_are_cancelled_there(self):
        batch = self.exec("--detach", self.COMMAND, ":::", *map(str, range(1, self.COUNT + 1))).out.strip()
        number = self.block()
        self.assert_ok(self.muster("cancel", "--now", batch))
        self.assertEqual(self.muster("wait", batch).status, 255)
        self.go()
        self.assert_ok(self.exec("echo", ":::", "a"), "a\n")
        self.assertEqual(self.begun(), number)

    def test_one_that_kills_its_worker_is_blamed_alone(self):
        numbers = [str(n) for n in range(1, 301)]
        result = self.exec("-k", "[ {} -ne 200 ] || { kill -9 $PPID; sleep 100; }; echo {}", ":::", *numbers)
        numbers.remove("200")
        self.assertEqual((result.status, result.out.split()), (1, numbers), result.err)
        # It may kill its worker before that waits for it.
        self.assertRegex(result.err, "workers died about when they ran it|crashed its worker 3 times")
        self.assertIn("1 of 300 jobs failed", result.err)


class Same(Case):
    def compare(self, start):
        expected = [self.look(*line, "none") for line in TABLE]
        start()
        for line, mine in zip(TABLE, expected):
            with self.subTest(line[0]):
                self.assertEqual(self.look(*line, "default"), mine)

    @unittest.skipIf(*FIBERS)
    def test_by_workers_that_have_several_jobs_at_once(self):
        self.compare(lambda: self.serve("-j2", "--concurrency", "4"))
        self.stop()

    def test_by_workers_of_a_coordinator_with_a_file(self):
        self.compare(self.keep)
        self.stop()
        self.assertEqual(list(self.home.glob("state.db.output/*")), [], "output of batches that were forgotten")

    def test_by_workers_of_a_coordinator_without_one(self):
        self.compare(self.serve)

    def test_settings_of_one_run_are_not_those_of_the_next(self):
        self.serve("-j1")
        for mask, value in ((0o022, "a"), (0o077, "b"), (0o002, "c")):
            os.umask(mask)
            folder = self.home / value
            folder.mkdir()
            result = self.exec("echo $FOO $ONLY $(umask) $(ulimit -n); pwd #", ":::", "1", cwd=folder,
                               env={"FOO": value}, limits={resource.RLIMIT_NOFILE: 300 + mask})
            os.umask(0o022)
            self.assert_ok(result, f"{value} {mask:04o} {300 + mask}\n{folder}\n")

    def test_only_variables_that_are_named_travel(self):
        self.serve("-j1")
        result = self.exec("--env", "FOO", "echo $FOO-$ONLY-$OTHER #", ":::", "1", env={"FOO": "mine", "OTHER": "mine"})
        self.assert_ok(result, "mine-the daemon's-\n")
        result = self.exec("--env", "FOO", "--env", "_", "echo $ONLY-$OTHER #", ":::", "1", env={"OTHER": "mine"})
        self.assert_ok(result, "-mine\n")

    def rules(self):
        """What holds the files that confined commands could read."""
        found = []
        for pid in self.marked():
            with contextlib.suppress(OSError):  # gone meanwhile
                found += [fd for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if "landlock" in os.readlink(fd)]
        return found

    def test_worker_that_waits_for_confined_commands_holds_no_removed_files(self):
        for variable in ("HOME", "XDG_RUNTIME_DIR"):
            folder = self.home / variable
            folder.mkdir(mode=0o700)
            self.env = {**self.env, variable: str(folder)}
        self.serve("-j1")
        for command in ("true #", "! ls $HOME 2>/dev/null #"):
            self.assert_ok(self.exec("--sandbox", command, ":::", "1"), "")
            self.until(lambda: not self.rules(), "rules are let go")

    def test_command_waits_for_no_worker_that_it_holds_itself(self):
        self.serve("-j1")
        self.assert_ok(self.exec(f"{harness.MUSTER} exec echo ::: {{}}", ":::", "1"), "1\n")

    def test_environment_that_is_too_large_is_refused(self):
        self.serve("-j1")
        large = {"LARGE": "x" * (100 << 10), "LARGER": "x" * (100 << 10)}
        self.assert_one_line_error(self.exec("true", ":::", "1", env=large), "128 KiB", "--env")
        self.assert_ok(self.exec("--env", "FOO", "true", ":::", "1", env=large))

    def test_what_cannot_be_done_there_is_refused_by_name(self):
        for option in ("--line-buffer", "--ungroup", "-t"):
            self.assert_one_line_error(self.exec(option, "true", ":::", "1"), f"{option}: ", "--coordinator none")

    def test_no_coordinator_is_an_error_that_names_the_endpoint(self):
        endpoint = f"ipc://{self.home}/nobody"
        self.assert_one_line_error(self.exec("true", ":::", "1", coordinator=endpoint), endpoint)

    def test_long_list_that_waits_for_its_time_is_taken_as_a_whole(self):
        # Longer than what a client remembers at once of jobs that run.
        self.keep()
        (self.work / "long").write_text("".join(f"{n:>08000}\n" for n in range(533 * 16)))
        result = self.exec("--begin", "now+1s", "-n16", "-k", "-a", "long", "printf '%s\\n' {} | wc -l")
        self.assert_ok(result, "16\n" * 533)

    def test_input_that_goes_on_is_worked_on_meanwhile(self):
        self.keep()
        run = self.start("exec", "--coordinator", "default", "echo")
        for number in range(3):
            run.write(f"{number}\n")
            self.assertEqual(run.line(), str(number))
        self.assert_ok(run.end(), "")

    def test_jobs_are_no_more_at_once_than_asked_for(self):
        self.keep("-j3")
        result = self.exec("-j1", "mkdir lock && sleep 0.02 && rmdir lock", "#{}", ":::", *map(str, range(6)))
        self.assert_ok(result)

    def test_starts_are_apart_by_the_delay(self):
        self.keep()
        self.assert_ok(self.exec("--joblog", "times", "--delay", "0.1", "true", ":::", "1", "2", "3"))
        starts = sorted(float(line.split("\t")[2]) for line in (self.work / "times").read_text().splitlines()[1:])
        self.assertGreater(starts[2] - starts[0], 0.19)


class Results(Case):
    def wait_ended(self, batch):
        self.until(lambda: self.muster("results", batch, "-o", "none").status != 75, "the batch ends")

    def abandon(self, *words):
        """A run whose client is killed as soon as its batch runs."""
        client = self.start("exec", "--coordinator", "default", *words, cwd=self.work)
        self.until(lambda: (self.work / "begun").exists(), "a command runs")
        client.signal(signal.SIGKILL)
        client.end()

    def test_detached_run_prints_its_number_and_is_shown_later(self):
        self.keep()
        self.assert_ok(self.exec("--detach", "--tag", "echo {} $FOO; pwd; exit {}", ":::", "1", "0", env={"FOO": "mine"}), "1\n")
        result = self.muster("results", "1", "--follow")
        self.assert_fails(result, 1, "exit status 1", "1 of 2 jobs failed")
        self.assertEqual(result.out, f"1\t1 mine\n1\t{self.work}\n0\t0 mine\n0\t{self.work}\n")
        self.assert_ok(self.exec("--detach", "-o", "json", "--pipe", "wc", "-l", text="1\n2\n"), '{"batch":2}\n')
        self.assert_ok(self.muster("results", "2", "--follow"), "2\n")

    def test_output_of_a_detached_run_is_there_until_it_is_forgotten(self):
        self.keep()
        self.assert_ok(self.exec("--detach", f"head -c {HUGE} /dev/zero | tr '\\0' {{}}", ":::", "a"), "1\n")
        for _ in range(2):
            result = self.muster("results", "1", "--follow")
            self.assertEqual((result.status, len(result.out), result.out.strip("a")), (0, HUGE, ""))
        spool = self.home / "state.db.output"
        self.assertEqual([path.stat().st_size for path in spool.glob("1/*")], [HUGE])
        self.assertEqual(spool.stat().st_mode & 0o777, 0o700)
        self.assert_ok(self.muster("forget", "1"))
        self.assertEqual(list(spool.iterdir()), [])

    def test_job_of_a_detached_run_whose_output_is_gone_is_shown_as_failed_with_the_others(self):
        self.keep()
        script = f"echo {{}}; if [ {{}} = 2 ]; then head -c {BIG} /dev/zero; fi #"
        self.assert_ok(self.exec("--detach", script, ":::", "1", "2", "3"), "1\n")
        self.assert_ok(self.muster("wait", "1"))
        for path in (self.home / "state.db.output").glob("1/*"):
            path.unlink()
        result = self.muster("results", "1")
        self.assert_fails(result, 1, "its output is lost", "1 of 3 jobs failed")
        self.assertEqual(result.out, "1\n3\n")

    def test_environment_is_kept_once_for_a_batch_and_not_for_each_job(self):
        self.keep()
        mark = "".join(map(str, range(1000)))
        self.assert_ok(self.exec("--detach", "echo ${#MARK} #", ":::", *range(50), env={"MARK": mark}), "1\n")
        self.assert_ok(self.muster("wait", "1"))
        self.assert_ok(self.muster("retry", "1", "--all", env={"MARK": "another"}), "2\n")
        for batch in "1", "2":
            self.assert_ok(self.muster("results", batch, "--follow"), f"{len(mark)}\n" * 50)
        self.stop()
        kept = (self.home / "state.db").read_bytes()
        self.assertIn(kept.count(mark[:100].encode()), range(1, 10), "a row and an index's, of each of two batches")

    def test_reader_of_a_detached_run_that_leaves_is_no_error(self):
        self.keep()
        self.assert_ok(self.exec("--detach", "head -c 300000 /dev/zero #", ":::", "1", "2", "3"), "1\n")
        self.muster("wait", "1")
        for words in [], ["-o", "json"]:
            run = self.start("results", "1", *words)
            run.process.stdout.read(1)
            run.process.stdout.close()
            run.process.stdout = None
            result = run.end()
            self.assertEqual((result.status, result.err), (141, ""), str(result))

    def test_output_that_nobody_forgot_in_time_is_swept(self):
        spool = self.home / "state.db.output"
        self.keep()
        self.assert_ok(self.exec("--detach", f"head -c {BIG} /dev/zero #", ":::", "1"), "1\n")
        self.muster("wait", "1")
        self.stop()
        for name in ("1", "7", "x7"):
            (spool / name).mkdir(exist_ok=True)
            (spool / name / "file").touch()
        self.keep()
        self.assertEqual(sorted(path.name for path in spool.iterdir()), ["1", "x7"])

    def test_what_needs_its_client_is_not_left_behind(self):
        for words in (["--halt", "now,fail=1"], ["--joblog", "x"], ["--results", "x"], ["--delay", "1"], ["-p"],
                      ["--timeout", "200%"], ["--files"], ["--load", "1"], ["--stats", "-"]):
            self.assert_one_line_error(self.exec("--detach", *words, "true", ":::", "1"), "not with --detach")
        self.assert_one_line_error(self.exec("--detach", "true", ":::", "1", coordinator="none"), "nobody to leave them to")

    def test_interrupted_run_goes_on_and_says_how_to_return(self):
        self.keep()
        os.mkfifo(self.work / "go")
        client = self.start("exec", "--coordinator", "default", "touch begun; cat go; echo {}", ":::", "1", cwd=self.work)
        self.until(lambda: (self.work / "begun").exists(), "a command runs")
        client.interrupt()
        self.assert_fails(client.end(), 130, "0 of 1 job done", "muster results --follow 1")
        (self.work / "go").write_text("")
        self.assert_ok(self.muster("results", "1", "--follow"), "1\n")

    def test_output_that_is_missing_since_somebody_cancelled_is_no_success(self):
        self.keep("-j1")
        client = self.start("exec", "--coordinator", "default", "touch begun; sleep {}", ":::", "1000", "0", cwd=self.work)
        self.until(lambda: (self.work / "begun").exists(), "a command runs")
        self.assert_ok(self.muster("cancel", "1", "--now"))
        self.assert_fails(client.end(), 255, "batch 1 was cancelled: 0 of 2 jobs done")

    def test_run_goes_on_when_its_coordinator_was_killed(self):
        self.may_leave_files = True  # the folder of the one that is killed
        daemon = self.keep()
        for name in "123":
            os.mkfifo(self.work / f"go-{name}")
        client = self.start("exec", "--coordinator", "default", "-k", "echo x >> begun; cat go-{}; echo $FOO-{}", ":::",
                            "1", "2", "3", cwd=self.work, env={"FOO": "mine"})
        begun = self.work / "begun"
        self.until(lambda: begun.exists() and begun.read_text() == "x\nx\n", "two commands run")
        daemon.signal(signal.SIGKILL)
        daemon.end()
        self.keep()
        for name in "123":
            (self.work / f"go-{name}").write_text("")
        result = client.end()
        self.assertEqual((result.status, result.out), (0, "mine-1\nmine-2\nmine-3\n"), str(result))
        self.assertEqual(begun.read_text(), "x\n" * 3)

    def test_run_whose_client_was_killed_is_shown_later(self):
        self.may_leave_files = True  # the client's folder
        self.keep()
        for name in "10":
            os.mkfifo(self.work / f"go-{name}")
        self.abandon("echo {}; touch begun; cat go-{}; echo e{} >&2; exit {}", ":::", "1", "0")
        self.assertEqual(self.muster("results", "1").out, "")
        (self.work / "go-1").write_text("")
        self.until(lambda: self.muster("results", "1").out, "the first has ended")
        self.assert_fails(self.muster("results", "1"), 102, "exit status 1", "1 job failed", "batch 1 is not over")
        (self.work / "go-0").write_text("")
        result = self.muster("results", "1", "--follow")
        self.assert_fails(result, 1, "job 1.1", "exit status 1", "1 of 2 jobs failed", "e1\n", "e0\n")
        self.assertEqual(result.out, "1\n0\n")
        records = [json.loads(line) for line in self.muster("results", "1", "-o", "json").out.splitlines()]
        self.assertEqual([(record["exit"], record["stdout"]) for record in records], [(1, "1\n"), (0, "0\n")])


if __name__ == "__main__":
    harness.main()
