#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/STORE.md says only what is true: its queries are run, on a store that is open, and answer what it shows."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = (TREE / "docs" / "STORE.md").read_text(encoding="utf-8")


def examples():
    """(command, the output shown below it) for each line after a prompt."""
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT, re.S):
        for example in block.split("$ ")[1:]:
            yield example.partition("\n")[::2]


def query(folder, *words):
    done = subprocess.run(["sqlite3", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


class Store(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="muster-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.driver = subprocess.Popen([os.environ["MUSTER_TEST_STORE"], "state.db"], cwd=folder.name, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end)
        self.assertEqual(self.driver.stdout.readline(), "ready\n")

    def end(self):
        if not self.driver.stdin.closed:
            self.driver.stdin.close()
        self.driver.stdout.close()
        self.assertEqual(self.driver.wait(60), 0)

    def test_every_query_answers_what_the_document_shows(self):
        ran = 0
        for command, shown in examples():
            done = subprocess.run(["/bin/sh", "-c", command], cwd=self.folder, capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.stdout + done.stderr, shown, command)
            ran += 1
        self.assertGreaterEqual(ran, 10)

    def test_every_column_of_a_view_is_described(self):
        for view in ("batches", "results", "failures"):
            section = DOCUMENT.split(f"### {view}\n")[1].split("\n#")[0]
            described = re.findall(r"^\| `(\w+)` \|", section, re.M)
            columns = query(self.folder, "state.db", f"select name from pragma_table_info('{view}')").split()
            self.assertEqual(described, columns)

    def test_every_table_is_described(self):
        tables = query(self.folder, "state.db", "select name from sqlite_schema where type = 'table'").split()
        self.assertEqual(sorted(re.findall(r"^\| `(\w+)` \| (?:a row|one row)", DOCUMENT, re.M)), sorted(tables))

    def test_a_copy_made_while_it_is_open_is_whole(self):
        query(self.folder, "state.db", ".backup copy.db")
        self.assertEqual(query(self.folder, "copy.db", "pragma integrity_check; select count(*) from batches"),
                         "ok\n6\n")


if __name__ == "__main__":
    unittest.main()
