//! Follows message boundaries in a byte stream without keeping or copying the bytes.
//!
//! The relay forwards raw bytes; all it must know is whether the server is idle (for drain) and
//! what kind of messages pass (for counting). Looking at five bytes a message costs nanoseconds.

/// One direction of a session.
#[derive(Debug, Clone, Default)]
pub struct FrameWalker {
    /// Header bytes of a message that is cut between two chunks: type, length and, of a
    /// ReadyForQuery, the status byte.
    head: [u8; 6],
    have: usize,
    /// Bytes of the present message still to come.
    body_left: usize,
    /// A length below 4 was seen: boundaries are unknown from there on.
    lost: bool,
}

impl FrameWalker {
    /// Walks over `chunk`, calling `seen` for each message as its head is complete: its type and,
    /// for a ReadyForQuery, the transaction status (otherwise 0).
    pub fn walk(&mut self, mut chunk: &[u8], mut seen: impl FnMut(u8, u8)) {
        while !chunk.is_empty() && !self.lost {
            let skip = self.body_left.min(chunk.len());
            chunk = chunk.get(skip..).unwrap_or_default();
            self.body_left = self.body_left.saturating_sub(skip);
            if self.body_left == 0 {
                chunk = self.take_head(chunk, &mut seen);
            }
        }
    }

    /// True between two messages.
    pub fn at_boundary(&self) -> bool {
        !self.lost && self.have == 0 && self.body_left == 0
    }

    fn take_head<'a>(&mut self, chunk: &'a [u8], seen: &mut impl FnMut(u8, u8)) -> &'a [u8] {
        // Nearly always the head is whole.
        if self.have == 0
            && let Some((&[tag, l0, l1, l2, l3], rest)) = chunk.split_first_chunk::<5>()
            && tag != b'Z'
        {
            match (u32::from_be_bytes([l0, l1, l2, l3]) as usize).checked_sub(4) {
                Some(left) => {
                    self.body_left = left;
                    seen(tag, 0);
                }
                None => self.lost = true,
            }
            return rest;
        }
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = *byte;
            }
            self.have = self.have.saturating_add(1);
            rest = after;
            let [tag, l0, l1, l2, l3, status] = self.head;
            let is_ready = tag == b'Z';
            let need = if is_ready { 6 } else { 5 };
            if self.have < need {
                continue;
            }
            let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            let taken = need.saturating_sub(1);
            match length.checked_sub(taken) {
                Some(left) => {
                    self.body_left = left;
                    self.have = 0;
                    seen(tag, if is_ready { status } else { 0 });
                }
                None => self.lost = true,
            }
            break;
        }
        rest
    }
}

/// What both directions together say about the server.
#[derive(Debug, Clone)]
pub struct Traffic {
    from_client: FrameWalker,
    from_server: FrameWalker,
    state: State,
}

#[derive(Debug, Clone)]
struct State {
    /// ReadyForQuery messages the server still owes.
    owed: u64,
    /// Status of the last ReadyForQuery: `I`, `T` or `E`.
    status: u8,
    /// Messages of the extended protocol were sent that no Sync has ended: the server is inside an
    /// implicit transaction.
    unsynced: bool,
    /// Syncs since the last command, in case it turns out to be a COPY FROM STDIN: the server ignores
    /// Syncs until the end of the data (PostgreSQL manual, "COPY Operations").
    syncs_since_command: u64,
    copying_in: bool,
    /// The client ended its data before the server asked for them: Syncs from there on count.
    copy_sent_ahead: bool,
    /// Queries within an extended pipeline: should it have failed, the server skips them without an answer.
    doubtful: u64,
    /// The server has reported an error since it last owed nothing.
    failed: bool,
    /// The client said goodbye (Terminate).
    terminated: bool,
    /// The last message of the server was an ErrorResponse.
    server_told: bool,
}

impl Traffic {
    /// Begins right after a ReadyForQuery with this status.
    pub fn after_ready(status: u8) -> Self {
        Self {
            from_client: FrameWalker::default(),
            from_server: FrameWalker::default(),
            state: State {
                owed: 0,
                status,
                unsynced: false,
                syncs_since_command: 0,
                copying_in: false,
                copy_sent_ahead: false,
                doubtful: 0,
                failed: false,
                terminated: false,
                server_told: false,
            },
        }
    }

    pub fn client_bytes(&mut self, chunk: &[u8]) {
        let state = &mut self.state;
        self.from_client.walk(chunk, |tag, _| state.client_sent(tag));
    }

