//! What a selection does not see because the compiler inlined it.

use std::fmt;

use super::selection::{Chooser, Selection, may_attach};
use super::{Pattern, PlanWarning, PlannedFunction, wrapper};
use crate::binary::{
    Function, GoBinary, InlinedCalls, InlinedFunction, SourceLine, package_of, readable_name,
};

/// Functions that are named of those that have copies of another in their code.
const HOSTS_TO_NAME: usize = 3;
/// Inlined functions that are named if a pattern matches several.
const FUNCTIONS_TO_NAME: usize = 3;

/// A function whose calls are not all seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlined {
    /// Full Go name.
    pub name: String,
    /// Calls that were not inlined are seen.
    pub has_code: bool,
    /// Calls that were replaced by the function's code, at least.
    pub copies: u32,
    /// The first functions whose code has the copies.
    pub hosts: Vec<String>,
    /// Number of functions whose code has copies.
    pub host_count: usize,
    /// The command that builds the program without the copies.
    pub rebuild: String,
}

impl Inlined {
    fn new(function: &InlinedFunction<'_>, binary: &GoBinary<'_>) -> Self {
        let hosts = function
            .hosts
            .iter()
            .filter_map(|(host, _)| binary.function(*host).ok())
            .map(|host| readable_name(host.name).into_owned());
        Self {
            name: readable_name(function.name).into_owned(),
            has_code: function.has_code,
            copies: function.copies,
            hosts: hosts.take(HOSTS_TO_NAME).collect(),
            host_count: function.hosts.len(),
            rebuild: rebuild_command(function.name, binary.main_package()),
        }
    }

    /// What an error says of a function without code.
    pub(super) fn write_why_not_traced(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' was inlined everywhere, ", self.name)?;
        self.write_places(f)?;
        f.write_str(
            ", and has no code of its own to attach to; trace one of these functions instead, or ",
        )?;
        self.write_remedy(f)
    }

    fn write_places(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, in {}", at_least(self.copies), self.hosts.join(", "))?;
        match self.host_count.saturating_sub(self.hosts.len()) {
            0 => Ok(()),
            others => write!(f, " and {others} more"),
        }
    }

    fn write_remedy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "build with {} (or write //go:noinline above the function)",
            self.rebuild
        )
    }
}

/// A function that was chosen, but some of whose calls are not seen.
impl fmt::Display for Inlined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_code {
            write!(f, "some calls of '{}' are not seen: inlined ", self.name)?;
        } else {
            write!(
                f,
                "calls of '{}' are not seen: inlined everywhere, ",
                self.name
            )?;
        }
        self.write_places(f)?;
        f.write_str("; to see them, ")?;
        self.write_remedy(f)
    }
}

/// What several patterns do not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InlinedTotals {
    /// Chosen functions that have no code of their own.
    pub without_code: usize,
    /// Chosen functions that have code and were inlined as well.
    pub with_code: usize,
    /// Calls that were replaced by their code.
    pub copies: u64,
}

impl InlinedTotals {
    /// What can be done about it.
    pub(super) fn details(&self) -> String {
        format!(
            "{} of them have no code of their own. `gofuncgraph list` names them; \
             `go build -gcflags=all=-l` inlines nothing",
            self.without_code,
        )
    }
}

impl fmt::Display for InlinedTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "calls of {} that patterns match are not seen where inlined: {}",
            functions(self.without_code + self.with_code),
            at_least(u32::try_from(self.copies).unwrap_or(u32::MAX)),
        )
    }
}

/// For instance `at least 2 times`: copies that left no instruction of their own, because these
/// were merged with others or computed by the compiler, are in no table.
pub fn at_least(copies: u32) -> String {
    match copies {
        1 => "at least once".to_owned(),
        copies => format!("at least {copies} times"),
    }
}

/// For instance `1 function`.
pub(super) fn functions(count: usize) -> String {
    format!(
        "{count} {}",
        if count == 1 { "function" } else { "functions" }
    )
}

/// How to build the program so that `function` has all its calls: `-l` keeps the functions of the
/// packages that it is for from being inlined anywhere. A generic function's code is made where it
/// is used, so that it takes all packages.
fn rebuild_command(function: &str, main_package: Option<&str>) -> String {
    let package = package_of(function);
    let flag = if function.contains('[') {
        "-gcflags=all=-l".to_owned()
    } else if package == "main" || main_package.is_some_and(|main| main == package) {
        "-gcflags=-l".to_owned()
    } else {
        format!("-gcflags='{package}=-l'")
    };
    format!("`go build {flag} {}`", main_package.unwrap_or("PACKAGE"))
}

/// What is known of inlining while a plan is made.
pub(super) struct Inlining<'a> {
    binary: &'a GoBinary<'a>,
    calls: InlinedCalls<'a>,
    problem: Option<String>,
}

impl<'a> Inlining<'a> {
    pub(super) fn read(binary: &'a GoBinary<'a>) -> Self {
        let (calls, problem) = match binary.inlined_calls() {
            Ok(calls) => (calls, None),
            Err(error) => (InlinedCalls::default(), Some(error.to_string())),
        };
        let problem = problem.or_else(|| match calls.unreadable() {
            0 => None,
            damaged => Some(format!(
                "what was inlined into {} cannot be read from the file",
                functions(damaged)
            )),
        });
        Self {
            binary,
            calls,
            problem,
        }
    }

