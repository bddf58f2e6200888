/* SPDX-License-Identifier: MIT
 *
 * Sandboxes that are made of files and folders as they are, and made anew when these change. Each is entered
 * by a child. Where it may be, they are on a file system of their own, whose folders nobody else changes;
 * root has one with times of whole seconds.
 */
#include "base/sandbox_internal.h"
#include "tests/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* With a folder in it, alone, that has the home folder in it, and something beside that. */
static bool alone; /* /mnt is a file system for this alone */
static char top[] = "/tmp/muster-test-sandbox-XXXXXX";
static char folder[64], home[128], beside[128], moved[192];

static void write_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    close(fd);
}

static void make_all(void)
{
    if (alone)
        memcpy(top, "/mnt", sizeof "/mnt" - 1);
    CHECK(mkdtemp(top));
    snprintf(folder, sizeof folder, "%s/folder", top);
    snprintf(home, sizeof home, "%s/home", folder);
    snprintf(beside, sizeof beside, "%s/beside", folder);
    snprintf(moved, sizeof moved, "%s/moved", home);
    CHECK(mkdir(folder, 0700) == 0);
    CHECK(mkdir(home, 0700) == 0);
    CHECK(setenv("HOME", home, 1) == 0);
    write_file(beside);
}

static void remove_all(void)
{
    unlink(beside);
    unlink(moved);
    CHECK(rmdir(home) == 0);
    CHECK(rmdir(folder) == 0);
    CHECK(rmdir(top) == 0);
}

enum { ALLOWED, REFUSED, NOT_ENTERED };

/* Whether it can be opened by who has entered. */
static int try_open(const struct sandbox *sandbox, const char *path, int flags)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        if (sandbox_enter(sandbox) != 0)
            _exit(NOT_ENTERED);
        _exit(open(path, flags | O_CLOEXEC) >= 0 ? ALLOWED : REFUSED);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool is_allowed(const struct sandbox *sandbox, const char *path, int flags)
{
    int tried = try_open(sandbox, path, flags);

    CHECK(tried != NOT_ENTERED);
    return tried == ALLOWED;
}

static struct timespec find_change(void)
{
    struct stat status;

    CHECK(stat(folder, &status) == 0);
    return status.st_ctim;
}

/* Until rules that are made are kept while the folder stays as it is, however coarse its times are. */
static void await_age(void)
{
    const struct timespec then = {.tv_sec = find_change().tv_sec + 3, .tv_nsec = 50000000 /* ticks */};

    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &then, NULL) != 0) {
    }
}

/* Changes the folder, and waits for the next tick of the clock. */
static void change_folder(void)
{
    struct timespec before, now;

    CHECK(chmod(folder, 0700) == 0);
    CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &before) == 0);
    do
        CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
    while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

static int see(void *context, int folder_fd, const char *name)
{
    (void)context;
    (void)folder_fd;
    (void)name;
    return 0;
}

/* Whether what is found now would be kept. */
static bool is_kept(void)
{
    const struct sandbox_leave leave = {.output = -1};
    struct sandbox_view *view;
    bool kept;

    CHECK(sandbox_view_create(&leave, false, see, NULL, &view) == 0);
    kept = sandbox_view_is_current(view, &leave, false);
    sandbox_view_destroy(view);
    return kept;
}

static void renew(struct sandbox **sandbox, const struct sandbox_leave *leave)
{
    struct muster_error error;

    CHECK_SAYING(sandbox_renew(sandbox, SANDBOX_ON, leave, &error) == 0, error.text);
}

static void move_out_and_back(void)
{
    const struct sandbox_leave leave = {.output = -1};
    struct sandbox *sandbox = NULL;

    renew(&sandbox, &leave);
    CHECK(is_allowed(sandbox, beside, O_RDONLY));
    CHECK(rename(beside, moved) == 0);
    renew(&sandbox, &leave);
    CHECK(!is_allowed(sandbox, moved, O_RDONLY));
    CHECK(rename(moved, beside) == 0);
    renew(&sandbox, &leave);
    CHECK(is_allowed(sandbox, beside, O_RDONLY));
    CHECK(!is_allowed(sandbox, home, O_RDONLY));
    sandbox_destroy(sandbox);
}

static void what_is_moved_out_of_reach_is_not_read_with_rules_of_before(void)
{
    await_age();
    move_out_and_back();
}

static void what_is_moved_out_of_reach_in_the_second_of_another_change_is_not_read(void)
{
    change_folder();
    CHECK(!is_kept());
    move_out_and_back();
}

