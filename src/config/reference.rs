//! Every key of the configuration with its default and its meaning: the source of
//! `docs/configuration.md`, and of the defaults themselves.

use std::fmt::Write as _;

/// One key of the configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        default,
        meaning,
    }
}

/// Keys at the top of the file.
pub const TOP: &[Key] = &[
    key(
        "listen",
        "5432",
        "Addresses for targets without a `listen` of their own: a port (on 127.0.0.1), `host:port`, `[::1]:port`, `unix:/dir` or `unix:/dir:port`. The second such target gets the next port. A listener beyond loopback needs `authenticators`, `[policy]` and `[client_tls]`.",
    ),
    key(
        "proxy_protocol_from",
        "none",
        "Load balancers in front of the TCP listeners: addresses or networks (`10.0.0.0/16`). Every connection must then come from one of them and begin with a PROXY protocol v2 header; what it names is the client's address. Without it a header is never taken.",
    ),
    key(
        "admin",
        "off",
        "Loopback address of `/startup`, `/readiness`, `/liveness`, `/metrics`, `/sessions`, `POST /sessions/terminate`, `POST /reload` and `POST /shutdown`, or `off`. Whoever reaches it is `LocalUser::\"local\"` to policies.",
    ),
    key(
        "max_clients",
        "1000",
        "Client connections at a time, at least 1; a further one is refused with SQLSTATE 53300. Each takes two files: where the limit of open files (`ulimit -n`) is lower, fewer are let in, and a warning says how many.",
    ),
    key(
        "max_clients_per_source",
        "0",
        "Client connections at a time from one IPv4 address or one IPv6 /64, those included that have not logged in yet; a further one is refused with SQLSTATE 53300. 0 means no limit.",
    ),
    key(
        "max_sessions_per_caller",
        "0",
        "Sessions at a time of one proven caller, wherever it comes from, those included that still log in; a further one is refused with SQLSTATE 53300 before policy is asked. All sessions of an IAM role are one caller, and so are all that come over loopback and prove nothing. Each replica counts its own. 0 means no limit.",
    ),
    key(
        "new_sessions_per_caller",
        "0",
        "New sessions a second of one caller, those included that policy then refuses; a second's worth may come at once. Faster ones are refused with SQLSTATE 53300. 0 means no limit.",
    ),
    key(
        "workers",
        "0",
        "Threads of the data path; 0 means one for each processor.",
    ),
    key(
        "logins_per_second",
        "150",
        "New logins a second for each cluster; further ones queue. RDS throttles IAM logins at 200 a second. 0 means no limit.",
    ),
    key(
        "startup_timeout",
        "60s",
        "From accept until the client is logged in at the server.",
    ),
    key("dial_timeout", "10s", "For DNS and TCP to the server."),
    key("tls_timeout", "10s", "For the TLS handshake with the server."),
    key(
        "login_timeout",
        "30s",
        "From the startup message to the server's first ReadyForQuery.",
    ),
    key(
        "tcp_user_timeout",
        "0s",
        "How long bytes may be under way to a client or server that does not take them, before its connection counts as dead. It also cuts living ones that take nothing for so long: a slow reader, a server that waits for a lock. 0s leaves it to the kernel (about 15 minutes); idle connections are probed after 30 s in any case.",
    ),
    key(
        "drain_timeout",
        "30s",
        "After SIGTERM: how long sessions may take to finish their transactions.",
    ),
    key(
        "session_grace",
        "30s",
        "How long a session that is to end (policies changed, its time is over, an operator said so) may take to finish its transaction.",
    ),
    key(
        "socket_uids",
        "[]",
        "User ids that may use unix-socket listeners, besides the one dbproxy runs as. The socket is then open to all by its mode, and the peer's uid decides; its directory must let them in.",
    ),
    key("log_format", "text", "`text` or `json`; log lines go to stderr."),
    key("log_level", "info", "`error`, `warn`, `info` or `debug`."),
    key(
        "authenticators",
        "[\"local\"]",
        "How callers may prove who they are, tried in this order, the first that fits decides; those that ask for a password or token fit everybody: `local` (loopback and unix sockets), `aws-iam`, `oidc`, `oauthbearer` (the tokens of `oidc`, as libpq 18 sends them; not beside others that are asked for), `mtls`, `scram`. A listener beyond loopback needs others than `local`, policies and `[client_tls]`.",
    ),
    key(
        "login_failures_per_minute",
        "20",
        "Failed proofs from one address within a minute that have it refused for the next minute. 0 means no limit.",
    ),
    key("aws_iam", "none", "A table: proofs of AWS identities."),
    key(
        "oidc",
        "none",
        "A table of issuers by any name, whose tokens prove callers.",
    ),
    key(
        "http_ca_file",
        "none",
        "PEM file of authorities to trust for `jwks_uri`, issuers and STS, beside the machine's own.",
    ),
    key("scram", "none", "A table: callers with a password of their own."),
    key(
        "audit",
        "none",
        "A table: where the JSON lines go that say who was on what, when. The log has them in short in any case.",
    ),
    key("client_tls", "none", "A table: TLS towards clients."),
    key(
        "peers",
        "none",
        "A table: the replicas that share one address, so that a cancel which reaches the wrong one is handed on.",
    ),
    key(
        "policy",
        "none",
        "A table: the Cedar policies that decide who may be which db user. Without it one rule is built in: callers on loopback and unix listeners may be any db user of the target.",
    ),
    key(
        "manifest",
        "none",
        "The access manifest (`policies/access.toml`). A target takes from its cluster there (that of its name, of its resource id, or the one that its `cluster` names) `db_users`, `databases`, `account_id`, `region`, `resource_id` (where there is one alone) and `[targets.<name>.db_roles]`, before `[defaults]`; what the target says itself may only leave something out, and whatever the manifest does not have is a mistake. Brokers take nothing. Policies learn whom it lists (`context.granted`), and grants with an `until` end then. Read again on SIGHUP and when it changes; one with a mistake never replaces one that is in force. Commands of provisioning read it, too.",
    ),
    key(
        "provision",
        "none",
        "A table: what the running proxy changes in databases by the manifest.",
    ),
    key(
        "groups",
        "none",
        "A table of lists: principals that policies call by one name, such as `oncall = ['IamRole::\"arn:aws:iam::111122223333:role/oncall\"']` for `Group::\"oncall\"`.",
    ),
    key("defaults", "none", "A table: what targets have in common."),
    key("targets", "none", "A table of targets by name."),
];

