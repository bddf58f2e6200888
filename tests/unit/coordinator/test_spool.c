/* SPDX-License-Identifier: MIT
 *
 * Folders of output: whose they are, and what is removed when.
 */
#include "coordinator/spool.h"

#include "coordinator/nest.h"
#include "proto/spool.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char home[] = "/tmp/muster-spool-test-XXXXXX";
static struct muster_error error;

static void make_home(void)
{
    cr_assert(mkdtemp(home));
    cr_assert_eq(setenv("TMPDIR", home, 1), 0);
}

static void remove_home(void)
{
    cr_assert_eq(rmdir(home), 0, "something is left in %s", home);
}

TestSuite(spool, .init = make_home, .fini = remove_home);

/* A file in the folder of a batch, or in another. */
static void put(const struct spool *spool, const char *folder)
{
    char path[PATH_MAX + 64];
    int fd;

    snprintf(path, sizeof path, "%s/%s", spool->path, folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    strcat(path, "/file");
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

static bool has(const struct spool *spool, const char *folder)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof path, "%s/%s/file", spool->path, folder);
    return access(path, F_OK) == 0;
}

static bool is_five(void *context, uint64_t batch)
{
    (void)context;
    return batch == 5;
}

Test(spool, forgotten_batch_takes_its_files_along_and_no_others)
{
    struct spool spool;

    cr_assert_eq(spool_open(&spool, NULL, &error), 0, "%s", error.text);
    put(&spool, "3");
    put(&spool, "33");
    spool_forget(&spool, 3);
    spool_forget(&spool, 4);
    cr_assert(!has(&spool, "3") && has(&spool, "33"));
    spool_close(&spool);
}

Test(spool, left_over_of_a_killed_coordinator_is_removed_and_that_of_a_living_one_is_not)
{
    struct spool living, killed, next;

    cr_assert_eq(spool_open(&living, NULL, &error), 0, "%s", error.text);
    cr_assert_eq(spool_open(&killed, NULL, &error), 0, "%s", error.text);
    put(&living, "1");
    put(&killed, "1");
    close(killed.folder_fd); /* and with it the lock */
    cr_assert_eq(spool_open(&next, NULL, &error), 0, "%s", error.text);
    cr_assert(has(&living, "1"));
    cr_assert_neq(access(killed.path, F_OK), 0);
    spool_close(&next);
    spool_close(&living);
}

/* As a coordinator that starts, and ends. */
static int come_and_go(unsigned rounds)
{
    struct spool spool;

    for (unsigned i = 0; i < rounds; i++) {
        if (spool_open(&spool, NULL, &error) != 0) {
            fprintf(stderr, "%s\n", error.text);
            return 1;
        }
        put(&spool, "1");
        if (!has(&spool, "1"))
            return 1;
        spool_close(&spool);
    }
    return 0;
}

Test(spool, folder_that_another_takes_for_a_left_over_is_made_again)
{
    enum { PROCESSES = 4, ROUNDS = 33 };
    int status;

    _Static_assert((PROCESSES - 1) * ROUNDS < NEST_TRIES, "somebody may be out of luck");

    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0)
            _exit(come_and_go(ROUNDS));
    }
    for (int i = 0; i < PROCESSES; i++)
        cr_assert(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(spool, sweep_removes_batches_that_are_not_there_and_nothing_else)
{
    char state[PATH_MAX], path[PATH_MAX + 64];
    const char *const stay[] = {"5", "05", "x", "99999999999999999999999"};
    struct spool spool;
    int fd;

    snprintf(state, sizeof state, "%s/state", home);
    cr_assert_neq(spool_open(&spool, state, &error), 0, "there is no such file");
    fd = open(state, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(spool_open(&spool, state, &error), 0, "%s", error.text);
    put(&spool, "6");
    put(&spool, PROTO_SPOOL_APART "x"); /* of a worker that was killed */
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        put(&spool, stay[i]);
    spool_sweep(&spool, is_five, NULL);
    cr_assert(!has(&spool, "6"));
    cr_assert(!has(&spool, PROTO_SPOOL_APART "x"));
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
        cr_assert(has(&spool, stay[i]), "%s", stay[i]);
        snprintf(path, sizeof path, "%s/%s/file", spool.path, stay[i]);
        unlink(path);
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
    spool_close(&spool);
    cr_assert_neq(access(spool.path, F_OK), 0);
    unlink(state);
}

Test(spool, folder_that_is_open_to_others_is_refused)
{
    char state[PATH_MAX], path[PATH_MAX + 64];
    struct spool spool;
    int fd;

    snprintf(state, sizeof state, "%s/state", home);
    fd = open(state, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    snprintf(path, sizeof path, "%s.output", state);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, 0777), 0);
    cr_assert_neq(spool_open(&spool, state, &error), 0);
    rmdir(path);
    unlink(state);
}
