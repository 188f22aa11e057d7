//! The closed set of what can have drifted. Names are stable: scripts read them.

/// How bad it is while nobody mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody can do what the manifest does not allow, or cannot get in.
    High,
    /// Something differs, and somebody may come to rely on it.
    Medium,
    /// Worth tidying up.
    Low,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Where it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    Database,
    Iam,
    Audit,
}

impl Plane {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Iam => "iam",
            Self::Audit => "audit",
        }
    }
}

macro_rules! kinds {
    ($($variant:ident, $name:literal, $plane:ident, $severity:ident, $meaning:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $meaning] $variant,)+
        }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub fn plane(self) -> Plane {
                match self { $(Self::$variant => Plane::$plane,)+ }
            }

            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// For the table of all kinds.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

kinds! {
    PublicPrivilege, "public_privilege", Database, High,
        "PUBLIC has a privilege on something managed: grants that came back";
    PasswordUserReachesRdsIam, "password_user_reaches_rds_iam", Database, High,
        "a user who logs in by password (`rds_iam = false`, break-glass, a superuser, the RDS master user) reaches `rds_iam` over memberships, so its password no longer works";
    UnmanagedRdsIamUser, "unmanaged_rds_iam_user", Database, High,
        "a user can log in by IAM and is not in the manifest";
    ExcessPower, "excess_power", Database, High,
        "a role of the manifest has SUPERUSER, REPLICATION or BYPASSRLS, which only a superuser may take away";
    ProvisionerChanged, "provisioner_changed", Database, High,
        "the provisioner lacks what `dbproxy bootstrap` gives it, is a superuser, or is a member of a role of the manifest by somebody's grant";
    ExtraMembership, "extra_membership", Database, High,
        "a role is a member of another, or with more options, than the manifest says; also what a run that broke left with the provisioner";
    ExtraPrivilege, "extra_privilege", Database, High,
        "a role has a privilege that the manifest does not give it, on something that is there or on what is to come, whoever gave it";
    ForeignMember, "foreign_member", Database, High,
        "a role that is not managed is a member of a role of the manifest or of the provisioner, or may make itself one (ADMIN OPTION)";
    RoleLeftManifest, "role_left_manifest", Database, High,
        "a role carries dbproxy's mark and the manifest no longer has it";
    ApplyBlocked, "apply_blocked", Database, High,
        "something stands in the way of `dbproxy apply`, which would refuse";
    OwnerChanged, "owner_changed", Database, High,
        "a database or a schema belongs to somebody else than the manifest says";
    RoleChanged, "role_changed", Database, High,
        "LOGIN, INHERIT, CREATEROLE, CREATEDB or the connection limit of a role differ";
    MissingRole, "missing_role", Database, Medium,
        "a db user or db role of the manifest does not exist";
    MissingMembership, "missing_membership", Database, Medium,
        "a role is not a member of another that the manifest gives it";
    MissingPrivilege, "missing_privilege", Database, Medium,
        "a role lacks a privilege that the manifest gives it";
    MissingDatabase, "missing_database", Database, Medium,
        "a database of the manifest does not exist";
    MissingSchema, "missing_schema", Database, Medium,
        "a schema of the manifest does not exist";
    MissingExtension, "missing_extension", Database, Medium,
        "an extension of the manifest is not in its database";
    SettingChanged, "setting_changed", Database, Medium,
        "a setting of a role, or the connection limit of a database, differs";
    UnadoptedRole, "unadopted_role", Database, Medium,
        "a role of the manifest exists without dbproxy's mark: somebody else made it, or removed the comment";
    FormerName, "former_name", Database, Medium,
        "a role still has the name that the manifest calls its former one";
    WildcardArn, "wildcard_arn", Iam, High,
        "a policy allows `rds-db:connect` on more than it names: a wildcard or variable in the db user, the resource id or elsewhere, or `NotResource`; also where it fits only db users to come";
    ExtraPolicy, "extra_policy", Iam, High,
        "IAM lets a principal be a db user or the provisioner, and the manifest does not";
    TrustChanged, "trust_changed", Iam, High,
        "a cross-account role trusts others than the manifest says, asks for no external id or another one, or lives longer";
    MissingPolicy, "missing_policy", Iam, Medium,
        "the manifest lets a principal be a db user, or assume a role, and IAM does not";
    UserNobodyCanBe, "user_nobody_can_be", Iam, Medium,
        "no principal of the account may be this user of `rds_iam`";
    PolicyForMissingUser, "policy_for_missing_user", Iam, Medium,
        "a policy lets a principal be a db user that does not exist: whoever creates one of that name hands it over";
    StaleResourceId, "stale_resource_id", Iam, Medium,
        "a policy or the manifest names a resource id that no known cluster has: a restore, or the old side of a blue/green deployment";
    UnusedUser, "unused_user", Audit, Low,
        "nobody was this db user through dbproxy for `--unused-days`";
    UnusedRole, "unused_role", Audit, Low,
        "no db user of the manifest that has this role was used for `--unused-days`; owners are left out";
}
