//! "Did you mean …": the nearest known word to one that is not known.
//!
//! Nearness is the number of single-character edits (insert, delete, replace, swap two
//! neighbours). A word more than a third of its length away is no help and is not offered; the
//! whole list is given instead.

/// The second half of a message about an unknown word: the nearest known word, or all of them.
pub(crate) fn cure(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

/// The known word nearest to `word`, when one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(100).collect();
    known
        .iter()
        .map(|candidate| (distance(&word, &candidate.chars().collect::<Vec<_>>()), *candidate))
        .min()
        .filter(|(edits, candidate)| {
            let length = word.len().max(candidate.chars().count());
            *edits <= (length / 3).max(1) || is_prefix(&word, candidate)
        })
        .map(|(_, candidate)| candidate)
}

fn is_prefix(word: &[char], candidate: &str) -> bool {
    let text: String = word.iter().collect();
    text.len() >= 3 && (candidate.starts_with(&text) || text.starts_with(candidate))
}

/// The restricted Damerau–Levenshtein distance.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut left_before = None;
    for (row, left_char) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut right_before = None;
        for (column, right_char) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(left_char != right_char);
            let mut edits = replaced.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let swapped = column > 0
                && left_before == Some(right_char)
                && right_before == Some(left_char)
                && row > 0;
            if swapped {
                edits = edits.min(at(&before_last, column - 1) + 1);
            }
            current.push(edits);
            right_before = Some(right_char);
        }
        before_last = std::mem::replace(&mut last, current);
        left_before = Some(left_char);
    }
    last.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["incremental_append", "incremental_update", "full_refresh_append"];
        assert_eq!(nearest("incremental_uptade", &known), Some("incremental_update"));
        assert_eq!(nearest("Full_Refresh_Append", &known), Some("full_refresh_append"));
        assert_eq!(nearest("merge", &known), None);
        assert_eq!(nearest("", &known), None);
    }

    #[test]
    fn lists_everything_when_nothing_is_near() {
        assert_eq!(cure("nmae", &["name", "layer"]), "did you mean \"name\"?");
        assert_eq!(cure("zzzzzz", &["name", "layer"]), "use one of name, layer");
    }
}
