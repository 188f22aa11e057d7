//! The question in Cedar's words: entities, request, context. Their shape is that of `policies/schema.cedarschema`.

use super::operate::Operation;
use super::question::{Circumstances, Question};
use crate::domain::caller::{Caller, Principal, role_as_callers_have_it};
use crate::domain::name::{DbRole, DbUser};
use crate::domain::target::Target;
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::time::SystemTime;

/// Why a question could not be put.
#[derive(Debug, thiserror::Error)]
#[error("the question does not fit the schema: {0}")]
pub struct QuestionError(String);

fn misfit(error: impl std::fmt::Display) -> QuestionError {
    QuestionError(error.to_string())
}

type Attributes = HashMap<String, RestrictedExpression>;

/// An entity's name. The types are those of the schema, so they always parse.
pub fn uid(kind: &str, id: &str) -> Result<EntityUid, QuestionError> {
    let kind = EntityTypeName::from_str(kind).map_err(misfit)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// `DbUser::"orders/app_ro"`; a target's name holds no slash, so no two are alike.
pub fn db_user_id(target: &Target, user: &DbUser) -> String {
    format!("{}/{user}", target.name)
}

/// The type and id of a principal.
pub fn principal_id(principal: &Principal) -> (&'static str, String) {
    match principal {
        Principal::Local { uid: None } => ("LocalUser", "local".to_owned()),
        Principal::Local { uid: Some(uid) } => ("LocalUser", format!("uid:{uid}")),
        Principal::IamRole { arn, .. } => ("IamRole", arn.clone()),
        Principal::IamUser { arn } => ("IamUser", arn.clone()),
        Principal::Oidc { issuer, subject } => ("OidcUser", format!("{issuer}#{subject}")),
        Principal::Certificate { name } => ("Certificate", name.clone()),
        Principal::Password { name } => ("PasswordUser", name.clone()),
    }
}

/// Who asks, for what, with all that stands above the two.
pub struct Parties {
    pub principal: EntityUid,
    /// The groups of the principal.
    pub above_principal: HashSet<EntityUid>,
    pub resource: EntityUid,
    /// The db roles and the cluster of the db user.
    pub above_resource: HashSet<EntityUid>,
    pub entities: Entities,
}

/// Who asks.
struct Asker {
    uid: EntityUid,
    above: HashSet<EntityUid>,
}

impl Asker {
    /// Adds the caller and its groups to `all`. `groups` are those of the configuration; the proof's own are in
    /// the caller.
    fn of(caller: &Caller, groups: &[String], all: &mut Vec<Entity>) -> Result<Self, QuestionError> {
        let (kind, id) = principal_id(&caller.principal);
        let uid_of_caller = uid(kind, &id)?;
        let above = caller
            .groups
            .iter()
            .chain(groups)
            .map(|group| uid("Group", group))
            .collect::<Result<HashSet<_>, _>>()?;
        for group in &above {
            all.push(Entity::new_no_attrs(group.clone(), HashSet::new()));
        }
        all.push(entity(&uid_of_caller, attributes(caller), above.clone())?);
        Ok(Self {
            uid: uid_of_caller,
            above,
        })
    }
}

impl Parties {
    /// `groups` are those of the configuration; the proof's own are in the caller. Grants are those of a moment, or all
    /// that ever were.
    pub fn of(
        caller: &Caller,
        groups: &[String],
        (target, user): (&Target, &DbUser),
        at: Option<SystemTime>,
    ) -> Result<Self, QuestionError> {
        let mut all = Vec::with_capacity(4);
        let asker = Asker::of(caller, groups, &mut all)?;
        let cluster = uid("Cluster", target.name.as_str())?;
        let resource = uid("DbUser", &db_user_id(target, user))?;
        all.push(entity(&cluster, cluster_attributes(target), HashSet::new())?);
        let mut above_resource = HashSet::from([cluster.clone()]);
        for role in target.roles_of(user, at) {
            let role_uid = uid("DbRole", &format!("{}/{role}", target.name))?;
            all.push(entity(
                &role_uid,
                text("name", role.as_str()),
                HashSet::from([cluster.clone()]),
            )?);
            above_resource.insert(role_uid);
        }
        let attributes = text("name", user.as_str());
        all.push(entity(&resource, attributes, above_resource.clone())?);
        Self::assemble(asker, resource, above_resource, all)
    }

    /// An operator, and a target or the broker itself.
    pub fn of_operation(
        caller: &Caller,
        groups: &[String],
        operation: Operation<'_>,
    ) -> Result<Self, QuestionError> {
        let mut all = Vec::with_capacity(3);
        let asker = Asker::of(caller, groups, &mut all)?;
        let (kind, id) = operation.resource();
        let resource = uid(kind, id)?;
        let attributes = operation.target().map(cluster_attributes).unwrap_or_default();
        all.push(entity(&resource, attributes, HashSet::new())?);
        Self::assemble(asker, resource, HashSet::new(), all)
    }

    fn assemble(
        asker: Asker,
        resource: EntityUid,
        above_resource: HashSet<EntityUid>,
        all: Vec<Entity>,
    ) -> Result<Self, QuestionError> {
        Ok(Self {
            principal: asker.uid,
            above_principal: asker.above,
            resource,
            above_resource,
            entities: Entities::from_entities(all, None).map_err(misfit)?,
        })
    }
}

fn entity(
    uid: &EntityUid,
    attributes: Attributes,
    parents: HashSet<EntityUid>,
) -> Result<Entity, QuestionError> {
    Entity::new(uid.clone(), attributes, parents).map_err(misfit)
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn text(key: &str, value: &str) -> Attributes {
    HashMap::from([(key.to_owned(), string(value))])
}

fn cluster_attributes(target: &Target) -> Attributes {
    let mut attributes = text("region", target.region.as_str());
    if let Some(account) = &target.account_id {
        attributes.insert("account".to_owned(), string(account));
    }
    attributes
}

fn attributes(caller: &Caller) -> Attributes {
    let mut attributes = Attributes::new();
    let mut set = |key: &str, value: &str| {
        attributes.insert(key.to_owned(), string(value));
    };
    match &caller.principal {
        Principal::Local { uid } => {
            if let Some(uid) = uid {
                let uid = RestrictedExpression::new_long(i64::from(*uid));
                attributes.insert("uid".to_owned(), uid);
            }
        }
        Principal::IamRole { arn, permission_set } => {
            let (account, name) = parts_of(arn);
            set("account", account);
            set("name", name);
            if let Some(permission_set) = permission_set {
                set("permission_set", permission_set);
            }
        }
        Principal::IamUser { arn } => {
            let (account, name) = parts_of(arn);
            set("account", account);
            set("name", name);
        }
        Principal::Oidc { issuer, subject } => {
            set("issuer", issuer);
            set("subject", subject);
            if let Some(email) = &caller.email {
                set("email", email);
            }
        }
        Principal::Certificate { name } => {
            let (kind, name) = name.split_once(':').unwrap_or(("", name));
            set("kind", kind);
            set("name", name);
        }
        Principal::Password { name } => set("name", name),
    }
    attributes
}

/// `arn:aws:iam::<account>:role/<path>/<name>`
fn parts_of(arn: &str) -> (&str, &str) {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    (account, name)
}

/// A request, checked against the schema.
pub fn request(
    action: EntityUid,
    parties: &Parties,
    context: Context,
    schema: &Schema,
) -> Result<Request, QuestionError> {
    let (principal, resource) = (parties.principal.clone(), parties.resource.clone());
    Request::new(principal, action, resource, context, Some(schema)).map_err(misfit)
}

impl Question {
    pub fn parties(&self, groups: &[String], at: Option<SystemTime>) -> Result<Parties, QuestionError> {
        Parties::of(&self.caller, groups, (&self.target, &self.db_user), at)
    }
}

pub fn context_of(question: &Question, at: Option<SystemTime>) -> Result<Context, QuestionError> {
    let role = question.role.as_ref().map(DbRole::as_str);
    let asked = Asked {
        database: question.database.as_str(),
        role,
        granted: question.is_granted(at),
    };
    context(&question.caller, asked, &question.around)
}

/// What is asked for, beside the parties.
#[derive(Clone, Copy)]
struct Asked<'a> {
    database: &'a str,
    role: Option<&'a str>,
    granted: bool,
}

/// What an operator does is done on no database.
pub fn context_of_operation(caller: &Caller, around: &Circumstances) -> Result<Context, QuestionError> {
    let asked = Asked {
        database: "",
        role: None,
        granted: false,
    };
    context(caller, asked, around)
}

fn context(caller: &Caller, asked: Asked<'_>, around: &Circumstances) -> Result<Context, QuestionError> {
    let now = jiff::Timestamp::try_from(around.now).map_err(misfit)?;
    let civil = now.to_zoned(jiff::tz::TimeZone::UTC);
    let long = RestrictedExpression::new_long;
    let boolean = RestrictedExpression::new_bool;
    let mut pairs = vec![
        ("database".to_owned(), string(asked.database)),
        ("tls".to_owned(), boolean(around.tls)),
        (
            "now".to_owned(),
            RestrictedExpression::new_datetime(civil.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ),
        (
            "weekday".to_owned(),
            long(i64::from(civil.weekday().to_monday_one_offset())),
        ),
        ("hour".to_owned(), long(i64::from(civil.hour()))),
        ("application".to_owned(), string(&around.application)),
        ("listener".to_owned(), string(&around.listener)),
        ("proof".to_owned(), string(caller.proof.as_str())),
        ("mfa".to_owned(), boolean(caller.mfa)),
        ("granted".to_owned(), boolean(asked.granted)),
    ];
    if let Some(role) = asked.role {
        pairs.push(("role".to_owned(), string(role)));
    }
    if let Some(source) = around.source {
        let source = RestrictedExpression::new_ip(source.to_canonical().to_string());
        pairs.push(("source".to_owned(), source));
    }
    Context::from_pairs(pairs).map_err(misfit)
}

/// Reads a principal as policies write it: `IamRole::"arn:…"`, `PasswordUser::"jane"`.
pub fn parse_principal(text: &str) -> Result<Principal, String> {
    let parts = text.trim().split_once("::\"");
    let Some((kind, id)) = parts.and_then(|(kind, rest)| Some((kind, rest.strip_suffix('"')?))) else {
        return Err(format!(
            "`{text}` is not a principal such as `OidcUser::\"https://issuer.example#jane\"`"
        ));
    };
    let wrong = |what: &str| Err(format!("the id of `{text}` is not {what}"));
    if id.is_empty() || id.contains(['"', '\\']) {
        return wrong("a plain text");
    }
    let id = id.to_owned();
    let is_arn = |kind: &str| {
        let parts: Vec<&str> = id.splitn(6, ':').collect();
        matches!(parts[..], ["arn", _, "iam", "", account, resource]
            if !account.is_empty() && resource.starts_with(kind) && resource.len() > kind.len())
    };
    if let Some(own) = role_as_callers_have_it(&id).filter(|_| kind == "IamRole") {
        return Err(format!(
            "`{text}` is nobody: a role has no path here, and no hash; write `IamRole::\"{own}\"`"
        ));
    }
    match kind {
        "LocalUser" if id == "local" => Ok(Principal::Local { uid: None }),
        "LocalUser" => match id.strip_prefix("uid:").map(str::parse) {
            Some(Ok(uid)) => Ok(Principal::Local { uid: Some(uid) }),
            _ => wrong("`local` or `uid:<number>`"),
        },
        "IamRole" if is_arn("role/") => Ok(Principal::IamRole {
            permission_set: parts_of(&id).1.strip_prefix("AWSReservedSSO_").map(str::to_owned),
            arn: id,
        }),
        "IamRole" => wrong("the ARN of an IAM role (`arn:aws:iam::111122223333:role/name`)"),
        "IamUser" if is_arn("user/") => Ok(Principal::IamUser { arn: id }),
        "IamUser" => wrong("the ARN of an IAM user (`arn:aws:iam::111122223333:user/name`)"),
        "OidcUser" => match id.split_once('#') {
            Some((issuer, subject)) if !issuer.is_empty() && !subject.is_empty() => Ok(Principal::Oidc {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            }),
            _ => wrong("`<issuer>#<subject>`"),
        },
        "Certificate" => match id.split_once(':') {
            Some(("uri" | "email" | "dns" | "cn", rest)) if !rest.is_empty() => {
                Ok(Principal::Certificate { name: id })
            }
            _ => wrong("`uri:…`, `email:…`, `dns:…` or `cn:…`"),
        },
        "PasswordUser" => Ok(Principal::Password { name: id }),
        _ => Err(format!(
            "`{kind}` is not a kind of principal: IamRole, IamUser, OidcUser, Certificate, PasswordUser, LocalUser"
        )),
    }
}
