# The keeper: it starts a job once, stays with it to its end, and leaves nothing behind. The same program runs on this host
# and on hosts behind SSH.
#
#   sh KEEPER BASE  says "ready", then reads one line "VERB ARGUMENT..." from stdin and does it
#   sh KEEPER BASE attend PARENT SETSID [here [adopts]]  the process that does so, in a session of its own; it may stay with
#     one run. "here": the client is on this host and reads logs by itself. "adopts": the kernel gives this process every
#     orphan below it
#
# Needs a POSIX shell, /proc, the usual small tools (coreutils or busybox), and grep, sed, tar and gzip. A run lives in
# BASE/runs/RUN: work (the job's files), log, start (who keeps it), status (how it ended). What must be noted on a full
# disk is the name of an empty file, because a name needs no room.
#
# The files of this folder are one program, joined in the order base, facts, processes, files, run, watched, verbs. In the
# place of @PASSED_ON@ come the names of environment.py.
# shellcheck shell=sh disable=SC2013,SC2034

# Before anything is assigned here: a job gets these names of the node's environment and no others.
if [ "${2-}" = attend ]; then
  set -f
  # Words of a value that look like an assignment name nothing that is set; starting no process makes it quick.
  for name in $(export -p); do
    case ${name%%=*} in
      *[!A-Za-z0-9_]* | [0-9]*) continue ;;
    esac
    name=${name%%=*}
    case $name in
      @PASSED_ON@) ;;
      BASHOPTS | SHELLOPTS | PPID | UID | EUID | IFS | OPTIND | PWD | OLDPWD | _) ;;
      *) unset "$name" ;;
    esac
  done
  set +f
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
fi

# A file is made by printf and never by ":", whose failure would end the shell.
set -u
path=$PATH nearby='' adopts=''
mask=$(umask)
umask 077
self=$0
newline='
'
base=$1
case $base in /*) ;; *) base=$HOME/$base ;; esac
# Makes every instant a number of one width, so that it can be written over in place.
lease_base=1000000000000000
boot=
{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null

fail() { # TEXT: an answer that says what went wrong
  say "error $(printf '%s' "$1" | head -n 3 | tr '\n' ' ')"
}

nap() { # a short sleep; old tools know whole seconds only
  sleep 0.05 2>/dev/null || sleep 1
}

