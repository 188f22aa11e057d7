//! Costs of single steps: signing a token, finding one in the cache, reading a startup packet,
//! walking over messages. `cargo bench --bench micro`; figures in `docs/benchmarks.md`.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose input is wrong should fail loudly"
)]

use aws_credential_types::Credentials;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dbproxy::access::credential::cache::{Life, RefreshingCache};
use dbproxy::access::policy::set::PolicyFile;
use dbproxy::access::policy::{Action, Circumstances, Groups, Policy, Question, Set, Verdict};
use dbproxy::domain::caller::{Caller, Principal, ProofKind};
use dbproxy::domain::credential::{AuthToken, Freshness};
use dbproxy::domain::endpoint::{EndpointName, Region, RootsKind};
use dbproxy::domain::name::{DatabaseName, DbRole, DbUser, TargetName};
use dbproxy::domain::target::{CredentialKind, HostPort, Target, TrustRoots, Users};
use dbproxy::platform::aws::sign::{TokenScope, auth_token};
use dbproxy::platform::clock::Clock;
use dbproxy::platform::task::Background;
use dbproxy::platform::wire::startup::{OPENING_BYTES_MAX, StartupMessage, parse};
use dbproxy::platform::wire::walker::{FrameWalker, Traffic};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// As long as the session tokens that STS hands out for an assumed role.
const SESSION_TOKEN_BYTES: usize = 1_216;
const ROWS: u64 = 100;

/// 2026-11-22T00:00:00Z
fn signing_time() -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(1_795_305_600))
        .unwrap()
}

fn credentials(session_token: Option<String>) -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    Credentials::new("AKIDEXAMPLE", secret, session_token, None, "benchmark")
}

fn scope() -> TokenScope {
    TokenScope {
        host: "orders.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com".to_owned(),
        port: 5432,
        region: Region::new("us-east-1").unwrap(),
        user: DbUser::new("app_rw").unwrap(),
    }
}

fn token_minting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token minting");
    let session = "IQoJb3JpZ2lu/+="
        .chars()
        .cycle()
        .take(SESSION_TOKEN_BYTES)
        .collect();
    let (scope, now) = (scope(), signing_time());
    for (name, credentials) in [
        ("static credentials", credentials(None)),
        ("session credentials", credentials(Some(session))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| auth_token(black_box(&credentials), black_box(&scope), now).unwrap());
        });
    }
    group.finish();
}

/// A token that is held and not due for renewal, as nearly every login finds it.
fn cache_hit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let life = Life::new(Duration::from_secs(60), |token: &AuthToken| {
        Some(token.expires_at)
    });
    let clock = Clock::system();
    let background = Background::new(runtime.handle().clone());
    let cache: RefreshingCache<TokenScope, AuthToken, String> =
        RefreshingCache::new(life, clock.clone(), background);
    let key = scope();
    // Shared, so that handing the fill to each call costs next to nothing.
    let inputs = Arc::new((credentials(None), key.clone()));
    let fill = move || {
        let token = auth_token(&inputs.0, &inputs.1, clock.now()).map_err(|error| error.to_string());
        async move { token }
    };
    let (_, first) = runtime.block_on(cache.get(&key, fill.clone())).unwrap();
    assert_eq!(first, Freshness::Fresh);
    criterion.bench_function("token cache hit", |bencher| {
        // One entry into the runtime for all rounds: a session is inside it already.
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..rounds {
                    let (token, freshness) = cache.get(black_box(&key), fill.clone()).await.unwrap();
                    assert_eq!(freshness, Freshness::Cached);
                    black_box(token);
                }
                began.elapsed()
            })
        });
    });
}

fn startup_parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("startup parsing");
    let usual = [
        ("user", "app_rw"),
        ("database", "orders"),
        ("application_name", "orders-api"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "Europe/Berlin"),
        ("extra_float_digits", "2"),
        (
            "options",
            "-c statement_timeout=5000 -c search_path=orders,public",
        ),
    ];
    // The longest packet there may be: the bound of the work an unknown peer can cause.
    let filler = "x".repeat(OPENING_BYTES_MAX.saturating_sub(60));
    let longest = [("user", "app_rw"), ("database", "orders"), ("options", &*filler)];
    for (name, body) in [("usual", packet(&usual)), ("longest", packet(&longest))] {
        assert!(body.len() < OPENING_BYTES_MAX);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| parse(black_box(&body)).unwrap()));
    }
    group.finish();
}

/// A startup packet without its length.
fn packet(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = 196_608_u32.to_be_bytes().to_vec();
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        packet.extend_from_slice(text.as_bytes());
        packet.push(0);
    }
    packet.push(0);
    let message = StartupMessage::new(parameters.iter().copied());
    assert_eq!(message.parameters().count(), parameters.len());
    packet
}

/// What the relay pays for looking at message heads: a result of 100 rows in one chunk, and in the
/// pieces of TLS records that do not end where messages do.
fn frame_walking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame walking");
    group.throughput(Throughput::Elements(ROWS));
    for columns in [[10_usize, 30, 12, 4], [100, 60, 80, 10]] {
        let row: Vec<u8> = columns.iter().flat_map(|&width| column(width)).collect();
        let row = [&4_u16.to_be_bytes()[..], &row].concat();
        let row = message(b'D', &row);
        let chunk = row.repeat(usize::try_from(ROWS).unwrap());
        let size = format!("100 rows of {} bytes", row.len());
        group.bench_function(BenchmarkId::new("walker", &size), |bencher| {
            let mut walker = FrameWalker::default();
            bencher.iter(|| {
                let mut seen = 0_u32;
                walker.walk(black_box(&chunk), |_, _| seen = seen.wrapping_add(1));
                seen
            });
        });
        let answer = [&chunk[..], &message(b'C', b"SELECT 100\0"), &message(b'Z', b"I")].concat();
        group.bench_function(BenchmarkId::new("traffic, in pieces", &size), |bencher| {
            let mut traffic = Traffic::after_ready(b'I');
            bencher.iter(|| {
                for piece in black_box(&answer).chunks(1_000) {
                    traffic.server_bytes(piece);
                }
                traffic.is_idle()
            });
        });
    }
    group.finish();
}

