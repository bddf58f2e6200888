/* SPDX-License-Identifier: MIT
 *
 * Prints the rows that input sources make, for a comparison with GNU parallel: takes its
 * options and ::: and their like, and writes for each row a line "COUNT SIZE SIZE..." and the
 * bytes of its arguments.
 */
#include "cli/escapes.h"
#include "cli/exec_fill.h"
#include "cli/sources.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES_MAX = 16 };

static struct source_spec given[SOURCES_MAX];
static struct sources_spec spec = {.sources = given};
static struct exec_fill_options fill_options;

static int fail(const struct muster_error *error)
{
    fprintf(stderr, "%s\n", error->text);
    return 255;
}

static void add_source(const char *path, char **words, size_t count, bool linked)
{
    if (spec.source_count == SOURCES_MAX)
        abort();
    given[spec.source_count++] = (struct source_spec){
        .path = path, .words = (const char *const *)words, .count = count, .linked = linked};
}

/* The words from a ::: on. */
static void read_sources(char **words)
{
    const char *separator;
    bool linked;
    size_t count;

    while (*words) {
        separator = *words++;
        linked = separator[strlen(separator) - 1] == '+';
        for (count = 0; words[count] && strncmp(words[count], ":::", 3) != 0; count++)
            if (strncmp(separator, "::::", 4) == 0)
                add_source(words[count], NULL, 0, linked);
        if (strncmp(separator, "::::", 4) != 0)
            add_source(NULL, words, count, linked);
        words += count;
    }
}

static int read_options(int argc, char **argv, struct muster_error *ret_error)
{
    static const struct option options[] = {
        {"colsep", required_argument, NULL, 'C'}, {"header", required_argument, NULL, 'H'},
        {"trim", required_argument, NULL, 'T'},   {"skip-first-line", no_argument, NULL, 'S'},
        {"link", no_argument, NULL, 'l'},         {"shuf", no_argument, NULL, 's'},
        {"read-all", no_argument, NULL, 'A'},     {0}};
    int code = 0, option;

    while (!code && (option = getopt_long(argc, argv, "+a:0d:C:E:rn:N:L:", options, NULL)) != -1) {
        if (option == 'a')
            add_source(optarg, NULL, 0, false);
        else if (option == '0')
            spec.delimiter = (struct word){.bytes = "", .size = 1};
        else if (option == 'd')
            spec.delimiter = (struct word){.bytes = optarg, .size = escapes_read(optarg, optarg)};
        else if (option == 'C')
            spec.colsep = optarg;
        else if (option == 'E')
            spec.end = optarg;
        else if (option == 'r')
            spec.skip_blank = true;
        else if (option == 'n' || option == 'N')
            spec.no_args = (fill_options.max_args = strtoul(optarg, NULL, 10)) == 0;
        else if (option == 'L')
            spec.continued = (fill_options.max_lines = strtoul(optarg, NULL, 10)) > 0;
        else if (option == 'H')
            spec.header = optarg;
        else if (option == 'T')
            code = sources_trim_read(optarg, &spec.trim, ret_error);
        else if (option == 'S')
            spec.skip_first = true;
        else if (option == 'l')
            spec.link = true;
        else if (option == 's')
            spec.shuffle = true;
        else if (option == 'A')
            spec.read_all = true;
        else
            code = muster_error_set(ret_error, MUSTER_EINVALID, "an option that is not known");
    }
    return code;
}

static void print_row(const struct row *row)
{
    printf("%zu", row->count);
    for (size_t i = 0; i < row->count; i++)
        printf(" %zu", row->args[i].size);
    printf("\n");
    for (size_t i = 0; i < row->count; i++)
        fwrite(row->args[i].bytes, 1, row->args[i].size, stdout);
}

int main(int argc, char **argv)
{
    struct muster_error error;
    struct template none = {.text = NULL};
    struct sources sources;
    struct exec_fill fill;
    struct row row;
    int code;

    if (read_options(argc, argv, &error))
        return fail(&error);
    read_sources(argv + optind);
    code = sources_init(&sources, &spec, &error);
    if (code)
        return fail(&error);
    exec_fill_init(&fill, &fill_options, 0, &sources, &none);
    while ((code = exec_fill_next(&fill, &row, &error)) != MUSTER_EEND) {
        if (code == MUSTER_EAGAIN)
            poll(&(struct pollfd){.fd = sources.fd, .events = POLLIN}, 1, -1);
        else if (code)
            return fail(&error);
        else
            print_row(&row);
    }
    exec_fill_fini(&fill);
    sources_fini(&sources);
    return 0;
}
