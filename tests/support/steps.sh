# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Steps of a run: each is one line on the terminal and a log of its own in build/log, whose
# tail is shown when the step fails; some are taken beside others. Sourced by tests/run and .ci/run, at the top of the tree.

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

# beside COMMAND...: takes steps beside those that follow, in the time that they leave over: tests wait
# for a third of theirs. One such command at a time.
beside() {
    rm -f build/log/beside.failed
    set -m # a process group of its own, to be ended with this run
    (
        chrt --idle --pid 0 "$BASHPID"
        # shellcheck disable=SC2030,SC2031 # its own list, which it writes down
        steps_failed=()
        "$@" || true
        printf '%s\n' "${steps_failed[@]+"${steps_failed[@]}"}" >build/log/beside.failed
    ) >build/log/beside.log 2>&1 </dev/null &
    steps_beside=$!
    set +m
    trap 'kill -- "-$steps_beside" 2>/dev/null || true' EXIT
}

# beside_end: waits for them, and tells of them as of all others.
beside_end() {
    local name
    wait "$steps_beside" || true
    trap - EXIT
    cat build/log/beside.log
    if [[ ! -f build/log/beside.failed ]]; then
        # shellcheck disable=SC2031
        steps_failed+=("beside")
        return
    fi
    while read -r name; do
        [[ -z $name ]] || steps_failed+=("$name")
    done <build/log/beside.failed
}

# steps_ctest_summary NAME: what ctest itself said at the end of that step.
steps_ctest_summary() {
    [[ -f build/log/$1.log ]] || return 0
    grep -E '^tests/run: again|^not run here: |tests passed|Total Test time|^\s+[0-9]+ - .*\((Failed|Timeout|SEGFAULT|Not Run|ILLEGAL|BUS_ERROR|NUMERICAL|Child|Subprocess).*\)$' \
        "build/log/$1.log" | sed "s/^/  [$1] /" || true # none, if ctest did not get so far
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
