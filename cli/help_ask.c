/* SPDX-License-Identifier: MIT
 *
 * The texts of --help of the verbs that ask a coordinator. See help.c.
 */
#include "cli/help.h"

#include <stddef.h>

#define HELP_COORDINATOR                                                                 \
    "      --coordinator ENDPOINT\n"                                                     \
    "                        Which one is asked: ipc://PATH, tcp://127.0.0.1:PORT, or\n" \
    "                        default. Where it is not given, MUSTER_COORDINATOR says\n"  \
    "                        it, if that is set; else it is the default.\n"

#define HELP_AWAY                                                                      \
    "      --wait-coordinator SECONDS\n"                                               \
    "                        When a coordinator that keeps batches on disk is gone,\n" \
    "                        wait so long until it is back, and go on. Default 60;\n"  \
    "                        0: end.\n"

static const char help_status[] =
    "usage: muster status [BATCH] [option...]\n"
    "\n"
    "Says how a coordinator is: where it listens, how long it has been up, whether it\n"
    "keeps batches on disk, its workers, and how many batches are in each state. With\n"
    "BATCH, how that one is: its state, its jobs, what it waits for, when it came.\n"
    "\n"
    "Options\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: one object. Times in it are\n"
    "                        milliseconds since 1970.\n"
    "\n"
    "States of a batch\n"
    "  opening     its arguments are still coming; it is not accepted yet\n"
    "  blocked     waits for other batches\n"
    "  delayed     waits for its time\n"
    "  queued      waits for its turn\n"
    "  running\n"
    "  succeeded   all of its jobs did\n"
    "  failed      some of them did not\n"
    "  cancelled   by somebody, or since a batch that it waited for failed\n"
    "  lost        given up; the line `why` says why\n"
    "\n"
    "Exit status\n"
    "  0        it was said\n"
    "  255      any other error: no coordinator, no such batch, ...\n"
    "\n"
    "Example\n"
    "  muster status 12\n";

static const char help_jobs[] =
    "usage: muster jobs [BATCH] [option...]\n"
    "\n"
    "Lists the batches that a coordinator has, the newest first. With BATCH, the jobs\n"
    "of that batch which have ended, in their order; of one that was cancelled, those\n"
    "that came to no end, too. A command whose exit status is not 0 has failed.\n"
    "\n"
    "Options\n"
    "      --state STATE,... Only those in one of these states: see `muster status\n"
    "                        --help`. Of jobs: succeeded, failed, cancelled.\n"
    "      --user USER       Only batches that this user submitted.\n"
    "      --name NAME       Only batches of this name.\n"
    "      --limit N         At most N of them. Default: all.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default): a table; json: an object for each, a\n"
    "                        line each. Times in it are milliseconds since 1970.\n"
    "\n"
    "Columns\n"
    "  jobs, done, failed    of the batch; done: have ended, failed ones included\n"
    "  time                  since it was submitted, until it ended\n"
    "  attempts, worker      of a job: how often it ran, and on which worker last\n"
    "\n"
    "Exit status\n"
    "  0        they were listed\n"
    "  255      any other error: no coordinator, no such batch, ...\n"
    "\n"
    "Examples\n"
    "  muster jobs --state queued,running\n"
    "  muster jobs --limit 20\n"
    "  muster jobs 12 --state failed\n";

static const char help_results[] =
    "usage: muster results BATCH [option...]\n"
    "\n"
    "Prints what the jobs of a batch returned, in their order, as muster map does: a\n"
    "result a line. A batch can be read again and again, also while it runs.\n"
    "\n"
    "Options\n"
    "      --follow          Wait for more results, until the batch is over. Ctrl-C\n"
    "                        ends this command at once, and not the batch.\n" HELP_AWAY HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default): the results of jobs that succeeded;\n"
    "                        json: an object for every job, as of muster map, without\n"
    "                        receipt; none: nothing. Failed jobs are named on\n"
    "                        standard error, the first 20 of them, and counted; the\n"
    "                        first that crashed with the line that runs it alone.\n"
    "\n"
    "Exit status\n"
    "  0        all jobs succeeded\n"
    "  1..100   so many failed\n"
    "  101      more than 100 failed\n"
    "  102      the batch is not over; what there was is printed\n"
    "  255      it was cancelled or given up, or any other error\n"
    "\n"
    "Examples\n"
    "  muster results 12\n"
    "  muster results 12 --follow -o json\n";

static const char help_wait[] =
    "usage: muster wait BATCH... [option...]\n"
    "\n"
    "Waits until batches are over. Ctrl-C ends the wait, and no batch. A command\n"
    "whose exit status is not 0 is a job that failed.\n"
    "\n"
    "Options\n"
    "      --timeout SECONDS Wait no longer than that.\n" HELP_AWAY HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default): what did not succeed, on standard\n"
    "                        error; json: an object for each: batch, outcome,\n"
    "                        succeeded, failed, cancelled.\n"
    "\n"
    "Exit status\n"
    "  0        all jobs of all of them succeeded\n"
    "  1..100   so many failed\n"
    "  101      more than 100 failed\n"
    "  102      the time is over, and some batch is not\n"
    "  255      one was cancelled or given up, or any other error\n"
    "\n"
    "Example\n"
    "  muster wait 12 13 && echo done\n";

