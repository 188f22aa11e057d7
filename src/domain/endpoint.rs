//! RDS and Aurora endpoint names: what kind, which region, which partition.
//!
//! Shapes as in the AWS guides "Aurora endpoint connections" and "Using IAM database
//! authentication"; matched without regard to case, a trailing dot allowed.

use std::fmt;

/// What a name says it is; decides which certificate authority signs for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    Instance,
    Writer,
    Reader,
    Custom,
    Limitless,
    RdsProxy,
    GlobalWriter,
    /// Not a name of RDS: a tunnel, a CNAME, an address.
    Other,
}

/// Who signs the server's certificate (RDS User Guide, "Using SSL/TLS"; RDS Proxy presents
/// certificates of ACM, that is of the Amazon roots).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootsKind {
    Rds,
    Amazon,
}

/// An AWS region code such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region(Box<str>);

impl Region {
    /// `None` unless it looks like `xx-name-1` with two or more dashes.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let letters = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase());
        let parts: Vec<&str> = text.split('-').collect();
        let (number, words) = parts.split_last()?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (digits && words.len() >= 2 && words.iter().all(|w| letters(w))).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition of ARNs in this region.
    pub fn partition(&self) -> &'static str {
        const PREFIXES: [(&str, &str); 9] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("eusc-", "aws-eusc"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-iso-", "aws-iso"),
            ("eu-iso-", "aws-iso-e"),
            ("", "aws"),
        ];
        PREFIXES
            .iter()
            .find(|(prefix, _)| self.0.starts_with(prefix))
            .map_or("aws", |(_, partition)| partition)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an endpoint name says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointName {
    pub host: Box<str>,
    pub kind: EndpointKind,
    /// `None` for a global writer endpoint and for names that are not of RDS.
    pub region: Option<Region>,
}

/// DNS suffixes of the partitions, longest first.
const SUFFIXES: [&str; 8] = [
    "amazonaws.com.cn",
    "amazonaws.com",
    "amazonaws.eu",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "api.aws",
];

impl EndpointName {
    /// Reads a host name; never fails, a foreign name is [`EndpointKind::Other`].
    pub fn parse(host: &str) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let other = |host: &str| Self {
            host: host.into(),
            kind: EndpointKind::Other,
            region: None,
        };
        let Some(stem) = SUFFIXES
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix)?.strip_suffix('.'))
        else {
            return other(&host);
        };
        let labels: Vec<&str> = stem.split('.').collect();
        match read_labels(&labels) {
            Some((kind, region)) => Self {
                host: host.as_str().into(),
                kind,
                region,
            },
            None => other(&host),
        }
    }

    /// Which roots a certificate for this name chains to; `None` when the name does not say.
    pub fn roots(&self) -> Option<RootsKind> {
        match self.kind {
            EndpointKind::Other => None,
            EndpointKind::RdsProxy => Some(RootsKind::Amazon),
            _ => Some(RootsKind::Rds),
        }
    }
}

/// `<name>.<hash>[...].<region>.rds` or, in China and the isolated partitions, `….rds.<region>`.
fn read_labels(labels: &[&str]) -> Option<(EndpointKind, Option<Region>)> {
    let is_rds = |label: &str| label == "rds" || label == "rds-fips";
    let (front, region) = match labels {
        [front @ .., region, rds] if is_rds(rds) => (front, *region),
        [front @ .., rds, region] if is_rds(rds) => (front, *region),
        _ => return None,
    };
    let (name, rest) = front.split_first()?;
    if name.is_empty() {
        return None;
    }
    let kind = match rest {
        ["endpoint", proxy] if proxy.starts_with("proxy-") => EndpointKind::RdsProxy,
        [hash] => kind_of_hash(hash)?,
        _ => return None,
    };
    if kind == EndpointKind::GlobalWriter {
        return (region == "global").then_some((kind, None));
    }
    Some((kind, Some(Region::new(region)?)))
}

