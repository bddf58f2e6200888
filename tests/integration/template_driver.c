/* SPDX-License-Identifier: MIT
 *
 * Prints the commands of a template, for template.py to compare:
 *     template_driver [-q] [-X] [--plus] [--argv] [--rows N] [-I STR] [--er STR] ... -- [WORD...]
 * Standard input has the arguments, each ended by NUL; N of them make a command (0: all). A
 * command is its line, ended by NUL; with --argv the words that run without a shell, or a lone
 * "shell", each ended by NUL, and one more NUL.
 */
#include "cli/template.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS = 1000 };

static struct template_rules rules = {.always_shell = true};
static struct word arguments[ARGUMENTS], names[ARGUMENTS];
static char *owned[ARGUMENTS]; /* what the arguments live in */
static size_t per_command = 1;

static const struct option long_options[] = {
    {"plus", no_argument, NULL, 'p'},
    {"argv", no_argument, NULL, 'a'},
    {"rows", required_argument, NULL, 'r'},
    {"er", required_argument, NULL, 'E'},
    {"bnr", required_argument, NULL, 'B'},
    {"dnr", required_argument, NULL, 'D'},
    {"bner", required_argument, NULL, 'F'},
    {"seqreplace", required_argument, NULL, 'S'},
    {"slotreplace", required_argument, NULL, 'T'},
    {"name", required_argument, NULL, 'n'},
    {NULL, 0, NULL, 0},
};

static void add_name(const char *name)
{
    if (rules.name_count == ARGUMENTS)
        exit(2);
    names[rules.name_count++] = (struct word){name, strlen(name)};
    rules.names = names;
}

static void read_options(int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "+qXI:", long_options, NULL)) != -1) {
        switch (option) {
        case 'q':
            rules.quote = true;
            break;
        case 'X':
            rules.context = true;
            break;
        case 'I':
            rules.all = optarg;
            break;
        case 'p':
            rules.plus = true;
            break;
        case 'a':
            rules.always_shell = false;
            break;
        case 'r':
            per_command = strtoul(optarg, NULL, 10);
            break;
        case 'E':
            rules.no_extension = optarg;
            break;
        case 'B':
            rules.basename = optarg;
            break;
        case 'D':
            rules.dirname = optarg;
            break;
        case 'F':
            rules.basename_no_extension = optarg;
            break;
        case 'S':
            rules.sequence = optarg;
            break;
        case 'T':
            rules.slot = optarg;
            break;
        case 'n':
            add_name(optarg);
            break;
        default:
            exit(2);
        }
    }
}

static size_t read_arguments(void)
{
    size_t room = 0, count = 0;
    ssize_t size;

    while (count < ARGUMENTS && (size = getdelim(&owned[count], &room, '\0', stdin)) > 0) {
        arguments[count] = (struct word){owned[count], (size_t)size - 1};
        room = 0;
        count++;
    }
    return count;
}

static void print(const struct command *command)
{
    if (rules.always_shell) {
        fwrite(command->line.bytes, 1, command->line.size + 1, stdout);
        return;
    }
    if (command->shell)
        fwrite("shell", 1, sizeof("shell"), stdout);
    for (size_t i = 0; i < command->argc; i++)
        fwrite(command->argv[i].bytes, 1, command->argv[i].size + 1, stdout);
    putchar('\0');
}

int main(int argc, char **argv)
{
    struct template t;
    struct muster_error error;
    struct command command;
    size_t count, taken;
    uint64_t sequence = 0;
    int code;

    read_options(argc, argv);
    code = template_init(&t, (const char *const *)argv + optind, (size_t)(argc - optind), &rules, &error);
    count = code ? 0 : read_arguments();
    for (size_t at = 0; at < count && code == 0; at += taken) {
        struct row row;

        taken = per_command > 0 && per_command < count - at ? per_command : count - at;
        row = (struct row){arguments + at, taken};
        code = template_expand(&t, &row, 1, ++sequence, &command, &error);
        if (code == 0)
            print(&command);
    }
    if (code)
        fprintf(stderr, "%s\n", error.text);
    template_fini(&t);
    for (size_t i = 0; i < ARGUMENTS; i++)
        free(owned[i]);
    return code != 0;
}
