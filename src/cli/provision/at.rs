//! The way to the cluster of a command.

use crate::app::provision::cluster::Provisioning;
use crate::cli::exit::Failure;
use crate::cli::settings_of;
use crate::config::Settings;
use crate::config::check::CommandLine;
use crate::domain::name::TargetName;
use crate::platform::task::Background;
use crate::platform::telemetry::logs::{self, Level, Logs};
use crate::provision::manifest::Cluster;
use std::path::Path;
use tokio::runtime::Runtime;

/// What a run needs to live, besides the way to its cluster.
pub struct Here {
    pub runtime: Runtime,
    pub provisioning: Provisioning,
    _logs: Logs,
}

/// By the target of the cluster's name.
pub fn go(config: Option<&Path>, name: &TargetName, cluster: Cluster) -> Result<Here, Failure> {
    let mut settings = settings_with(config, name)?;
    settings.log.level = Level::Error;
    let logs = logs::install(&settings.log);
    let [target] = settings.targets.as_slice() else {
        return Err(Failure::text(1, "no target"));
    };
    let runtime = crate::cli::runtime()?;
    let background = Background::new(runtime.handle().clone());
    let provisioning = runtime.block_on(Provisioning::new(&settings, &background, target, cluster));
    Ok(Here {
        provisioning: provisioning.map_err(Failure::usage)?,
        runtime,
        _logs: logs,
    })
}

fn settings_with(config: Option<&Path>, name: &TargetName) -> Result<Settings, Failure> {
    let command_line = CommandLine {
        targets: vec![name.to_string()],
        ..CommandLine::default()
    };
    let mut read = settings_of(config, command_line);
    if let Err(failure) = &mut read {
        let hint = format!("A cluster of the manifest needs a target of its name: [targets.{name}]");
        failure.hint.get_or_insert(hint);
    }
    read
}
