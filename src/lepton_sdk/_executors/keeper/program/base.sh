# Keeps runs on a node: starts a job once, stays with it to its end, and leaves nothing behind.
#
#   sh KEEPER BASE  says "ready", then reads one line "VERB ARGUMENT..." from stdin and does it
#   sh KEEPER BASE attend PARENT SETSID  the process that does so, in a session of its own; it may stay with one run
#
# Needs a POSIX shell, /proc, the usual small tools (coreutils or busybox), and grep, sed, tar and gzip. A run lives in
# BASE/runs/RUN: work (the job's files), log, start (who keeps it), status (how it ended). What must be noted on a full
# disk is the name of an empty file, because a name needs no room.
#
# The files of this folder are one program, joined in the order base, facts, processes, files, run, watched, verbs.
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
      PATH | HOME | USER | LOGNAME | SHELL | LANG | TZ | TMPDIR | TERM | LC_* | PIP_* | UV_*) ;;
      SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE) ;;
      http_proxy | https_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY) ;;
      BASHOPTS | SHELLOPTS | PPID | UID | EUID | IFS | OPTIND | PWD | OLDPWD | _) ;;
      *) unset "$name" ;;
    esac
  done
  set +f
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
fi

set -u
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

stamp() { # sets at: the time of day in seconds
  at=$(date +%s.%N)
  case $at in *[!0-9.]*) at=$(date +%s) ;; esac
}