/// Keys of `[client_tls]`.
pub const CLIENT_TLS: &[Key] = &[
    key(
        "cert_file",
        "required",
        "PEM file with the certificate chain. Read again on SIGHUP.",
    ),
    key(
        "key_file",
        "required",
        "PEM file with the private key. Read again on SIGHUP.",
    ),
    key("required", "false", "Refuse clients that do not use TLS."),
    key(
        "client_ca_file",
        "none",
        "PEM file of the authorities whose client certificates prove callers (`mtls`). Clients without one are still let into TLS. Read again on SIGHUP.",
    ),
    key(
        "client_crl_files",
        "none",
        "Files with revocation lists of those authorities. One that has expired refuses all certificates of its issuer. Read again on SIGHUP, for new connections: open sessions go on until their certificate ends.",
    ),
    key(
        "client_name",
        "first",
        "The name of a certificate that is the caller's: `uri`, `email`, `dns` (alternative names), `cn`, or `first`: the first of them that there is. Several of that kind: refused.",
    ),
];

/// Keys of `[aws_iam]`.
pub const AWS_IAM: &[Key] = &[
    key(
        "audience",
        "required",
        "The name of this broker: callers sign it with their proof, so that a proof for one broker opens no other (`dbproxy login --audience`).",
    ),
    key(
        "accounts",
        "any",
        "AWS accounts (12 digits each) whose roles and users are callers; those of others are not proven. Without it anybody with an AWS account is a proven caller, whom policy refuses if nothing permits it.",
    ),
    key(
        "regions",
        "any",
        "AWS regions whose STS may be asked about a proof; the host is made from the region, never taken from a caller.",
    ),
    key(
        "max_age",
        "60s",
        "How old a proof may be, at most 15m. Each is accepted once.",
    ),
    key(
        "endpoint",
        "none",
        "`http://127.0.0.1:port` of a stand-in for STS, for tests.",
    ),
];

