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

/// Of a target. A broker finds out itself who the caller is; `[defaults]` may say it all the same.
pub fn read_of(section: &mut Section<'_>, is_broker: bool) -> Propagation {
    let propagation = read(section);
    if is_broker && propagation.setting && !section.inherits("caller_setting") {
        section.problem(
            "caller_setting",
            "is for databases: a broker tells its database itself who the caller is",
        );
    }
    propagation
}
