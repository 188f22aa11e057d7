//! What people write in files: durations, and keys that are nearly right.

use std::time::Duration;

/// `500ms`, `15s`, `2m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as `500ms`, `15s`, `2m` or `1h`");
    let digits = text
        .len()
        .saturating_sub(text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or_else(wrong)
}

/// The same letters in the same order but for one or two.
pub fn is_near(known: &str, written: &str) -> bool {
    let simple = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let (known, written) = (simple(known), simple(written));
    let same_start = known
        .chars()
        .zip(written.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let same_end = known
        .chars()
        .rev()
        .zip(written.chars().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let longest = known.chars().count().max(written.chars().count());
    same_start.saturating_add(same_end).saturating_add(2) >= longest && longest > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "15", "s", "1d", "-1s", "1.5s", "99999999999999999999s", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn near_is_a_letter_or_two_away() {
        for (known, written) in [("db_users", "dbusers"), ("listen", "lisen"), ("roles", "role")] {
            assert!(is_near(known, written), "{known} {written}");
        }
        for (known, written) in [("listen", "admin"), ("id", "ix"), ("roles", "databases")] {
            assert!(!is_near(known, written), "{known} {written}");
        }
    }
}
