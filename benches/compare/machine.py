"""The machine between two measurements: warm, quiet, with memory of its own."""

import mmap
import os
import pathlib
import re
import time

import peers

MIB, GIB = 1 << 20, 1 << 30


def warm(folder):
    """Into the page cache, and nothing left to write."""
    for path in [folder] if folder.is_file() else folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                while file.read(4 * MIB):
                    pass
    os.sync()


def rest(patience=60):
    """Until nothing is left to write and the kernel is done with what was freed: on a virtual
    machine deleted files keep it busy for seconds, at the cost of who comes next."""
    os.sync()
    end, quiet = time.monotonic() + patience, 0
    before = idle()
    while quiet < 3 and time.monotonic() < end:
        time.sleep(0.3)
        now = idle()
        quiet = quiet + 1 if now - before > 0.9 * 0.3 * os.cpu_count() else 0
        before = now


def own_memory(stack):
    """A virtual machine that gives free memory back to its host gets it again page by page, at
    seconds for each GiB, paid by whoever comes first. Here it keeps what it has, and has it."""
    order = pathlib.Path("/sys/module/page_reporting/parameters/page_reporting_order")
    if not os.access(order, os.W_OK):
        return
    before = order.read_text()
    stack.callback(order.write_text, before)
    order.write_text("11")  # No block is that large.
    free = re.search(r"MemFree: +(\d+)", pathlib.Path("/proc/meminfo").read_text())
    print("touching all free memory once", flush=True)
    with mmap.mmap(-1, max(int(free[1]) * 1024 - 2 * GIB, GIB)) as memory:
        for at in range(0, len(memory), 4096):
            memory[at] = 1


def idle():
    """Seconds that the processors had nothing to do, since the start of the machine."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[4]) / peers.TICK
