/* SPDX-License-Identifier: MIT
 *
 * Prints the commands of a template, for template.py to compare:
 *     template_driver [WORD...]
 * Standard input has the arguments, each ended by NUL. A command is the words that run without a
 * shell, or a lone "shell", each ended by NUL, and one more NUL.
 */
#include "cli/template.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const struct command *command)
{
    if (command->shell)
        fwrite("shell", 1, sizeof("shell"), stdout);
    for (size_t i = 0; i < command->argc; i++)
        fwrite(command->argv[i].bytes, 1, command->argv[i].size + 1, stdout);
    putchar('\0');
}

int main(int argc, char **argv)
{
    static const struct template_rules rules = {.all = NULL};
    struct template t;
    struct muster_error error;
    struct command command;
    uint64_t sequence = 0;
    char *argument = NULL;
    size_t room = 0;
    ssize_t size;
    int code = template_init(&t, (const char *const *)argv + 1, (size_t)argc - 1, &rules, &error);

    while (code == 0 && (size = getdelim(&argument, &room, '\0', stdin)) > 0) {
        struct word word = {argument, (size_t)size - 1};
        struct row row = {&word, 1};

        code = template_expand(&t, &row, 1, ++sequence, &command, &error);
        if (code == 0)
            print(&command);
    }
    if (code)
        fprintf(stderr, "%s\n", error.text);
    template_fini(&t);
    free(argument);
    return code != 0;
}
