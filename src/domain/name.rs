//! Names that must not be mistaken for one another: target, db user, database.

use std::fmt;

/// Longest identifier PostgreSQL keeps (`NAMEDATALEN - 1`). A longer name would be cut by the
/// server, so what policy decided on would not be what the server uses.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("name is empty")]
    Empty,
    #[error("name is {0} bytes long, the limit is {NAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("name is not valid UTF-8")]
    NotUtf8,
    #[error("name contains a NUL byte")]
    Nul,
}

/// Checks the rules that every name of ours obeys: UTF-8, 1 to 63 bytes, no NUL.
fn checked(bytes: &[u8]) -> Result<&str, NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(bytes.len()));
    }
    if bytes.contains(&0) {
        return Err(NameError::Nul);
    }
    std::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Accepts exactly these bytes, or says why not.
            pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, NameError> {
                checked(bytes.as_ref()).map(|name| Self(name.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type! {
    /// The PostgreSQL login role dbproxy connects as; last part of the `rds-db:connect` ARN.
    DbUser
}
name_type! {
    /// A PostgreSQL role that db users are members of, and that policies speak of.
    DbRole
}
name_type! {
    /// The PostgreSQL database of the startup message.
    DatabaseName
}
name_type! {
    /// Short name of a database in the catalog; never a host that a client chose.
    TargetName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_exactly() {
        for name in ["app", "Jane.Doe@corp/ops+1 ~_-é", &"x".repeat(63)] {
            assert_eq!(DbUser::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_the_server_would_change_is_refused() {
        assert_eq!(DbUser::new(""), Err(NameError::Empty));
        assert_eq!(DbUser::new("x".repeat(64)), Err(NameError::TooLong(64)));
        assert_eq!(DbUser::new([b'a', 0xff]), Err(NameError::NotUtf8));
        assert_eq!(DbUser::new([b'a', 0, b'b']), Err(NameError::Nul));
    }
}
