# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Steps of a run: each is one line on the terminal and a log of its own in build/log, whose
# tail is shown when the step fails. Sourced by tests/run and .ci/run, at the top of the tree.

steps_failed=()
steps_begin=$SECONDS
mkdir -p build/log

# step NAME COMMAND...: runs the command without standard input. Returns its status.
step() {
    local name=$1 log=build/log/$1.log begin=$SECONDS status=0
    shift
    printf '  %-22s ' "$name"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status == 0)); then
        printf 'ok    %4d s\n' $((SECONDS - begin))
    else
        printf 'FAILED (status %d) after %d s; the end of %s:\n' "$status" $((SECONDS - begin)) "$log"
        tail -n 60 "$log" | sed 's/^/    | /'
        steps_failed+=("$name")
    fi
    return "$status"
}

# steps_ctest_summary NAME: what ctest itself said at the end of that step.
steps_ctest_summary() {
    [[ -f build/log/$1.log ]] || return 0
    grep -E '^tests/run: again|tests passed|Total Test time|^\s+[0-9]+ - .*\((Failed|Timeout|SEGFAULT|Not Run|ILLEGAL|BUS_ERROR|NUMERICAL|Child|Subprocess).*\)$' \
        "build/log/$1.log" | sed "s/^/  [$1] /"
}

# steps_finish NAME: the last line, and the exit status of the whole run.
steps_finish() {
    if ((${#steps_failed[@]} == 0)); then
        printf '%s: all passed in %d s\n' "$1" $((SECONDS - steps_begin))
        exit 0
    fi
    printf '%s: FAILED: %s (logs in build/log)\n' "$1" "${steps_failed[*]}"
    exit 1
}
