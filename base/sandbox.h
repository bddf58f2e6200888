/* SPDX-License-Identifier: MIT
 *
 * Confines a process and all that it starts, for good, in layers: it has no capabilities, and can gain none;
 * Landlock leaves it files to read, and few to write; seccomp refuses system calls that computing does not
 * need. What each leaves is in docs/SANDBOX.md.
 *
 * A layer that this kernel does not have is missing, which sandbox_probe tells before anything is started;
 * one that it has and that does not hold is an error. So what was told beforehand is what holds.
 */
#ifndef MUSTER_BASE_SANDBOX_H
#define MUSTER_BASE_SANDBOX_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* What is asked for: SANDBOX_ON, and words that say how. */
enum {
    SANDBOX_ON = 1,
    SANDBOX_STRICT = 2, /* a missing layer is an error */
    SANDBOX_NET = 4,    /* it may use the network: IPv4 and IPv6 */
    SANDBOX_HOME = 8,   /* it may read the user's home folder */
    SANDBOX_LOCAL = 16, /* it may use sockets of this host, and with them what listens there */
    SANDBOX_ALL = 31,
};

enum { SANDBOX_WORDS_BYTES = sizeof "strict,net,home,local" };

/* "net,home" and the like; NULL and "" ask for no more than SANDBOX_ON. 0, or MUSTER_EINVALID. */
int sandbox_parse(const char *words, unsigned *ret_sandbox, struct muster_error *ret_error);

/* Whether what is confined so may do no more than what `bounds` confines: it lacks none of the words that
 * confine further, and every other word opens something. */
bool sandbox_holds_within(unsigned sandbox, unsigned bounds);

/* What sandbox_parse reads. */
void sandbox_words(unsigned sandbox, char ret_words[SANDBOX_WORDS_BYTES]);

struct sandbox_layers {
    unsigned landlock; /* the version of its interface; 0: there is none */
    bool seccomp;
    enum { SANDBOX_NO_MEMORY, SANDBOX_RLIMIT, SANDBOX_CGROUP } memory; /* what limits it; set by who knows */
};

/* Those that this kernel and its libraries have: no_new_privs is always there. */
void sandbox_probe(struct sandbox_layers *ret_layers);

/* What is missing, in words, "" when nothing is: "Landlock (files are not confined)". */
enum { SANDBOX_MISSING_BYTES = 160 };
void sandbox_missing(const struct sandbox_layers *layers, char ret_missing[SANDBOX_MISSING_BYTES]);

/* As the layers are told in a number, by who does not run on this host: 0 when there was no sandbox. */
unsigned sandbox_pack(const struct sandbox_layers *layers);
bool sandbox_unpack(unsigned number, struct sandbox_layers *ret_layers);

enum { SANDBOX_PLACES_MAX = 4 };

struct sandbox; /* what processes enter */

/* What processes may do beyond what docs/SANDBOX.md says of `asked`. All borrowed. */
struct sandbox_leave {
    const int
        *places;  /* descriptors of what they may write to, and below that where it is a folder; -1: none */
    size_t count; /* SANDBOX_PLACES_MAX at most */
    int output;   /* of a folder that is closed to them, in whose files they may write all the same; -1 */
    const int *files; /* of files that they may read wherever they are; -1: none */
    size_t file_count;
    const char *link;        /* an endpoint to which they may connect, whatever it is; NULL: none */
    const char *const *kept; /* what they must neither write to nor read: one of these words, and a path */
    size_t kept_count;
};

/* What of muster's can be kept from them, each with the path of a file, socket or folder behind it, which may
 * not be there. Where it is in the home folder it can be read with SANDBOX_HOME. */
#define SANDBOX_SOCKETS "sockets:"
#define SANDBOX_STATE   "state:"
#define SANDBOX_KEYS    "keys:"

/* Makes one. 0; MUSTER_EINVALID when a folder to write to holds the user's home folder, or is in reach of
 * what is kept, or a layer is missing that must not; MUSTER_ENOMEM, MUSTER_ESYSTEM. */
int sandbox_create(unsigned asked, const struct sandbox_leave *leave, struct sandbox **ret_sandbox,
                   struct muster_error *ret_error);
void sandbox_destroy(struct sandbox *sandbox);

/* Makes of it what sandbox_create would make now, of NULL too, but keeps what has not changed: for one
 * command after another, so without a link. As sandbox_create; after an error it is NULL. */
int sandbox_renew(struct sandbox **sandbox, unsigned asked, const struct sandbox_leave *leave,
                  struct muster_error *ret_error);

/* Lets go of its rules for files, which hold what they are for, also when it was removed: to be renewed
 * before anybody enters. Takes NULL. */
void sandbox_rest(struct sandbox *sandbox);

const struct sandbox_layers *sandbox_layers(const struct sandbox *sandbox);

/* Confines the calling thread, and what it starts from then on. 0, or -1 with errno set. Async-signal-safe.
 */
int sandbox_enter(const struct sandbox *sandbox);

/* Whether this process is kept from the network by sandbox_close_link. */
bool sandbox_is_offline(void);

/* The calling thread, and what it starts, is kept from what sandbox_create left for a link, too. 0 or
 * MUSTER_ESYSTEM. */
int sandbox_close_link(const struct sandbox *sandbox, struct muster_error *ret_error);

/* Whether a path is that of the folder, or of something in it; both without links. */
bool sandbox_is_within(const char *folder, const char *path);

#endif
