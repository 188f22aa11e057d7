use super::*;
use crate::access::policy::set::PolicyFile;
use crate::access::policy::{Groups, Set};
use crate::domain::caller::ProofKind;
use crate::domain::endpoint::{EndpointName, Region, RootsKind};
use crate::domain::name::TargetName;
use crate::domain::target::{CredentialKind, HostPort, TrustRoots, Users};
use std::time::SystemTime;

fn target(name: &str) -> Target {
    let at = HostPort {
        host: "localhost".into(),
        port: 5432,
    };
    Target {
        name: TargetName::new(name).unwrap(),
        endpoint: EndpointName::parse("localhost"),
        dial: at.clone(),
        tls_name: "localhost".into(),
        token: at,
        region: Region::new("us-east-1").unwrap(),
        resource_id: None,
        account_id: None,
        trust: TrustRoots::Shipped(RootsKind::Rds),
        users: Users::Any,
        db_roles: Default::default(),
        cluster: None,
        declared: Default::default(),
        databases: Vec::new(),
        default_database: None,
        default_db_user: None,
        credential: CredentialKind::Passthrough,
        user_credentials: Default::default(),
        propagation: Default::default(),
    }
}

fn around() -> Circumstances {
    Circumstances {
        source: Some("127.0.0.1".parse().unwrap()),
        tls: false,
        now: SystemTime::UNIX_EPOCH,
        application: String::new(),
        listener: "127.0.0.1:9090".into(),
    }
}

fn policy(text: &str) -> Policy {
    let file = PolicyFile {
        path: "test.cedar".into(),
        text: text.to_owned(),
    };
    let set = Set::of(vec![file]).unwrap_or_else(|problems| panic!("{problems}"));
    let operators = ("operators".to_owned(), Principal::Local { uid: None });
    Policy::of(set, Groups::new([operators]))
}

fn ask(policy: &Policy, operation: Operation<'_>) -> Result<Vec<Arc<str>>, String> {
    let answer = policy.may_operate(operation, &Caller::local(None), &around());
    answer.map_err(|denial| denial.to_string())
}

#[test]
fn without_a_set_local_operators_may_and_nobody_else() {
    let policy = Policy::built_in();
    let orders = target("orders");
    for operation in [
        Operation::View(&orders),
        Operation::Terminate(&orders),
        Operation::Reload,
        Operation::Shutdown,
    ] {
        assert_eq!(ask(&policy, operation), Ok(vec![BUILT_IN.into()]));
        let principal = Principal::Password { name: "jane".into() };
        let jane = Caller::new(principal, ProofKind::Scram);
        assert!(policy.may_operate(operation, &jane, &around()).is_err());
    }
}

#[test]
fn a_set_permits_what_it_says_and_the_denial_names_what_is_missing() {
    let policy = policy(
        r#"@id("watch") permit (principal == LocalUser::"local", action == Action::"view", resource in Cluster::"orders");
           @id("mend") permit (principal in Group::"operators", action == Action::"reload", resource == Broker::"dbproxy");
           @id("never") forbid (principal, action == Action::"view", resource == Cluster::"secret");"#,
    );
    let (orders, secret) = (target("orders"), target("secret"));
    assert_eq!(ask(&policy, Operation::View(&orders)), Ok(vec!["watch".into()]));
    assert_eq!(ask(&policy, Operation::Reload), Ok(vec!["mend".into()]));
    assert_eq!(
        ask(&policy, Operation::Shutdown).unwrap_err(),
        "local may not do Action::\"shutdown\" on Broker::\"dbproxy\": no policy permits it"
    );
    assert_eq!(
        ask(&policy, Operation::Terminate(&orders)).unwrap_err(),
        "local may not do Action::\"terminate\" on Cluster::\"orders\": no policy permits it"
    );
    assert_eq!(
        ask(&policy, Operation::View(&secret)).unwrap_err(),
        "local may not do Action::\"view\" on Cluster::\"secret\": forbidden by never"
    );
}

/// The attributes of a cluster and the circumstances are there for conditions.
#[test]
fn conditions_see_the_cluster_and_the_circumstances() {
    let policy = policy(
        r#"@id("a") permit (principal, action == Action::"view", resource)
           when { resource.region == "us-east-1" && !context.tls && context.proof == "local" && context.database == ""
                  && context has source && context.source.isLoopback() };"#,
    );
    assert!(ask(&policy, Operation::View(&target("orders"))).is_ok());
}

#[test]
fn what_cannot_be_evaluated_denies() {
    let policy = policy(
        r#"@id("yes") permit (principal, action, resource);
           @id("broken") forbid (principal, action == Action::"reload", resource)
           when { context.hour + 9223372036854775807 > 0 && context.weekday + 9223372036854775807 > 0 };"#,
    );
    let denied = ask(&policy, Operation::Reload).unwrap_err();
    assert!(denied.starts_with("policy could not be evaluated"), "{denied}");
}
