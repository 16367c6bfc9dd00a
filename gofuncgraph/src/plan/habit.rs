//! Patterns as other tools take them, and what they are here.

use super::Pattern;
use super::nearest::{nearest_names, words_of};
use crate::binary::{SourceLine, package_of, readable_name};

/// Patterns that a mistaken one becomes, at most.
const MEANT_AT_MOST: usize = 16;
/// Functions to name of those at a line.
const FUNCTIONS_TO_NAME: usize = 3;

/// What to write instead of `pattern`, which matches none of `names`: the end of a sentence. Only
/// patterns that match something are proposed.
pub(super) fn instead_of<'name>(
    pattern: &str,
    names: impl Iterator<Item = &'name str> + Clone,
    main_package: Option<&str>,
) -> Option<String> {
    let matches = |meant: &str| {
        let meant = Pattern::new(meant);
        names
            .clone()
            .any(|name| meant.matches(name) || meant.spells(name))
    };
    readings(pattern, main_package)
        .into_iter()
        .find_map(|reading| {
            let mut meant: Vec<String> = reading.meant;
            meant.truncate(MEANT_AT_MOST);
            meant.retain(|it| it != pattern && has_letters(it) && matches(it));
            let meant: Vec<String> = meant.iter().map(|it| format!("'{it}'")).collect();
            (!meant.is_empty()).then(|| format!("{}; write {}", reading.why, meant.join(" and ")))
        })
        .or_else(|| absent(pattern, names))
}

/// That no name begins like `pattern`, if nothing is like it either.
fn absent<'name>(pattern: &str, names: impl Iterator<Item = &'name str> + Clone) -> Option<String> {
    let beginning = match pattern.find(['*', '?']) {
        Some(wildcard) => pattern.get(..wildcard)?.to_owned(),
        None => format!("{}.", package_of(pattern)),
    };
    let is_absent = has_letters(&beginning)
        && !names
            .clone()
            .any(|name| readable_name(name).starts_with(&beginning))
        && nearest_names(pattern, names).is_empty();
    is_absent.then(|| {
        format!("no function that the program has begins with '{beginning}'; `gofuncgraph list` names all")
    })
}

/// The functions at the line that `pattern` names, as in `main.go:83`, of those that are
/// `declared`.
pub(super) fn at_line<'data>(
    pattern: &str,
    declared: impl Iterator<Item = (SourceLine<'data>, &'data str)>,
) -> Option<String> {
    let (file, line) = place(pattern)?;
    // Of each file of that name the last function that begins before.
    let mut found: Vec<(&str, u32, &str)> = Vec::new();
    for (at, name) in declared {
        if at.line > line || !is_path_end(at.file, file) {
            continue;
        }
        match found.iter_mut().find(|(of, ..)| *of == at.file) {
            Some(known) if known.1 < at.line => *known = (at.file, at.line, name),
            Some(_) => {}
            None => found.push((at.file, at.line, name)),
        }
    }
    found.sort_unstable();
    let named = found
        .iter()
        .take(FUNCTIONS_TO_NAME)
        .map(|(_, at, name)| format!("'{}', which begins in line {at}", readable_name(name)));
    let named: Vec<String> = named.collect();
    let not_a_place = "a pattern is the name of a function, not a place";
    Some(if named.is_empty() {
        format!("{not_a_place}; no function begins in {file} at or before line {line}")
    } else {
        let named = named.join(", or ");
        format!("{not_a_place}; the last one before that line is {named}")
    })
}

/// File and line of `main.go:83`.
fn place(pattern: &str) -> Option<(&str, u32)> {
    let (file, line) = pattern.rsplit_once(':')?;
    Some((file, line.parse().ok()?)).filter(|(file, _)| file.ends_with(".go"))
}

fn is_path_end(path: &str, end: &str) -> bool {
    let end = end.trim_start_matches("./");
    path.strip_suffix(end)
        .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
}

/// One way to read a pattern.
struct Reading {
    /// Patterns.
    meant: Vec<String>,
    /// What is different here.
    why: &'static str,
}

const QUOTES: &[char] = &[
    '\'', '"', '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}',
];

