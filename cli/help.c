/* SPDX-License-Identifier: MIT
 *
 * The texts of --help, one for each verb: all that a user must know, in 80 columns. Those of muster and of
 * the processes that serve it are here.
 */
#include "cli/help.h"
#include "cli/help_parts.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <string.h>
#include <unistd.h>

static const char help_muster[] =
    "usage: muster VERB ...\n"
    "\n"
    "Runs CPU-bound jobs on every core, in worker processes that may crash without\n"
    "taking anything with them, and tells what the process boundary costs.\n"
    "\n"
    "  muster map FUNCTION ::: ARG...      a function over arguments, in parallel\n"
    "  muster exec COMMAND {} ::: ARG...   a command over arguments, as GNU parallel\n"
    "  muster compare FUNCTION ::: ARG...  the same jobs inline, in threads and in\n"
    "                                      processes: speedup and overhead\n"
    "  muster advise FUNCTION ::: ARG...   which model, how many workers, what speedup\n"
    "  muster lab race|deadlock            what goes wrong when memory is shared\n"
    "  muster bench SUBJECT                what the process boundary costs here, and\n"
    "                                      what this machine takes for what\n"
    "  muster functions [NAME]             what can be mapped, with documentation\n"
    "  muster coordinator                  workers that many runs of map share\n"
    "  muster submit FILE                  steps that wait for each other, to it\n"
    "  muster worker                       workers for a coordinator of another host\n"
    "  muster key make|show|allow          who may come from other hosts\n"
    "\n"
    "Of a coordinator that runs\n"
    "  muster status [BATCH]               how it is, or how one of its batches is\n"
    "  muster jobs [BATCH]                 its batches, or the jobs of one\n"
    "  muster results BATCH                what the jobs of a batch returned\n"
    "  muster wait BATCH...                until batches are over\n"
    "  muster cancel|forget BATCH...       end batches; remove those that have ended\n"
    "  muster retry BATCH                  run jobs that failed once more\n"
    "  muster workers                      its workers, and what they do\n"
    "  muster scale N                      how many workers it runs\n"
    "  muster drain, muster stop           no job starts; end it\n"
    "\n"
    "  muster VERB --help                  everything about a verb\n"
    "  muster --version                    the version\n"
    "\n"
    "Examples\n"
    "  muster map is_prime ::: 1..1000\n"
    "  muster map sha256 ::: *.iso\n"
    "  find . -name '*.c' | muster map sha256 -o json\n"
    "  muster exec gzip -9 {} ::: *.log\n"
    "  muster compare fib ::: 30 30 30 30\n";

static const char help_functions[] =
    "usage: muster functions [NAME] [option...]\n"
    "\n"
    "Lists what can be mapped, a name and a summary a line; with NAME, what that\n"
    "function takes and returns, with an example.\n"
    "\n"
    "Options\n" HELP_PLUGIN
    "  -o, --output FORMAT   text (the default), or json: objects with name, summary,\n"
    "                        argument, result, example and origin.\n";

