//! The documents of one principal, and how they come to it.

use super::Mistake;
use super::document::{
    ASSUME, Document, MANAGED_MAX, ROLE_INLINE_MAX, Statement, TRUST_MAX, USER_INLINE_MAX, pack, trust,
    weight,
};
use super::entitled::{Entitled, Made};
use crate::access::identity::aws_iam::permission_set;
use crate::platform::aws::iam;
use crate::provision::manifest::arn::{AccountId, PrincipalArn, PrincipalKind};
use std::fmt;

/// Managed policies of one principal: what a new account allows, and what its quota can be raised to.
pub const ATTACHED: usize = 10;
pub const ATTACHED_MAX: usize = 20;

/// What the names of all of dbproxy's own policies begin with.
pub const NAME: &str = "dbproxy-connect";

/// Whose the documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Principal(PrincipalArn),
    /// Whatever runs `dbproxy` to provision, in this account.
    Provisioner {
        partition: &'static str,
        account: AccountId,
    },
}

impl Holder {
    pub fn account(&self) -> &AccountId {
        match self {
            Self::Principal(principal) => principal.account(),
            Self::Provisioner { account, .. } => account,
        }
    }

    pub fn partition(&self) -> &'static str {
        match self {
            Self::Principal(principal) => principal.partition(),
            Self::Provisioner { partition, .. } => partition,
        }
    }
}

impl PrincipalArn {
    /// As the API names it.
    pub fn holder(&self) -> iam::Holder {
        let kind = match self.kind() {
            PrincipalKind::Role => iam::HolderKind::Role,
            PrincipalKind::User => iam::HolderKind::User,
        };
        iam::Holder {
            kind,
            name: self.name().to_owned(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => principal.fmt(f),
            Self::Provisioner { account, .. } => write!(f, "provisioner:{account}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the principal itself.
    Inline,
    /// Policies of the account, attached to the principal.
    Managed,
    /// In the permission set: IAM Identity Center lets nobody else change its roles.
    PermissionSet,
}

impl Placement {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Managed => "managed",
            Self::PermissionSet => "permission-set",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub holder: Holder,
    pub placement: Placement,
    pub documents: Vec<Document>,
    /// The holder is a role that is to be made.
    pub made: Option<Made>,
}

impl Bundle {
    pub fn new(principal: PrincipalArn, entitled: Entitled) -> Result<Self, Mistake> {
        let statements = [
            Statement::new(&["rds-db:connect"], entitled.connect),
            Statement::new(&ASSUME, entitled.assume),
        ];
        let made = entitled.made;
        if made.as_ref().is_some_and(|made| weight(&trust(made)) > TRUST_MAX) {
            return Err(Mistake::Trusts { role: principal });
        }
        let (limit, kind) = match principal.kind() {
            PrincipalKind::Role => (ROLE_INLINE_MAX, "role"),
            PrincipalKind::User => (USER_INLINE_MAX, "user"),
        };
        let holder = Holder::Principal(principal.clone());
        let is_set = principal.kind() == PrincipalKind::Role
            && permission_set(principal.name()).is_ok_and(|set| set.is_some());
        if is_set {
            return Self::packed(holder, Placement::PermissionSet, &statements, limit, NAME, made);
        }
        if let Some([_] | []) = pack(&statements, limit).as_deref() {
            return Self::packed(holder, Placement::Inline, &statements, limit, NAME, made);
        }
        // Names of managed policies are those of the whole account.
        let name = format!("{NAME}-{kind}-{}", principal.name());
        let bundle = Self::packed(holder, Placement::Managed, &statements, MANAGED_MAX, &name, made)?;
        match bundle.documents.len() {
            count @ ..=ATTACHED_MAX if count > 0 => Ok(bundle),
            count => Err(Mistake::TooMany {
                holder: bundle.holder.to_string(),
                count,
            }),
        }
    }

    /// Named `<name>-<n>`, from one.
    pub fn packed(
        holder: Holder,
        placement: Placement,
        statements: &[Statement],
        limit: usize,
        name: &str,
        made: Option<Made>,
    ) -> Result<Self, Mistake> {
        let Some(packed) = pack(statements, limit) else {
            return Err(Mistake::TooLong {
                holder: holder.to_string(),
            });
        };
        let documents = (1_usize..).zip(packed).map(|(number, statements)| Document {
            name: format!("{name}-{number}"),
            statements,
        });
        Ok(Self {
            holder,
            placement,
            documents: documents.collect(),
            made,
        })
    }

    /// The ARN of a managed policy.
    pub fn policy_arn(&self, document: &Document) -> String {
        let (partition, account) = (self.holder.partition(), self.holder.account());
        format!("arn:{partition}:iam::{account}:policy/{}", document.name)
    }

    /// What the person who applies it should know.
    pub fn note(&self) -> Option<String> {
        let holder = &self.holder;
        match self.placement {
            Placement::PermissionSet => Some(format!(
                "`{holder}` belongs to IAM Identity Center: put its document into the inline policy of the permission set"
            )),
            Placement::Managed if self.documents.len() > ATTACHED => Some(format!(
                "`{holder}` needs {} managed policies, and an account allows {ATTACHED} unless its quota is raised",
                self.documents.len()
            )),
            _ => None,
        }
    }
}
