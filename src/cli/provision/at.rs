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
use crate::provision::manifest::arn::AccountId;
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

/// Policies for another region or account than that of the database would be good for nothing, and look all right.
pub fn agree(name: &TargetName, cluster: &Cluster, target: &Target) -> Result<(), Failure> {
    if target.credential.broker().is_some() {
        return Ok(());
    }
    let region = cluster.region.as_ref().filter(|region| **region != target.region);
    let account = cluster.account.as_ref().map(AccountId::as_str);
    let known = target.account_id.as_deref();
    let (key, says, is) = match (region, account.zip(known)) {
        (Some(region), _) => ("region", region.as_str(), target.region.as_str()),
        (None, Some((account, known))) if account != known => ("account_id", account, known),
        _ => return Ok(()),
    };
    let what = format!(
        "the manifest says {key} = \"{says}\" of cluster {name}, and the target of this name is in {is}"
    );
    let mut failure = Failure::text(1, what);
    failure.hint =
        Some("IAM policies are made of what the manifest says: mend whichever is wrong.".to_owned());
    Err(failure)
}

pub fn go(config: Option<&Path>, name: &TargetName, cluster: Cluster) -> Result<Here, Failure> {
    let ground = Ground::of(config, name)?;
    agree(name, &cluster, ground.target()?)?;
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
    if let Err(failure) = &mut read
        && failure.message.contains("no such target")
    {
        let hint = format!("A cluster of the manifest needs a target of its name: [targets.{name}]");
        failure.hint.get_or_insert(hint);
    }
    read
}