static const char help_cancel[] =
    "usage: muster cancel BATCH... [option...]\n"
    "\n"
    "Cancels batches: no further job of them starts; those that run go on to their\n"
    "end.\n"
    "\n"
    "Options\n"
    "      --now             End those that run, too.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: an object for each that it\n"
    "                        was done to.\n"
    "\n"
    "Exit status\n"
    "  0        all of them are cancelled, or had ended\n"
    "  255      not all: those that are not are named\n";

static const char help_retry[] =
    "usage: muster retry BATCH [option...]\n"
    "\n"
    "Runs jobs of a batch that has ended once more, as a new batch with the settings\n"
    "of the old one, and prints its number.\n"
    "\n"
    "Options\n"
    "      --failed          The jobs that did not succeed. This is the default.\n"
    "      --all             All of its jobs.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default): the number; json: an object with it.\n"
    "\n"
    "Exit status\n"
    "  0        it was submitted\n"
    "  255      any other error: no coordinator, no such batch, ...\n"
    "\n"
    "Example\n"
    "  muster wait $(muster retry 12)\n";

static const char help_forget[] =
    "usage: muster forget BATCH... [option...]\n"
    "       muster forget --ended [option...]\n"
    "\n"
    "Removes batches that have ended, with their results, from what a coordinator\n"
    "keeps. One that another batch waits for is not forgotten.\n"
    "\n"
    "Options\n"
    "      --ended           All batches that have ended.\n"
    "      --older-than TIME Of these, those that ended so long ago: 90s, 12h, 7d.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: an object for each that was\n"
    "                        forgotten.\n"
    "\n"
    "Exit status\n"
    "  0        they are forgotten\n"
    "  255      not all: those that are not are named\n"
    "\n"
    "Example\n"
    "  muster forget --ended --older-than 7d\n";

static const char help_workers[] =
    "usage: muster workers [option...]\n"
    "\n"
    "Lists the workers of a coordinator, and what they are busy with.\n"
    "\n"
    "Options\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default): a table; json: an object for each, a\n"
    "                        line each.\n"
    "\n"
    "Columns\n"
    "  process     its process id\n"
    "  jobs        that it holds: one or more run, the others come next\n"
    "  batch       that the first of them is of\n"
    "  for         how long it has been in its state\n"
    "  host        that it runs on, where some are of others ('muster worker'); its\n"
    "              process id is one of there\n"
    "\n"
    "Exit status\n"
    "  0        they were listed\n"
    "  255      any other error: no coordinator, no such batch, ...\n";

static const char help_scale[] =
    "usage: muster scale N [option...]\n"
    "\n"
    "Sets how many workers a coordinator runs on its host. Where they are fewer than\n"
    "before, the others end when their jobs have; no job is ended for it.\n"
    "\n"
    "Options\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: an object with workers.\n"
    "\n"
    "Exit status\n"
    "  0        it is set\n"
    "  255      any other error: no coordinator, no such batch, ...\n"
    "\n"
    "Example\n"
    "  muster scale 4\n";

static const char help_drain[] =
    "usage: muster drain [option...]\n"
    "\n"
    "Lets no further job start. Those that run go on to their end; what is submitted\n"
    "is accepted, and waits.\n"
    "\n"
    "Options\n"
    "      --wait            Return when no worker has a job any more.\n"
    "      --off             Let jobs start again.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: an object with draining: 1\n"
    "                        or 0.\n"
    "\n"
    "Exit status\n"
    "  0        it is so\n"
    "  255      any other error: no coordinator, no such batch, ...\n";

static const char help_stop[] =
    "usage: muster stop [option...]\n"
    "\n"
    "Ends a coordinator when the jobs that run have ended, and returns when it is\n"
    "gone. One with a state file goes on with what is left when it is started again.\n"
    "\n"
    "Options\n"
    "      --now             Do not wait for them: they run again when it comes back.\n" HELP_COORDINATOR
    "  -o, --output FORMAT   text (the default), or json: an object with process.\n"
    "\n"
    "Exit status\n"
    "  0        it has ended\n"
    "  255      any other error: no coordinator, no such batch, ...\n";

const struct help_text help_ask[] = {
    {"status", help_status}, {"jobs", help_jobs},   {"results", help_results}, {"wait", help_wait},
    {"cancel", help_cancel}, {"retry", help_retry}, {"forget", help_forget},   {"workers", help_workers},
    {"scale", help_scale},   {"drain", help_drain}, {"stop", help_stop},       {NULL, NULL},
};
