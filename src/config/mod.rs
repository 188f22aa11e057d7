//! Settings: found and read ([`source`]), judged as a whole ([`mod@check`]), described ([`mod@reference`]).
//!
//! Every mistake is reported at once, each with its key, before anything listens.

pub mod check;
pub mod reference;
pub mod section;
pub mod source;
pub mod target;
pub mod values;

pub use check::{
    AuditSetting, CallersSetting, ListenerSetting, ManifestSetting, PeersSetting, PolicySetting, Settings,
    admin_address, audit_file, check, manifest_path,
};
pub use section::Problems;
