#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A state file that is damaged: the coordinator refuses it, and what docs/COORDINATOR.md says helps."""
import contextlib
import os
import pathlib
import re
import signal
import sqlite3
import subprocess

import harness

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "COORDINATOR.md"


class Damaged(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.temporary}/muster-{os.getuid()}/daemon/socket"

    @contextlib.contextmanager
    def served(self, state):
        """While a coordinator has the file open."""
        log = self.home / "log"
        with open(log, "wb") as file:
            daemon = self.start("coordinator", "-j1", "--state", state, stderr=file, stdin=None, stdout=None)
        try:
            self.until(lambda: "are kept in" in log.read_text() or daemon.process.poll() is not None, "it is ready")
            self.assertIsNone(daemon.process.poll(), log.read_text())
            yield
        finally:
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
            daemon.process.wait(harness.LIMIT_S)

    def test_what_can_be_read_of_a_damaged_file_is_saved_as_the_guide_says(self):
        state = self.home / "damaged.db"
        with self.served(state):
            self.assert_ok(self.muster("map", "--detach", "echo", ":::", "1..1000"), "1\n")
            self.assert_ok(self.muster("wait", "1"))
        with contextlib.closing(sqlite3.connect(state)) as database:
            (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'record_of_batch'").fetchone()
        with open(state, "r+b") as file:
            file.seek(4096 * (page - 1))
            file.write(b"\xff" * 4096)
        self.assert_one_line_error(self.muster("coordinator", "--state", state), str(state), "is damaged", "restore a copy")
        (command,) = re.findall(r"```sh\n(sqlite3 damaged\.db .*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
        subprocess.run(["/bin/sh", "-c", command], cwd=self.home, check=True, capture_output=True)
        with self.served(self.home / "saved.db"):
            self.assert_ok(self.muster("results", "1"), "".join(f"{i}\n" for i in range(1, 1001)))


if __name__ == "__main__":
    harness.main()
