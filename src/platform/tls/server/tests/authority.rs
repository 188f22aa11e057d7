//! Authorities that sign whatever a test asks for.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Long before the tests, and long after.
const PAST: i32 = 2020;
const FUTURE: i32 = 2099;

pub struct Authority {
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key and those between it and the root.
pub struct Identity {
    pub certificate: Certificate,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
}

impl Identity {
    pub fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// Valid, without names or usages.
pub fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(PAST, 1, 1);
    params.not_after = date_time_ymd(FUTURE, 1, 1);
    params
}

/// For a client, with this serial number.
pub fn client(serial: u64) -> CertificateParams {
    let mut params = params("jane");
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str, serial: u64) -> Self {
        let (mut params, key) = (authority_params(name), KeyPair::generate().unwrap());
        params.serial_number = Some(SerialNumber::from(serial));
        Self {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    pub fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![certificate.der().clone()];
        Identity {
            certificate,
            chain,
            key,
        }
    }

    /// In PEM: what of these serial numbers is revoked, in force until a year.
    pub fn crl(&self, list: &List<'_>) -> String {
        let crl = CertificateRevocationListParams {
            this_update: date_time_ymd(list.since, 1, 1),
            next_update: date_time_ymd(list.until, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: list.part.map(|uri| CrlIssuingDistributionPoint {
                distribution_point: point(uri),
                scope: None,
            }),
            revoked_certs: list.revoked.iter().map(|serial| revoked(*serial)).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        crl.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// What a list of revoked certificates says.
pub struct List<'a> {
    pub revoked: &'a [u64],
    pub since: i32,
    pub until: i32,
    pub part: Option<&'a str>,
}

impl<'a> List<'a> {
    pub fn of(revoked: &'a [u64]) -> Self {
        Self {
            revoked,
            since: PAST,
            until: FUTURE,
            part: None,
        }
    }
}

pub fn point(uri: &str) -> CrlDistributionPoint {
    CrlDistributionPoint {
        uris: vec![uri.to_owned()],
    }
}

fn revoked(serial: u64) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(PAST, 1, 1),
        reason_code: None,
        invalidity_date: None,
    }
}
