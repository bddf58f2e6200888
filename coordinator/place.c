/* SPDX-License-Identifier: MIT
 *
 * Endpoints that are known beforehand. See place.h. What is done in a folder is done under a lock on
 * it, so that of many that begin at once one gets the place, and whose lock file is removed as it ends
 * is locked by nobody.
 */
#include "coordinator/place.h"

#include "coordinator/stale.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char IPC[] = "ipc://", TCP[] = "tcp://";

enum { IPC_BYTES = sizeof IPC - 1, TCP_BYTES = sizeof TCP - 1, PORT_MAX = 65535 };

int place_default(char ret_endpoint[PLACE_ENDPOINT_BYTES], struct muster_error *ret_error)
{
    char home[NEST_HOME_BYTES];
    int result = nest_home(home, NULL, ret_error);

    if (result == 0)
        snprintf(ret_endpoint, PLACE_ENDPOINT_BYTES, "%s%s/daemon/" PLACE_SOCKET, IPC, home);
    return result;
}

static int check_path(const char *endpoint, struct muster_error *ret_error)
{
    const char *path = endpoint + IPC_BYTES;

    if (path[0] != '/' || path[strlen(path) - 1] == '/')
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "'%s' is no endpoint: ipc:// is followed by a path from the root on",
                                endpoint);
    if (strlen(path) >= sizeof((struct place *)0)->socket)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "%s: the path of a socket has at most %zu bytes",
                                endpoint, sizeof((struct place *)0)->socket - 1);
    return 0;
}

/* A port, or * for any that is free. */
static bool is_port(const char *text)
{
    char *end;

    if (strcmp(text, "*") == 0)
        return true;
    if (text[0] < '0' || text[0] > '9')
        return false;
    return strtoul(text, &end, 10) <= PORT_MAX && *end == '\0';
}

static bool is_loopback(const char *address, const char *port)
{
    static const char *const loopback[] = {"127.0.0.1", "[::1]"};

    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        if (strlen(loopback[i]) == (size_t)(port - address) &&
            memcmp(address, loopback[i], (size_t)(port - address)) == 0)
            return true;
    return false;
}

/* Of letters, digits, dots and hyphens; or an address of IPv6 in brackets, with its zone; or *. */
static bool is_host(const char *address, const char *port)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    static const char bracketed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:%";
    size_t size = (size_t)(port - address);

    if (size == 1 && address[0] == '*')
        return true;
    if (size > 2 && address[0] == '[' && port[-1] == ']')
        return strspn(address + 1, bracketed) == size - 2;
    return size > 0 && strspn(address, plain) == size;
}

/* Of an endpoint of tcp without a key. */
static int check_address(const char *endpoint, bool *ret_loopback, struct muster_error *ret_error)
{
    const char *address = endpoint + TCP_BYTES, *port = strrchr(address, ':');

    if (!port || !is_port(port + 1) || !is_host(address, port))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "'%s' is no endpoint: tcp:// is followed by HOST:PORT", endpoint);
    *ret_loopback = is_loopback(address, port);
    return 0;
}

static int check_remote(const char *endpoint, struct muster_error *ret_error)
{
    const char *hash = strchr(endpoint, '#');
    char address[PLACE_ENDPOINT_BYTES];
    struct curve_key key;
    bool loopback;
    int result;

    snprintf(address, sizeof address, "%.*s", (int)strcspn(endpoint, "#"), endpoint);
    result = check_address(address, &loopback, ret_error);
    if (result != 0)
        return result;
    if (address[TCP_BYTES] == '*')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s: * is no host to connect to", endpoint);
    if (hash && !curve_read(hash + 1, strlen(hash + 1), &key))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s: behind the # stands the coordinator's key, 64 hexadecimal digits",
                                endpoint);
    if (!hash && !loopback)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "%s: a coordinator on another host is known by its key: tcp://HOST:PORT#KEY, as "
            "'muster coordinator' prints it; or a tunnel of ssh to its socket",
            endpoint);
    return 0;
}

