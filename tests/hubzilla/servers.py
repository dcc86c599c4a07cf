"""A MariaDB and a PostgreSQL of their own: in a temporary folder, for one user, ended by their process ids.

Both listen where nobody else comes: MariaDB on a socket in the folder, PostgreSQL on a port of loopback, so that both
ways to a database are gone. As root they run as the users that Debian made for them, since they refuse root.
"""

import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

SECRET = "s3cret-of-the-database"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """One database server."""

    user = None

    def __init__(self, work):
        self.dir = pathlib.Path(work)
        self.dir.mkdir(parents=True)
        self.who = {}
        if os.getuid() == 0:
            try:
                entry = pwd.getpwnam(self.user)
            except KeyError:
                entry = pwd.getpwnam("nobody")
            self.who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.dir, entry.pw_uid, entry.pw_gid)
        self.log = open(self.dir / "log", "w")
        self.process = None

    def run(self, *command, **more):
        return subprocess.run(command, check=True, stdout=self.log, stderr=self.log, cwd=self.dir, **self.who, **more)

    def start(self, *command):
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.dir, **self.who)
        until = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise SystemExit(f"{self.kind} did not start:\n" + (self.dir / "log").read_text()[-3000:])
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        self.log.close()


class MariaDb(Server):
    kind = "mysql"
    user = "mysql"

    def begin(self):
        self.socket = self.dir / "sock"
        data = self.dir / "data"
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                 "--skip-test-db", "--innodb-log-file-size=4M")
        server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.start(server, "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
                   f"--pid-file={self.dir}/pid", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M",
                   "--innodb-log-file-size=4M", "--performance-schema=OFF", "--max-allowed-packet=64M")

    def client(self, *more, **keys):
        command = ["mariadb", "--no-defaults", "-u", "root", "-S", str(self.socket), "--default-character-set=utf8mb4",
                   "--max-allowed-packet=64M", *more]
        return subprocess.run(command, capture_output=True, **keys)

    def answers(self):
        return self.client("-e", "SELECT 1").returncode == 0

    def execute(self, sql):
        done = self.client("hz", input=sql.encode())
        if done.returncode:
            raise SystemExit(done.stderr.decode()[-2000:])

    def create(self):
        sql = f"""CREATE DATABASE hz CHARACTER SET utf8mb4;
            CREATE USER reader@localhost IDENTIFIED BY '{SECRET}'; GRANT SELECT ON hz.* TO reader@localhost;"""
        done = self.client("-e", sql)
        if done.returncode:
            raise SystemExit(done.stderr.decode())

    def url(self):
        return f"mysql://reader@localhost/hz?socket={self.socket}"


class Postgres(Server):
    kind = "postgres"
    user = "postgres"

    def begin(self):
        self.port = free_port()
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.programs = pathlib.Path(programs[-1]) if programs else pathlib.Path(shutil.which("initdb")).parent
        (self.dir / "pw").write_text(SECRET)
        os.chmod(self.dir / "pw", 0o644)
        data = self.dir / "data"
        self.run(str(self.programs / "initdb"), "-D", str(data), "-U", "owner", "-A", "scram-sha-256",
                 f"--pwfile={self.dir}/pw", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        self.start(str(self.programs / "postgres"), "-D", str(data), "-k", str(self.dir), "-p", str(self.port),
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB")

    def client(self, database, *more, **keys):
        command = [str(self.programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                   "-p", str(self.port), "-U", "owner", "-d", database, *more]
        return subprocess.run(command, capture_output=True, env={**os.environ, "PGPASSWORD": SECRET}, **keys)

    def answers(self):
        return self.client("postgres", "-c", "SELECT 1").returncode == 0

    def execute(self, sql):
        done = self.client("hz", input=sql.encode())
        if done.returncode:
            raise SystemExit(done.stderr.decode()[-2000:])

    def create(self):
        for sql in ("CREATE DATABASE hz", f"CREATE USER reader PASSWORD '{SECRET}'"):
            done = self.client("postgres", "-c", sql)
            if done.returncode:
                raise SystemExit(done.stderr.decode())

    def url(self):
        return f"postgres://reader@127.0.0.1:{self.port}/hz"
