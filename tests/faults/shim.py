"""A clock that is wrong: a library for LD_PRELOAD that moves the wall clock of a process and of what it starts."""

import functools
import shutil
import subprocess
from pathlib import Path

_CODE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

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
"""


@functools.cache
def library(folder: Path) -> Path | None:
    """The library, compiled into ``folder``; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    code, made = folder / "clock.c", folder / "clock.so"
    code.write_text(_CODE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, code, "-ldl"], check=True, capture_output=True)
    return made


def wrong_clock(folder: Path, seconds: int) -> dict[str, str]:
    """Variables that make a process's clock wrong by so much; none where there is no compiler."""
    found = library(folder)
    return {} if found is None else {"LD_PRELOAD": str(found), "WRONG_BY_SECONDS": str(seconds)}
