#!/usr/bin/env python3
"""The sandbox: a local stand-in for AWS and for an Aurora PostgreSQL cluster with IAM logins.

    sandbox.py up --dir DIR [--quiet] [--dbproxy-bin PATH]
    sandbox.py down --dir DIR
    sandbox.py status --dir DIR

`up` makes a virtual environment and the PAM modules under the build directory when they are missing,
then starts the fake AWS, a writer and a hot-standby reader, and (with --dbproxy-bin) a dbproxy, all on
loopback. What it made is written to DIR/state.json, DIR/env and DIR/dbproxy.toml. See README.md.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
VENV = TARGET / "sandbox-venv"
PAM = TARGET / "sandbox-pam"
CACHE = TARGET / "sandbox-cache"

# What `up` applies with the dbproxy that it is given.
MANIFEST = HERE / "access.toml"

ACCOUNT_A, ACCOUNT_B, REGION = "111122223333", "444455556666", "us-east-1"
CLUSTER, DATABASE, EXTERNAL_ID = "orders", "app", "dbproxy-sandbox"
RESOURCE = f"{ACCOUNT_A}/{REGION}/cluster/{CLUSTER}"
STARTED = float(os.environ.pop("SANDBOX_STARTED", time.monotonic()))  # kept across the re-execution
QUIET = False
EMPTY = False


class Problem(Exception):
    """Something the user can mend; printed without a traceback."""


def say(text):
    if not QUIET:
        print(f"[{time.monotonic() - STARTED:5.1f}s] {text}", flush=True)


def run(command, **options):
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=None if "input" in options else subprocess.DEVNULL, **options)
    if result.returncode != 0:
        raise Problem(f"{Path(str(command[0])).name} failed ({result.returncode}):\n{result.stdout.strip()[-3000:]}")
    return result.stdout


def write(path, text, mode=0o644):
    """Replaces a file at once, so that a reader never sees half of it."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    os.replace(new, path)


@contextlib.contextmanager
def locked(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --------------------------------------------------------------------------------------------------
# What must be there first: virtual environment, PAM modules, PostgreSQL
# --------------------------------------------------------------------------------------------------

def ensure_venv():
    """The Python of the virtual environment, made again whenever requirements.txt changes."""
    requirements = HERE / "requirements.txt"
    stamp = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python, stamp_file = VENV / "bin" / "python", VENV / "stamp"
    if python.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return python
    with locked(TARGET / "sandbox-venv.lock"):
        if python.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
            return python
        try:
            import ensurepip  # noqa: F401  Debian splits it off into python3-venv
            import venv  # noqa: F401
        except ImportError:
            raise Problem("Python's venv module is missing: apt-get install python3-venv") from None
        say("making the virtual environment (once)")
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(VENV)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
             "--only-binary", ":all:", "-r", str(requirements)])
        stamp_file.write_text(stamp)
    return python


def ensure_pam_modules():
    """Compiles the two PAM libraries when their source has changed."""
    sources = {name: HERE / "pam" / f"{name}.rs" for name in ("pam_rds_iam", "pam_confdir")}
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in sources.values())).hexdigest()
    stamp_file = PAM / "stamp"

    def current():
        return stamp_file.exists() and stamp_file.read_text() == stamp

    if current():
        return
    with locked(TARGET / "sandbox-pam.lock"):
        if current():
            return
        if not shutil.which("rustc"):
            raise Problem("rustc is missing: install Rust with rustup, and put ~/.cargo/bin on the PATH")
        if not shutil.which("cc"):
            raise Problem("a C linker is missing: apt-get install gcc libc6-dev")
        say("compiling the PAM modules")
        PAM.mkdir(parents=True, exist_ok=True)
        for name, source in sources.items():
            run(["rustc", "-O", "-C", "strip=symbols", "--edition", "2024", "--crate-type", "cdylib",
                 "--crate-name", name, "-o", str(PAM / f"lib{name}.so"), str(source)], cwd=PAM)
        stamp_file.write_text(stamp)


def postgres_bin():
    candidates = [Path("/usr/lib/postgresql/15/bin")]
    candidates += sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"),
                         key=lambda p: int(p.parent.name), reverse=True)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "pgbench").exists():
            return candidate
    raise Problem("PostgreSQL's server programs are missing: apt-get install postgresql-15")


class Owner:
    """The system user PostgreSQL runs as: `postgres` when we are root (it refuses root), else ourselves."""

    def __init__(self):
        self.root = os.geteuid() == 0
        if self.root:
            try:
                entry = pwd.getpwnam("postgres")
            except KeyError:
                raise Problem("the system user postgres is missing: apt-get install postgresql-15") from None
            self.uid, self.gid = entry.pw_uid, entry.pw_gid
        else:
            self.uid, self.gid = os.getuid(), os.getgid()
        self.popen = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.root else {}

    def own(self, path, mode=None):
        if self.root:
            os.chown(path, self.uid, self.gid)
        if mode is not None:
            os.chmod(path, mode)

    def can_reach(self, directory):
        return subprocess.run(["test", "-x", str(directory)], cwd="/", **self.popen).returncode == 0


# --------------------------------------------------------------------------------------------------
# Processes
# --------------------------------------------------------------------------------------------------