    /// Whether `function` is a wrapper that calls what it wraps.
    pub(super) fn forwards(&self, function: &Function<'_>) -> bool {
        wrapper::forwards(self.binary, function, &self.calls)
    }

    /// Functions that exist only inlined.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + Clone + '_ {
        let functions = self.calls.functions().iter();
        functions.filter(|it| !it.has_code).map(|it| it.name)
    }

    /// The same with where they are declared.
    pub(super) fn declarations(&self) -> impl Iterator<Item = (SourceLine<'a>, &'a str)> + '_ {
        let functions = self.calls.functions().iter();
        functions
            .filter(|it| !it.has_code)
            .filter_map(|it| Some((it.declaration?, it.name)))
    }

    /// The first functions without code that `pattern` means, and their number.
    pub(super) fn without_code(&self, pattern: &Pattern) -> (Vec<Inlined>, usize) {
        let functions = self.calls.functions().iter();
        let matching: Vec<_> = functions
            .filter(|it| !it.has_code)
            .filter(|it| pattern.matches(it.name) && may_attach(pattern, it.name))
            .collect();
        let named = matching.iter().take(FUNCTIONS_TO_NAME);
        let named = named.map(|it| Inlined::new(it, self.binary)).collect();
        (named, matching.len())
    }

    /// A warning for each function that was chosen by name or by a target that matches few, and
    /// one for all others together.
    pub(super) fn warnings(
        &self,
        selection: &Selection,
        chooser: &Chooser<'_>,
        attached: &[PlannedFunction],
    ) -> Vec<PlanWarning> {
        let mut warnings: Vec<_> = self
            .problem
            .iter()
            .map(|problem| PlanWarning::InliningUnknown(problem.clone()))
            .collect();
        let is_attached: std::collections::HashSet<&str> = attached
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        let chosen: Vec<_> = self
            .calls
            .functions()
            .iter()
            .filter(|it| chooser.wants_name(it.name))
            .filter(|it| !it.has_code || is_attached.contains(it.name))
            .collect();
        let is_narrow = |pattern: &Pattern, is_target: bool| {
            pattern.is_name()
                || is_target
                    && chosen.iter().filter(|it| pattern.matches(it.name)).count()
                        <= FUNCTIONS_TO_NAME
        };
        let narrow: Vec<&Pattern> = selection
            .targets
            .iter()
            .filter(|pattern| is_narrow(pattern, true))
            .chain(
                selection
                    .wildcards
                    .iter()
                    .filter(|pattern| is_narrow(pattern, false)),
            )
            .collect();
        let mut totals = InlinedTotals::default();
        for function in chosen {
            if narrow.iter().any(|pattern| pattern.matches(function.name)) {
                let inlined = Inlined::new(function, self.binary);
                warnings.push(PlanWarning::Inlined(inlined));
                continue;
            }
            if function.has_code {
                totals.with_code += 1;
            } else {
                totals.without_code += 1;
            }
            totals.copies += u64::from(function.copies);
        }
        if totals != InlinedTotals::default() {
            warnings.push(PlanWarning::SomeInlined(totals));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_to_build_without_the_copies() {
        let main = Some("example.com/a/cmd");
        for (function, main, expected) in [
            ("main.f", main, "`go build -gcflags=-l example.com/a/cmd`"),
            ("main.(*T).f", None, "`go build -gcflags=-l PACKAGE`"),
            (
                "gopkg.in/yaml%2ev3.f",
                main,
                "`go build -gcflags='gopkg.in/yaml.v3=-l' example.com/a/cmd`",
            ),
            (
                "slices.Max[go.shape.int]",
                main,
                "`go build -gcflags=all=-l example.com/a/cmd`",
            ),
        ] {
            assert_eq!(rebuild_command(function, main), expected);
        }
    }

    #[test]
    fn what_is_said_of_inlined_functions() {
        let inlined = Inlined {
            name: "main.f".to_owned(),
            has_code: true,
            copies: 7,
            hosts: vec!["main.a".to_owned(), "main.b".to_owned()],
            host_count: 5,
            rebuild: "`go build -gcflags=-l x`".to_owned(),
        };
        assert_eq!(
            inlined.to_string(),
            "some calls of 'main.f' are not seen: inlined at least 7 times, in main.a, main.b and \
             3 more; to see them, build with `go build -gcflags=-l x` (or write //go:noinline above \
             the function)"
        );
        let totals = InlinedTotals {
            without_code: 1,
            with_code: 2,
            copies: 30,
        };
        assert_eq!(
            totals.to_string(),
            "calls of 3 functions that patterns match are not seen where inlined: at least 30 times"
        );
        assert_eq!(
            totals.details(),
            "1 of them have no code of their own. `gofuncgraph list` names them; \
             `go build -gcflags=all=-l` inlines nothing"
        );
    }
}
