//! What was probably meant by a name that is none.

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