static int check(const char *endpoint, int (*check_tcp)(const char *endpoint, struct muster_error *ret_error),
                 struct muster_error *ret_error)
{
    if (strlen(endpoint) >= PLACE_ENDPOINT_BYTES)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "an endpoint has at most %d bytes",
                                PLACE_ENDPOINT_BYTES - 1);
    if (strncmp(endpoint, IPC, IPC_BYTES) == 0)
        return check_path(endpoint, ret_error);
    if (strncmp(endpoint, TCP, TCP_BYTES) == 0)
        return check_tcp(endpoint, ret_error);
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "'%s' is no endpoint of a coordinator: ipc://PATH or tcp://HOST:PORT", endpoint);
}

int place_check(const char *endpoint, struct muster_error *ret_error)
{
    return check(endpoint, check_remote, ret_error);
}

static int check_own(const char *endpoint, struct muster_error *ret_error)
{
    bool loopback;

    return check_address(endpoint, &loopback, ret_error);
}

int place_check_listen(const char *endpoint, struct muster_error *ret_error)
{
    return check(endpoint, check_own, ret_error);
}

bool place_split(const char *endpoint, char ret_address[PLACE_ENDPOINT_BYTES], struct curve_key *ret_key)
{
    const char *hash = strncmp(endpoint, TCP, TCP_BYTES) == 0 ? strchr(endpoint, '#') : NULL;
    size_t size = hash ? (size_t)(hash - endpoint) : strlen(endpoint);

    memcpy(ret_address, endpoint, size);
    ret_address[size] = '\0';
    return hash && curve_read(hash + 1, strlen(hash + 1), ret_key);
}

/* Makes a folder in the user's; those of endpoints that are named are there. */
static int make_folder(const char *name, struct muster_error *ret_error)
{
    int home_fd, result = nest_open_home(&home_fd, ret_error);

    if (result != 0)
        return result;
    if (mkdirat(home_fd, name, 0700) != 0 && errno != EEXIST)
        result = muster_error_system(ret_error, errno, "cannot make the folder of the coordinator's socket");
    close(home_fd);
    return result;
}

void place_folder(const struct place *place, char ret_folder[PLACE_FOLDER_BYTES])
{
    size_t size = (size_t)(strrchr(place->socket, '/') - place->socket);

    memcpy(ret_folder, place->socket, size);
    strcpy(ret_folder + size, size ? "" : "/");
}

/* Somebody has the lock, and wrote his pid into the file before he let go of the folder. */
static int refuse(const struct place *place, struct muster_error *ret_error)
{
    char text[32];
    ssize_t size = pread(place->lock_fd, text, sizeof text - 1, 0);
    long pid;

    text[size > 0 ? size : 0] = '\0';
    pid = strtol(text, NULL, 10);
    return muster_error_set(ret_error, MUSTER_ESTATE, "a coordinator runs already, process %ld, at %s", pid,
                            place->endpoint);
}

/* Removes the socket of a coordinator that was killed, and nothing else that may be there. */
static int remove_stale(const struct place *place, struct muster_error *ret_error)
{
    struct stat status;

    if (lstat(place->socket, &status) != 0)
        return errno == ENOENT ? 0
                               : muster_error_system(ret_error, errno, "cannot look at %s", place->socket);
    if (!S_ISSOCK(status.st_mode))
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s is there already, and is no socket",
                                place->socket);
    if (unlink(place->socket) != 0)
        return muster_error_system(ret_error, errno, "cannot remove the old socket %s", place->socket);
    return 0;
}

