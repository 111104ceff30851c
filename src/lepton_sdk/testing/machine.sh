# The first process of a double's machine: its start-up script, and what lets people in.
#
#   sh machine.sh own|shared FOLDER COMMAND...
#
# "own" is called as the first process of new mount and process namespaces, as root: the machine gets a /run and a /var/lib
# of its own, and powering it off ends it and nothing else. It ends with COMMAND, by SIGTERM, and when standard input ends,
# which whoever started it holds open; then its folder goes as well.
# shellcheck shell=sh

set -u
world=$1
folder=$2
shift 2

bind() { # NAME: of what lies in /run, what machines need of their host
  if [ -d "$folder/host/$1" ]; then
    mkdir -p "/run/$1"
  elif [ -e "$folder/host/$1" ]; then
    : >"/run/$1"
  else
    return 0
  fi
  mount --bind "$folder/host/$1" "/run/$1"
}

own() {
  mkdir "$folder/host" && mount --rbind /run "$folder/host" && mount -t tmpfs -o mode=755 tmpfs /run || return
  # Names are resolved and containers run as on the host; its service manager, which can power it off, is out of sight.
  for name in NetworkManager resolvconf systemd/resolve docker.sock; do
    bind "$name" || return
  done
  umount -l "$folder/host" && rmdir "$folder/host" || return
  mkdir -p /run/sshd /run/double/upper /run/double/work || return
  mount -t overlay -o lowerdir=/var/lib,upperdir=/run/double/upper,workdir=/run/double/work overlay /var/lib || return
  # It reaches the kernel of the host from every namespace.
  [ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
}

commands() { # what a machine is powered off with, where the host has other commands, or none
  mkdir "$folder/bin" || return
  # shellcheck disable=SC2016
  printf '%s\n' '#!/bin/sh' 'case "$0 $*" in' '  *poweroff*) kill -TERM 1 ;;' '  *) exit 1 ;;' 'esac' >"$folder/bin/poweroff"
  chmod 755 "$folder/bin/poweroff" && cp "$folder/bin/poweroff" "$folder/bin/systemctl"
}

if [ "$world" = own ]; then
  own && commands || exit 71
fi
main=
trap '[ -z "$main" ] || kill "$main"; exit 0' TERM INT HUP
exec 3<&0
{
  cat <&3 >/dev/null
  rm -rf "$folder"
  kill -TERM $$
} &
if [ "$world" = own ] && [ -s "$folder/startup" ]; then
  PATH="$folder/bin:$PATH" "$folder/startup" </dev/null >"$folder/startup.log" 2>&1 3<&- &
fi
"$@" </dev/null 3<&- &
main=$!
wait "$main"