    pub fn server_bytes(&mut self, chunk: &[u8]) {
        let state = &mut self.state;
        self.from_server
            .walk(chunk, |tag, ready| state.server_sent(tag, ready));
    }

    /// No query runs, no transaction is open, no message is half sent in either direction: the
    /// session can end here without cutting anything.
    pub fn is_idle(&self) -> bool {
        let State {
            owed,
            status,
            unsynced,
            copying_in,
            ..
        } = self.state;
        status == b'I'
            && owed == 0
            && !unsynced
            && !copying_in
            && self.from_client.at_boundary()
            && self.from_server.at_boundary()
    }

    /// The server works, or waits for more of something it has begun: closing its connection would not
    /// end that at once. Unlike the opposite of [`Traffic::is_idle`] this leaves out open transactions,
    /// which end with the connection.
    pub fn is_busy(&self) -> bool {
        let State {
            owed,
            unsynced,
            copying_in,
            ..
        } = self.state;
        owed > 0 || unsynced || copying_in || !self.from_server.at_boundary()
    }

    /// How many ReadyForQuery messages the server still owes.
    pub fn owed(&self) -> u64 {
        self.state.owed
    }

    /// A server that closes now answers the end of the client's messages: it owes nothing, or waits for the
    /// rest of what the client has begun.
    pub fn client_left_it(&self) -> bool {
        self.state.owed == 0 || self.state.copying_in || !self.from_client.at_boundary()
    }

    /// The last message of the server was an ErrorResponse, which tells why it closes.
    pub fn server_has_told(&self) -> bool {
        self.state.server_told && self.from_server.at_boundary()
    }

    /// The client has said that it ends the session.
    pub fn client_has_terminated(&self) -> bool {
        self.state.terminated
    }

    /// The client is between two messages.
    pub fn at_client_boundary(&self) -> bool {
        self.from_client.at_boundary()
    }

    /// The server is between two messages, so a message of ours may follow.
    pub fn at_server_boundary(&self) -> bool {
        self.from_server.at_boundary()
    }
}

impl State {
    fn client_sent(&mut self, tag: u8) {
        match tag {
            b'Q' | b'F' => {
                self.owed = self.owed.saturating_add(1);
                self.doubtful = self.doubtful.saturating_add(u64::from(self.unsynced));
                self.begin_command();
                self.unsynced = false;
            }
            b'S' if self.copying_in => {}
            b'S' => {
                self.owed = self.owed.saturating_add(1);
                if !self.copy_sent_ahead {
                    self.syncs_since_command = self.syncs_since_command.saturating_add(1);
                }
                self.unsynced = false;
            }
            b'X' => self.terminated = true,
            // CopyDone, CopyFail
            b'c' | b'f' if self.copying_in => self.copying_in = false,
            b'c' | b'f' => {
                self.copy_sent_ahead = true;
                // The Syncs before it will be ignored, so one is still to come.
                self.unsynced |= self.syncs_since_command > 0;
            }
            // Execute
            b'E' => {
                self.begin_command();
                self.unsynced = true;
            }
            // Parse, Bind, Describe, Close. Not Flush, which begins nothing and may stand in a simple COPY.
            b'P' | b'B' | b'D' | b'C' => self.unsynced = true,
            _ => {}
        }
    }

    fn begin_command(&mut self) {
        self.syncs_since_command = 0;
        self.copy_sent_ahead = false;
    }

    fn server_sent(&mut self, tag: u8, ready_status: u8) {
        self.server_told = tag == b'E';
        match tag {
            b'Z' => self.ready(ready_status),
            // CopyInResponse, CopyBothResponse
            b'G' | b'W' => {
                self.owed = self.owed.saturating_sub(self.syncs_since_command);
                if !self.copy_sent_ahead {
                    // The implicit transaction of those Syncs is still open.
                    self.unsynced |= self.syncs_since_command > 0;
                    self.copying_in = true;
                }
                self.begin_command();
            }
            b'E' => {
                self.copying_in = false;
                self.failed = true;
            }
            _ => {}
        }
    }

