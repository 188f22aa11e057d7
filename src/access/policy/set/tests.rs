use super::*;
use crate::access::policy::question::{Action, Circumstances};
use crate::access::policy::{Denial, Groups, NotPermitted, Policy, lint};
use crate::domain::caller::{Caller, Principal, ProofKind};
use crate::domain::endpoint::{EndpointName, Region, RootsKind};
use crate::domain::name::{DatabaseName, DbRole, DbUser, TargetName};
use crate::domain::reason::CloseReason;
use crate::domain::target::{CredentialKind, HostPort, Target, TrustRoots, Users};
use crate::error::ClientFacing as _;
use std::time::{Duration, SystemTime};

fn file(text: &str) -> PolicyFile {
    PolicyFile {
        path: "test.cedar".into(),
        text: text.to_owned(),
    }
}

fn set(text: &str) -> Set {
    Set::of(vec![file(text)]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn mistakes(text: &str) -> String {
    Set::of(vec![file(text)]).unwrap_err().to_string()
}

fn target() -> Arc<Target> {
    let user = |name: &str| DbUser::new(name).unwrap();
    let at = HostPort {
        host: "localhost".into(),
        port: 5432,
    };
    Arc::new(Target {
        name: TargetName::new("orders").unwrap(),
        endpoint: EndpointName::parse("localhost"),
        dial: at.clone(),
        tls_name: "localhost".into(),
        token: at,
        region: Region::new("us-east-1").unwrap(),
        resource_id: None,
        account_id: Some("111122223333".into()),
        trust: TrustRoots::Shipped(RootsKind::Rds),
        users: Users::Listed(vec![user("app_ro"), user("app_rw"), user("owner")]),
        db_roles: [(DbRole::new("reader").unwrap(), vec![user("app_ro")])].into(),
        cluster: None,
        declared: Default::default(),
        databases: vec![DatabaseName::new("app").unwrap()],
        default_database: None,
        default_db_user: None,
        credential: CredentialKind::Passthrough,
        user_credentials: Default::default(),
        propagation: Default::default(),
    })
}

/// 2026-11-25T10:00:00Z, a Wednesday
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_800)
}

fn jane() -> Caller {
    let principal = Principal::Oidc {
        issuer: "https://issuer.example".into(),
        subject: "jane".into(),
    };
    let mut caller = Caller::new(principal, ProofKind::Oidc);
    caller.groups = vec!["oidc:data".into()];
    caller
}

fn question(caller: Caller, db_user: &str) -> Question {
    Question {
        caller,
        action: Action::Connect,
        target: target(),
        db_user: DbUser::new(db_user).unwrap(),
        database: DatabaseName::new("app").unwrap(),
        role: None,
        around: Circumstances {
            source: Some("10.1.2.3".parse().unwrap()),
            tls: true,
            now: now(),
            application: "psql".into(),
            listener: "127.0.0.1:5432".into(),
        },
    }
}

fn policy(text: &str) -> Policy {
    Policy::of(set(text), Groups::default())
}

const READERS: &str = r#"
    @id("readers") @max_session("8h")
    permit (principal in Group::"oidc:data", action == Action::"connect", resource in DbRole::"orders/reader")
    when { context.tls && context.database == "app" && context.source.isInRange(ip("10.0.0.0/8")) };
"#;

/// `context.source` may be missing, so strict validation asks for the test.
fn readers() -> String {
    READERS.replace("context.source.", "context has source && context.source.")
}

#[test]
fn a_role_of_the_database_is_what_policies_speak_of() {
    let policy = policy(&readers());
    let permit = policy.decide(question(jane(), "app_ro")).unwrap();
    assert_eq!(permit.policies(), ["readers".into()]);
    assert_eq!(
        permit.expires(),
        Some((now() + Duration::from_secs(8 * 3_600), CloseReason::PermitExpired))
    );
    let Err(Denial::NotPermitted(denied)) = policy.decide(question(jane(), "app_rw")) else {
        panic!("app_rw is no reader")
    };
    assert_eq!(denied.instead.permitted, [DbUser::new("app_ro").unwrap()]);
    assert!(denied.forbidden_by.is_empty());
}

