/* SPDX-License-Identifier: MIT
 *
 * Large values between a client and real workers, where they end: the largest ones, those of workers
 * that run many jobs at once, and what is mapped of workers that are dead.
 */
#include "base/sanitize.h"
#include "proto/limits.h"
#include "shared_fixture.h"

#include <string.h>
#include <time.h>

/* As a binary it has six bytes more in front, and a value may have no more than that. */
enum { LARGEST = PROTO_VALUE_BYTES_MAX - 64 };

/* Of a millisecond at least. */
enum { LOOKS_MAX = 20000 };

/* --- the largest */

/* Copies that there may be of one at once: the caller's, in heaps, in messages, in buffers. */
enum { COPIES = 10 };

static bool can_be_had(void)
{
    if (SANITIZE_THREAD) {
        puts("skipped: the thread sanitizer takes a minute for bytes that smaller values have, too");
        return false;
    }
    if ((size_t)sysconf(_SC_AVPHYS_PAGES) / COPIES * (size_t)sysconf(_SC_PAGESIZE) > LARGEST)
        return true;
    puts("skipped: less than 2.5 GiB of free memory");
    return false;
}

static int echo(size_t size, const void *ret_bytes)
{
    msgpack_object argument = bin_of(ret_bytes, size);
    struct muster_job job = {.function = "echo", .argument = &argument};
    const msgpack_object *value;
    struct muster_future *future;
    int code = muster_submit(m, &job, &future, &error);

    if (code != 0)
        return code;
    code = muster_await(future, &value, &error);
    CHECK(code != 0 || is(value, ret_bytes, size));
    muster_future_drop(future);
    return code;
}

static void check_largest(enum muster_transport transport, bool shared)
{
    open_with((struct muster_options){.model = MUSTER_PROCESSES, .workers = 1, .transport = transport});
    CHECK_SAYING(echo(LARGEST, bytes) == 0, error.text);
    CHECK((mapped_heaps() > 0) == shared);
    CHECK(echo(PROTO_VALUE_BYTES_MAX, bytes) == MUSTER_ELIMIT);
    CHECK_SAYING(echo(MIB, bytes) == 0, error.text);
    muster_close(m);
}

static void value_of_256_mib_comes_back_through_shared_memory_and_one_byte_too_many_is_refused(void)
{
    if (can_be_had())
        check_largest(MUSTER_IPC, true);
}

static void value_of_256_mib_comes_back_through_messages_and_one_byte_too_many_is_refused(void)
{
    if (can_be_had())
        check_largest(MUSTER_IPC_INLINE, false);
}

/* --- many jobs at once */

static void open_concurrent(void)
{
    open_with((struct muster_options){.model = MUSTER_PROCESSES, .workers = 2, .concurrency = 4});
}

static void fill(struct echoes *echoes)
{
    static const size_t sizes[] = {100, 64 * KIB, 3 * MIB, 256 * KIB, 0, 8 * MIB, 4 * KIB, MIB};

    *echoes = (struct echoes){.count = 40};
    for (unsigned i = 0; i < echoes->count; i++)
        echoes->sizes[i] = sizes[i % (sizeof sizes / sizeof *sizes)];
}

static void values_of_jobs_that_run_at_once_come_back_as_they_went(void)
{
    struct echoes echoes;

    open_concurrent();
    fill(&echoes);
    for (int i = 0; i < 4; i++)
        map_echoes(&echoes, i % 2);
    CHECK(mapped_heaps() > 1); /* of workers, too */
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

static void workers_killed_while_they_run_many_jobs_harm_no_result(void)
{
    struct echoes echoes;

    open_concurrent();
    fill(&echoes);
    echoes.kills = true;
    map_echoes(&echoes, true);
    CHECK(!echoes.kills);
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

int main(void)
{
    static const struct check checks[] = {
        {"value_of_256_mib_comes_back_through_shared_memory_and_one_byte_too_many_is_refused",
         value_of_256_mib_comes_back_through_shared_memory_and_one_byte_too_many_is_refused},
        {"value_of_256_mib_comes_back_through_messages_and_one_byte_too_many_is_refused",
         value_of_256_mib_comes_back_through_messages_and_one_byte_too_many_is_refused},
        {"values_of_jobs_that_run_at_once_come_back_as_they_went",
         values_of_jobs_that_run_at_once_come_back_as_they_went},
        {"workers_killed_while_they_run_many_jobs_harm_no_result",
         workers_killed_while_they_run_many_jobs_harm_no_result},
    };

    fill_bytes(SANITIZE_THREAD ? 8 * MIB : PROTO_VALUE_BYTES_MAX);
    return check_all(checks, sizeof checks / sizeof *checks);
}
