//! The three names of a target; two of them follow from the endpoint unless they are given.

use crate::config::section::Section;
use crate::config::values::{POSTGRES_PORT, certificate_name, host, host_port};
use crate::domain::endpoint::EndpointName;
use crate::domain::target::HostPort;

pub struct Names {
    pub endpoint: EndpointName,
    pub dial: HostPort,
    pub tls_name: String,
    pub token: HostPort,
}

impl Names {
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let endpoint = section.required("endpoint", "is missing: the RDS endpoint name of the database");
        let port = read_port(section, "port").unwrap_or(POSTGRES_PORT);
        let dial = section.string("dial");
        let tls_name = section.string("tls_name");
        let tls_name = tls_name.map(|text| section.convert("tls_name", certificate_name(&text)));
        let token_host = section.string("token_host");
        let token_host = token_host.map(|text| section.convert("token_host", host(&text, "token_port")));
        let token_port = read_port(section, "token_port");
        let at = endpoint.and_then(|text| section.convert("endpoint", host_port(&text, port)));
        let default_port = at.as_ref().map_or(port, |at| at.port);
        let dial = dial.map(|text| section.convert("dial", host_port(&text, default_port)));

        let at = at?;
        let endpoint = EndpointName::parse(&at.host);
        let own = endpoint.host.to_string();
        Some(Self {
            tls_name: match tls_name {
                Some(given) => given?,
                None => section.convert("endpoint", certificate_name(&own))?,
            },
            token: HostPort {
                host: token_host.unwrap_or(Some(own))?,
                port: token_port.unwrap_or(at.port),
            },
            dial: dial.unwrap_or(Some(at))?,
            endpoint,
        })
    }
}

pub fn read_port(section: &mut Section<'_>, key: &'static str) -> Option<u16> {
    let port = section.integer(key, 1..=65_535)?;
    u16::try_from(port).ok()
}
