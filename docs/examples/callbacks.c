/* SPDX-License-Identifier: MIT
 *
 * Two callbacks for every job: one for success, one for failure. Files are read while the
 * program goes on; each says how large it is, or why it could not be read:
 *
 *     cc callbacks.c -o callbacks $(pkg-config --cflags --libs muster)
 *     ./callbacks processes /etc/hostname /etc/no_such_file
 */
#include <muster/muster.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* What both callbacks of a job get: its name, and where to count. */
struct load {
    const char *path;
    unsigned *left;
};

/* The job succeeded: its value is {"bytes": N, "lines": N}. */
static void on_loaded(void *context, muster_future *future)
{
    const msgpack_object_map *map = &muster_future_result(future)->value->via.map;
    struct load *load = context;

    printf("%s: %llu bytes, %llu lines\n", load->path, (unsigned long long)map->ptr[0].val.via.u64,
           (unsigned long long)map->ptr[1].val.via.u64);
    --*load->left;
}

/* It failed: there is a code and a line of text. */
static void on_failed(void *context, muster_future *future)
{
    struct load *load = context;

    printf("%s: could not be loaded: %s\n", load->path, muster_future_result(future)->text);
    --*load->left;
}

static int load_file(muster *m, struct load *load, struct muster_error *ret_error)
{
    const msgpack_object path = {.type = MSGPACK_OBJECT_STR,
                                 .via.str = {(uint32_t)strlen(load->path), load->path}};
    muster_future *future;
    int code =
        muster_submit(m, &(struct muster_job){.function = "read", .argument = &path}, &future, ret_error);

    if (code != 0)
        return code;
    code = muster_future_on_end(future, on_loaded, on_failed, load);
    muster_future_drop(future); /* the callbacks come all the same */
    return code;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 2};
    unsigned left = argc > 2 ? (unsigned)argc - 2 : 0;
    struct load loads[64];
    struct muster_error error;
    muster *m;

    if (left == 0 || left > 64)
        return fprintf(stderr, "usage: callbacks MODEL FILE...\n"), 2;
    if (muster_model_parse(argv[1], &options.model, &error) != 0 || muster_open(&options, &m, &error) != 0)
        return fprintf(stderr, "callbacks: %s\n", error.text), 1;
    for (int i = 2; i < argc; i++) {
        loads[i - 2] = (struct load){.path = argv[i], .left = &left};
        if (load_file(m, &loads[i - 2], &error) != 0)
            return fprintf(stderr, "callbacks: %s\n", error.text), 1;
    }
    printf("%u files are being loaded\n", left);

    /* The program's own loop: it sleeps until there is something for it, here only muster. */
    while (left > 0) {
        struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};

        if (poll(&item, 1, -1) > 0 && muster_dispatch(m, &error) != 0)
            return fprintf(stderr, "callbacks: %s\n", error.text), 1;
    }
    muster_close(m);
    return 0;
}
