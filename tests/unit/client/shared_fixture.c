/* SPDX-License-Identifier: MIT
 *
 * See shared_fixture.h.
 */
#include "shared_fixture.h"

#include "proto/reference.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct muster *m;
struct muster_error error;
struct muster_summary summary;
char *bytes;

void fill_bytes(size_t size)
{
    bytes = malloc(size);
    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
}

void open_with(struct muster_options options)
{
    static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};

    options.plugins = plugins;
    options.plugin_count = 1;
    options.worker_program = getenv("MUSTER");
    CHECK_SAYING(muster_open(&options, &m, &error) == 0, error.text);
}

void open_model(enum muster_model model)
{
    open_with((struct muster_options){.model = model,
                                      .workers = model == MUSTER_INLINE || model == MUSTER_LOOP ? 0 : 2});
}

void open_processes(void)
{
    open_model(MUSTER_PROCESSES);
}

msgpack_object bin_of(const void *at, size_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = at, .size = (uint32_t)size}};
}

bool is(const msgpack_object *value, const void *at, size_t size)
{
    return value && value->type == MSGPACK_OBJECT_BIN && value->via.bin.size == size &&
           memcmp(value->via.bin.ptr, at, size) == 0;
}

unsigned mapped_heaps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    unsigned count = 0;

    CHECK(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "memfd:" HEAP_NAME) != NULL;
    fclose(maps);
    return count;
}

pid_t signal_workers(int signal_number)
{
    pid_t last = 0;
    DIR *tasks = opendir("/proc/self/task");
    unsigned told = 0;
    struct dirent *task;

    CHECK(tasks);
    while ((task = readdir(tasks)) != NULL) {
        char path[sizeof "/proc/self/task//children" + sizeof task->d_name];
        FILE *children;
        long pid;

        snprintf(path, sizeof path, "/proc/self/task/%s/children", task->d_name);
        children = fopen(path, "re");
        if (!children)
            continue; /* "." and ".." */
        while (fscanf(children, "%ld", &pid) == 1)
            told += kill(last = (pid_t)pid, signal_number) == 0;
        fclose(children);
    }
    closedir(tasks);
    CHECK(told > 0);
    return last;
}

static int next_echo(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    struct echoes *echoes = context;

    (void)zone, (void)ret_error;
    if (echoes->given == echoes->count)
        return MUSTER_EEND;
    *ret_argument =
        echoes->shared ? *muster_shared_value(echoes->shared) : bin_of(bytes, echoes->sizes[echoes->given]);
    echoes->given++;
    return 0;
}

static int take_echo(void *context, const struct muster_result *result)
{
    struct echoes *echoes = context;
    size_t size =
        echoes->shared ? muster_shared_value(echoes->shared)->via.bin.size : echoes->sizes[result->index - 1];

    CHECK_SAYING(result->code == 0, result->text);
    if (echoes->kills && mapped_heaps() == 5) { /* this process's, and of both workers theirs and a table */
        signal_workers(SIGKILL);
        echoes->kills = false;
    }
    CHECK(is(result->value, bytes, size));
    CHECK(is(result->argument, bytes, size));
    echoes->taken++;
    return 0;
}

void map_echoes(struct echoes *echoes, bool unordered)
{
    struct muster_batch batch = {
        .function = "echo",
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_echo, .context = echoes, .fd = -1},
        .unordered = unordered,
        .want_arguments = true,
        .on_result = take_echo,
        .context = echoes,
        .interrupt_fd = -1,
        .retries = 3,
    };

    echoes->given = echoes->taken = 0;
    CHECK_SAYING(muster_map(m, &batch, &summary, &error) == 0, error.text);
    CHECK(echoes->taken == echoes->count);
    CHECK(summary.succeeded == echoes->count);
}
