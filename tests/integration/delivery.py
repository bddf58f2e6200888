#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/DELIVERY.md names a test for each promise, and docs/THREATS.md for most: they are there, and they are run."""
import pathlib
import re
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
DELIVERY, THREATS = ((TREE / "docs" / name).read_text(encoding="utf-8") for name in ("DELIVERY.md", "THREATS.md"))


def defined(name, path):
    """Whether the file has a test of this name: in C it is defined, and may stand in the list of those that are run."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return f"def {name}(self" in text
    return re.search(rf"^Test\(\w+, {name}\b", text, re.M) or len(re.findall(rf"\b{name}\b", text)) >= 2


def registered(path):
    return path.stem in path.parent.joinpath("CMakeLists.txt").read_text(encoding="utf-8")


class Delivery(unittest.TestCase):
    def test_every_promise_names_a_test_that_is_there(self):
        rows = [row for row in DELIVERY.splitlines() if row.startswith("| ") and not row.endswith("| shown by |")
                and not row.startswith("| --- ")]
        self.assertGreater(len(rows), 30)
        for row in rows:
            self.assertTrue(re.search(r"`tests/\S+` `\w+`", row), row)
        for path, name in re.findall(r"`(tests/\S+)` `(\w+)`", DELIVERY):
            self.assertTrue(defined(name, TREE / path), f"{name} in {path}")
            self.assertTrue(registered(TREE / path), path)

    def test_every_test_that_stands_against_a_threat_is_there(self):
        files = [path for pattern in ("*.c", "*.py") for path in sorted((TREE / "tests").rglob(pattern))]
        names = set(re.findall(r"`((?:[a-z0-9]+_){3,}[a-z0-9]+)`", THREATS))
        self.assertGreater(len(names), 25)
        for name in names:
            self.assertTrue(any(defined(name, path) and registered(path) for path in files), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
