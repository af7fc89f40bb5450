#!/bin/bash
# A developer's machine at work, without end: builds, copies, downloads from loopback, archives, and pauses between.
# Usage: busy.sh DIRECTORY SOURCES, where SOURCES holds busybox_*.orig.tar.* (apt-get source --download-only busybox).
# Needs gcc, make, python3, rsync, wget, bzip2, xz-utils, and 2 GB below DIRECTORY. All jobs are bounded in time, so
# that a slow processor is as busy as a fast one: about half of the time, for up to five minutes on end.
set -u
RANDOM=12
work=$1 sources=$2
mkdir -p "$work/www" && cd "$work" || exit 1

pause() { sleep $(($1 + RANDOM % ($2 - $1))); }

# Build with so many jobs for so many seconds: go on where it was left, and from the start again at its end.
build() {
    local until=$((SECONDS + $2))
    if [ ! -e tree/.config ]; then
        rm -rf tree && mkdir tree && tar -xf "$sources"/busybox_*.orig.tar.* -C tree --strip-components=1
        make -C tree defconfig >/dev/null 2>&1
    fi
    while ((SECONDS < until)); do
        timeout $((until - SECONDS)) make -C tree -j"$1" busybox_unstripped >/dev/null 2>&1
        ((SECONDS < until)) && make -C tree clean >/dev/null 2>&1
        sleep 1
    done
}

copy() {
    rm -rf copy again && mkdir copy
    timeout 90 cp -r /usr/lib/gcc /usr/lib/python3.11 /usr/lib/python3 copy 2>/dev/null
    sync
    pause 20 60
    timeout 90 rsync -a copy/ again 2>/dev/null
    sync
    rm -rf again
}

download() {
    head -c 200M /dev/urandom >www/large
    head -c 50M www/large >www/small
    timeout 60 wget -q --limit-rate=2m -O got http://127.0.0.1:8000/small
    pause 10 40
    for _ in 1 2 3; do
        timeout 40 wget -q -O got http://127.0.0.1:8000/large
        sleep 5
    done
    timeout 60 wget -q --limit-rate=20m -O got http://127.0.0.1:8000/large
    rm -f got
}

# What installing packages does: the processor is busy, and many files are written.
install() {
    tar -cf - copy | timeout 90 xz -0 >copy.tar.xz
    pause 5 15
    rm -rf unpacked && mkdir unpacked
    timeout 60 tar -xJf copy.tar.xz -C unpacked 2>/dev/null
    sync
    timeout 60 python3 -m compileall -q -f unpacked >/dev/null 2>&1
    rm -rf unpacked copy.tar.xz
}

python3 -m http.server 8000 --bind 127.0.0.1 --directory www >/dev/null 2>&1 &
trap 'kill $!' EXIT

jobs=1
while :; do
    pause 60 180
    build $((1 + jobs++ % 3)) 180
    pause 60 150
    copy
    pause 60 150
    download
    pause 60 150
    install
    pause 60 150
    build 1 280
done
