/* SPDX-License-Identifier: MIT
 *
 * SHA-256 of plug-ins. See digest.h.
 */
#include "cli/digest.h"

#include "proto/codec.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10 };

_Static_assert(2 * crypto_hash_sha256_BYTES == PROTO_DIGEST_DIGITS, "a digest is one of SHA-256");

static int digest_file(const char *path, char ret_digits[PROTO_DIGEST_DIGITS + 1],
                       struct muster_error *ret_error)
{
    unsigned char buffer[BUFFER_BYTES], digest[crypto_hash_sha256_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC), error;
    crypto_hash_sha256_state state;
    ssize_t size = -1;

    crypto_hash_sha256_init(&state);
    while (fd >= 0 && (size = TEMP_FAILURE_RETRY(read(fd, buffer, sizeof buffer))) > 0)
        crypto_hash_sha256_update(&state, buffer, (unsigned long long)size);
    error = errno;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return muster_error_system(ret_error, error, "cannot read the plug-in %s", path);
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(ret_digits, PROTO_DIGEST_DIGITS + 1, digest, sizeof digest);
    return 0;
}

int digest_plugins(const struct options *options, struct digests *ret_digests, struct muster_error *ret_error)
{
    int code = 0;

    if (sodium_init() < 0)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "libsodium cannot be initialised");
    for (unsigned i = 0; i < options->open.plugin_count && !code; i++) {
        const char *path = options->plugins[i], *slash = strrchr(path, '/');

        code = digest_file(path, ret_digests->digits[i], ret_error);
        ret_digests->plugins[i] = (struct proto_plugin){.name = proto_text(slash ? slash + 1 : path),
                                                        .digest = proto_text(ret_digests->digits[i])};
    }
    return code;
}
