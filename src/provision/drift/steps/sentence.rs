//! What a statement that a plan has says about what is there.

use super::{Scene, named_database};
use crate::provision::drift::finding::Finding;
use crate::provision::drift::kind::Kind;
use crate::provision::drift::statement::{Deed, Privileges};
use crate::provision::name::RDS_IAM;

impl Scene<'_> {
    pub(super) fn of_role(&self, deed: &Deed) -> Option<(Kind, String, String)> {
        Some(match deed {
            Deed::Setting {
                role, name, is_set, ..
            } => {
                let what = match is_set {
                    true => format!("the setting {name} is not what the manifest says"),
                    false => format!("has the setting {name}, and the manifest none"),
                };
                (Kind::SettingChanged, self.role(role), what)
            }
            Deed::Join { role, member } => {
                let what = format!("is not the member of {role:?} that the manifest makes it");
                (Kind::MissingMembership, self.role(member), what)
            }
            Deed::Leave { role, member, .. } if self.is_provisioner(member) => {
                let what = format!("still acts as {role:?}, which a run that broke has left");
                (Kind::ExtraMembership, format!("provisioner {member:?}"), what)
            }
            Deed::Leave {
                role,
                member,
                option: Some(option),
            } => {
                let what =
                    format!("is a member of {role:?} with {option} OPTION, which the manifest does not give");
                (Kind::ExtraMembership, self.role(member), what)
            }
            Deed::Leave { role, member, .. } => {
                let by_iam = self
                    .facts
                    .wanted
                    .roles
                    .iter()
                    .any(|(name, wanted)| name.as_str() == member && wanted.login && role == RDS_IAM);
                let what = match by_iam {
                    true => {
                        "is a member of rds_iam, so its password does not work (rds_iam = false)".to_owned()
                    }
                    false => format!("is a member of {role:?}, which the manifest does not give it"),
                };
                let kind = if by_iam {
                    Kind::PasswordUserReachesRdsIam
                } else {
                    Kind::ExtraMembership
                };
                (kind, self.role(member), what)
            }
            _ => return None,
        })
    }

    pub(super) fn of_thing(&self, deed: &Deed) -> Option<(Kind, String, String)> {
        let of_manifest = || "of the manifest does not exist".to_owned();
        Some(match deed {
            Deed::Rename { was, name } => {
                let what = format!("still has its former name {was:?}");
                (Kind::FormerName, self.role(name), what)
            }
            Deed::Create { role } => (Kind::MissingRole, self.role(role), of_manifest()),
            Deed::Adopt { role } => {
                let what = "exists without dbproxy's mark: somebody else made it, or changed its comment";
                (Kind::UnadoptedRole, self.role(role), what.to_owned())
            }
            Deed::Attributes { role, text } => {
                let what = format!("is not what the manifest says, which is {text}");
                (Kind::RoleChanged, self.role(role), what)
            }
            Deed::CreateDatabase { name } => {
                (Kind::MissingDatabase, format!("database {name:?}"), of_manifest())
            }
            Deed::Owner { what, name, owner } => {
                let told = format!("does not belong to {owner:?}, its owner by the manifest");
                (Kind::OwnerChanged, format!("{what} {name:?}"), told)
            }
            Deed::Limit { database } => {
                let what = "its connection limit is not what the manifest says".to_owned();
                (Kind::SettingChanged, format!("database {database:?}"), what)
            }
            Deed::Extension { name } => (
                Kind::MissingExtension,
                format!("extension {name:?}"),
                of_manifest(),
            ),
            Deed::Schema { name } => (Kind::MissingSchema, format!("schema {name:?}"), of_manifest()),
            _ => return None,
        })
    }

    pub(super) fn privileges(&self, privileges: &Privileges, is_given: bool, at: Option<String>) -> Finding {
        let Privileges {
            what,
            on,
            whom,
            to_come,
        } = privileges;
        let subject = whom.as_ref().map_or("PUBLIC".to_owned(), |role| self.role(role));
        let on_what = match to_come {
            true => format!("what will be created: {on}"),
            false => on.clone(),
        };
        let (kind, told) = match (is_given, whom) {
            (true, _) => (
                Kind::MissingPrivilege,
                format!("lacks {what} on {on_what}, which the manifest gives it"),
            ),
            (false, None) => (
                Kind::PublicPrivilege,
                format!(
                    "everybody has {what} on {on_what}, and the manifest gives it to nobody but its roles"
                ),
            ),
            (false, Some(_)) => (
                Kind::ExtraPrivilege,
                format!("has {what} on {on_what}, which the manifest does not give it"),
            ),
        };
        let at = at.or_else(|| named_database(on));
        self.told(kind, at, subject, told)
    }
}
