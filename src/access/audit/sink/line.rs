//! A line as every sink takes it.

use super::{LINE_BYTES_MAX, SinkError};
use std::fmt::Write as _;

/// The line without what would end it or, in some receivers, cut it: control characters as JSON escapes them.
pub(super) fn one_line(line: String) -> Result<String, SinkError> {
    // Escapes only lengthen it.
    if line.len() > LINE_BYTES_MAX {
        return Err(SinkError::TooLong(line.len()));
    }
    if !line.bytes().any(|byte| byte < b' ') {
        return Ok(line);
    }
    let mut escaped = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\u{1f}' => {
                // A String takes everything.
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    match escaped.len() {
        0..=LINE_BYTES_MAX => Ok(escaped),
        bytes => Err(SinkError::TooLong(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        for (line, expected) in [
            ("{\"a\":\"é\u{7f}\"}", "{\"a\":\"é\u{7f}\"}"),
            ("a\nb\r\n\t\0\u{1f}", "a\\nb\\r\\n\\t\\u0000\\u001f"),
        ] {
            assert_eq!(one_line(line.to_owned()).unwrap(), expected);
        }
        for (line, bytes) in [("x", LINE_BYTES_MAX), ("\n", LINE_BYTES_MAX / 2)] {
            assert_eq!(one_line(line.repeat(bytes)).unwrap().len(), LINE_BYTES_MAX);
            assert!(one_line(line.repeat(bytes + 1)).is_err());
        }
    }
}
