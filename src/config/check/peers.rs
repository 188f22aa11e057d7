//! `[peers]`: the replicas that share one address.

use crate::config::section::Section;
use crate::config::values::host_port;
use crate::domain::secret::Secret;
use crate::domain::target::HostPort;
use crate::platform::tls::peer::SECRET_BYTES_MIN;
use std::fs;
use std::net::SocketAddr;

/// The port that members have unless they say otherwise.
const PEER_PORT: u16 = 6433;

/// How replicas find and prove each other.
#[derive(Debug)]
pub struct PeersSetting {
    pub listen: SocketAddr,
    pub advertise: Option<SocketAddr>,
    pub members: Vec<HostPort>,
    pub secret: Secret,
}

pub fn read(root: &mut Section<'_>) -> Option<PeersSetting> {
    let mut section = root.section("peers")?;
    let listen = section.required("listen", "is missing");
    let listen = listen.and_then(|text| address(&section, "listen", &text));
    let advertise = section.string("advertise");
    let advertise = advertise.and_then(|text| address(&section, "advertise", &text));
    let members = section.strings("members").unwrap_or_default();
    if members.is_empty() {
        section.problem(
            "members",
            "is missing or empty: there would be nobody to hand a cancel to",
        );
    }
    let members = members
        .iter()
        .filter_map(|text| section.convert("members", host_port(text, PEER_PORT)))
        .collect();
    let secret = section.required("secret_file", "is missing");
    let secret = secret.and_then(|path| section.convert("secret_file", read_secret(&path)));
    section.finish();
    Some(PeersSetting {
        listen: listen?,
        advertise,
        members,
        secret: secret?,
    })
}

fn address(section: &Section<'_>, key: &str, text: &str) -> Option<SocketAddr> {
    let what = || format!("`{text}` is not an address and port such as `10.0.0.7:{PEER_PORT}`");
    // Replicas find each other by this very port.
    let parsed = text
        .parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0);
    section.convert(key, parsed.ok_or_else(what))
}

/// The first line of the file, as with passwords.
fn read_secret(path: &str) -> Result<Secret, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.len() {
        SECRET_BYTES_MIN.. => Ok(Secret::from(line.to_owned())),
        short => Err(format!(
            "the secret has {short} bytes; at least {SECRET_BYTES_MIN} are needed, such as of `openssl rand -hex 32`"
        )),
    }
}
