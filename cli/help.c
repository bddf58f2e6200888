/* SPDX-License-Identifier: MIT
 *
 * The texts of --help, one for each verb: all that a user must know, in 80 columns.
 */
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
    "  muster worker                       a worker process; map starts them itself\n"
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

static const char help_map[] =
    "usage: muster map FUNCTION [option...] [::: ARG... | :::: FILE...]\n"
    "\n"
    "Calls FUNCTION once for every argument, in parallel, and prints a result a line,\n"
    "as JSON, in the order of the arguments. `muster functions` lists the functions.\n"
    "\n" HELP_ARGUMENTS "  Without either, each line of standard input is an argument, read only as fast\n"
    "  as jobs are taken. Options may stand before and after FUNCTION and after the\n"
    "  arguments: an ARG that is spelled as an option of map must be quoted as JSON.\n"
    "\n"
    "Running\n" HELP_WORKERS
    "      --model MODEL     How jobs are run: see Models. Default: processes.\n" HELP_CONCURRENCY HELP_CHUNK
    "      --timeout SECONDS End a job that takes longer; it has failed.\n"
    "      --retries N       Try a job that failed or timed out up to N times more.\n"
    "      --backoff SECONDS Wait so long before the first of them, twice as long\n"
    "                        before each further one, but at most an hour.\n"
    "      --priority N      Before batches of a lower priority that the coordinator\n"
    "                        has, behind those of a higher one: -1000..1000.\n"
    "                        Default 0. No effect where it has no others.\n"
    "      --max-running N   At most N jobs at once, however many workers there are.\n"
    "      --cpus N          A job takes as many CPUs as N workers: N-1 of them get\n"
    "                        nothing while it runs. Default 1.\n"
    "      --crash-limit N   Give a job up that killed its worker N times. Default 3.\n"
    "      --halt WHEN       never (the default); soon,fail=N: after N failed jobs\n"
    "                        start no more; now,fail=N: end those that run, too.\n"
    "      --memory SIZE     Data a worker may allocate: bytes, or with k, M, G; at\n"
    "                        least 64M. Large results may take as much again in\n"
    "                        shared memory.\n"
    "      --heartbeat SECONDS\n"
    "                        Kill a worker that is silent for so long. Default 5.\n" HELP_PIN HELP_PLUGIN
    "      --coordinator ENDPOINT\n"
    "                        Run the jobs with the workers of a coordinator that\n"
    "                        runs, and has the function: ipc://PATH,\n"
    "                        tcp://127.0.0.1:PORT, or default: the one that `muster\n"
    "                        coordinator` starts. none: without. Where it is not\n"
    "                        given, MUSTER_COORDINATOR says it, if that is set.\n"
    "\n" HELP_MODELS "\n"
    "Output\n"
    "  -o, --output FORMAT   text (the default): the result of a job that succeeded;\n"
    "                        json: an object for every job: job, argument, result or\n"
    "                        error and error_kind, attempts, worker, wall_us, cpu_us,\n"
    "                        and receipt, where its time went;\n"
    "                        none: nothing.\n"
    "      --unordered       Print results as jobs end.\n"
    "      --stats FILE      Write what the run did and cost to FILE, a JSON object;\n"
    "                        - is standard error.\n" HELP_PROGRESS
    "  Failed jobs are named on standard error, the first 20 of them, and counted.\n"
    "\n"
    "Exit status\n"
    "  0        all jobs succeeded\n"
    "  1..100   so many failed\n"
    "  101      more than 100 failed\n"
    "  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM; what was done is\n"
    "           printed; another signal after half a second ends muster at once\n"
    "  255      any other error\n"
    "\n"
    "Examples\n"
    "  muster map nqueens ::: 8..12\n"
    "  muster map primes ::: '[0,49999999]' '[50000000,99999999]'\n"
    "  find /usr/lib -type f | muster map sha256 -o json --unordered\n"
    "  muster map noop ::: 1..10000000 -o none --stats -\n";

