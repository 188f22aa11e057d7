#!/usr/bin/env python3
"""Contract test of the sandbox: does the stand-in behave as AWS and RDS do?

    probe.py --dir DIR [--only TEXT]

Needs a sandbox that is up. Logs in to PostgreSQL directly, without dbproxy, with tokens made by
botocore, and calls STS, RDS and Secrets Manager through boto3. The emulator behind the sandbox is
young and the launcher corrects it in many places: run this whenever either changes.
"""

import argparse
import asyncio
import datetime
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import sandbox


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", required=True, type=Path, help="the directory of a running sandbox")
    parser.add_argument("--only", default="", help="run only the cases whose name contains this")
    return parser.parse_args()


if __name__ == "__main__":
    arguments()  # complains before a virtual environment is made
    python = sandbox.ensure_venv()
    if Path(sys.prefix).resolve() != sandbox.VENV:
        os.execv(python, [str(python), "-B", str(Path(__file__).resolve()), *sys.argv[1:]])
    sandbox.forget_surroundings()

import asyncpg  # noqa: E402
import boto3  # noqa: E402
import botocore.auth  # noqa: E402
import psycopg  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

PAM_FAILED = 'FATAL:  PAM authentication failed for user "{user}"'
PASSWORD_FAILED = 'FATAL:  password authentication failed for user "{user}"'


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Probe:
    def __init__(self, directory):
        self.state = json.loads((directory / "state.json").read_text())
        self.aws, self.cluster = self.state["aws"], self.state["cluster"]
        self.clients = {}
        self.results = []

    # -- AWS ---------------------------------------------------------------------------------------

    def client(self, service, keys, region=None):
        region = region or self.aws["region"]
        index = (service, keys["access_key_id"], keys["secret_access_key"], keys.get("session_token"), region)
        if index not in self.clients:
            self.clients[index] = boto3.client(
                service, endpoint_url=self.aws["endpoint_url"], region_name=region,
                aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"],
                aws_session_token=keys.get("session_token"), config=Config(retries={"max_attempts": 0}, parameter_validation=False))
        return self.clients[index]

    def assume(self, keys, role, **options):
        answer = self.client("sts", keys).assume_role(
            RoleArn=role, **{"RoleSessionName": "probe", **options})
        found = answer["Credentials"]
        return {"access_key_id": found["AccessKeyId"], "secret_access_key": found["SecretAccessKey"],
                "session_token": found["SessionToken"], "expiration": found["Expiration"], "answer": answer}

    def token(self, keys, user, end="writer", host=None, port=None, region=None, ago=0):
        end = self.cluster[end]
        plain = botocore.auth.get_current_datetime

        def shifted(*args, **kwargs):
            return plain(*args, **kwargs) - datetime.timedelta(seconds=ago)

        botocore.auth.get_current_datetime = shifted
        try:
            return self.client("rds", keys, region).generate_db_auth_token(
                host or end["host"], port or end["port"], user, Region=region or self.aws["region"])
        finally:
            botocore.auth.get_current_datetime = plain

    def switch(self, name, document=None):
        return sandbox.call(self.aws["endpoint_url"], name, document)

    def refused(self, code, call, text=""):
        """Calls AWS and expects an error of that code."""
        try:
            call()
        except ClientError as error:
            found = error.response["Error"]
            expect(found["Code"] == code, f"expected {code}, got {found['Code']}: {found['Message']}")
            expect(text in found["Message"], f"expected {text!r} in: {found['Message']}")
        else:
            raise Failed(f"expected {code}, but the call succeeded")

    # -- PostgreSQL --------------------------------------------------------------------------------

    def connect(self, user, password, end="writer", **options):
        end = self.cluster[end]
        settings = {"host": end["host"], "hostaddr": end["address"], "port": end["port"], "user": user,
                    "dbname": self.state["database"], "sslmode": "verify-full",
                    "sslrootcert": self.state["ca"]["bundle"], "gssencmode": "disable", "connect_timeout": 20,
                    "passfile": "/nonexistent", **options}
        if password is not None:
            settings["password"] = password
        return psycopg.connect(**settings, autocommit=True)

    def accepts(self, user, password, query="SELECT session_user", answer=None, **options):
        with self.connect(user, password, **options) as connection:
            found = connection.execute(query).fetchone()[0]
        answer = user if answer is None else answer
        expect(found == answer, f"{query} gave {found!r}, expected {answer!r}")

    def rejects(self, user, password, *texts, reason=None, **options):
        """Expects the login to fail with each of the texts, and the given reason in the auth log."""
        texts = texts or (PAM_FAILED,)
        before = len(self.switch("auth-log"))
        try:
            self.connect(user, password, **options).close()
        except psycopg.OperationalError as error:
            for text in texts:
                text = text.format(user=user, **self.cluster)
                expect(text in str(error), f"expected {text!r} in: {error}")
        else:
            raise Failed("the login succeeded")
        if reason:
            entries = self.switch("auth-log")[before:]
            expect(len(entries) == 1, f"{len(entries)} entries in the auth log")
            expect(entries[0]["reason"] == reason, f"auth log says {entries[0]['reason']}, expected {reason}")

    def sqlstate(self, user, password, end="writer"):
        import ssl
        end = self.cluster[end]
        context = ssl.create_default_context(cafile=self.state["ca"]["bundle"])
        context.check_hostname = False

        async def attempt():
            connection = await asyncpg.connect(host=end["address"], port=end["port"], user=user, password=password,
                                               database=self.state["database"], ssl=context)
            await connection.close()

        try:
            asyncio.run(attempt())
        except asyncpg.PostgresError as error:
            return error.sqlstate
        return "00000"

    # -- running -----------------------------------------------------------------------------------

    def case(self, name, action):
        if self.only and self.only not in name:
            return
        start = time.monotonic()
        try:
            action()
            outcome = ""
        except (Failed, ClientError, psycopg.Error, OSError, KeyError, IndexError) as error:
            outcome = f"{type(error).__name__}: {error}".strip()
        self.results.append((name, outcome))
        print(f"{'FAIL' if outcome else 'ok  '} {time.monotonic() - start:6.3f}s  {name}"
              + (f"\n        {outcome}" if outcome else ""), flush=True)

    def tampered(self, token, field):
        """The token with one character of a field changed."""
        start = token.index(field + "=") + len(field) + 1 + 20
        return token[:start] + ("0" if token[start] != "0" else "1") + token[start + 1:]


