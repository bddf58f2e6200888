/* SPDX-License-Identifier: MIT
 *
 * The layers of a sandbox: sandbox_files.c, Landlock, with sandbox_view.c and sandbox_kept.c, and
 * sandbox_calls.c, seccomp, which need preparing, and sandbox_privileges.c.
 */
#ifndef MUSTER_BASE_SANDBOX_INTERNAL_H
#define MUSTER_BASE_SANDBOX_INTERNAL_H

#include "base/sandbox.h"

#include <limits.h>
#include <linux/filter.h>

/* The version of Landlock's interface; 0: there is none. */
unsigned sandbox_files_version(void);

struct sandbox_files {
    unsigned version;
    bool home, net, local; /* as SANDBOX_HOME, SANDBOX_NET, SANDBOX_LOCAL */
    const struct sandbox_leave *leave;
};

/* Rules, which hold for any number of threads that enter. */
struct sandbox_rules {
    int fd;                    /* owned, close-on-exec; -1: there are none */
    struct sandbox_view *view; /* owned */
};

/* Whether what may be written to is out of reach of home and of what is kept. 0, or as sandbox_create. */
int sandbox_files_check(const struct sandbox_files *files, struct muster_error *ret_error);

/* Makes rules, of what was checked. Likewise. */
int sandbox_files_rules(const struct sandbox_files *files, struct sandbox_rules *ret_rules,
                        struct muster_error *ret_error);

/* Whether they are what would be made now, if places to write to are the same. */
bool sandbox_files_are_current(const struct sandbox_files *files, const struct sandbox_rules *rules);

/* Takes them when there are none. */
void sandbox_files_drop(struct sandbox_rules *rules);

/* Async-signal-safe: 0, or -1 with errno set. */
int sandbox_files_enter(const struct sandbox_rules *rules);

/* What can be read, as it was found. */
struct sandbox_view;

/* Is told of something that can be read, with all below: by a name in a folder. 0, or an errno. */
typedef int sandbox_view_see(void *context, int folder_fd, const char *name);

/* Finds all that can be read, also at home if `home` says so. 0, or an errno. */
int sandbox_view_create(const struct sandbox_leave *leave, bool home, sandbox_view_see *see, void *context,
                        struct sandbox_view **ret_view);
void sandbox_view_destroy(struct sandbox_view *view);

/* Whether nothing that was found has gone out of reach, or may have. After false, it is not asked again. */
bool sandbox_view_is_current(const struct sandbox_view *view, const struct sandbox_leave *leave, bool home);

/* The path of the user's home folder; "": none that could be left out. */
void sandbox_view_find_home(char ret_home[PATH_MAX]);

/* Whether this errno says that descriptors or memory are short: nothing about what was to be opened. */
bool sandbox_is_shortage(int error);

/* Whether all that is to be kept is written as it should be; whether none of it is in reach from a place to
 * write to, but what is in the folder `spared`, "" for none. 0, or as sandbox_create. */
int sandbox_kept_check(const struct sandbox_leave *leave, struct muster_error *ret_error);
int sandbox_kept_check_place(const struct sandbox_leave *leave, int fd, const char *spared,
                             struct muster_error *ret_error);

/* The path without links of what is kept, whether it is there or not. False: it is too long. */
bool sandbox_kept_find(const char *kept, char ret_path[PATH_MAX]);

/* Of what a descriptor is open on; what is in no folder has none from / on. */
void sandbox_find_path(int fd, char ret_path[PATH_MAX]);

bool sandbox_calls_there(void);

/* What can be left, together: families of sockets, and calls that say by number which process or thread is
 * scheduled how. ZeroMQ makes such calls for its threads, and gives up where they fail. */
enum { SANDBOX_UNIX_SOCKETS = 1, SANDBOX_INET_SOCKETS = 2, SANDBOX_SCHEDULING = 4 };

/* A filter, whose instructions the caller frees. 0, or as sandbox_create. */
int sandbox_calls_filter(unsigned left, struct sock_fprog *ret_filter, struct muster_error *ret_error);

/* Async-signal-safe: 0, or -1 with errno set. */
int sandbox_calls_enter(const struct sock_fprog *filter);

/* No capabilities, now and later; no_new_privs. Async-signal-safe: 0, or -1 with errno set. */
int sandbox_privileges_drop(void);

#endif
