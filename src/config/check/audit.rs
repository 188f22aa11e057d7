//! `[audit]`: where the lines go that say who was on what.

use crate::access::audit::sink::{SinkSetting, SyslogTo};
use crate::config::reference::{AUDIT, Key};
use crate::config::section::Section;
use std::path::PathBuf;

const MEGABYTE: u64 = 1_024 * 1_024;

/// The sinks, and whether sessions need them.
#[derive(Debug, Default)]
pub struct AuditSetting {
    pub sinks: Vec<SinkSetting>,
    pub required: bool,
}

impl AuditSetting {
    pub fn read(root: &mut Section<'_>) -> Self {
        let Some(mut section) = root.section("audit") else {
            return Self::default();
        };
        let mut sinks = Vec::new();
        if section.boolean("stdout").unwrap_or(false) {
            sinks.push(SinkSetting::Stdout);
        }
        let file = section.string("file");
        let megabytes = section.integer("rotate_megabytes", 0..=1_000_000);
        let keep = section.integer("keep", 1..=100);
        if let Some(path) = file {
            let megabytes = megabytes.unwrap_or_else(|| default_of("rotate_megabytes"));
            sinks.push(SinkSetting::File {
                path: PathBuf::from(path),
                rotate_bytes: u64::try_from(megabytes)
                    .unwrap_or_default()
                    .saturating_mul(MEGABYTE),
                keep: usize::try_from(keep.unwrap_or_else(|| default_of("keep"))).unwrap_or_default(),
            });
        }
        let syslog = section.string("syslog");
        let facility = section.integer("syslog_facility", 0..=23);
        if let Some(to) = syslog.and_then(|text| section.convert("syslog", syslog_to(&text))) {
            let facility = facility.unwrap_or_else(|| default_of("syslog_facility"));
            sinks.push(SinkSetting::Syslog {
                to,
                facility: u8::try_from(facility).unwrap_or_default(),
            });
        }
        let required = section.boolean("required").unwrap_or(false);
        if required && sinks.is_empty() {
            section.problem(
                "required",
                "is true, but there is no `file`, `syslog` or `stdout` to write to",
            );
        }
        section.finish();
        Self { sinks, required }
    }
}

fn default_of(name: &str) -> i64 {
    let key = AUDIT.iter().find(|key: &&Key| key.name == name);
    key.and_then(|key| key.default.parse().ok()).unwrap_or_default()
}

fn syslog_to(text: &str) -> Result<SyslogTo, String> {
    match text.split_once(':') {
        Some(("unix", path)) if path.starts_with('/') => Ok(SyslogTo::Unix(PathBuf::from(path))),
        Some(("udp", at)) if at.contains(':') => Ok(SyslogTo::Udp(at.to_owned())),
        Some(("tcp", at)) if at.contains(':') => Ok(SyslogTo::Tcp(at.to_owned())),
        _ => Err(format!(
            "`{text}` is none of `unix:/path`, `udp:host:port`, `tcp:host:port`"
        )),
    }
}
