//! The way to the cluster of a command.

use crate::app::provision::cluster::Provisioning;
use crate::cli::exit::Failure;
use crate::cli::settings_of;
use crate::config::Settings;
use crate::config::check::CommandLine;
use crate::domain::name::TargetName;
use crate::domain::target::Target;
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

/// The same before there is a way.
pub struct Ground {
    pub settings: Settings,
    pub runtime: Runtime,
    pub background: Background,
    logs: Logs,
}

impl Ground {
    /// By the target of the cluster's name.
    pub fn of(config: Option<&Path>, name: &TargetName) -> Result<Self, Failure> {
        let mut settings = settings_with(config, name)?;
        settings.log.level = Level::Error;
        let logs = logs::install(&settings.log);
        let runtime = crate::cli::runtime()?;
        Ok(Self {
            background: Background::new(runtime.handle().clone()),
            settings,
            runtime,
            logs,
        })
    }

    pub fn target(&self) -> Result<&Target, Failure> {
        match self.settings.targets.as_slice() {
            [target] => Ok(target),
            _ => Err(Failure::text(1, "no target")),
        }
    }
}

pub fn go(config: Option<&Path>, name: &TargetName, cluster: Cluster) -> Result<Here, Failure> {
    let ground = Ground::of(config, name)?;
    let way = Provisioning::new(&ground.settings, &ground.background, ground.target()?, cluster);
    let provisioning = ground.runtime.block_on(way).map_err(Failure::usage)?;
    Ok(Here {
        provisioning,
        runtime: ground.runtime,
        _logs: ground.logs,
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
