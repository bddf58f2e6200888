# SPDX-License-Identifier: MIT
"""Other systems, measured from inside: peers.py KIND MEASURE WORKERS, run by the file of this name in C.

Says "ready", or "missing WHAT"; then each line "JOBS NS" is answered with the nanoseconds that so many
jobs took, of NS each where the measure is `work`, of NS bytes where it is `block`. Ends with its standard
input. Jobs are given as

    batch      all at once, in the chunks that suit the system best
    single     one by one, many of them under way
    trip       one after another
    work       as batch, each burning CPU time
    block      one after another, each a block of bytes in and out again
"""
import sys

sys.path[:] = [folder for folder in sys.path if folder]  # not what happens to lie in the current one

import collections
import ctypes
import multiprocessing
import os
import socket
import subprocess
import time


def missing(what):
    print("missing", what, flush=True)
    sys.exit()


def serve(run):
    print("ready", flush=True)
    for line in sys.stdin:
        jobs, ns = map(int, line.split())
        begin = time.perf_counter_ns()
        run(jobs, ns)
        print(time.perf_counter_ns() - begin, flush=True)


def noop(value):
    return value


block = b""


def block_of(size):
    """Made when it is asked for first: in the warm-up."""
    global block
    if len(block) != size:
        block = os.urandom(size)
    return block


def burn(ns):
    end = time.thread_time_ns() + ns
    while time.thread_time_ns() < end:
        pass


def pool(measure, workers):
    with multiprocessing.get_context("fork").Pool(workers) as p:
        serve({
            "batch": lambda jobs, ns: p.map(noop, range(jobs)),
            "single": lambda jobs, ns: collections.deque(p.imap_unordered(noop, range(jobs)), 0),
            "trip": lambda jobs, ns: [p.apply(noop, (1,)) for _ in range(jobs)],
            "work": lambda jobs, ns: p.map(burn, [ns] * jobs),
            "block": lambda jobs, size: [p.apply(noop, (block_of(size),)) for _ in range(jobs)],
        }[measure])


def futures(measure, workers):
    from concurrent.futures import ProcessPoolExecutor

    def chunk(jobs):
        return max(1, jobs // (4 * workers))  # as Pool.map does by itself

    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as p:
        serve({
            "batch": lambda jobs, ns: collections.deque(p.map(noop, range(jobs), chunksize=chunk(jobs)), 0),
            "single": lambda jobs, ns: [future.result() for future in [p.submit(noop, 1) for _ in range(jobs)]],
            "trip": lambda jobs, ns: [p.submit(noop, 1).result() for _ in range(jobs)],
            "work": lambda jobs, ns: collections.deque(p.map(burn, [ns] * jobs, chunksize=chunk(jobs)), 0),
            "block": lambda jobs, size: [p.submit(noop, block_of(size)).result() for _ in range(jobs)],
        }[measure])


def joblib(measure, workers):
    try:
        from joblib import Parallel, delayed
    except ImportError:
        missing("joblib is not installed")
    with Parallel(workers) as p:
        serve({
            "batch": lambda jobs, ns: p(delayed(noop)(i) for i in range(jobs)),
            "work": lambda jobs, ns: p(delayed(burn)(ns) for _ in range(jobs)),
        }[measure])


def gearman_work(library, port):
    """A worker: a function that returns nothing, by the C library."""
    result = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t),
                              ctypes.POINTER(ctypes.c_int))

    def nothing(_job, _context, ret_size, ret_code):
        ret_size[0] = ret_code[0] = 0

    function = result(nothing)
    library.gearman_worker_create.restype = ctypes.c_void_p
    worker = ctypes.c_void_p(library.gearman_worker_create(None))
    library.gearman_worker_add_server(worker, b"127.0.0.1", port)
    library.gearman_worker_add_function(worker, b"noop", 0, function, None)
    while True:
        library.gearman_worker_work(worker)


def gearman_server():
    """A server of our own, on a port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        server = subprocess.Popen(["gearmand", "-L", "127.0.0.1", "-p", str(port), "--log-file=none"],
                                  env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        missing("gearmand is not installed")
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            time.sleep(0.01)
    missing(f"gearmand ended with status {server.returncode}")


def gearman(measure, workers):
    try:
        library = ctypes.CDLL("libgearman.so.8")
    except OSError:
        missing("libgearman is not installed")
    server, port = gearman_server()
    processes = [multiprocessing.get_context("fork").Process(target=gearman_work, args=(library, port), daemon=True)
                 for _ in range(workers)]
    for process in processes:
        process.start()
    library.gearman_client_create.restype = library.gearman_client_add_task.restype = ctypes.c_void_p
    library.gearman_client_do.restype = ctypes.c_void_p
    client = ctypes.c_void_p(library.gearman_client_create(None))
    library.gearman_client_add_server(client, b"127.0.0.1", port)
    size, code, data, one = ctypes.c_size_t(), ctypes.c_int(), ctypes.c_char_p(b"x"), ctypes.c_size_t(1)

    def single(jobs, _ns):
        while jobs > 0:  # more of them at once were slower
            for _ in range(min(jobs, 5000)):
                library.gearman_client_add_task(client, None, None, b"noop", None, data, one, ctypes.byref(code))
            if library.gearman_client_run_tasks(client) != 0:
                sys.exit("gearman_client_run_tasks failed")
            library.gearman_client_task_free_all(client)
            jobs -= 5000

    def trip(jobs, _ns):
        for _ in range(jobs):
            library.gearman_client_do(client, b"noop", None, data, one, ctypes.byref(size), ctypes.byref(code))
            if code.value != 0:
                sys.exit("gearman_client_do failed")

    try:
        serve({"single": single, "trip": trip}[measure])
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    {"pool": pool, "futures": futures, "joblib": joblib, "gearman": gearman}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
