/* SPDX-License-Identifier: MIT
 *
 * The files of a user's keys. See keys.h. A secret that others can read is none, and a list that others can
 * write says nothing: such files are refused, as ssh does.
 */
#include "coordinator/keys.h"

#include "coordinator/keys_way.h"
#include "coordinator/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int keys_path(const char *file, char ret_path[KEYS_PATH_BYTES], struct muster_error *ret_error)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    bool own = config && config[0] == '/'; /* as its specification has it */
    int size;

    if (!own && (!home || home[0] != '/'))
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "where keys are is not known: neither XDG_CONFIG_HOME nor HOME is set");
    size = own ? snprintf(ret_path, KEYS_PATH_BYTES, "%s/muster", config)
               : snprintf(ret_path, KEYS_PATH_BYTES, "%s/.config/muster", home);
    if (file[0] && size > 0 && size < KEYS_PATH_BYTES)
        size += snprintf(ret_path + size, (size_t)(KEYS_PATH_BYTES - size), "/%s", file);
    if (size < 0 || size >= KEYS_PATH_BYTES - 32) /* for names of files beside it */
        return muster_error_set(ret_error, MUSTER_ELIMIT, "the path of the folder for keys is too long");
    return 0;
}

/* Of a file that is about to be made, or written, whether or not it is there. */
static int check_place(const char *path, struct muster_error *ret_error)
{
    int result = keys_check_way(path, ret_error);

    return result == MUSTER_ENOTFOUND ? 0 : result;
}

/* Makes the folder and the one that it is in; what they are in is there. */
static int make_folder(struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES], *slash;
    int result = keys_path("", path, ret_error);

    if (result != 0)
        return result;
    slash = strrchr(path, '/');
    *slash = '\0';
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return muster_error_system(ret_error, errno, "cannot make the folder %s", path);
    *slash = '/';
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return muster_error_system(ret_error, errno, "cannot make the folder %s", path);
    return 0;
}

/* Opens one of the files, which nobody else may have any of the rights `closed` to. */
static int open_file(const char *path, mode_t closed, int *ret_fd, struct muster_error *ret_error)
{
    struct stat status;
    int fd, result = keys_check_way(path, ret_error);

    if (result != 0)
        return result;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0)
        result = muster_error_system(ret_error, errno, "cannot open %s", path);
    else if (!S_ISREG(status.st_mode))
        result = muster_error_set(ret_error, MUSTER_ESTATE, "%s is no file", path);
    else
        result = keys_check_owner(&status, path, closed, ret_error);
    if (result == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return result;
}

/* Reads to the end, `size` bytes at most. Returns how many, or -1 with errno. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t had = 0;
    ssize_t more;

    while (had < size && (more = TEMP_FAILURE_RETRY(read(fd, bytes + had, size - had))) != 0) {
        if (more < 0)
            return -1;
        had += (size_t)more;
    }
    return (ssize_t)had;
}

/* --- the secret */

int keys_load(struct curve_key *ret_secret, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES], text[CURVE_TEXT_BYTES + 1];
    int fd, result = keys_path(KEYS_SECRET, path, ret_error);
    ssize_t size;

    if (result == 0)
        result = open_file(path, S_IRWXG | S_IRWXO, &fd, ret_error);
    if (result == MUSTER_ENOTFOUND)
        return muster_error_set(ret_error, result, "there is no key, %s: 'muster key make' makes one", path);
    if (result != 0)
        return result;
    size = read_all(fd, text, sizeof text);
    close(fd);
    if (size == CURVE_TEXT_BYTES && text[size - 1] == '\n') /* and nothing behind it */
        size--;
    if (size < 0 || !curve_read(text, (size_t)size, ret_secret))
        result = muster_error_set(ret_error, MUSTER_ESTATE,
                                  "%s holds no key: remove it, and 'muster key make' makes one", path);
    explicit_bzero(text, sizeof text);
    return result;
}

/* Into a file of its own first: there is a whole key, or none. */
static int store(const char *path, const char *text, struct muster_error *ret_error)
{
    char part[KEYS_PATH_BYTES];
    int fd, result = 0;

    if (snprintf(part, sizeof part, "%s.%ld", path, (long)getpid()) >= (int)sizeof part)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "%s: the path is too long", path);
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot make %s", part);
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) != 0)
        result = muster_error_system(ret_error, errno, "cannot write %s", part);
    close(fd);
    if (result == 0 && link(part, path) != 0)
        result = errno == EEXIST
                     ? muster_error_set(ret_error, MUSTER_ESTATE,
                                        "there is a key already, %s: 'muster key show' prints its public one",
                                        path)
                     : muster_error_system(ret_error, errno, "cannot make %s", path);
    unlink(part);
    return result;
}

