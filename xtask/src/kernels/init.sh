#!/bin/sh
# The first process of the guest. FOLDER, TRACER, MEASURED and TESTS are set above.
# Lines that begin with "@" are read by `cargo xtask kernels`.
mount -t devtmpfs devices /dev
mount -t proc processes /proc
mount -t sysfs system /sys
mkdir -p /tmp /run
cd "$FOLDER"
echo "@kernel $(uname -r)"

# Can programs execute RETs here?
hows=step
if ! "$TRACER" -v --duration 1s "$MEASURED" main.root >/dev/null 2>/run/said; then
    echo "@refused $(tail -n 1 /run/said)"
    echo @end
    poweroff -f
fi
grep -q 'they execute the RETs' /run/said && hows='emulate step'
cat /run/said

tests=$TESTS
for how in $hows; do
    for test in $tests; do
        echo "@run $how $(basename "$test")"
        GOFUNCGRAPH_RET=$how "$test"
    done
    # The second time the first one will do.
    tests=${TESTS%% *}
done

# Nanoseconds of a call, measured in turn.
measure() {
    mkfifo /run/questions /run/answers
    "$MEASURED" </run/questions >/run/answers &
    exec 3>/run/questions 4</run/answers
    if [ "$1" != none ]; then
        "$TRACER" --ret "$1" --promote off -u main.leaf "$MEASURED" main.root \
            >/dev/null 2>/run/said 3>&- 4<&- &
        tracer=$!
        until grep -q 'tracing started' /run/said; do usleep 50000; done
    fi
    echo 2000 >&3
    read -r answer <&4
    echo 5000 >&3
    read -r answer <&4
    echo "@measured $1 $answer"
    if [ "$1" != none ]; then
        kill -INT $tracer
        wait $tracer
        tail -n 1 /run/said
    fi
    exec 3>&- 4<&-
    wait
    rm /run/questions /run/answers
    : >/run/said
}
for round in 1 2 3 4 5 6 7; do
    for how in none $hows; do measure "$how"; done
done
echo @end
poweroff -f
