//! Trust roots: shipped for RDS and Amazon, or from a file.
//!
//! Where the shipped ones come from and how they are renewed: `roots/README.md`.

use super::TlsError;
use crate::domain::endpoint::{Region, RootsKind};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;

const RDS: &str = include_str!("roots/rds.pem");
const AMAZON: &str = include_str!("roots/amazon.pem");

/// The shipped roots for a kind of endpoint.
pub fn shipped(kind: RootsKind) -> Result<RootCertStore, TlsError> {
    let (pem, name) = match kind {
        RootsKind::Rds => (RDS, "shipped RDS roots"),
        RootsKind::Amazon => (AMAZON, "shipped Amazon roots"),
    };
    store(pem.as_bytes(), Path::new(name))
}

/// Whether the shipped RDS roots have those of this region: each region has its own.
pub fn covers(region: &Region) -> bool {
    RDS.contains(&format!("Amazon RDS {region} Root CA"))
}

/// The certificates of a PEM file; it takes the place of the shipped roots.
pub fn from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let pem = std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    store(&pem, path)
}

fn store(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|source| TlsError::Pem {
            path: path.to_owned(),
            source,
        })?;
        store.add(certificate)?;
    }
    if store.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_roots_are_whole() {
        assert!(shipped(RootsKind::Rds).unwrap().len() > 60);
        assert_eq!(shipped(RootsKind::Amazon).unwrap().len(), 5);
    }

    #[test]
    fn regions_are_covered_by_name() {
        for (region, covered) in [
            ("us-east-1", true),
            ("cn-north-1", true),
            ("us-gov-west-1", false),
        ] {
            assert_eq!(covers(&Region::new(region).unwrap()), covered, "{region}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_it() {
        let path = std::env::temp_dir().join(format!("dbproxy-empty-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing").unwrap();
        let error = from_file(&path).unwrap_err();
        assert!(matches!(error, TlsError::Empty { .. }), "{error}");
    }
}
