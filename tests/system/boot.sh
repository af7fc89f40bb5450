# Process 1 of new namespaces (see machine.py): makes a view of the file system that keeps what is written to itself,
# and becomes systemd in it.
#   $1 an empty directory   $2 the directory below which the file system is   $3 the checkout   $4 a tree laid over /sys
set -eu
base=$1 lower=$2 checkout=$3 over_sys=$4 root=$1/root

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$root" "$base/upper" "$base/work" "$base/sysfs"
chmod 755 "$base/upper"
mount -t overlay -o "lowerdir=$lower,upperdir=$base/upper,workdir=$base/work" overlay "$root"

cd "$root"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mkdir -p run/checkout run/lock run/systemd/journald.conf.d
mount --bind "$checkout" run/checkout
mount -o remount,bind,ro run/checkout

# This machine's own units, and what makes units of its files, are no part of the picture.
mkdir -p etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs usr/lib/systemd/system-generators
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' > run/systemd/journald.conf.d/test.conf
tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
echo machine > etc/hostname
hostname machine
: > etc/fstab
# Images of containers forbid packages to start their services.
rm -rf usr/sbin/policy-rc.d etc/healthd var/lib/healthd var/lib/healthd-web
# They would wait for hardware, or set something of the one kernel.
for unit in systemd-udevd systemd-udev-trigger systemd-logind systemd-timesyncd systemd-networkd systemd-resolved \
    systemd-sysctl systemd-modules-load systemd-binfmt systemd-random-seed systemd-update-utmp console-getty; do
    ln -s /dev/null "etc/systemd/system/$unit.service"
done
ln -s /dev/null etc/systemd/system/getty.target

mount -t tmpfs -o mode=755,nosuid,noexec tmpfs dev
node() { mknod -m "$2" "dev/$1" "$3" "$4" "$5"; }
node null 666 c 1 3; node zero 666 c 1 5; node full 666 c 1 7; node random 666 c 1 8; node urandom 666 c 1 9
node tty 666 c 5 0; node loop-control 600 c 10 237
for number in $(seq 0 63); do node "loop$number" 600 b 7 "$number"; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0/stdin 1/stdout 2/stderr; do ln -s "/proc/self/fd/${number%/*}" "dev/${number#*/}"; done

mount -t proc -o nosuid,nodev,noexec proc proc
for path in proc/sys proc/sysrq-trigger; do
    [ -e "$path" ] || continue
    mount --bind "$path" "$path"
    mount -o remount,bind,ro,nosuid,nodev,noexec "$path"
done
if [ -n "$over_sys" ]; then
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$base/sysfs"
    mount -t overlay -o "ro,nosuid,nodev,noexec,lowerdir=$over_sys:$base/sysfs" overlay sys
else
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
fi
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

ip link set lo up
pivot_root . .
umount -l .
cd /
mount --make-rshared /
# They act on the one kernel, not on these namespaces.
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog,-mac_admin,-mac_override,-wake_alarm,-block_suspend,-audit_control \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
