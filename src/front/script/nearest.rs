//! The nearest of some names to a name that is not among them.

/// The names within `limit` edits of `name`, or equal to it but for case, `_` and `-`; nearest first.
pub(super) fn nearest<'n>(name: &str, among: impl IntoIterator<Item = &'n str>, limit: usize) -> Vec<&'n str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let wanted = plain(name);
    let mut near: Vec<(usize, &str)> = among
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| {
            let distance = if plain(candidate) == wanted { 0 } else { distance(name, candidate, limit)? };
            // Of short names nearly every other is near.
            (distance == 0 || distance * 3 <= name.chars().count()).then_some((distance, candidate))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The names that a mistyped one may have meant, nearest first.
pub fn near<'n>(name: &str, among: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    nearest(name, among, 4)
}

/// The one name that a mistyped one most likely meant.
pub fn close<'n>(name: &str, among: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    near(name, among).first().copied()
}

/// Edits (insert, delete, replace, swap of neighbours) between two texts, when at most `limit`.
pub(super) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit || a.len().max(b.len()) > 200 {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let mut best = (row[j] + 1).min(next[j - 1] + 1).min(row[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|n| *n <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_typing_errors_not_other_words() {
        let known = ["label", "timeoutMs", "tools", "model", "agentType", "readScope"];
        assert_eq!(nearest("timeoutMS", known, 2), ["timeoutMs"]);
        assert_eq!(nearest("read_scope", known, 2), ["readScope"]);
        assert_eq!(nearest("lable", known, 2), ["label"]);
        assert_eq!(nearest("agentTyp", known, 2), ["agentType"]);
        assert_eq!(nearest("title", known, 2), Vec::<&str>::new());
        assert_eq!(nearest("x", known, 2), Vec::<&str>::new());
    }
}