#[test]
fn every_part_of_the_context_counts() {
    let policy = policy(&readers());
    let changes: [fn(&mut Question); 4] = [
        |q| q.around.tls = false,
        |q| q.around.source = Some("192.0.2.1".parse().unwrap()),
        |q| q.around.source = None,
        |q| q.action = Action::Replicate,
    ];
    for change in changes {
        let mut asked = question(jane(), "app_ro");
        change(&mut asked);
        assert!(matches!(policy.decide(asked), Err(Denial::NotPermitted(_))));
    }
    let mut mapped = question(jane(), "app_ro");
    mapped.around.source = Some("::ffff:10.1.2.3".parse().unwrap());
    assert!(policy.decide(mapped).is_ok(), "the same address in IPv6's dress");
}

#[test]
fn a_client_that_names_no_db_user_gets_the_one_it_may_be() {
    let one = policy(&readers());
    assert_eq!(
        one.choose(question(jane(), "jane")).unwrap().db_user().as_str(),
        "app_ro"
    );
    let all = policy(r#"@id("all") permit (principal is OidcUser, action, resource is DbUser);"#);
    let Err(Denial::Several { permitted, .. }) = all.choose(question(jane(), "jane")) else {
        panic!("three would do")
    };
    assert_eq!(permitted.len(), 3);
    let mut asked = question(jane(), "jane");
    let mut target = (*asked.target).clone();
    target.default_db_user = Some(DbUser::new("app_rw").unwrap());
    asked.target = Arc::new(target);
    assert_eq!(all.choose(asked).unwrap().db_user().as_str(), "app_rw");
    let stranger = Caller::local(None);
    let denied = one.choose(question(stranger, "jane"));
    assert!(matches!(denied, Err(Denial::NotPermitted(denied)) if denied.instead.permitted.is_empty()));
}

#[test]
fn a_forbid_wins_and_is_named() {
    let text =
        readers() + r#"@id("never") forbid (principal, action, resource) when { context.hour == 10 };"#;
    let Err(Denial::NotPermitted(denied)) = policy(&text).decide(question(jane(), "app_ro")) else {
        panic!("it is ten o'clock")
    };
    let NotPermitted { forbidden_by, .. } = *denied;
    assert_eq!(forbidden_by, ["never"]);
}

/// Cedar skips what it cannot evaluate; a `forbid` that is skipped lets in.
#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let overflow = "9223372036854775807 + context.hour > 0";
    for effect in ["forbid", "permit"] {
        let text = format!(
            "{} @id(\"faulty\") {effect} (principal, action, resource) when {{ {overflow} }};",
            readers()
        );
        let Err(Denial::Evaluation { faults }) = policy(&text).decide(question(jane(), "app_ro")) else {
            panic!("{effect} overflows")
        };
        assert!(faults[0].contains("overflow"), "{faults:?}");
    }
}

#[test]
fn groups_of_the_configuration_count_like_those_of_the_proof() {
    let text =
        r#"@id("team") permit (principal in Group::"team", action, resource == DbUser::"orders/owner");"#;
    let member = Principal::IamRole {
        arn: "arn:aws:iam::1:role/x".into(),
        permission_set: None,
    };
    let policy = Policy::of(set(text), Groups::new([("team".to_owned(), member.clone())]));
    let ask = |caller| policy.decide(question(caller, "owner")).is_ok();
    assert!(ask(Caller::new(member, ProofKind::AwsIam)));
    assert!(!ask(jane()));
}

#[test]
fn a_policy_s_permit_may_be_unlimited_and_a_proof_may_end_sooner() {
    let text = readers()
        + r#"@id("also") permit (principal == OidcUser::"https://issuer.example#jane", action, resource);"#;
    let policy = policy(&text);
    let permit = policy.decide(question(jane(), "app_ro")).unwrap();
    assert_eq!((permit.policies().len(), permit.expires()), (2, None));
    let mut caller = jane();
    caller.expires = Some(now() + Duration::from_secs(60));
    let permit = policy.decide(question(caller, "app_ro")).unwrap();
    assert_eq!(
        permit.expires(),
        Some((now() + Duration::from_secs(60), CloseReason::ProofExpired))
    );
}

