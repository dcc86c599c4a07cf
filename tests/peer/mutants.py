"""Shows that the suite's client side catches what it must: every peer of broken.py fails the cases that it names, and
keeps another one, so that it is a clone still.

    python3 mutants.py ZOTFERRY WORK
"""

import concurrent.futures
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric import rsa

from broken import MUTANTS
from checks import check, failures
from clone import save_key

HERE = pathlib.Path(__file__).parent
AT_ONCE = 3


def verdicts(program, work, name, cases):
    """How each case ended with a broken peer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder, key, guid, url = work / name, work / "channel.pem", secrets.token_hex(32), f"http://127.0.0.1:{port}"
    environment = os.environ | {"PEER_PAUSE_S": "0.1", "PEER_TIMEOUT_S": "5"}
    line = [sys.executable, str(HERE / "main.py")]
    subprocess.run([*line, "init", folder, "--url", url, "--key", key, "--guid", guid], check=True)
    with open(f"{folder}.log", "wb") as log:
        peer = subprocess.Popen([*line, "run", str(folder), "--broken", name], stdout=log, stderr=log, env=environment)
    try:
        while not (folder / "pid").exists() and peer.poll() is None:
            time.sleep(0.05)
        command = [program, "conform", url, f"--guid={guid}", "--key", key, "--only", ",".join(cases), "--patience", "6"]
        found = subprocess.run([*command, "--json", work / f"{name}.json"], capture_output=True, text=True)
        if found.returncode not in (0, 1):
            return {"suite": found.stderr}
        report = json.loads((work / f"{name}.json").read_text())
        return {case["id"]: case["verdict"] for case in report["cases"]}
    finally:
        peer.kill()
        peer.wait()


def main():
    program, work = sys.argv[1], pathlib.Path(sys.argv[2]) / "broken"
    work.mkdir()
    save_key(work / "channel.pem", rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def judge(name):
        _, caught_by, control = MUTANTS[name]
        wanted = dict.fromkeys(caught_by, "failed") | {control: "held"}
        return name, verdicts(program, work, name, wanted), wanted

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, found, wanted in pool.map(judge, MUTANTS):
            check(f"a peer that {name.replace('-', ' ')} is caught", found, wanted)
    print(f"{len(MUTANTS)} broken peers, {len(failures)} not caught rightly")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