static const char help_coordinator[] =
    "usage: muster coordinator [option...]\n"
    "\n"
    "Keeps workers that many clients share: those whose option or environment names\n"
    "it. Stays in the foreground, and says on standard error where it listens. What\n"
    "waits is in memory, and lost when it ends, unless it has a file to keep it in.\n"
    "\n"
    "Options\n" HELP_WORKERS
    "      --listen ENDPOINT Listen there, and not at the default: ipc://PATH, in a\n"
    "                        folder of mode 0700, or tcp://127.0.0.1:PORT, where any\n"
    "                        user of this host may run jobs as you, or of other hosts\n"
    "                        tcp://HOST:PORT, which has --keys. May be repeated.\n"
    "      --keys            Over tcp, let in those alone whose keys are allowed, and\n"
    "                        encrypt what they say: see 'muster key --help'.\n"
    "      --state FILE      Keep batches and results in this database: what was\n"
    "                        accepted is there when the coordinator comes back, also\n"
    "                        after a crash, and goes on. It is made if there is none.\n"
    "      --state-limit SIZE\n"
    "                        Keep so much at most: bytes, or with k, M, G. Then no\n"
    "                        batch is accepted, and jobs wait, until some are\n"
    "                        forgotten.\n"
    "                        Default: a quarter of the memory; with --state no limit.\n"
    "      --orphan-grace SECONDS\n"
    "                        With --state: if the coordinator crashes, workers go on\n"
    "                        for so long, and the next one with the FILE has them and\n"
    "                        what they did. 0: they end with it. Default 60.\n"
    "      --host-grace SECONDS\n"
    "                        If the connection to another host is lost, its jobs wait\n"
    "                        for it for so long, then they go to others. 0: at once.\n"
    "                        Default 10.\n"
    "      --concurrency K   Jobs that each worker runs at once, as coroutines on one\n"
    "                        thread, so that their waits overlap. Default 1.\n"
    "      --memory SIZE     Data a worker may allocate: bytes, or with k, M, G; at\n"
    "                        least 64M.\n"
    "      --sandbox[=WORDS] Confine workers, as map --help says it. They run functions\n"
    "                        only; exec --sandbox needs no such workers.\n"
    "      --heartbeat SECONDS\n"
    "                        Kill a worker that is silent for so long. Default 5.\n" HELP_PIN HELP_PLUGIN
    "  -v, --verbose         Say who connects and leaves, and what batches become.\n"
    "\n"
    "The default is one for each user: muster-UID/daemon/socket in XDG_RUNTIME_DIR,\n"
    "else in TMPDIR, else in /tmp. A second coordinator there is refused.\n"
    "\n"
    "Exit status\n"
    "  0        SIGTERM ended it: jobs that ran were ended, and clients told\n"
    "  129, 130 likewise, by SIGHUP, SIGINT (Ctrl-C); another signal after half a\n"
    "           second ends it at once\n"
    "  255      any other error\n"
    "\n"
    "Example\n"
    "  muster coordinator -j 8 &\n"
    "  MUSTER_COORDINATOR=default muster map nqueens ::: 8..12\n";

static const char help_key[] =
    "usage: muster key make\n"
    "       muster key show\n"
    "       muster key allow KEY ROLE[,ROLE...] NAME\n"
    "\n"
    "Over tcp, clients and coordinators know each other by their keys. Each user has\n"
    "one: a secret, which stays where it is, and a public key, 64 digits, which is\n"
    "told to others. What is between two of them is encrypted.\n"
    "\n"
    "  make    makes a key, and prints the public one\n"
    "  show    prints the public one\n"
    "  allow   lets KEY in at the coordinators that this user runs\n"
    "\n"
    "Roles\n"
    "  submit  to submit batches, and to see and touch what NAME has submitted\n"
    "  work    to run jobs, as hosts do ('muster worker')\n"
    "  admin   to submit, to see and touch all batches, and to scale, drain and stop\n"
    "\n"
    "A job runs as the user who runs the coordinator, whoever submits it.\n"
    "\n"
    "Files, in muster in XDG_CONFIG_HOME, else in ~/.config\n"
    "  key      the secret; not used if others can read it\n"
    "  allowed  lines KEY ROLE[,ROLE...] NAME, and comments behind #. Coordinators\n"
    "           read it again when it changes: who is not in it any more is refused\n"
    "           from then on.\n"
    "\n"
    "Exit status\n"
    "  0        done\n"
    "  255      any error\n"
    "\n"
    "Example: on the host that has workers, once the client has told its key,\n"
    "  muster key make\n"
    "  muster key allow KEY submit alice\n"
    "Then the coordinator listens at tcp://HOST:PORT ('muster coordinator --help'),\n"
    "and says as it starts which endpoint the client has to name: with its key.\n";

