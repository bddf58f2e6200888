/* SPDX-License-Identifier: MIT
 *
 * Folders of batches. See spool.h.
 */
#include "coordinator/spool.h"

#include "base/folder.h"
#include "coordinator/nest.h"
#include "proto/spool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBER_BYTES = sizeof "18446744073709551615" };

/* Of temporary ones, with the user's number behind it. */
static const char PREFIX[] = "muster-output-";

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder && *folder ? folder : "/tmp";
}

/* Makes it, and takes its lock. */
static int make_locked(struct spool *spool, struct muster_error *ret_error)
{
    const char *parent = temporary_folder();

    errno = ENAMETOOLONG;
    if (snprintf(spool->path, sizeof spool->path, "%s/%s%u-XXXXXX", parent, PREFIX, (unsigned)geteuid()) >=
            (int)sizeof spool->path ||
        !mkdtemp(spool->path))
        return muster_error_system(ret_error, errno, "cannot make a folder for output in %s", parent);
    return nest_lock_folder(spool->path, &spool->folder_fd, ret_error);
}

/* A coordinator that starts may be faster, and takes it for a left-over. */
static int make_temporary(struct spool *spool, struct muster_error *ret_error)
{
    int result = MUSTER_ENOTFOUND;

    spool->temporary = true;
    for (unsigned tried = 0; tried < NEST_TRIES && result == MUSTER_ENOTFOUND; tried++)
        result = make_locked(spool, ret_error);
    return result;
}

static int make_beside(struct spool *spool, const char *state, struct muster_error *ret_error)
{
    char *file = realpath(state, NULL);
    int size = file ? snprintf(spool->path, sizeof spool->path, "%s.output", file) : -1;
    int error = !file ? errno : size >= (int)sizeof spool->path ? ENAMETOOLONG : 0;

    free(file);
    if (error == 0 && mkdir(spool->path, 0700) != 0 && errno != EEXIST)
        error = errno;
    return error ? muster_error_system(ret_error, error, "cannot make a folder for output beside %s", state)
                 : 0;
}

/* Removes a folder of files, and what jobs put beside them. */
static void remove_folder(const struct spool *spool, const char *name)
{
    int path_fd = openat(spool->folder_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (path_fd < 0)
        return;
    folder_empty(folder_open_own(path_fd));
    close(path_fd);
    unlinkat(spool->folder_fd, name, AT_REMOVEDIR);
}

void spool_forget(const struct spool *spool, uint64_t batch)
{
    char name[NUMBER_BYTES];

    snprintf(name, sizeof name, "%" PRIu64, batch);
    remove_folder(spool, name);
}

/* The number of a batch's folder, as it is written there; 0: it is none. */
static uint64_t number_of(const char *name)
{
    char written[NUMBER_BYTES];
    uint64_t number;

    errno = 0;
    number = isdigit((unsigned char)name[0]) ? strtoull(name, NULL, 10) : 0;
    snprintf(written, sizeof written, "%" PRIu64, number);
    return errno == 0 && strcmp(written, name) == 0 ? number : 0;
}

/* A worker that lives makes another one. */
static bool is_workers(const char *name)
{
    return strncmp(name, PROTO_SPOOL_APART, strlen(PROTO_SPOOL_APART)) == 0;
}

void spool_sweep(const struct spool *spool, bool (*is_there)(void *context, uint64_t batch), void *context)
{
    DIR *entries = opendir(spool->path);
    const struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL) {
        uint64_t batch = number_of(entry->d_name);

        if (batch > 0 ? !is_there(context, batch) : is_workers(entry->d_name))
            remove_folder(spool, entry->d_name);
    }
    if (entries)
        closedir(entries);
}

static bool nothing(void *context, uint64_t batch)
{
    (void)context;
    (void)batch;
    return false;
}

/* What coordinators left that were killed. */
static void remove_left_over(void)
{
    DIR *entries = opendir(temporary_folder());
    const struct dirent *entry;
    struct muster_error ignored;
    char prefix[sizeof PREFIX + NUMBER_BYTES];
    struct spool left = {.temporary = true};

    snprintf(prefix, sizeof prefix, "%s%u-", PREFIX, (unsigned)geteuid());
    while (entries && (entry = readdir(entries)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            snprintf(left.path, sizeof left.path, "%s/%s", temporary_folder(), entry->d_name) >=
                (int)sizeof left.path ||
            nest_open_folder(left.path, &left.folder_fd, &ignored) != 0)
            continue;
        if (flock(left.folder_fd, LOCK_EX | LOCK_NB) == 0)
            spool_close(&left);
        else
            close(left.folder_fd);
    }
    if (entries)
        closedir(entries);
}

int spool_open(struct spool *spool, const char *state, struct muster_error *ret_error)
{
    int code;

    *spool = (struct spool){.folder_fd = -1};
    if (!state) {
        remove_left_over();
        return make_temporary(spool, ret_error);
    }
    code = make_beside(spool, state, ret_error);
    return code ? code : nest_open_folder(spool->path, &spool->folder_fd, ret_error);
}

void spool_close(struct spool *spool)
{
    if (spool->folder_fd < 0)
        return;
    if (spool->temporary)
        spool_sweep(spool, nothing, NULL);
    rmdir(spool->path);
    close(spool->folder_fd);
    spool->folder_fd = -1;
}