/// Keys of `[oidc.<name>]`.
pub const OIDC: &[Key] = &[
    key("issuer", "required", "What `iss` of its tokens is, exactly."),
    key("audience", "required", "What `aud` of its tokens holds."),
    key(
        "jwks_uri",
        "by discovery",
        "Where its keys are; otherwise `<issuer>/.well-known/openid-configuration` says it.",
    ),
    key(
        "groups_claim",
        "groups",
        "The claim that lists a caller's groups.",
    ),
    key(
        "groups_prefix",
        "oidc:",
        "Stands before the names of its groups in policies (`Group::\"oidc:data\"`); no two issuers may have the same.",
    ),
    key(
        "max_lifetime",
        "24h",
        "Tokens that are valid for longer, from `iat` to `exp`, are refused.",
    ),
    key(
        "aws",
        "false",
        "The issuer is an AWS account's own (`sts:GetWebIdentityToken`): the subject is an IAM role or user, the audience must be the only one.",
    ),
    key(
        "once",
        "false",
        "Accept each token (`jti`) once. Each replica remembers by itself.",
    ),
    key(
        "sessions_outlive_token",
        "false",
        "A session goes on when the token that opened it expires. For issuers whose tokens live for minutes only, such as AWS; how long a session may last is then for policies (`@max_session`) and operators.",
    ),
];

/// Keys of `[scram]`.
pub const SCRAM: &[Key] = &[key(
    "file",
    "required",
    "One caller a line: `\"name\" \"SCRAM-SHA-256$…\"`, verifiers as PostgreSQL keeps them. Read again on SIGHUP.",
)];

/// Keys of `[audit]`.
pub const AUDIT: &[Key] = &[
    key("stdout", "false", "Write the lines to stdout."),
    key(
        "file",
        "none",
        "Append them to this file, which only its owner may read.",
    ),
    key(
        "rotate_megabytes",
        "100",
        "At this size the file becomes `<file>.1`, and older ones move on. 0 leaves that to others (logrotate).",
    ),
    key("keep", "10", "How many old files stay, 1 to 100."),
    key(
        "syslog",
        "none",
        "Send them to syslog (RFC 5424): `unix:/dev/log`, `udp:host:514` or `tcp:host:601`.",
    ),
    key("syslog_facility", "10", "Its number; 10 is authpriv."),
    key(
        "required",
        "false",
        "No session begins before its line is written; while that fails clients read 57P03.",
    ),
];

/// Keys of `[policy]`.
pub const POLICY: &[Key] = &[key(
    "dir",
    "required",
    "Directory whose `*.cedar` files are the policies. Read again on SIGHUP and when they change; a set with a mistake never replaces one that is in force.",
)];

/// Keys of `[provision]`.
pub const PROVISION: &[Key] = &[key(
    "take_back",
    "false",
    "When a grant with an `until` ends, take the membership back in the database and end the db user's sessions there and here, as the cluster's `provisioner`, whose credential must be at hand as for `dbproxy apply`. Of targets that this dbproxy serves; several replicas may do so at once. Needs `manifest`.",
)];

/// Keys of `[peers]`.
pub const PEERS: &[Key] = &[
    key(
        "listen",
        "required",
        "Address and port where the other replicas reach this one; TLS 1.3, and only replicas with the same secret get in.",
    ),
    key(
        "advertise",
        "`listen`",
        "The address and port that this replica has among `members`, where that is not `listen`. For `0.0.0.0` it is found by itself.",
    ),
    key(
        "members",
        "required",
        "The replicas, as `host` or `host:port` (6433): addresses, or one name that resolves to all of them. This one may be among them. Names are resolved anew every five seconds, when they are needed.",
    ),
    key(
        "secret_file",
        "required",
        "File whose first line is the secret that all replicas share, 32 bytes or longer (`openssl rand -hex 32`). Read at start.",
    ),
];