fn readings(pattern: &str, main_package: Option<&str>) -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut read = |meant: Vec<String>, why| readings.push(Reading { meant, why });
    let bare = pattern.trim_matches(QUOTES);
    if bare != pattern {
        read(
            vec![bare.to_owned()],
            "the quotes came along as part of the pattern",
        );
    }
    let name = without_place(bare);
    if name != bare {
        for meant in [name.to_owned(), format!("*{name}")] {
            let why = "a pattern is the name of a function and nothing else";
            read(vec![meant], why);
        }
    }
    if let Some(all) = expand_alternatives(bare) {
        read(
            all,
            "there are no alternatives in a pattern, but several patterns can be given",
        );
    }
    for meant in globs_of_regex(bare) {
        read(
            expand_alternatives(&meant).unwrap_or_else(|| vec![meant.clone()]),
            "patterns are globs over the whole name, not regular expressions",
        );
    }
    if let Some(folder) = bare.strip_suffix("/...") {
        let why = "a package and those below it are two patterns";
        read(vec![format!("{folder}.*"), format!("{folder}/*")], why);
    }
    if let Some(rest) = main_package.and_then(|it| bare.strip_prefix(it)) {
        let rest = if rest.is_empty() { ".*" } else { rest };
        read(
            vec![format!("main{rest}")],
            "the functions of the package main are called main.…, whatever its path is",
        );
    }
    // A receiver's * is no wildcard.
    let is_package_or_type = !bare.replace("(*", "").contains(['*', '?']);
    if is_package_or_type {
        read(
            vec![format!("{bare}.*")],
            "that is no function, but functions begin with it",
        );
        if let Some((package, name)) = bare.rsplit_once('.') {
            read(
                vec![format!("{package}.(*{name}).*")],
                "that is a type; its methods have the receiver in their names",
            );
        }
        if !bare.contains('.') {
            read(
                vec![format!("*/{bare}.*")],
                "packages are written with their whole path",
            );
        }
    }
    readings
}

/// The name alone of `uprobe:./bin:main.f`, `./bin:main.f`, `main.f()`, `main.f+0x10` and
/// `main.f%return`.
fn without_place(pattern: &str) -> &str {
    let is_path = |text: &str| text.contains('/') || text.starts_with("u");
    let mut name = match pattern.rsplit_once(':') {
        Some((path, name)) if is_path(path) && place(pattern).is_none() => name,
        _ => pattern,
    };
    name = name.trim_matches(QUOTES);
    name = name.strip_suffix("%return").unwrap_or(name);
    if let Some((before, offset)) = name.rsplit_once('+')
        && offset.starts_with(|letter: char| letter.is_ascii_digit())
    {
        name = before;
    }
    if let Some((before, arguments)) = name.rsplit_once('(')
        && arguments.ends_with(')')
        && !arguments.starts_with('*')
    {
        name = before;
    }
    name
}

/// What the regular expression `pattern` may be as a glob: where it begins and ends what it
/// matches, or in the midst of a name. Empty if it does not look like one.
fn globs_of_regex(pattern: &str) -> Vec<String> {
    let inner = pattern
        .strip_prefix('/')
        .and_then(|it| it.strip_suffix('/'))
        .unwrap_or(pattern);
    let is_anchored_at_start = inner.starts_with('^');
    let is_anchored_at_end = inner.ends_with('$');
    let inner = inner.trim_start_matches('^').trim_end_matches('$');
    let mut glob = String::new();
    let mut letters = inner.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('w' | 'd' | 's' | 'S' | 'W' | 'D') => glob.push('?'),
                Some('b') | None => {}
                Some(escaped) => glob.push(escaped),
            },
            '[' => {
                letters.by_ref().find(|letter| *letter == ']');
                glob.push('?');
            }
            '.' if letters.peek().is_some_and(|it| matches!(it, '*' | '+')) => {
                glob.push('?');
            }
            // A repetition of anything is any text.
            '*' | '+' if glob.ends_with('?') => {
                glob.pop();
                glob.push('*');
            }
            other => glob.push(other),
        }
    }
    if glob == pattern {
        return Vec::new();
    }
    let open = |anchored: bool| if anchored { "" } else { "*" };
    let (start, end) = (open(is_anchored_at_start), open(is_anchored_at_end));
    let in_the_midst = format!("{start}{glob}{end}").replace("**", "*");
    vec![glob, in_the_midst]
}

/// `main.(a|b)` and `main.{a,b}` as several patterns, and `main.a,main.b`, `main.a|main.b`.
fn expand_alternatives(pattern: &str) -> Option<Vec<String>> {
    for (opening, closing, separator) in [('(', ')', '|'), ('{', '}', ',')] {
        let Some((before, rest)) = pattern.split_once(opening) else {
            continue;
        };
        let Some((inner, after)) = rest.split_once(closing) else {
            continue;
        };
        if inner.contains(separator) {
            let all = inner
                .trim_start_matches("?:")
                .split(separator)
                .map(|one| format!("{before}{one}{after}"));
            return Some(all.collect());
        }
    }
    let pieces: Vec<&str> = pattern.split(['|', ',']).map(str::trim).collect();
    let is_list = pieces.len() > 1 && !pattern.contains(['(', '[', '{']);
    is_list.then(|| pieces.into_iter().map(str::to_owned).collect())
}

