/* SPDX-License-Identifier: MIT
 *
 * sha256: the digest of a file, as sha256sum prints it, or of bytes. Files are streamed, so
 * memory does not grow with them. Pipes, sockets and terminals are refused: a job may run
 * twice, and they cannot be read twice.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 64 << 10, /* a system call for every 200 us of hashing */
    HEX_BYTES = 2 * crypto_hash_sha256_BYTES,
};

static int give_digest(muster_call *call, const uint8_t digest[crypto_hash_sha256_BYTES],
                       msgpack_object *ret_result)
{
    char *hex = muster_call_alloc(call, HEX_BYTES + 1);

    if (!hex)
        return muster_call_fail(call, "out of memory for a digest");
    sodium_bin2hex(hex, HEX_BYTES + 1, digest, crypto_hash_sha256_BYTES);
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = hex;
    ret_result->via.str.size = HEX_BYTES;
    return 0;
}

static int fail_file(muster_call *call, const char *verb, const char *path)
{
    return muster_call_fail(call, "cannot %s \"%s\": %s", verb, path, strerror(errno));
}

/* The size is for progress only: it is 0 for /proc files, and may grow. */
static int open_file(muster_call *call, const char *path, int *ret_descriptor, off_t *ret_size)
{
    struct stat status;
    int descriptor;

    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO would block */
    if (descriptor < 0)
        return fail_file(call, "open", path);
    errno = EISDIR;
    if (fstat(descriptor, &status) != 0 || S_ISDIR(status.st_mode)) {
        fail_file(call, "read", path);
        close(descriptor);
        return MUSTER_JOB_FAILED;
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        close(descriptor);
        return muster_call_fail(call, "cannot read \"%s\": it is neither a file nor a disk", path);
    }
    *ret_descriptor = descriptor;
    *ret_size = status.st_size;
    return 0;
}

static int hash_stream(muster_call *call, const char *path, int descriptor, off_t size,
                       crypto_hash_sha256_state *state)
{
    uint8_t *buffer = malloc(BUFFER_BYTES);
    double done = 0;
    ssize_t got;
    int code = 0;

    if (!buffer)
        return muster_call_fail(call, "out of memory for a buffer");
    for (;;) {
        if (muster_call_cancelled(call)) {
            code = MUSTER_ECANCELLED;
            break;
        }
        got = read(descriptor, buffer, BUFFER_BYTES);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            code = fail_file(call, "read", path);
            break;
        }
        crypto_hash_sha256_update(state, buffer, (size_t)got);
        done += (double)got;
        muster_call_progress(call, size > 0 ? done / (double)size : 0);
    }
    free(buffer);
    return code;
}

static int hash_file(muster_call *call, const char *path, uint8_t ret_digest[crypto_hash_sha256_BYTES])
{
    crypto_hash_sha256_state state;
    int descriptor, code;
    off_t size;

    code = open_file(call, path, &descriptor, &size);
    if (code != 0)
        return code;
    crypto_hash_sha256_init(&state);
    code = hash_stream(call, path, descriptor, size, &state);
    if (code == 0)
        crypto_hash_sha256_final(&state, ret_digest);
    close(descriptor);
    return code;
}

static int sha256(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    char *path;
    int code;

    if (sodium_init() < 0)
        return muster_call_fail(call, "libsodium cannot be initialised");
    if (argument->type == MSGPACK_OBJECT_BIN) {
        crypto_hash_sha256(digest, (const uint8_t *)argument->via.bin.ptr, argument->via.bin.size);
        return give_digest(call, digest, ret_result);
    }
    if (argument->type != MSGPACK_OBJECT_STR || argument->via.str.size == 0 ||
        memchr(argument->via.str.ptr, '\0', argument->via.str.size))
        return argument_refuse(call, &function_sha256, argument);
    path = strndup(argument->via.str.ptr, argument->via.str.size);
    if (!path)
        return muster_call_fail(call, "out of memory for a path");
    code = hash_file(call, path, digest);
    free(path);
    return code == 0 ? give_digest(call, digest, ret_result) : code;
}

const muster_function function_sha256 = {
    .name = "sha256",
    .summary = "the SHA-256 digest of a file or of bytes",
    .argument = "the path of a file, or binary data",
    .result = "the digest in hexadecimal, as sha256sum prints it",
    .example = "\"/etc/hostname\"",
    .run = sha256,
};
