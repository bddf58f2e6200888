/* SPDX-License-Identifier: MIT
 *
 * See processes_fixture.h.
 */
#include "processes_fixture.h"

#include <string.h>
#include <unistd.h>

char folder[] = "/tmp/muster-test-processes-XXXXXX", gate[64];

void open_processes(struct bench *bench, unsigned workers)
{
    static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};
    struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .workers = workers,
        .plugins = plugins,
        .plugin_count = 1,
        .crash_limit = 1,
        .heartbeat_s = 5,
        .worker_program = getenv("MUSTER"),
    };

    CHECK(options.worker_program);
    bench_open(bench, &model_processes, &options);
}

const muster_function *named(const char *name)
{
    static muster_function functions[16];
    unsigned k = 0;

    while (functions[k].name && strcmp(functions[k].name, name) != 0)
        CHECK(++k < 16);
    functions[k].name = name;
    return &functions[k];
}

void open_gate(void)
{
    FILE *file = fopen(gate, "w");

    CHECK(file);
    fclose(file);
}

int check_all_in_folder(const struct check *checks, size_t count)
{
    CHECK(mkdtemp(folder));
    snprintf(gate, sizeof gate, "%s/gate", folder);
    check_all(checks, count);
    CHECK(rmdir(folder) == 0);
    return 0;
}