def start_time(pid):
    """When the process started, in clock ticks; None when it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Processes:
    """Process ids with their start times in DIR/pids.json, so that a reused pid is never signalled."""

    def __init__(self, directory):
        self.file = directory / "pids.json"
        try:
            self.known = json.loads(self.file.read_text())
        except (OSError, ValueError):
            self.known = {"processes": {}, "data_dir": None}
        self.lock = threading.Lock()

    def save(self):
        with self.lock:  # PostgreSQL and the fake AWS start in different threads
            write(self.file, json.dumps(self.known, indent=2))

    def start(self, name, command, log, **options):
        with open(log, "ab") as output:
            process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, start_new_session=True, **options)
        self.known["processes"][name] = {"pid": process.pid, "start": start_time(process.pid)}
        self.save()
        return process

    def pid(self, name):
        """The process's id while it lives."""
        entry = self.known["processes"].get(name)
        if entry and entry["start"] is not None and start_time(entry["pid"]) == entry["start"]:
            return entry["pid"]
        return None

    def stop(self, name, how=signal.SIGTERM, patience=5.0):
        pid = self.pid(name)
        if pid is not None:
            for number, wait in ((how, patience), (signal.SIGKILL, 2.0)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                end = time.monotonic() + wait
                while self.pid(name) is not None and time.monotonic() < end:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
                    time.sleep(0.02)
                if self.pid(name) is None:
                    break
        self.known["processes"].pop(name, None)


def wait_until(ready, seconds, process, what, log):
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            tail = Path(log).read_text(errors="replace")[-2000:]
            raise Problem(f"{what} did not start; end of {log}:\n{tail}")
        time.sleep(0.02)


# --------------------------------------------------------------------------------------------------
# Addresses and ports
# --------------------------------------------------------------------------------------------------

def can_bind(address, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
            return True
        except OSError:
            return False


def any_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def choose_network():
    """A number N for 127.77.N.1 and .2, and the port. The returned lock keeps other `up`s off N."""
    for port in (5432, 25432, 35432):
        for number in range(1, 250):
            lock = socket.socket(socket.AF_UNIX)
            try:
                lock.bind(f"\0dbproxy-sandbox-127.77.{number}")
            except OSError:
                lock.close()
                continue
            if all(can_bind(f"127.77.{number}.{host}", port) for host in (1, 2)):
                return number, port, lock
            lock.close()
    raise Problem("no free loopback address 127.77.N.1 was found")


def choose_ports(number):
    """Ports follow from N, so that sandboxes side by side differ and one alone always has the same."""
    wanted = {"orders": 6432, "orders-reader": 6433, "orders-role": 6434, "admin": 6439, "aws": 6440}
    ports = {}
    for name, port in wanted.items():
        port += 10 * (number - 1)
        ports[name] = port if can_bind("127.0.0.1", port) else any_port()
    return ports


# --------------------------------------------------------------------------------------------------
# Certificates
# --------------------------------------------------------------------------------------------------

def make_certificates(directory, names):
    """An RDS-like chain, bundles of roots, deliberately bad leaves, and the proxy's own certificate."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def rsa_key():
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def ec_key(curve=ec.SECP256R1):
        return ec.generate_private_key(curve())

    def subject(common_name):
        return x509.Name([
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Washington"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Seattle"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon Web Services, Inc."),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Amazon RDS"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def certify(name, key, issuer, issuer_key, ca_depth=None, sans=(), begin=now - day, end=now + 365 * day):
        ca = ca_depth is not False
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
                   .add_extension(x509.BasicConstraints(ca, ca_depth if ca else None), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
                   .add_extension(x509.KeyUsage(
                       digital_signature=True, key_encipherment=not ca and isinstance(key, rsa.RSAPrivateKey),
                       key_cert_sign=ca, crl_sign=ca, content_commitment=False, data_encipherment=False,
                       key_agreement=False, encipher_only=False, decipher_only=False), True))
        if not ca:
            entries = []
            for san in sans:
                try:
                    entries.append(x509.IPAddress(ipaddress.ip_address(san)))
                except ValueError:
                    entries.append(x509.DNSName(san))
            builder = (builder.add_extension(x509.SubjectAlternativeName(entries), False)
                       .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
        return builder.sign(issuer_key, hashes.SHA256())

    def self_signed(common_name, key):
        name = subject(common_name)
        return certify(name, key, name, key, end=now + 3650 * day)

    def pem(*certificates):
        return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)

    def key_pem(key):
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                 serialization.NoEncryption()).decode()

    def pair(stem, key, *chain):
        write(directory / f"{stem}.crt", pem(*chain))
        write(directory / f"{stem}.key", key_pem(key), 0o600)

    directory.mkdir(exist_ok=True)
    right = f"Amazon RDS {REGION} Root CA RSA2048 G1"
    root_key, middle_key = rsa_key(), rsa_key()
    root = self_signed(right, root_key)
    middle = certify(subject(f"Amazon RDS {REGION} Subordinate CA RSA2048 G1.A.2"), middle_key,
                     root.subject, root_key, ca_depth=0, end=now + 1825 * day)
    others = [self_signed(f"Amazon RDS {region} Root CA ECC384 G1", ec_key(ec.SECP384R1))
              for region in ("eu-west-1", REGION, "ap-southeast-2")]
    # The same name as the right root and another key: a name alone must not be trusted.
    impostor = self_signed(right, ec_key())
    write(directory / "global-bundle.pem", pem(others[0], others[1], root, others[2]))
    write(directory / "wrong.pem", pem(*others, impostor))

    def leaf(stem, instance, key, sans, **options):
        certificate = certify(subject(instance), key, middle.subject, middle_key, ca_depth=False, sans=sans, **options)
        pair(stem, key, certificate, middle)

    shared = [names["writer"], names["reader"], names["custom"]]
    for role, address in (("writer", names["writer_address"]), ("reader", names["reader_address"])):
        instance = names[f"instance_{role}"]
        leaf(f"server-{role}", instance, rsa_key(), [instance, *shared, address])
    instance = names["instance_writer"]
    everything = [instance, names["instance_reader"], *shared, names["writer_address"], names["reader_address"]]
    leaf("expired", instance, ec_key(), everything, begin=now - 30 * day, end=now - day)
    leaf("wrongname", "other.example.com", ec_key(), ["other.example.com", "127.77.255.254"])

    proxy_ca_key, proxy_key = ec_key(), ec_key()
    proxy_ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dbproxy sandbox CA")])
    proxy_ca = certify(proxy_ca_name, proxy_ca_key, proxy_ca_name, proxy_ca_key, end=now + 3650 * day)
    pair("proxy", proxy_key, certify(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), proxy_key, proxy_ca_name, proxy_ca_key,
        ca_depth=False, sans=["localhost", "127.0.0.1"]))
    write(directory / "proxy-ca.pem", pem(proxy_ca))
    write(directory / "proxy-ca.key", key_pem(proxy_ca_key), 0o600)


# --------------------------------------------------------------------------------------------------
# PostgreSQL
# --------------------------------------------------------------------------------------------------

SETTINGS = """
# --- sandbox ---
max_connections = 200
shared_buffers = 64MB
fsync = off
full_page_writes = off
wal_level = logical
max_wal_senders = 10
wal_keep_size = 256MB
max_prepared_transactions = 10
hot_standby = on
ssl = on
log_connections = on
log_disconnections = on
log_line_prefix = '%m [%p] %q%u@%d '
log_destination = stderr
logging_collector = off
timezone = 'UTC'
"""

# The order RDS has. The lines for app_md5 and app_cleartext are additions for those two users only, and
# the one for replication (`all` does not mean it) lets tests stream WAL, which RDS does not allow.
# RDS writes `md5` in the last line, under which SCRAM verifiers work just the same.
HBA = """local   all          rdsadmin                        trust
hostssl all          +rds_iam       all              pam pamservice={service}
host    all          +rds_iam       all              reject
hostssl all          app_md5        all              md5
hostssl all          app_cleartext  all              password
hostssl all          all            all              scram-sha-256
hostssl replication  +rds_iam       all              pam pamservice={service}
local   replication  rdsadmin                        trust
"""

SCHEMA = f"""
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE app_ro LOGIN IN ROLE rds_iam;
CREATE ROLE app_rw LOGIN IN ROLE rds_iam;
CREATE ROLE app_denied LOGIN IN ROLE rds_iam;
CREATE ROLE sandbox_admin LOGIN SUPERUSER IN ROLE rds_iam;
CREATE ROLE app_nogrant LOGIN;
CREATE ROLE app_password LOGIN;
CREATE ROLE app_md5 LOGIN;
CREATE ROLE app_cleartext LOGIN;
CREATE ROLE dbproxy_provisioner LOGIN CREATEROLE CREATEDB;
GRANT rds_iam, pg_monitor TO dbproxy_provisioner WITH ADMIN OPTION;
CREATE DATABASE {DATABASE};
\\connect {DATABASE}
GRANT CREATE ON SCHEMA public TO app_rw;
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 1000) AS n;
ANALYZE items;
GRANT SELECT ON items TO app_ro, app_password, app_md5, app_cleartext, app_nogrant, app_denied;
GRANT SELECT, INSERT, UPDATE, DELETE ON items TO app_rw;
ALTER DEFAULT PRIVILEGES FOR ROLE app_rw IN SCHEMA public GRANT SELECT ON TABLES TO app_ro;
"""

def empty_schema(major):
    """A new cluster: its master user, and a database that is the master user's. RDS lets that user give rds_iam to
    others without being a member of it; since PostgreSQL 16 others than RDS let only a superuser do so."""
    return f"""
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE dbadmin LOGIN CREATEROLE CREATEDB{" SUPERUSER" if major >= 16 else ""};
GRANT pg_monitor TO dbadmin WITH ADMIN OPTION;
ALTER DATABASE postgres OWNER TO dbadmin;
CREATE DATABASE {DATABASE} OWNER dbadmin;
"""


PGBENCH_OWNERSHIP = """
ALTER TABLE pgbench_accounts OWNER TO app_rw;
ALTER TABLE pgbench_branches OWNER TO app_rw;
ALTER TABLE pgbench_tellers OWNER TO app_rw;
ALTER TABLE pgbench_history OWNER TO app_rw;
GRANT SELECT ON pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history TO app_ro;
"""


class Postgres:
    """One server: data directory, socket and PAM service of its own below the data base directory."""

    def __init__(self, name, sandbox, base, address, port):
        self.name, self.sandbox, self.base = name, sandbox, base
        self.address, self.port = address, port
        self.data, self.service = base / name, f"dbproxy-{name}"
        self.run = base / f"run-{name}"
        self.log = sandbox.directory / f"{name}.log"
        self.process = None

    def hba(self):
        return HBA.format(service=self.service)

    def start(self, extra=(), environment=None):
        owner = self.sandbox.owner
        command = [self.sandbox.bin / "postgres", "-D", self.data, "-p", self.port,
                   "-c", f"unix_socket_directories={self.run}", "-c", "unix_socket_permissions=0700", *extra]
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(environment or {})}
        self.process = self.sandbox.processes.start(self.name, command, self.log, cwd=self.base, env=env, **owner.popen)

        def ready():
            try:
                return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() in ("ready", "standby")
            except (OSError, IndexError):
                return False

        wait_until(ready, 60, self.process, f"PostgreSQL ({self.name})", self.log)

    def serve(self):
        """Starts it as the sandbox's server: TLS, PAM from our directory, its loopback address."""
        write(self.data / "pg_hba.conf", self.hba(), 0o600)
        self.sandbox.owner.own(self.data / "pg_hba.conf")
        self.start(
            extra=["-c", f"listen_addresses={self.address}",
                   "-c", f"ssl_cert_file={self.base}/tls/{self.name}.crt",
                   "-c", f"ssl_key_file={self.base}/tls/{self.name}.key",
                   "-c", f"cluster_name={CLUSTER}-{self.name}"],
            environment={"LD_PRELOAD": str(self.base / "pam" / "libpam_confdir.so"),
                         "PAM_CONFDIR": str(self.base / "pam.d")})

    def as_owner(self, program, *arguments, **options):
        return run([str(self.sandbox.bin / program), *map(str, arguments)], cwd=self.base,
                   env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.base)},
                   **self.sandbox.owner.popen, **options)

    def sql(self, text, database="postgres"):
        # On standard input, not as an argument: passwords must not show in the process list.
        return self.as_owner("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.run, "-p", self.port,
                             "-U", "rdsadmin", "-d", database, "-f", "-", input=text)

    def make_data(self):
        """initdb, roles and tables; copied from the build directory when an earlier `up` made the same."""
        owner = self.sandbox.owner
        version = run([str(self.sandbox.bin / "postgres"), "--version"]).split()[2]
        schema = empty_schema(int(version.split(".")[0])) if EMPTY else SCHEMA
        recipe = hashlib.sha256((SETTINGS + schema + PGBENCH_OWNERSHIP).encode()).hexdigest()[:12]
        cached = CACHE / f"pg-{version}-{recipe}-{owner.uid}"
        with locked(TARGET / "sandbox-cache.lock"):
            if not cached.exists():
                say("making the database (once)")
                self.as_owner("initdb", "-D", self.data, "-U", "rdsadmin", "-A", "trust", "-E", "UTF8",
                              "--locale=C.UTF-8", "--no-sync", "--no-instructions")
                with open(self.data / "postgresql.conf", "a") as file:
                    file.write(SETTINGS)
                self.start(extra=["-c", "listen_addresses=", "-c", "ssl=off"])
                self.sql(schema)
                if not EMPTY:
                    self.as_owner("pgbench", "-i", "-q", "-s", "1", "-h", self.run, "-p", self.port,
                                  "-U", "rdsadmin", DATABASE)
                    self.sql(PGBENCH_OWNERSHIP + "VACUUM ANALYZE; CHECKPOINT;", DATABASE)
                self.sandbox.processes.stop(self.name, signal.SIGINT, 30)
                CACHE.mkdir(parents=True, exist_ok=True)
                new = cached.with_name(cached.name + ".new")
                shutil.rmtree(new, ignore_errors=True)
                run(["cp", "-a", "--reflink=auto", str(self.data), str(new)])
                os.rename(new, cached)
                return
        run(["cp", "-a", "--reflink=auto", str(cached), str(self.data)])

    def set_passwords(self, passwords):
        def password(role, encryption="scram-sha-256"):
            value = passwords.get(role) or secrets.token_hex(24)
            return f"SET password_encryption = '{encryption}'; ALTER ROLE {role} PASSWORD '{value}';\n"

        if EMPTY:
            self.sql(password("dbadmin"))
            return
        # app_nogrant's password is thrown away: nobody can log in as it. sandbox_admin's works only
        # while IAM authentication is off, as the +rds_iam line comes first otherwise.
        self.sql(password("app_password") + password("app_cleartext") + password("sandbox_admin")
                 + password("app_nogrant") + password("app_md5", "md5"))


