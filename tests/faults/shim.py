"""A library for LD_PRELOAD, compiled on the spot: a wall clock that is wrong, and a disk that changes what is written.

It acts on a process and on what that starts.
"""

import functools
import shutil
import subprocess
from pathlib import Path

_CODE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) { const char *s = getenv("WRONG_BY_SECONDS"); return s ? atol(s) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  int failed = clock_gettime(CLOCK_REALTIME, &exact);
  if (!failed && now) { now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000; }
  return failed;
}

time_t time(time_t *now) {
  struct timespec exact;
  if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
  if (now) *now = exact.tv_sec;
  return exact.tv_sec;
}

/* the first write of some size to a segment, of all processes that share the file WRONG_ONCE: 256 bytes are wrong */
ssize_t write(int to, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  const char *once = getenv("WRONG_ONCE");
  if (!once || size < 4096) return real(to, data, size);
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", to);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return real(to, data, size);
  path[length] = 0;
  if (!strstr(path, "/segments/")) return real(to, data, size);
  int made = open(once, O_CREAT | O_EXCL, 0600);
  if (made < 0) return real(to, data, size);
  close(made);
  char *wrong = malloc(size);
  memcpy(wrong, data, size);
  for (size_t at = size / 2; at < size / 2 + 256; at++) wrong[at] ^= 0x55;
  ssize_t written = real(to, wrong, size);
  free(wrong);
  return written;
}

/* at the first fsync of a segment, of all processes that share the file WRONG_AT_SYNC: 256 bytes change */
int fsync(int of) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  const char *once = getenv("WRONG_AT_SYNC");
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", of);
  ssize_t length = once ? readlink(link, path, sizeof path - 1) : -1;
  if (length < 0) return real(of);
  path[length] = 0;
  if (!strstr(path, "/segments/")) return real(of);
  int made = open(once, O_CREAT | O_EXCL, 0600);
  if (made < 0) return real(of);
  close(made);
  unsigned char some[256];
  int other = open(path, O_RDWR);
  off_t middle = lseek(other, 0, SEEK_END) / 2;
  ssize_t got = pread(other, some, sizeof some, middle);
  for (ssize_t at = 0; at < got; at++) some[at] ^= 0x55;
  if (pwrite(other, some, got, middle) < 0) perror("fsync");
  close(other);
  return real(of);
}
"""


@functools.cache
def library(folder: Path) -> Path | None:
    """The library, compiled into ``folder``; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    code, made = folder / "shim.c", folder / "shim.so"
    code.write_text(_CODE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, code, "-ldl"], check=True, capture_output=True)
    return made


def wrong_clock(folder: Path, seconds: int) -> dict[str, str]:
    """Variables that make a process's clock wrong by so much; none where there is no compiler."""
    found = library(folder)
    return {} if found is None else {"LD_PRELOAD": str(found), "WRONG_BY_SECONDS": str(seconds)}


def wrong_disk(folder: Path, when: str, once: Path) -> dict[str, str]:
    """Variables with which a segment is changed once, which makes the file ``once``.

    ``when``: "write", while it is written, or "sync", after it was verified.
    """
    found, name = library(folder), {"write": "WRONG_ONCE", "sync": "WRONG_AT_SYNC"}[when]
    return {} if found is None else {"LD_PRELOAD": str(found), name: str(once)}
