#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exec --sandbox: output of commands is theirs, and there, whatever other jobs do where it is kept."""
import errno
import json
import os
import shutil
import signal
import unittest

import harness
import sandbox

REFUSE = os.environ["MUSTER_TEST_REFUSE_LIBRARY"]
ALWAYS = 1 << 40  # as a count
NO_TMPFILE = "tmpfile", errno.EOPNOTSUPP

LARGE = "head -c 3000000 /dev/zero | tr '\\0' x"


@unittest.skipIf(not sandbox.LANDLOCK, "this kernel has no Landlock")
class Case(sandbox.Case):
    def exec(self, *arguments, **options):
        return self.run_muster("exec", "--sandbox", *arguments, **options)

    def stopped_by_modes(self, *arguments):
        """Root's muster goes everywhere, but for this."""
        if os.geteuid() != 0:
            return self.run_muster(*arguments)
        return self.run_muster("--bounding-set=-dac_override,-dac_read_search", harness.MUSTER, *arguments,
                               command="setpriv")

    def refused(self, *calls):
        """The environment in which calls fail, in each process: (NAME, ERRNO[, FROM, COUNT])..."""
        if harness.SANITIZE:
            self.skipTest("their libraries want to be loaded first")
        orders = (":".join(map(str, call if len(call) > 2 else (*call, 0, ALWAYS))) for call in calls)
        return {"LD_PRELOAD": REFUSE, "MUSTER_TEST_REFUSE": ",".join(orders)}


class Names(Case):
    """Files that have names from the start."""

    def test_link_that_a_job_puts_in_the_place_of_its_output_is_not_taken_for_it(self):
        (self.work / "link.py").write_text("import os, sys\n"
                                           "mine = os.readlink('/proc/self/fd/1')\n"
                                           "os.unlink(mine)\n"
                                           f"os.symlink('{self.secret}', mine)\n"
                                           "sys.stdout.write('x' * 3000000)\n", encoding="ascii")
        result = self.exec("-j1", "sh", "-c", ":::", "python3 link.py", env=self.refused(NO_TMPFILE))
        self.assertEqual((result.status, result.out), (1, ""), result)
        self.assertIn("cannot name a file with output in", result.err)
        self.assertEqual(self.secret.stat().st_nlink, 1)
        self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")

    def test_output_of_any_size_is_there(self):
        result = self.exec("-j1", "-k", "sh", "-c", ":::", "echo one", LARGE, "echo three >/dev/stdout",
                           env=self.refused(NO_TMPFILE))
        self.assert_ok(result, "one\n" + "x" * 3000000 + "three\n")


    def test_large_output_where_there_are_no_links_is_its_jobs_error_and_does_not_stay(self):
        look = "set -- $TMPDIR/muster-exec-*/.muster-apart-*/muster-*; echo $#"
        result = self.exec("-j1", "-k", "sh", "-c", ":::", LARGE, look,
                           env=self.refused(NO_TMPFILE, ("linkat", errno.EPERM)))
        self.assertEqual((result.status, result.out), (1, "2\n"), result)
        self.assertIn("cannot name a file with output in", result.err)

    def test_names_in_a_folder_that_is_made_again_do_not_stay(self):
        """As a job closes it when the second file of the next is made, or one of its own is to get another name."""
        look = "set -- $TMPDIR/muster-exec-*/.muster-apart-*/muster-*; echo $#"
        for call in ("linkat", errno.EACCES, 0, 1), ("mkostemp", errno.EACCES, 1, 1):
            with self.subTest(call=call):
                result = self.exec("-j1", "-k", "sh", "-c", ":::", LARGE, look, env=self.refused(NO_TMPFILE, call))
                self.assert_ok(result, "x" * 3000000 + "2\n")


