//! Calls that change IAM, as data: shown and reviewed before they are made.

use crate::platform::aws::error::AwsError;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::Tag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// Who has policies, by the name that the API takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub kind: HolderKind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HolderKind {
    Role,
    User,
}

/// One request. Documents are JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    PutInline {
        holder: Holder,
        policy: String,
        document: String,
    },
    DeleteInline {
        holder: Holder,
        policy: String,
    },
    CreateRole {
        role: String,
        trust: String,
        max_session_seconds: u64,
        tags: Vec<(String, String)>,
    },
    TagRole {
        role: String,
        key: String,
        value: String,
    },
    UpdateTrust {
        role: String,
        trust: String,
    },
    UpdateMaxSession {
        role: String,
        seconds: u64,
    },
    DeleteRole {
        role: String,
    },
    CreatePolicy {
        policy: String,
        document: String,
    },
    /// It becomes the default one.
    CreateVersion {
        arn: String,
        document: String,
    },
    DeleteVersion {
        arn: String,
        version: String,
    },
    DeletePolicy {
        arn: String,
    },
    Attach {
        holder: Holder,
        arn: String,
    },
    Detach {
        holder: Holder,
        arn: String,
    },
}

impl Call {
    /// What IAM calls it.
    pub fn action(&self) -> &'static str {
        let by_kind = |holder: &Holder, role, user| match holder.kind {
            HolderKind::Role => role,
            HolderKind::User => user,
        };
        match self {
            Self::PutInline { holder, .. } => by_kind(holder, "iam:PutRolePolicy", "iam:PutUserPolicy"),
            Self::DeleteInline { holder, .. } => {
                by_kind(holder, "iam:DeleteRolePolicy", "iam:DeleteUserPolicy")
            }
            Self::CreateRole { .. } => "iam:CreateRole",
            Self::TagRole { .. } => "iam:TagRole",
            Self::UpdateTrust { .. } => "iam:UpdateAssumeRolePolicy",
            Self::UpdateMaxSession { .. } => "iam:UpdateRole",
            Self::DeleteRole { .. } => "iam:DeleteRole",
            Self::CreatePolicy { .. } => "iam:CreatePolicy",
            Self::CreateVersion { .. } => "iam:CreatePolicyVersion",
            Self::DeleteVersion { .. } => "iam:DeletePolicyVersion",
            Self::DeletePolicy { .. } => "iam:DeletePolicy",
            Self::Attach { holder, .. } => by_kind(holder, "iam:AttachRolePolicy", "iam:AttachUserPolicy"),
            Self::Detach { holder, .. } => by_kind(holder, "iam:DetachRolePolicy", "iam:DetachUserPolicy"),
        }
    }

    /// The role, user or policy that it changes.
    fn subject(&self) -> String {
        match self {
            Self::PutInline { holder, .. }
            | Self::DeleteInline { holder, .. }
            | Self::Attach { holder, .. }
            | Self::Detach { holder, .. } => match holder.kind {
                HolderKind::Role => format!("role {}", holder.name),
                HolderKind::User => format!("user {}", holder.name),
            },
            Self::CreateRole { role, .. }
            | Self::TagRole { role, .. }
            | Self::UpdateTrust { role, .. }
            | Self::UpdateMaxSession { role, .. }
            | Self::DeleteRole { role } => format!("role {role}"),
            Self::CreatePolicy { policy, .. } => format!("policy {policy}"),
            Self::CreateVersion { arn, .. }
            | Self::DeleteVersion { arn, .. }
            | Self::DeletePolicy { arn } => format!("policy {arn}"),
        }
    }

    pub(super) async fn send(&self, iam: &Client) -> Result<(), AwsError> {
        match self {
            Self::PutInline { .. }
            | Self::DeleteInline { .. }
            | Self::Attach { .. }
            | Self::Detach { .. } => self.send_for_holder(iam).await,
            Self::CreateRole {
                role,
                trust,
                max_session_seconds,
                tags,
            } => {
                let tags: Result<Vec<Tag>, AwsError> =
                    tags.iter().map(|(key, value)| self.tag(key, value)).collect();
                let request = iam
                    .create_role()
                    .role_name(role)
                    .assume_role_policy_document(trust);
                let request = request.max_session_duration(whole(*max_session_seconds));
                self.done(request.set_tags(Some(tags?)).send().await)
            }
            Self::TagRole { role, key, value } => {
                let tag = self.tag(key, value)?;
                self.done(iam.tag_role().role_name(role).tags(tag).send().await)
            }
            Self::UpdateTrust { role, trust } => {
                let request = iam.update_assume_role_policy().role_name(role);
                self.done(request.policy_document(trust).send().await)
            }
            Self::UpdateMaxSession { role, seconds } => {
                let request = iam.update_role().role_name(role);
                self.done(request.max_session_duration(whole(*seconds)).send().await)
            }
            Self::DeleteRole { role } => self.done(iam.delete_role().role_name(role).send().await),
            Self::CreatePolicy { policy, document } => {
                let request = iam.create_policy().policy_name(policy);
                self.done(request.policy_document(document).send().await)
            }
            Self::CreateVersion { arn, document } => {
                let request = iam.create_policy_version().policy_arn(arn);
                self.done(
                    request
                        .policy_document(document)
                        .set_as_default(true)
                        .send()
                        .await,
                )
            }
            Self::DeleteVersion { arn, version } => {
                let request = iam.delete_policy_version().policy_arn(arn);
                self.done(request.version_id(version).send().await)
            }
            Self::DeletePolicy { arn } => self.done(iam.delete_policy().policy_arn(arn).send().await),
        }
    }

    async fn send_for_holder(&self, iam: &Client) -> Result<(), AwsError> {
        use HolderKind::{Role, User};
        match self {
            Self::PutInline {
                holder,
                policy,
                document,
            } => match holder.kind {
                Role => {
                    let request = iam.put_role_policy().role_name(&holder.name).policy_name(policy);
                    self.done(request.policy_document(document).send().await)
                }
                User => {
                    let request = iam.put_user_policy().user_name(&holder.name).policy_name(policy);
                    self.done(request.policy_document(document).send().await)
                }
            },
            Self::DeleteInline { holder, policy } => match holder.kind {
                Role => {
                    let request = iam.delete_role_policy().role_name(&holder.name);
                    self.done(request.policy_name(policy).send().await)
                }
                User => {
                    let request = iam.delete_user_policy().user_name(&holder.name);
                    self.done(request.policy_name(policy).send().await)
                }
            },
            Self::Attach { holder, arn } => match holder.kind {
                Role => {
                    let request = iam.attach_role_policy().role_name(&holder.name);
                    self.done(request.policy_arn(arn).send().await)
                }
                User => {
                    let request = iam.attach_user_policy().user_name(&holder.name);
                    self.done(request.policy_arn(arn).send().await)
                }
            },
            Self::Detach { holder, arn } => match holder.kind {
                Role => {
                    let request = iam.detach_role_policy().role_name(&holder.name);
                    self.done(request.policy_arn(arn).send().await)
                }
                User => {
                    let request = iam.detach_user_policy().user_name(&holder.name);
                    self.done(request.policy_arn(arn).send().await)
                }
            },
            _ => Ok(()),
        }
    }

    fn verb(&self) -> String {
        format!("{} on {}", self.action(), self.subject())
    }

    fn done<T, E>(&self, answer: Result<T, E>) -> Result<(), AwsError>
    where
        E: Error + ProvideErrorMetadata,
    {
        answer
            .map(|_| ())
            .map_err(|error| AwsError::of_call(self.verb(), &error))
    }

    fn tag(&self, key: &str, value: &str) -> Result<Tag, AwsError> {
        let tag = Tag::builder().key(key).value(value).build();
        tag.map_err(|error| AwsError {
            fault: super::AwsFault::Other,
            action: self.verb(),
            message: error.to_string(),
        })
    }
}

/// The manifest's reader has judged it: an hour to twelve.
fn whole(seconds: u64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
