#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exec --sandbox: output of commands is theirs, and there, whatever other jobs do where it is kept."""
import errno
import os
import unittest

import harness
import sandbox

UNNAMED = os.environ["MUSTER_TEST_UNNAMED_LIBRARY"]
ALWAYS = 1 << 40  # as a count

LARGE = "head -c 3000000 /dev/zero | tr '\\0' x"


@unittest.skipIf(not sandbox.LANDLOCK, "this kernel has no Landlock")
class Case(sandbox.Case):
    def exec(self, *arguments, **options):
        return self.run_muster("exec", "--sandbox", *arguments, **options)

    def without(self, number, count=ALWAYS):
        """The environment in which files without a name cannot be made: so many times, in each process."""
        if harness.SANITIZE:
            self.skipTest("their libraries want to be loaded first")
        return {"LD_PRELOAD": UNNAMED, "MUSTER_TEST_UNNAMED": f"{number}:{count}"}


class Names(Case):
    """Files that have names from the start."""

    def test_link_that_a_job_puts_in_the_place_of_its_output_is_not_taken_for_it(self):
        (self.work / "link.py").write_text("import os, sys\n"
                                           "mine = os.readlink('/proc/self/fd/1')\n"
                                           "os.unlink(mine)\n"
                                           f"os.symlink('{self.secret}', mine)\n"
                                           "sys.stdout.write('x' * 3000000)\n", encoding="ascii")
        result = self.exec("-j1", "sh", "-c", ":::", "python3 link.py", env=self.without(errno.EOPNOTSUPP))
        self.assertEqual((result.status, result.out), (1, ""), result)
        self.assertIn("cannot name a file with output in", result.err)
        self.assertEqual(self.secret.stat().st_nlink, 1)
        self.assertEqual(self.secret.read_text(encoding="ascii"), "secret\n")

    def test_output_of_any_size_is_there(self):
        result = self.exec("-j1", "-k", "sh", "-c", ":::", "echo one", LARGE, "echo three >/dev/stdout",
                           env=self.without(errno.EOPNOTSUPP))
        self.assert_ok(result, "one\n" + "x" * 3000000 + "three\n")


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
