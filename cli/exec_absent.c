/* SPDX-License-Identifier: MIT
 *
 * Options of GNU parallel that have no place here. See exec_absent.h.
 */
#include "cli/exec_absent.h"

#include <stddef.h>
#include <string.h>

static const struct family {
    const char *words; /* with a blank between them */
    const char *reason;
} families[] = {
    {"-S -M --sshlogin --sshloginfile --slf --transfer --transferfile --tf --return --cleanup --trc "
     "--basefile --bf --onall --nonall --filter-hosts --hostgroups --hgrp --controlmaster --ssh "
     "--ssh-delay --sshdelay --rsync-opts",
     "commands of exec run on this host alone; workers of other hosts belong to `muster coordinator`"},
    {"--rpl --parens --filter --bin --shard --group-by",
     "muster runs no Perl; use the shell, or a script, for this"},
    {"--open-tty", "commands run beside each other, and have no terminal to read"},
    {"--block-timeout --blocktimeout --bt",
     "a block ends where it is full or the input ends; --block and -N make smaller ones"},
    {"--show-limits", "--max-line-length-allowed says how long a command line may be"},
    {"--sql --sqlmaster --sql-master --sqlworker --sql-worker --sqlandworker --sql-and-worker",
     "muster writes to no database; files of --results and --joblog can be imported"},
    {"--semaphore --semaphore-name --semaphorename --id --semaphore-timeout --semaphoretimeout --st --fg "
     "--bg --wait",
     "muster is no semaphore; flock(1) is"},
    {"--env_parallel --session --record-env --_parset",
     "this belongs to shell functions of GNU parallel; commands inherit what is exported"},
    {"--embed --shebang --hashbang --shebang-wrap",
     "muster goes into no script; a script calls it as any other program"},
    {"--tty",
     "commands have no terminal, so that all of each can be ended; `xargs -o -n1` runs those that need it"},
    {"--tmux --tmuxpane",
     "commands get no terminal of their own; --line-buffer shows what they write as it comes"},
    {"--compress --compress-program --decompress-program", "output is kept as it is; --tmpdir says where"},
    {"--color --color-failed --cf --ctag --ctagstring --latest-line --ll",
     "output is shown as it is; --tag and --tagstring say which job it is of"},
    {"--round --round-robin --roundrobin --tee", "a command is given one block, and a block to one command"},
    {"-J --profile", "options stand on the command line alone, not in a profile"},
    {"--csv", "columns with quotes are not understood; --colsep , splits at every comma"},
    {"--template --tmpl", "no files are made of templates; a command can, with sed or envsubst"},
    {"--process-slot-var",
     "the number of the slot is {%} in the command and PARALLEL_JOBSLOT in its environment"},
    {"--total-jobs --total", "jobs are counted as their arguments are read"},
    {"--limit", "no command decides when jobs start; --load and --memfree do"},
    {"--use-cpus-instead-of-cores --use-cores-instead-of-threads --use-sockets-instead-of-threads",
     "-j counts the processors that muster may use; give it a number"},
    {"--number-of-cpus --number-of-cores --number-of-sockets --number-of-threads",
     "lscpu(1) says it; nproc(1) has the default of -j"},
    {"-V --version --minversion",
     "`muster --version` says it; the options are those of GNU parallel 20221122"},
    {"--shell-completion", "completion for bash is installed with muster"},
    {"--citation --bibtex", "muster asks for no citation"},
};

/* Whether the list, of words with a blank between them, has the word. */
static int lists(const char *list, const char *word, size_t size)
{
    while (*list) {
        size_t length = strcspn(list, " ");

        if (length == size && memcmp(list, word, size) == 0)
            return 1;
        list += length + (list[length] == ' ');
    }
    return 0;
}

const char *exec_absent_reason(const char *word)
{
    size_t size = strcspn(word, "=");

    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (lists(families[i].words, word, size))
            return families[i].reason;
    return NULL;
}