#[test]
fn mistakes_point_into_the_file() {
    let wrong = "@id(\"a\")\npermit (principal, action, resource) when { context.mfaa };";
    let told = mistakes(wrong);
    assert!(told.contains("test.cedar:2:"), "{told}");
    assert!(told.contains("did you mean `mfa`"), "{told}");
    assert!(mistakes("permit (principal, action, resource)").contains("test.cedar:1:"));
    assert!(mistakes("permit (principal, action, resource);").contains("without an id"));
    let twice =
        "@id(\"a\") permit (principal, action, resource); @id(\"a\") forbid (principal, action, resource);";
    assert!(mistakes(twice).contains("used twice"));
    assert!(mistakes("@id(\"a\") permit (principal == ?principal, action, resource);").contains("templates"));
    let unsafe_access = READERS;
    assert!(
        mistakes(unsafe_access).contains("source"),
        "a missing source must be asked for"
    );
    let session = "@id(\"a\") @max_session(\"long\") permit (principal, action, resource);";
    assert!(mistakes(session).contains("max_session"));
    let unknown = "@id(\"a\") permit (principal is Person, action, resource);";
    assert!(mistakes(unknown).contains("Person"));
}

#[test]
fn odd_sets_are_warned_of() {
    let broad = set("@id(\"all\") permit (principal, action, resource);");
    assert!(
        broad.warnings[0]
            .to_string()
            .contains("everybody, and every db user")
    );
    let never = set("@id(\"never\") permit (principal is LocalUser, action, resource) when { 1 == 2 };");
    assert!(
        never
            .warnings
            .iter()
            .any(|warning| warning.to_string().contains("impossible"))
    );
}

#[test]
fn only_permits_that_are_too_broad_are_called_so() {
    const VIEW: &str = "action in [Action::\"view\", Action::\"terminate\"]";
    for (head, condition, warning) in [
        ("principal, action, resource", "", "everybody, and every db user"),
        (
            "principal, action, resource is DbUser",
            "",
            "everybody, and every db user",
        ),
        (
            "principal, action, resource",
            "when { true } unless { false }",
            "everybody, and every db user",
        ),
        (
            "principal, action, resource in Cluster::\"orders\"",
            "",
            "everybody",
        ),
        (
            "principal is LocalUser, action, resource",
            "",
            "every db user of every target",
        ),
        (
            "principal in Group::\"ops\", action in [Action::\"connect\", Action::\"view\"], resource",
            "",
            "every db user of every target",
        ),
        (
            "principal is LocalUser, action, resource is DbUser",
            "",
            "every db user of every target",
        ),
        ("principal, ACTION, resource", "", "everybody"),
        ("principal, action, resource is Cluster", "", "everybody"),
        (
            "principal, action == Action::\"reload\", resource",
            "",
            "everybody",
        ),
        ("principal in Group::\"ops\", ACTION, resource", "", ""),
        (
            "principal in Group::\"ops\", action == Action::\"reload\", resource",
            "",
            "",
        ),
        ("principal in Group::\"ops\", action, resource is Cluster", "", ""),
        (
            "principal == IamUser::\"arn:aws:iam::111122223333:user/a\", action, resource is DbUser",
            "when { context.tls }",
            "",
        ),
    ] {
        let policy = format!(
            "@id(\"a\") permit ({}) {condition};",
            head.replace("ACTION", VIEW)
        );
        let told: Vec<_> = set(&policy)
            .warnings
            .iter()
            .map(|warning| warning.message.clone())
            .collect();
        let expected = format!("policy `a` permits {warning}, without a condition");
        assert_eq!(
            told,
            Vec::from_iter((!warning.is_empty()).then_some(expected)),
            "{policy}"
        );
    }
}