class Folders(Case):
    """Where output is, while jobs do something to it."""

    def test_large_output_of_who_removes_all_that_is_temporary_is_there(self):
        for way in ("rm -rf $TMPDIR/*", "chmod 0 $TMPDIR/muster-exec-*"):
            for script in (f"{way}; {LARGE}", f"{LARGE}; {way}", f"{LARGE}; {way}; echo x >>/dev/stdout"):
                with self.subTest(script=script):
                    self.assert_ok(self.exec("-j1", "sh", "-c", ":::", script),
                                   "x" * 3000000 + "x\n" * ("echo" in script))

    def test_both_outputs_of_who_removes_all_that_is_temporary_are_there(self):
        script = "rm -rf $TMPDIR/*; head -c 2000000 /dev/zero | tr '\\0' x; head -c 2000000 /dev/zero | tr '\\0' y >&2"
        result = self.exec("-j1", "sh", "-c", ":::", script)
        self.assertEqual((result.status, result.out, result.err), (0, "x" * 2000000, "y" * 2000000))

    def test_folder_that_a_job_removes_just_as_output_is_made_there_is_made_again(self):
        for number in (errno.ENOENT, errno.EPERM, errno.ESTALE, errno.EACCES):
            result = self.exec("-j1", "echo {} >/dev/stderr; echo {} >/dev/stdout #", ":::", "a",
                               env=self.refused(("tmpfile", number, 0, 1)))
            self.assertEqual((result.status, result.out, result.err), (0, "a\n", "a\n"), result)

    def test_folder_that_a_job_has_closed_is_not_used(self):
        """Root goes everywhere."""
        for folder in (".", ".muster-apart-*"):
            result = self.exec("-j1", "-k", "sh", "-c", ":::", f"chmod 0 $TMPDIR/muster-exec-*/{folder}", "echo two",
                               LARGE)
            self.assert_ok(result, "two\n" + "x" * 3000000)

    def test_folder_of_a_run_that_a_job_closed_or_opened_to_all_is_removed(self):
        for mode in ("0", "777"):
            self.assert_ok(self.stopped_by_modes("exec", "--sandbox", "-j1", "sh", "-c", ":::",
                                                 f"cd $TMPDIR/muster-exec-*; touch a; chmod {mode} ."))
            self.assertEqual(os.listdir(self.temporary), [])

    def test_first_command_waits_for_room_for_its_folder(self):
        for number in (errno.ENOSPC, errno.EDQUOT):
            result = self.exec("-j1", "echo", ":::", "a", env=self.refused(("mkdirat", number, 0, 5)))
            self.assert_ok(result, "a\n")


    def test_run_that_is_halted_does_not_wait_for_room(self):
        """Its first job fails while the third, for which the second left no folder, waits."""
        env = {**self.refused(("mkdirat", errno.ENOSPC, 2, ALWAYS)), "MUSTER_TEST_REFUSED": str(self.work / "waits")}
        result = self.exec("-j2", "--halt", "now,fail=1", "--termseq", "TERM,60000,KILL", "sh", "-c", ":::",
                           "until [ -e waits ]; do sleep .01; done; exit 1", f"rm -rf {self.temporary}/*", "echo",
                           env=env)
        self.assertEqual((result.status, result.out), (1, ""), result)
        self.assertIn("halted: 2 of 3 jobs done", result.err)
        self.assertNotIn("No space left", result.err)


class Lost(Case):
    """Output that its job leaves unfit to be read: what others wrote is not lost with it."""

    SPOIL = f"ln -L /proc/self/fd/1 $TMPDIR/$$; {LARGE}; echo told >&2"

    def test_job_that_links_its_output_fails_alone(self):
        for number, options in enumerate(((), ("-o", "json"), ("--files",), ("--results", "out"),
                                          ("--results", "table.csv"), ("--tag",))):
            with self.subTest(options=options):
                log = self.work / f"log{number}"
                result = self.exec("-j1", "-k", *options, "--joblog", log, "sh", "-c", ":::", "echo first", self.SPOIL,
                                   "echo last")
                self.assertEqual(result.status, 1, result)
                self.assertIn("exit status 0; its output is lost: a job has removed the file", result.err)
                self.assertIn("job 1.2 (", result.err)
                exits = [line.split("\t")[6] for line in log.read_text(encoding="ascii").splitlines()[1:]]
                self.assertEqual(exits, ["0", "255", "0"])
                self.assertNotIn("xxx", result.out)
        for path in self.temporary.glob("*"):
            path.unlink()
        self.assertEqual((self.work / "out/1/echo last/stdout").read_text(encoding="ascii"), "last\n")

    def test_records_and_standard_error_of_a_job_whose_output_is_lost_are_there(self):
        result = self.exec("-j1", "-k", "-o", "json", "sh", "-c", ":::", self.SPOIL, "echo last")
        self.assertEqual(result.status, 1, result)
        lost, last = map(json.loads, result.out.splitlines())
        self.assertEqual((lost["exit"], lost["stdout"], lost["stderr"]), (0, "", "told\n"))
        self.assertIn("its output is lost", lost["reason"])
        self.assertEqual((last["stdout"], last["reason"]), ("last\n", None))
        for path in self.temporary.glob("*"):
            path.unlink()