static const char help_compare[] =
    "usage: muster compare FUNCTION [option...] [::: ARG... | :::: FILE...]\n"
    "\n"
    "Runs the same jobs under each execution model and shows what parallel running\n"
    "gains and what it costs. Refuses to compare models that disagree on a result.\n"
    "All but processes run the jobs in this process: a function that crashes ends\n"
    "compare itself. Map it first, under processes, where that is in doubt.\n"
    "\n" HELP_ARGUMENTS "  Without either, each line of standard input is an argument. Lines are read\n"
    "  into memory first, since every model gets all of them.\n"
    "\n"
    "Options\n" HELP_WORKERS "                        More than there are cores: what does that gain?\n"
    "      --models LIST     What to compare, as in threads,processes. Default: all.\n"
    "                        inline is always run: the others are measured by it.\n"
    "      --rounds N        Rounds in which the models take turns; medians are\n"
    "                        reported. Default 3.\n"
    "      --concurrency K   Jobs that each worker of processes runs at once, as\n"
    "                        coroutines on one thread, so that their waits overlap;\n"
    "                        default 1.\n" HELP_CHUNK HELP_PIN HELP_PLUGIN
    "      --timeline        Draw below the table who computed and who waited, when:\n"
    "                        one more round, in which every job is timed.\n"
    "      --html FILE       Write the table, the speedups and the timelines to FILE,\n"
    "                        a page that needs no network.\n"
    "  -o, --output FORMAT   text (the default): a table and what it means; json: an\n"
    "                        object with all of it: function, cores, rounds, rows,\n"
    "                        failures, sentence, and timelines where asked for.\n" HELP_PROGRESS
    "\n" HELP_MODELS "\n"
    "Columns\n"
    "  wall, CPU       time from the first job to the last; CPU time of all processes\n"
    "  speedup         wall of inline / wall\n"
    "  efficiency      speedup / the most it could be: the workers, or the cores if\n"
    "                  fewer; where jobs wait, as many as can be under way at once,\n"
    "                  as long as the cores could compute for so many\n"
    "  utilization     CPU / (wall x cores)\n"
    "  overhead/job    core time beyond such a run, a job: dispatch, serialization,\n"
    "                  idle cores\n"
    "  waits           context switches because a thread had to wait\n"
    "  preempted       context switches because another thread was given the core\n"
    "  stall           the longest that the caller was kept from anything else\n"
    "\n"
    "Exit status: as of muster map; 255 also when models disagree.\n"
    "\n"
    "Example\n"
    "  muster compare spin ::: 0.001 0.001 0.001 0.001\n";

static const char help_advise[] =
    "usage: muster advise FUNCTION [option...] [::: SAMPLE... | :::: FILE...]\n"
    "\n"
    "Runs samples of your jobs for a few seconds, and says which model they should be\n"
    "run with, how many workers, what speedup to expect, and from which job length on\n"
    "processes pay. Samples are run many times, up to 256 of them at once. A crash, a\n"
    "hang, or results that depend on the model are found out and reported: each\n"
    "sample is run in a worker process first, and each model in a process of its own.\n"
    "\n" HELP_ARGUMENTS "  Without either, each line of standard input is a sample. Of more than 64\n"
    "  arguments some are taken, evenly spread over all of them.\n"
    "\n"
    "Options\n" HELP_WORKERS "      --jobs N          How many jobs are to be run, so that start-up counts.\n"
    "                        Default: many; with --run, the arguments that are given.\n"
    "      --run             Then run the muster map that is advised, over all of the\n"
    "                        arguments. The advice goes to standard error.\n"
    "      --time SECONDS    Measure for about so long, from 0.1 on. Default 4.\n"
    "      --timeout SECONDS End a sample that takes longer. Default 10. Where it is\n"
    "                        given, or was needed, jobs in processes have it, too.\n" HELP_PLUGIN
    "  -o, --output FORMAT   text (the default): a table, what follows from it, and a\n"
    "                        command; json: an object with all of it: function, jobs,\n"
    "                        samples, job, ways, advice, break_even, sentence, ...\n"
    "                        With --run, the format of map's results.\n" HELP_PROGRESS "\n" HELP_MODELS "\n"
    "Columns\n"
    "  at once     jobs that each worker has under way\n"
    "  time/job    wall time / jobs, when there are many; with reading arguments and\n"
    "              writing results as JSON, as map does\n"
    "  speedup     time/job of inline / time/job; ? where rounds differ too much\n"
    "  start-up    until the workers are ready\n"
    "  Last: advised; predicted, for want of time to try it; or what it did wrong.\n"
    "\n"
    "What is advised is the fastest, with two exceptions: processes, where they come\n"
    "within 5% of it, since a crash then costs one job and a job can be ended; and\n"
    "inline, where nothing is faster by 5%. Where samples crash or hang: processes.\n"
    "\n"
    "Exit status\n"
    "  0        it was measured; with --run, as of muster map\n"
    "  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM\n"
    "  255      any other error, or no sample succeeded\n"
    "\n"
    "Examples\n"
    "  muster advise nqueens ::: 9 10 11\n"
    "  muster advise sha256 --run ::: *.iso\n"
    "  muster advise work --jobs 50 ::: '{\"compute\":0.001,\"wait\":0.01}'\n";

