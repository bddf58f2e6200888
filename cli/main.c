/* SPDX-License-Identifier: MIT
 *
 * The `muster` command: makes the descriptors and signals fit to work with, and hands over
 * to the verb.
 */
#include "base/log.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "jobs/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"map", verb_map},
    {"exec", verb_exec},
    {"compare", verb_compare},
    {"advise", verb_advise},
    {"lab", verb_lab},
    {"bench", verb_bench},
    {"functions", verb_functions},
    {"coordinator", verb_coordinator},
    {"status", verb_status},
    {"jobs", verb_jobs},
    {"results", verb_results},
    {"wait", verb_wait},
    {"cancel", verb_cancel},
    {"retry", verb_retry},
    {"forget", verb_forget},
    {"workers", verb_workers},
    {"scale", verb_scale},
    {"drain", verb_drain},
    {"stop", verb_stop},
    {"worker", verb_worker},
    {"submit", verb_submit},
    {"key", verb_key},
};

enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

/* Descriptors 0, 1 and 2 are open, so that no file of ours takes their place. One that the
 * caller had closed becomes /dev/null for reading: writing to it fails, and is reported. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != fd)
            abort();
}

/* libzmq asks for the number of PGM, which nobody here uses, when a context is made. glibc looks for a
 * database of protocols first, which hardly a host has: 80 files that are not there. */
static void look_up_protocols_in_files(void)
{
    __nss_configure_lookup("protocols", "files");
}

static int print_version(void)
{
    struct muster_error error;
    struct output output;
    int code;

    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
    code = output_text(&output, "muster %s\n", MUSTER_VERSION) || output_flush(&output, &error);
    output_fini(&output);
    return code ? plain_error(&error) : 0;
}

static int unknown_verb(const char *word)
{
    unsigned least = NEAREST_FAR, distance;
    const char *nearest = NULL;

    for (size_t i = 0; i < VERB_COUNT; i++) {
        distance = nearest_distance(word, verbs[i].name);
        if (distance < least) {
            least = distance;
            nearest = verbs[i].name;
        }
    }
    if (nearest)
        log_error("there is no verb '%s'; did you mean %s? See 'muster %s --help'", word, nearest, nearest);
    else
        log_error("there is no verb '%s'; see 'muster --help'", word);
    return STATUS_ERROR;
}

static bool is_one_of(const char *word, const char *first, const char *second)
{
    return strcmp(word, first) == 0 || strcmp(word, second) == 0;
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves ends what runs in order; */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow */
    signal(SIGCHLD, SIG_DFL); /* a parent that ignored it would hide how workers end */
    look_up_protocols_in_files();
    if (argc < 2) {
        log_error("no verb is given; see 'muster --help'");
        return STATUS_ERROR;
    }
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (is_one_of(argv[1], "--version", "-V"))
        return print_version();
    if (is_one_of(argv[1], "--help", "-h") ||
        (strcmp(argv[1], "help") == 0 && (argc == 2 || strcmp(argv[2], "help") == 0)))
        return help_print(NULL);
    if (strcmp(argv[1], "help") != 0)
        return unknown_verb(argv[1]);
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(argv[2], verbs[i].name) == 0)
            return help_print(verbs[i].name);
    return unknown_verb(argv[2]);
}