/// Keys of `[targets.<name>]`.
pub const TARGET: &[Key] = &[
    key(
        "listen",
        "the next port",
        "Addresses of this target, as `listen` above.",
    ),
    key(
        "proxy_protocol_from",
        "as above",
        "Load balancers in front of this target's TCP listeners, as above; `[]` for none.",
    ),
    key(
        "authenticators",
        "as above",
        "How callers may prove themselves at this target's listeners.",
    ),
    key(
        "endpoint",
        "required",
        "The RDS endpoint name (of a broker: its host), with or without `:port`. Unless the next keys say otherwise it is dialled, must be in the server's certificate, and is what tokens are signed for.",
    ),
    key("port", "5432", "The database's port."),
    key(
        "dial",
        "the endpoint",
        "`host:port` to connect to instead: a tunnel, a forwarded port.",
    ),
    key(
        "tls_name",
        "the endpoint",
        "The name that the server's certificate must carry.",
    ),
    key(
        "token_host",
        "the endpoint",
        "The host that tokens are signed for; RDS accepts only its own names, never a CNAME.",
    ),
    key("token_port", "the port", "The port that tokens are signed for."),
    key(
        "region",
        "from the name",
        "AWS region of the database. Of a broker: whose STS vouches for proofs; otherwise that of AWS_REGION or the profile.",
    ),
    key(
        "resource_id",
        "none",
        "`cluster-…`, `db-…` or `prx-…`; for session policies and exact hints. It changes when a database is restored.",
    ),
    key(
        "cluster",
        "by its name",
        "The cluster of the access manifest that this target leads to: for a second way in, such as a reader endpoint. A target whose `resource_id` is one of a cluster's is of that cluster even if it does not say so.",
    ),
    key(
        "account_id",
        "from the role",
        "AWS account of the database, for the same.",
    ),
    key(
        "ca_file",
        "shipped",
        "PEM file of the authorities to trust instead of the shipped RDS (for RDS Proxy: Amazon; for a broker: this machine's own) roots. Read at start.",
    ),
    key(
        "db_users",
        "none",
        "Database users that callers may be; `[\"*\"]` means any, and is the default of a broker, which decides itself.",
    ),
    key(
        "db_roles",
        "none",
        "A table of lists: db roles of this database and the db users that are members, such as `reader = [\"app_ro\"]`. Policies may speak of `DbRole::\"<target>/reader\"`.",
    ),
    key("databases", "any", "Databases that a client may name."),
    key(
        "default_database",
        "none",
        "Used when a client names no database. libpq then asks for one named like the user, which counts as none unless `databases` lists it. Must be in `databases` if those are given. `dbproxy connect` and the ready line propose it.",
    ),
    key(
        "default_db_user",
        "none",
        "The database user that `dbproxy connect` and the ready line propose; must be in `db_users`.",
    ),
    key("credential", "iam", "A table: how to log in."),
    key(
        "users",
        "none",
        "A table by db user, each with its own `credential`; these users need not be in `db_users`.",
    ),
    key(
        "caller_in_application_name",
        "true",
        "Let the database see who the caller is, behind the client's own name: `psql (arn:aws:iam::111122223333:role/app)`, at most 63 bytes. `LocalUser`s are left out; towards a broker it does nothing.",
    ),
    key(
        "caller_setting",
        "false",
        "Give the database the caller's full name in the setting `dbproxy.caller`, which row-level security can read ([how](propagation.md)). Not of a broker.",
    ),
];

/// Keys of `[defaults]`.
pub const DEFAULTS: &[Key] = &[
    key(
        "region",
        "none",
        "AWS region of the databases whose name does not say it.",
    ),
    key("account_id", "none", "As in a target."),
    key("ca_file", "none", "As in a target."),
    key("port", "none", "As in a target."),
    key("db_users", "none", "As in a target."),
    key("databases", "none", "As in a target."),
    key("default_database", "none", "As in a target."),
    key("default_db_user", "none", "As in a target."),
    key("caller_in_application_name", "none", "As in a target."),
    key("caller_setting", "none", "As in a target."),
    key(
        "credential",
        "none",
        "As in a target. A target's own `credential` takes the place of the whole table.",
    ),
];

