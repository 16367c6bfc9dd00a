use super::Pattern;
use super::names::Names;
use super::skip::SkipReason;
use crate::binary::Function;
use crate::cli::PatternSettings;

/// Which functions the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is shown.
    pub wildcards: Vec<Pattern>,
    /// Where a tree starts; attached whether or not a wildcard matches. None: every attached
    /// function can start a tree. Neither targets nor wildcards: the main module's functions.
    pub targets: Vec<Pattern>,
    /// What is taken away again, targets included.
    pub excludes: Vec<Pattern>,
    /// Takes away every name with `/vendor/` in it, targets included.
    pub exclude_vendor: bool,
}

impl From<&PatternSettings> for Selection {
    fn from(settings: &PatternSettings) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(Pattern::new).collect();
        Self {
            wildcards: patterns(&settings.wildcards),
            targets: patterns(&settings.targets),
            excludes: patterns(&settings.excludes),
            exclude_vendor: settings.exclude_vendor,
        }
    }
}

/// What a selection says about one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// No pattern matches.
    NotWanted,
    /// A pattern matches, but the function must not be attached.
    Skip(SkipReason),
    /// To be attached if its code allows.
    Attach {
        /// It can start a tree.
        is_target: bool,
    },
}

impl Selection {
    /// Lets every pattern that is the name of one of the functions mean that function alone.
    pub(super) fn with_names_of<'a>(
        mut self,
        functions: impl Iterator<Item = Names<'a>> + Clone,
    ) -> Self {
        for patterns in [&mut self.wildcards, &mut self.targets, &mut self.excludes] {
            for pattern in patterns {
                let is_exact = !pattern.is_name()
                    && pattern.as_str().contains("(*")
                    && functions.clone().any(|names| names.are_spelled_by(pattern));
                if is_exact {
                    *pattern = pattern.clone().into_name();
                }
            }
        }
        self
    }

    /// Whether what is shown has a pattern that is the name, and means nothing else.
    pub(super) fn spells_out(&self, names: Names<'_>) -> bool {
        let patterns = self.targets.iter().chain(&self.wildcards);
        let mut spelled = patterns.filter(|pattern| pattern.is_name());
        spelled.any(|pattern| names.are_spelled_by(pattern))
    }
}

/// A selection together with what it needs to know of the binary.
pub(super) struct Chooser<'selection> {
    selection: &'selection Selection,
    main_module: Option<MainModule>,
}

impl<'selection> Chooser<'selection> {
    /// `main_module` is the main module's path, where build info has one.
    pub(super) fn new(selection: &'selection Selection, main_module: Option<&str>) -> Self {
        let by_default = selection.wildcards.is_empty() && selection.targets.is_empty();
        Self {
            selection,
            main_module: by_default.then(|| MainModule::new(main_module)),
        }
    }

    /// Decides by names and flags alone.
    pub(super) fn choose(&self, function: &Function<'_>, names: Names<'_>) -> Choice {
        let (wanted, allowed, is_target) = match &self.main_module {
            Some(module) => {
                let wanted = module.contains(names.linker);
                (wanted, !is_runtime_internal(names.linker), wanted)
            }
            None => self.ask_patterns(names),
        };
        if !wanted {
            return Choice::NotWanted;
        }
        match (self.skip_by_name(names, allowed)).or_else(|| skip_always(function)) {
            Some(reason) => Choice::Skip(reason),
            None => Choice::Attach { is_target },
        }
    }

    /// Whether a pattern matches, whether one does that may reach into the runtime, and whether
    /// the function is a target.
    fn ask_patterns(&self, names: Names<'_>) -> (bool, bool, bool) {
        let targets = Answer::of(&self.selection.targets, names);
        let wildcards = Answer::of(&self.selection.wildcards, names);
        let any_can_start = self.selection.targets.is_empty();
        (
            targets != Answer::NoMatch || wildcards != Answer::NoMatch,
            targets == Answer::Match || wildcards == Answer::Match,
            any_can_start || targets == Answer::Match,
        )
    }

    fn skip_by_name(&self, names: Names<'_>, allowed: bool) -> Option<SkipReason> {
        let mut excludes = self.selection.excludes.iter();
        if excludes.any(|pattern| names.match_pattern(pattern)) {
            Some(SkipReason::Excluded)
        } else if self.selection.exclude_vendor && names.linker.contains("/vendor/") {
            Some(SkipReason::Vendored)
        } else if !allowed {
            Some(SkipReason::RuntimeInternal)
        } else {
            None
        }
    }

    /// Whether a function of this name is chosen, and would be attached unless its code forbids it.
    pub(super) fn wants_name(&self, name: &str) -> bool {
        let names = Names::plain(name);
        let (wanted, allowed) = match &self.main_module {
            Some(module) => (module.contains(name), !is_runtime_internal(name)),
            None => {
                let (wanted, allowed, _) = self.ask_patterns(names);
                (wanted, allowed)
            }
        };
        wanted && self.skip_by_name(names, allowed).is_none()
    }
}