class Left(Case):
    """Commands of a map, whose folders are in that for temporary files."""

    def command(self, script):
        return json.dumps({"argv": ["sh", "-c", script], "sandbox": ""})

    def folders(self):
        return sorted(self.temporary.glob(".muster-apart-*"))

    def test_folder_of_a_worker_that_was_killed_is_removed_by_the_next(self):
        """With what a job has put there, and closed."""
        os.mkfifo(self.work / "began")
        for number in (1, 2):
            killed = self.start("map", "command", "-j1", ":::", self.command(
                "w=$PWD; cd $TMPDIR/.muster-apart-*; mkdir -p a/b; chmod 0 a/b .; echo >$w/began; sleep 1000"),
                cwd=self.work)
            (self.work / "began").read_text(encoding="ascii")
            killed.signal(signal.SIGKILL)
            killed.end()
            self.assert_processes_gone()
            self.assertEqual(len(self.folders()), 1, number)
        self.assert_ok(self.run_muster("map", "command", "-j1", ":::", self.command("true")))
        self.assertEqual(self.folders(), [])

    def test_folder_of_a_worker_that_ends_is_removed_with_what_a_job_put_there(self):
        self.assert_ok(self.run_muster("map", "command", "-j1", ":::", self.command(
            "cd $TMPDIR/.muster-apart-*; mkdir -p a/b; touch a/b/c d; chmod 0 a")))
        self.assertEqual(self.folders(), [])

    def test_folder_of_a_worker_that_ends_is_removed_though_a_job_closed_it(self):
        self.assert_ok(self.stopped_by_modes("map", "command", "-j1", ":::", self.command(
            "cd $TMPDIR/.muster-apart-*; touch a; chmod 0 .")))
        self.assertEqual(self.folders(), [])

    def test_folder_of_a_worker_that_goes_on_in_another_is_removed_with_what_a_job_put_there(self):
        other = self.work / "other"
        other.mkdir()
        jobs = [json.dumps({"argv": ["sh", "-c", f"cd {folder}/.muster-apart-* && touch kept"], "sandbox": "",
                            "tmpdir": str(folder)}) for folder in (self.temporary, other)]
        self.assert_ok(self.run_muster("map", "command", "-j1", "-o", "none", ":::", *jobs), "")
        self.assertEqual((self.folders(), os.listdir(other)), ([], []))

    def test_folder_of_a_worker_on_another_host_stays(self):
        """Of a file system that hosts share, on which a lock may be of one host alone."""
        folder = self.temporary / ".muster-apart-elsewhere-0123456789abcdef"
        folder.mkdir()
        self.assert_ok(self.run_muster("map", "command", "-j1", ":::", self.command("true")))
        self.assertEqual(self.folders(), [folder])
        folder.rmdir()

    def test_folder_of_a_worker_that_lives_stays(self):
        for name in ("began", "go"):
            os.mkfifo(self.work / name)
        lives = self.start("map", "command", "-j1", ":::", self.command("echo >began; cat go; echo >/dev/stderr"),
                           cwd=self.work)
        (self.work / "began").read_text(encoding="ascii")
        folders = self.folders()
        self.assert_ok(self.run_muster("map", "command", "-j1", ":::", self.command("true")))
        self.assertEqual(self.folders(), folders)
        (self.work / "go").write_text("", encoding="ascii")
        self.assertEqual(lives.end().status, 0)


@unittest.skipIf(os.geteuid() != 0, "only root may remove what is others'")
class Others(Case):
    """What is not the user's, in a folder that a job of his moves to where muster removes what is left."""

    def moves(self, where):
        """A script, behind which what it has moved is to be there."""
        folder = self.temporary / "mine"
        other = folder / "other" / "deep"
        other.mkdir(parents=True)
        (other / "kept").touch()
        for path in (other.parent, other):
            os.chown(path, 1234, 1234)
            path.chmod(0o755)
        return (f"! rm -r {folder}/other 2>/dev/null && touch {folder}/file && mkdir {folder}/empty && "
                f"mv {folder} {where}/")

    def check(self, where):
        left = sorted(path.name for path in self.temporary.glob(f"{where}/*/*"))
        self.assertEqual(left, ["other"])
        kept = list(self.temporary.glob(f"{where}/*/other/deep/kept"))
        self.assertEqual(len(kept), 1)
        shutil.rmtree(kept[0].parents[3])

    def test_it_is_not_removed_with_the_folder_of_a_run(self):
        where = "muster-exec-*"
        self.assert_ok(self.exec("-j1", "sh", "-c", ":::", self.moves(f"$TMPDIR/{where}")))
        self.check(where)

    def test_it_is_not_removed_with_the_folder_of_a_worker(self):
        where = ".muster-apart-*"
        self.assert_ok(self.run_muster("map", "command", "-j1", ":::", json.dumps(
            {"argv": ["sh", "-c", self.moves(f"$TMPDIR/{where}")], "sandbox": ""})))
        self.check(where)


class Rules(Case):
    def test_what_is_moved_home_while_a_command_waits_is_not_read(self):
        os.mkfifo(self.work / "began")
        moved = self.secret.parent / "moved"
        jobs = self.start("exec", "--sandbox", "-j1", "--retries", "2", "--backoff", "1",
                          f"if [ ! -e again ]; then touch again; echo $$ >began; exit 1; fi; cat {moved} #", ":::", "x",
                          cwd=self.work)
        first = int((self.work / "began").read_text(encoding="ascii"))
        self.assert_gone(first)
        (self.home / "other").rename(moved)
        result = jobs.end()
        self.assertEqual((result.status, result.out), (1, ""), result)
        self.assertIn("Permission denied", result.err)


if __name__ == "__main__":
    harness.main()
