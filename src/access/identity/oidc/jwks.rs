//! The keys that an issuer publishes, and what each is good for (RFC 7517, RFC 7518 section 6, RFC 8037).

use super::error::OidcError;
use super::fetch::FetchError;
use super::token::algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::sync::Arc;

const KEYS_MAX: usize = 100;
/// 2048 to 8192 bits: what the library verifies with.
const RSA_MODULUS_BYTES: RangeInclusive<usize> = 256..=1_024;
const RSA_EXPONENT_BYTES: RangeInclusive<usize> = 1..=4;
const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// None that a token without a key's name could mean, or none of the name.
    Unknown,
    /// One of the name, for other algorithms.
    Unfit,
    /// More than one.
    Ambiguous,
}

impl From<Miss> for OidcError {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Unfit => Self::Algorithm,
            Miss::Unknown | Miss::Ambiguous => Self::UnknownKey,
        }
    }
}

/// What an issuer has published.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    fits: Vec<Algorithm>,
    key: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Keys that are of no use here are left out: an issuer may publish some for other readers.
    pub(super) fn parse(json: &[u8]) -> Result<Self, FetchError> {
        let published: Published = serde_json::from_slice(json).map_err(FetchError::Json)?;
        if published.keys.len() > KEYS_MAX {
            return Err(FetchError::TooManyKeys(published.keys.len()));
        }
        let keys = published.keys.into_iter();
        Ok(Self(
            keys.filter_map(|key| serde_json::from_value(key).ok().and_then(Key::new))
                .collect(),
        ))
    }

    /// The one key that may have signed a token with this header.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<DecodingKey>, Miss> {
        let named = || {
            self.0
                .iter()
                .filter(|key| kid.is_none() || key.id.as_deref() == kid)
        };
        let mut fitting = named().filter(|key| key.fits.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only.key.clone()),
            (Some(_), Some(_)) => Err(Miss::Ambiguous),
            (None, _) if kid.is_some() && named().next().is_some() => Err(Miss::Unfit),
            (None, _) => Err(Miss::Unknown),
        }
    }
}

impl Key {
    fn new(published: PublishedKey) -> Option<Self> {
        let is_for_signatures = published
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig");
        let is_for_verifying = published
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures || !is_for_verifying {
            return None;
        }
        let (key, of_its_type) = published.decode()?;
        let fits = match published.alg.as_deref() {
            None => of_its_type.to_vec(),
            Some(name) => {
                let only = algorithm(name).filter(|only| of_its_type.contains(only))?;
                vec![only]
            }
        };
        Some(Self {
            id: published.kid,
            fits,
            key: Arc::new(key),
        })
    }
}

impl PublishedKey {
    /// The key, and the algorithms that its type fits. Never those of a shared secret: a public key is
    /// none.
    fn decode(&self) -> Option<(DecodingKey, &'static [Algorithm])> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = number(self.n.as_deref()?, &RSA_MODULUS_BYTES)?;
                let exponent = number(self.e.as_deref()?, &RSA_EXPONENT_BYTES)?;
                let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
                Some((key, RSA_ALGORITHMS))
            }
            ("EC", Some("P-256")) => Some((self.point(32)?, &[Algorithm::ES256])),
            ("EC", Some("P-384")) => Some((self.point(48)?, &[Algorithm::ES384])),
            ("OKP", Some("Ed25519")) => {
                let x = self.x.as_deref().filter(|x| is_long(x, 32))?;
                let key = DecodingKey::from_ed_components(x).ok()?;
                Some((key, &[Algorithm::EdDSA]))
            }
            _ => None,
        }
    }

    /// Both coordinates are written in full length, so that the library may put them side by side.
    fn point(&self, bytes: usize) -> Option<DecodingKey> {
        let x = self.x.as_deref().filter(|x| is_long(x, bytes))?;
        let y = self.y.as_deref().filter(|y| is_long(y, bytes))?;
        DecodingKey::from_ec_components(x, y).ok()
    }
}

