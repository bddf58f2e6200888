/* SPDX-License-Identifier: MIT
 *
 * Landlock: what may be read is all but the user's home folder and what is muster's, what may be written what
 * was named, and a few devices. See sandbox.h.
 *
 * Rules can only allow, for all below a folder. So that something is left out, what stands beside each
 * folder on the way to it is allowed instead of "/"; those folders themselves can be passed, not listed.
 */
#include "base/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

/* Beside a folder on the way to what is left out: of more, not all can be read. */
enum { SIBLINGS_MAX = 1024 };

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

/* What is in no folder (a pipe, a memfd) is not confined, and refused here. 0, or an errno. */
static int allow(int rules_fd, const struct sandbox_files *files, int fd, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = fd,
                                              .allowed_access = rights & known_rights(files->version)};
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return errno;
    if (!S_ISDIR(stat.st_mode))
        rule.allowed_access &= file_rights;
    if (syscall(SYS_landlock_add_rule, rules_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    return errno == EBADFD ? 0 : errno;
}

/* What is not there is not allowed, nor a symbolic link: what it leads to is allowed, or is not. */
static int allow_at(int rules_fd, const struct sandbox_files *files, int folder_fd, const char *name,
                    uint64_t rights)
{
    int fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), error;
    struct stat stat;

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? errno : 0;
    error = fstat(fd, &stat) != 0 ? errno : S_ISLNK(stat.st_mode) ? 0 : allow(rules_fd, files, fd, rights);
    close(fd);
    return error;
}

/* Paths without links of what is left out; "": none there. */
struct hidden {
    char (*paths)[PATH_MAX]; /* owned */
    size_t count;
};

/* The path of the user's home folder; "": none that could be left out. */
static void find_home(char ret_home[PATH_MAX])
{
    const char *home = getenv("HOME");

    if (!home || home[0] != '/')
        home = geteuid() == 0 ? "/root" : "/home";
    if (!realpath(home, ret_home) || strcmp(ret_home, "/") == 0)
        ret_home[0] = '\0';
}

/* The home folder, unless that is asked for with all that is in it, comes first. 0, or an errno. */
static int find_hidden(const struct sandbox_files *files, struct hidden *ret_hidden)
{
    const struct sandbox_leave *leave = files->leave;
    struct hidden hidden = {.paths = calloc(leave->kept_count + 1, sizeof *hidden.paths)};
    char home[PATH_MAX];

    if (!hidden.paths)
        return ENOMEM;
    find_home(home);
    if (!files->home && home[0])
        strcpy(hidden.paths[hidden.count++], home);
    for (size_t i = 0; i < leave->kept_count; i++)
        if (sandbox_kept_find(leave->kept[i], hidden.paths[hidden.count]) &&
            !(home[0] && sandbox_is_within(home, hidden.paths[hidden.count])))
            hidden.count++;
    *ret_hidden = hidden;
    return 0;
}

enum view { SEEN, PASSED, HIDDEN };

/* Whether all that a path leads to can be read, or some of what is below it is left out, or all is. */
static enum view view_of(const struct hidden *hidden, const char *path)
{
    enum view view = SEEN;

    for (size_t i = 0; i < hidden->count; i++)
        if (sandbox_is_within(hidden->paths[i], path))
            return HIDDEN;
        else if (sandbox_is_within(path, hidden->paths[i]))
            view = PASSED;
    return view;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* All in the folder but what is left out, at any depth; "/" ends in its slash, others do not. 0, or an errno.
 */
static int allow_beside(int rules_fd, const struct sandbox_files *files, const struct hidden *hidden,
                        const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    char path[PATH_MAX];
    unsigned count = 0;
    int error = 0;

    while (entries && error == 0 && (entry = readdir(entries)) != NULL) {
        enum view view;

        if (is_dots(entry->d_name) ||
            snprintf(path, sizeof path, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, entry->d_name) >=
                (int)sizeof path)
            continue;
        view = view_of(hidden, path);
        if (view == PASSED)
            error = allow_beside(rules_fd, files, hidden, path);
        else if (view == SEEN && count++ < SIBLINGS_MAX)
            error = allow_at(rules_fd, files, dirfd(entries), entry->d_name, read_rights);
    }
    if (entries)
        closedir(entries);
    return error;
}

static int allow_reading(int rules_fd, const struct sandbox_files *files)
{
    struct hidden hidden;
    int error = find_hidden(files, &hidden);

    if (error)
        return error;
    error = hidden.count == 0 ? allow_at(rules_fd, files, AT_FDCWD, "/", read_rights)
                              : allow_beside(rules_fd, files, &hidden, "/");
    free(hidden.paths);
    return error;
}

static int allow_place(int rules_fd, const struct sandbox_files *files, int fd,
                       struct muster_error *ret_error)
{
    char home[PATH_MAX], place[PATH_MAX];
    int code, error;

    find_home(home);
    sandbox_find_path(fd, place);
    if (!home[0] || place[0] != '/' || !sandbox_is_within(place, home))
        home[0] = '\0';
    if (home[0] && !files->home)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "sandbox: a folder to write to has the home folder %s in it: work in "
                                "another one, or say --sandbox=home",
                                home);
    if ((code = sandbox_kept_check_place(files->leave, fd, home, ret_error)) != 0)
        return code;
    error = allow(rules_fd, files, fd, read_rights | write_rights);
    return error ? muster_error_system(ret_error, error, "sandbox: Landlock refuses a rule") : 0;
}

static int allow_named(int rules_fd, const struct sandbox_files *files, struct muster_error *ret_error)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"};
    const struct sandbox_leave *leave = files->leave;
    int error = 0, code;

    for (size_t i = 0; i < sizeof devices / sizeof *devices && error == 0; i++)
        error = allow_at(rules_fd, files, AT_FDCWD, devices[i], read_rights | write_rights);
    for (size_t i = 0; i < leave->file_count && error == 0; i++)
        if (leave->files[i] >= 0)
            error = allow(rules_fd, files, leave->files[i], read_rights);
    if (error)
        return muster_error_system(ret_error, error, "sandbox: Landlock refuses a rule");
    for (size_t i = 0; i < leave->count; i++)
        if (leave->places[i] >= 0 && (code = allow_place(rules_fd, files, leave->places[i], ret_error)) != 0)
            return code;
    return 0;
}

int sandbox_files_rules(const struct sandbox_files *files, int *ret_fd, struct muster_error *ret_error)
{
    int fd, error, code = sandbox_kept_check(files->leave, ret_error);

    if (code != 0)
        return code;
    if ((fd = create(files)) < 0)
        return muster_error_system(ret_error, errno, "sandbox: Landlock makes no rules");
    error = allow_reading(fd, files);
    code = error ? muster_error_system(ret_error, error, "sandbox: Landlock refuses a rule")
                 : allow_named(fd, files, ret_error);
    if (code == 0)
        *ret_fd = fd;
    else
        close(fd);
    return code;
}

int sandbox_files_enter(int rules_fd)
{
    return (int)syscall(SYS_landlock_restrict_self, rules_fd, 0);
}