    fn ready(&mut self, status: u8) {
        self.owed = self.owed.saturating_sub(1);
        self.status = status;
        self.copying_in = false;
        // Nothing but queries that a failed pipeline has swallowed.
        if self.failed && self.owed <= self.doubtful {
            self.owed = 0;
        }
        if self.owed == 0 {
            self.doubtful = 0;
            self.failed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_session_is_idle_only_outside_queries_and_transactions() {
        let mut traffic = Traffic::after_ready(b'I');
        assert!(traffic.is_idle());
        traffic.client_bytes(&message(b'Q', b"begin\0"));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&[message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat());
        assert!(!traffic.is_idle(), "in a transaction");
        traffic.client_bytes(&message(b'Q', b"commit\0"));
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
        traffic.client_bytes(b"Q\0\0");
        assert!(!traffic.is_idle(), "half a message was sent");
    }

    #[test]
    fn each_sync_of_a_pipeline_is_owed_an_answer() {
        let mut traffic = Traffic::after_ready(b'I');
        traffic.client_bytes(&[message(b'S', b""), message(b'S', b"")].concat());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
    }

    #[test]
    fn work_that_no_sync_has_ended_is_not_idle() {
        let mut traffic = Traffic::after_ready(b'I');
        traffic.client_bytes(&[message(b'P', b""), message(b'E', b""), message(b'H', b"")].concat());
        assert!(!traffic.is_idle());
        traffic.client_bytes(&message(b'S', b""));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
    }

    /// As drivers send COPY FROM STDIN: a Sync right behind the Execute, which the server ignores.
    #[test]
    fn a_sync_that_the_server_ignores_during_copy_is_not_owed() {
        for sync_late in [false, true] {
            let mut traffic = Traffic::after_ready(b'I');
            traffic.client_bytes(&[message(b'B', b""), message(b'E', b"")].concat());
            if !sync_late {
                traffic.client_bytes(&message(b'S', b""));
            }
            traffic.server_bytes(&message(b'G', b"xxx"));
            if sync_late {
                traffic.client_bytes(&message(b'S', b""));
            }
            traffic.client_bytes(&message(b'd', b"1"));
            assert!(!traffic.is_idle());
            traffic.client_bytes(&[message(b'c', b""), message(b'S', b"")].concat());
            assert!(!traffic.is_idle());
            traffic.server_bytes(&[message(b'C', b"COPY 1"), message(b'Z', b"I")].concat());
            assert!(traffic.is_idle(), "{sync_late}");
        }
        let mut simple = Traffic::after_ready(b'I');
        simple.client_bytes(&message(b'Q', b"copy"));
        simple.server_bytes(&message(b'G', b"xxx"));
        simple.client_bytes(&message(b'f', b"no"));
        assert!(!simple.is_idle());
        simple.server_bytes(&[message(b'E', b"x"), message(b'Z', b"I")].concat());
        assert!(simple.is_idle());
    }

    #[test]
    fn a_flush_inside_a_simple_copy_begins_nothing() {
        let mut traffic = Traffic::after_ready(b'I');
        traffic.client_bytes(&message(b'Q', b"copy"));
        traffic.server_bytes(&message(b'G', b"xxx"));
        traffic.client_bytes(&[message(b'd', b"1"), message(b'H', b""), message(b'c', b"")].concat());
        traffic.server_bytes(&[message(b'C', b"COPY 1"), message(b'Z', b"I")].concat());
        assert!(traffic.is_idle() && !traffic.is_busy());
    }

    #[test]
    fn a_copy_sent_ahead_is_owed_its_last_sync_only() {
        let mut traffic = Traffic::after_ready(b'I');
        let ahead = [
            message(b'B', b""),
            message(b'E', b""),
            message(b'S', b""),
            message(b'd', b"1"),
        ];
        traffic.client_bytes(&ahead.concat());
        traffic.client_bytes(&message(b'c', b""));
        traffic.server_bytes(&message(b'G', b"xxx"));
        assert!(!traffic.is_idle(), "the Sync is still to come");
        traffic.client_bytes(&message(b'S', b""));
        traffic.server_bytes(&message(b'C', b"COPY 1"));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
    }

    #[test]
    fn a_query_that_a_failed_pipeline_swallows_is_not_owed() {
        let mut traffic = Traffic::after_ready(b'I');
        let pipeline = [message(b'P', b""), message(b'Q', b"select"), message(b'S', b"")].concat();
        traffic.client_bytes(&pipeline);
        traffic.server_bytes(&message(b'E', b"no"));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
        // The same without an error: both are answered.
        traffic.client_bytes(&pipeline);
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(!traffic.is_idle());
        traffic.server_bytes(&message(b'Z', b"I"));
        assert!(traffic.is_idle());
    }

    #[test]
    fn an_impossible_length_ends_the_walk_without_harm() {
        let mut walker = FrameWalker::default();
        walker.walk(b"Q\0\0\0\x03Q\0\0\0\x04", |_, _| panic!("no message is complete"));
        assert!(!walker.at_boundary());
    }
}
