"""Counts what holds and what does not, and waits for what is to come."""

import time

failures = []


def check(name, outcome, wanted, must=True):
    """Where the specification says SHOULD, another outcome is noted and no failure."""
    good = outcome == wanted
    word = "ok  " if good else "FAIL" if must else "note"
    print(f"{word}  {name}" + ("" if good else f": {outcome!r} instead of {wanted!r}"), flush=True)
    if must and not good:
        failures.append(name)


def wait_for(what, holds, seconds=90):
    """Looks until `holds()` does; the time is a bound and no measure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    print(f"FAIL  {what}: not within {seconds} s", flush=True)
    failures.append(what)
    return False
