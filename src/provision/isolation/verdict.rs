//! What the judgement says.

use super::login::Login;
use crate::provision::name::{Database, RoleName, SchemaName};
use std::collections::BTreeMap;

/// How far somebody comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    None,
    Connect,
    Read,
    Write,
    Own,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Write => "write",
            Self::Own => "own",
        }
    }
}

impl Level {
    /// In the middle of a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "nothing",
            level => level.as_str(),
        }
    }
}

/// One user in one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    pub found: Level,
    pub expected: Level,
    /// Those where there is anything.
    pub schemas: BTreeMap<SchemaName, Level>,
    /// What is more than the manifest says: of the database, or of a schema.
    pub more: Vec<String>,
    /// What is less.
    pub less: Vec<String>,
    /// Nobody looked inside.
    pub unseen: bool,
    pub login: Login,
}

impl Cell {
    /// The server did not do what its functions say.
    pub fn disagrees(&self) -> bool {
        match self.login {
            Login::In => self.found == Level::None,
            Login::Shut => self.found != Level::None,
            Login::NotTried(_) => false,
        }
    }
}

pub type Cells = BTreeMap<(RoleName, Database), Cell>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub users: Vec<RoleName>,
    /// Those of the manifest first.
    pub databases: Vec<Database>,
    pub cells: Cells,
    /// Breakers first.
    pub findings: Vec<Finding>,
}

impl Verdict {
    pub fn of(&self, weight: Weight) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.kind.weight() == weight)
    }

    pub fn is_isolated(&self) -> bool {
        self.of(Weight::Breaks).next().is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// `None`: of the whole cluster.
    pub database: Option<Database>,
    /// Whom it lets in; empty where that is not the question.
    pub users: Vec<RoleName>,
    pub what: String,
    pub mends: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Breaks,
    /// Nobody could look.
    Unknown,
    Note,
}

/// A closed set: the names are those of `docs/isolation.md` and of `-o json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Absent,
    Exceeds,
    Lacks,
    Login,
    PublicConnect,
    PublicCreate,
    Attribute,
    CreateRole,
    PowerfulRole,
    Membership,
    AdminOption,
    Dblink,
    ForeignData,
    ForeignServer,
    Language,
    LargeObjects,
    PowerfulDefiner,
    Unseen,
    Template,
    DeclaredExtension,
    SecurityDefiner,
    Statistics,
    Publication,
    Subscription,
    OtherLogins,
    SharedCatalogs,
}

impl Kind {
    pub const ALL: [Self; 26] = [
        Self::Absent,
        Self::Exceeds,
        Self::Lacks,
        Self::Login,
        Self::PublicConnect,
        Self::PublicCreate,
        Self::Attribute,
        Self::CreateRole,
        Self::PowerfulRole,
        Self::Membership,
        Self::AdminOption,
        Self::Dblink,
        Self::ForeignData,
        Self::ForeignServer,
        Self::Language,
        Self::LargeObjects,
        Self::PowerfulDefiner,
        Self::Unseen,
        Self::Template,
        Self::DeclaredExtension,
        Self::SecurityDefiner,
        Self::Statistics,
        Self::Publication,
        Self::Subscription,
        Self::OtherLogins,
        Self::SharedCatalogs,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Exceeds => "exceeds",
            Self::Lacks => "lacks",
            Self::Login => "login",
            Self::PublicConnect => "public-connect",
            Self::PublicCreate => "public-create",
            Self::Attribute => "attribute",
            Self::CreateRole => "createrole",
            Self::PowerfulRole => "powerful-role",
            Self::Membership => "membership",
            Self::AdminOption => "admin-option",
            Self::Dblink => "dblink",
            Self::ForeignData => "foreign-data",
            Self::ForeignServer => "foreign-server",
            Self::Language => "language",
            Self::LargeObjects => "large-objects",
            Self::PowerfulDefiner => "powerful-definer",
            Self::Unseen => "unseen",
            Self::Template => "template",
            Self::DeclaredExtension => "declared-extension",
            Self::SecurityDefiner => "security-definer",
            Self::Statistics => "statistics",
            Self::Publication => "publication",
            Self::Subscription => "subscription",
            Self::OtherLogins => "other-logins",
            Self::SharedCatalogs => "shared-catalogs",
        }
    }

    pub fn weight(self) -> Weight {
        match self {
            Self::Unseen => Weight::Unknown,
            Self::Template
            | Self::DeclaredExtension
            | Self::SecurityDefiner
            | Self::Statistics
            | Self::Publication
            | Self::Subscription
            | Self::OtherLogins
            | Self::SharedCatalogs => Weight::Note,
            _ => Weight::Breaks,
        }
    }
}