/// Keys of a `credential` table.
pub const CREDENTIAL: &[Key] = &[
    key(
        "kind",
        "iam",
        "`iam` (an auth token), `password_file`, `password_env`, `secret` (AWS Secrets Manager), `passthrough` (the server's own exchange is relayed to the client; not where clients are asked for a proof) or `broker` (the server is another dbproxy, which is shown who logs in).",
    ),
    key(
        "assume_role",
        "none",
        "For `iam`, a table: sign with the credentials of this role.",
    ),
    key(
        "file",
        "required",
        "For `password_file`: the file whose first line is the password; for `broker` with `token_file`: the token (a JWT). Read at every login.",
    ),
    key(
        "variable",
        "required",
        "For `password_env`: the environment variable with the password.",
    ),
    key(
        "secret_id",
        "required",
        "For `secret`: name or ARN; the field `password` of a JSON object, or the whole text. Read again after five minutes and after a refused login.",
    ),
    key(
        "audience",
        "the endpoint",
        "For `broker`: its name, `audience` of its `[aws_iam]`; a proof for one broker opens no other.",
    ),
    key(
        "proof",
        "aws-iam",
        "For `broker`: `aws-iam` (a proof of the identity of the default AWS credentials, made anew for every login) or `token_file`.",
    ),
];

/// Keys of an `assume_role` table.
pub const ASSUME_ROLE: &[Key] = &[
    key(
        "role_arn",
        "required",
        "The role, usually in the database's account.",
    ),
    key("external_id", "none", "What the role's trust policy asks for."),
    key(
        "session_name",
        "dbproxy",
        "Shown in CloudTrail of both accounts. This and the next two may hold `{caller}`, `{db_user}` and `{target}`.",
    ),
    key(
        "source_identity",
        "none",
        "Stays with the session in CloudTrail; the trust policy must allow sts:SetSourceIdentity.",
    ),
    key(
        "tags",
        "none",
        "A table of session tags; the trust policy must allow sts:TagSession.",
    ),
    key(
        "duration",
        "1h",
        "How long the session lives; cut to 1h when dbproxy's own credentials are a role's.",
    ),
    key(
        "session_policy",
        "true with resource_id",
        "Shrink the session to `rds-db:connect` on exactly the db user asked for.",
    ),
];

/// A table of the configuration: its title, a sentence if the keys do not say all, its keys.
type Described = (&'static str, &'static str, &'static [Key]);

const SECTIONS: [Described; 13] = [
    ("Top of the file", "", TOP),
    ("`[client_tls]`", "", CLIENT_TLS),
    ("`[aws_iam]`", "", AWS_IAM),
    ("`[oidc.<name>]`", "", OIDC),
    ("`[scram]`", "", SCRAM),
    ("`[audit]`", "", AUDIT),
    ("`[policy]`", "", POLICY),
    ("`[provision]`", "", PROVISION),
    ("`[peers]`", "", PEERS),
    (
        "`[defaults]`",
        "Every target inherits these keys unless it sets them itself; so does an endpoint given as TARGET unless a flag sets them.",
        DEFAULTS,
    ),
    ("`[targets.<name>]`", "", TARGET),
    (
        "`[targets.<name>.credential]` and `[targets.<name>.users.<db user>.credential]`",
        "",
        CREDENTIAL,
    ),
    ("`[….credential.assume_role]`", "", ASSUME_ROLE),
];

/// The default of a key at the top of the file.
pub fn default_of(name: &str) -> &'static str {
    TOP.iter()
        .find(|key| key.name == name)
        .map_or("", |key| key.default)
}

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         Generated from `src/config/reference.rs`; `tests/it/docs.rs` compares.\n\n\
         dbproxy reads the first of: `--config FILE`, `./dbproxy.toml`, \
         `$XDG_CONFIG_HOME/dbproxy/config.toml` (`~/.config/dbproxy/config.toml`), \
         `/etc/dbproxy/config.toml`. A flag wins over its environment variable (`DBPROXY_<FLAG>`), \
         which wins over the file. Durations are written `500ms`, `15s`, `2m`, `1h`. All mistakes are \
         reported at once, each with its key, and nothing listens until there are none.\n",
    );
    for (title, about, keys) in SECTIONS {
        let about = match about {
            "" => String::new(),
            about => format!("{about}\n\n"),
        };
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "\n## {title}\n\n{about}| key | default | meaning |\n| --- | --- | --- |\n"
        );
        for Key {
            name,
            default,
            meaning,
        } in keys
        {
            let _ = writeln!(out, "| `{name}` | {default} | {meaning} |");
        }
    }
    out
}
