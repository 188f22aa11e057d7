//! What a change makes of a text, line by line.

/// Lines around a change that are shown too.
const CONTEXT: usize = 2;
/// Pairs of lines that are compared; beyond, the middle is shown as replaced.
const PAIRS_MAX: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// `- ` what goes, `+ ` what comes, with a little of what stays; `…` where lines are left out.
pub fn diff(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let lines = compare(&before, &after);
    let changed = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        let window = lines
            .iter()
            .skip(from)
            .take(at.saturating_sub(from).saturating_add(CONTEXT).saturating_add(1));
        window.into_iter().any(changed)
    };
    let mut shown = Vec::new();
    let mut left_out = false;
    for (at, line) in lines.iter().enumerate() {
        if !near(at) {
            left_out = true;
            continue;
        }
        if left_out && !shown.is_empty() {
            shown.push("  …".to_owned());
        }
        left_out = false;
        shown.push(match line {
            Line::Same(text) => format!("  {text}"),
            Line::Gone(text) => format!("- {text}"),
            Line::New(text) => format!("+ {text}"),
        });
    }
    shown
}

fn compare<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (head, before) = before.split_at(start);
    let after = after.get(start..).unwrap_or_default();
    let end = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (before, tail) = before.split_at(before.len().saturating_sub(end));
    let after = after.get(..after.len().saturating_sub(end)).unwrap_or_default();
    let mut lines: Vec<Line<'_>> = head.iter().map(|text| Line::Same(text)).collect();
    middle(before, after, &mut lines);
    lines.extend(tail.iter().map(|text| Line::Same(text)));
    lines
}

/// By the longest sequence of lines that both have.
fn middle<'a>(mut before: &[&'a str], mut after: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = after.len().saturating_add(1);
    let cells = before.len().saturating_add(1).saturating_mul(width);
    if cells <= PAIRS_MAX {
        // For each pair of rests, the length of what they have in common.
        let mut common = vec![0_usize; cells];
        let at = |left: usize, right: usize| left.saturating_mul(width).saturating_add(right);
        for (i, a) in before.iter().enumerate().rev() {
            for (j, b) in after.iter().enumerate().rev() {
                let (next_i, next_j) = (i.saturating_add(1), j.saturating_add(1));
                let of = |place: usize| common.get(place).copied().unwrap_or_default();
                let best = match a == b {
                    true => of(at(next_i, next_j)).saturating_add(1),
                    false => of(at(next_i, j)).max(of(at(i, next_j))),
                };
                if let Some(cell) = common.get_mut(at(i, j)) {
                    *cell = best;
                }
            }
        }
        let (mut i, mut j) = (0_usize, 0_usize);
        while let ([a, more_before @ ..], [b, more_after @ ..]) = (before, after) {
            let of = |i: usize, j: usize| common.get(at(i, j)).copied().unwrap_or_default();
            let (next_i, next_j) = (i.saturating_add(1), j.saturating_add(1));
            if a == b {
                lines.push(Line::Same(a));
                (before, after, i, j) = (more_before, more_after, next_i, next_j);
            } else if of(next_i, j) >= of(i, next_j) {
                lines.push(Line::Gone(a));
                (before, i) = (more_before, next_i);
            } else {
                lines.push(Line::New(b));
                (after, j) = (more_after, next_j);
            }
        }
    }
    lines.extend(before.iter().map(|text| Line::Gone(text)));
    lines.extend(after.iter().map(|text| Line::New(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_a_little_of_what_stays() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n";
        let after = "1\n2\n3\nx\n5\n6\n7\n8\n9\n10\n11\ny\n";
        let expected = [
            "  2", "  3", "- 4", "+ x", "  5", "  6", "  …", "  10", "  11", "+ y",
        ];
        assert_eq!(diff(before, after), expected);
        assert_eq!(diff(before, before), [""; 0]);
        assert_eq!(diff("", "a\n"), ["+ a"]);
        assert_eq!(diff("a\n", ""), ["- a"]);
        assert_eq!(diff("a\nb\na\n", "b\na\nb\n"), ["- a", "  b", "  a", "+ b"]);
    }
}
