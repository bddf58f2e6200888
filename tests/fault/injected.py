#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each call of a function of the operating system fails once, or from then on: the result is right, or an error
says what failed; nothing crashes, hangs, is lost or stays behind.

A run in which nothing fails counts the calls (inject.c); then each of them fails in a run of its own. The short
form has each function fail once, somewhere, and some calls more; MUSTER_FAULTS='*' takes all, MUSTER_FAULTS=N so many
of each scenario, MUSTER_FAULTS='client:malloc:*' those that match: ROLE:FUNCTION:FIRST:COUNT:ERRNO. MUSTER_SEED=N
draws others."""
import errno
import os
import random
import re
import signal

import harness
import trials
from trials import expect, is_part

ALWAYS = 1 << 40  # as a count

# How a function fails; EIO where nothing is said.
NUMBERS = {
    errno.ENOMEM: "malloc mmap mprotect epoll_ctl recvmsg sigaltstack",
    errno.EINTR: "poll epoll_wait",
    errno.EMFILE: "open fopen opendir fcntl dup2 dup3 pipe2 memfd_create eventfd epoll_create1 timerfd_create "
                  "pidfd_open socket socketpair",
    errno.ENFILE: "accept4",
    errno.EAGAIN: "fork clone posix_spawn posix_spawnp pthread_create",
    errno.ENOSPC: "write pwrite fwrite ftruncate fallocate posix_fallocate rename mkdir mkdirat mkdtemp mkostemp linkat",
    errno.EACCES: "unlink unlinkat bind connect stat fstat readlink",
    errno.ENOLCK: "flock",
}
NUMBER = {name: number for number, names in NUMBERS.items() for name in names.split()}

# These fail once: with no memory at all libzmq aborts anyway, and signals do not come for ever.
ONCE = ("malloc", "poll", "epoll_wait")

# What libzmq calls, and tries again.
THEIRS = ("accept4",)

# Where these fail, something may have to stay.
TIDYING = ("unlink", "unlinkat", "opendir", "stat", "fstat", "open", "flock")


def prefix_of(part, whole):
    return whole[:len(part)] == part


class Fault(trials.Trial):
    """A trial in which calls fail. Whoever meets that says so, and ends or goes on."""

    def aborts(self):
        return [note for note in trials.notes(self.log()) if re.match(r"\S+ (abort|assertion) ", note)]

    def is_theirs(self):
        """Whether a process has died in libzmq, or for what failed as glibc was told not to look for a database of
        protocols: docs/TESTING.md has why."""
        return any("/libzmq.so" in note for note in self.aborts()) or "__nss_configure_lookup" in self.log()

    def is_mute(self):
        """Whether it cannot say what is wrong."""
        return self.call == "write" and int(self.count) == ALWAYS

    def check_words(self, text, result):
        expect(all(line.startswith("muster: ") for line in text.splitlines()) or self.is_theirs(), f"strange words: {result}")

    def check_end(self, result):
        """Who said what when it ended."""
        expect(result.status < 128 or result.status == 255, f"died: {result}")
        self.check_words(result.err, result)
        expect("killed by" not in result.err and "assert" not in result.err, f"a worker crashed: {result}")
        expect(result.err or result.status == 0 or (self.is_mute() and result.status == 255), f"no error: {result}")

    def check_run(self, result, lines):
        out = result.out.splitlines()
        if self.is_theirs():
            return
        self.check_end(result)
        if result.status == 0:
            expect(out == lines, f"not what it should be: {result}")
        elif result.status == 255:
            expect(is_part(out, lines) or "\n".join(lines).startswith(result.out), f"invented: {result}")
            said = [line for line in result.err.splitlines() if not re.match("muster: (job |\\d+ of |worker: )", line)]
            kinds = {re.sub(r"\d+", "N", line) for line in said}
            expect(len(kinds) <= 2, f"more than what failed, at a worker and here: {result}")
        else:
            expect(result.status == len(lines) - len(out) and is_part(out, lines), f"lost or invented: {result}")

    def check_log(self, result, ended):
        expect(len(ended) == 4 or result.status == 255 or result.err, f"not in the job log: {ended}\n{result}")

    def check_results(self, result, missing):
        if not self.is_theirs():
            self.check_end(result)
            expect(len(missing) <= result.status, f"not in files: {missing}\n{result}")

    def check_submitted(self, result):
        expect(result.status in (0, 255) or self.is_theirs(), str(result))
        self.check_words(result.err, result)
        expect(result.status == 0 or result.err and not result.out or self.is_theirs(), f"no error: {result}")
        return result.status == 0

    def read(self, batch):
        return self.muster("results", batch, "--follow", "--wait-coordinator", "1")

    def check_read(self, result, lines):
        expect(result.status in (0, 255), f"{result}")
        out = result.out.splitlines()
        expect(out == lines or result.status == 255 and prefix_of(out, lines), f"{result}")

    def check_daemon(self, status, said):
        expect(status in (0, 255) or self.is_theirs(), f"status {status}: {said}")
        self.check_words(said, said)
        expect(status != 255 or said, "no error")

    def check_page(self, result, page):
        """What is there after a run that was to write it."""
        old, new = page == "of yesterday\n", page.rstrip().endswith("</html>")
        expect(new or old and result.status != 0, f"{page[:100]}...{page[-100:]}: {result}")
        if not self.is_theirs():
            self.check_end(result)

    def check_host(self, status, said):
        self.check_daemon(0 if status == 128 + signal.SIGTERM else status, said)

    def check_rest(self):
        expect(self.is_theirs() or not self.aborts(), "aborted")
        self.check_gone()
        if self.is_theirs():  # who died leaves it to the next one
            self.muster("map", "noop", "--coordinator", "none", ":::", "1")
        expect(not self.left() or self.call in TIDYING, f"left in $TMPDIR: {self.left()}")


def orders(counts, scenario):
    """All that may fail in a run with so many calls."""
    for (role, function), count in sorted(counts.items()):
        if role.endswith("-zmq") and function not in THEIRS or function in trials.STEPS:
            continue
        number = NUMBER.get(function, errno.EIO)
        for first in range(1, count + 1):
            yield f"{role}:{function}:{first}:1:{number}"
            if function not in (*ONCE, *THEIRS) and scenario.for_ever:
                yield f"{role}:{function}:{first}:{ALWAYS}:{number}"


class PageScenario:
    """A page that is written in place of another one: there is one of them, whole, whatever happens."""

    for_ever = True

    def run(self, trial):
        page = trial.home / "page.html"
        page.write_text("of yesterday\n")
        result = trial.muster("compare", "noop", "-j2", "--rounds", "1", "--models", "inline,threads", "--html", page,
                              ":::", "1..4", env=trial.faulty)
        trial.check_page(result, page.read_text())
        pages = [path.name for path in trial.home.glob("page.html*")]
        expect(pages == [page.name] or trial.call in TIDYING, f"left: {pages}")
        trial.check_rest()


class Injected(trials.Tests):
    kind, variable = Fault, "MUSTER_FAULTS"
    scenarios = {**trials.SCENARIOS, "page": PageScenario()}

    def orders(self, counts, scenario):
        return orders(counts, scenario)

    def sample(self, name):
        """Each function fails once, in one of the scenarios that call it; and two more calls of each scenario."""
        chooser = random.Random(os.environ.get("MUSTER_SEED", "1"))
        drawn = []
        for function in sorted({function for scenario in self.scenarios for function in self.every(scenario)}):
            scenario = chooser.choice([scenario for scenario in self.scenarios if function in self.every(scenario)])
            drawn.append((scenario, chooser.choice(self.every(scenario)[function])))
        return [order for scenario, order in drawn if scenario == name] + self.some(name, 2)

    def test_page_in_place_of_another(self):
        self.check("page")


if __name__ == "__main__":
    harness.main()
