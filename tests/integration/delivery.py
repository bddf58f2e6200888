#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/DELIVERY.md names a test for each promise: they are there, and they are run."""
import pathlib
import re
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = (TREE / "docs" / "DELIVERY.md").read_text(encoding="utf-8")


class Delivery(unittest.TestCase):
    def test_every_promise_names_a_test_that_is_there(self):
        rows = [row for row in DOCUMENT.split("## A job")[0].splitlines() if row.startswith("| ")][2:]
        self.assertGreater(len(rows), 10)
        for row in rows:
            names = re.findall(r"`(tests/\S+)` `(\w+)`", row)
            self.assertTrue(names, row)
            for path, name in names:
                text = (TREE / path).read_text(encoding="utf-8")
                # in C it is defined, and stands in the list of those that are run
                found = re.findall(rf"def {name}\(self" if path.endswith(".py") else rf"\b{name}\b", text)
                self.assertGreaterEqual(len(found), 1 if path.endswith(".py") else 2, f"{name} in {path}")
                registered = (TREE / path).parent.joinpath("CMakeLists.txt").read_text(encoding="utf-8")
                self.assertIn(pathlib.Path(path).stem, registered, path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