/* The caller holds the lock on the folder. */
static int take_lock(struct place *place, struct muster_error *ret_error)
{
    int result;

    place->lock_fd = open(place->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (place->lock_fd < 0)
        return muster_error_system(ret_error, errno, "cannot open the lock file %s", place->lock);
    if (flock(place->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        result = muster_error_system(ret_error, errno, "cannot lock %s", place->lock);
    else if (flock(place->lock_fd, LOCK_SH | LOCK_NB) == 0) /* nobody's: somebody looks whose it is */
        result = nest_lock(place->lock_fd, place->lock, ret_error);
    else
        result = refuse(place, ret_error);
    if (result != 0)
        close(place->lock_fd);
    return result;
}

/* Says whose the lock is, and makes room for the socket. The caller has both locks. */
static int move_in(struct place *place, struct muster_error *ret_error)
{
    char pid[32];
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid()), result;

    if (ftruncate(place->lock_fd, 0) != 0 || pwrite(place->lock_fd, pid, (size_t)size, 0) != size)
        result = muster_error_system(ret_error, errno, "cannot write %s", place->lock);
    else
        result = remove_stale(place, ret_error);
    if (result == 0)
        return 0;
    unlink(place->lock);
    close(place->lock_fd);
    return result;
}

/* Makes the socket's path this process's. */
static int take_path(struct place *place, struct muster_error *ret_error)
{
    char folder[PLACE_FOLDER_BYTES];
    int result;

    snprintf(place->socket, sizeof place->socket, "%s", place->endpoint + IPC_BYTES);
    snprintf(place->lock, sizeof place->lock, "%s" PLACE_LOCK, place->socket);
    place_folder(place, folder);
    result = nest_lock_folder(folder, &place->folder_fd, ret_error);
    if (result != 0)
        return result;
    result = take_lock(place, ret_error);
    if (result == 0)
        result = move_in(place, ret_error);
    flock(place->folder_fd, LOCK_UN);
    if (result != 0)
        close(place->folder_fd);
    return result;
}

int place_open(const char *endpoint, struct place *ret_place, struct muster_error *ret_error)
{
    struct place place = {.folder_fd = -1, .lock_fd = -1};
    int result;

    if (endpoint) {
        result = place_check_listen(endpoint, ret_error);
        snprintf(place.endpoint, sizeof place.endpoint, "%s", endpoint);
        place.keyed = result == 0 && strncmp(endpoint, TCP, TCP_BYTES) == 0 &&
                      !is_loopback(endpoint + TCP_BYTES, strrchr(endpoint, ':'));
    } else {
        result = place_default(place.endpoint, ret_error);
        if (result == 0)
            result = make_folder("daemon", ret_error);
    }
    if (result == 0 && strncmp(place.endpoint, IPC, IPC_BYTES) == 0)
        result = take_path(&place, ret_error);
    if (result == 0)
        *ret_place = place;
    return result;
}

int place_open_workers(uint64_t identity, struct place *ret_place, struct muster_error *ret_error)
{
    char home[NEST_HOME_BYTES], name[32], endpoint[PLACE_ENDPOINT_BYTES],
        folder[NEST_HOME_BYTES + sizeof name];
    int home_fd, result = nest_home(home, NULL, ret_error);

    snprintf(name, sizeof name, PLACE_WORKERS "%016" PRIx64, identity);
    if (result == 0)
        result = nest_open_home(&home_fd, ret_error);
    if (result != 0)
        return result;
    stale_sweep(home_fd);
    close(home_fd);
    snprintf(endpoint, sizeof endpoint, "%s%s/%s/" PLACE_SOCKET, IPC, home, name);
    result = MUSTER_ENOTFOUND;
    for (unsigned tried = 0; tried < NEST_TRIES && result == MUSTER_ENOTFOUND; tried++) {
        result = make_folder(name, ret_error);
        if (result == 0)
            result = place_open(endpoint, ret_place, ret_error);
    }
    snprintf(folder, sizeof folder, "%s/%s", home, name);
    if (result == 0)
        ret_place->passing = true;
    else
        rmdir(folder); /* if nothing is in it */
    return result;
}

bool place_is_taken(const char *endpoint)
{
    char path[sizeof((struct place *)0)->lock];
    bool taken;
    int fd;

    snprintf(path, sizeof path, "%s" PLACE_LOCK, endpoint + IPC_BYTES);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    taken = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return taken;
}

void place_close(struct place *place)
{
    char folder[PLACE_FOLDER_BYTES];
    struct muster_error error;
    bool locked;

    if (place->folder_fd < 0)
        return;
    place_folder(place, folder);
    locked = nest_lock(place->folder_fd, folder, &error) == 0;
    if (locked) { /* else the next one does it */
        unlink(place->socket);
        unlink(place->lock);
    }
    close(place->lock_fd);
    if (locked && place->passing)
        rmdir(folder); /* if nothing else is in it */
    flock(place->folder_fd, LOCK_UN);
    close(place->folder_fd);
}

bool place_is_local(const struct place *place)
{
    return place->folder_fd >= 0;
}