fn has_letters(pattern: &str) -> bool {
    !words_of(pattern).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] = [
        "main.main",
        "main.handleBar",
        "main.never",
        "main.(*T).Handle",
        "net/http.Get",
        "net/http/internal.NewChunkedReader",
        "gopkg.in/yaml%2ev3.Unmarshal",
        "example.com/a/lib.F",
        "fmt.Println",
    ];

    fn instead(pattern: &str) -> Option<String> {
        instead_of(pattern, NAMES.into_iter(), Some("example.com/a/cmd"))
    }

    #[test]
    fn habits_of_other_tools() {
        for (pattern, meant) in [
            (r"main\..*", "'main.*'"),
            (r"main\.handle\w+", "'main.handle*'"),
            ("^main", "'main*'"),
            (r"^main\.never$", "'main.never'"),
            (".*Bar", "'*Bar'"),
            ("/handle/", "'*handle*'"),
            ("main.[hn]ever", "'main.?ever'"),
            (
                "main.(handleBar|never)",
                "'main.handleBar' and 'main.never'",
            ),
            (
                r"main\.(handleBar|never|other)$",
                "'main.handleBar' and 'main.never'",
            ),
            (
                "main.{handleBar,never}",
                "'main.handleBar' and 'main.never'",
            ),
            (
                "main.handleBar,main.never",
                "'main.handleBar' and 'main.never'",
            ),
            ("net/http/...", "'net/http.*' and 'net/http/*'"),
            ("net/http", "'net/http.*'"),
            ("http", "'*/http.*'"),
            ("main", "'main.*'"),
            ("main.T", "'main.(*T).*'"),
            ("main.(*T)", "'main.(*T).*'"),
            ("uprobe:./server:main.never", "'main.never'"),
            ("uprobe:./server:\"main.never\"", "'main.never'"),
            ("./server:main.never", "'main.never'"),
            ("./server:never", "'*never'"),
            ("main.never+0x10", "'main.never'"),
            ("main.never%return", "'main.never'"),
            ("main.never()", "'main.never'"),
            ("main.(*T).Handle(int, string)", "'main.(*T).Handle'"),
            ("'main.never'", "'main.never'"),
            ("\u{201c}*never\u{201d}", "'*never'"),
            ("example.com/a/cmd.never", "'main.never'"),
            ("example.com/a/cmd", "'main.*'"),
        ] {
            let said = instead(pattern).unwrap_or_else(|| panic!("{pattern} is not understood"));
            let (_, written) = said.split_once("; write ").unwrap();
            assert_eq!(written, meant, "{pattern}: {said}");
        }
    }

    #[test]
    fn what_matches_nothing_is_not_proposed() {
        for pattern in [
            "",
            "*",
            "/",
            ".*",
            "main.nothing",
            "^other$",
            "a(b",
            "[",
            "\\",
            "x|y",
            "main.go:3",
        ] {
            let said = instead(pattern);
            let proposed = said.as_deref().and_then(|it| it.split_once("; write '"));
            if let Some((_, rest)) = proposed {
                let glob = Pattern::new(rest.split('\'').next().unwrap());
                assert!(
                    NAMES.iter().any(|name| glob.matches(name)),
                    "{pattern}: {said:?}"
                );
            }
        }
        assert_eq!(instead("main.nothing"), None);
        assert_eq!(instead("x|y"), None);
    }

    #[test]
    fn what_the_program_does_not_have() {
        for (pattern, beginning) in [
            ("database/sql.*", "database/sql."),
            ("database/sql*", "database/sql"),
            ("database/sql.Conn", "database/sql."),
            ("gopkg.in/yaml.v2.*", "gopkg.in/yaml.v2."),
        ] {
            let said = instead(pattern).unwrap();
            let begins = format!("no function that the program has begins with '{beginning}'");
            assert!(said.starts_with(&begins), "{said}");
        }
        for pattern in [
            "net/http.Gte",
            "database/sql.Get",
            "*zzz",
            "gopkg.in/yaml.v3.Zzzzz",
        ] {
            assert_eq!(instead(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn functions_at_a_line() {
        let at = |file, line, name| (SourceLine { file, line }, name);
        let declared = [
            at("/src/a/main.go", 10, "main.f"),
            at("/src/a/main.go", 20, "main.g"),
            at("/src/a/main.go", 30, "main.h"),
            at("/src/b/main.go", 15, "b.f"),
            at("/src/b/other.go", 16, "b.g"),
        ];
        let said = |pattern| at_line(pattern, declared.iter().copied());
        let one = said("a/main.go:29").unwrap();
        assert!(
            one.ends_with("is 'main.g', which begins in line 20"),
            "{one}"
        );
        let two = said("main.go:15").unwrap();
        let expected = "is 'main.f', which begins in line 10, or 'b.f', which begins in line 15";
        assert!(two.ends_with(expected), "{two}");
        let none = said("main.go:9").unwrap();
        assert!(
            none.ends_with("no function begins in main.go at or before line 9"),
            "{none}"
        );
        assert_eq!(said("main.f"), None);
    }

    #[test]
    fn places() {
        assert_eq!(place("main.go:83"), Some(("main.go", 83)));
        assert_eq!(place("./cmd/main.go:1"), Some(("./cmd/main.go", 1)));
        for other in ["main.go", "main.go:x", "main.f:3", ":3", "main.go:-1"] {
            assert_eq!(place(other), None);
        }
        assert!(is_path_end("/src/cmd/main.go", "main.go"));
        assert!(is_path_end("/src/cmd/main.go", "./cmd/main.go"));
        assert!(!is_path_end("/src/cmd/main.go", "ain.go"));
    }
}
