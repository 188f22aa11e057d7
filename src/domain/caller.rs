//! Who opened the session, once proven.

use std::fmt;

/// The human or workload behind a client connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Reached a loopback or unix listener. On a unix socket the kernel tells the peer's uid.
    Local { uid: Option<u32> },
}

impl Caller {
    /// The caller in the alphabet of STS session names and source identities: `[\w+=,.@-]`,
    /// 2 to 64 characters (AWS STS API Reference, `AssumeRole`).
    pub fn sts_name(&self) -> String {
        let name: String = self
            .to_string()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .take(64)
            .collect();
        name
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid: Some(uid) } => write!(f, "local:uid={uid}"),
            Self::Local { uid: None } => f.write_str("local"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_names_keep_to_the_alphabet_of_sts() {
        let caller = Caller::Local { uid: Some(1000) };
        assert_eq!(caller.to_string(), "local:uid=1000");
        assert_eq!(caller.sts_name(), "local-uid=1000");
    }
}