static const char help_lab[] =
    "usage: muster lab race|deadlock [option...]\n"
    "\n"
    "Shows what goes wrong when memory is shared, on this machine, now.\n"
    "\n"
    "  race      Two withdrawals of 80 at once from an account of 100, over and over.\n"
    "            Counts how often both are paid: by threads without protection, with\n"
    "            a mutex, with an atomic compare-and-swap, and by processes, which\n"
    "            decide on copies and leave the account to its one owner.\n"
    "  deadlock  Two threads, two locks, opposite order. The wait that closes the\n"
    "            cycle in the wait-for graph is refused as it begins: both threads\n"
    "            and locks are named, and where they stand, and nothing hangs. Then\n"
    "            the same work with the locks taken in one order.\n"
    "\n"
    "Options\n"
    "      --rounds N            race: rounds of the threads; processes get one for\n"
    "                            each thousand. Default 300000. deadlock: transfers\n"
    "                            of each thread in order. Default 10000.\n"
    "  -o, --output FORMAT       text (the default), or json: one object.\n"
    "\n"
    "race, columns\n"
    "  overdrawn         rounds in which both withdrawals were paid\n"
    "  lowest            100 less what was paid, in the worst round\n"
    "  wrong balance     rounds after which the account said something else than that\n"
    "  A row of dashes was left out; the sentence below says why.\n"
    "  The unprotected threads load and store relaxed atomics: plain variables would\n"
    "  be a data race, and undefined in C. Check and act are two steps all the same.\n"
    "\n"
    "Exit status\n"
    "  0        it was shown: also when no race was lost, which is luck; and when the\n"
    "           deadlock was found and broken, and the transfers in order ran through\n"
    "  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM\n"
    "  255      any other error\n"
    "\n"
    "Example\n"
    "  muster lab race --rounds 100000\n";

