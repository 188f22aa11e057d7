"""The fake AWS of the sandbox: ministack, corrected where it differs from AWS in ways that matter
to a database proxy, and joined to the judge of IAM database tokens.

Run as `launcher.py CONFIG.json` with the sandbox's virtual environment. One process holds IAM, STS,
RDS and Secrets Manager *and* answers the PAM module's question "may this user log in with this
token?", so a key disabled or a policy removed through the API acts on the very next login.

Three parts: corrections to ministack (class Clock to `patch_ministack`), the judge (`Judge`), and
the ASGI application around ministack's own with the test switches under /_sandbox/ (`Gateway`).
"""

import asyncio
import base64
import collections
import contextvars
import datetime
import email.utils
import hashlib
import hmac
import json
import os
import re
import signal
import sys
import time
import uuid
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

MAX_BODY = 2 * 1024 * 1024
LOG_ENTRIES = 20_000


class Clock:
    """Stands in for the `time` module inside ministack, so that the fake AWS can be ahead of us."""

    def __init__(self):
        self.skew = 0

    def time(self):
        return time.time() + self.skew

    def now(self):
        return datetime.datetime.fromtimestamp(self.time(), datetime.timezone.utc)

    def http_date(self):
        return email.utils.formatdate(self.time(), usegmt=True)

    def __getattr__(self, name):
        return getattr(time, name)


CLOCK = Clock()
# The source identity of the AssumeRole call being served: ministack has no notion of it.
SOURCE_IDENTITY = contextvars.ContextVar("source_identity", default=None)


# --------------------------------------------------------------------------------------------------
# Names as RDS makes them
# --------------------------------------------------------------------------------------------------

def letters(seed, length, alphabet):
    digest = hashlib.sha512(seed.encode()).digest()
    return "".join(alphabet[byte % len(alphabet)] for byte in digest[:length])


def endpoint_hash(account, region):
    """The part of an RDS host name that is the same for all of an account's databases in a region."""
    return "c" + letters(f"zone/{account}/{region}", 11, "abcdefghijklmnopqrstuvwxyz0123456789")


def resource_id(prefix, arn):
    return prefix + letters(arn, 26, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def cluster_names(account, region, cluster):
    """Every host name a client may use for a cluster: writer, reader, members; and custom endpoints."""
    zone, name = endpoint_hash(account, region), cluster["DBClusterIdentifier"]
    names = [f"{name}.cluster-{zone}.{region}.rds.amazonaws.com",
             f"{name}.cluster-ro-{zone}.{region}.rds.amazonaws.com"]
    names += [f"{member['DBInstanceIdentifier']}.{zone}.{region}.rds.amazonaws.com"
              for member in cluster.get("DBClusterMembers", [])]
    return names, f".cluster-custom-{zone}.{region}.rds.amazonaws.com"


def shape_databases(rds):
    """Gives clusters and instances RDS's names: ministack reports its own address without docker."""
    for (account, region, name), cluster in list(rds._clusters._data.items()):
        names, _ = cluster_names(account, region, cluster)
        cluster["Endpoint"], cluster["ReaderEndpoint"] = names[0], names[1]
        cluster["DbClusterResourceId"] = resource_id("cluster-", cluster["DBClusterArn"])
    for (account, region, name), instance in list(rds._instances._data.items()):
        zone = endpoint_hash(account, region)
        instance["DbiResourceId"] = resource_id("db-", f"{account}/{region}/{name}")
        parent = rds._clusters.get_scoped(account, region, instance.get("DBClusterIdentifier") or "")
        endpoint = dict(instance.get("Endpoint") or {})
        endpoint["Address"] = f"{name}.{zone}.{region}.rds.amazonaws.com"
        if parent:
            endpoint["Port"] = parent["Port"]
            instance["IAMDatabaseAuthenticationEnabled"] = bool(
                parent.get("IAMDatabaseAuthenticationEnabled"))
        instance["Endpoint"] = endpoint


# --------------------------------------------------------------------------------------------------
# Corrections to ministack
# --------------------------------------------------------------------------------------------------

VARIABLE = re.compile(r"\$\{([^}]*)\}")


def value_of(evaluator, name, ctx):
    """The value of a policy variable, or None when the request has none. `${k, 'default'}` is allowed."""
    key, _, default = name.partition(",")
    key = key.strip()
    if key in ("*", "?", "$"):
        return key
    value = evaluator._resolve_condition_key(key, ctx)
    if value is None and default:
        return default.strip().strip("'")
    return None if value is None or isinstance(value, list) else str(value)


def pattern_matches(evaluator, ctx, pattern, value):
    """IAM's resource match with policy variables; what a variable brings in is never a wildcard."""
    regex, end = "", 0

    def literal(text):
        return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)

    for found in VARIABLE.finditer(pattern):
        replacement = value_of(evaluator, found.group(1), ctx)
        if replacement is None:
            return False  # AWS: a statement whose variable cannot be resolved does not match
        regex += literal(pattern[end:found.start()]) + re.escape(replacement)
        end = found.end()
    return re.fullmatch(regex + literal(pattern[end:]), value, re.DOTALL) is not None