static const char help_worker[] =
    "usage: muster worker --connect tcp://HOST:PORT#KEY [option...]\n"
    "       muster worker --connect ENDPOINT --name NAME [option...]\n"
    "       muster worker --check-plugin FILE\n"
    "       muster worker --symbols\n"
    "\n"
    "Runs workers on this host for a coordinator of another one, until that ends. The\n"
    "key of this host needs the role work there: 'muster key --help'. They are given\n"
    "functions; commands, and jobs with --cpus or --memory, stay where the\n"
    "coordinator is. When the connection is lost it is tried again, and meanwhile\n"
    "they go on with what they have, until the coordinator has given it to others.\n"
    "\n"
    "Options\n"
    "      --connect ENDPOINT  Where the coordinator listens, as it says itself.\n"
    "  -j, --workers N         Workers: a number, or a percentage of the cores.\n"
    "                          Default: one for each core that it may use.\n"
    "      --plugin FILE       Load functions from a shared object; may be repeated.\n"
    "                          It has to be the coordinator's, byte for byte.\n"
    "      --concurrency K     Jobs that each worker runs at once, as coroutines.\n"
    "                          Default 1.\n"
    "      --memory SIZE       Data a worker may allocate: bytes, or with k, M, G.\n"
    "      --sandbox[=WORDS]   Confine workers, as map --help says it; needed where\n"
    "                          the coordinator's are.\n"
    "      --pin               Keep each worker on one core.\n"
    "\n"
    "With --name it is a worker process itself, as muster map and others start it;\n"
    "proto/PROTOCOL.md says what a worker and its coordinator tell each other. Then\n"
    "there is neither -j nor --pin, but\n"
    "      --name NAME         The routing id that the coordinator knows it by.\n"
    "      --parent PID        End when this process is no longer the parent.\n"
    "      --orphan-grace SECONDS\n"
    "                          Outlive it instead: go on without a coordinator for so\n"
    "                          long, and serve the one that comes to its endpoint.\n"
    "      --link-grace SECONDS\n"
    "                          Likewise, but end with the parent.\n"
    "      --flight-fd N       The shared page that tells which job is running.\n"
    "      --slots-fd N        Shared pages for messages beside ZeroMQ, and the\n"
    "      --bell-fd N         eventfd that tells the coordinator of them.\n"
    "      --heap-fd N         The shared memory that large results are put into.\n"
    "      --cpu N             The core to stay on.\n"
    "      --kept KIND:PATH    Keep jobs that are confined from sockets, state\n"
    "                          or keys of coordinators; may be repeated.\n"
    "      --check-plugin FILE Load the plug-in, and say whether that went well.\n"
    "      --symbols           Name places in code, where a worker has crashed: on\n"
    "                          standard input \"OFFSET FILE\" and a NUL each, on\n"
    "                          standard output the name and a NUL.\n"
    "\n"
    "Exit status\n"
    "  0        the coordinator has ended in order, or SIGTERM came\n"
    "  129, 130 SIGHUP, SIGINT (Ctrl-C) came\n"
    "  255      nobody answers, this host is refused, or another error\n"
    "\n"
    "Example\n"
    "  muster worker --connect tcp://192.0.2.1:5555#KEY -j 8\n";

static const struct help_text help_others[] = {
    {"functions", help_functions},
    {"coordinator", help_coordinator},
    {"key", help_key},
    {"worker", help_worker},
    {NULL, NULL},
};

/* The text of a verb, or of muster itself. */
static const char *find(const char *verb)
{
    static const struct help_text *const all[] = {help_run, help_measure, help_ask, help_others, NULL};

    for (size_t i = 0; verb && all[i]; i++)
        for (const struct help_text *at = all[i]; at->verb; at++)
            if (strcmp(at->verb, verb) == 0)
                return at->text;
    return help_muster;
}

int help_print(const char *verb)
{
    struct muster_error error;
    struct output output;
    int code;

    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
    code = output_text(&output, "%s", find(verb)) ? muster_error_set(&error, MUSTER_ENOMEM, "out of memory")
                                                  : output_flush(&output, &error);
    output_fini(&output);
    return code ? plain_error(&error) : 0;
}
