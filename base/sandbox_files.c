/* SPDX-License-Identifier: MIT
 *
 * Landlock: what may be read is what sandbox_view.c finds, what may be written what was named, and a few
 * devices. See sandbox.h.
 */
#include "base/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the headers of Debian 12 do not have yet; see landlock(7). */
enum {
    FS_TRUNCATE = 1 << 14,  /* version 3 */
    FS_IOCTL_DEV = 1 << 15, /* version 5 */
    NET_TCP = 3,            /* version 4: bind, connect */
    SCOPES = 3,             /* version 6: abstract sockets of others, signals to others */
};

struct ruleset {
    uint64_t fs, net, scopes;
};

static const uint64_t read_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

/* Devices are not made, and those that are there are not controlled. */
static const uint64_t write_rights =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE;

static const uint64_t other_rights =
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | FS_IOCTL_DEV;

static const uint64_t file_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;

/* All that this version knows. */
static uint64_t known_rights(unsigned version)
{
    uint64_t all = read_rights | write_rights | other_rights;

    if (version < 2)
        all &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    if (version < 3)
        all &= ~(uint64_t)FS_TRUNCATE;
    if (version < 5)
        all &= ~(uint64_t)FS_IOCTL_DEV;
    return all;
}

unsigned sandbox_files_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (unsigned)version : 0;
}

static int create(const struct sandbox_files *files)
{
    struct ruleset ruleset = {.fs = known_rights(files->version)};
    size_t size = files->version >= 6 ? sizeof ruleset : files->version >= 4 ? 16 : 8;

    if (files->version >= 4 && !files->net)
        ruleset.net = NET_TCP;
    if (files->version >= 6)
        ruleset.scopes = files->local ? SCOPES & ~1 : SCOPES;
    return (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0); /* close-on-exec by itself */
}

/* Rules that are being made. */
struct adding {
    int fd;
    uint64_t known, rights; /* `rights`: to what is added next */
};

/* What is in no folder (a pipe, a memfd) is not confined, and refused here; what a symbolic link leads to is
 * allowed by itself, or is not; what does not say what it is (FUSE, of another user or dead) is not. Of what
 * is mounted that is no question to whoever serves it, who may never answer: its type stays. 0, or an errno.
 */
static int allow(const struct adding *adding, int fd)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = fd,
                                              .allowed_access = adding->rights & adding->known};
    struct statx stat;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stat) != 0)
        return sandbox_is_shortage(errno) ? errno : 0;
    if (S_ISLNK(stat.stx_mode))
        return 0;
    if (!S_ISDIR(stat.stx_mode))
        rule.allowed_access &= file_rights;
    if (syscall(SYS_landlock_add_rule, adding->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    return errno == EBADFD ? 0 : errno;
}

/* What is not there, or out of reach, is not allowed. */
static int allow_at(void *context, int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), error;

    if (fd < 0)
        return sandbox_is_shortage(errno) ? errno : 0;
    error = allow(context, fd);
    close(fd);
    return error;
}

static int allow_all(struct adding *adding, const int *fds, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++)
        if (fds[i] >= 0)
            error = allow(adding, fds[i]);
    return error;
}

static int allow_named(struct adding *adding, const struct sandbox_leave *leave)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"};
    int error;

    adding->rights = read_rights;
    if ((error = allow_all(adding, leave->files, leave->file_count)) != 0)
        return error;
    adding->rights = read_rights | write_rights;
    for (size_t i = 0; i < sizeof devices / sizeof *devices && error == 0; i++)
        error = allow_at(adding, AT_FDCWD, devices[i]);
    if (error == 0)
        error = allow_all(adding, leave->places, leave->count);
    adding->rights &= file_rights;
    return error == 0 ? allow_all(adding, &leave->output, 1) : error;
}

/* --- places to write to */

static int check_place(const struct sandbox_files *files, int fd, struct muster_error *ret_error)
{
    char home[PATH_MAX], place[PATH_MAX];

    sandbox_view_find_home(home);
    sandbox_find_path(fd, place);
    if (!home[0] || place[0] != '/' || !sandbox_is_within(place, home))
        home[0] = '\0';
    if (home[0] && !files->home)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "sandbox: a folder to write to has the home folder %s in it: work in "
                                "another one, or say --sandbox=home",
                                home);
    return sandbox_kept_check_place(files->leave, fd, home, ret_error);
}

int sandbox_files_check(const struct sandbox_files *files, struct muster_error *ret_error)
{
    const struct sandbox_leave *leave = files->leave;
    int code = sandbox_kept_check(leave, ret_error);

    for (size_t i = 0; i < leave->count && code == 0; i++)
        if (leave->places[i] >= 0)
            code = check_place(files, leave->places[i], ret_error);
    return code;
}

/* --- all of them */

int sandbox_files_rules(const struct sandbox_files *files, struct sandbox_rules *ret_rules,
                        struct muster_error *ret_error)
{
    struct adding adding = {
        .fd = create(files), .known = known_rights(files->version), .rights = read_rights};
    struct sandbox_view *view = NULL;
    int error;

    if (adding.fd < 0)
        return muster_error_system(ret_error, errno, "sandbox: Landlock makes no rules");
    error = sandbox_view_create(files->leave, files->home, allow_at, &adding, &view);
    if (error == 0)
        error = allow_named(&adding, files->leave);
    if (error == 0) {
        *ret_rules = (struct sandbox_rules){.fd = adding.fd, .view = view};
        return 0;
    }
    sandbox_view_destroy(view);
    close(adding.fd);
    return muster_error_system(ret_error, error, "sandbox: cannot make rules for files");
}

bool sandbox_files_are_current(const struct sandbox_files *files, const struct sandbox_rules *rules)
{
    return rules->view && sandbox_view_is_current(rules->view, files->leave, files->home);
}

void sandbox_files_drop(struct sandbox_rules *rules)
{
    if (rules->fd >= 0)
        close(rules->fd);
    sandbox_view_destroy(rules->view);
    *rules = (struct sandbox_rules){.fd = -1};
}

int sandbox_files_enter(const struct sandbox_rules *rules)
{
    return (int)syscall(SYS_landlock_restrict_self, rules->fd, 0);
}
