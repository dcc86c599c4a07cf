"""Tables of what was measured, on the terminal and in a Markdown file."""

import datetime
import os
import pathlib
import re
import shlex
import statistics
import subprocess

MIB = 1 << 20
COUNTERS = ("requests", "signatures", "syncs", "chunks", "bytes_fetched_twice", "bytes_copied")


def middle(values, digits=2):
    values = list(values)
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return (f"{statistics.median(values):.{digits}f} "
            f"[{min(values):.{digits}f}–{max(values):.{digits}f}]")


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def comparison(results, size, against):
    """`results`: name -> samples. `against`: peers that the ratios refer to, compared by rate."""
    def pace(samples):
        return statistics.median(s.wall / (s.size or size) for s in samples)

    peers = [peer for peer in against if results.get(peer)]
    rows = []
    for name, samples in results.items():
        rows.append([
            name,
            middle(s.wall for s in samples),
            f"{1 / pace(samples) / MIB:.0f}" if pace(samples) < 1e-7 else
            f"{1 / pace(samples) / MIB:.2f}",
            " + ".join(f"{statistics.median(s.cpu[i] for s in samples):.2f}" for i in (0, 1)),
            " / ".join(f"{max(s.rss[i] for s in samples) / MIB:.0f}" for i in (0, 1)),
            *(f"{pace(samples) / pace(results[peer]):.2f}" for peer in peers),
        ])
    head = ["how", "wall s, median [min–max]", "MiB/s", "CPU s client + server",
            "peak RSS MiB client / server", *(f"time vs {peer}" for peer in peers)]
    return table(head, rows)


def counters(results, size):
    """What the hubs counted, both together, for each GiB."""
    rows = []
    for name, samples in results.items():
        if samples and samples[0].counts:
            each = [statistics.median(s.counts[c] for s in samples) for c in COUNTERS]
            rows.append([name, *(f"{n * (1 << 30) / (samples[0].size or size):.0f}" for n in each)])
    return "Both hubs, per GiB of content:\n\n" + table(["how", *COUNTERS], rows)


def machine(work, program):
    """What a reader has to know to judge the numbers."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = re.match(r"[\d.]+", os.uname().release).group().rstrip(".")
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    system = said("findmnt", "-no", "FSTYPE", "-T", work)
    return (f"{os.cpu_count()} cores ({model.group(1) if model else 'unknown'}), "
            f"{memory:.0f} GiB memory, kernel {kernel}, {system}, congestion control {control}; "
            f"{said(program, '--version')}, checkout {said('git', 'rev-parse', '--short', 'HEAD')}; "
            f"load {os.getloadavg()[0]:.1f} at the end")


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def command_line(arguments):
    """Without the folders of this machine."""
    shown = [re.sub(r"^(--\w+=)?/.*", r"\1PATH", a) for a in arguments]
    return "python3 benches/compare/run.py " + shlex.join(shown)


def write(path, scenario, text, facts, arguments):
    """Puts a scenario's section into the file, in place of an older one."""
    date = datetime.date.today().isoformat()
    section = f"## {scenario}\n\n{date}. `{command_line(arguments)}`\n\n{facts}.\n\n{text}\n"
    print("\n" + section, flush=True)
    old = path.read_text() if path.exists() else "# What was measured\n"
    head, *sections = re.split(r"(?m)^(?=## )", old)
    kept = [s.strip() + "\n" for s in sections if s.splitlines()[0] != f"## {scenario}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head.strip() + "\n", *kept, section]))
