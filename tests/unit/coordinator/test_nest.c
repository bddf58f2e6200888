/* SPDX-License-Identifier: MIT
 *
 * The place of a coordinator's socket: closed to others, swept when its owner was killed and
 * only then, and refused with a reason where it cannot be. A plain executable, since owners
 * are processes.
 */
#include "coordinator/nest.h"
#include "proto/wire.h"

#include "tests/support/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char parent[] = "/tmp/muster-test-XXXXXX"; /* what TMPDIR says */
static char home[128];                            /* the user's folder in it */
static struct muster_error error;

static void init(struct nest *nest)
{
    if (nest_init(nest, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
}

static void check_refused(int code, const char *text)
{
    struct nest nest;

    error = (struct muster_error){0};
    CHECK(nest_init(&nest, &error) == code);
    CHECK(error.code == code);
    if (!strstr(error.text, text)) {
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", error.text, text);
        exit(1);
    }
}

static bool exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

static void touch(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static unsigned entries(const char *path)
{
    DIR *list = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;

    CHECK(list);
    while ((entry = readdir(list)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count;
}

static unsigned descriptors(void)
{
    return entries("/proc/self/fd");
}

/* Runs `body` in a child, whose status must be 0. */
static void in_child(void (*body)(void))
{
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0) {
        body();
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- */

static void sockets_are_closed_to_others_and_gone_at_the_end(void)
{
    struct stat status;
    struct nest nest;

    umask(0);
    init(&nest);
    umask(022);
    CHECK(strncmp(nest.socket, home, strlen(home)) == 0);
    CHECK(stat(home, &status) == 0 && (status.st_mode & 07777) == 0700);
    CHECK(fstat(nest.lock_fd, &status) == 0 && (status.st_mode & 07777) == 0600);
    CHECK(strncmp(nest.endpoint, "ipc://", 6) == 0 && strcmp(nest.endpoint + 6, nest.socket) == 0);
    touch(nest.socket);
    CHECK(entries(home) == 2);
    nest_fini(&nest);
    CHECK(entries(home) == 0);
}

/* Workers may be there ahead of the router, whose accepting is what ZeroMQ would wait 100 ms to try again. */
static void who_connects_ahead_of_the_router_is_heard_by_it(void)
{
    const struct proto_message ping = {.type = PROTO_PING};
    struct wire_context *context, *other;
    struct wire *router, *dealer;
    struct wire_poll item;
    struct wire_frame *frame;
    struct nest nest;
    int fd;

    init(&nest);
    CHECK(nest_listen(&nest, &fd, &error) == 0);
    CHECK(wire_context_create(&other, &error) == 0);
    CHECK(wire_open_dealer(other, "early", &dealer, &error) == 0);
    CHECK(wire_connect(dealer, nest.endpoint, &error) == 0 && wire_send(dealer, NULL, &ping) == 0);
    CHECK(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1) == 1);
    CHECK(wire_context_create(&context, &error) == 0);
    CHECK(wire_open_router(context, &router, &error) == 0);
    CHECK(wire_bind_listening(router, nest.endpoint, &fd, &error) == 0 && fd == -1);
    item = (struct wire_poll){.wire = router};
    CHECK(wire_wait(&item, 1, -1) > 0 && wire_receive(router, &frame) == 0);
    CHECK(strcmp(frame->peer, "early") == 0);
    wire_frame_destroy(frame);
    wire_close(dealer, 0);
    wire_context_destroy(other);
    wire_close(router, 0);
    wire_context_destroy(context);
    CHECK(exists(nest.socket));
    nest_fini(&nest);
    CHECK(entries(home) == 0);
}

static void two_coordinators_have_two_sockets(void)
{
    struct nest first, second;

    init(&first);
    touch(first.socket);
    init(&second);
    CHECK(strcmp(first.socket, second.socket) != 0);
    CHECK(exists(first.socket) && entries(home) == 3);
    touch(second.socket);
    nest_fini(&first);
    CHECK(exists(second.socket) && entries(home) == 2);
    nest_fini(&second);
}

/* Has a socket and is killed; its path goes into the pipe. */
static void be_killed(int pipe_fd)
{
    struct nest nest;

    init(&nest);
    touch(nest.socket);
    CHECK(write(pipe_fd, nest.socket, sizeof nest.socket) == sizeof nest.socket);
    raise(SIGKILL);
}

static void socket_of_a_killed_coordinator_is_swept_by_the_next(void)
{
    char socket[sizeof((struct nest *)0)->socket];
    struct nest living, next;
    int pipe_fds[2], status;
    pid_t pid;

    init(&living);
    touch(living.socket);
    CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(living.lock_fd);
        be_killed(pipe_fds[1]);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(read(pipe_fds[0], socket, sizeof socket) == sizeof socket);
    CHECK(exists(socket) && entries(home) == 4);
    init(&next);
    CHECK(!exists(socket));
    CHECK(exists(living.socket) && entries(home) == 3);
    nest_fini(&next);
    nest_fini(&living);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void lock_whose_owner_was_killed_before_it_had_it_is_swept(void)
{
    char lock[160];
    struct nest nest;

    snprintf(lock, sizeof lock, "%s/abcdef.lock", home);
    touch(lock);
    init(&nest);
    CHECK(!exists(lock) && entries(home) == 1);
    nest_fini(&nest);
}

/* The lock of a coordinator that was killed, empty. */
static int make_lock(void)
{
    char lock[160];
    int fd;

    snprintf(lock, sizeof lock, "%s/abcdef.lock", home);
    fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    return fd;
}

/* What a folder in `in` is called that the lock of this descriptor may note. */
static void name_folder(const char *in, int lock_fd, char ret_folder[256])
{
    struct stat status;

    CHECK(fstat(lock_fd, &status) == 0);
    snprintf(ret_folder, 256, "%s/muster-exec-0123456789abcdef-%jx-%jx", in, (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
}

/* Whether a folder with a file in it goes when the lock says so. */
static bool note_removes(int lock_fd, const char *note, const char *folder)
{
    char file[300];
    struct nest nest;
    bool removed;

    snprintf(file, sizeof file, "%s/file", folder);
    CHECK(mkdir(folder, 0700) == 0);
    touch(file);
    CHECK(write(lock_fd, note, strlen(note)) == (ssize_t)strlen(note) && close(lock_fd) == 0);
    init(&nest);
    nest_fini(&nest);
    CHECK(entries(home) == 0);
    removed = !exists(folder);
    if (!removed)
        CHECK(unlink(file) == 0 && rmdir(folder) == 0);
    return removed;
}

/* Large output of an exec that was killed stayed in the temporary folder. */
static void folder_that_a_killed_coordinator_noted_is_swept_and_no_other(void)
{
    char folder[256], note[300];
    int lock_fd = make_lock();

    name_folder(parent, lock_fd, folder);
    snprintf(note, sizeof note, "%s\n", folder);
    CHECK(note_removes(lock_fd, note, folder));
    lock_fd = make_lock();
    name_folder(parent, lock_fd, folder);
    CHECK(!note_removes(lock_fd, folder, folder)); /* it was cut short */
    CHECK(!note_removes(make_lock(), strrchr(folder, '/') + 1, folder));
    CHECK(!note_removes(make_lock(), "\n", folder));
}

/* Jobs that could write where sockets are had any folder removed that was called muster-something. */
static void forged_note_has_no_folder_removed_that_is_not_named_after_its_lock(void)
{
    static const char *const names[] = {"mine", "muster-data", "muster-exec-1",
                                        "muster-exec-0123456789abcdef"};
    char folder[256], link[256], note[PATH_MAX + 2];
    struct nest living, next;
    int lock_fd;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(folder, sizeof folder, "%s/%s", parent, names[i]);
        snprintf(note, sizeof note, "%s\n", folder);
        CHECK(!note_removes(make_lock(), note, folder));
    }
    lock_fd = make_lock(); /* the name leads elsewhere */
    name_folder(parent, lock_fd, link);
    snprintf(note, sizeof note, "%s\n", link);
    CHECK(symlink(folder, link) == 0 && !note_removes(lock_fd, note, folder) && unlink(link) == 0);
    CHECK(nest_init(&living, &error) == 0 && nest_note(&living, parent, &error) == 0);
    lock_fd = make_lock(); /* it is that of another one */
    snprintf(note, sizeof note, "%s\n", living.folder);
    CHECK(mkdir(living.folder, 0700) == 0 && write(lock_fd, note, strlen(note)) == (ssize_t)strlen(note));
    close(lock_fd);
    init(&next);
    nest_fini(&next);
    CHECK(exists(living.folder));
    nest_fini(&living);
    CHECK(!exists(living.folder) && entries(home) == 0);
}

/* Who was killed behind the end of his lock left a folder of which nothing told. */
static void noted_folder_goes_with_its_lock(void)
{
    char file[PATH_MAX + 8];
    struct nest nest;

    init(&nest);
    CHECK(nest_note(&nest, parent, &error) == 0);
    CHECK(strncmp(nest.folder, parent, strlen(parent)) == 0 && !exists(nest.folder));
    CHECK(mkdir(nest.folder, 0700) == 0);
    snprintf(file, sizeof file, "%s/file", nest.folder);
    touch(file);
    nest_fini(&nest);
    CHECK(!exists(nest.folder) && entries(home) == 0);
}

/* Folders and links that jobs made in it stayed for good, with the lock. */
static void noted_folder_goes_with_all_that_jobs_made_in_it(void)
{
    char kept[160], inside[192], name[64];
    struct nest nest;
    int fd, next;

    snprintf(kept, sizeof kept, "%s/kept", parent);
    snprintf(inside, sizeof inside, "%s/file", kept);
    CHECK(mkdir(kept, 0755) == 0);
    touch(inside);
    init(&nest);
    CHECK(nest_note(&nest, parent, &error) == 0 && mkdir(nest.folder, 0700) == 0);
    fd = open(nest.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 300; depth++) { /* longer than a path can be, and closed */
        snprintf(name, sizeof name, "moved-%d%0*d", depth % 3, depth % 2 * 20, 0);
        CHECK(mkdirat(fd, name, 0700) == 0 && symlinkat(kept, fd, "link") == 0 &&
              mkfifoat(fd, "pipe", 0600) == 0);
        next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(next >= 0 && (depth == 0 || fchmod(fd, 0) == 0));
        close(fd);
        fd = next;
    }
    close(fd);
    nest_fini(&nest);
    CHECK(!exists(nest.folder) && entries(home) == 0);
    CHECK(exists(inside) && unlink(inside) == 0 && rmdir(kept) == 0);
}

/* A muster that was stopped as it swept: others do without. */
static void folder_that_a_stopped_coordinator_has_locked_holds_nobody_up(void)
{
    int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char lock[160];
    struct nest nest;

    snprintf(lock, sizeof lock, "%s/abcdef.lock", home);
    touch(lock);
    CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    init(&nest);
    CHECK(exists(lock) && entries(home) == 2);
    nest_fini(&nest);
    close(fd);
    CHECK(unlink(lock) == 0);
}

static void what_is_no_left_over_is_not_removed(void)
{
    char link[160], daemon[160], lock[192], elsewhere[160];
    struct nest nest;

    snprintf(link, sizeof link, "%s/abcdef.lock", home);
    snprintf(elsewhere, sizeof elsewhere, "%s/kept", parent);
    snprintf(daemon, sizeof daemon, "%s/daemon", home); /* of place.h */
    snprintf(lock, sizeof lock, "%s/socket.lock", daemon);
    touch(elsewhere);
    CHECK(symlink(elsewhere, link) == 0 && mkdir(daemon, 0700) == 0);
    touch(lock);
    init(&nest);
    CHECK(exists(elsewhere) && exists(link)); /* a link is not followed */
    CHECK(exists(lock));
    nest_fini(&nest);
    CHECK(unlink(link) == 0 && unlink(elsewhere) == 0 && unlink(lock) == 0 && rmdir(daemon) == 0);
}

/* With so few descriptors that the sweep can list locks, and not open one. */
static void living_socket_survives_a_sweep_that_runs_out_of_descriptors(void)
{
    struct rlimit before, limit;
    struct nest living, next;
    int lowest;

    init(&living);
    touch(living.socket);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (unsigned spare = 0; spare < 6; spare++) {
        lowest = dup(0);
        CHECK(lowest >= 0);
        close(lowest);
        limit = (struct rlimit){.rlim_cur = (rlim_t)lowest + spare, .rlim_max = before.rlim_max};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        if (nest_init(&next, &error) == 0)
            nest_fini(&next);
        CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
        CHECK(exists(living.socket) && entries(home) == 2);
    }
    nest_fini(&living);
}

/* --- refused */

static void folder_that_is_open_to_others_is_refused(void)
{
    CHECK(chmod(home, 0750) == 0);
    check_refused(MUSTER_ESTATE, home);
    CHECK(chmod(home, 0700) == 0);
}

static void link_in_place_of_the_folder_is_refused(void)
{
    char elsewhere[160];

    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", parent);
    CHECK(rename(home, elsewhere) == 0 && symlink(elsewhere, home) == 0);
    check_refused(MUSTER_ESYSTEM, home);
    CHECK(unlink(home) == 0 && rename(elsewhere, home) == 0);
}

static void folder_of_somebody_else_is_refused(void)
{
    if (geteuid() != 0)
        return; /* only root can make one */
    CHECK(chown(home, 12345, 12345) == 0);
    check_refused(MUSTER_ESTATE, "must belong to this user");
    CHECK(chown(home, 0, 0) == 0);
}

static void path_too_long_for_a_socket_is_refused_with_its_variable(void)
{
    char path[300];

    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    setenv("TMPDIR", path, 1);
    check_refused(MUSTER_ELIMIT, "TMPDIR names a folder too long");
    setenv("XDG_RUNTIME_DIR", path, 1);
    setenv("TMPDIR", parent, 1);
    check_refused(MUSTER_ELIMIT, "XDG_RUNTIME_DIR names a folder too long");
    unsetenv("XDG_RUNTIME_DIR");
}

/* The longest folder that is not refused: a daemon's socket in it fits an address to the byte. */
static void longest_path_fits_a_socket_address(void)
{
    char path[128];
    struct nest nest;
    size_t length = strlen(parent) + 1;

    snprintf(path, sizeof path, "%s/", parent);
    memset(path + length, 'y', sizeof path - length);
    for (length = sizeof path - 1; length > strlen(parent) + 1; length--) {
        path[length] = '\0';
        CHECK(mkdir(path, 0700) == 0);
        setenv("TMPDIR", path, 1);
        if (nest_init(&nest, &error) == 0)
            break;
        CHECK(error.code == MUSTER_ELIMIT && rmdir(path) == 0);
    }
    CHECK(strlen(nest.socket) + strlen("/socket") == sizeof((struct sockaddr_un *)0)->sun_path - 1);
    touch(nest.socket);
    nest_fini(&nest);
    setenv("TMPDIR", parent, 1);
}

static void folder_that_is_not_there_is_refused_with_its_variable(void)
{
    setenv("TMPDIR", "/nonexistent", 1);
    check_refused(MUSTER_ESYSTEM, "set TMPDIR to a folder that can be written");
    setenv("TMPDIR", parent, 1);
}

static void as_nobody(void)
{
    char closed[160];

    snprintf(closed, sizeof closed, "%s/closed", parent);
    CHECK(mkdir(closed, 0755) == 0 && chmod(parent, 0755) == 0);
    if (geteuid() == 0)
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    else
        CHECK(chmod(closed, 0500) == 0);
    setenv("TMPDIR", closed, 1);
    check_refused(MUSTER_ESYSTEM, "Permission denied");
    check_refused(MUSTER_ESYSTEM, "set TMPDIR to a folder that can be written");
}

static void unwritable_folder_is_refused_with_its_variable(void)
{
    char closed[160];

    in_child(as_nobody);
    snprintf(closed, sizeof closed, "%s/closed", parent);
    CHECK(rmdir(closed) == 0);
}

static void runtime_folder_comes_before_the_temporary_one(void)
{
    char runtime[160];
    struct nest nest;

    snprintf(runtime, sizeof runtime, "%s/run", parent);
    CHECK(mkdir(runtime, 0700) == 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    init(&nest);
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(strncmp(nest.socket, runtime, strlen(runtime)) == 0);
    nest_fini(&nest);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int main(void)
{
    unsigned before;

    alarm(100);
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(mkdtemp(parent));
    setenv("TMPDIR", parent, 1);
    snprintf(home, sizeof home, "%s/muster-%u", parent, (unsigned)geteuid());
    before = descriptors();
    sockets_are_closed_to_others_and_gone_at_the_end();
    who_connects_ahead_of_the_router_is_heard_by_it();
    two_coordinators_have_two_sockets();
    socket_of_a_killed_coordinator_is_swept_by_the_next();
    lock_whose_owner_was_killed_before_it_had_it_is_swept();
    folder_that_a_killed_coordinator_noted_is_swept_and_no_other();
    forged_note_has_no_folder_removed_that_is_not_named_after_its_lock();
    noted_folder_goes_with_its_lock();
    noted_folder_goes_with_all_that_jobs_made_in_it();
    folder_that_a_stopped_coordinator_has_locked_holds_nobody_up();
    what_is_no_left_over_is_not_removed();
    living_socket_survives_a_sweep_that_runs_out_of_descriptors();
    folder_that_is_open_to_others_is_refused();
    link_in_place_of_the_folder_is_refused();
    folder_of_somebody_else_is_refused();
    path_too_long_for_a_socket_is_refused_with_its_variable();
    longest_path_fits_a_socket_address();
    folder_that_is_not_there_is_refused_with_its_variable();
    unwritable_folder_is_refused_with_its_variable();
    runtime_folder_comes_before_the_temporary_one();
    CHECK(descriptors() == before);
    CHECK(nftw(parent, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
