# Whether a run may start, and receiving its files.
# shellcheck shell=sh disable=SC2034,SC2154

cancelled() { # EPOCH: whether the run was cancelled by this epoch or a newer one
  for file in "$run"/cancel/*; do
    [ "${file##*/}" -ge "$1" ] 2>/dev/null && return 0
  done
  return 1
}

fence() { # EPOCH: raise the fence to it; sets newest
  newest=$1
  : >"$run/fence/$1" || return 1
  for file in "$run"/fence/*; do
    [ "${file##*/}" -le "$newest" ] || newest=${file##*/}
  done
}

# Makes the folders of the run, with $work, an empty one for the job, if it is set.
open() { # EPOCH: whether the run may be started; says why not
  # Both at once: a run must be cancellable on a disk that it has filled, where no folder can be made any more.
  if ! said=$(LC_ALL=C mkdir -p "$run/fence" "$run/cancel" ${work:+"$work"} 2>&1) || ! fence "$1"; then
    fail "$said"
  elif [ "$newest" -gt "$1" ]; then
    say "stale $newest"
  elif [ -f "$run/start" ]; then
    say started
  elif cancelled "$1"; then
    say cancelled
  else
    return 0
  fi
  return 1
}

# --- files ------------------------------------------------------------------------------------------------------------

need() { # RUN EPOCH ID: names of blobs on stdin; says which of them are not here
  run=$base/runs/$1 in=$base/in/$3 work=''
  if ! open "$2"; then
    cat >/dev/null
    say .
    return
  fi
  for tool in tar gzip sort uniq; do
    command -v $tool >/dev/null || fail "the node has no $tool, which is needed to receive a workdir"
  done
  LC_ALL=C
  export LC_ALL
  # A file of no length is what a power cut leaves of one that was written just before; the empty file itself is never sent.
  said=$({ mkdir -p "$base/blobs" "$in" && cd "$base/blobs" && find . -type f -size +0 | sed 's,^\./,,' >"$in/have"; } 2>&1) ||
    fail "$said"
  say ok
  # What is asked for once and not here; what is here counts twice.
  cat - "$in/have" "$in/have" | sort | uniq -u
  say .
  # What a client left that died while it sent.
  find "$base/in" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} + >/dev/null 2>&1
}

receive() { # ID: a tar of blobs and of links to them on stdin; makes the run's own copy of the tree
  in=$base/in/$1
  LC_ALL=C
  export LC_ALL
  if said=$({ tar -xpof - -C "$in" && assemble; } 2>&1); then
    say ok
  else
    # First, because a client that is gone ends us with the first word.
    sweep "$in"
    fail "$said"
  fi
  say .
  exec >/dev/null 2>&1
  sweep "$in/tree" "$in/links.tar" "$in/b" "$in/have"
}

sweep() { # PATH...: remove folders, also those that may not be written in
  # Files are left as they are: their modes are those of the blobs that they are links to.
  find "$@" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
  rm -rf "$@"
}

assemble() {
  # An archive that was cut off between two files looks whole to tar.
  if [ ! -f "$in/end" ]; then
    say "the archive broke off"
    return 1
  fi
  gzip -d "$in/links.tar.gz" && tar -xpof "$in/links.tar" -C "$base" || return
  cp -RPp "$in/tree" "$in/work" &
  find "$in/b" -type f -exec sh -c 'mv -f "$@" "$0"' "$base/blobs" {} + && wait $!
}

# --- outputs ----------------------------------------------------------------------------------------------------------

list() { # RUN: every file and link that the run has, a null after each
  cd "$base/runs/$1/work" 2>/dev/null || return 0
  exec find . \( -type f -o -type l \) -print0
}

pack() { # RUN: names on stdin, a null after each; a tar of them
  cd "$base/runs/$1/work" || return
  case $(tar --version 2>/dev/null) in
    *GNU* | *bsdtar*) exec tar -cf - --null -T - ;;
    # Of more names than fit on a command line several archives come, one after the other.
    *) exec xargs -0 tar -cf - ;;
  esac
}