static const char help_bench[] =
    "usage: muster bench SUBJECT [option...]\n"
    "\n"
    "Measures this machine, and muster on it, now. Each figure stands beside what the\n"
    "same parts do by themselves, measured by turns with it, since machines are\n"
    "shared and noisy: the ratio says more than the figure. Let the machine have\n"
    "nothing else to do.\n"
    "\n"
    "  throughput   Jobs a second that do nothing: given as a range, as a list, one\n"
    "               by one; to processes, over ipc and tcp, and to threads. Beside a\n"
    "               bare loop of ZeroMQ and msgpack-c, and a bare pool of threads.\n"
    "  latency      One job at a time, there and back: p50, p90, p99, p99.9, where\n"
    "               the time of the median job went, and what it costs to know that.\n"
    "               Beside a bare message of ZeroMQ, and a futex.\n"
    "  payload      64 B to 256 MiB into a job and out again, through shared memory\n"
    "               where that pays, and inline; GB/s, and the share of each phase.\n"
    "               Beside memcpy. Takes up to 2 GiB; sizes for which there is too\n"
    "               little memory are left out.\n"
    "  granularity  How small jobs may be: METG(50%) and METG(95%), the time that a\n"
    "               job takes of a worker when half of it, or 95%, is work (Slaughter\n"
    "               et al., Task Bench, SC20). Threads and processes, beside OpenMP\n"
    "               tasks where GCC's libgomp is installed. Half a minute.\n"
    "  scaling      Jobs of 1 ms on 1 worker and more, in threads and processes: how\n"
    "               many times as fast as one after another, and what Amdahl's law\n"
    "               and the universal scalability law make of it.\n"
    "  memory       The latency ladder: an add, a load from each cache and from RAM,\n"
    "               a context switch, a mutex hand-over, a pipe, a ZeroMQ hop, a read\n"
    "               from disk, an fsync, a process; beside each the same at a scale\n"
    "               where one cycle lasts a second. Takes some seconds, 64 MiB of\n"
    "               memory and a file of 32 MiB, which has no name and is gone with\n"
    "               the process.\n"
    "  all          All of these, one after another.\n"
    "\n"
    "Options\n"
    "  -j, --workers N       Workers: a number, or a percentage of the cores.\n"
    "                        Default: the cores that this process may use.\n"
    "      --rounds N        How often each figure and what it is held against take\n"
    "                        turns, 1 to 32. Default: what the measurement needs. The\n"
    "                        ladder has nine of its own.\n"
    "      --peers           Measure other systems beside it, where they are\n"
    "                        installed: Python's pools, joblib, OpenMP tasks,\n"
    "                        Gearman, xargs, GNU parallel. One that hangs or fails is\n"
    "                        ended, with a word.\n"
    "      --html FILE       Write the figures to FILE, too, and plots of the curves:\n"
    "                        a page that needs no network.\n"
    "      --dir DIR         Where the file of `memory` is made. Default: TMPDIR,\n"
    "                        else /var/tmp.\n"
    "  -o, --output FORMAT   text (the default), or json: an object with name,\n"
    "                        figures (figure, value, unit, low, high, baseline,\n"
    "                        baseline_value, ratio, noisy, note), curves (plot, name,\n"
    "                        x_axis, y_axis, x_log, y_log, computed, points) and\n"
    "                        sentence; value is null where note says why there is\n"
    "                        none. Of all: name, reports. Of memory: cycle_ns, too,\n"
    "                        and figures of its own.\n"
    "\n"
    "Columns\n"
    "  median            of the rounds, after one that warms up\n"
    "  from, to          between them lies the middle half of the rounds\n"
    "  ratio             to what it is held against; ? where the rounds of one of the\n"
    "                    two are so far apart that it is too noisy to tell\n"
    "  against, of       how much that is, and what\n"
    "  a cycle = 1 s     of memory: the median in cycles, read as seconds; ? where it\n"
    "                    is too noisy, or where a cache seems faster than the one\n"
    "                    below it\n"
    "\n"
    "Exit status\n"
    "  0        it was measured, but for what note says could not be\n"
    "  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM\n"
    "  255      any other error\n"
    "\n"
    "Examples\n"
    "  muster bench throughput\n"
    "  muster bench scaling --rounds 3\n"
    "  muster bench memory\n";