def expand_conditions(evaluator, conditions, ctx):
    def expand(value):
        if isinstance(value, list):
            return [expand(one) for one in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        return VARIABLE.sub(
            lambda m: value_of(evaluator, m.group(1), ctx) or "\0unresolved", value)

    return {operator: {key: expand(value) for key, value in block.items()}
            if isinstance(block, dict) else block for operator, block in conditions.items()}


def patch_evaluator(evaluator, sts):
    """Policy variables, aws:SourceIdentity, sts:SourceIdentity, and conditions on the skewed clock."""
    plain_condition_key = evaluator._resolve_condition_key
    plain_principal_keys = evaluator._principal_keys
    plain_trust = evaluator.evaluate_trust_policy

    def resolve_condition_key(key, ctx):
        lowered = key.lower()
        if lowered == "aws:currenttime":
            return CLOCK.now().isoformat()
        if lowered == "aws:epochtime":
            return str(int(CLOCK.time()))
        return plain_condition_key(key, ctx)

    def resource_allowed(stmt, ctx):
        if stmt.resources:
            return any(pattern_matches(evaluator, ctx, p, ctx.resource_arn) for p in stmt.resources)
        return not any(pattern_matches(evaluator, ctx, p, ctx.resource_arn) for p in stmt.not_resources)

    def first_match(ctx, stmts, effect):
        for stmt in stmts:
            if (stmt.effect == effect
                    and evaluator._action_matches(ctx.action, stmt.actions, stmt.not_actions)
                    and resource_allowed(stmt, ctx)
                    and evaluator._conditions_met(
                        expand_conditions(evaluator, stmt.conditions or {}, ctx), ctx)):
                return stmt
        return None

    def principal_keys(credential):
        keys = plain_principal_keys(credential)
        session = sts._sessions.get(credential.access_key_id)
        if session and session.get("SourceIdentity"):
            keys["aws:sourceidentity"] = session["SourceIdentity"]
        return keys

    def evaluate_trust_policy(document, caller_arn, ctx=None):
        if ctx is not None and SOURCE_IDENTITY.get():
            ctx.service_context["sts:sourceidentity"] = SOURCE_IDENTITY.get()
        return plain_trust(document, caller_arn, ctx)

    evaluator._resolve_condition_key = resolve_condition_key
    evaluator._first_match = first_match
    evaluator._principal_keys = sts._principal_keys = principal_keys
    evaluator.evaluate_trust_policy = evaluate_trust_policy


def long_session_token():
    """As long as AWS's (1,216 characters): limits on password length only show with long ones."""
    return "IQoJb3JpZ2luX2Vj" + base64.b64encode(os.urandom(900)).decode()


def secret_key():
    """40 characters with '+' and '/' among them, as AWS's secrets have."""
    return base64.b64encode(os.urandom(30)).decode()


class AssumeRole:
    """STS's AssumeRole with what ministack leaves out: source identity, duration limits, chaining."""

    def __init__(self, evaluator, iam, sts):
        self.evaluator, self.iam, self.sts = evaluator, iam, sts
        self.plain = sts.handle_request
        self.lifetime = None  # seconds; when set, sessions live no longer, whatever was asked for

    def error(self, status, code, message):
        return self.sts._error(status, code, escape(message), ns="sts")

    def invalid(self, name, value, constraint):
        return self.error(400, "ValidationError",
                          f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy "
                          f"constraint: {constraint}")

    def identity_allows(self, access_key, action, role_arn):
        from ministack.core.responses import get_account_id, get_region

        principal = self.evaluator.resolve_principal(access_key, get_account_id())
        if getattr(principal, "policies", None) is None:
            return not isinstance(principal, self.evaluator.AuthError)
        ctx = self.evaluator.EvalContext(
            principal_arn=principal.arn, principal_type=principal.type, principal_account=principal.account,
            action=action, resource_arn=role_arn, region=get_region(), principal_keys=principal.keys)
        return self.evaluator.evaluate(ctx, principal.policies, *principal.limits).decision == "Allow"

    async def handle_request(self, method, path, headers, body, query_params):
        params = dict(query_params)
        if method == "POST" and body and "json" not in headers.get("content-type", ""):
            params.update(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True))

        def one(name):
            return (params.get(name) or [None])[0]

        if one("Action") != "AssumeRole":
            return await self.plain(method, path, headers, body, query_params)

        word = r"[\w+=,.@-]{2,64}"
        for name, field in (("RoleSessionName", "roleSessionName"), ("SourceIdentity", "sourceIdentity")):
            if one(name) is not None and not re.fullmatch(word, one(name), re.ASCII):
                return self.invalid(field, one(name),
                                    "Member must satisfy regular expression pattern: [\\w+=,.@-]*")
        if not one("RoleSessionName"):
            return self.invalid("roleSessionName", "null", "Member must not be null")
        if one("ExternalId") is not None and not re.fullmatch(r"[\w+=,.@:/-]{2,1224}", one("ExternalId"), re.ASCII):
            return self.invalid("externalId", one("ExternalId"),
                                "Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*")
        try:
            duration = int(one("DurationSeconds") or 0)
        except ValueError:
            return self.error(400, "MalformedInput", "DurationSeconds is not a number")
        if one("DurationSeconds") and not 900 <= duration <= 43200:
            edge = "greater than or equal to 900" if duration < 900 else "less than or equal to 43200"
            return self.invalid("durationSeconds", duration, f"Member must have value {edge}")

        caller = self.sts._caller_identity(headers, query_params)
        caller_session = {}
        if isinstance(caller, dict):
            caller_session = self.sts._sessions.get(caller["accessKey"]) or {}
        inherited = caller_session.get("SourceIdentity")
        identity = one("SourceIdentity") or inherited
        token = SOURCE_IDENTITY.set(identity)
        try:
            status, response_headers, text = await self.plain(method, path, headers, body, query_params)
            if status != 200:
                return status, response_headers, text
            xml = text.decode() if isinstance(text, bytes) else text
            access_key = re.search(r"<AccessKeyId>([^<]+)<", xml).group(1)
            session = self.sts._sessions[access_key]
            refused = self.refusal(one, duration, identity, inherited, caller, caller_session, session)
            if refused:
                del self.sts._sessions[access_key]
                return refused
            return status, response_headers, self.complete(xml, session, params, identity, caller_session)
        finally:
            SOURCE_IDENTITY.reset(token)

    def refusal(self, one, duration, identity, inherited, caller, caller_session, session):
        """What AWS still refuses after the trust policy allowed the call itself."""
        role_arn, asked = one("RoleArn"), one("SourceIdentity")
        account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
        role = self.iam._roles.get_scoped(account, None, name)
        arn = caller["userArn"]
        chained = caller_session.get("PrincipalType") == "AssumedRole"
        if chained and duration > 3600:
            return self.error(400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour "
                              "session limit for roles assumed by role chaining")
        if duration > int(role.get("MaxSessionDuration") or 3600):
            return self.error(400, "ValidationError", "The requested DurationSeconds exceeds the "
                              "MaxSessionDuration set for this role.")

        def denied(action):
            return self.error(403, "AccessDenied", f"User: {arn} is not authorized to perform: "
                              f"{action} on resource: {role_arn}")

        if inherited and asked and asked != inherited:
            return denied("sts:SetSourceIdentity")  # once set, it cannot change down the chain
        foreign = caller["accountId"] != account
        if identity:
            from ministack.core.responses import get_region
            ctx = self.evaluator.EvalContext(
                principal_arn=arn, principal_type=caller["principalType"],
                principal_account=caller["accountId"], action="sts:SetSourceIdentity",
                resource_arn=role_arn, region=get_region(), principal_keys=caller["principalKeys"],
                service_context={"sts:sourceidentity": identity, "sts:externalid": one("ExternalId"),
                                 "sts:rolesessionname": one("RoleSessionName")})
            if not self.evaluator.evaluate_trust_policy(role.get("AssumeRolePolicyDocument", "{}"), arn, ctx):
                return denied("sts:SetSourceIdentity")
            if foreign and not self.identity_allows(caller["accessKey"], "sts:SetSourceIdentity", role_arn):
                return denied("sts:SetSourceIdentity")
        if session.get("SessionTags") and foreign and not self.identity_allows(
                caller["accessKey"], "sts:TagSession", role_arn):
            return denied("sts:TagSession")
        return None

    def complete(self, xml, session, params, identity, caller_session):
        tags = {tag["Key"]: tag["Value"] for tag in session.get("SessionTags") or []}
        transitive = {values[0] for key, values in params.items()
                      if key.startswith("TransitiveTagKeys.member.")}
        inherited = caller_session.get("TransitiveTags") or {}
        tags.update(inherited)
        session["SessionTags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
        session["TransitiveTags"] = {k: v for k, v in tags.items() if k in transitive or k in inherited}
        if identity:
            session["SourceIdentity"] = identity
            xml = xml.replace("<PackedPolicySize>", f"<SourceIdentity>{identity}</SourceIdentity><PackedPolicySize>")
        if self.lifetime is not None:
            session["Expiration"] = min(session["Expiration"], CLOCK.time() + self.lifetime)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session["Expiration"]))
            xml = re.sub(r"<Expiration>[^<]*<", f"<Expiration>{stamp}<", xml)
        policy = (params.get("Policy") or [""])[0]
        packed = min(100, (len(policy) + sum(len(k) + len(v) for k, v in tags.items())) * 100 // 4096)
        xml = re.sub(r"<PackedPolicySize>\d+<", f"<PackedPolicySize>{packed}<", xml)
        return xml.encode()


def patch_iam_actions(iam_actions, iam):
    """What calls of IAM are about: the policy that is to be made, principals with their path, `iam:PolicyARN`."""
    plain_resource_arn = iam_actions.extract_resource_arn
    plain_tag_context = iam_actions.request_tag_context

    def one(params, name):
        value = (params or {}).get(name)
        return value[0] if isinstance(value, list) and value else value

    def extract_resource_arn(service, method, path, headers, body, query_params, region, account_id):
        found = plain_resource_arn(service, method, path, headers, body, query_params, region, account_id)
        if service != "iam":
            return found
        name = one(query_params, "PolicyName")
        if found == "*" and name:
            return f"arn:aws:iam::{account_id}:policy{one(query_params, 'Path') or '/'}{name}"
        for records, key in ((iam._roles, "RoleName"), (iam._users, "UserName")):
            name = one(query_params, key)
            if name and found.endswith(f"/{name}"):
                record = records.get_scoped(account_id, None, name)
                return record["Arn"] if record else found
        return found

    def request_tag_context(service, iam_action, body, params):
        context = plain_tag_context(service, iam_action, body, params)
        if service == "iam" and one(params, "PolicyArn"):
            context = {**(context or {}), "iam:PolicyARN": one(params, "PolicyArn")}
        return context

    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.request_tag_context = request_tag_context


def patch_ministack():
    """Imports ministack and corrects it. Returns the modules the rest needs."""
    import ministack.app as app
    from ministack.core import iam_actions, iam_evaluator, rds_iam, responses, sigv4
    from ministack.services import iam, rds, secretsmanager, sts  # noqa: F401  loaded before the first call

    for module in (sts, iam, rds_iam, iam_evaluator):
        module.time = CLOCK
    plain_time_failure = sigv4.request_time_failure
    sigv4.request_time_failure = lambda signature, now=None: plain_time_failure(signature, now=now or CLOCK.now())
    app.formatdate = lambda *_, **__: CLOCK.http_date()

    patch_evaluator(iam_evaluator, sts)
    patch_iam_actions(iam_actions, iam)
    iam._gen_session_token = sts._gen_session_token = long_session_token
    iam._gen_secret = sts._gen_secret = secret_key
    # An expired session must answer ExpiredToken, not be forgotten and answer "unknown key".
    sts._evict_expired_sessions = lambda: None

    assume_role = AssumeRole(iam_evaluator, iam, sts)
    sts.handle_request = assume_role.handle_request

    plain_sync = rds._sync_cluster_endpoints

    def sync_cluster_endpoints(cluster):
        plain_sync(cluster)
        shape_databases(rds)

    rds._sync_cluster_endpoints = sync_cluster_endpoints
    return app, iam_evaluator, rds_iam, responses, iam, rds, sts, assume_role


# --------------------------------------------------------------------------------------------------
# The judge of database tokens
# --------------------------------------------------------------------------------------------------

class Judge:
    """Decides a database login as RDS does, and keeps a log of why."""

    def __init__(self, config, evaluator, rds_iam, responses, iam, rds, sts):
        self.config = config
        self.evaluator, self.rds_iam, self.responses = evaluator, rds_iam, responses
        self.iam, self.rds, self.sts = iam, rds, sts
        self.log = collections.deque(maxlen=LOG_ENTRIES)

    def decide(self, user, token, resource, rhost):
        entry = {"time": datetime.datetime.now(datetime.timezone.utc).isoformat(), "user": user,
                 "decision": "deny", "reason": None, "resource": resource, "from": rhost,
                 "principal": None, "access_key_id": None, "source_identity": None, "session_tags": {},
                 "session_policy": None, "token_host": None, "token_age": None}
        entry["reason"] = self.reason(user, token, resource, entry)
        if entry["reason"] in ("TokenAccepted", "SandboxPassword"):
            entry["decision"] = "allow"
        self.log.append(entry)
        return entry["decision"] == "allow"

    def reason(self, user, token, resource, entry):
        try:
            account, region, kind, name = resource.split("/")
        except ValueError:
            return "ResourceNotFound"
        cluster = self.rds._clusters.get_scoped(account, region, name) if kind == "cluster" else None
        if cluster is None:
            return "ResourceNotFound"
        password = self.config["databases"].get(resource, {}).get("passwords", {}).get(user)
        if password and hmac.compare_digest(password.encode(), token.encode("utf-8", "surrogateescape")):
            return "SandboxPassword"
        if cluster.get("IAMDatabaseAuthenticationEnabled") is not True:
            return "IAMDatabaseAuthenticationDisabled"
        parsed = self.parse(token)
        if parsed is None:
            return "NotAToken"
        host, port, params = parsed
        entry["token_host"] = f"{host}:{port}"
        self.describe(params, entry)
        names, custom = cluster_names(account, region, cluster)
        if host not in names and not host.endswith(custom):
            return "WrongHost"
        if port != cluster["Port"]:
            return "WrongPort"
        verified = self.rds_iam.verify_rds_iam_token(
            token, hostname=host, port=port, db_user=user, region=region, account_id=account)
        if isinstance(verified, self.rds_iam.RdsIamTokenError):
            return self.refine(verified.code, params, user, region, account)
        with self.responses.request_scope(account, region):
            principal = self.evaluator.resolve_principal(verified.access_key_id, account)
            if isinstance(principal, self.evaluator.AuthError) or principal.account != account:
                return "InvalidCredentials"
            entry["principal"] = principal.arn
            if principal.policies is None:
                return "TokenAccepted"
            result = self.evaluator.evaluate(self.evaluator.EvalContext(
                principal_arn=principal.arn, principal_type=principal.type, principal_account=account,
                action="rds-db:connect", region=region, principal_keys=principal.keys,
                resource_arn=f"arn:aws:rds-db:{region}:{account}:dbuser:{cluster['DbClusterResourceId']}/{user}",
            ), principal.policies, *principal.limits)
        return {"Allow": "TokenAccepted", "Deny": "PolicyExplicitDeny"}.get(result.decision, "PolicyImplicitDeny")

    @staticmethod
    def parse(token):
        try:
            parts = urlsplit("//" + token)
            params = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
            if not parts.hostname or not parts.port or "Action" not in params:
                return None
            return parts.hostname.lower(), parts.port, params
        except ValueError:
            return None

    def describe(self, params, entry):
        """Fills in who the token claims to be from. Nothing here decides."""
        key = params.get("X-Amz-Credential", "").split("/")[0]
        entry["access_key_id"] = key
        session = self.sts._sessions.get(key)
        if session:
            entry["principal"] = session.get("Arn")
            entry["source_identity"] = session.get("SourceIdentity")
            entry["session_tags"] = {t["Key"]: t["Value"] for t in session.get("SessionTags") or []}
            policy = (session.get("SessionPolicies") or {}).get("Policy")
            try:
                entry["session_policy"] = json.loads(policy) if policy else None
            except ValueError:
                entry["session_policy"] = policy
        try:
            signed = datetime.datetime.strptime(params.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ")
            entry["token_age"] = round(CLOCK.time() - signed.replace(tzinfo=datetime.timezone.utc).timestamp(), 1)
        except ValueError:
            pass

    def refine(self, code, params, user, region, account):
        """ministack gives one code for several causes; the log of the sandbox names each."""
        scope = params.get("X-Amz-Credential", "").split("/")
        if code == "InvalidToken":
            if params.get("DBUser") != user:
                return "WrongUser"
            if len(scope) == 5 and scope[2] != region:
                return "WrongRegion"
            return "MalformedToken"
        if code == "InvalidCredentials":
            session = self.sts._sessions.get(scope[0])
            if session:
                if CLOCK.time() >= session["Expiration"]:
                    return "SessionExpired"
                return "OtherAccount" if session.get("AccountId") != account else "WrongSessionToken"
            for (owner, key), record in self.iam._access_keys._data.items():
                if key == scope[0]:
                    if owner != account:
                        return "OtherAccount"
                    return "KeyInactive" if record["Status"] != "Active" else "InvalidCredentials"
            return "UnknownKey"
        return code


class Databases:
    """Keeps pg_hba.conf in step with the clusters' IAM authentication, as RDS does."""

    def __init__(self, config, rds):
        self.config, self.rds = config, rds
        self.applied = {}

    async def sync(self):
        for resource, database in self.config["databases"].items():
            account, region, _, name = resource.split("/")
            cluster = self.rds._clusters.get_scoped(account, region, name)
            if cluster is None:
                continue
            wanted = cluster.get("IAMDatabaseAuthenticationEnabled") is True
            if self.applied.get(resource, True) != wanted:
                self.applied[resource] = wanted
                for server in database["servers"]:
                    await self.apply(server, wanted)

    async def apply(self, server, enabled):
        """Puts the +rds_iam lines in or out, and returns when the server has read the file."""
        path, mark = server["hba"], "+rds_iam"
        text = server["hba_text"]
        if not enabled:
            text = "".join(line for line in text.splitlines(True) if mark not in line)
        owner = os.stat(path)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.chmod(path + ".new", 0o600)
        if os.geteuid() == 0:
            os.chown(path + ".new", owner.st_uid, owner.st_gid)
        os.replace(path + ".new", path)
        before = os.path.getsize(server["log"])
        with open(server["pidfile"]) as file:
            os.kill(int(file.readline()), signal.SIGHUP)
        for _ in range(200):
            await asyncio.sleep(0.01)
            with open(server["log"], "rb") as file:
                file.seek(before)
                if b"reloading configuration files" in file.read():
                    break
        await asyncio.sleep(0.05)  # the line is written just before the file is read


# --------------------------------------------------------------------------------------------------
# The application
# --------------------------------------------------------------------------------------------------

class Gateway:
    """ASGI application: our own paths, request counters and injected faults in front of ministack."""

    def __init__(self, config, app, iam, rds, sts, judge, databases, assume_role):
        self.config, self.app = config, app
        self.iam, self.rds, self.sts = iam, rds, sts
        self.judge, self.databases, self.assume_role = judge, databases, assume_role
        self.counters = collections.Counter()
        self.faults = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app.app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                await answer(send, 413, {"error": "too large"})
                return
            if not message.get("more_body"):
                break
        body = bytes(body)
        path, method = scope["path"], scope["method"]
        if path.startswith("/_sandbox/"):
            await self.control(method, path.removeprefix("/_sandbox/"), body, send)
            return

        service, action = self.what(scope, path, body)
        self.counters[f"{service}.{action}"] += 1
        if await self.fault(service, action, scope, send):
            return
        if path == "/authenticateRequest":
            await self.authenticate(method, body, send)
            return

        sent = False

        async def replay():
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        if service != "rds":
            await self.app.app(scope, replay, send)
            return
        # A change to a database must have reached PostgreSQL when the caller hears of it.
        held = []

        async def hold(message):
            held.append(message)

        await self.app.app(scope, replay, hold)
        shape_databases(self.rds)
        await self.databases.sync()
        for message in held:
            await send(message)

    @staticmethod
    def what(scope, path, body):
        if path == "/authenticateRequest":
            return "auth", "authenticateRequest"
        headers = {k.lower(): v.decode("latin-1") for k, v in scope.get("headers", [])}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        credential = re.search(r"Credential=([^,\s]+)", headers.get(b"authorization", ""))
        parts = (credential.group(1) if credential else query.get("X-Amz-Credential", [""])[0]).split("/")
        service = parts[3] if len(parts) == 5 else "other"
        target = headers.get(b"x-amz-target", "")
        if target:
            return service, target.rpartition(".")[2]
        form = {}
        if "form" in headers.get(b"content-type", ""):
            form = parse_qs(body.decode("utf-8", "replace"))
        return service, (form.get("Action") or query.get("Action") or [scope["method"]])[0]

    async def fault(self, service, action, scope, send):
        for fault in self.faults:
            if fault["count"] == 0 or fault["service"] not in ("*", service):
                continue
            if fault.get("action") and fault["action"] != action:
                continue
            if fault["count"] > 0:
                fault["count"] -= 1
            await asyncio.sleep(fault["delay_ms"] / 1000)
            if not fault["status"]:
                return False
            await fault_answer(send, fault, service, scope)
            return True
        return False

    async def authenticate(self, method, body, send):
        fields = body.split(b"\0")
        if method != "POST" or len(fields) != 4:
            await answer(send, 400, {"error": "expected user, token, resource and host"})
            return
        try:
            user, token, resource, rhost = (field.decode() for field in fields)
        except UnicodeDecodeError:
            user, token, resource, rhost = (field.decode("utf-8", "replace") for field in fields)
            token = ""  # RDS database users are UTF-8; nothing else can be signed for
        allowed = self.judge.decide(user, token, resource, rhost)
        await answer(send, 200 if allowed else 403, {"allowed": allowed})

    async def control(self, method, name, body, send):
        readers = {"auth-log": lambda: list(self.judge.log), "requests": lambda: dict(self.counters),
                   "health": lambda: {"ok": True}}
        if method == "GET" and name in readers:
            await answer(send, 200, readers[name]())
            return
        writers = {"iam-auth": self.iam_auth, "key": self.key, "expire-sessions": self.expire_sessions,
                   "session-lifetime": self.session_lifetime, "skew": self.skew, "fault": self.add_fault,
                   "reset": self.reset}
        if method != "POST" or name not in writers:
            await answer(send, 404, {"error": f"no such switch: {method} {name}",
                                     "get": sorted(readers), "post": sorted(writers)})
            return
        try:
            request = json.loads(body or b"{}")
            result = await writers[name](request)
        except (ValueError, KeyError, TypeError) as error:
            await answer(send, 400, {"error": f"{type(error).__name__}: {error}"})
            return
        await answer(send, 200, result)

    async def iam_auth(self, request):
        enabled = request["enabled"]
        if not isinstance(enabled, bool):
            raise ValueError("enabled must be true or false")
        for resource in self.config["databases"]:
            account, region, _, name = resource.split("/")
            cluster = self.rds._clusters.get_scoped(account, region, name)
            if cluster is not None:
                cluster["IAMDatabaseAuthenticationEnabled"] = enabled
        shape_databases(self.rds)
        await self.databases.sync()
        return {"enabled": enabled}

    async def key(self, request):
        if request["status"] not in ("Active", "Inactive"):
            raise ValueError("status must be Active or Inactive")
        for (_, key), record in self.iam._access_keys._data.items():
            if key == request["access_key_id"]:
                record["Status"] = request["status"]
                return {"access_key_id": key, "status": record["Status"]}
        raise ValueError("no such access key")

    async def expire_sessions(self, request):
        now = CLOCK.time()
        live = [s for s in self.sts._sessions.values() if s.get("Expiration", 0) > now]
        for session in live:
            session["Expiration"] = now - 1
        return {"expired": len(live)}

    async def session_lifetime(self, request):
        seconds = request["seconds"]
        self.assume_role.lifetime = None if seconds is None else float(seconds)
        return {"seconds": self.assume_role.lifetime}

    async def skew(self, request):
        CLOCK.skew = int(request["seconds"])
        return {"seconds": CLOCK.skew}

    async def add_fault(self, request):
        if request.get("clear"):
            self.faults.clear()
            return {"faults": []}
        self.faults.append({
            "service": str(request["service"]), "action": request.get("action"), "code": request.get("code"),
            "status": int(request.get("status") or 0), "delay_ms": int(request.get("delay_ms") or 0),
            "count": int(request.get("count", -1))})
        return {"faults": self.faults}

    async def reset(self, request):
        self.faults.clear()
        self.counters.clear()
        self.judge.log.clear()
        self.assume_role.lifetime = None
        CLOCK.skew = 0
        for record in self.iam._access_keys._data.values():
            record["Status"] = "Active"
        await self.iam_auth({"enabled": True})
        return {"reset": True}


async def answer(send, status, document, content_type=b"application/json"):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    await send({"type": "http.response.start", "status": status, "headers": [
        (b"content-type", content_type), (b"content-length", str(len(body)).encode()),
        (b"date", CLOCK.http_date().encode())]})
    await send({"type": "http.response.body", "body": body})


async def fault_answer(send, fault, service, scope):
    """An error in the form the service's SDK understands."""
    status = fault["status"]
    code = fault["code"] or {400: "ThrottlingException", 403: "AccessDenied", 429: "TooManyRequestsException",
                             500: "InternalFailure"}.get(status, "ServiceUnavailable")
    message = "Fault injected by the sandbox"
    if service in ("sts", "iam", "rds"):
        if code == "ThrottlingException" and not fault["code"]:
            code = "Throttling"
        kind = "Receiver" if status >= 500 else "Sender"
        xml = (f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code><Message>{message}</Message>"
               f"</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>")
        await answer(send, status, xml.encode(), b"text/xml")
    else:
        await answer(send, status, {"__type": code, "message": message}, b"application/x-amz-json-1.1")


def main():
    with open(sys.argv[1]) as file:
        config = json.load(file)
    # ministack reads its settings when it is imported.
    os.environ.update({
        "AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(config["port"]),
        "MINISTACK_HOST": "127.0.0.1", "MINISTACK_REGION": config["region"],
        "MINISTACK_ACCOUNT_ID": config["account"], "AWS_SECRET_ACCESS_KEY": config["root_secret"],
        "AWS_ACCESS_KEY_ID": config["account"], "PERSIST_STATE": "0", "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "WARNING", "TMPDIR": config["tmp"],
        "MINISTACK_WORKER_THREADS": "8"})
    os.environ.pop("AWS_SESSION_TOKEN", None)
    modules = patch_ministack()
    app, evaluator, rds_iam, responses, iam, rds, sts, assume_role = modules
    judge = Judge(config, evaluator, rds_iam, responses, iam, rds, sts)
    gateway = Gateway(config, app, iam, rds, sts, judge, Databases(config, rds), assume_role)

    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    settings = Config()
    settings.bind = [f"127.0.0.1:{config['port']}"]
    settings.keep_alive_timeout = 75
    settings.include_date_header = False  # ministack and `answer` send the skewed one
    settings.graceful_timeout = 0.2
    settings.shutdown_timeout = 0.5
    settings.loglevel = "WARNING"
    asyncio.run(serve(gateway, settings))


if __name__ == "__main__":
    main()