/// Every AWS role of every account on earth is a proven caller.
#[test]
fn permits_for_all_callers_of_a_kind_are_called_too_broad() {
    const CONNECT: &str = "action == Action::\"connect\", resource == DbUser::\"orders/app_ro\"";
    const RELOAD: &str = "action == Action::\"reload\", resource";
    let told = |principal: &str, rest: &str, condition: &str| {
        let policy = set(&format!("@id(\"a\") permit ({principal}, {rest}) {condition};"));
        let told: Vec<_> = policy.warnings.iter().map(|w| w.message.clone()).collect();
        told.join("|")
    };
    for (kind, who) in [
        ("IamRole", "every IAM role, of whatever AWS account"),
        ("IamUser", "every IAM user, of whatever AWS account"),
        ("OidcUser", "everybody whom an issuer knows"),
        ("Certificate", "everybody who has a certificate"),
        ("PasswordUser", "everybody who has a password"),
    ] {
        let principal = format!("principal is {kind}");
        for (condition, but) in [
            ("", "without a condition"),
            ("when { context.tls }", "no condition asks who"),
            (
                "when { context.tls && principal is IamRole }",
                "no condition asks who",
            ),
        ] {
            if condition.contains("is IamRole") && kind != "IamRole" {
                continue;
            }
            let told = told(&principal, CONNECT, condition);
            assert!(
                told.contains(who) && told.contains(but),
                "{kind} {condition}: {told}"
            );
        }
        assert_eq!(told(&principal, RELOAD, ""), "", "operators are another matter");
    }
    for condition in [
        "when { context.tls }",
        "unless { context.hour == 3 || resource.name == \"x\" }",
    ] {
        let told = told("principal", CONNECT, condition);
        assert!(
            told.contains("permits everybody, and no condition asks who that is"),
            "{told}"
        );
    }
    for (principal, condition) in [
        ("principal is LocalUser", ""),
        (
            "principal is IamRole",
            "when { principal.account == \"111122223333\" }",
        ),
        (
            "principal is IamRole",
            "unless { context.mfa || principal.account != \"111122223333\" }",
        ),
        ("principal is IamRole in Group::\"ops\"", ""),
        ("principal", "when { principal in Group::\"ops\" }"),
        (
            "principal",
            "when { context.tls && principal is IamRole in Group::\"ops\" }",
        ),
        ("principal", "when { principal is LocalUser }"),
    ] {
        assert_eq!(told(principal, CONNECT, condition), "", "{principal} {condition}");
    }
}