fn column(width: usize) -> Vec<u8> {
    let length = u32::try_from(width).unwrap();
    [&length.to_be_bytes()[..], &vec![b'7'; width]].concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len().saturating_add(4)).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// Half of the policies speak of other people, a tenth forbids something to everybody, the rest permits things to
/// groups, each with a condition.
fn policies(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let id = format!("@id(\"policy-{number}\")");
        let policy = match number % 10 {
            0 => "forbid (principal, action, resource in DbRole::\"orders/owner\") unless { context.mfa };"
                .to_owned(),
            1..=5 => format!(
                "permit (principal == IamRole::\"arn:aws:iam::111122223333:role/r{number}\", action == \
                 Action::\"connect\", resource in DbRole::\"orders/reader\") when {{ context.tls }};"
            ),
            _ => format!(
                "permit (principal in Group::\"oidc:g{number}\", action, resource in Cluster::\"orders\") when {{ \
                 context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) }};"
            ),
        };
        text.push_str(&format!("{id} {policy}\n"));
    }
    text
}

fn orders() -> Arc<Target> {
    let user = |name: &str| DbUser::new(name).unwrap();
    let at = HostPort {
        host: "localhost".to_owned(),
        port: 5432,
    };
    let users: Vec<DbUser> = (0..20).map(|number| user(&format!("user{number}"))).collect();
    Arc::new(Target {
        name: TargetName::new("orders").unwrap(),
        endpoint: EndpointName::parse("localhost"),
        dial: at.clone(),
        tls_name: "localhost".to_owned(),
        token: at,
        region: Region::new("us-east-1").unwrap(),
        resource_id: None,
        account_id: None,
        trust: TrustRoots::Shipped(RootsKind::Rds),
        db_roles: [(DbRole::new("reader").unwrap(), users.clone())].into(),
        cluster: None,
        declared: Default::default(),
        users: Users::Listed(users),
        databases: Vec::new(),
        default_database: None,
        default_db_user: None,
        credential: CredentialKind::Passthrough,
        user_credentials: Default::default(),
        propagation: Default::default(),
    })
}

/// Policies whose heads fit every caller, so that each has to be evaluated; and what a client that none of them permits
/// costs, with the search for whom it may be.
fn policy_denials(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy without slices");
    for count in [10, 100, 1_000] {
        let text = (0..count).map(|number| {
            format!(
                "@id(\"p{number}\") permit (principal is OidcUser, action, resource in Cluster::\"orders\") when {{ \
                 principal has email && principal.email == \"u{number}@example.org\" }};\n"
            )
        });
        let file = PolicyFile {
            path: "bench.cedar".into(),
            text: text.collect(),
        };
        let policy = Policy::of(Set::of(vec![file]).unwrap(), Groups::default());
        let mut asked = question(orders(), vec!["oidc:others".to_owned()]);
        asked.caller.email = Some("nobody@example.org".to_owned());
        group.bench_with_input(BenchmarkId::new("decision", count), &asked, |bencher, asked| {
            bencher.iter(|| policy.verdict(black_box(asked)));
        });
        group.bench_with_input(
            BenchmarkId::new("denied client", count),
            &asked,
            |bencher, asked| {
                bencher.iter(|| policy.choose(black_box(asked.clone())).is_err());
            },
        );
    }
    group.finish();
}

fn question(target: Arc<Target>, groups: Vec<String>) -> Question {
    let principal = Principal::Oidc {
        issuer: "https://issuer.example".to_owned(),
        subject: "jane".to_owned(),
    };
    let mut caller = Caller::new(principal, ProofKind::Oidc);
    caller.groups = groups;
    Question {
        caller,
        action: Action::Connect,
        target,
        db_user: DbUser::new("user7").unwrap(),
        database: DatabaseName::new("app").unwrap(),
        role: None,
        around: Circumstances {
            source: Some("10.1.2.3".parse().unwrap()),
            tls: true,
            now: signing_time(),
            application: "psql".to_owned(),
            listener: "0.0.0.0:5432".to_owned(),
        },
    }
}

fn policy_decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy decision");
    let target = orders();
    for count in [10, 100, 1_000] {
        let file = PolicyFile {
            path: "bench.cedar".into(),
            text: policies(count),
        };
        let policy = Policy::of(Set::of(vec![file]).unwrap(), Groups::default());
        for (name, member) in [("permit", true), ("deny", false)] {
            let groups = match member {
                true => (0..20).map(|number| format!("oidc:g{number}")).collect(),
                false => vec!["oidc:others".to_owned()],
            };
            let question = question(target.clone(), groups);
            assert_eq!(
                matches!(policy.verdict(&question), Verdict::Permit { .. }),
                member
            );
            group.bench_with_input(BenchmarkId::new(name, count), &question, |bencher, question| {
                bencher.iter(|| policy.verdict(black_box(question)));
            });
        }
    }
    group.finish();
}

criterion_group!(
    steps,
    token_minting,
    cache_hit,
    startup_parsing,
    frame_walking,
    policy_decisions,
    policy_denials
);
criterion_main!(steps);
