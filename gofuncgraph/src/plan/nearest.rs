//! Which names a mistyped pattern may have meant.

/// Names to propose at most.
const PROPOSALS: usize = 5;

/// The names most like `pattern`, best first: those that end with its words, whatever stands
/// between these, else those that hold its last part in whatever case, else those whose last part
/// is a few letters away.
pub(super) fn nearest_names<'name>(
    pattern: &str,
    names: impl Iterator<Item = &'name str> + Clone,
) -> Vec<&'name str> {
    let words = words_of(pattern);
    // A receiver's * is no wildcard.
    let is_glob = pattern.replace("(*", "").contains(['*', '?']);
    if !words.is_empty() && !is_glob {
        let ending = names.clone().filter_map(|name| {
            let own = words_of(name);
            own.ends_with(&words)
                .then_some(((own.len(), name.len()), name))
        });
        let proposals = best(ending);
        if !proposals.is_empty() {
            return proposals;
        }
    }
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
    let length = wanted.chars().count();
    let tolerated = (length / 3).max(1);
    best(names.filter_map(|name| {
        let part = last_part(name).to_lowercase();
        if part.chars().count().abs_diff(length) > tolerated {
            return None;
        }
        let distance = strsim::osa_distance(&wanted, &part);
        (distance <= tolerated).then_some(((distance, name.len()), name))
    }))
}

/// `main`, `t` and `handle` of `main.(*T).Handle`.
pub(super) fn words_of(name: &str) -> Vec<String> {
    name.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
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
        assert_eq!(nearest("other.handleBar"), expected);
        assert_eq!(nearest("mian.*HANDLEBAR*"), expected);
    }

    #[test]
    fn what_stands_between_words_does_not_matter() {
        assert_eq!(
            nearest("handlebar"),
            ["main.handleBar", "main.(*Server).handleBar"]
        );
        for pattern in [
            "main.Server.handleBar",
            "Server.handleBar",
            "main::Server::handlebar",
            "(*server).handleBar",
            "main/Server#handleBar",
        ] {
            assert_eq!(nearest(pattern), ["main.(*Server).handleBar"], "{pattern}");
        }
        assert_eq!(nearest("http.conn.serve"), ["net/http.(*conn).serve"]);
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
}
