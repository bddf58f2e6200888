/* SPDX-License-Identifier: MIT
 *
 * The table of the test plug-in `faulty`. See faulty.h.
 */
#include "faulty.h"

#define FAULTY(name_, summary_, argument_)                                                \
    {                                                                                     \
        .name = #name_, .summary = summary_, .argument = argument_, .run = faulty_##name_ \
    }

static const muster_function functions[] = {
    FAULTY(crash, "writes through a null pointer", "anything; false is returned unharmed"),
    FAULTY(unlucky, "returns an integer, crashes at the multiples of 1000", "an integer >= 0"),
    FAULTY(overflow, "recurses until the stack is full", "anything; false is returned unharmed"),
    FAULTY(abort, "calls abort", "anything; false is returned unharmed"),
    FAULTY(exit, "calls _exit", "the status, 0 to 255; false is returned unharmed"),
    FAULTY(kill_self, "sends its process SIGKILL", "anything; false is returned unharmed"),
    FAULTY(stop_self, "sends its process SIGSTOP", "anything; false is returned unharmed"),
    FAULTY(hang, "sleeps forever, deaf to cancellation", "anything; false is returned unharmed"),
    FAULTY(busy, "computes forever, deaf to cancellation", "anything; false is returned unharmed"),
    FAULTY(deaf, "as busy, and ignores every signal it can", "anything; false is returned unharmed"),
    FAULTY(after, "waits, then crashes, recurses, computes forever or returns the seconds",
           "[seconds, \"crash\", \"overflow\", \"busy\" or null]"),
    FAULTY(exec, "becomes a program that never ends", "anything; false is returned unharmed"),
    FAULTY(no_files, "takes all descriptors from its process, which dies of it",
           "anything; false is returned unharmed"),
    FAULTY(garbage_type, "returns an object of no type", "anything"),
    FAULTY(garbage_pointer, "returns a string of 16 bytes at NULL", "anything"),
    FAULTY(garbage_wild, "returns a string of 16 bytes at address 16",
           "anything; false is returned unharmed"),
    FAULTY(pid, "returns the number of its process", "anything"),
    FAULTY(deep, "returns arrays nested so deep", "an integer from 0 to 1000000"),
    FAULTY(wide, "returns an array of so many nulls", "an integer from 0 to 100000000"),
    FAULTY(big, "returns so many zero bytes", "an integer from 0 to 4294967295"),
    FAULTY(spill, "returns so many bytes, and crashes instead where the number is odd",
           "an integer from 0 to 4294967295"),
    FAULTY(leak, "keeps so many bytes for good and returns their number", "an integer from 0 to 17179869184"),
    FAULTY(fail, "fails with this message", "a string"),
    FAULTY(fail_silently, "fails with code 1 and no message", "anything; false is returned unharmed"),
    FAULTY(fail_times, "fails so often, then returns the attempt", "[path of a counter file, times]"),
    FAULTY(crash_times, "crashes so often, then returns the attempt", "[path of a counter file, times]"),
    FAULTY(crash_once, "crashes unless the file exists, after creating it", "the path of the file"),
    FAULTY(fork_child, "leaves a sleeping child, its pid in the file, and returns the pid",
           "the path of the file"),
    FAULTY(wear_out, "returns its argument in so many calls of a process, then aborts", "an integer >= 0"),
    FAULTY(print, "prints a line to standard output", "a string"),
    FAULTY(wait_file, "returns true when the file exists", "the path of the file"),
    FAULTY(note_pid, "adds the number of its process to the file, then waits", "[path of a file, seconds]"),
    FAULTY(wait_count, "counts, and keeps its thread until so many have", "[path of a counter file, count]"),
};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
