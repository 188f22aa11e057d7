//! How a database learns who the caller is.

use crate::config::section::Section;
use crate::domain::target::Propagation;

pub fn read(section: &mut Section<'_>) -> Propagation {
    let usual = Propagation::default();
    let application_name = section.boolean("caller_in_application_name");
    let setting = section.boolean("caller_setting");
    Propagation {
        application_name: application_name.unwrap_or(usual.application_name),
        setting: setting.unwrap_or(usual.setting),
    }
}

/// Whoever wants it there is mistaken about who logs in at the database.
pub fn judge_broker(section: &Section<'_>, propagation: Propagation) {
    if propagation.setting && !section.inherits("caller_setting") {
        section.problem(
            "caller_setting",
            "is for databases: a broker tells its database itself who the caller is",
        );
    }
}