/// A number without leading zeros, which some issuers write although they should not.
fn number(text: &str, bytes: &RangeInclusive<usize>) -> Option<Vec<u8>> {
    let number = URL_SAFE_NO_PAD.decode(text).ok()?;
    let number: Vec<u8> = number.into_iter().skip_while(|byte| *byte == 0).collect();
    bytes.contains(&number.len()).then_some(number)
}

fn is_long(text: &str, bytes: usize) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|decoded| decoded.len() == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Numbers of the right length; nothing is verified with them.
    fn rsa(more: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([7; 256]), "e": "AQAB"});
        let more = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(more);
        key
    }

    fn p256(kid: &str) -> Value {
        let number = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": number, "y": number})
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn find(keys: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<(), Miss> {
        keys.find(kid, algorithm).map(|_| ())
    }

    #[test]
    fn a_key_is_found_by_its_name_and_what_it_is_good_for() {
        let keys = set(&[rsa(&json!({"kid": "r", "alg": "RS256"})), p256("e")]);
        assert_eq!(find(&keys, Some("r"), Algorithm::RS256), Ok(()));
        assert_eq!(find(&keys, Some("r"), Algorithm::PS256), Err(Miss::Unfit));
        assert_eq!(find(&keys, Some("r"), Algorithm::ES256), Err(Miss::Unfit));
        assert_eq!(find(&keys, Some("r"), Algorithm::HS256), Err(Miss::Unfit));
        assert_eq!(find(&keys, Some("e"), Algorithm::ES256), Ok(()));
        assert_eq!(find(&keys, Some("e"), Algorithm::ES384), Err(Miss::Unfit));
        assert_eq!(find(&keys, Some("x"), Algorithm::ES256), Err(Miss::Unknown));
    }

    #[test]
    fn without_a_name_exactly_one_must_fit() {
        let keys = set(&[rsa(&json!({"kid": "r"})), p256("e"), p256("f")]);
        assert_eq!(find(&keys, None, Algorithm::PS512), Ok(()));
        assert_eq!(find(&keys, None, Algorithm::ES256), Err(Miss::Ambiguous));
        assert_eq!(find(&keys, None, Algorithm::EdDSA), Err(Miss::Unknown));
        let twins = set(&[p256("e"), p256("e")]);
        assert_eq!(find(&twins, Some("e"), Algorithm::ES256), Err(Miss::Ambiguous));
        // A key without a name is none of any name.
        let nameless = set(&[rsa(&json!({}))]);
        assert_eq!(find(&nameless, Some("r"), Algorithm::RS256), Err(Miss::Unknown));
        assert_eq!(find(&nameless, None, Algorithm::RS256), Ok(()));
    }

    #[test]
    fn keys_for_other_purposes_are_left_out() {
        let short = URL_SAFE_NO_PAD.encode([7; 128]);
        for key in [
            rsa(&json!({"use": "enc"})),
            rsa(&json!({"key_ops": ["encrypt"]})),
            rsa(&json!({"alg": "RSA-OAEP"})),
            rsa(&json!({"alg": "HS256"})),
            rsa(&json!({"alg": "ES256"})),
            rsa(&json!({"n": short})),
            rsa(&json!({"e": ""})),
            rsa(&json!({"kid": 7})),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
            json!("key"),
        ] {
            assert!(set(std::slice::from_ref(&key)).0.is_empty(), "{key}");
        }
        assert_eq!(
            set(&[rsa(&json!({"use": "sig", "key_ops": ["verify"]}))]).0.len(),
            1
        );
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for json in ["", "[]", "{}", r#"{"keys": 1}"#, r#"{"keys": {}}"#] {
            assert!(matches!(KeySet::parse(json.as_bytes()), Err(FetchError::Json(_))));
        }
        let many = json!({"keys": vec![json!({}); 101]}).to_string();
        assert!(matches!(
            KeySet::parse(many.as_bytes()),
            Err(FetchError::TooManyKeys(101))
        ));
    }
}
