//! The caller goes on to the database: behind the client's own name in `application_name`, and, where the
//! target asks for it, in the setting `dbproxy.caller`, which row-level security can read. A broker behind
//! this dbproxy is told nothing: it finds out by itself who the caller is.

use crate::access::policy::{Action, Permit};
use crate::domain::caller::{Caller, Principal};
use crate::domain::reason::CloseReason;
use crate::domain::target::{Propagation, Target};
use crate::error::{Refusal, SqlState};
use crate::platform::wire::options::speak_of;
use crate::platform::wire::startup::{OPENING_BYTES_MAX, StartupMessage};

/// How the names of settings begin that only dbproxy gives at startup.
const OWN: &str = "dbproxy.";
const CALLER: &str = "dbproxy.caller";
const APPLICATION_NAME: &str = "application_name";

/// Refuses a client that begins with a setting of dbproxy's own. What a session begins with is what `RESET`
/// goes back to, so who could choose it could be anybody to row-level security; refused everywhere, so that
/// a target that does not set it cannot be mistaken for one that does.
pub fn refuse_own_settings(startup: &StartupMessage, target: &Target) -> Result<(), Refusal> {
    let by_parameter = || startup.parameters().any(|(name, _)| begins_as_own(name));
    let by_options = || {
        let mut options = startup.parameters().filter(|(name, _)| *name == b"options");
        options.any(|(_, value)| speak_of(value, OWN))
    };
    match is_database(target) && (by_parameter() || by_options()) {
        true => Err(own_setting()),
        false => Ok(()),
    }
}

fn begins_as_own(name: &[u8]) -> bool {
    let beginning = name.get(..OWN.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(OWN.as_bytes()))
}

/// Writes the caller of `permit` into what the server is sent.
pub fn propagate(startup: &mut StartupMessage, permit: &Permit) -> Result<(), Refusal> {
    let target = permit.target();
    if is_database(target) {
        let mut propagation = target.propagation;
        // `synchronous_standby_names` goes by it.
        propagation.application_name &= permit.question().action == Action::Connect;
        write(startup, permit.caller(), propagation);
    }
    // The server would close the connection without a word.
    match startup.length() > OPENING_BYTES_MAX {
        true => Err(no_room()),
        false => Ok(()),
    }
}

fn write(startup: &mut StartupMessage, caller: &Caller, propagation: Propagation) {
    let is_local = matches!(caller.principal, Principal::Local { .. });
    if propagation.application_name && !is_local {
        let own = startup.setting(&[APPLICATION_NAME]).unwrap_or_default();
        let name = caller.application_name(&String::from_utf8_lossy(&own));
        startup.set_setting(APPLICATION_NAME, &name);
    }
    if propagation.setting {
        startup.set_setting(CALLER, &caller.to_string());
    }
}

fn is_database(target: &Target) -> bool {
    target.credential.broker().is_none()
}

fn own_setting() -> Refusal {
    Refusal::new(
        CloseReason::PolicyDenied,
        SqlState::INSUFFICIENT_PRIVILEGE,
        "settings whose names begin with \"dbproxy.\" are given by dbproxy alone",
    )
    .hint("Leave them out of the connection's parameters and `options`; dbproxy sets `dbproxy.caller` to who you are where the target asks for it.")
}

fn no_room() -> Refusal {
    Refusal::new(
        CloseReason::ProtocolViolation,
        SqlState::PROTOCOL_VIOLATION,
        format!("with the caller in it the startup packet is longer than {OPENING_BYTES_MAX} bytes"),
    )
    .hint("Shorten the connection's parameters, such as `options`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::ProofKind;

    const USUAL: Propagation = Propagation {
        application_name: true,
        setting: true,
    };

    fn written(caller: &Caller, propagation: Propagation, parameters: &[(&str, &str)]) -> StartupMessage {
        let mut startup = StartupMessage::new(parameters.iter().copied());
        write(&mut startup, caller, propagation);
        startup
    }

    #[test]
    fn the_servers_last_word_is_the_caller() {
        let name = "ada".to_owned();
        let ada = Caller::new(Principal::Password { name }, ProofKind::Scram);
        let given = [
            ("APPLICATION_NAME", "one"),
            ("options", "-c application_name=two"),
            ("application_name", "three"),
        ];
        let text = |startup: &StartupMessage, name: &str| {
            let value = startup.setting(&[name]);
            value.map(|value| String::from_utf8(value).unwrap())
        };
        let startup = written(&ada, USUAL, &given);
        assert_eq!(
            text(&startup, "application_name").unwrap(),
            "three (password:ada)"
        );
        assert_eq!(text(&startup, "dbproxy.caller").unwrap(), "password:ada");
        let startup = written(&ada, USUAL, &given[1..2]);
        assert_eq!(text(&startup, "application_name").unwrap(), "two (password:ada)");
        let nothing = Propagation {
            application_name: false,
            setting: false,
        };
        assert_eq!(written(&ada, nothing, &given), StartupMessage::new(given));
        let local = Caller::local(Some(1000));
        let startup = written(&local, USUAL, &given);
        assert_eq!(text(&startup, "application_name").unwrap(), "three");
        assert_eq!(text(&startup, "dbproxy.caller").unwrap(), "local:uid=1000");
        assert_eq!(
            written(&local, Propagation::default(), &given),
            StartupMessage::new(given)
        );
    }
}
