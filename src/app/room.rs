//! How many clients fit into the files that the process may open.

/// Files beside those of sessions: listeners, logs, AWS calls, cancels on their way, replicas.
const FILES_RESERVED: usize = 384;
/// Clients beyond the limit who are told so at a time.
const TURNED_AWAY_MAX: usize = 1_000;

/// How many clients fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub clients: usize,
    /// Clients beyond that who may be told at a time that there is no place.
    pub turned_away: usize,
}

impl Room {
    /// A session takes two files. A process that runs out of them refuses its clients with reasons that
    /// mislead, or lets them hang; so it takes fewer.
    pub fn within(files: u64, wanted: usize) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let turned_away = (files >> 7).min(TURNED_AWAY_MAX);
        let fit = files
            .saturating_sub(FILES_RESERVED)
            .saturating_sub(turned_away)
            .checked_div(2)
            .unwrap_or_default()
            .max(1);
        if fit < wanted {
            tracing::warn!(
                limit_of_open_files = files,
                max_clients = wanted,
                clients = fit,
                "the limit of open files is too low for max_clients: fewer are let in; raise it (ulimit -n)"
            );
        }
        Self {
            clients: fit.min(wanted),
            turned_away,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_clients_are_let_in_than_files_allow() {
        let room = |files, wanted| {
            let Room { clients, turned_away } = Room::within(files, wanted);
            (clients, turned_away)
        };
        assert_eq!(room(u64::MAX, 1_000), (1_000, 1_000));
        assert_eq!(room(1_048_576, 1_000_000), (523_596, 1_000));
        assert_eq!(room(20_000, 10_000), (9_730, 156));
        assert_eq!(room(1_024, 1_000), (316, 8));
        assert_eq!(room(0, 1_000), (1, 0));
    }
}
