/* SPDX-License-Identifier: MIT
 *
 * The flight recorder: a page of shared memory that a worker writes and its supervisor reads
 * once the worker is dead, to name the one job that was executing. It survives any crash,
 * because the supervisor holds the memory too: a memfd, or a file by which the workers of a
 * coordinator that was killed are found by the next one.
 *
 * Plain stores by one thread; `position` is written last, with release order, so what a
 * dead worker left is consistent: while EXECUTING is set, chunk and attempt are those of
 * the job at `position`. A new chunk is written with release order too, behind the end of
 * the last job of the chunk before.
 *
 * A verdict names its job itself: another thread writes it, and the one that executes goes on
 * until the process is dead.
 */
#ifndef MUSTER_PROTO_FLIGHT_H
#define MUSTER_PROTO_FLIGHT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* Where a worker is in its life; FLIGHT_STARTING until it is ready for chunks. */
enum flight_phase {
    FLIGHT_STARTING = 0,
    FLIGHT_LOADING = 1, /* a plug-in; `detail` is its place in the list, from 0 */
    FLIGHT_RUNNING = 2,
    FLIGHT_STOPPING = 3, /* asked to, or gave up by itself: no job is to blame */
};

/* What ended a job from inside the worker, so that the supervisor need not guess. */
enum flight_verdict {
    FLIGHT_NO_VERDICT = 0,
    FLIGHT_TIMED_OUT = 1, /* the job `verdict_index` of `verdict_chunk` passed its time limit */
    FLIGHT_OVERFLOW = 2,  /* that job overflowed the stack of its coroutine, of `detail` KiB */
};

/* Of a crash: what the fault was, and where, as the worker's signal handler leaves it. */
enum flight_fault {
    FLIGHT_HAS_ADDRESS = 1,   /* `fault_address` was accessed, or is where the instruction is */
    FLIGHT_STACK_IS_FULL = 2, /* which is where the thread's stack ends */
};

enum { FLIGHT_FRAMES_MAX = 24, FLIGHT_MODULES_MAX = 8, FLIGHT_MODULE_BYTES = 252 };

/* A place in code: in a file, as it says itself where its parts are (its virtual addresses). */
struct flight_frame {
    uint64_t offset;
    uint32_t module; /* FLIGHT_MODULES_MAX: in none, and `offset` is the address */
    uint32_t unused;
};

struct flight_module {
    uint32_t known;                 /* 0: there is none */
    char name[FLIGHT_MODULE_BYTES]; /* flight_module_name of its path; "": the worker's program */
};

struct flight_page {
    _Atomic uint32_t magic; /* FLIGHT_MAGIC once the worker has mapped the page */
    _Atomic uint32_t phase, detail, verdict;
    _Atomic uint64_t chunk;
    _Atomic uint32_t attempt;
    _Atomic uint32_t progress; /* of the executing job, in 1/1000; 0 when it reported none */
    _Atomic uint64_t position; /* index << 1 | executing; index is 0 before the first job */
    _Atomic uint64_t since_ns; /* monotonic, when the chunk, or a job known to be long, began */
    _Atomic uint64_t verdict_chunk, verdict_index; /* valid once there is a verdict */
    _Atomic uint32_t command;      /* process, and process group, of the command that runs; 0: none */
    _Atomic uint64_t command_mark; /* of the worker's commands: see flight_mark; 0: it has run none */
    _Atomic uint32_t pid;          /* the worker; 0: it has not mapped the page yet */
    _Atomic uint64_t started;      /* when, as tree_started says it; written before `pid` */
    _Atomic uint64_t batch;        /* of `chunk` */
    _Atomic uint64_t make;         /* what it was launched from, written by who did: see supervisor.h */
    /* Of a crash, written in this order. `frame_count` with release order behind each frame. */
    _Atomic uint64_t fault_address;
    _Atomic uint32_t fault_flags, fault_signal; /* 0: none was recorded */
    _Atomic uint32_t frame_count;
    struct flight_frame frames[FLIGHT_FRAMES_MAX]; /* innermost first */
    struct flight_module modules[FLIGHT_MODULES_MAX];
};