#[test]
fn names_that_nobody_has_are_warned_of_wherever_they_stand() {
    let groups = Groups::new([("ops".to_owned(), Principal::Local { uid: None })]);
    let told = |head: &str, condition: &str| {
        let policy = set(&format!("@id(\"a\") permit ({head}) when {{ {condition} }};"));
        let problems = lint::unknown_names(&policy, &[(*target()).clone()], &groups);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for known in [
        "principal in Group::\"ops\", action, resource == DbUser::\"orders/app_ro\"",
        "principal in Group::\"oidc:any\", action, resource in Cluster::\"orders\"",
        "principal == LocalUser::\"uid:7\", action == Action::\"reload\", resource == Broker::\"dbproxy\"",
        "principal == OidcUser::\"https://issuer.example#ja\\\"ne\", action, resource",
    ] {
        assert_eq!(told(known, "context.tls"), [""; 0], "{known}");
    }
    for (head, condition, name) in [
        (
            "principal, action, resource == DbUser::\"order/app_ro\"",
            "context.tls",
            "order/app_ro",
        ),
        (
            "principal, action == Action::\"connect\", resource",
            "resource == DbUser::\"orders/ap_ro\"",
            "orders/ap_ro",
        ),
        (
            "principal, action == Action::\"connect\", resource",
            "resource in DbRole::\"orders/none\"",
            "orders/none",
        ),
        (
            "principal, action, resource",
            "principal in Group::\"opps\"",
            "no member",
        ),
        (
            "principal == LocalUser::\"root\", action, resource",
            "context.tls",
            "no caller can be",
        ),
        (
            "principal == IamRole::\"app\", action, resource",
            "context.tls",
            "the ARN of an IAM role",
        ),
        (
            "principal, action == Action::\"reload\", resource == Broker::\"other\"",
            "context.tls",
            "Broker::\"dbproxy\"",
        ),
    ] {
        let problems = told(head, condition);
        assert!(
            problems.len() == 1 && problems[0].contains(name),
            "{head} {condition} {problems:?}"
        );
    }
}

#[test]
fn a_forbid_of_a_target_that_there_is_not_is_an_error() {
    let severity = |effect: &str, resource: &str| {
        let policy = set(&format!(
            "@id(\"a\") {effect} (principal, action, resource in {resource});"
        ));
        let problems = lint::unknown_names(&policy, &[(*target()).clone()], &Groups::default());
        problems
            .iter()
            .map(|problem| problem.severity)
            .collect::<Vec<_>>()
    };
    for resource in [
        "Cluster::\"order\"",
        "DbUser::\"order/owner\"",
        "DbRole::\"order/owner\"",
    ] {
        assert_eq!(severity("forbid", resource), [Severity::Error], "{resource}");
        assert_eq!(severity("permit", resource), [Severity::Warning], "{resource}");
    }
    assert_eq!(
        severity("forbid", "DbUser::\"orders/nobody\""),
        [Severity::Warning]
    );
    assert_eq!(severity("forbid", "Cluster::\"orders\""), []);
}

#[test]
fn the_parts_of_a_condition_that_do_not_hold_are_named() {
    let unmet = |conditions: &str| {
        let set = set(&format!(
            "@id(\"a\") permit (principal, action == Action::\"connect\", resource) {conditions};"
        ));
        let asked = question(jane(), "app_ro");
        assert!(!set.ask(&asked, &[], Some(now())).is_permit(), "{conditions}");
        let [rule] = &set.near_misses(&asked, &[])[..] else {
            panic!("{conditions}")
        };
        set.unmet(rule, &asked, &[])
    };
    for (conditions, expected) in [
        (
            "when { context.tls && context.mfa }",
            &["when { context.mfa }"][..],
        ),
        (
            "when { context.database == \"a  b\" && context.tls } unless { context.hour > 30 || context.tls }",
            &["when { context.database == \"a  b\" }", "when { !context.tls }"],
        ),
        // One of two would do: it is one part.
        (
            "when { context.mfa || !context.tls }",
            &["when { context.mfa || (!context.tls) }"],
        ),
        // What was not reached is not said to be false.
        (
            "when { principal has permission_set && principal.permission_set == \"x\" }",
            &["when { principal has permission_set }"],
        ),
    ] {
        assert_eq!(unmet(conditions), expected, "{conditions}");
    }
}

/// What is left out before the evaluation changes nothing.
#[test]
fn the_slice_decides_as_the_whole_set_would() {
    let principals = [
        "principal",
        "principal is OidcUser",
        "principal in Group::\"oidc:data\"",
        "principal == OidcUser::\"https://issuer.example#jane\"",
        "principal is IamRole in Group::\"oidc:data\"",
    ];
    let actions = [
        "action",
        "action == Action::\"replicate\"",
        "action in [Action::\"connect\", Action::\"replicate\"]",
    ];
    let resources = [
        "resource",
        "resource in DbRole::\"orders/reader\"",
        "resource == DbUser::\"orders/app_rw\"",
        "resource in Cluster::\"orders\"",
        "resource is DbUser in Cluster::\"billing\"",
    ];
    for principal in principals {
        for action in actions {
            for resource in resources {
                let text = format!("@id(\"one\") permit ({principal}, {action}, {resource});");
                let set = set(&text);
                for user in ["app_ro", "app_rw"] {
                    let asked = question(jane(), user);
                    let sliced = matches!(set.ask(&asked, &[], Some(now())), Verdict::Permit { .. });
                    assert_eq!(sliced, whole(&text, &asked), "{text} {user}");
                }
            }
        }
    }
}

fn put(asked: &Question, parties: &Parties, schema: &Schema) -> cedar_policy::Request {
    let action = uid("Action", asked.action.as_str()).unwrap();
    request(action, parties, context_of(asked, Some(now())).unwrap(), schema).unwrap()
}

fn whole(text: &str, asked: &Question) -> bool {
    let parties = asked.parties(&[], Some(now())).unwrap();
    let request = put(asked, &parties, &schema().unwrap());
    let all = PolicySet::from_str(text).unwrap();
    let response = Authorizer::new().is_authorized(&request, &all, &parties.entities);
    response.decision() == Decision::Allow
}

/// The entities keep to the schema that policies are validated against.
#[test]
fn entities_keep_to_the_schema() {
    let role = |permission_set: Option<&str>| Principal::IamRole {
        arn: "arn:aws:iam::111122223333:role/x".into(),
        permission_set: permission_set.map(str::to_owned),
    };
    let all = [
        Principal::Local { uid: None },
        Principal::Local { uid: Some(7) },
        role(None),
        role(Some("Admin")),
        Principal::IamUser {
            arn: "arn:aws:iam::111122223333:user/jane".into(),
        },
        jane().principal,
        Principal::Certificate {
            name: "uri:spiffe://a/b".into(),
        },
        Principal::Password {
            name: "dashboard".into(),
        },
    ];
    for principal in all {
        let mut caller = Caller::new(principal, ProofKind::Local);
        caller.email = Some("jane@example.org".into());
        let parties = Parties::of(
            &caller,
            &["team".into()],
            (&target(), &DbUser::new("app_ro").unwrap()),
            Some(now()),
        )
        .unwrap();
        let entities: Vec<_> = parties.entities.iter().cloned().collect();
        let schema = schema().unwrap();
        cedar_policy::Entities::from_entities(entities, Some(&schema))
            .unwrap_or_else(|e| panic!("{caller:?}: {e}"));
        put(&question(caller.clone(), "app_ro"), &parties, &schema);
        for operation in [Operation::View(&target()), Operation::Reload, Operation::Shutdown] {
            let parties = Parties::of_operation(&caller, &["team".into()], operation).unwrap();
            let entities: Vec<_> = parties.entities.iter().cloned().collect();
            cedar_policy::Entities::from_entities(entities, Some(&schema))
                .unwrap_or_else(|e| panic!("{caller:?} {operation}: {e}"));
        }
    }
}

/// A `forbid` of nobody would forbid nothing.
#[test]
fn a_role_by_a_name_that_no_caller_has_is_a_mistake() {
    for (named, own) in [
        ("role/team/app", "role/app"),
        (
            "role/AWSReservedSSO_Admin_0123456789abcdef",
            "role/AWSReservedSSO_Admin",
        ),
    ] {
        let principal = format!("IamRole::\"arn:aws:iam::111122223333:{named}\"");
        let policies = [
            format!("@id(\"a\") forbid (principal == {principal}, action, resource);"),
            format!("@id(\"a\") forbid (principal, action, resource) when {{ principal == {principal} }};"),
        ];
        for text in policies {
            let told = mistakes(&text);
            assert!(told.contains("no caller can be") && told.contains(own), "{told}");
        }
    }
}

/// Who may be nobody is told the same about names that there are and names that there are not.
#[test]
fn a_stranger_learns_no_names() {
    let policy = policy(&readers());
    let stranger = || Caller::new(Principal::Password { name: "x".into() }, ProofKind::Scram);
    let told = |db_user: &str, database: &str| {
        let mut asked = question(stranger(), db_user);
        let mut target = Target::clone(&asked.target);
        target.databases = vec![DatabaseName::new("app").unwrap()];
        asked.target = Arc::new(target);
        asked.database = DatabaseName::new(database).unwrap();
        let refusal = policy.choose(asked).unwrap_err().refusal();
        let message = refusal
            .message
            .replace(db_user, "USER")
            .replace(database, "DATABASE");
        (refusal.sqlstate, message, refusal.hint)
    };
    let usual = told("app_ro", "app");
    for (db_user, database) in [("nosuch", "app"), ("app_rw", "postgres"), ("nosuch", "postgres")] {
        assert_eq!(told(db_user, database), usual, "{db_user} {database}");
    }
}

#[test]
fn a_permit_is_renewed_with_the_time_that_policy_gives_now() {
    let policy = policy(&readers());
    let permit = policy.decide(question(jane(), "app_ro")).unwrap();
    policy.replace(set(&readers().replace("8h", "1h")));
    let renewed = policy
        .renew(&permit, permit.target(), now() + Duration::from_secs(60))
        .unwrap();
    let end = now() + Duration::from_secs(3_600);
    assert_eq!(renewed.expires(), Some((end, CloseReason::PermitExpired)));
    assert!(policy.is_current(&renewed) && !policy.is_current(&permit));
    policy.replace(set("@id(\"none\") forbid (principal, action, resource);"));
    let gone = policy.renew(&permit, permit.target(), now());
    assert_eq!(gone.unwrap_err(), CloseReason::PolicyChanged);
}

#[test]
fn a_forbid_of_somebody_whom_no_caller_can_be_is_a_mistake() {
    for nobody in [
        "LocalUser::\"root\"",
        "IamRole::\"app\"",
        "IamUser::\"arn:aws:iam::111122223333:role/app\"",
        "OidcUser::\"jane\"",
        "Certificate::\"spiffe://a\"",
        "PasswordUser::\"\"",
    ] {
        let head = format!("@id(\"a\") forbid (principal == {nobody}, action, resource);");
        let condition =
            format!("@id(\"a\") forbid (principal, action, resource) when {{ principal == {nobody} }};");
        for text in [head, condition] {
            let told = mistakes(&text);
            assert!(told.contains("no caller can be"), "{told}");
            set(&text.replace("forbid", "permit"));
        }
    }
    set("@id(\"a\") forbid (principal == OidcUser::\"https://issuer.example#a\\\"b\", action, resource);");
}

/// A limit that is misspelt would be no limit.
#[test]
fn annotations_that_nobody_reads_are_mistakes() {
    const REST: &str = "permit (principal == LocalUser::\"local\", action == Action::\"connect\", resource);";
    let told = mistakes(&format!("@id(\"a\") @max_sesion(\"8h\") {REST}"));
    assert!(
        told.contains("`@max_sesion`") && told.contains("did you mean `@max_session`?"),
        "{told}"
    );
    let told = mistakes(&format!("@id(\"a\") @owner(\"jane\") {REST}"));
    assert!(told.contains("known: @id, @description, @max_session"), "{told}");
    set(&format!(
        "@id(\"a\") @description(\"b\") @max_session(\"8h\") {REST}"
    ));
}

#[test]
fn a_limit_of_what_does_not_last_is_warned_of() {
    let warned = |action: &str| {
        let policy = set(&format!(
            "@id(\"a\") @max_session(\"8h\") permit (principal == LocalUser::\"local\", {action}, resource);"
        ));
        policy
            .warnings
            .iter()
            .any(|warning| warning.message.contains("limits nothing"))
    };
    assert!(warned("action == Action::\"reload\""));
    assert!(warned("action in [Action::\"view\", Action::\"terminate\"]"));
    assert!(!warned("action in [Action::\"view\", Action::\"connect\"]"));
    assert!(!warned("action"));
}

const ROLE: &str = "arn:aws:iam::111122223333:role/app";

fn app() -> Caller {
    let principal = Principal::IamRole {
        arn: ROLE.into(),
        permission_set: None,
    };
    Caller::new(principal, ProofKind::AwsIam)
}

/// The manifest lets `ROLE` be `user`, which is a reader until then.
fn declared(user: &str, until: Option<SystemTime>) -> Arc<Target> {
    let mut target = Target::clone(&target());
    let user = DbUser::new(user).unwrap();
    target
        .declared
        .may_be(&user, "arn:aws:iam::111122223333:role/team/app", None);
    target
        .declared
        .has_role(&user, &DbRole::new("reader").unwrap(), until);
    Arc::new(target)
}

fn asked_of(target: &Arc<Target>, db_user: &str, now: SystemTime) -> Question {
    let mut question = question(app(), db_user);
    question.target = target.clone();
    question.around.now = now;
    question
}

const GRANTED: &str =
    r#"@id("m") permit (principal, action == Action::"connect", resource) when { context.granted };"#;

/// One policy lets everybody be whom the manifest says, and it is not too broad.
#[test]
fn whom_the_manifest_lists_one_policy_permits() {
    let set = set(GRANTED);
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let policy = Policy::of(set, Groups::default());
    let target = declared("app_ro", None);
    let permitted = |caller: Caller, user: &str| {
        let mut asked = asked_of(&target, user, now());
        asked.caller = caller;
        policy.decide(asked).is_ok()
    };
    assert!(permitted(app(), "app_ro"));
    assert!(!permitted(app(), "app_rw"));
    assert!(!permitted(jane(), "app_ro"));
    // Which no manifest says.
    assert!(policy.decide(question(app(), "app_ro")).is_err());
}

#[test]
fn a_grant_that_ends_takes_its_permit_along() {
    let end = now() + Duration::from_secs(60);
    let target = declared("app_ro", Some(end));
    let by_role =
        r#"@id("r") permit (principal, action, resource in DbRole::"orders/reader") when { context.tls };"#;
    let by_name = r#"@id("n") permit (principal, action, resource == DbUser::"orders/app_ro");"#;
    for text in [GRANTED, by_role, by_name] {
        let policy = Policy::of(set(text), Groups::default());
        let permit = policy.decide(asked_of(&target, "app_ro", now())).unwrap();
        assert_eq!(permit.expires(), Some((end, CloseReason::GrantEnded)), "{text}");
        let ended = policy.renew(&permit, &target, end);
        assert_eq!(ended.unwrap_err(), CloseReason::GrantEnded);
        let Err(Denial::NotPermitted(denied)) = policy.decide(asked_of(&target, "app_ro", end)) else {
            panic!("{text}");
        };
        assert_eq!(denied.ended, [(DbRole::new("reader").unwrap(), end)]);
        let hint = Denial::NotPermitted(denied).refusal().hint.unwrap();
        assert!(hint.contains("ended at 2026-11-25T10:01:00Z"), "{hint}");
        assert!(
            hint.contains("`dbproxy grant app_ro reader --cluster orders"),
            "{hint}"
        );
        // Who would not have been let in either learns of no grant.
        let mut asked = asked_of(&target, "app_ro", end);
        asked.around.tls = false;
        asked.caller = jane();
        let told = policy
            .decide(asked)
            .err()
            .map(|denial| denial.refusal().hint.unwrap());
        assert_eq!(
            told.is_some_and(|hint| hint.contains("ended")),
            text == by_name,
            "{text}"
        );
        // Given anew, it goes on.
        let anew = declared("app_ro", None);
        assert_eq!(policy.renew(&permit, &anew, end).unwrap().expires(), None);
    }
}

/// The db user has its role for good, and the caller may be it for a time.
#[test]
fn a_caller_that_is_named_for_a_time_has_a_permit_for_it() {
    let end = now() + Duration::from_secs(60);
    let mut target = Target::clone(&target());
    let user = DbUser::new("app_ro").unwrap();
    target.declared.may_be(&user, ROLE, Some(end));
    target
        .declared
        .has_role(&user, &DbRole::new("reader").unwrap(), None);
    let target = Arc::new(target);
    let policy = Policy::of(set(GRANTED), Groups::default());
    let permit = policy.decide(asked_of(&target, "app_ro", now())).unwrap();
    assert_eq!(permit.expires(), Some((end, CloseReason::GrantEnded)));
    let ended = policy.renew(&permit, &target, end);
    assert_eq!(ended.unwrap_err(), CloseReason::GrantEnded);
    let Err(denied) = policy.decide(asked_of(&target, "app_ro", end)) else {
        panic!();
    };
    let hint = denied.refusal().hint.unwrap();
    assert!(
        hint.contains("may be \"app_ro\" ended at 2026-11-25T10:01:00Z"),
        "{hint}"
    );
    assert!(
        hint.contains("`dbproxy grant app_ro ROLE --principal ARN --cluster orders --expires 8h`"),
        "{hint}"
    );
    // Who is permitted without it goes on, and who was never named learns nothing.
    let everybody = Policy::of(
        set(r#"@id("n") permit (principal, action, resource == DbUser::"orders/app_ro");"#),
        Groups::default(),
    );
    let permit = everybody.decide(asked_of(&target, "app_ro", now())).unwrap();
    assert_eq!(permit.expires(), None);
    let mut asked = asked_of(&target, "app_ro", end);
    asked.caller = jane();
    let hint = policy.decide(asked).err().unwrap().refusal().hint;
    assert!(!hint.unwrap_or_default().contains("ended"));
}

/// Only what rests on the grant that ends.
#[test]
fn another_grant_keeps_the_session() {
    let end = now() + Duration::from_secs(60);
    let mut target = Target::clone(&declared("app_ro", Some(end)));
    let (user, other) = (DbUser::new("app_ro").unwrap(), DbRole::new("other").unwrap());
    target.declared.has_role(&user, &other, None);
    target.db_roles.insert(other, vec![user]);
    let target = Arc::new(target);
    let policy = Policy::of(set(GRANTED), Groups::default());
    let permit = policy.decide(asked_of(&target, "app_ro", now())).unwrap();
    assert_eq!(permit.expires(), None);
    let by_role = r#"@id("r") permit (principal, action, resource in DbRole::"orders/reader");"#;
    let policy = Policy::of(set(by_role), Groups::default());
    let permit = policy.decide(asked_of(&target, "app_ro", now())).unwrap();
    assert_eq!(permit.expires(), Some((end, CloseReason::GrantEnded)));
    assert!(policy.decide(asked_of(&target, "app_ro", end)).is_err());
}

/// A manifest that no longer has a db user or a database is one that permits it no longer.
#[test]
fn what_the_target_no_longer_has_is_not_renewed() {
    let policy = Policy::of(set(GRANTED), Groups::default());
    let target = declared("app_ro", None);
    let permit = policy.decide(asked_of(&target, "app_ro", now())).unwrap();
    assert!(policy.renew(&permit, &target, now()).is_ok());
    let mut other = Target::clone(&target);
    other.users = Users::Listed(vec![DbUser::new("app_rw").unwrap()]);
    let gone = policy.renew(&permit, &Arc::new(other), now());
    assert_eq!(gone.unwrap_err(), CloseReason::PolicyChanged);
    let mut other = Target::clone(&target);
    other.databases = vec![DatabaseName::new("b").unwrap()];
    assert!(policy.renew(&permit, &Arc::new(other), now()).is_err());
    assert!(policy.is_current(&permit));
    policy.outdate();
    assert!(!policy.is_current(&permit));
    assert_eq!(policy.generation(), 0);
}
