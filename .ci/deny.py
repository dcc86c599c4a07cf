#!/usr/bin/env python3
"""Holds the dependencies to deny.toml: licences, bans, sources. Python 3.11 or later, nothing else.

For machines without a current cargo-deny, which takes longer to build than Zotferry; `./check --full` builds and uses it.
Not here: advisories, licence texts, wildcards.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def linked():
    """What is built for any target with the features in use: {(name, version): licence expression}."""
    tree = ["cargo", "tree", "--workspace", "--locked", "--target=all", "--edges=all", "--prefix=none"]
    lines = subprocess.run(
        [*tree, "--format={p}\t{l}\t"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    found = {}
    for line in lines:
        if "\t" not in line:
            continue  # a heading
        package, licence, _ = line.split("\t")
        name, version = package.split()[:2]
        found[name, version.removeprefix("v")] = licence
    return found


def allowed(expression, allow):
    """Whether a licence expression (SPDX, and the older "MIT/Apache-2.0") can be met by the allowed ones."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    words = ["(", *words, ")"]

    def either():
        met = both()
        while words[0] == "OR":
            words.pop(0)
            met = both() or met
        return met

    def both():
        met = one()
        while words[0] == "AND":
            words.pop(0)
            met = one() and met
        return met

    def one():
        word = words.pop(0)
        if word == "(":
            met = either()
            words.pop(0)
            return met
        if words[0] == "WITH":
            word = f"{word} WITH {words[1]}"
            del words[:2]
        return word in allow

    return one()


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allow = set(rules["licenses"]["allow"])
    banned = {ban["name"] for ban in rules["bans"]["deny"]}
    packages = linked()
    wrong = []
    for (name, version), licence in sorted(packages.items()):
        if not licence or not allowed(licence, allow):
            wrong.append(f"{name} {version}: licence {licence or 'not stated'} is not allowed")
        if name in banned:
            wrong.append(f"{name} {version} is banned; `cargo tree -i {name} --target all` says who brings it")
    used = " ".join(packages.values())
    wrong += [f"licence {name} is allowed, but nothing needs it" for name in sorted(allow) if name not in used]
    for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]:
        if package.get("source", CRATES_IO) != CRATES_IO:
            wrong.append(f"{package['name']} {package['version']} comes from {package['source']}")
    counts = collections.Counter(name for name, _ in packages)
    twice = sorted(name for name, count in counts.items() if count > 1)
    print(f"{len(packages)} packages; in more than one version: {', '.join(twice) or 'none'}")
    for line in wrong:
        print(line, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