enum { FLIGHT_MAGIC = 0x4d464c54 /* "MFLT" */, FLIGHT_PAGE_BYTES = 4096 };

/* Makes the shared page. Returns 0, the descriptor (close-on-exec) and the mapping;
 * MUSTER_ESYSTEM with errno set. The caller closes and unmaps both. */
int flight_create(int *ret_fd, struct flight_page **ret_page);

/* As flight_create, in a new file of mode 0600. Its blocks are there, so that no full disk ends a worker. */
int flight_create_file(int folder_fd, const char *name, int *ret_fd, struct flight_page **ret_page);

/* Maps the page in a file that flight_create_file made. 0, and a descriptor as flight_create returns it;
 * MUSTER_EINVALID when it is no such file; MUSTER_ESYSTEM with errno set. */
int flight_open_file(int folder_fd, const char *name, int *ret_fd, struct flight_page **ret_page);

/* Locks a page for this process, which must not close any descriptor of it then. 0 or MUSTER_ESYSTEM. */
int flight_lock(int fd);

/* The process that has locked the page; 0: none of those that can be seen from here. */
pid_t flight_writer(int fd);

/* Maps a page handed over by the supervisor, in the worker, locks it and sets its magic, and which process
 * this is. 0; MUSTER_EINVALID when `fd` is no page of that size; MUSTER_ESYSTEM with errno set. */
int flight_attach(int fd, struct flight_page **ret_page);

/* Takes NULL. */
void flight_unmap(struct flight_page *page);

static inline void flight_begin_chunk(struct flight_page *page, uint64_t batch, uint64_t chunk,
                                      uint32_t attempt, uint64_t now_ns)
{
    atomic_store_explicit(&page->batch, batch, memory_order_release);
    atomic_store_explicit(&page->chunk, chunk, memory_order_release);
    atomic_store_explicit(&page->attempt, attempt, memory_order_release);
    atomic_store_explicit(&page->progress, 0, memory_order_relaxed);
    atomic_store_explicit(&page->since_ns, now_ns, memory_order_relaxed);
}

static inline void flight_begin_job(struct flight_page *page, uint64_t index)
{
    atomic_store_explicit(&page->position, index << 1 | 1, memory_order_release);
}

static inline void flight_end_job(struct flight_page *page, uint64_t index)
{
    atomic_store_explicit(&page->position, index << 1, memory_order_release);
}

/* The worker is about to end itself, because of this job. */
static inline void flight_time_out(struct flight_page *page, uint64_t chunk, uint64_t index)
{
    atomic_store_explicit(&page->verdict_chunk, chunk, memory_order_relaxed);
    atomic_store_explicit(&page->verdict_index, index, memory_order_relaxed);
    atomic_store_explicit(&page->verdict, FLIGHT_TIMED_OUT, memory_order_release);
}

/* The job that runs has overflowed the stack of its coroutine. For a signal handler. */
static inline void flight_overflow(struct flight_page *page, size_t stack_bytes)
{
    atomic_store_explicit(&page->verdict_chunk, atomic_load(&page->chunk), memory_order_relaxed);
    atomic_store_explicit(&page->verdict_index, atomic_load(&page->position) >> 1, memory_order_relaxed);
    atomic_store_explicit(&page->detail, (uint32_t)(stack_bytes >> 10), memory_order_relaxed);
    atomic_store_explicit(&page->verdict, FLIGHT_OVERFLOW, memory_order_release);
}

/* As much of the end of a path as a page has room for: the file's own name is there. */
static inline const char *flight_module_name(const char *path)
{
    size_t size = strlen(path);

    return size < FLIGHT_MODULE_BYTES ? path : path + size - (FLIGHT_MODULE_BYTES - 1);
}

enum { FLIGHT_MARK_BYTES = 64 };

/* The variable that is in the environment of all that the commands of a worker started: by it they are
 * found when the worker has been killed, whatever they descend from by then. */
void flight_mark(pid_t worker, uint64_t mark, char ret_variable[FLIGHT_MARK_BYTES]);

#endif
