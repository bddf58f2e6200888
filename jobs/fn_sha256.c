/* SPDX-License-Identifier: MIT
 *
 * sha256: the digest of a file, as sha256sum prints it, or of bytes. Files are streamed, so
 * memory does not grow with them.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/file.h"
#include "jobs/result.h"

#include <sodium.h>

static void take(void *context, const uint8_t *bytes, size_t size)
{
    crypto_hash_sha256_update(context, bytes, size);
}

static int hash_file(muster_call *call, const msgpack_object *argument,
                     uint8_t ret_digest[RESULT_DIGEST_BYTES])
{
    crypto_hash_sha256_state state;
    char *path = argument_copy(call, argument);
    int code;

    if (!path)
        return MUSTER_JOB_FAILED;
    crypto_hash_sha256_init(&state);
    code = file_read(call, path, take, &state);
    if (code == 0)
        crypto_hash_sha256_final(&state, ret_digest);
    return code;
}

static int sha256(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint8_t digest[RESULT_DIGEST_BYTES];
    int code = 0;

    if (sodium_init() < 0)
        return muster_call_fail(call, "libsodium cannot be initialised");
    if (argument->type == MSGPACK_OBJECT_BIN)
        crypto_hash_sha256(digest, (const uint8_t *)argument->via.bin.ptr, argument->via.bin.size);
    else if (argument_text(argument))
        code = hash_file(call, argument, digest);
    else
        code = argument_refuse(call, &function_sha256, argument);
    return code == 0 ? result_digest(call, digest, ret_result) : code;
}

const muster_function function_sha256 = {
    .name = "sha256",
    .summary = "the SHA-256 digest of a file or of bytes",
    .argument = "the path of a file, or binary data",
    .result = "the digest in hexadecimal, as sha256sum prints it",
    .example = "\"/etc/hostname\"",
    .run = sha256,
};