def logins(p):
    aws, state = p.aws, p.state
    own, other = aws["dbproxy"], aws["broker"]
    role = p.assume(own, aws["role_connect"])
    cross = p.assume(other, aws["role_cross"], ExternalId=aws["external_id"])
    chained = p.assume(role, aws["role_chained"])

    # A user and a role whose policies this test may change.
    iam, iam_b = p.client("iam", aws["root_a"]), p.client("iam", aws["root_b"])
    db_user = f"arn:aws:rds-db:{aws['region']}:{aws['accounts']['a']}:dbuser:{p.cluster['resource_id']}"

    def document(*statements):
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

    def user(iam, name):
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}

    def forget():
        for client, name in ((iam, "probe"), (iam_b, "probe")):
            try:
                for key in client.list_access_keys(UserName=name)["AccessKeyMetadata"]:
                    client.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
                for policy in client.list_user_policies(UserName=name)["PolicyNames"]:
                    client.delete_user_policy(UserName=name, PolicyName=policy)
                client.delete_user(UserName=name)
            except ClientError:
                pass
        try:
            for policy in iam.list_role_policies(RoleName="probe")["PolicyNames"]:
                iam.delete_role_policy(RoleName="probe", PolicyName=policy)
            iam.delete_role(RoleName="probe")
        except ClientError:
            pass

    forget()
    probe, foreign = user(iam, "probe"), user(iam_b, "probe")
    allow_ro = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": f"{db_user}/app_ro"}
    allow_tag = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": f"{db_user}/${{aws:PrincipalTag/dbuser}}"}
    allow_all = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam_b.put_user_policy(UserName="probe", PolicyName="main", PolicyDocument=document(allow_all))

    def policies(**named):
        for name in iam.list_user_policies(UserName="probe")["PolicyNames"]:
            iam.delete_user_policy(UserName="probe", PolicyName=name)
        for name, statement in named.items():
            iam.put_user_policy(UserName="probe", PolicyName=name, PolicyDocument=document(statement))

    trust = {"Effect": "Allow", "Principal": {"AWS": own["arn"]},
             "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}
    iam.create_role(RoleName="probe", AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName="probe", PolicyName="main", PolicyDocument=document(allow_tag))
    iam.put_user_policy(UserName="dbproxy", PolicyName="probe", PolicyDocument=document(
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"],
         "Resource": f"arn:aws:iam::{aws['accounts']['a']}:role/probe"}))
    tagged = p.assume(own, f"arn:aws:iam::{aws['accounts']['a']}:role/probe", Tags=[{"Key": "dbuser", "Value": "app_ro"}])
    iam.delete_user_policy(UserName="dbproxy", PolicyName="probe")
    scoped = p.assume(own, aws["role_connect"], Policy=document(allow_ro))
    case = p.case

    print("-- logins that succeed")
    case("user key", lambda: p.accepts("app_ro", p.token(own, "app_ro")))
    case("user key, superuser over IAM", lambda: p.accepts("sandbox_admin", p.token(own, "sandbox_admin")))

    def role_session():
        token = p.token(role, "app_ro")
        expect(len(token) > 1500, f"the token has only {len(token)} characters")
        p.accepts("app_ro", token)

    case("role session, token over 1,500 characters", role_session)
    case("role session from another account", lambda: p.accepts("app_rw", p.token(cross, "app_rw")))
    case("chained role session", lambda: p.accepts("app_ro", p.token(chained, "app_ro")))
    case("reader endpoint", lambda: p.accepts("app_ro", p.token(own, "app_ro", "reader"), end="reader",
                                              query="SELECT pg_is_in_recovery()", answer=True))
    case("instance endpoint", lambda: p.accepts("app_ro", p.token(own, "app_ro", "instance_writer"), end="instance_writer"))
    case("custom endpoint", lambda: p.accepts("app_ro", p.token(own, "app_ro", "custom"), end="custom"))

    def twice():
        token = p.token(own, "app_ro")
        p.accepts("app_ro", token)
        p.accepts("app_ro", token)

    case("token used twice", twice)
    case("token signed 14m50s ago", lambda: p.accepts("app_ro", p.token(own, "app_ro", ago=890)))
    case("token signed 4m50s ahead", lambda: p.accepts("app_ro", p.token(own, "app_ro", ago=-290)))
    case("session policy within its scope", lambda: p.accepts("app_ro", p.token(scoped, "app_ro")))
    case("policy with ${aws:PrincipalTag/dbuser}", lambda: p.accepts("app_ro", p.token(tagged, "app_ro")))
    for name in ("app_password", "app_md5", "app_cleartext"):
        case(f"password user {name}", lambda: p.accepts(name, state["passwords"][name]))
    case("sandbox_admin with its password",
         lambda: p.accepts("sandbox_admin", state["passwords"]["sandbox_admin"]))
    case("host given as the loopback address", lambda: p.accepts(
        "sandbox_admin", state["passwords"]["sandbox_admin"], host=p.cluster["writer"]["address"]))

    print("-- logins refused by the token's judge")
    case("policy lacks the db user", lambda: p.rejects("app_denied", p.token(own, "app_denied"), reason="PolicyImplicitDeny"))
    case("user without any policy", lambda: p.rejects("app_ro", p.token(aws["powerless"], "app_ro"), reason="PolicyImplicitDeny"))

    def explicit_deny():
        policies(main=allow_ro, deny={**allow_ro, "Effect": "Deny"})
        p.rejects("app_ro", p.token(probe, "app_ro"), reason="PolicyExplicitDeny")

    case("explicit Deny", explicit_deny)

    def removed_later():
        policies(main=allow_ro)
        token = p.token(probe, "app_ro")
        p.accepts("app_ro", token)
        policies()
        p.rejects("app_ro", token, reason="PolicyImplicitDeny")

    case("policy removed after the token was made", removed_later)
    case("outside the session policy", lambda: p.rejects("app_rw", p.token(scoped, "app_rw"), reason="PolicyImplicitDeny"))
    case("PrincipalTag names another db user", lambda: p.rejects("app_rw", p.token(tagged, "app_rw"), reason="PolicyImplicitDeny"))
    case("token for another db user", lambda: p.rejects("app_ro", p.token(own, "app_rw"), reason="WrongUser"))
    case("token for another host", lambda: p.rejects("app_ro", p.token(own, "app_ro", host="db.example.com"), reason="WrongHost"))
    case("token for the loopback address", lambda: p.rejects(
        "app_ro", p.token(own, "app_ro", host=p.cluster["writer"]["address"]), reason="WrongHost"))
    case("token for another port", lambda: p.rejects("app_ro", p.token(own, "app_ro", port=5433), reason="WrongPort"))
    case("token for another region", lambda: p.rejects("app_ro", p.token(own, "app_ro", region="eu-west-1"), reason="WrongRegion"))
    case("tampered signature", lambda: p.rejects(
        "app_ro", p.tampered(p.token(own, "app_ro"), "X-Amz-Signature"), reason="SignatureDoesNotMatch"))
    case("wrong secret", lambda: p.rejects(
        "app_ro", p.token({**own, "secret_access_key": "x" * 40}, "app_ro"), reason="SignatureDoesNotMatch"))
    case("unknown key", lambda: p.rejects(
        "app_ro", p.token({**own, "access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "app_ro"), reason="UnknownKey"))
    case("tampered session token", lambda: p.rejects(
        "app_ro", p.tampered(p.token(role, "app_ro"), "X-Amz-Security-Token"), reason="WrongSessionToken"))
    case("missing session token", lambda: p.rejects(
        "app_ro", p.token({**role, "session_token": None}, "app_ro"), reason="WrongSessionToken"))
    case("token signed 15m10s ago", lambda: p.rejects("app_ro", p.token(own, "app_ro", ago=910), reason="ExpiredToken"))
    case("token signed 10 min ahead", lambda: p.rejects("app_ro", p.token(own, "app_ro", ago=-600), reason="TokenNotYetValid"))
    case("another account's key with Allow *", lambda: p.rejects("app_ro", p.token(foreign, "app_ro"), reason="OtherAccount"))
    case("garbage", lambda: p.rejects("app_ro", "garbage", reason="NotAToken"))
    case("a password for an IAM user", lambda: p.rejects("app_ro", state["passwords"]["sandbox_admin"], reason="NotAToken"))
    case("wrong password for sandbox_admin", lambda: p.rejects("sandbox_admin", "x", reason="NotAToken"))

    def inactive():
        token = p.token(own, "app_ro")
        p.switch("key", {"access_key_id": own["access_key_id"], "status": "Inactive"})
        try:
            p.rejects("app_ro", token, reason="KeyInactive")
            p.refused("InvalidClientTokenId", lambda: p.client("sts", own).get_caller_identity())
        finally:
            p.switch("key", {"access_key_id": own["access_key_id"], "status": "Active"})
        p.accepts("app_ro", token)

    case("inactive key, and reactivated", inactive)

    def expired_session():
        session = p.assume(own, aws["role_connect"])
        token = p.token(session, "app_ro")
        p.accepts("app_ro", token)
        p.switch("expire-sessions", {})
        p.rejects("app_ro", token, reason="SessionExpired")
        p.refused("ExpiredToken", lambda: p.client("sts", session).get_caller_identity(),
                  "The security token included in the request is expired")
        p.refused("ExpiredToken", lambda: p.assume(session, aws["role_chained"]))
        p.refused("ExpiredTokenException", lambda: p.client("secretsmanager", session).get_secret_value(
            SecretId=aws["secret_arn"]))

    case("expired session", expired_session)

    def skewed():
        try:
            p.switch("skew", {"seconds": 1000})
            p.rejects("app_ro", p.token(own, "app_ro"), reason="ExpiredToken")
            p.refused("SignatureDoesNotMatch", lambda: p.client("sts", own).get_caller_identity(), "Signature expired")
            p.switch("skew", {"seconds": -600})
            p.rejects("app_ro", p.token(own, "app_ro"), reason="TokenNotYetValid")
        finally:
            p.switch("skew", {"seconds": 0})
        p.accepts("app_ro", p.token(own, "app_ro"))

    case("AWS's clock 1,000 s ahead, 600 s behind", skewed)

    print("-- other refusals")
    case("no password", lambda: p.rejects("app_ro", None, "fe_sendauth: no password supplied"))
    plain = {"sslmode": "disable"}
    address = p.cluster["writer"]["address"]
    rejected = 'pg_hba.conf rejects connection for host "127.0.0.1", user "app_ro", database "app", no encryption'
    case("IAM user without TLS", lambda: p.rejects("app_ro", p.token(own, "app_ro"), rejected, **plain))
    case("IAM user with sslmode=prefer: both errors", lambda: p.rejects(
        "app_ro", "garbage", PAM_FAILED, rejected, sslmode="prefer", sslrootcert=""))
    case("password user without TLS", lambda: p.rejects(
        "app_password", state["passwords"]["app_password"],
        'no pg_hba.conf entry for host "127.0.0.1", user "app_password", database "app", no encryption', **plain))
    case("unknown role", lambda: p.rejects("app_nope", p.token(own, "app_nope"), PASSWORD_FAILED))
    case("user that is not a member of rds_iam", lambda: p.rejects(
        "app_nogrant", p.token(own, "app_nogrant"), PASSWORD_FAILED))
    case("wrong password", lambda: p.rejects("app_password", "x", PASSWORD_FAILED))
    case("unknown database", lambda: p.rejects(
        "app_ro", p.token(own, "app_ro"), 'database "nodb" does not exist', dbname="nodb"))
    case("wrong host name", lambda: p.rejects(
        "app_ro", p.token(own, "app_ro"), "does not match host name", host="db.example.com"))
    case("wrong CA bundle, with a root of the same name", lambda: p.rejects(
        "app_ro", p.token(own, "app_ro"), "certificate verify failed", sslrootcert=state["ca"]["wrong"]))

    def sqlstates():
        for user, password, wanted in (("app_ro", "garbage", "28000"), ("app_nope", "x", "28P01"),
                                       ("app_password", "x", "28P01")):
            found = p.sqlstate(user, password)
            expect(found == wanted, f"{user}: SQLSTATE {found}, expected {wanted}")

    case("SQLSTATE 28000 and 28P01", sqlstates)

    def server_log():
        log = Path(state["logs"]["writer"])
        before = log.stat().st_size
        p.rejects("app_ro", "garbage")
        time.sleep(0.1)
        text = log.read_bytes()[before:].decode()
        for part in ("LOG:  pam_authenticate failed: Permission denied",
                     'DETAIL:  Connection matched pg_hba.conf line 2: "hostssl all          +rds_iam'):
            expect(part in text, f"{part!r} is not in the server log: {text}")

    case("the server log says what RDS's says", server_log)

    def iam_off(off, on):
        token = p.token(own, "app_ro")
        off()
        try:
            p.rejects("app_ro", token, PASSWORD_FAILED)
            p.rejects("app_ro", token, PASSWORD_FAILED, end="reader")
            p.accepts("sandbox_admin", state["passwords"]["sandbox_admin"])
        finally:
            on()
        p.accepts("app_ro", token)
        p.accepts("app_ro", token, end="reader", query="SELECT 1", answer=1)

    case("IAM authentication off and on, by the switch", lambda: iam_off(
        lambda: p.switch("iam-auth", {"enabled": False}), lambda: p.switch("iam-auth", {"enabled": True})))
    rds = p.client("rds", aws["root_a"])

    def modify(enabled):
        rds.modify_db_cluster(DBClusterIdentifier=p.cluster["id"], EnableIAMDatabaseAuthentication=enabled,
                              ApplyImmediately=True)
        found = rds.describe_db_clusters(DBClusterIdentifier=p.cluster["id"])["DBClusters"][0]
        expect(found["IAMDatabaseAuthenticationEnabled"] is enabled, "DescribeDBClusters disagrees")

    case("IAM authentication off and on, by ModifyDBCluster", lambda: iam_off(lambda: modify(False), lambda: modify(True)))

    def auth_faults():
        token = p.token(own, "app_ro")
        p.switch("fault", {"service": "auth", "status": 503, "count": 1})
        p.rejects("app_ro", token)
        p.accepts("app_ro", token)
        p.switch("fault", {"service": "auth", "delay_ms": 700, "count": 1})
        start = time.monotonic()
        p.accepts("app_ro", token)
        expect(time.monotonic() - start > 0.7, "the delay was not applied")
        p.switch("fault", {"clear": True})

    case("fault: the authentication service answers 503, or late", auth_faults)

    print("-- what the roles may do")

    def rights():
        with p.connect("app_ro", p.token(own, "app_ro")) as connection:
            expect(connection.execute("SELECT count(*) FROM items").fetchone()[0] == 1000, "items")
            connection.execute("SELECT count(*) FROM pgbench_accounts")
            try:
                connection.execute("DELETE FROM items")
                raise Failed("app_ro may delete")
            except psycopg.errors.InsufficientPrivilege:
                pass

    case("app_ro reads and cannot write", rights)

    def replication():
        with p.connect("app_rw", p.token(own, "app_rw")) as writer, \
                p.connect("app_ro", p.token(own, "app_ro", "reader"), end="reader") as reader:
            writer.execute("INSERT INTO items VALUES (-1, 'probe') ON CONFLICT DO NOTHING")
            try:
                end = time.monotonic() + 5
                while not reader.execute("SELECT 1 FROM items WHERE id = -1").fetchone():
                    expect(time.monotonic() < end, "the row did not reach the reader in 5 s")
                    time.sleep(0.01)
                try:
                    reader.execute("CREATE TEMP TABLE t (n int)")
                    raise Failed("the reader accepts writes")
                except psycopg.errors.ReadOnlySqlTransaction:
                    pass
            finally:
                writer.execute("DELETE FROM items WHERE id = -1")

    case("app_rw writes, the reader follows and is read-only", replication)
    forget()


def control_plane(p):
    aws = p.aws
    own, broker, powerless = aws["dbproxy"], aws["broker"], aws["powerless"]
    right = {"ExternalId": aws["external_id"]}
    case, refused = p.case, p.refused

    print("-- STS")
    case("GetCallerIdentity", lambda: expect(
        p.client("sts", own).get_caller_identity()["Arn"] == own["arn"], "another caller"))
    case("GetCallerIdentity with a wrong secret", lambda: refused("SignatureDoesNotMatch", lambda: p.client(
        "sts", {**own, "secret_access_key": "x" * 40}).get_caller_identity()))
    case("GetCallerIdentity with an unknown key", lambda: refused("InvalidClientTokenId", lambda: p.client(
        "sts", {**own, "access_key_id": "AKIAIOSFODNN7EXAMPLE"}).get_caller_identity()))

    def presigned():
        url = p.client("sts", own).generate_presigned_url("get_caller_identity", HttpMethod="GET")
        with urllib.request.urlopen(url) as response:
            expect(own["arn"] in response.read().decode(), "another caller")
        try:
            urllib.request.urlopen(p.tampered(url, "X-Amz-Signature")).close()
            raise Failed("a tampered URL is accepted")
        except urllib.error.HTTPError as error:
            expect(error.code == 403, f"status {error.code}")
            error.close()

    case("GetCallerIdentity, presigned, and tampered", presigned)
    case("AssumeRole, same account", lambda: expect(
        p.client("sts", p.assume(own, aws["role_connect"])).get_caller_identity()["Arn"].endswith(
            ":assumed-role/dbproxy-connect/probe"), "another caller"))
    case("AssumeRole, cross account, right external id", lambda: p.assume(broker, aws["role_cross"], **right))
    case("AssumeRole, cross account, no external id",
         lambda: refused("AccessDenied", lambda: p.assume(broker, aws["role_cross"]),
                         "is not authorized to perform: sts:AssumeRole on resource: " + aws["role_cross"]))
    case("AssumeRole, cross account, wrong external id",
         lambda: refused("AccessDenied", lambda: p.assume(broker, aws["role_cross"], ExternalId="wrong")))
    case("AssumeRole, caller not in the trust policy",
         lambda: refused("AccessDenied", lambda: p.assume(own, aws["role_cross"], **right)))
    case("AssumeRole, caller from another account not in the trust policy",
         lambda: refused("AccessDenied", lambda: p.assume(broker, aws["role_connect"])))
    case("AssumeRole, denied by the caller's own policy",
         lambda: refused("AccessDenied", lambda: p.assume(powerless, aws["role_connect"])))
    case("AssumeRole, no such role",
         lambda: refused("AccessDenied", lambda: p.assume(own, aws["role_connect"] + "-x")))
    case("AssumeRole, longer than the role's maximum",
         lambda: refused("ValidationError", lambda: p.assume(own, aws["role_connect"], DurationSeconds=3601),
                         "exceeds the MaxSessionDuration"))
    case("AssumeRole, 2 h where the role allows it", lambda: expect(
        p.assume(broker, aws["role_cross"], DurationSeconds=7200, **right)["expiration"]
        > datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=7100), "too short"))
    case("AssumeRole, less than 900 s",
         lambda: refused("ValidationError", lambda: p.assume(own, aws["role_connect"], DurationSeconds=899)))
    case("AssumeRole, malformed session name",
         lambda: refused("ValidationError", lambda: p.assume(own, aws["role_connect"], RoleSessionName="a b")))
    case("AssumeRole, malformed session policy",
         lambda: refused("MalformedPolicyDocument", lambda: p.assume(own, aws["role_connect"], Policy="{")))
    case("AssumeRole, chained, longer than an hour",
         lambda: refused("ValidationError", lambda: p.assume(
             p.assume(own, aws["role_connect"]), aws["role_chained"], DurationSeconds=3601), "role chaining"))

    def identity():
        policy = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["rds-db:connect", "sts:*"], "Resource": "*"}]})
        session = p.assume(own, aws["role_connect"], SourceIdentity="ada@example.com", Policy=policy,
                           Tags=[{"Key": "team", "Value": "data"}])
        expect(session["answer"]["SourceIdentity"] == "ada@example.com", "SourceIdentity is not in the answer")
        expect(len(session["session_token"]) > 1200, "the session token is short")
        p.accepts("app_ro", p.token(session, "app_ro"))
        entry = p.switch("auth-log")[-1]
        expect(entry["source_identity"] == "ada@example.com", f"auth log: {entry}")
        expect(entry["session_tags"] == {"team": "data"}, f"auth log: {entry}")
        expect(entry["session_policy"]["Statement"][0]["Resource"] == "*", f"auth log: {entry}")
        expect(entry["principal"].endswith(":assumed-role/dbproxy-connect/probe"), f"auth log: {entry}")
        log = json.dumps(p.switch("auth-log"))
        expect("X-Amz-" not in log and session["session_token"][:40] not in log, "a token is in the auth log")
        chained = p.assume(session, aws["role_chained"])
        expect(chained["answer"]["SourceIdentity"] == "ada@example.com", "lost in the chain")
        refused("AccessDenied", lambda: p.assume(session, aws["role_chained"], SourceIdentity="eve"),
                "sts:SetSourceIdentity")

    case("source identity, session tags and policy, as the auth log shows them", identity)

    def short_session():
        p.switch("session-lifetime", {"seconds": 2})
        try:
            session = p.assume(own, aws["role_connect"])
        finally:
            p.switch("session-lifetime", {"seconds": None})
        left = session["expiration"] - datetime.datetime.now(datetime.timezone.utc)
        expect(left.total_seconds() < 3, f"expires in {left}")

    case("sessions made short by the switch", short_session)

    print("-- Secrets Manager, RDS")

    def secret():
        found = json.loads(p.client("secretsmanager", own).get_secret_value(SecretId=aws["secret_arn"])["SecretString"])
        expect(found["username"] == "app_password", "username")
        expect(found["password"] == p.state["passwords"]["app_password"], "password")

    case("GetSecretValue", secret)
    case("GetSecretValue, denied", lambda: refused("AccessDeniedException", lambda: p.client(
        "secretsmanager", powerless).get_secret_value(SecretId=aws["secret_arn"])))
    case("DescribeDBClusters", lambda: expect(
        p.client("rds", own).describe_db_clusters()["DBClusters"][0]["ReaderEndpoint"] == p.cluster["reader"]["host"],
        "another reader endpoint"))

    print("-- faults and counters")

    def faults():
        sts = p.client("sts", own)
        p.switch("fault", {"service": "sts", "status": 503, "count": 2})
        refused("ServiceUnavailable", sts.get_caller_identity)
        refused("ServiceUnavailable", sts.get_caller_identity)
        sts.get_caller_identity()
        p.switch("fault", {"service": "sts", "status": 400, "count": 1})
        refused("Throttling", sts.get_caller_identity)
        p.switch("fault", {"service": "secretsmanager", "status": 503, "count": -1})
        refused("ServiceUnavailable", lambda: p.client("secretsmanager", own).get_secret_value(SecretId=aws["secret_arn"]))
        sts.get_caller_identity()
        p.switch("fault", {"clear": True})
        p.client("secretsmanager", own).get_secret_value(SecretId=aws["secret_arn"])

    case("503 and throttling, a given number of times", faults)

    def counters():
        before = p.switch("requests")
        p.client("sts", own).get_caller_identity()
        p.accepts("app_ro", p.token(own, "app_ro"))
        after = p.switch("requests")
        for name in ("sts.GetCallerIdentity", "auth.authenticateRequest"):
            expect(after[name] == before.get(name, 0) + 1, f"{name}: {before.get(name)} to {after.get(name)}")

    case("request counters", counters)

    def reset():
        p.switch("key", {"access_key_id": own["access_key_id"], "status": "Inactive"})
        p.switch("skew", {"seconds": 5000})
        p.switch("fault", {"service": "*", "status": 500})
        p.switch("iam-auth", {"enabled": False})
        p.switch("reset", {})
        expect(p.switch("requests") == {} and p.switch("auth-log") == [], "not empty")
        p.client("sts", own).get_caller_identity()
        p.accepts("app_ro", p.token(own, "app_ro"))

    case("reset", reset)


def main():
    options = arguments()
    if not sandbox.Sandbox(options.dir.absolute()).is_up():
        print(f"probe: no sandbox is up in {options.dir}; start one with sandbox.py up --dir {options.dir}")
        return 1
    probe = Probe(options.dir.absolute())
    probe.only = options.only
    probe.switch("reset", {})
    logins(probe)
    control_plane(probe)
    failed = [name for name, outcome in probe.results if outcome]
    print(f"{len(probe.results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
