//! An authority for clients' certificates with the files that dbproxy reads, and the files of those who hold one.

use crate::callers::{configuration, directory};
use crate::support::authority::{Authority, List};
use crate::support::tls::client_tls;
use crate::support::{Proxy, Sandbox, psql};
use rcgen::{CertificateParams, SanType};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

pub struct House {
    pub directory: PathBuf,
    pub ca: Authority,
    /// Of dbproxy's own certificate.
    pub roots: String,
}

/// Where a client has its certificate and its key.
pub struct Held {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl House {
    pub fn new(sandbox: &Sandbox) -> Self {
        let house = Self {
            directory: directory(sandbox),
            ca: Authority::new("client authority"),
            roots: sandbox.text("/ca/proxy_ca"),
        };
        house.trust(&[&house.ca]);
        house
    }

    /// The file of authorities: these.
    pub fn trust(&self, authorities: &[&Authority]) {
        let certificates: String = authorities.iter().map(|one| one.certificate.pem()).collect();
        std::fs::write(self.directory.join("ca.pem"), certificates).unwrap();
    }

    /// The file of revocations: this list of the authority's.
    pub fn revoke(&self, list: &List<'_>) {
        std::fs::write(self.directory.join("revoked.crl"), self.ca.crl(list)).unwrap();
    }

    pub fn give(&self, name: &str, params: &CertificateParams) -> Held {
        self.given_by(&self.ca, name, params)
    }

    pub fn given_by(&self, authority: &Authority, name: &str, params: &CertificateParams) -> Held {
        let identity = authority.sign(params);
        let path = |end: &str| self.directory.join(format!("{name}.{end}"));
        let held = Held {
            certificate: path("crt"),
            key: path("key"),
        };
        std::fs::write(&held.certificate, identity.certificate.pem()).unwrap();
        std::fs::write(&held.key, identity.key.serialize_pem()).unwrap();
        // libpq takes no key that others can read.
        std::fs::set_permissions(&held.key, Permissions::from_mode(0o600)).unwrap();
        held
    }

    /// `[client_tls]`, with further lines.
    pub fn tls(&self, sandbox: &Sandbox, lines: &str) -> String {
        let ca = self.directory.join("ca.pem");
        client_tls(
            sandbox,
            &format!("client_ca_file = \"{}\"\n{lines}", ca.display()),
        )
    }

    /// The line that names the file of revocations.
    pub fn crl_line(&self) -> String {
        let file = self.directory.join("revoked.crl");
        format!("client_crl_files = [\"{}\"]", file.display())
    }

    /// A dbproxy that takes these certificates and nothing else.
    pub fn proxy(&self, sandbox: &Sandbox, cedar: &str, lines: &str) -> Proxy {
        let tables = self.tls(sandbox, lines);
        Proxy::start(sandbox, &configuration(sandbox, &["mtls"], cedar, ("", &tables)))
    }

    /// psql, with a certificate or without one.
    pub fn psql(&self, proxy: &Proxy, held: Option<&Held>, sql: &str) -> Output {
        self.psql_with(proxy, held, &[], sql)
    }

    pub fn psql_with(
        &self,
        proxy: &Proxy,
        held: Option<&Held>,
        environment: &[(&str, &str)],
        sql: &str,
    ) -> Output {
        let mut connection = format!(
            "host=localhost port={} user=jane dbname=app sslmode=verify-full sslrootcert={}",
            proxy.port(),
            self.roots
        );
        if let Some(Held { certificate, key }) = held {
            connection += &format!(" sslcert={} sslkey={}", certificate.display(), key.display());
        }
        psql(&connection, environment, sql)
    }
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// For a client `jane` with these names.
pub fn named(serial: u64, names: &[SanType]) -> CertificateParams {
    let mut params = crate::support::authority::client(serial);
    params.subject_alt_names = names.to_vec();
    params
}
