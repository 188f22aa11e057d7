//! Moments as people write them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::time::{Duration, SystemTime};

/// Characters of `2026-11-25`.
const DATE_CHARACTERS: usize = 10;

/// RFC 3339, a date (its first moment in UTC), or `-2h`: that long before now.
pub fn when(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let wrong = || {
        format!(
            "`{text}` is neither a time such as 2026-11-25T10:00:00Z, nor a date, nor a time before now such as -2h or -7d"
        )
    };
    if let Some(length) = text.strip_prefix('-') {
        let length = span(length).ok_or_else(wrong)?;
        return now.checked_sub(length).ok_or_else(wrong);
    }
    let moment = match text.len() {
        DATE_CHARACTERS => {
            let date: Date = text.parse().map_err(|_| wrong())?;
            date.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp()
        }
        _ => text.parse::<Timestamp>().map_err(|_| wrong())?,
    };
    Ok(moment.into())
}

/// `30s`, `5m`, `2h`, `7d`
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_dates_or_before_now() {
        let now: SystemTime = "2026-11-25T10:00:00Z".parse::<Timestamp>().unwrap().into();
        for (text, shown) in [
            ("2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"),
            ("2026-11-25T10:00:00.5+02:00", "2026-11-25T08:00:00.5Z"),
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("-30s", "2026-11-25T09:59:30Z"),
            ("-2h", "2026-11-25T08:00:00Z"),
            ("-7d", "2026-11-18T10:00:00Z"),
        ] {
            let expected: SystemTime = shown.parse::<Timestamp>().unwrap().into();
            assert_eq!(when(text, now), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "-",
            "-h",
            "-2",
            "--2h",
            "-+2h",
            "2h",
            "-2é",
            "-99999999999999999999d",
            "-900000000000000d",
            "2026-11-25T10:00:00",
            "2026-13-01",
            "yesterday",
            "2026-1-1",
        ] {
            assert!(when(wrong, now).is_err(), "{wrong}");
        }
    }
}
