//! Whom a session is to be from its first moment: `role` and `session_authorization`, by `options` or by parameters of
//! their own. Read once, for policy and for the record alike.

use crate::platform::wire::options::settings;
use crate::platform::wire::startup::StartupMessage;

/// What the startup message asks for, as the client wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begins {
    /// Nothing: none was asked for, or `none`.
    pub role: Option<Vec<u8>>,
    pub session_authorization: Option<Vec<u8>>,
}

impl Begins {
    /// The server sets what stands in `options` first, then the parameters, each in their order: the last one counts.
    pub fn of(startup: &StartupMessage) -> Self {
        // Of several `options` the server takes the last.
        let options = startup.parameters().filter(|(name, _)| *name == b"options");
        let by_options = settings(options.last().map_or(b"", |(_, value)| value));
        let by_options = by_options
            .into_iter()
            .map(|setting| (setting.name, setting.value));
        let parameters = startup.parameters();
        let by_parameter = parameters.map(|(name, value)| (name.to_vec(), value.to_vec()));
        let mut begins = Self::default();
        for (name, value) in by_options.chain(by_parameter) {
            // The server looks names up without regard to the case of ASCII letters.
            match name.to_ascii_lowercase().as_slice() {
                b"role" => begins.role = Some(value).filter(|value| !is_none(value)),
                b"session_authorization" => begins.session_authorization = Some(value),
                _ => {}
            }
        }
        begins
    }

    /// For the record: whom the session is to be instead of its db user.
    pub fn instead(&self) -> Option<&[u8]> {
        self.session_authorization.as_deref().or(self.role.as_deref())
    }
}

/// The server knows `none` in this case only; what is empty it refuses itself.
fn is_none(role: &[u8]) -> bool {
    role.is_empty() || role == b"none"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(parameters: &[(&str, &str)]) -> Begins {
        Begins::of(&StartupMessage::new(parameters.iter().copied()))
    }

    fn role(parameters: &[(&str, &str)]) -> Option<String> {
        let role = begins(parameters).role;
        role.map(|role| String::from_utf8(role).unwrap())
    }

    #[test]
    fn the_last_role_counts_and_parameters_come_after_options() {
        assert_eq!(role(&[("user", "app")]), None);
        let options = ("options", "-c role=one -c ROLE=two");
        assert_eq!(role(&[options]).as_deref(), Some("two"));
        assert_eq!(
            role(&[options, ("options", "--role=last")]).as_deref(),
            Some("last")
        );
        assert_eq!(role(&[("RoLe", "three"), options]).as_deref(), Some("three"));
        assert_eq!(
            role(&[("role", "three"), ("Role", "four")]).as_deref(),
            Some("four")
        );
    }

    #[test]
    fn none_is_no_role_and_takes_one_back() {
        assert_eq!(role(&[("role", "none")]), None);
        assert_eq!(role(&[("options", "-c role=one"), ("role", "none")]), None);
        assert_eq!(role(&[("options", r"-c role=one -crole=")]), None);
        assert_eq!(role(&[("role", "None")]).as_deref(), Some("None"));
    }

    #[test]
    fn whoever_asks_for_another_session_user_is_seen_whatever_comes_behind() {
        for parameters in [
            &[("options", "-c session_authorization=x")][..],
            &[("options", "--Session-Authorization=x")],
            &[("SESSION_authorization", "x"), ("role", "none")],
            &[("options", r"-csession_author\ization=x -c role=y")],
        ] {
            assert_eq!(begins(parameters).instead(), Some(&b"x"[..]), "{parameters:?}");
        }
        // A dash is an underscore in `options` alone: the server refuses such a parameter.
        assert_eq!(
            begins(&[("session-authorization", "x")]).session_authorization,
            None
        );
    }
}