/// What a list of patterns says about a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    NoMatch,
    /// Some match, but none of them may reach into the runtime, where the name belongs.
    MatchOutsideOnly,
    Match,
}

impl Answer {
    fn of(patterns: &[Pattern], names: Names<'_>) -> Self {
        let mut answer = Self::NoMatch;
        for pattern in patterns.iter().filter(|it| names.match_pattern(it)) {
            if may_attach(pattern, names.linker) {
                return Self::Match;
            }
            answer = Self::MatchOutsideOnly;
        }
        answer
    }
}

/// Why the function cannot be attached, however it is chosen, as far as its name and flags tell.
pub(super) fn skip_always(function: &Function<'_>) -> Option<SkipReason> {
    if function.name == super::watch::GOROUTINE_EXIT {
        Some(SkipReason::Watched)
    } else if !function.name.contains('.') {
        Some(SkipReason::NotGo)
    } else if function.flags.is_assembly() {
        Some(SkipReason::Assembly)
    } else if function.flags.writes_stack_pointer() {
        Some(SkipReason::WritesStackPointer)
    } else if function.flags.is_top_frame() {
        Some(SkipReason::TopFrame)
    } else {
        None
    }
}

/// Beginnings of the names that belong to the runtime's inside, and what a pattern has to begin
/// with to mean them. `runtime/debug`, `runtime/pprof` and so on are ordinary packages.
const RUNTIME_INTERNALS: [(&str, &str); 4] = [
    ("runtime.", "runtime"),
    ("internal/runtime/", "internal/runtime"),
    ("internal/abi", "internal/abi"),
    ("runtime/internal/", "runtime/internal"),
];

fn is_runtime_internal(name: &str) -> bool {
    RUNTIME_INTERNALS
        .iter()
        .any(|(names, _)| name.starts_with(names))
}

/// Whether `pattern`, which matches `name`, may attach it: `*` does not mean the runtime.
pub(super) fn may_attach(pattern: &Pattern, name: &str) -> bool {
    RUNTIME_INTERNALS
        .iter()
        .find(|(names, _)| name.starts_with(names))
        .is_none_or(|(_, stem)| pattern.literal_prefix().starts_with(stem))
}

/// Knows the functions of a program's own module by their names.
struct MainModule {
    /// Of the package at the module's root, with the dot that ends a package's name.
    root_package: Option<String>,
    /// Of the packages below.
    sub_packages: Option<String>,
}

impl MainModule {
    fn new(path: Option<&str>) -> Self {
        Self {
            root_package: path.map(|path| mangle_package_path(path) + "."),
            sub_packages: path.map(|path| mangle_folder(path) + "/"),
        }
    }

    fn contains(&self, name: &str) -> bool {
        let begins = |prefix: &Option<String>| {
            prefix
                .as_ref()
                .is_some_and(|prefix| name.starts_with(prefix.as_str()))
        };
        name.starts_with("main.") || begins(&self.root_package) || begins(&self.sub_packages)
    }
}

/// How the compiler spells a package path in function names
/// (Go: cmd/internal/objabi, `PathToPrefix`): the last element's dots are escaped as well.
fn mangle_package_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, last)) => format!("{}/{}", mangle_folder(folder), mangle(last, true)),
        None => mangle(path, true),
    }
}

/// The same for elements that are not the last.
fn mangle_folder(path: &str) -> String {
    mangle(path, false)
}

