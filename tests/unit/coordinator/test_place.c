/* SPDX-License-Identifier: MIT
 *
 * Endpoints that are known beforehand: never held by two processes, taken over from one that was killed
 * and from nobody else, and only in folders that are closed to others. A plain executable, since holders
 * are processes.
 */
#include "coordinator/place.h"

#include "proto/flight.h"
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char parent[] = "/tmp/muster-test-XXXXXX"; /* what TMPDIR says */
static char endpoint[72], path[64];               /* of a socket in it */
static struct muster_error error;

static bool exists(const char *name)
{
    struct stat status;

    return lstat(name, &status) == 0;
}

static void open_place(const char *where, struct place *place)
{
    CHECK_SAYING(place_open(where, place, &error) == 0, error.text);
}

static void check_refused(const char *where, int code, const char *text)
{
    struct place place;

    error = (struct muster_error){0};
    CHECK_SAYING(place_open(where, &place, &error) == code && error.code == code, where);
    CHECK_SAYING(strstr(error.text, text), error.text);
}

/* What binding leaves. */
static void make_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    strcpy(address.sun_path, path);
    CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
}

/* A child that takes what it is to have, and then lives until it is killed. */
static pid_t start_holder(void (*take)(void))
{
    int ready[2];
    char byte;
    pid_t pid;

    CHECK(pipe2(ready, O_CLOEXEC) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        take();
        CHECK(write(ready[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void take_place(void)
{
    struct place place;

    open_place(endpoint, &place);
    make_socket();
}

static void kill_holder(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

/* --- */

static void place_is_closed_to_others_and_leaves_nothing(void)
{
    char expected[PLACE_ENDPOINT_BYTES];
    struct stat status;
    struct place place;

    CHECK(place_default(expected, &error) == 0);
    umask(0);
    open_place(NULL, &place);
    umask(022);
    CHECK(strcmp(place.endpoint, expected) == 0 && place_is_local(&place));
    CHECK(stat(place.lock, &status) == 0 && (status.st_mode & 07777) == 0600);
    *strrchr(place.socket, '/') = '\0';
    CHECK(stat(place.socket, &status) == 0 && (status.st_mode & 07777) == 0700);
    CHECK(rmdir(place.socket) != 0 && errno == ENOTEMPTY);
    place_close(&place);
    CHECK(rmdir(place.socket) == 0);
}

static void second_holder_is_told_who_is_first(void)
{
    char holder[32];
    pid_t pid = start_holder(take_place);

    snprintf(holder, sizeof holder, "process %ld,", (long)pid);
    check_refused(endpoint, MUSTER_ESTATE, holder);
    check_refused(endpoint, MUSTER_ESTATE, endpoint);
    CHECK(exists(path));
    kill_holder(pid);
}

static void what_a_killed_holder_left_is_replaced(void)
{
    struct place place;

    kill_holder(start_holder(take_place));
    CHECK(exists(path));
    open_place(endpoint, &place);
    CHECK(!exists(path));
    place_close(&place);
    CHECK(!exists(place.lock));
}

static int open_endpoint(struct place *place)
{
    return place_open(endpoint, place, &error);
}

/* A mark is made by who has the place, and must not be there. */
static void take_turns(int (*open_one)(struct place *place), unsigned rounds)
{
    char mark[96];
    struct place place;
    unsigned had = 0;
    int fd;

    snprintf(mark, sizeof mark, "%s/mark", parent);
    while (had < rounds) {
        if (open_one(&place) != 0) {
            CHECK_SAYING(error.code == MUSTER_ESTATE && strstr(error.text, "process "), error.text);
            CHECK_SAYING(!strstr(error.text, "process 0,"), error.text);
            continue;
        }
        fd = open(mark, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK_SAYING(fd >= 0, "two have it");
        close(fd);
        CHECK(unlink(mark) == 0);
        place_close(&place);
        had++;
    }
}

/* Others come and go fewer times than one tries, so that nobody may be refused for that. */
static void compete(int (*open_one)(struct place *place))
{
    enum { PROCESSES = 6, ROUNDS = 19 };
    int status;

    _Static_assert((PROCESSES - 1) * ROUNDS < NEST_TRIES, "somebody may be out of luck");
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
            take_turns(open_one, ROUNDS);
            exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++)
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Lets go of a lock when somebody has the folder's. */
static pid_t start_looker(int fd)
{
    int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t pid = fork();

    CHECK(folder >= 0 && pid >= 0);
    if (pid == 0) {
        while (flock(folder, LOCK_SH | LOCK_NB) == 0) {
            flock(folder, LOCK_UN);
            sched_yield();
        }
        flock(fd, LOCK_UN);
        _exit(0);
    }
    close(folder);
    return pid;
}

static void left_over_that_somebody_looks_at_is_not_taken_for_a_coordinators(void)
{
    struct place place;
    char lock[96];
    pid_t looker;
    int fd;

    kill_holder(start_holder(take_place));
    snprintf(lock, sizeof lock, "%s.lock", path);
    fd = open(lock, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0);
    looker = start_looker(fd);
    open_place(endpoint, &place);
    place_close(&place);
    close(fd);
    CHECK(waitpid(looker, NULL, 0) == looker);
}

static void place_never_has_two_holders(void)
{
    compete(open_endpoint);
}

/* --- folders of workers */

static int open_shared_workers(struct place *place)
{
    return place_open_workers(7, place, &error);
}

/* Each that goes takes the folder along, which the next has just made or opened: that one failed. */
static void folder_that_another_removes_meanwhile_is_made_again(void)
{
    compete(open_shared_workers);
}

static void open_workers(uint64_t identity, struct place *place)
{
    CHECK_SAYING(place_open_workers(identity, place, &error) == 0, error.text);
}

static const char *workers_path(uint64_t identity)
{
    static char folder[NEST_HOME_BYTES + 64];
    char home[NEST_HOME_BYTES];

    CHECK(nest_home(home, NULL, &error) == 0);
    snprintf(folder, sizeof folder, "%s/workers-%016llx", home, (unsigned long long)identity);
    return folder;
}

/* As a coordinator that is killed leaves it, with a worker of this name that is killed, too. */
static void leave_folder(uint64_t identity)
{
    struct flight_page *page;
    struct place place;
    pid_t pid = fork();
    int fd;

    CHECK(pid >= 0);
    if (pid == 0) {
        open_workers(identity, &place);
        CHECK(flight_create_file(place.folder_fd, "worker-1.1.1.flight", &fd, &page) == 0);
        CHECK(flight_attach(fd, &page) == 0);
        raise(SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(exists(workers_path(identity)));
}

static void make_old(uint64_t identity)
{
    struct timespec times[] = {{.tv_sec = 1}, {.tv_sec = 1}};

    CHECK(utimensat(AT_FDCWD, workers_path(identity), times, 0) == 0);
}

/* What another coordinator does as it starts. */
static void come_and_go(void)
{
    struct place place;

    open_workers(99, &place);
    place_close(&place);
}

static void folder_of_a_coordinator_that_never_came_back_is_removed(void)
{
    leave_folder(1);
    come_and_go();
    CHECK(exists(workers_path(1))); /* it may be started in a moment */
    make_old(1);
    come_and_go();
    CHECK(!exists(workers_path(1)));
}

static void folder_that_a_coordinator_has_is_not_removed(void)
{
    struct place place;

    open_workers(1, &place);
    make_old(1);
    come_and_go();
    CHECK(exists(workers_path(1)));
    place_close(&place);
    CHECK(!exists(workers_path(1)));
}

static void take_page(void)
{
    struct flight_page *page;
    int folder_fd, fd;

    CHECK(nest_open_folder(workers_path(1), &folder_fd, &error) == 0);
    CHECK(flight_open_file(folder_fd, "worker-1.1.1.flight", &fd, &page) == 0);
    flight_unmap(page);
    CHECK(flight_attach(fd, &page) == 0);
}

static void folder_whose_workers_live_is_not_removed(void)
{
    pid_t worker;

    leave_folder(1);
    worker = start_holder(take_page);
    make_old(1);
    come_and_go();
    CHECK(exists(workers_path(1)));
    kill_holder(worker);
    come_and_go();
    CHECK(!exists(workers_path(1)));
}

/* --- refused */

static void file_that_is_no_socket_is_kept(void)
{
    int fd = open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    close(fd);
    check_refused(endpoint, MUSTER_ESTATE, "is no socket");
    CHECK(unlink(path) == 0);
}

static void link_in_place_of_the_lock_is_not_followed(void)
{
    char lock[96], target[96];

    snprintf(lock, sizeof lock, "%s.lock", path);
    snprintf(target, sizeof target, "%s/target", parent);
    CHECK(symlink(target, lock) == 0);
    check_refused(endpoint, MUSTER_ESYSTEM, lock);
    CHECK(!exists(target) && unlink(lock) == 0);
}

static void folder_that_is_open_to_others_is_refused(void)
{
    CHECK(chmod(parent, 0710) == 0);
    check_refused(endpoint, MUSTER_ESTATE, "mode 0700");
    CHECK(chmod(parent, 0700) == 0);
}

static void folder_that_a_stopped_process_has_locked_is_refused(void)
{
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    check_refused(endpoint, MUSTER_ESTATE, "has been locked for 10 s by another muster");
    CHECK(!exists(path));
    close(fd);
}

static void link_in_place_of_the_folder_is_refused(void)
{
    char link[64], below[80];

    snprintf(link, sizeof link, "%s/link", parent);
    snprintf(below, sizeof below, "ipc://%s/socket", link);
    CHECK(symlink(parent, link) == 0);
    check_refused(below, MUSTER_ESYSTEM, link);
    CHECK(unlink(link) == 0);
}

static void endpoints_that_are_none_are_refused(void)
{
    static const char *const none[] = {
        "",
        "x",
        "ipc://",
        "ipc://x",
        "ipc://@x",
        "ipc:///tmp/",
        "inproc://x",
        "tcp://",
        "tcp://:1",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:1x",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:99999999999999999999",
        "tcp://[::1]",
        "tcp://127.0.0.1:1:2",
        "tcp://127.0.0.1:1;127.0.0.1:2",
    };
    static const char *const no_peers[] = {
        "tcp://0.0.0.0:1", /* without its key */
        "tcp://eth0:1",
        "tcp://127.0.0.1.example.org:1",
        "tcp://*:1",
        "tcp://*:1#" KEY,
        "tcp://host:1#",
        "tcp://host:1#x",
        "tcp://host:1#" KEY "0",
        "tcp://host:1#" KEY "#" KEY,
        "tcp://ho;st:1#" KEY,
        "tcp://[::1:1#" KEY,
        "tcp://[]:1#" KEY,
        "tcp://#" KEY,
    };
    static const char *const some[] = {"ipc:///x",
                                       "tcp://127.0.0.1:0",
                                       "tcp://127.0.0.1:65535",
                                       "tcp://[::1]:*",
                                       "tcp://127.0.0.1:1#" KEY,
                                       "tcp://host.example.org:1#" KEY,
                                       "tcp://[fe80::1%eth0]:1#" KEY};
    static const char *const own[] = {"tcp://0.0.0.0:1", "tcp://*:*", "tcp://eth0:1", "tcp://127.0.0.1:0",
                                      "ipc:///x"};
    struct curve_key key;
    char address[PLACE_ENDPOINT_BYTES];
    char longest[160] = "ipc:///";

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        check_refused(none[i], MUSTER_EINVALID, none[i]);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        CHECK_SAYING(place_check(some[i], &error) == 0, some[i]);
    for (size_t i = 0; i < sizeof no_peers / sizeof *no_peers; i++)
        CHECK_SAYING(place_check(no_peers[i], &error) == MUSTER_EINVALID, no_peers[i]);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        CHECK_SAYING(place_check_listen(own[i], &error) == 0, own[i]);
    CHECK(place_check_listen("tcp://127.0.0.1:1#" KEY, &error) == MUSTER_EINVALID);
    CHECK(place_split("tcp://host:1#" KEY, address, &key) && strcmp(address, "tcp://host:1") == 0);
    CHECK(key.bytes[0] == 0 && key.bytes[31] == 0xff);
    CHECK(!place_split("ipc:///x#y", address, &key) && strcmp(address, "ipc:///x#y") == 0);
    memset(longest + strlen(longest), 'x', sizeof((struct sockaddr_un *)0)->sun_path - 1);
    check_refused(longest, MUSTER_ELIMIT, "at most 107 bytes");
    longest[strlen("ipc://") + 107] = '\0';
    CHECK(place_check(longest, &error) == 0);
}

int main(void)
{
    static const struct check checks[] = {
        {"place_is_closed_to_others_and_leaves_nothing", place_is_closed_to_others_and_leaves_nothing},
        {"second_holder_is_told_who_is_first", second_holder_is_told_who_is_first},
        {"what_a_killed_holder_left_is_replaced", what_a_killed_holder_left_is_replaced},
        {"left_over_that_somebody_looks_at_is_not_taken_for_a_coordinators",
         left_over_that_somebody_looks_at_is_not_taken_for_a_coordinators},
        {"place_never_has_two_holders", place_never_has_two_holders},
        {"folder_that_another_removes_meanwhile_is_made_again",
         folder_that_another_removes_meanwhile_is_made_again},
        {"folder_of_a_coordinator_that_never_came_back_is_removed",
         folder_of_a_coordinator_that_never_came_back_is_removed},
        {"folder_that_a_coordinator_has_is_not_removed", folder_that_a_coordinator_has_is_not_removed},
        {"folder_whose_workers_live_is_not_removed", folder_whose_workers_live_is_not_removed},
        {"file_that_is_no_socket_is_kept", file_that_is_no_socket_is_kept},
        {"link_in_place_of_the_lock_is_not_followed", link_in_place_of_the_lock_is_not_followed},
        {"folder_that_is_open_to_others_is_refused", folder_that_is_open_to_others_is_refused},
        {"folder_that_a_stopped_process_has_locked_is_refused",
         folder_that_a_stopped_process_has_locked_is_refused},
        {"link_in_place_of_the_folder_is_refused", link_in_place_of_the_folder_is_refused},
        {"endpoints_that_are_none_are_refused", endpoints_that_are_none_are_refused},
    };
    char home[NEST_HOME_BYTES];

    unsetenv("XDG_RUNTIME_DIR");
    CHECK(mkdtemp(parent) && setenv("TMPDIR", parent, 1) == 0);
    snprintf(path, sizeof path, "%s/socket", parent);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    check_all(checks, sizeof checks / sizeof *checks);
    CHECK(nest_home(home, NULL, &error) == 0 && rmdir(home) == 0 && rmdir(parent) == 0);
    return 0;
}
