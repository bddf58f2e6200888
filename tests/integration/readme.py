#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README says only what is true: its console examples are run, and print what it shows.

A command with lines below it must print exactly those (standard output, then standard
error), but for where muster is, how much memory something took, and which instruction found a stack at its end;
one without must succeed.
"""
import os
import pathlib
import re
import shutil
import unittest

import harness

TREE = pathlib.Path(__file__).resolve().parents[2]


# Jobs of which twelve, by five models, three times, would take most of the time of this test.
LESS = {"muster compare nqueens": (" 13", " 11")}


def examples():
    """(command, the output shown below it) for each line after a prompt."""
    for block in re.findall(r"```console\n(.*?)```", (TREE / "README.md").read_text(encoding="utf-8"), re.S):
        for example in block.split("$ ")[1:]:
            command, _, shown = example.partition("\n")
            yield command, shown


def as_shown(text):
    """What a command printed, without what differs from machine to machine."""
    text = text.replace(str(pathlib.Path(harness.MUSTER).resolve()), "muster")
    text = re.sub(r"peak memory \d+ MiB", "peak memory 15 MiB", text)
    # The call, or the first of the function that is called: by where the kernel has put the stack.
    call = "in compute (ackermann.c:15)\n"
    return text.replace(call, "in compute (ackermann.c:12) < compute (ackermann.c:15)\n")


class Readme(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["PATH"] = f"{pathlib.Path(harness.MUSTER).parent}:{os.environ['PATH']}"
        self.env["HOME"] = self.env["XDG_STATE_HOME"] = str(self.home)
        for folder in ("jobs", "docs"):
            shutil.copytree(TREE / folder, self.home / folder)

    @unittest.skipIf(harness.SANITIZE, "the examples are for a release")
    def test_every_example_does_what_the_readme_shows(self):
        ran = 0
        for command, shown in examples():
            for begin, (much, less) in LESS.items():
                if command.startswith(begin):
                    self.assertIn(much, command)
                    command = command.replace(much, less)
            result = self.start("-c", command, command="/bin/sh", cwd=self.home).end()
            if shown:
                self.assertEqual(as_shown(result.out + result.err), shown, str(result))
            else:
                self.assertEqual(result.status, 0, str(result))
            ran += 1
        self.assertGreaterEqual(ran, 8)

    def test_files_that_the_readme_names_are_there(self):
        links = re.findall(r"\]\(([^)]+)\)", (TREE / "README.md").read_text(encoding="utf-8"))
        self.assertGreater(len(links), 3)
        for link in links:
            self.assertTrue((TREE / link).exists(), link)


if __name__ == "__main__":
    harness.main()
