#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`muster exec` beside GNU parallel 20221122: the same shell lines, the same results.

cases/AREA.txt has the lines, with PAR for the program; golden/AREA.json has what GNU parallel
made of them: output, status, files (job logs and tables of results without their times). options.txt
has the names of its options. A run compares muster with all of that, and, where GNU parallel is installed, a few lines chosen by
chance with GNU parallel itself, so that what is recorded stays what it does.

  compat.py             that; MUSTER names the program
  compat.py --real      every line with both programs, some minutes
  compat.py --record    the same, and writes what is new or has changed to golden/
  compat.py --coordinator  muster by the workers of a coordinator, which refuses some options
  ... AREA | 'AREA: NAME'   these alone; what is named is run with both programs

A case begins with `== NAME [FLAG...]`, and its shell lines follow. `== files` has lines that make
the files that every case of the area finds in its folder. Flags:
  sorted        lines come in any order
  errors        what commands wrote to standard error is compared, too
  differs:NAME  muster does something else on purpose: docs/PARALLEL.md says why, under NAME,
                and what muster does is recorded beside what GNU parallel does
"""
import argparse
import concurrent.futures
import contextlib
import csv
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
VERSION = "GNU parallel 20221122"
SAMPLE = 12  # cases run with GNU parallel each time: half a second of it each
LIMIT_S = 100  # of one run; GNU parallel on a busy machine is slow
TEXT_SHOWN = 3000  # of a text that is recorded as it is; longer ones by their sum
PROGRAMS = {"muster": 'exec "$MUSTER" exec "$@"', "parallel": 'exec parallel "$@"'}
TIMES = ("Host", "Starttime", "JobRuntime")  # columns that differ from run to run
FLAGS = {"sorted", "errors"}


class Case:
    def __init__(self, area, name, flags):
        self.area, self.name, self.lines = area, name, []
        self.differs = next((flag.split(":", 1)[1] for flag in flags if flag.startswith("differs:")), None)
        self.flags = {flag for flag in flags if not flag.startswith("differs:")}
        if self.flags - FLAGS:
            sys.exit(f"{self}: unknown flags {self.flags - FLAGS}")

    @property
    def script(self):
        return "\n".join(self.lines).strip()

    def __str__(self):
        return f"{self.area}: {self.name}"


def read_cases(path):
    """The shell lines that make the files, and the cases."""
    files, cases, lines = [], [], []
    for line in path.read_text().splitlines():
        header = re.fullmatch(r"== (.*?)(?: \[([^]]*)\])?", line)
        if header and header[1] == "files":
            lines = files
        elif header:
            cases.append(Case(path.stem, header[1], (header[2] or "").split()))
            lines = cases[-1].lines
        elif not line.startswith("#"):
            lines.append(line)
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        sys.exit(f"{path.name}: a name twice: {sorted(name for name in set(names) if names.count(name) > 1)}")
    return "\n".join(files), cases


def shown(text):
    if len(text) <= TEXT_SHOWN:
        return text
    total = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    return f"{len(text)} bytes from {text[:40]!r}, SHA-256 {total}"


def without_times(text, ordered):
    """Job logs, tables and records of results, which are known by their first line: without their times."""
    if text.startswith("Seq\tHost\t"):
        rows = [line.split("\t", 8) for line in text.splitlines()]
    elif text.startswith("Seq,Host,"):
        rows = list(csv.reader(io.StringIO(text)))
    elif text.startswith('{ "Seq"'):
        records = [json.loads(line) for line in text.splitlines()]
        rows = [list(records[0])] + [[record[key] for key in record] for record in records]
    else:
        return text if ordered else "".join(sorted(text.splitlines(True)))
    kept = [at for at, name in enumerate(rows[0]) if name not in TIMES]
    rows = [[row[at] for at in kept if at < len(row)] for row in rows]
    return rows if ordered else rows[:1] + sorted(rows[1:], key=str)


class Bench:
    """Folders and surroundings of all runs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MUSTER", "PARALLEL", "XDG_"))},
            "HOME": str(self.folder / "home"), "LC_ALL": "C", "SHELL": "/bin/bash", "PARALLEL_SHELL": "/bin/bash",
            "MUSTER": os.environ.get("MUSTER", ""), "TMPDIR": str(self.folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        (self.folder / "tmp").mkdir()
        (self.folder / "home/.parallel").mkdir(parents=True)
        (self.folder / "home/.parallel/will-cite").touch()
        for program, line in PROGRAMS.items():
            path = self.folder / program / "PAR"
            path.parent.mkdir()
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)

    def shell(self, script, folder, program):
        environment = {**self.environment, "PATH": f"{self.folder / program}:{os.environ['PATH']}"}
        with subprocess.Popen(["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                out, err = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                err += f"not over within {LIMIT_S} s\n".encode()
        return process.returncode, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape")

    @contextlib.contextmanager
    def coordinator(self):
        """Muster's commands run in the workers of a coordinator meanwhile."""
        with subprocess.Popen([os.environ["MUSTER"], "coordinator", "--state", self.folder / "state.db"],
                              env=self.environment, stderr=subprocess.PIPE, text=True) as daemon:
            for line in daemon.stderr:
                if "listens at" in line:
                    self.environment["MUSTER_COORDINATOR"] = line.split()[-1]
                if "kept in" in line:
                    break
            yield
            daemon.terminate()

    def make_files(self, area, script):
        folder = self.folder / "files" / area
        folder.mkdir(parents=True)
        status, _, err = self.shell(script, folder, "muster")
        if status or err:
            sys.exit(f"{area}: the files: {err}")
        return folder

    def run(self, case, files, program):
        """What a program makes of a case, as it is recorded."""
        with tempfile.TemporaryDirectory(dir=self.folder) as home:
            folder = pathlib.Path(home) / "case"
            shutil.copytree(files, folder)
            before = contents(folder)
            status, out, err = self.shell(case.script, folder, program)
            after = contents(folder)
        ordered = "sorted" not in case.flags
        changes = {name: after.get(name) for name in sorted(before.keys() | after.keys())
                   if before.get(name) != after.get(name)}
        result = {"status": status, "out": out.replace(str(folder), "FOLDER")}
        if "errors" in case.flags:
            result["err"] = "".join(line for line in err.splitlines(True) if not re.match("(parallel|muster): ", line))
        if changes:
            result["files"] = changes
        result = {key: normal(value, ordered) for key, value in result.items()}
        return {**result, "said": err} if "errors" not in case.flags else result


def normal(value, ordered):
    if isinstance(value, dict):
        return {key: normal(item, ordered) for key, item in value.items()}
    value = without_times(value, ordered) if isinstance(value, str) else value
    return shown(value) if isinstance(value, str) else value


def contents(folder):
    """What is in every file, by its path; None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes().decode(errors="surrogateescape") if path.is_file() else ""
            for path in folder.rglob("*")}


def same(result, recorded):
    return {key: result.get(key) for key in result if key != "said"} == recorded


def installed():
    try:
        said = subprocess.run(["parallel", "--version"], capture_output=True, check=False).stdout
    except OSError:
        return False
    return said.startswith(VERSION.encode())


class Table:
    """All cases, and what is recorded of them."""

    def __init__(self, bench):
        self.bench, self.failed = bench, 0
        self.files, self.cases, self.golden = {}, [], {}
        for path in sorted((HERE / "cases").glob("*.txt")):
            script, cases = read_cases(path)
            self.files[path.stem] = bench.make_files(path.stem, script)
            self.cases += cases
            golden = HERE / "golden" / f"{path.stem}.json"
            self.golden[path.stem] = json.loads(golden.read_text()) if golden.exists() else {}

    def recorded(self, case, program="parallel"):
        entry = self.golden[case.area].get(case.name)
        same_case = entry and (entry["flags"], entry["lines"]) == (sorted(case.flags), case.script)
        return entry.get(program) if same_case else None

    def run(self, case, program):
        return self.bench.run(case, self.files[case.area], program)

    def complain(self, what_of, what, expected, found):
        self.failed += 1
        script = f"{what_of.script}\n" if isinstance(what_of, Case) else ""
        said = found.pop("said", "") if isinstance(found, dict) else ""
        print(f"\n{what_of}: {what}\n{script}--- expected\n{json.dumps(expected, indent=1)}\n--- found\n"
              f"{json.dumps(found, indent=1)}{said and chr(10) + said}", flush=True)

    def check(self, case):
        """muster's result against what is recorded."""
        expected = self.recorded(case, "muster" if case.differs else "parallel")
        if expected is None:
            self.failed += 1
            print(f"\n{case}: nothing is recorded for these lines: see --record", flush=True)
            return
        result = self.run(case, "muster")
        if not same(result, expected):
            self.complain(case, "muster", expected, result)
        if case.differs and expected == self.recorded(case):
            self.complain(case, "marked as different, and is the same", expected, result)

    def check_real(self, case):
        """GNU parallel's result against what is recorded of it."""
        result = self.run(case, "parallel")
        if not same(result, self.recorded(case)):
            self.complain(case, "GNU parallel does not do what is recorded of it", self.recorded(case), result)

    def record(self, case):
        results = {"flags": sorted(case.flags), "lines": case.script}
        for program in ("parallel", "muster") if case.differs else ("parallel",):
            first, second = self.run(case, program), self.run(case, program)
            first.pop("said", None)
            if not same(second, first):
                self.complain(case, f"{program} makes something else of it from run to run", first, second)
                return
            results[program] = first
        self.golden[case.area][case.name] = results

    def write(self):
        for area, golden in self.golden.items():
            names = [case.name for case in self.cases if case.area == area]
            golden = {name: golden[name] for name in names if name in golden}
            (HERE / "golden" / f"{area}.json").write_text(json.dumps(golden, indent=1) + "\n")

    def check_document(self):
        """docs/PARALLEL.md names each difference, and no other; what it says is left out has a reason."""
        text = (HERE.parents[1] / "docs/PARALLEL.md").read_text()
        named, used = set(re.findall(r"^- \*\*([a-z-]+)\*\*", text, re.M)), {case.differs for case in self.cases}
        if named != used - {None}:
            self.failed += 1
            print(f"docs/PARALLEL.md and the cases name other differences: {named ^ (used - {None})}")
        for left_out in re.findall(r"^\| (.*?) \|", text, re.M):
            for option in re.findall("`(-.*?)`", left_out):
                status, out, err = self.bench.shell(f"PAR {option} echo ::: a", self.bench.folder, "muster")
                if (status, out) != (255, "") or "unknown" in err or not err.startswith(f"muster: exec: {option}: "):
                    self.complain(option, "docs/PARALLEL.md says that it is left out", "a reason", err)

    def check_options(self):
        """Each option of GNU parallel does something here, or is an error that says why not."""
        text = re.sub("^#.*", "", (HERE / "options.txt").read_text(), flags=re.M)
        folder = self.bench.folder / "options"
        folder.mkdir()
        for option in text.split():
            status, _, err = self.bench.shell(f"PAR {option} :::", folder, "muster")
            if status not in (0, 1, 255) or re.search("unknown|ambiguous", err):
                self.complain(option, "an option of GNU parallel", "an answer", err)


def each(function, cases):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(function, cases))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--coordinator", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muster-compat-") as folder:
        table = Table(Bench(folder))
        cases = [case for case in table.cases
                 if not options.names or case.area in options.names or str(case) in options.names]
        both = options.names or options.real or options.record
        real = [] if not installed() else cases if both else random.sample(cases, min(SAMPLE, len(cases)))
        stale = []
        if options.record:
            stale = [case for case in cases if table.recorded(case) is None or case.differs]
            each(table.record, stale)
            table.write()
            print(f"{len(stale)} recorded")
        with table.bench.coordinator() if options.coordinator else contextlib.nullcontext():
            each(table.check, cases)
        each(table.check_real, [case for case in real if case not in stale and table.recorded(case) is not None])
        if not options.names and not options.coordinator:
            table.check_document()
            table.check_options()
    print(f"{len(cases)} cases, {len(real)} of them with GNU parallel itself: {table.failed} failed")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
