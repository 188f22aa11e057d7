//! The startup parameter `options`, read as PostgreSQL reads it: command-line switches of the server
//! (PostgreSQL manual, "Message Formats", StartupMessage; `pg_split_opts` and `process_postgres_switches`
//! of its source). dbproxy passes the parameter on byte for byte and only looks: what a session is
//! set to from its first moment belongs into the record. The server alone judges.

/// A setting that the options ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `-` is read as `_`, as the server does; the case is the client's.
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// The settings in their order: `-c name=value`, `-cname=value`, `--name=value`. Other switches and
/// what is no setting are left out.
pub fn settings(options: &[u8]) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_slice() {
            // Ends the switches.
            b"--" => break,
            [b'-', b'-', rest @ ..] => Some(rest.to_vec()),
            [b'-', letters @ ..] => switches(letters, &mut words),
            _ => None,
        };
        found.extend(setting.as_deref().and_then(named));
    }
    found
}

/// Whether the options speak of a setting whose name begins so. Errs towards yes: whatever a server makes
/// of switches, a name is the end of what stands before the `=` in one word; among switches of one letter, which
/// may be an `=` too, before any of them.
pub fn speak_of(options: &[u8], beginning: &str) -> bool {
    let beginning = beginning.as_bytes();
    split(options).iter().any(|word| {
        let are_letters = matches!(word.as_slice(), [b'-', second, ..] if *second != b'-');
        let ends = match are_letters {
            true => word.iter().filter(|byte| **byte == b'=').count(),
            false => 1,
        };
        let pieces = word.split(|byte| *byte == b'=').take(ends.max(1));
        let mut places = pieces.flat_map(|piece| piece.windows(beginning.len().max(1)));
        places.any(|place| place.eq_ignore_ascii_case(beginning))
    })
}

/// One word of letters, as getopt reads it: switches without a value may stand before one that has a value, which
/// is the rest of the word or the next one.
fn switches(letters: &[u8], words: &mut impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let at = letters
        .iter()
        .position(|letter| *letter == b'c' || WITH_VALUE.contains(letter))?;
    let (_, rest) = letters.split_at_checked(at)?;
    let (switch, rest) = rest.split_first()?;
    let value = match rest {
        [] => words.next()?,
        rest => rest.to_vec(),
    };
    match switch {
        // `-` as a switch of letters begins a long option, too.
        b'c' | b'-' => Some(value),
        _ => None,
    }
}

/// Switches of a backend that take a value (the server's `getopt` string).
const WITH_VALUE: &[u8] = b"-BCDNdfhkoprStvW";

/// White space separates words, a backslash takes the next byte as it is.
fn split(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = None::<Vec<u8>>;
    let mut bytes = options.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => words.extend(word.take()),
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// `name=value`; without a value there is nothing that the server would set.
fn named(text: &[u8]) -> Option<Setting> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = text.split_at_checked(at)?;
    let name = name.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte });
    Some(Setting {
        name: name.collect(),
        value: value.get(1..).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        settings(options.as_bytes())
            .into_iter()
            .map(|setting| (text(setting.name), text(setting.value)))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        expected.iter().map(owned).collect()
    }

    /// Each of these was compared with `current_setting` in a session opened with it.
    #[test]
    fn settings_are_read_as_the_server_reads_them() {
        for (options, expected) in [
            ("-c TimeZone=Etc/GMT+5", &[("TimeZone", "Etc/GMT+5")][..]),
            ("-cwork_mem=5MB", &[("work_mem", "5MB")]),
            ("--work-mem=5MB", &[("work_mem", "5MB")]),
            (r"-c search_path=a\ b", &[("search_path", "a b")]),
            (r"-c a.b=x\\y", &[("a.b", r"x\y")]),
            ("-c a.b=1-c", &[("a.b", "1-c")]),
            ("-c a.b=c=d", &[("a.b", "c=d")]),
            ("  -c\ta.b=1\n--c.d=2 ", &[("a.b", "1"), ("c.d", "2")]),
            ("-d 5 -c a.b=1", &[("a.b", "1")]),
            ("-c a.b=", &[("a.b", "")]),
            ("-ec a.b=1", &[("a.b", "1")]),
            ("-N 5 -c a.b=1", &[("a.b", "1")]),
            ("-eca.b=1 -F -c c.d=2", &[("a.b", "1"), ("c.d", "2")]),
        ] {
            assert_eq!(read(options), pairs(expected), "{options:?}");
        }
    }

    #[test]
    fn what_sets_nothing_is_left_out() {
        for options in [
            "",
            " ",
            "-c",
            "-c ",
            "--x",
            r"\",
            "word",
            "-",
            "-- --a=b",
            "-d -c a=b",
            "-N -- -- --a=b",
        ] {
            assert_eq!(read(options), pairs(&[]), "{options:?}");
        }
    }

    /// Each of the first took effect in a session of PostgreSQL that was opened with it, but for the last two.
    #[test]
    fn names_of_a_name_space_are_seen_however_they_are_written() {
        for options in [
            "-c dbproxy.caller=x",
            "-cdbproxy.caller=x",
            "-ecDBproxy.Caller=x",
            "--dbproxy.caller=x",
            r"-c db\proxy.caller=x",
            "-f s -cdbproxy.caller=x",
            "-c work_mem=1MB\t-c\ndbproxy.x=",
            "-d -c dbproxy.caller=x",
            "-- --dbproxy.caller=x",
            "-#=cdbproxy.caller=x",
        ] {
            assert!(speak_of(options.as_bytes(), "dbproxy."), "{options:?}");
        }
        for options in [
            "",
            "-c a.b=dbproxy.caller",
            "-ca.b=dbproxy.caller",
            "-c dbproxy=x",
            "--search_path=dbproxy.c=x",
        ] {
            assert!(!speak_of(options.as_bytes(), "dbproxy."), "{options:?}");
        }
    }

    #[test]
    fn a_backslash_at_the_end_takes_nothing() {
        assert_eq!(read("-c a.b=1\\"), pairs(&[("a.b", "1")]));
    }
}