fn mangle(text: &str, escape_dots: bool) -> String {
    let mut mangled = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0..=b' ' | b'%' | b'"' | 0x7f.. => mangled.push_str(&format!("%{byte:02x}")),
            b'.' if escape_dots => mangled.push_str("%2e"),
            _ => mangled.push(char::from(byte)),
        }
    }
    mangled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::{FunctionFlags, VirtualAddress};

    fn function(name: &str, flags: u8) -> Function<'_> {
        Function {
            index: 0,
            name,
            start: VirtualAddress(0x1000),
            end: VirtualAddress(0x1010),
            flags: FunctionFlags(flags),
            function_id: 0,
            is_wrapper: false,
            deferreturn: 0,
        }
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().copied().map(Pattern::new).collect()
    }

    fn choose(selection: &Selection, name: &str) -> Choice {
        Chooser::new(selection, None).choose(&function(name, 0), Names::plain(name))
    }

    const TARGET: Choice = Choice::Attach { is_target: true };
    const SHOWN: Choice = Choice::Attach { is_target: false };

    #[test]
    fn targets_need_no_wildcard_and_wildcards_are_no_targets() {
        let selection = Selection {
            wildcards: patterns(&["net/http*"]),
            targets: patterns(&["*handleBar"]),
            ..Selection::default()
        };
        assert_eq!(choose(&selection, "main.handleBar"), TARGET);
        assert_eq!(choose(&selection, "net/http.Get"), SHOWN);
        assert_eq!(choose(&selection, "net/http.handleBar"), TARGET);
        assert_eq!(choose(&selection, "main.main"), Choice::NotWanted);
    }

    #[test]
    fn without_targets_everything_shown_starts_a_tree() {
        let selection = Selection {
            wildcards: patterns(&["net/http*", "main.*"]),
            ..Selection::default()
        };
        assert_eq!(choose(&selection, "net/http.Get"), TARGET);
        assert_eq!(choose(&selection, "main.main"), TARGET);
        assert_eq!(choose(&selection, "os.Open"), Choice::NotWanted);
    }

    #[test]
    fn without_patterns_the_main_module_is_meant() {
        let selection = Selection::default();
        let choose = |module, name| {
            Chooser::new(&selection, module).choose(&function(name, 0), Names::plain(name))
        };
        let module = Some("example.com/foo.v2");
        for name in [
            "main.main",
            "main.(*T).M",
            "example.com/foo%2ev2.F",
            "example.com/foo.v2/bar.F",
            "example.com/foo.v2/internal/bar%2ebaz.F",
        ] {
            assert_eq!(choose(module, name), TARGET, "{name}");
        }
        for name in [
            "example.com/foo.v2.F",
            "example.com/foo.v20/bar.F",
            "example.com/foo%2ev20.F",
            "fmt.Println",
            "runtime.main",
            "type:.eq.main.T",
        ] {
            assert_eq!(choose(module, name), Choice::NotWanted, "{name}");
        }
        assert_eq!(choose(None, "main.main"), TARGET);
        assert_eq!(choose(None, "example.com/foo.F"), Choice::NotWanted);
        assert_eq!(choose(Some("hello"), "hello/log.Debug"), TARGET);
        assert_eq!(choose(Some("hello"), "hellofriend.F"), Choice::NotWanted);
    }

    #[test]
    fn exclusion_beats_targets() {
        let selection = Selection {
            wildcards: patterns(&["a/*"]),
            targets: patterns(&["a/b.F", "a/vendor/c.F"]),
            excludes: patterns(&["*.F"]),
            exclude_vendor: true,
        };
        assert_eq!(
            choose(&selection, "a/b.F"),
            Choice::Skip(SkipReason::Excluded)
        );
        assert_eq!(
            choose(&selection, "a/vendor/c.G"),
            Choice::Skip(SkipReason::Vendored)
        );
        assert_eq!(choose(&selection, "a/b.G"), SHOWN);
        let with_vendor = Selection {
            exclude_vendor: false,
            ..selection
        };
        assert_eq!(choose(&with_vendor, "a/vendor/c.G"), SHOWN);
    }

    #[test]
    fn the_runtime_must_be_named() {
        let inside = |pattern: &str, name: &str| {
            let selection = Selection {
                wildcards: patterns(&[pattern]),
                ..Selection::default()
            };
            choose(&selection, name)
        };
        let skip = Choice::Skip(SkipReason::RuntimeInternal);
        assert_eq!(inside("*", "runtime.mallocgc"), skip);
        assert_eq!(inside("r*", "runtime.mallocgc"), skip);
        assert_eq!(inside("*mallocgc", "runtime.mallocgc"), skip);
        assert_eq!(inside("i*", "internal/abi.NoEscape"), skip);
        assert_eq!(inside("internal/*", "internal/runtime/maps.f"), skip);
        assert_eq!(inside("runt*", "runtime/internal/sys.f"), skip);
        assert_eq!(inside("runtime.*", "runtime.mallocgc"), TARGET);
        assert_eq!(inside("runtime.mallocgc", "runtime.mallocgc"), TARGET);
        assert_eq!(
            inside("internal/runtime/maps*", "internal/runtime/maps.f"),
            TARGET
        );
        assert_eq!(inside("internal/abi*", "internal/abi.NoEscape"), TARGET);
        assert_eq!(inside("*", "runtime/debug.Stack"), TARGET);
        assert_eq!(inside("r*", "runtime/pprof.StartCPUProfile"), TARGET);
    }

    #[test]
    fn a_wildcard_that_names_the_runtime_does_not_make_every_target_reach_it() {
        let selection = Selection {
            wildcards: patterns(&["runtime.*"]),
            targets: patterns(&["*mallocgc"]),
            ..Selection::default()
        };
        assert_eq!(choose(&selection, "runtime.mallocgc"), SHOWN);
    }

    #[test]
    fn flags_and_names_that_forbid_probes() {
        let selection = Selection {
            wildcards: patterns(&["*", "runtime.*"]),
            ..Selection::default()
        };
        let choose = |name, flags| {
            Chooser::new(&selection, None).choose(&function(name, flags), Names::plain(name))
        };
        assert_eq!(choose("math.f", 4), Choice::Skip(SkipReason::Assembly));
        assert_eq!(
            choose("math.f", 2),
            Choice::Skip(SkipReason::WritesStackPointer)
        );
        assert_eq!(choose("math.f", 1), Choice::Skip(SkipReason::TopFrame));
        assert_eq!(choose("memcpy", 0), Choice::Skip(SkipReason::NotGo));
        assert_eq!(
            choose("runtime.goexit1", 0),
            Choice::Skip(SkipReason::Watched)
        );
    }
}
