use std::fmt;

use crate::binary::{readable_name, unescaped_name};

/// What Go's own tools print for the type arguments of a generic function.
const ANY_TYPE_ARGUMENTS: &str = "[...]";

/// A glob over full Go names: `*` stands for any text, `?` for one character, and
/// everything else for itself. `[...]` also stands for any type arguments. What the linker escapes in
/// names, as in `yaml%2ev3`, and the shapes it has for type arguments since Go 1.21
/// (`[go.shape.int]`), may be written as they are shown or as the linker writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    /// Without escapes.
    text: String,
    literal_prefix_bytes: usize,
    /// With `[*]` for `[...]`.
    instantiated: Option<Box<Pattern>>,
}

impl Pattern {
    /// The pattern that `text` spells; every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        let written = text.into();
        let text = unescaped_name(&written).into_owned();
        let literal_prefix_bytes = text.find(['*', '?']).unwrap_or(text.len());
        Self {
            instantiated: text
                .contains(ANY_TYPE_ARGUMENTS)
                .then(|| Box::new(Self::new(text.replace(ANY_TYPE_ARGUMENTS, "[*]")))),
            written,
            text,
            literal_prefix_bytes,
        }
    }

    /// The pattern that matches the name `self` spells and nothing else: what `main.(*T).M` means
    /// where a function has that name, because the `*` would also take in `main.(*OtherT).M`.
    pub fn into_name(self) -> Self {
        Self {
            literal_prefix_bytes: self.text.len(),
            ..self
        }
    }

    /// Whether it matches one name only.
    pub fn is_name(&self) -> bool {
        self.literal_prefix_bytes == self.text.len()
    }

    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it is spelled as `name`, whatever its `*` would stand for.
    pub fn spells(&self, name: &str) -> bool {
        self.text == unescaped_name(name) || self.text == readable_name(name)
    }

    /// What stands before the first `*` or `?`, without escapes.
    pub fn literal_prefix(&self) -> &str {
        self.text
            .get(..self.literal_prefix_bytes)
            .unwrap_or_default()
    }

    /// Whether the whole of `name` fits. Takes at most time proportional to the product of the
    /// two lengths, whatever the pattern.
    pub fn matches(&self, name: &str) -> bool {
        let written = unescaped_name(name);
        if self.matches_as_written(&written)
            || self
                .instantiated
                .as_ref()
                .is_some_and(|instantiated| instantiated.matches_as_written(&written))
        {
            return true;
        }
        let shown = readable_name(name);
        shown.len() != written.len() && self.matches_as_written(&shown)
    }

    fn matches_as_written(&self, name: &str) -> bool {
        let literal = self.literal_prefix();
        let Some(rest) = name.strip_prefix(literal) else {
            return false;
        };
        match self.text.get(self.literal_prefix_bytes..) {
            None | Some("") => rest.is_empty(),
            Some("*") => true,
            Some(glob) => matches_glob(glob.as_bytes(), rest.as_bytes()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Only the latest `*` is ever reconsidered: what an earlier one took cannot matter once a
/// later one was reached.
fn matches_glob(pattern: &[u8], name: &[u8]) -> bool {
    let mut pattern_at = 0;
    let mut name_at = 0;
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&byte) = name.get(name_at) {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                pattern_at += 1;
                if pattern_at == pattern.len() {
                    return true;
                }
                retry = Some((pattern_at, name_at));
                continue;
            }
            Some(b'?') if !is_continuation(byte) => {
                pattern_at += 1;
                name_at += 1;
                while name.get(name_at).is_some_and(|&next| is_continuation(next)) {
                    name_at += 1;
                }
                continue;
            }
            Some(&literal) if literal != b'?' && literal == byte => {
                pattern_at += 1;
                name_at += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = retry else {
            return false;
        };
        retry = Some((after_star, taken + 1));
        pattern_at = after_star;
        name_at = taken + 1;
    }
    pattern
        .get(pattern_at..)
        .is_some_and(|rest| rest.iter().all(|&byte| byte == b'*'))
}

/// A byte inside a UTF-8 character, not its first.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).matches(name)
    }

    #[test]
    fn plain_text_matches_itself_only() {
        assert!(matches("main.main", "main.main"));
        assert!(!matches("main.main", "main.main.func1"));
        assert!(!matches("main.main", "amain.main"));
        assert!(!matches("", "main.main"));
        assert!(matches("", ""));
    }

    #[test]
    fn brackets_and_dots_are_not_special() {
        assert!(matches("main.(*T).M", "main.(*T).M"));
        assert!(!matches("main.(*T).M", "main.T.M"));
        assert!(matches("main.Map[...]", "main.Map[...]"));
        assert!(!matches("main.Map[a]", "main.Map[b]"));
        assert!(!matches("main.[ab]", "main.a"));
        assert!(!matches("main.x", "mainyx"));
    }

    #[test]
    fn a_method_name_can_mean_itself() {
        assert!(matches("main.(*T).M", "main.(*OtherT).M"));
        let name = Pattern::new("main.(*T).M").into_name();
        assert!(name.is_name());
        assert!(name.matches("main.(*T).M"));
        assert!(!name.matches("main.(*OtherT).M"));
    }

    #[test]
    fn escapes_of_the_linker_may_be_written_or_not() {
        let name = "gopkg.in/yaml%2ev3.(*Node).Decode";
        for pattern in [
            "gopkg.in/yaml.v3.*",
            "gopkg.in/yaml%2ev3.*",
            "gopkg.in/yaml.v3.(*Node).Decode",
            "*v3.(*Node).Decode",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        assert!(!matches("gopkg.in/yamlv3.*", name));
        let spelled = Pattern::new("gopkg.in/yaml.v3.(*Node).Decode");
        assert!(spelled.spells(name));
        assert!(spelled.into_name().matches(name));
        assert_eq!(Pattern::new("a%2eb.*").to_string(), "a%2eb.*");
        assert_eq!(Pattern::new("a%2eb.*").literal_prefix(), "a.b.");
    }

    #[test]
    fn three_dots_in_brackets_stand_for_type_arguments() {
        let name = "main.Map[go.shape.int,go.shape.string]";
        assert!(matches("main.Map[...]", name));
        assert!(matches("main.Map[...].func*", &format!("{name}.func1")));
        assert!(!matches("main.Map[...]", "main.Map"));
        assert!(!matches("main.Map[...]", &format!("{name}.func1")));
    }

    #[test]
    fn shapes_may_be_written_as_they_are_shown_or_as_the_linker_does() {
        let name = "a%2eb.(*Map[go.shape.int,go.shape.string]).get";
        for pattern in [
            "a.b.(*Map[go.shape.int,go.shape.string]).get",
            "a%2eb.(*Map[go.shape.int,*]).get",
            "a.b.(*Map[...]).get",
            "a.b.(*Map[?..]).get",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        assert!(!matches("a.b.(*Map[go.shape.string,*]).get", name));
        assert!(!matches("a.b.(*Map[int,string]).get", name));
        assert!(Pattern::new("a.b.(*Map[...]).get").spells(name));
        let literal = Pattern::new("a.b.(*Map[...]).get").into_name();
        assert!(literal.matches(name));
        assert!(!literal.matches("a%2eb.(*Map[go.shape.int]).set"));
    }

    #[test]
    fn star_crosses_every_separator() {
        assert!(matches("net/http*", "net/http.(*conn).serve"));
        assert!(matches("net/http*", "net/http/internal.f"));
        assert!(matches("*handleBar", "main.handleBar"));
        assert!(!matches("*handleBar", "main.handleBar.func1"));
        assert!(matches("*", ""));
        assert!(matches("*(*conn)*", "net/http.(*conn).serve"));
        assert!(matches("a*b*c", "a/b.b(c"));
        assert!(!matches("a*b*c", "a/c.b"));
        assert!(matches("**a**", "a"));
    }

    #[test]
    fn question_mark_is_one_character() {
        assert!(matches("main.?", "main.f"));
        assert!(matches("main.?", "main.é"));
        assert!(!matches("main.?", "main."));
        assert!(!matches("main.?", "main.fg"));
        assert!(!matches("main.??", "main.é"));
        assert!(!matches("*??", "é"));
        assert!(matches("*?", "é"));
        assert!(matches("?*?", "日本"));
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let pattern = format!("{}b", "a*".repeat(200));
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }

    #[test]
    fn literal_prefix_ends_at_the_first_wildcard() {
        assert_eq!(Pattern::new("runtime.*").literal_prefix(), "runtime.");
        assert_eq!(Pattern::new("r?").literal_prefix(), "r");
        assert_eq!(Pattern::new("*").literal_prefix(), "");
        assert_eq!(Pattern::new("main.main").literal_prefix(), "main.main");
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "[ab*?é]{0,8}", name in "[abé]{0,8}") {
            let pattern_chars: Vec<char> = pattern.chars().collect();
            let name_chars: Vec<char> = name.chars().collect();
            assert_eq!(matches(&pattern, &name), naive(&pattern_chars, &name_chars));
        }
    }

    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some(('*', rest)), None) => naive(rest, name),
            (Some(('*', rest)), Some((_, tail))) => naive(rest, name) || naive(pattern, tail),
            (Some((first, rest)), Some((letter, tail))) => {
                (*first == '?' || first == letter) && naive(rest, tail)
            }
            (Some(_), None) => false,
        }
    }
}
