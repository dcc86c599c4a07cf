#!/usr/bin/env python3
"""Writes spec/vectors/*.json, and the tables and bytes in the text that come from them.

An independent encoder, made from the text of the specification: it calls nothing of Zotferry's own code.
Needs `pip install msgpack cryptography`. Deterministic: the same text gives the same files.

    python3 spec/make_vectors.py            write everything
    python3 spec/make_vectors.py --check    say what is not up to date, and fail
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from encoder import (  # noqa: E402
    cases_audit,
    cases_backup,
    cases_envelopes,
    cases_files,
    cases_folders,
    cases_frames,
    cases_identity,
    cases_images,
    cases_items,
    cases_keys,
    cases_packets,
    cases_photos,
    cases_sync,
    cases_trees,
    cases_world,
    exchange,
    refusals,
)

VECTORS = {
    "addresses": cases_world.addresses,
    "attach": cases_sync.attach,
    "audit": cases_audit.cases,
    "backup": lambda: cases_backup.cases() | cases_folders.cases(),
    "chunking": cases_files.chunking,
    "envelopes": cases_envelopes.cases,
    "exchange": exchange.cases,
    "frames": cases_frames.frames,
    "ids": cases_identity.ids,
    "images": cases_images.cases,
    "items": cases_items.cases,
    "locations": cases_identity.locations,
    "merkle": cases_files.merkle,
    "notices": cases_keys.notices,
    "operations": cases_packets.operations,
    "packets": cases_packets.packets,
    "photos": cases_photos.cases,
    "refusals": refusals.cases,
    "replays": cases_world.replays,
    "restores": cases_backup.restores,
    "rotations": cases_keys.rotations,
    "streams": cases_frames.streams,
    "trees": cases_trees.cases,
    "versions": cases_sync.version_cases,
}
REQUIREMENT = re.compile(r"^> \*\*([A-Z]+-\d+)\*\* \(([^)]+)\) ")


def vector_files():
    known = requirements()
    for name, make in VECTORS.items():
        kinds = make()
        for kind, cases in kinds.items():
            names = [case["name"] for case in cases]
            assert cases and len(set(names)) == len(names), f"{name}: {kind}: a name stands twice"
            unknown = [case for case in cases if case["requirement"] not in known]
            assert not unknown, f"{name}: {kind}: {unknown[0]['requirement']} is no requirement"
        text = json.dumps(kinds, indent=1, ensure_ascii=True)
        yield HERE / "vectors" / f"{name}.json", text + "\n"


def requirements():
    """The ids that stand in the text."""
    lines = (line for path in HERE.glob("*.md") for line in path.read_text().splitlines())
    return {match[1] for match in map(REQUIREMENT.match, lines) if match}


def chapters():
    """The chapters with what stands between `made` and `end` made again."""
    made = exchange.blocks() | {"refusals": refusals.markdown()}
    part = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    for path in sorted(HERE.glob("*.md")):
        text = path.read_text()
        yield path, part.sub(lambda m: f"{m[1]}{made[m[2]]}\n{m[3]}", text)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = []
    for path, text in [*vector_files(), *chapters()]:
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text)
    extra = {p.stem for p in (HERE / "vectors").glob("*.json")} - VECTORS.keys()
    stale += [f"{name}.json (nobody makes it)" for name in sorted(extra)]
    if check and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run python3 spec/make_vectors.py")
    print(f"{len(VECTORS)} files of vectors", "are up to date" if check else f"written, {len(stale)} changed")


if __name__ == "__main__":
    main()
