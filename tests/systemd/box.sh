#!/bin/bash
# box.sh boot FOLDER OPT | exec FOLDER COMMAND... | down FOLDER
# A real systemd as PID 1 of namespaces of its own, on an overlay of this machine's root that is
# gone afterwards: nothing of the machine is written. OPT becomes /opt in there. No network.
set -euo pipefail
verb=$1 folder=$2
shift 2

boot() {
    local group
    group=$(findmnt -t cgroup2 -no TARGET | head -1)/batchd-test-$$
    # A leaf of our own first: systemd moves whatever it finds in its root group into init.scope, and
    # that would be this machine's processes.
    mkdir "$group"
    echo "$group" >"$folder/cgroup"
    touch "$folder/console"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec setsid unshare --pid --mount --uts --ipc --cgroup --net --fork --kill-child \
            --propagation private -- "$0" inside "$folder" "$1"
    ) >>"$folder/console" 2>&1 </dev/null &
    local outer=$! inner=
    for _ in $(seq 100); do
        inner=$(tr -d ' ' <"/proc/$outer/task/$outer/children" 2>/dev/null || true)
        [ -n "$inner" ] && break
        sleep 0.05
    done
    [ -n "$inner" ] || { cat "$folder/console" >&2; exit 1; }
    echo "$inner" >"$folder/pid"
}

inside() {
    local up=$folder/mnt r
    mkdir "$up"
    mount -t tmpfs -o mode=0755 tmpfs "$up"
    mkdir "$up/up" "$up/work" "$up/root"
    mount -t overlay -o "lowerdir=/,upperdir=$up/up,workdir=$up/work" overlay "$up/root"
    r=$up/root
    mount -t proc -o nosuid,nodev,noexec proc "$r/proc"
    mount --bind "$r/proc/sys" "$r/proc/sys"
    mount -o remount,bind,ro "$r/proc/sys"
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$r/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$r/sys/fs/cgroup"
    mount -t tmpfs -o nosuid,mode=0755 tmpfs "$r/dev"
    local node
    for node in null zero full random urandom tty; do
        touch "$r/dev/$node"
        mount --bind "/dev/$node" "$r/dev/$node"
    done
    mkdir "$r/dev/pts" "$r/dev/shm"
    ln -s /proc/self/fd "$r/dev/fd"
    mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620 devpts "$r/dev/pts"
    ln -s pts/ptmx "$r/dev/ptmx"
    touch "$r/dev/console"
    mount --bind "$folder/console" "$r/dev/console"
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$r/dev/shm"
    mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs "$r/run"
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$r/tmp"
    mkdir -p "$r/opt"
    mount --bind "$1" "$r/opt"
    : >"$r/etc/fstab"
    tr -d - </proc/sys/kernel/random/uuid >"$r/etc/machine-id"
    # The machine's own units are none of ours, and some would reach for its hardware.
    rm -rf "$r"/etc/systemd/system/*.wants
    local unit
    for unit in systemd-{udevd,udev-trigger,timesyncd,resolved,networkd,modules-load,sysctl} \
        systemd-{remount-fs,firstboot}; do
        ln -sfn /dev/null "$r/etc/systemd/system/$unit.service"
    done
    mkdir -p "$r/.old"
    cd "$r"
    pivot_root . .old
    # Without rshared, LoadCredential= is silently empty: its file system must propagate back.
    exec /bin/sh -c '
        umount -l /.old && rmdir /.old
        mount --make-rshared /
        exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
            setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin,-bpf \
            /lib/systemd/systemd --system --log-target=journal --unit=basic.target' </dev/null
}

case $verb in
boot) boot "$1" ;;
inside) inside "$1" ;;
exec)
    exec nsenter -t "$(cat "$folder/pid")" --mount --uts --ipc --net --pid --cgroup --root --wd=/ -- \
        env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LC_ALL=C.UTF-8 \
        SYSTEMD_PAGER=cat SYSTEMD_COLORS=0 "$@"
    ;;
down)
    pid=$(cat "$folder/pid")
    kill -9 "$pid" 2>/dev/null || true # all that lives in its namespace goes with it
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    group=$(cat "$folder/cgroup")
    for _ in $(seq 100); do # the kernel takes a while to let the dead go
        [ -d "$group" ] || break
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        sleep 0.05
    done
    rmdir "$folder/mnt" 2>/dev/null || true
    ;;
esac