fn kind_of_hash(label: &str) -> Option<EndpointKind> {
    // Order matters: `cluster-` is a prefix of the two longer ones.
    const KINDS: [(&str, EndpointKind); 7] = [
        ("cluster-custom-", EndpointKind::Custom),
        ("cluster-ro-", EndpointKind::Reader),
        ("cluster-", EndpointKind::Writer),
        ("shardgrp-", EndpointKind::Limitless),
        ("limitless-", EndpointKind::Limitless),
        ("proxy-", EndpointKind::RdsProxy),
        ("global-", EndpointKind::GlobalWriter),
    ];
    for (prefix, kind) in KINDS {
        if let Some(hash) = label.strip_prefix(prefix) {
            return is_hash(hash).then_some(kind);
        }
    }
    is_hash(label).then_some(EndpointKind::Instance)
}

fn is_hash(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind_and_partition() {
        use EndpointKind::*;
        let cases = [
            (
                "mydb.abcdefghijkl.us-east-1.rds.amazonaws.com",
                Instance,
                "us-east-1",
            ),
            (
                "MyDB.AbcdefghiJkl.US-EAST-1.rds.amazonaws.com.",
                Instance,
                "us-east-1",
            ),
            ("c.cluster-abc.eu-west-1.rds.amazonaws.com", Writer, "eu-west-1"),
            (
                "c.cluster-ro-abc.eu-west-1.rds.amazonaws.com",
                Reader,
                "eu-west-1",
            ),
            (
                "r.cluster-custom-abc.eu-west-1.rds.amazonaws.com",
                Custom,
                "eu-west-1",
            ),
            (
                "c.limitless-abc.us-east-2.rds.amazonaws.com",
                Limitless,
                "us-east-2",
            ),
            (
                "c.shardgrp-abc.us-east-2.rds.amazonaws.com",
                Limitless,
                "us-east-2",
            ),
            ("p.proxy-abc.us-east-2.rds.amazonaws.com", RdsProxy, "us-east-2"),
            (
                "e.endpoint.proxy-abc.us-east-2.rds.amazonaws.com",
                RdsProxy,
                "us-east-2",
            ),
            (
                "mydb.abc.us-gov-west-1.rds-fips.amazonaws.com",
                Instance,
                "us-gov-west-1",
            ),
            ("mydb.abc.rds.cn-north-1.amazonaws.com.cn", Instance, "cn-north-1"),
            (
                "mydb.abc.cn-northwest-1.rds.amazonaws.com.cn",
                Instance,
                "cn-northwest-1",
            ),
            (
                "mydb.cluster-abc.rds.us-iso-east-1.c2s.ic.gov",
                Writer,
                "us-iso-east-1",
            ),
            (
                "mydb.abc.us-isob-east-1.rds.sc2s.sgov.gov",
                Instance,
                "us-isob-east-1",
            ),
            (
                "mydb.abc.eusc-de-east-1.rds.amazonaws.eu",
                Instance,
                "eusc-de-east-1",
            ),
        ];
        for (host, kind, region) in cases {
            let name = EndpointName::parse(host);
            assert_eq!(name.kind, kind, "{host}");
            assert_eq!(name.region.unwrap().as_str(), region, "{host}");
        }
    }

    #[test]
    fn a_global_writer_has_no_region() {
        let name = EndpointName::parse("g.global-abc.global.rds.amazonaws.com");
        assert_eq!((name.kind, name.region), (EndpointKind::GlobalWriter, None));
    }

    #[test]
    fn foreign_names_are_other() {
        for host in [
            "localhost",
            "127.0.0.1",
            "db.example.com",
            "x.elb.us-east-1.amazonaws.com",
            "rds.amazonaws.com",
            "mydb.abc.us-east-1.rds.amazonaws.com.evil.example",
            "mydb.abc.notaregion.rds.amazonaws.com",
            ".abc.us-east-1.rds.amazonaws.com",
            "mydb.a-b.us-east-1.rds.amazonaws.com",
        ] {
            assert_eq!(EndpointName::parse(host).kind, EndpointKind::Other, "{host}");
        }
    }

    #[test]
    fn partitions_follow_the_region() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("eu-central-2", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-iso-west-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(Region::new(region).unwrap().partition(), partition);
        }
    }
}
