//! The one form that a certificate's name has in policies and records.

use super::NameKind;

/// Longest name, without its kind.
pub(super) const NAME_BYTES_MAX: usize = 1_024;
/// Longest name of a host, and of each part of it (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// What the part before the `@` may hold besides letters and digits (RFC 5322, section 3.2.3).
const LOCAL_PART_MARKS: &[u8] = b"!#$%&'*+-/=?^_`{|}~.";

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not text in UTF-8")]
    NotText,
    #[error("it holds characters that cannot be seen, or begins or ends with a space")]
    Invisible,
    #[error("it holds a wildcard")]
    Wildcard,
    #[error("it does not have the form of its kind")]
    Form,
}

/// Two texts of one meaning become one; what could pass for another name is refused.
pub(super) fn canonical(kind: NameKind, text: &str) -> Result<String, NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong);
    }
    if text.trim() != text || text.chars().any(is_invisible) {
        return Err(NameFault::Invisible);
    }
    let name = match kind {
        NameKind::Uri => uri(text)?.to_owned(),
        NameKind::Email => email(text)?,
        NameKind::Dns => host(text)?,
        NameKind::Cn | NameKind::First => text.to_owned(),
    };
    Ok(format!("{}:{name}", kind.prefix()))
}

/// Controls, NUL among them, and what moves or hides the characters around it.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Absolute (RFC 5280, section 4.2.1.6), and otherwise left as it is: what of a URI may be written in more
/// than one way depends on its scheme.
fn uri(text: &str) -> Result<&str, NameFault> {
    let (scheme, rest) = text.split_once(':').ok_or(NameFault::Form)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_written_out = rest.bytes().all(|byte| byte.is_ascii_graphic());
    match is_scheme && is_written_out && !rest.is_empty() {
        true => Ok(text),
        false => Err(NameFault::Form),
    }
}

/// The host in small letters; the part before it is for the host alone to interpret (RFC 5321, section 2.4).
fn email(text: &str) -> Result<String, NameFault> {
    let (local, domain) = text.split_once('@').ok_or(NameFault::Form)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || LOCAL_PART_MARKS.contains(&byte);
    match !local.is_empty() && local.bytes().all(is_plain) {
        true => Ok(format!("{local}@{}", host(domain)?)),
        false => Err(NameFault::Form),
    }
}

/// Letters, digits, `-` and `_` between single dots. The dot that may end a name would make two of one.
fn host(text: &str) -> Result<String, NameFault> {
    if text.contains('*') {
        return Err(NameFault::Wildcard);
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(NameFault::Form),
    }
}