# --------------------------------------------------------------------------------------------------
# The accounts
# --------------------------------------------------------------------------------------------------

def seed_accounts(endpoint, root_secret, port, password):
    """Creates everything through the AWS APIs, as a person with the root keys would."""
    import boto3
    from botocore.config import Config

    def client(service, account):
        return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=account,
                            aws_secret_access_key=root_secret, config=Config(retries={"max_attempts": 1}))

    def policy(*statements):
        return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]})

    rds = client("rds", ACCOUNT_A)
    rds.create_db_cluster(
        DBClusterIdentifier=CLUSTER, Engine="aurora-postgresql", MasterUsername="dbadmin",
        MasterUserPassword=secrets.token_hex(16), DatabaseName=DATABASE, Port=port,
        EnableIAMDatabaseAuthentication=True, StorageEncrypted=True)
    for member in (f"{CLUSTER}-1", f"{CLUSTER}-2"):
        rds.create_db_instance(DBInstanceIdentifier=member, DBClusterIdentifier=CLUSTER, Engine="aurora-postgresql",
                               DBInstanceClass="db.r6g.large")
    cluster = rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]
    instances = {i["DBInstanceIdentifier"]: i["Endpoint"]["Address"]
                 for i in rds.describe_db_instances()["DBInstances"]}

    secret = client("secretsmanager", ACCOUNT_A).create_secret(Name=f"{CLUSTER}/app_password", SecretString=json.dumps({
        "username": "app_password", "password": password, "engine": "postgres", "host": cluster["Endpoint"],
        "port": port, "dbname": DATABASE, "dbClusterIdentifier": CLUSTER}))["ARN"]

    iam_a, iam_b = client("iam", ACCOUNT_A), client("iam", ACCOUNT_B)
    users = {}

    def user(iam, name, *statements):
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        iam.put_user_policy(UserName=name, PolicyName="main", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        users[name] = {"arn": arn, "access_key_id": key["AccessKeyId"],
                       "secret_access_key": key["SecretAccessKey"]}
        return arn

    def role(name, principal, condition=None, statements=(), duration=3600):
        trust = {"Principal": {"AWS": principal},
                 "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}
        if condition:
            trust["Condition"] = condition
        arn = iam_a.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust),
                                MaxSessionDuration=duration)["Role"]["Arn"]
        iam_a.put_role_policy(RoleName=name, PolicyName="main", PolicyDocument=policy(*statements))
        return arn

    assume = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    roles = {name: f"arn:aws:iam::{ACCOUNT_A}:role/{name}"
             for name in ("dbproxy-connect", "dbproxy-cross", "dbproxy-chained")}
    db_user = f"arn:aws:rds-db:{REGION}:{ACCOUNT_A}:dbuser:{cluster['DbClusterResourceId']}"
    connect_all = {"Action": "rds-db:connect", "Resource": f"{db_user}/*"}
    own = user(
        iam_a, "dbproxy",
        {"Action": "rds-db:connect", "Resource": [
            f"{db_user}/{name}" for name in ("app_ro", "app_rw", "sandbox_admin", "app_nogrant", "dbproxy_provisioner",
                                             "shop_app", "shop_report", "shop_migrations")]},
        {"Action": assume, "Resource": roles["dbproxy-connect"]},
        {"Action": "sts:GetCallerIdentity", "Resource": "*"},
        {"Action": ["rds:DescribeDBClusters", "rds:DescribeDBInstances"], "Resource": "*"},
        {"Action": "secretsmanager:GetSecretValue", "Resource": secret})
    user(iam_a, "powerless", {"Action": "sts:GetCallerIdentity", "Resource": "*"},
         {"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"})
    broker = user(iam_b, "broker", {"Action": assume, "Resource": roles["dbproxy-cross"]},
                  {"Action": "sts:GetCallerIdentity", "Resource": "*"})
    if EMPTY:  # nothing in IAM either but those who run programs
        for iam, name in ((iam_a, "dbproxy"), (iam_a, "powerless"), (iam_b, "broker")):
            iam.delete_user_policy(UserName=name, PolicyName="main")
        return {"users": users, "roles": roles, "secret_arn": secret, "cluster": cluster, "instances": instances}
    role("dbproxy-connect", own, statements=[connect_all, {"Action": assume, "Resource": roles["dbproxy-chained"]}])
    role("dbproxy-cross", broker, {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}, [connect_all], duration=7200)
    role("dbproxy-chained", roles["dbproxy-connect"], statements=[connect_all], duration=7200)
    return {"users": users, "roles": roles, "secret_arn": secret, "cluster": cluster, "instances": instances}


