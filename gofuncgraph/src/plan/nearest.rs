//! Which names a mistyped pattern may have meant.

/// Names to propose at most.
const PROPOSALS: usize = 5;

/// The names most like `pattern`, best first: those that hold its last part in whatever case,
/// else those whose last part is a few letters away.
pub(super) fn nearest_names<'name>(
    pattern: &str,
    names: impl Iterator<Item = &'name str> + Clone,
) -> Vec<&'name str> {
    let wanted = last_part(
        pattern
            .split(['*', '?'])
            .filter(|piece| piece.chars().any(char::is_alphanumeric))
            .max_by_key(|piece| last_part(piece).len())
            .unwrap_or_default(),
    )
    .to_lowercase();
    if wanted.is_empty() {
        return Vec::new();
    }
    let holding = names.clone().filter_map(|name| {
        let lower = name.to_lowercase();
        lower.contains(&wanted).then(|| {
            let is_last_part = last_part(&lower) == wanted;
            ((!is_last_part, name.len()), name)
        })
    });
    let proposals = best(holding);
    if !proposals.is_empty() {
        return proposals;
    }
    let letters: Vec<char> = wanted.chars().collect();
    let tolerated = (letters.len() / 3).max(1);
    best(names.filter_map(|name| {
        let part: Vec<char> = last_part(name)
            .chars()
            .flat_map(char::to_lowercase)
            .collect();
        let distance = edit_distance(&letters, &part, tolerated)?;
        Some(((distance, name.len()), name))
    }))
}

fn best<'name, Rank: Ord>(ranked: impl Iterator<Item = (Rank, &'name str)>) -> Vec<&'name str> {
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort();
    ranked.dedup_by_key(|(_, name)| *name);
    ranked
        .into_iter()
        .map(|(_, name)| name)
        .take(PROPOSALS)
        .collect()
}

/// `M` of `pkg.(*T).M` and of `pkg.T[int].M`, `F` of `pkg.F[int]`.
fn last_part(name: &str) -> &str {
    let plain = match name.split_once('[') {
        Some((generic, _)) if name.ends_with(']') => generic,
        _ => name,
    };
    plain
        .rsplit(['.', '/'])
        .find(|part| part.chars().any(char::is_alphanumeric))
        .unwrap_or_default()
}

/// Number of letters to change, insert, drop or swap with their neighbour, if it is at most
/// `limit` (optimal string alignment).
fn edit_distance(from: &[char], to: &[char], limit: usize) -> Option<usize> {
    if from.len().abs_diff(to.len()) > limit {
        return None;
    }
    // Rows of the table of distances between beginnings of `from` and beginnings of `to`.
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let mut distance = (at(&last, column) + usize::from(letter != other))
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            if row > 0
                && column > 0
                && from.get(row - 1) == Some(other)
                && to.get(column - 1) == Some(letter)
            {
                distance = distance.min(at(&before_last, column - 1) + 1);
            }
            current.push(distance);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] = [
        "fmt.Fprintf",
        "main.(*Server).handleBar",
        "main.handleBar",
        "main.handleBar.func1",
        "main.handleFoo",
        "main.Map[go.shape.string,go.shape.int]",
        "net/http.(*conn).serve",
    ];

    fn nearest(pattern: &str) -> Vec<&'static str> {
        nearest_names(pattern, NAMES.into_iter())
    }

    #[test]
    fn case_does_not_matter() {
        let expected = vec![
            "main.handleBar",
            "main.(*Server).handleBar",
            "main.handleBar.func1",
        ];
        assert_eq!(nearest("handlebar"), expected);
        assert_eq!(nearest("other.handleBar"), expected);
        assert_eq!(nearest("mian.*HANDLEBAR*"), expected);
    }

    #[test]
    fn a_few_wrong_letters_do_not_matter() {
        assert_eq!(nearest("fmt.Fprimtf"), ["fmt.Fprintf"]);
        assert_eq!(nearest("*.(*conn).srve"), ["net/http.(*conn).serve"]);
        assert_eq!(nearest("main.Mup[...]"), [NAMES[5]]);
        assert_eq!(nearest("*hnadleFoo"), ["main.handleFoo"]);
    }

    #[test]
    fn last_parts() {
        assert_eq!(last_part("net/http.(*conn).serve"), "serve");
        assert_eq!(
            last_part("unique.Handle[net/netip.addrDetail].Value"),
            "Value"
        );
        assert_eq!(last_part("main.Map[go.shape.int,main.T]"), "Map");
        assert_eq!(last_part("main.(*conn)"), "(*conn)");
        assert_eq!(last_part("main"), "main");
    }

    #[test]
    fn nothing_alike_gives_nothing() {
        assert!(nearest("zzzzzzzzz").is_empty());
        assert!(nearest("*").is_empty());
        assert!(nearest("").is_empty());
        assert!(nearest("(*).").is_empty());
    }

    #[test]
    fn at_most_five() {
        let names: Vec<String> = (0..20).map(|n| format!("main.handler{n}")).collect();
        let found = nearest_names("handler", names.iter().map(String::as_str));
        assert_eq!(found.len(), PROPOSALS);
    }

    #[test]
    fn distances() {
        let distance = |from: &str, to: &str, limit| {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            edit_distance(&letters(from), &letters(to), limit)
        };
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("same", "same", 0), Some(0));
        assert_eq!(distance("mian", "main", 1), Some(1));
        assert_eq!(distance("abc", "", 3), Some(3));
    }
}
