//! `dbproxy doctor TARGET`: which link of the chain breaks, and what mends it.

use super::args::{Doctor as Flags, Format};
use super::exit::Failure;
use super::token::{one_target, permit};
use super::{output, runtime};
use crate::app::doctor::{Doctor, Finding, Link};
use crate::domain::reason::CloseReason;
use crate::platform::task::Background;
use crate::platform::telemetry::logs::{self, Level};
use std::process::ExitCode;

pub fn run(flags: &Flags) -> Result<ExitCode, Failure> {
    let mut settings = one_target(&flags.common, &flags.target)?;
    settings.log.level = Level::Error;
    let _logs = logs::install(&settings.log);
    let proposed = settings
        .targets
        .first()
        .and_then(|target| target.proposed_user().cloned());
    let user = flags
        .db_user
        .clone()
        .or_else(|| proposed.map(|user| user.to_string()));
    let Some(user) = user else {
        return Err(Failure::text(
            1,
            "the target lists no db user: give one with --db-user",
        ));
    };
    let permit = permit(&settings, &user, flags.database.as_deref())?;
    let runtime = runtime()?;
    let background = Background::new(runtime.handle().clone());
    let links = runtime.block_on(async {
        let doctor = Doctor::new(&settings, &background, &permit).await;
        Ok::<_, Failure>(doctor.map_err(Failure::usage)?.walk().await)
    })?;
    match flags.output {
        Format::Text => print(&links),
        Format::Json => output::line(&links.iter().map(json).collect::<serde_json::Value>().to_string()),
    }
    Ok(ExitCode::from(exit_code(&links)))
}

fn print(links: &[Link]) {
    let rows: Vec<_> = links
        .iter()
        .map(|link| {
            let (mark, what) = match &link.finding {
                Finding::Good(what) => ("ok", what.clone()),
                Finding::Broken(refusal) => ("BROKEN", refusal.message.clone()),
                Finding::NotReached(why) => ("-", (*why).to_owned()),
            };
            vec![link.name.to_owned(), mark.to_owned(), what]
        })
        .collect();
    output::table(&["LINK", "STATE", "FINDING"], &rows);
    for link in links {
        if let Finding::Broken(refusal) = &link.finding {
            for (title, text) in [("detail", &refusal.detail), ("hint", &refusal.hint)] {
                if let Some(text) = text {
                    output::line(&format!("{title} ({}): {text}", link.name));
                }
            }
        }
    }
}

fn json(link: &Link) -> serde_json::Value {
    match &link.finding {
        Finding::Good(what) => serde_json::json!({"link": link.name, "state": "ok", "finding": what}),
        Finding::Broken(refusal) => serde_json::json!({
            "link": link.name,
            "state": "broken",
            "finding": refusal.message,
            "detail": refusal.detail,
            "hint": refusal.hint,
            "sqlstate": refusal.sqlstate.as_str(),
        }),
        Finding::NotReached(why) => {
            serde_json::json!({"link": link.name, "state": "not reached", "finding": why})
        }
    }
}

/// 3 when the server cannot be reached or trusted, 4 when everything else breaks.
fn exit_code(links: &[Link]) -> u8 {
    let broken = links.iter().filter_map(|link| match &link.finding {
        Finding::Broken(refusal) => Some(refusal.reason),
        _ => None,
    });
    broken
        .map(|reason| match reason {
            CloseReason::Unreachable | CloseReason::TlsNotVerified => 3,
            _ => 4,
        })
        .min()
        .unwrap_or(0)
}
