/* SPDX-License-Identifier: MIT
 *
 * Error codes and the one-line error that travels with them.
 *
 * Every fallible function returns 0 or one of the negative codes below. A function that
 * knows more than its code says takes a `struct muster_error *ret_error` as its last
 * argument and fills it on failure only: what went wrong, where, and what to do.
 * The wire numbers are part of the protocol (proto/PROTOCOL.md) and never change.
 */
#ifndef MUSTER_BASE_ERROR_H
#define MUSTER_BASE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, wire number, text). The C value of MUSTER_E<name> is minus the wire number. */
#define MUSTER_ERROR_MAP(X)                                    \
    X(INVALID, 1, "invalid argument")                          \
    X(NOMEM, 2, "out of memory")                               \
    X(LIMIT, 3, "a limit was exceeded")                        \
    X(PROTOCOL, 4, "malformed message")                        \
    X(VERSION, 5, "incompatible version")                      \
    X(NOTFOUND, 6, "not found")                                \
    X(SYSTEM, 7, "a system call failed")                       \
    X(AGAIN, 8, "not ready yet")                               \
    X(END, 9, "no more")                                       \
    X(CANCELLED, 10, "cancelled")                              \
    X(FAILED, 11, "the function reported an error")            \
    X(CRASHED, 12, "the worker died while it ran the job")     \
    X(TIMEOUT, 13, "timed out")                                \
    X(QUARANTINED, 14, "the job killed its workers too often") \
    X(LOST, 15, "the peer is gone")                            \
    X(STATE, 16, "not allowed in this state")                  \
    X(OUTPUT, 17, "the output could not be written")           \
    X(DENIED, 18, "not allowed")

enum muster_error_code {
#define X(name, number, text) MUSTER_E##name = -(number),
    MUSTER_ERROR_MAP(X)
#undef X
};

enum { MUSTER_ERROR_TEXT_BYTES = 1024 };

struct muster_error {
    int code;                           /* negative, 0 when nothing went wrong */
    char text[MUSTER_ERROR_TEXT_BYTES]; /* one line, NUL-terminated, no newline */
};

/* The static text of a code, or "unknown error". Never NULL. */
const char *muster_error_name(int code);

/* Fills *ret_error (which may be NULL) and returns `code`, so that a caller can write
 * `return muster_error_set(ret_error, MUSTER_EINVALID, "...", ...)`. Long texts are cut;
 * control characters are replaced by '?', so that an error is always one line. */
int muster_error_set(struct muster_error *ret_error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As muster_error_set with code MUSTER_ESYSTEM, and ": <text of errno_value>" appended. */
int muster_error_system(struct muster_error *ret_error, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
