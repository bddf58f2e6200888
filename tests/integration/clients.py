#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What runs with a coordinator say and do that is not theirs alone: errors that name it, jobs by the number of their
batch, readers that leave, and numbers of batches that cannot be written."""
import json
import os

import harness
import verbs


class Named(verbs.Case):
    def test_refusals_name_the_endpoint(self):
        self.serve()
        for words, said in ((["map", "is_prim"], "is_prime"), (["map", "--after", "99", "echo"], "batch 99"),
                            (["map", "--cpus", "99", "echo"], "99 CPUs"), (["map", "--detach", "is_prim"], "is_prime"),
                            (["exec", "--after", "99", "true"], "batch 99")):
            self.assert_fails(self.muster(*words, ":::", "1"), 255, f"muster: {self.endpoint}: ", said)
        self.assert_one_line_error(self.muster("retry", self.ended("echo", 1)), f"muster: {self.endpoint}: ", "nothing to try")

    def test_failed_jobs_have_the_number_of_their_batch(self):
        self.serve()
        self.ended("echo", 1)
        self.assert_fails(self.muster("map", "is_prime", ":::", "x"), 1, 'job 2.1 (argument "x")')
        self.assert_fails(self.muster("exec", "exit", ":::", "7"), 1, "job 3.1 (exit 7)")
        result = self.muster("map", "-o", "json", "is_prime", ":::", "7", "x")
        self.assertEqual([json.loads(line)["job"] for line in result.out.splitlines()], ["4.1", "4.2"])
        local = self.muster("map", "--coordinator", "none", "is_prime", ":::", "x")
        self.assert_fails(local, 1, 'job 1.1 (argument "x")')

    def test_job_that_fails_before_its_batch_has_a_number_is_named_without(self):
        self.serve()
        client = self.start("map", "is_prime")
        client.write("x\n")
        self.assertIn(b'muster: job 1 (argument "x")', client.process.stderr.readline())
        client.write("y\n")
        self.assert_fails(client.end(), 2, "(argument \"y\")", "2 of 2 jobs failed")

    def test_user_without_a_variable_has_a_name(self):
        self.serve()
        self.env.pop("USER", None)
        self.muster("map", "--detach", "echo", ":::", "1")
        self.muster("map", "--detach", "echo", ":::", "1", env={"USER": "u" * 65})
        names = {found["user"] for found in self.objects("jobs")}
        self.assertEqual(len(names), 1)
        self.assertRegex(names.pop(), r"\A[a-z0-9_.-]+\Z")


class ReaderThatLeaves(verbs.Case):
    def test_it_ends_the_batch_and_nobody_is_told(self):
        self.serve()
        client = self.start("map", "echo", ":::", "1..1000000000000")
        self.assertEqual(client.line(), "1")
        client.process.stdout.close()
        client.process.stdout = None
        result = client.end()
        self.assertEqual((result.status, result.err), (141, ""), str(result))
        self.until(lambda: self.objects("jobs", "--state", "running") == [], "the batch is ended")

    def test_verbs_without_a_batch_end_as_quietly(self):
        for words in ["functions"], ["--help"], ["map", "--help"], ["--version"]:
            run = self.start("-c", '"$0" "$@"; echo $? >&2', harness.MUSTER, *words, command="/bin/sh", stdin=None,
                             stdout=self.closed_pipe())
            self.assertEqual(run.end().err, "141\n", words)

    def closed_pipe(self):
        """An end that nobody reads from."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        return writer


if __name__ == "__main__":
    harness.main()