int keys_create(struct curve_key *ret_secret, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES], text[CURVE_TEXT_BYTES + 1];
    struct curve_key secret;
    int result;

    if ((result = keys_path(KEYS_SECRET, path, ret_error)) != 0 ||
        (result = curve_make(&secret, ret_error)) != 0 || (result = make_folder(ret_error)) != 0 ||
        (result = check_place(path, ret_error)) != 0)
        return result;
    curve_write(&secret, text);
    strcat(text, "\n");
    result = store(path, text, ret_error);
    explicit_bzero(text, sizeof text);
    if (result == 0)
        *ret_secret = secret;
    return result;
}

/* --- the list */

static int read_allowed(int fd, const char *path, char **ret_text, size_t *ret_size,
                        struct muster_error *ret_error)
{
    char *text = malloc(ALLOWED_BYTES_MAX + 1);
    ssize_t size;

    if (!text)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    size = read_all(fd, text, ALLOWED_BYTES_MAX + 1);
    if (size >= 0 && size <= ALLOWED_BYTES_MAX) {
        text[size] = '\0';
        *ret_text = text;
        *ret_size = (size_t)size;
        return 0;
    }
    free(text);
    if (size < 0)
        return muster_error_system(ret_error, errno, "cannot read %s", path);
    return muster_error_set(ret_error, MUSTER_ELIMIT, "%s has more than %d bytes", path, ALLOWED_BYTES_MAX);
}

void keys_stamp_allowed(struct keys_stamp *ret_stamp)
{
    char path[KEYS_PATH_BYTES];
    struct muster_error error;
    struct stat status;

    memset(ret_stamp, 0, sizeof *ret_stamp);
    if (keys_path(KEYS_ALLOWED, path, &error) != 0 || stat(path, &status) != 0)
        return;
    ret_stamp->device = status.st_dev;
    ret_stamp->file = status.st_ino;
    ret_stamp->size = status.st_size;
    ret_stamp->written = status.st_mtim;
    ret_stamp->changed = status.st_ctim;
}

int keys_load_allowed(char **ret_text, size_t *ret_size, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES];
    int fd, result = keys_path(KEYS_ALLOWED, path, ret_error);

    if (result == 0)
        result = open_file(path, S_IWGRP | S_IWOTH, &fd, ret_error);
    if (result != 0)
        return result;
    result = read_allowed(fd, path, ret_text, ret_size, ret_error);
    close(fd);
    return result;
}

static void pass_over(void *context, unsigned line, const char *why)
{
    (void)context;
    (void)line;
    (void)why;
}

/* Whether the key is in the list already, and whether that ends with a newline. */
static int look(const struct curve_key *key, bool *ret_there, bool *ret_whole, struct muster_error *ret_error)
{
    struct allowed *allowed;
    size_t size;
    char *text;
    int result = keys_load_allowed(&text, &size, ret_error);

    *ret_there = false;
    *ret_whole = true;
    if (result != 0)
        return result == MUSTER_ENOTFOUND ? 0 : result;
    *ret_whole = size == 0 || text[size - 1] == '\n';
    result = allowed_parse(text, size, pass_over, NULL, &allowed);
    free(text);
    if (result != 0)
        return muster_error_set(ret_error, result, "out of memory");
    *ret_there = allowed_find(allowed, key) != NULL;
    allowed_destroy(allowed);
    return 0;
}

/* A line at once, behind the others. The caller has the lock on the file. */
static int append(int fd, const char *path, const struct curve_key *key, const char *line,
                  struct muster_error *ret_error)
{
    char text[CURVE_TEXT_BYTES + PROTO_USER_MAX + 64];
    bool there, whole;
    int size, result = look(key, &there, &whole, ret_error);

    if (result != 0)
        return result;
    if (there)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "this key is allowed already: what it may is changed in %s", path);
    size = snprintf(text, sizeof text, "%s%s\n", whole ? "" : "\n", line);
    if (size >= (int)sizeof text || write(fd, text, (size_t)size) != size || fsync(fd) != 0)
        return muster_error_system(ret_error, errno, "cannot write %s", path);
    return 0;
}

int keys_allow(const struct allowed_key *key, const char *line, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES];
    int fd, result;

    if ((result = keys_path(KEYS_ALLOWED, path, ret_error)) != 0 || (result = make_folder(ret_error)) != 0 ||
        (result = check_place(path, ret_error)) != 0)
        return result;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot open %s", path);
    result = nest_lock(fd, path, ret_error);
    if (result == 0)
        result = append(fd, path, &key->key, line, ret_error);
    close(fd);
    return result;
}