static void rules_are_kept_when_no_folder_changed_for_seconds(void)
{
    await_age();
    CHECK(is_kept() || !alone);
}

static void what_is_kept_by_a_link_is_left_out_when_that_leads_elsewhere(void)
{
    char link[192], text[sizeof link + sizeof SANDBOX_KEYS];
    const char *const kept[] = {text};
    const struct sandbox_leave leave = {.output = -1, .kept = kept, .kept_count = 1};
    struct sandbox *sandbox = NULL;

    snprintf(link, sizeof link, "%s/link", home);
    snprintf(text, sizeof text, SANDBOX_KEYS "%s", link);
    CHECK(symlink(home, link) == 0);
    await_age();
    renew(&sandbox, &leave);
    CHECK(is_allowed(sandbox, beside, O_RDONLY));
    CHECK(unlink(link) == 0);
    CHECK(symlink(beside, link) == 0);
    renew(&sandbox, &leave);
    CHECK(!is_allowed(sandbox, beside, O_RDONLY));
    CHECK(unlink(link) == 0);
    sandbox_destroy(sandbox);
}

static void output_folder_lets_its_files_be_opened_and_none_be_made(void)
{
    struct sandbox_leave leave = {.output = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    struct sandbox *sandbox = NULL;
    char new[128];

    CHECK(leave.output >= 0);
    await_age();
    renew(&sandbox, &leave);
    CHECK(is_allowed(sandbox, beside, O_RDWR));
    CHECK(is_allowed(sandbox, beside, O_WRONLY | O_TRUNC));
    snprintf(new, sizeof new, "%s/new", folder);
    CHECK(!is_allowed(sandbox, new, O_WRONLY | O_CREAT));
    CHECK(!is_allowed(sandbox, folder, O_RDONLY));
    close(leave.output);
    leave.output = -1;
    renew(&sandbox, &leave);
    CHECK(!is_allowed(sandbox, beside, O_RDWR));
    sandbox_destroy(sandbox);
}

static void expect_sandbox(void)
{
    const struct sandbox_leave leave = {.output = -1};
    struct sandbox *sandbox = NULL;

    alarm(30); /* ends who waits for a server that says nothing */
    renew(&sandbox, &leave);
    alarm(0);
    CHECK(is_allowed(sandbox, beside, O_RDONLY));
    sandbox_destroy(sandbox);
}

/* Of a file system that says nothing, and then is gone: to look at it is this error then. */
static void expect_sandbox_beside_mount(unsigned user, int error)
{
    int fd = alone ? open("/dev/fuse", O_RDWR | O_CLOEXEC) : -1;
    char dead[128], options[128];
    struct stat status;

    snprintf(dead, sizeof dead, "%s/dead", folder);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd, user, getgid());
    CHECK(mkdir(dead, 0700) == 0);
    if (fd < 0 || mount("none", dead, "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
        printf("skipped: FUSE of user %u cannot be mounted here\n", user);
    } else {
        expect_sandbox();
        close(fd);
        fd = -1;
        CHECK(stat(dead, &status) != 0 && errno == error);
        expect_sandbox();
        CHECK(umount2(dead, MNT_DETACH) == 0);
    }
    if (fd >= 0)
        close(fd);
    CHECK(rmdir(dead) == 0);
}

static void mount_beside_home_that_does_not_answer_or_is_dead_takes_no_sandbox_from_others(void)
{
    expect_sandbox_beside_mount(getuid(), ENOTCONN);
}

static void mount_beside_home_that_is_somebody_elses_takes_no_sandbox_from_others(void)
{
    expect_sandbox_beside_mount(getuid() + 1, EACCES);
}

static fsfilcnt_t count_free(void)
{
    struct statvfs status;

    CHECK(statvfs(folder, &status) == 0);
    return status.f_ffree;
}

/* `folder` is alone on its file system, or nothing is to be told of that. */
static void file_that_is_removed_is_not_held_by_a_sandbox_that_rests(void)
{
    const struct sandbox_leave leave = {.output = -1};
    struct sandbox *sandbox = NULL;
    fsfilcnt_t free_before = count_free();
    char removed[128];

    snprintf(removed, sizeof removed, "%s/removed", folder);
    write_file(removed);
    renew(&sandbox, &leave);
    CHECK(unlink(removed) == 0);
    CHECK(count_free() < free_before || !alone);
    sandbox_rest(sandbox);
    CHECK(count_free() == free_before || !alone);
    CHECK(try_open(sandbox, beside, O_RDONLY) == NOT_ENTERED);
    renew(&sandbox, &leave);
    CHECK(is_allowed(sandbox, beside, O_RDONLY));
    CHECK(!is_allowed(sandbox, home, O_RDONLY));
    sandbox_destroy(sandbox);
}

/* Whether one more descriptor is all that is missing to it, `beside` can be read wherever there is a sandbox.
 */
static void shortage_of_descriptors_is_an_error_and_not_a_sandbox_with_less(void)
{
    const struct sandbox_leave leave = {.output = -1};
    struct rlimit before, limit;
    struct muster_error error;
    struct sandbox *sandbox = NULL;
    rlim_t count = 0;
    int code = -1;

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (limit = before; code != 0; sandbox_destroy(sandbox), sandbox = NULL) {
        limit.rlim_cur = ++count;
        CHECK(count < 64);
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        code = sandbox_create(SANDBOX_ON, &leave, &sandbox, &error);
        CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
        if (code != 0)
            CHECK_SAYING(strstr(error.text, strerror(EMFILE)), error.text);
        else
            CHECK(is_allowed(sandbox, beside, O_RDONLY));
    }
}

static void every_word_but_strict_opens_something_that_its_absence_does_not(void)
{
    const unsigned strict = SANDBOX_ON | SANDBOX_STRICT;

    for (unsigned word = SANDBOX_ON << 1; word < SANDBOX_ALL; word <<= 1) {
        CHECK(sandbox_holds_within(SANDBOX_ON | word, SANDBOX_ON) == (word == SANDBOX_STRICT));
        CHECK(sandbox_holds_within(SANDBOX_ON, SANDBOX_ON | word) == (word != SANDBOX_STRICT));
        CHECK(sandbox_holds_within(SANDBOX_ON | word, SANDBOX_ON | word));
        CHECK(sandbox_holds_within(SANDBOX_ON | word, 0) && !sandbox_holds_within(0, SANDBOX_ON | word));
    }
    CHECK(sandbox_holds_within(SANDBOX_ALL, SANDBOX_ALL) && sandbox_holds_within(strict, SANDBOX_ALL));
    CHECK(sandbox_holds_within(0, 0) && !sandbox_holds_within(0, SANDBOX_ON));
}

static const char mount_disk[] = "mount -t tmpfs none /mnt || exit 1\n"
                                 "{ truncate -s 2M /mnt/image && mkfs.ext4 -q -I 128 /mnt/image &&\n"
                                 "  mount -o loop /mnt/image /mnt; } >/dev/null 2>&1\n"
                                 "exec \"$@\"";

static bool is_mounting_allowed(const char *own)
{
    char command[128];

    snprintf(command, sizeof command, "exec unshare %s mount -t tmpfs none /mnt 2>/dev/null", own);
    return system(command) == 0;
}

int main(int count, char **words)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(shortage_of_descriptors_is_an_error_and_not_a_sandbox_with_less),
        TEST(mount_beside_home_that_does_not_answer_or_is_dead_takes_no_sandbox_from_others),
        TEST(mount_beside_home_that_is_somebody_elses_takes_no_sandbox_from_others),
        TEST(file_that_is_removed_is_not_held_by_a_sandbox_that_rests),
        TEST(what_is_moved_out_of_reach_in_the_second_of_another_change_is_not_read),
        TEST(rules_are_kept_when_no_folder_changed_for_seconds),
        TEST(what_is_kept_by_a_link_is_left_out_when_that_leads_elsewhere),
        TEST(output_folder_lets_its_files_be_opened_and_none_be_made),
        TEST(what_is_moved_out_of_reach_is_not_read_with_rules_of_before),
        TEST(every_word_but_strict_opens_something_that_its_absence_does_not),
    };
    const char *own = geteuid() == 0 ? "-m" : "-mr";
    struct sandbox_layers layers;
    int failed;

    sandbox_probe(&layers);
    if (layers.landlock < 3) /* truncating is known from there on */
        return 0;
    if (count == 1 && is_mounting_allowed(own)) {
        execlp("unshare", "unshare", own, "sh", "-c", mount_disk, "sh", words[0], "alone", NULL);
        return 1;
    }
    alone = count > 1;
    make_all();
    failed = check_all(checks, sizeof checks / sizeof *checks);
    remove_all();
    return failed;
}
