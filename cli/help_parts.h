/* SPDX-License-Identifier: MIT
 *
 * What the texts of --help of several verbs say alike.
 */
#ifndef MUSTER_CLI_HELP_PARTS_H
#define MUSTER_CLI_HELP_PARTS_H

#define HELP_ARGUMENTS                                                                \
    "Arguments\n"                                                                     \
    "  ::: ARG...    Each ARG is JSON where it parses as JSON, and a string\n"        \
    "                otherwise: 5 is a number, '\"5\"' a string, '[1,2]' an array,\n" \
    "                notes.txt a string. A..B is every integer from A to B, and is\n" \
    "                never expanded in memory.\n"                                     \
    "  :::: FILE...  Each line of the files is an argument, JSON or a string; A..B\n" \
    "                is no range here. - is standard input.\n"

#define HELP_WORKERS                                                               \
    "  -j, --workers N       Workers: a number, or a share of the cores such as\n" \
    "                        50%. Default: the cores this process may use.\n"

#define HELP_CHUNK                                                                    \
    "      --chunk N|auto    Jobs that travel together. auto, the default, aims at\n" \
    "                        20 ms of work.\n"

#define HELP_MODELS                                                                     \
    "Models\n"                                                                          \
    "  inline      One job after another, in this process: what the others are\n"       \
    "              measured by.\n"                                                      \
    "  threads     A pool of threads in this process: parallel, nothing encoded, and\n" \
    "              no protection: a crash ends all.\n"                                  \
    "  gil         The same pool under one lock that is handed over every 5 ms, as\n"   \
    "              Python's: jobs that wait overlap, jobs that compute do not.\n"       \
    "  loop        One thread and a coroutine for each job: thousands of waits\n"       \
    "              overlap, and one job that computes keeps all others waiting.\n"      \
    "  processes   Worker processes: parallel, what goes in and out is encoded, a\n"    \
    "              crash costs one job, and a job can be ended.\n"

#define HELP_CONCURRENCY                                                               \
    "      --concurrency K   Jobs that each worker of processes runs at once, as\n"    \
    "                        coroutines on one thread, so that their waits overlap;\n" \
    "                        default 1. Of loop: at most so many at once; 10000.\n"

#define HELP_PLUGIN                                                                   \
    "      --plugin FILE     Load functions from a shared object; may be repeated.\n" \
    "                        A name without / is looked for in the directories of\n"  \
    "                        MUSTER_PLUGIN_PATH.\n"

#define HELP_PIN "      --pin             Keep each worker on a core of its own.\n"

#define HELP_PROGRESS                                                             \
    "      --progress, --no-progress\n"                                           \
    "                        Show progress on standard error always, or never.\n" \
    "                        Default: on a terminal, for work longer than a second.\n"

#endif
