/* SPDX-License-Identifier: MIT
 *
 * Maps a function in workers of another program, for foreign.py:
 *
 *     foreign_driver WORKER PLUGIN FUNCTION RETRIES TIMEOUT_MS HEARTBEAT_S [FIRST LAST]
 *
 * The arguments are the range, or else the MessagePack values on standard input. The plug-in
 * is there for the names of its functions; what they do is up to the WORKER. Standard output
 * is MessagePack: an array [index, attempts, code, value or text] for every job, as jobs end,
 * then [succeeded, failed, retried, crashes].
 */
#include "client/muster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 65536 };

static int write_stdout(void *context, const char *bytes, size_t size)
{
    (void)context;
    return size == 0 || fwrite(bytes, 1, size, stdout) == size ? 0 : -1; /* `bytes` may then be NULL */
}

static int print_result(void *context, const struct muster_result *result)
{
    msgpack_packer *packer = context;

    msgpack_pack_array(packer, 4);
    msgpack_pack_uint64(packer, result->index);
    msgpack_pack_unsigned_int(packer, result->attempts);
    msgpack_pack_int(packer, result->code);
    if (result->value)
        msgpack_pack_object(packer, *result->value);
    else
        msgpack_pack_str_with_body(packer, result->text, strlen(result->text));
    return fflush(stdout) ? MUSTER_EOUTPUT : 0;
}

static int print_summary(msgpack_packer *packer, const struct muster_summary *summary)
{
    msgpack_pack_array(packer, 4);
    msgpack_pack_uint64(packer, summary->succeeded);
    msgpack_pack_uint64(packer, summary->failed);
    msgpack_pack_uint64(packer, summary->retried);
    msgpack_pack_uint64(packer, summary->crashes);
    return fflush(stdout) ? MUSTER_EOUTPUT : 0;
}

static void free_zone(void *zone)
{
    msgpack_zone_free(zone);
}

/* The next value on standard input; waits for it. */
static int next_argument(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                         struct muster_error *ret_error)
{
    msgpack_unpacker *input = context;
    msgpack_unpacked unpacked;
    msgpack_unpack_return found;
    ssize_t size;

    msgpack_unpacked_init(&unpacked);
    while ((found = msgpack_unpacker_next(input, &unpacked)) == MSGPACK_UNPACK_CONTINUE) {
        if (!msgpack_unpacker_reserve_buffer(input, READ_BYTES))
            return muster_error_set(ret_error, MUSTER_ENOMEM, "no memory for standard input");
        size = read(STDIN_FILENO, msgpack_unpacker_buffer(input), READ_BYTES);
        if (size <= 0)
            return MUSTER_EEND;
        msgpack_unpacker_buffer_consumed(input, (size_t)size);
    }
    if (found != MSGPACK_UNPACK_SUCCESS)
        return muster_error_set(ret_error, MUSTER_EINVALID, "standard input is not MessagePack");
    *ret_argument = unpacked.data;
    /* The zone takes the value's memory over. */
    if (!msgpack_zone_push_finalizer(zone, free_zone, unpacked.zone)) {
        msgpack_unpacked_destroy(&unpacked);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "no memory for an argument");
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.model = MUSTER_PROCESSES, .workers = 2, .plugin_count = 1};
    struct muster_batch batch = {.on_result = print_result, .unordered = true};
    struct muster_summary summary;
    struct muster_error error;
    msgpack_unpacker input;
    msgpack_packer packer;
    muster *m;
    int code;

    if (argc != 7 && argc != 9) {
        fprintf(stderr, "usage: %s WORKER PLUGIN FUNCTION RETRIES TIMEOUT_MS HEARTBEAT_S [FIRST LAST]\n",
                argv[0]);
        return 2;
    }
    options.worker_program = argv[1];
    options.plugins = (const char *const *)&argv[2];
    batch.function = argv[3];
    batch.retries = (unsigned)strtoul(argv[4], NULL, 10);
    batch.timeout_s = strtod(argv[5], NULL) / 1000;
    options.heartbeat_s = strtod(argv[6], NULL);
    if (!msgpack_unpacker_init(&input, READ_BYTES))
        return 2;
    msgpack_packer_init(&packer, NULL, write_stdout);
    batch.context = &packer;
    if (argc == 9)
        batch.source = muster_source_range(strtoll(argv[7], NULL, 10), strtoll(argv[8], NULL, 10));
    else
        batch.source = (struct muster_source){
            .kind = MUSTER_SOURCE_STREAM, .next = next_argument, .context = &input, .fd = -1};

    code = muster_open(&options, &m, &error);
    if (!code) {
        code = muster_map(m, &batch, &summary, &error);
        if (!code)
            code = print_summary(&packer, &summary);
        muster_close(m);
    }
    if (code)
        fprintf(stderr, "%s: %s\n", argv[0], error.text);
    msgpack_unpacker_destroy(&input);
    return code ? 1 : 0;
}