static const char help_exec[] =
    "usage: muster exec [option...] [COMMAND...] [::: ARG... | :::: FILE...]...\n"
    "\n"
    "Runs a command for each argument, several at once, and writes what each of them\n"
    "wrote together. Options, sources and replacement strings are those of GNU\n"
    "parallel; options end where the command begins. Without a source arguments are\n"
    "the lines of standard input, and without a command each of them is one.\n"
    "\n"
    "Sources; of several, every combination is run\n"
    "  ::: ARG...   :::: FILE...       Words; lines of files, - being standard input.\n"
    "  :::+ ARG...  ::::+ FILE...      The same, one by one with the source before.\n"
    "  -a, --arg-file FILE             As ::::, before the others.\n"
    "  -0, --null                      Arguments end with NUL bytes, not newlines.\n"
    "  -d, --delimiter BYTES           Or with these; escapes such as \\t are known.\n"
    "  -C, --colsep REGEX              Columns of a line are arguments: {1}, {2}.\n"
    "      --header : | REGEX          The first line names the columns: {name}.\n"
    "  -n, -N, --max-args N            So many arguments to a command.\n"
    "  -L, -l, --max-lines N           The same; a trailing blank joins lines.\n"
    "  -X, -m, --xargs                 As many as a line holds; -X and -m deal the\n"
    "                                  last ones out to all slots; -X repeats words.\n"
    "  -s, --max-chars N               So many bytes a line.\n"
    "      --max-line-length-allowed   Says how many there may be.\n"
    "  -x, --exit                      A line without room for N is an error.\n"
    "      --link                      One by one, not every combination.\n"
    "      --trim n|l|r|lr             Blanks at the ends of arguments go.\n"
    "  -E, -e, --eof STRING            The argument that ends a source.\n"
    "      --arg-sep, --arg-file-sep STRING\n"
    "                                  Instead of ::: and ::::.\n"
    "  -r, --no-run-if-empty           Blank lines are no arguments.\n"
    "      --shuf                      In an order of chance.\n"
    "      --skip-first-line           Of the first source.\n"
    "\n"
    "The input as standard input of commands\n"
    "      --pipe                      A block of whole records to each.\n"
    "      --pipepart                  A part of a file, with -a or ::::, to each.\n"
    "      --cat, --fifo               It is no input but a file, whose path is {}.\n"
    "      --block SIZE                As many records as fit; default 1M. -N, with\n"
    "                                  --pipepart: so many parts for each at once.\n"
    "  -N N                            So many records a block instead.\n"
    "  -L N                            So many lines are a record.\n"
    "      --recend STRING             What ends records; default: newlines.\n"
    "      --recstart STRING           What begins them.\n"
    "      --regexp                    Both are regular expressions.\n"
    "      --rrs, --remove-rec-sep     Blocks come without them.\n"
    "      --header : | N | REGEX      This goes before each block.\n"
    "\n"
    "The command\n"
    "  {} {.} {/} {//} {/.}            The argument; without extension; its file\n"
    "                                  name; directory; name without extension.\n"
    "  {1} {2.} {-1/}                  The same of one of several.\n"
    "  {#} {%}                         The number of the job; of the worker.\n"
    "  -I, -i, --replace STRING        Instead of {}; --extensionreplace,\n"
    "                                  --basenamereplace, --dirnamereplace,\n"
    "                                  --basenameextensionreplace, --seqreplace and\n"
    "                                  --slotreplace for the others.\n"
    "      --plus                      More of them: {..} {/..} {+.} and their like.\n"
    "  -q, --quote                     Its words are no shell's.\n"
    "      --wd, --workdir DIR         Where it runs.\n"
    "      --env NAME                  It has all of the environment anyway.\n"
    "      --nice N                    How nice it is, 0 to 19.\n"
    "      --timeout DURATION          Ends it after so long, and all it started;\n"
    "                                  200%: of the median run time.\n"
    "      --termseq TERM,200,KILL,25  How it is ended: signals, and milliseconds.\n"
    "      --retries N                 A job that fails runs N times; 0: for ever.\n"
    "      --tmpdir DIR                For files with what it writes.\n"
    "      --memory SIZE               Kills it when all of it together has more,\n"
    "                                  8M at least; without cgroups each process\n"
    "                                  is refused more.\n"
    "      --cpu-time DURATION         Kills what of it computes for longer.\n"
    "      --file-size SIZE            Of a file that it writes, its output too.\n"
    "      --open-files N              That a process of it has at once.\n"
    "      --privileges                It may gain some, as sudo does; else not,\n"
    "                                  and muster can end all that it starts.\n"
    "\n"
    "The run\n"
    "  -j, --jobs, --max-procs N       At once: 4; 50%; cores +1 or -1; 0: many; or\n"
    "                                  the name of a file that says it.\n"
    "      --delay DURATION            At least so long from one start to the next.\n"
    "      --load N                    Starts where fewer threads run; 100%: cores.\n"
    "      --memfree SIZE              Where so much memory is free; below half of it\n"
    "                                  the youngest job gives way, and runs again.\n"
    "      --memsuspend SIZE           The youngest is stopped below twice that.\n"
    "      --noswap                    No starts while the host swaps in and out.\n"
    "  -k, --keep-order                Output in the order of arguments.\n"
    "      --group                     Output of a job at once, which is the default.\n"
    "      --lb, --line-buffer         Whole lines, as they come.\n"
    "  -u, --ungroup                   Anything, as it comes; without tags.\n"
    "  -o, --output text|json          What jobs wrote; or an object for each job,\n"
    "                                  with that in it and what it took.\n"
    "      --tag                       The arguments before each line of output;\n"
    "      --tagstring TEMPLATE        or this.\n"
    "  -t, --verbose                   Each command on standard error as it starts.\n"
    "  -v                              Each command before its output.\n"
    "  -p, --interactive               Asks on the terminal before each command.\n"
    "      --dry-run                   The commands, and nothing is run.\n"
    "      --shell-quote               The same, quoted once more for a shell.\n"
    "      --joblog FILE | +FILE       A line for each job that ended; + adds to it.\n"
    "      --resume                    Leaves out what the job log has, or what has\n"
    "                                  files of --results.\n"
    "      --resume-failed             Only what succeeded by the job log.\n"
    "      --retry-failed              Runs what failed, by the commands of the log.\n"
    "      --results DIR | NAME        Output goes to DIR/1/ARG/stdout, stderr\n"
    "                                  and seq; to a NAME with {}, NAME.err and .seq.\n"
    "      --results FILE.csv          To a table; or .tsv, .json; -.csv: to standard\n"
    "                                  output.\n"
    "      --files                     Output stays in files of its own, in --tmpdir;\n"
    "                                  their paths are written.\n"
    "      --halt WHEN,WHY=N           soon or now; fail, success or done; N or N%.\n"
    "      --stats FILE                Figures of the run as JSON; -: standard error.\n"
    "      --progress, --bar, --eta    How far it is, where it is no terminal, too.\n"
    "      --no-progress               Not even there.\n"
    "\n"
    "Exit status\n"
    "  0 when all jobs succeeded; 1 to 100: so many failed; 101: more; 255: another\n"
    "  error; with --halt now,fail=1 or soon,fail=1 that of the job that failed.\n"
    "\n"
    "Examples\n"
    "  muster exec gzip -9 ::: *.log\n"
    "  find . -name '*.wav' | muster exec lame {} -o {.}.mp3\n"
    "  muster exec -k --tag 'wc -l < {}' ::: *.c\n"
    "  muster exec convert {1} -resize {2} {1.}_{2}.png ::: *.jpg ::: 100 200\n";

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
    "                        user of this host may run jobs as you. May be repeated.\n"
    "      --state FILE      Keep batches and results in this database: what was\n"
    "                        accepted is there when the coordinator comes back, also\n"
    "                        after a crash, and goes on. It is made if it is not there.\n"
    "      --concurrency K   Jobs that each worker runs at once, as coroutines on one\n"
    "                        thread, so that their waits overlap. Default 1.\n"
    "      --memory SIZE     Data a worker may allocate: bytes, or with k, M, G; at\n"
    "                        least 64M.\n"
    "      --heartbeat SECONDS\n"
    "                        Kill a worker that is silent for so long. Default 5.\n" HELP_PIN HELP_PLUGIN
    "  -v, --verbose         Say who connects and leaves, and what becomes of batches.\n"
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