# --------------------------------------------------------------------------------------------------
# The sandbox
# --------------------------------------------------------------------------------------------------

class Sandbox:
    def __init__(self, directory):
        self.directory = directory
        self.processes = Processes(directory)
        self.state_file = directory / "state.json"

    def state(self):
        try:
            return json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return None

    def is_up(self):
        return self.state() is not None and all(self.processes.pid(n) for n in ("fakeaws", "writer", "reader"))

    def choose_base(self):
        """Where the data lives: DIR/pg, or a temporary directory when PostgreSQL's user cannot get
        there, or the path is too long for a unix socket or has characters a PAM file cannot take."""
        base = self.directory / "pg"
        if (self.owner.can_reach(self.directory) and re.fullmatch(r"[\w./+-]+", str(base), re.ASCII)
                and len(str(base / "run-writer" / ".s.PGSQL.35432.lock")) < 100):
            shutil.rmtree(base, ignore_errors=True)
            base.mkdir()
        else:
            base = Path(tempfile.mkdtemp(prefix="dbproxy-sandbox-", dir="/tmp"))
        self.processes.known["data_dir"] = str(base)
        self.processes.save()
        self.owner.own(base, 0o700)
        return base

    def up(self, dbproxy_bin):
        self.bin = postgres_bin()
        self.owner = Owner()
        ensure_pam_modules()
        if self.is_up():
            say(f"already up in {self.directory}")
            self.run_dbproxy(dbproxy_bin)
            return
        self.clean()
        try:
            self.start()
        except BaseException:
            self.clean()
            raise
        self.run_dbproxy(dbproxy_bin)

    def start(self):
        from fakeaws.launcher import cluster_names, endpoint_hash

        directory = self.directory
        for log in ("writer", "reader", "fakeaws", "dbproxy"):
            (directory / f"{log}.log").unlink(missing_ok=True)
        (directory / "home").mkdir(exist_ok=True)
        (directory / "tmp").mkdir(exist_ok=True)
        number, port, lock = choose_network()
        ports = choose_ports(number)
        addresses = {"writer": f"127.77.{number}.1", "reader": f"127.77.{number}.2"}
        members = [{"DBInstanceIdentifier": f"{CLUSTER}-{n}"} for n in (1, 2)]
        names, custom = cluster_names(ACCOUNT_A, REGION, {"DBClusterIdentifier": CLUSTER, "DBClusterMembers": members})
        names = dict(zip(("writer", "reader", "instance_writer", "instance_reader"), names))
        names.update(custom=f"*{custom}", writer_address=addresses["writer"], reader_address=addresses["reader"])
        passwords = {role: secrets.token_hex(16)
                     for role in (("dbadmin",) if EMPTY else
                                  ("sandbox_admin", "app_password", "app_md5", "app_cleartext"))}

        base = self.choose_base()
        writer = Postgres("writer", self, base, addresses["writer"], port)
        reader = Postgres("reader", self, base, addresses["reader"], port)
        root_secret = secrets.token_hex(20)
        endpoint = f"http://127.0.0.1:{ports['aws']}"
        write(directory / "fakeaws.json", json.dumps({
            "port": ports["aws"], "account": ACCOUNT_A, "region": REGION, "root_secret": root_secret,
            "tmp": str(directory / "tmp"),
            "databases": {RESOURCE: {
                "passwords": {name: passwords[name] for name in ("sandbox_admin",) if name in passwords},
                "servers": [{"hba": str(s.data / "pg_hba.conf"), "hba_text": s.hba(), "log": str(s.log),
                             "pidfile": str(s.data / "postmaster.pid")} for s in (writer, reader)]}}}), 0o600)

        say("starting the fake AWS")
        fakeaws = self.processes.start(
            "fakeaws", [sys.executable, HERE / "fakeaws" / "launcher.py", directory / "fakeaws.json"],
            directory / "fakeaws.log", cwd=directory,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(directory / "home"),
                 "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"})

        # PostgreSQL and the accounts do not need each other until the first login.
        failures = []

        def databases():
            try:
                self.start_databases(base, writer, reader, passwords, names, ports["aws"])
            except BaseException as error:  # handed to the main thread below
                failures.append(error)

        thread = threading.Thread(target=databases)
        thread.start()
        try:
            wait_until(lambda: answers(f"{endpoint}/_sandbox/health"), 60, fakeaws, "the fake AWS",
                       directory / "fakeaws.log")
            say("creating the accounts")
            seeded = seed_accounts(endpoint, root_secret, port, passwords.get("app_password", root_secret))
        finally:
            thread.join()
        if failures:
            raise failures[0]
        lock.close()
        assert seeded["cluster"]["Endpoint"] == names["writer"], "the fake AWS names databases differently"
        self.write_state(seeded, names, addresses, port, ports, endpoint, passwords, base, root_secret)
        call(endpoint, "reset", {})  # the counters start after the seeding
        say(f"up: {CLUSTER} on {addresses['writer']}:{port} (reader {addresses['reader']}), AWS at {endpoint}")

    def start_databases(self, base, writer, reader, passwords, names, aws_port):
        owner = self.owner
        for name in ("run-writer", "run-reader", "tls", "pam", "pam.d"):
            (base / name).mkdir()
            owner.own(base / name, 0o700)
        # Copied: PostgreSQL's user may not be able to read the build directory.
        for library in ("libpam_rds_iam.so", "libpam_confdir.so"):
            shutil.copy(PAM / library, base / "pam" / library)
            owner.own(base / "pam" / library, 0o755)
        for server in (writer, reader):
            module = base / "pam" / "libpam_rds_iam.so"
            service = base / "pam.d" / server.service
            service.write_text(f"auth     required {module} url=127.0.0.1:{aws_port} resource={RESOURCE}\n"
                               f"account  required {module}\n")
            owner.own(service, 0o644)
        writer.make_data()
        make_certificates(self.directory / "ca", names)
        for server in (writer, reader):
            for suffix in ("crt", "key"):
                path = base / "tls" / f"{server.name}.{suffix}"
                shutil.copy(self.directory / "ca" / f"server-{server.name}.{suffix}", path)
                owner.own(path, 0o600)
        say("starting PostgreSQL")
        writer.serve()
        writer.set_passwords(passwords)
        reader.as_owner("pg_basebackup", "-D", reader.data, "-R", "-h", writer.run, "-p", writer.port,
                        "-U", "rdsadmin", "--checkpoint=fast", "--no-sync", "--no-manifest")
        reader.serve()

    def write_state(self, seeded, names, addresses, port, ports, endpoint, passwords, base, root_secret):
        directory, ca = self.directory, self.directory / "ca"
        cluster, users, roles = seeded["cluster"], seeded["users"], seeded["roles"]
        resource_id = cluster["DbClusterResourceId"]
        state = {
            "aws": {
                "endpoint_url": endpoint, "region": REGION, "accounts": {"a": ACCOUNT_A, "b": ACCOUNT_B},
                "dbproxy": users["dbproxy"], "powerless": users["powerless"], "broker": users["broker"],
                "root_a": {"access_key_id": ACCOUNT_A, "secret_access_key": root_secret},
                "root_b": {"access_key_id": ACCOUNT_B, "secret_access_key": root_secret},
                "role_connect": roles["dbproxy-connect"], "role_cross": roles["dbproxy-cross"],
                "role_chained": roles["dbproxy-chained"], "external_id": EXTERNAL_ID,
                "secret_arn": seeded["secret_arn"]},
            "cluster": {
                "id": CLUSTER, "arn": cluster["DBClusterArn"], "account": ACCOUNT_A, "region": REGION,
                "resource_id": resource_id,
                "writer": {"host": names["writer"], "port": port, "address": addresses["writer"]},
                "reader": {"host": names["reader"], "port": port, "address": addresses["reader"]},
                "instance_writer": {"host": names["instance_writer"], "port": port, "address": addresses["writer"]},
                "instance_reader": {"host": names["instance_reader"], "port": port, "address": addresses["reader"]},
                "custom": {"host": names["custom"].replace("*", "reports"), "port": port,
                           "address": addresses["reader"]}},
            "ca": {"bundle": str(ca / "global-bundle.pem"), "wrong": str(ca / "wrong.pem"),
                   "proxy_ca": str(ca / "proxy-ca.pem"), "proxy_cert": str(ca / "proxy.crt"),
                   "proxy_key": str(ca / "proxy.key"),
                   **{f"{stem}_{kind}": str(ca / f"{stem}.{suffix}") for stem in ("expired", "wrongname")
                      for kind, suffix in (("cert", "crt"), ("key", "key"))}},
            "passwords": passwords, "database": DATABASE, "ports": ports,
            "pids": {name: self.processes.pid(name) for name in ("fakeaws", "writer", "reader")},
            "data_dir": str(base), "config": str(directory / "dbproxy.toml"),
            "logs": {name: str(directory / f"{name}.log") for name in ("fakeaws", "writer", "reader", "dbproxy")}}
        write(directory / "dbproxy.toml", dbproxy_toml(state), 0o600)
        write(directory / "env", environment_file(state, directory), 0o600)
        write(self.state_file, json.dumps(state, indent=2) + "\n", 0o600)

    # -- dbproxy -----------------------------------------------------------------------------------

    def run_dbproxy(self, binary):
        if binary is None:
            return
        binary = Path(binary).resolve()
        if not os.access(binary, os.X_OK):
            raise Problem(f"{binary} is not a program: build dbproxy first")
        state = self.state()
        mark = [str(binary), binary.stat().st_mtime]
        if self.processes.pid("dbproxy") and self.processes.known.get("dbproxy_bin") == mark:
            say("dbproxy is already running")
        else:
            self.processes.stop("dbproxy")
            self.start_dbproxy(binary, state)
            if not EMPTY:
                self.apply_manifest(binary, state)
            self.processes.known["dbproxy_bin"] = mark
            self.processes.save()
        state["pids"]["dbproxy"] = self.processes.pid("dbproxy")
        write(self.state_file, json.dumps(state, indent=2) + "\n", 0o600)
        write(self.directory / "env", environment_file(state, self.directory, binary), 0o600)
        if not QUIET:
            ports = state["ports"]
            print(f"""
  psql 'host=127.0.0.1 port={ports['orders']} user=app_ro dbname={DATABASE}'          as app_ro
  psql 'host=127.0.0.1 port={ports['orders']} user=app_rw dbname={DATABASE}'          as app_rw
  psql 'host=127.0.0.1 port={ports['orders-reader']} user=app_ro dbname={DATABASE}'          on the reader
  variables: . {self.directory}/env     log: {self.directory}/dbproxy.log
""", flush=True)

    def start_dbproxy(self, binary, state):
        say("starting dbproxy")
        home = self.directory / "home"
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), **aws_environment(state)}
        for name in ("RUST_LOG", "RUST_BACKTRACE"):
            if name in os.environ:
                env[name] = os.environ[name]
        log = self.directory / "dbproxy.log"
        process = self.processes.start("dbproxy", [binary, "--config", self.directory / "dbproxy.toml"], log,
                                       cwd=home, env=env)
        wait_until(lambda: answers(f"http://127.0.0.1:{state['ports']['admin']}/readiness"), 10, process, "dbproxy", log)

    def apply_manifest(self, binary, state):
        say("applying the access manifest")
        run([str(binary), "apply", CLUSTER, "--manifest", str(MANIFEST), "--config", str(self.directory / "dbproxy.toml")],
            cwd=self.directory / "home",
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.directory / "home"),
                 **aws_environment(state)})

    # -- the end -----------------------------------------------------------------------------------

    def clean(self):
        """Stops what runs and removes everything but the logs."""
        self.processes.stop("dbproxy", signal.SIGTERM, 5)
        for server in ("reader", "writer"):
            self.processes.stop(server, signal.SIGINT, 10)  # "fast" shutdown
        self.processes.stop("fakeaws", signal.SIGTERM, 3)
        data = self.processes.known.get("data_dir")
        if data and Path(data).exists() and (Path(data).name == "pg" or "dbproxy-sandbox-" in data):
            shutil.rmtree(data, ignore_errors=True)
        for name in ("ca", "home", "tmp"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ("state.json", "env", "dbproxy.toml", "fakeaws.json", "pids.json"):
            (self.directory / name).unlink(missing_ok=True)
        self.processes = Processes(self.directory)

    def status(self):
        up = self.is_up()
        print(f"{'up' if up else 'down'}: {self.directory}")
        for name in ("fakeaws", "writer", "reader", "dbproxy"):
            pid = self.processes.pid(name)
            print(f"  {name:8} {'pid ' + str(pid) if pid else 'not running'}")
        return 0 if up else 1


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (OSError, urllib.error.URLError):
        return False


def call(endpoint, switch, document=None):
    """Uses one of the fake AWS's test switches: a POST with a document, else a GET."""
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/_sandbox/{switch}", data), timeout=30) as response:
        return json.load(response)


def aws_environment(state):
    aws = state["aws"]
    # SDKs read AWS_REGION; boto3 and some older tools only AWS_DEFAULT_REGION.
    return {"AWS_ENDPOINT_URL": aws["endpoint_url"], "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": aws["dbproxy"]["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": aws["dbproxy"]["secret_access_key"], "AWS_EC2_METADATA_DISABLED": "true"}


def environment_file(state, directory, binary=None):
    ports, writer = state["ports"], state["cluster"]["writer"]
    url = f"postgresql://{{}}@127.0.0.1:{ports['orders']}/{DATABASE}"
    administrator = "dbadmin" if EMPTY else "sandbox_admin"
    values = {
        "DBPROXY_URL": url.format("app_rw"), "DBPROXY_RO_URL": url.format("app_ro"),
        "DBPROXY_ADMIN_URL": url.format("sandbox_admin"),
        "DBPROXY_READER_URL": f"postgresql://app_ro@127.0.0.1:{ports['orders-reader']}/{DATABASE}",
        "DIRECT_URL": f"postgresql://{administrator}:{state['passwords'][administrator]}@{writer['address']}:"
                      f"{writer['port']}/{DATABASE}?sslmode=verify-full&sslrootcert="
                      + urllib.parse.quote(state["ca"]["bundle"]),
        "DBPROXY_ADMIN_HTTP": f"http://127.0.0.1:{ports['admin']}",
        "DBPROXY_CONFIG": str(directory / "dbproxy.toml"), **({} if EMPTY else {"DBPROXY_MANIFEST": str(MANIFEST)}),
        "SANDBOX_STATE": str(directory / "state.json"), **aws_environment(state)}
    if binary:
        values["DBPROXY_BIN"] = str(binary)
    quote = "'\\''"
    # A stale session token or a profile of the user's shell would not fit the keys below.
    return "unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE\n" + "".join(f"export {name}='{value.replace(chr(39), quote)}'\n" for name, value in values.items())


def dbproxy_toml(state):
    cluster, ports = state["cluster"], state["ports"]
    q = json.dumps  # a JSON string is a TOML basic string

    def target(name, end, users, extra=""):
        end = cluster[end]
        return f"""
[targets.{name}]
listen = [{q(f"127.0.0.1:{ports[name]}")}]
endpoint = {q(end['host'])}
port = {end['port']}
dial = {q(f"{end['address']}:{end['port']}")}
resource_id = {q(cluster['resource_id'])}
account_id = {q(ACCOUNT_A)}
ca_file = {q(state['ca']['bundle'])}
db_users = {q(users)}
default_database = {q(DATABASE)}
{extra}"""

    passwords = f"""
[targets.orders.users.app_password]
credential = {{ kind = "secret", secret_id = {q(state['aws']['secret_arn'])} }}

[targets.orders.users.app_md5]
credential = {{ kind = "passthrough" }}

[targets.orders.users.app_cleartext]
credential = {{ kind = "passthrough" }}
"""
    role = f"credential = {{ kind = \"iam\", assume_role = {{ role_arn = {q(state['aws']['role_connect'])} }} }}\n"
    if EMPTY:
        return (f"# Written by the sandbox: the way to its empty cluster.\nadmin = {q('127.0.0.1:' + str(ports['admin']))}\n"
                + target("orders", "writer", ["dbproxy_provisioner"]))
    return ("# Written by the sandbox: dbproxy in front of its cluster.\n"
            f"admin = {q('127.0.0.1:' + str(ports['admin']))}\n"
            + target("orders", "writer", ["app_ro", "app_rw", "sandbox_admin", "app_nogrant", "app_denied"], passwords)
            + target("orders-reader", "reader", ["app_ro", "sandbox_admin"])
            + target("orders-role", "writer", ["app_ro", "app_rw"], role))


def forget_surroundings():
    """Profiles, keys and HTTP proxies of the user's shell must not reach our own AWS calls."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del os.environ[name]


def main():
    global QUIET, EMPTY
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--dir", required=True, type=Path, help="the sandbox's directory")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--dbproxy-bin", type=Path, help="with up: also run this dbproxy")
    parser.add_argument("--empty", action="store_true", help="with up: a new cluster, with nothing but its master user")
    arguments = parser.parse_args()
    QUIET, EMPTY = arguments.quiet, arguments.empty
    directory = arguments.dir.absolute()
    try:
        if arguments.command == "up":
            python = ensure_venv()
            if Path(sys.prefix).resolve() != VENV:
                os.environ["SANDBOX_STARTED"] = str(STARTED)
                os.execv(python, [str(python), "-B", str(HERE / "sandbox.py"), *sys.argv[1:]])
            forget_surroundings()
            directory.mkdir(parents=True, exist_ok=True)
        elif not directory.exists():
            return Sandbox(directory).status() if arguments.command == "status" else 0
        if arguments.command == "status":
            return Sandbox(directory).status()
        with locked(directory / "lock"):
            if arguments.command == "up":
                Sandbox(directory).up(arguments.dbproxy_bin)
            else:
                was_up = Sandbox(directory).is_up()
                Sandbox(directory).clean()
                say("down" if was_up else "already down")
    except Problem as problem:
        print(f"sandbox: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