static const char help_worker[] =
    "usage: muster worker --connect ENDPOINT --name NAME [option...]\n"
    "       muster worker --check-plugin FILE\n"
    "\n"
    "A worker process. muster map and muster compare start their workers themselves;\n"
    "proto/PROTOCOL.md says what a worker and its coordinator tell each other.\n"
    "\n"
    "Options\n"
    "      --connect ENDPOINT  Where the coordinator listens, as ZeroMQ writes it.\n"
    "      --name NAME         The routing id that the coordinator knows it by.\n"
    "      --parent PID        End when this process is no longer the parent.\n"
    "      --orphan-grace SECONDS\n"
    "                          Outlive it instead: go on without a coordinator for so\n"
    "                          long, and serve the one that comes to its endpoint.\n"
    "      --flight-fd N       The shared page that tells which job is running.\n"
    "      --slots-fd N        Shared pages for messages beside ZeroMQ, and the\n"
    "      --bell-fd N         eventfd that tells the coordinator of them.\n"
    "      --heap-fd N         The shared memory that large results are put into.\n"
    "      --plugin FILE       Load functions from a shared object; may be repeated.\n"
    "      --memory BYTES      Data it may allocate.\n"
    "      --cpu N             The core to stay on.\n"
    "      --concurrency K     Jobs it runs at once, as coroutines. Default 1.\n"
    "      --check-plugin FILE Load the plug-in, and say whether that went well.\n";

static const struct {
    const char *verb, *text;
} texts[] = {
    {"map", help_map},
    {"exec", help_exec},
    {"compare", help_compare},
    {"advise", help_advise},
    {"lab", help_lab},
    {"bench", help_bench},
    {"functions", help_functions},
    {"coordinator", help_coordinator},
    {"worker", help_worker},
};

int help_print(const char *verb)
{
    const char *text = help_muster;
    struct muster_error error;
    struct output output;
    int code;

    for (size_t i = 0; verb && i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].verb, verb) == 0)
            text = texts[i].text;
    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
    code = output_text(&output, "%s", text) ? muster_error_set(&error, MUSTER_ENOMEM, "out of memory")
                                            : output_flush(&output, &error);
    output_fini(&output);
    return code ? plain_error(&error) : 0;
}
