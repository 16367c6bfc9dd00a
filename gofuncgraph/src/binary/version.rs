//! What depends on the Go release: one table, and which of its rows is used.
//!
//! # When a new Go release comes out
//!
//! 1. Build a program with it and run the tests of this folder and
//!    `tests/binary_variants.rs` with the release added to their lists.
//! 2. In src/runtime/runtime2.go compare `g` up to `goid` and `m` up to `curg` with the release
//!    before; in src/internal/abi/symtab.go compare the list of `FuncID`. If `goid`, `curg` or
//!    `FuncIDWrapper` moved, add a row to [`ROWS`]; it counts from that release on.
//! 3. In src/internal/abi/symtab.go see that `CurrentPCLnTabMagic` is still 0xfffffff1 (else the
//!    new layout goes into `SHAPES` of `table_layout.rs`); in
//!    src/runtime see that `pcHeader`, `_func` and the first 24 words of `moduledata` are as
//!    `pclntab.rs` and `moduledata.rs` read them.
//! 4. In src/runtime/symtab.go count the words of `moduledata` up to `gofunc`: if it moved, add a
//!    row to [`FUNCTION_DATA_BASES`]. In src/runtime/symtabinl.go see that `inlinedCall` is as
//!    `inline_tree.rs` reads it, and in src/internal/abi/symtab.go that `PCDATA_InlTreeIndex` is
//!    2 and `FUNCDATA_InlTree` 3.
//! 5. Raise [`NEWEST_MINOR`], go through the list in docs/SUPPORT.md, and run the tests: they compare the table with the code of the
//!    runtime (`runtime_code.rs`) for every release.

use std::ops::RangeInclusive;

use super::RuntimeOffsets;
use super::inline_tree::NodeLayout;
use super::runtime_code::ObservedRuntime;

/// Oldest supported release: Go 1.17, the first one that has the goroutine in a register.
const OLDEST_MINOR: u32 = 17;
/// Newest release that the table was checked with: Go 1.27.
const NEWEST_MINOR: u32 = 27;

/// What holds from one release to the next row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    first_minor: u32,
    offsets: RuntimeOffsets,
    /// `FuncIDWrapper`.
    wrapper_id: u8,
}

/// In the order of releases (Go: src/runtime/runtime2.go, src/internal/abi/symtab.go; amd64).
const ROWS: [Row; 5] = [
    row(17, 152, 192, 22),
    row(18, 152, 192, 21),
    row(22, 152, 192, 22),
    row(23, 160, 192, 22),
    row(25, 152, 184, 23),
];

/// From which release on which 8-byte word of `moduledata` is `gofunc`, what offsets of
/// funcdata count from (Go: src/runtime/symtab.go).
const FUNCTION_DATA_BASES: [(u32, u64); 3] = [(18, 38), (20, 40), (27, 43)];
/// First release whose inline trees have lines of functions instead of their files.
const FIRST_MINOR_WITH_START_LINES: u32 = 20;

const fn row(first_minor: u32, goid: u32, curg: u32, wrapper_id: u8) -> Row {
    Row {
        first_minor,
        offsets: RuntimeOffsets { goid, curg },
        wrapper_id,
    }
}

/// What tells something about the release beside its version and its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileEvidence {
    /// Minor versions of the releases that write such a function table.
    pub(super) table_of: RangeInclusive<u32>,
    /// There are sections at all.
    pub(super) has_sections: bool,
    /// `.go.module`, since Go 1.26.
    pub(super) has_go_module: bool,
    /// `.go.type` or `.data.rel.ro.go.type`, since Go 1.27 with Go's own linker.
    pub(super) has_go_type: bool,
}

/// What holds for one executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// As the file has it, or a range of releases.
    pub(super) version: String,
    pub(super) offsets: RuntimeOffsets,
    pub(super) wrapper_id: u8,
    pub(super) warnings: Vec<String>,
    /// Which word of `moduledata` is `gofunc`; not checked here.
    pub(super) function_data_base: u64,
    pub(super) inline_nodes: NodeLayout,
}

/// For instance `Go 1.17 to Go 1.27`.
pub(super) fn supported_range() -> String {
    format!("Go 1.{OLDEST_MINOR} to Go 1.{NEWEST_MINOR}")
}

/// For instance `Go 1.27`.
pub(super) fn newest_release() -> String {
    format!("Go 1.{NEWEST_MINOR}")
}

/// Whether `version` names a release before the oldest supported one.
pub(super) fn is_too_old(version: &str) -> bool {
    minor(version).is_some_and(|minor| minor < OLDEST_MINOR)
}

/// Whether `text` could be what `runtime.Version` returns.
pub(super) fn looks_like_version(text: &str) -> bool {
    minor(text).is_some() && (text.starts_with("go1.") || text.starts_with("devel"))
}

/// 26 for `go1.26`, `go1.26.8`, `go1.26rc1`, `go1.26-devel_0123abc`, `devel go1.26-0123abc`.
fn minor(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("go1.")?;
    let digits = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}

/// Chooses the row for `version` and compares it with the code. Where they differ the code
/// counts, because it is what runs, and a warning says so.
pub(super) fn resolve(
    version: Option<&str>,
    observed: ObservedRuntime,
    evidence: FileEvidence,
) -> Resolved {
    let mut warnings = Vec::new();
    let known = version.and_then(|version| Some((version, minor(version)?)));
    let (version, minor) = match (known, version) {
        (Some((version, minor)), _) => {
            warnings.extend(unchecked_release(version, minor));
            (version.to_owned(), minor)
        }
        (None, text) => {
            let (version, minor) = guess(observed, &evidence);
            let reason = match text {
                Some(text) => format!("the Go version {text:?} of the file is not known"),
                None => "the file does not tell its Go version".to_owned(),
            };
            warnings.push(format!(
                "{reason}; by its function table and code it is taken for {version}"
            ));
            (version, minor)
        }
    };
    let row = row_of(minor);
    let mut corrected = |name: &str, table: u32, code: Option<u32>| match code {
        Some(code) if code != table => {
            warnings.push(format!(
                "{name} is {table} in the table for {version}, but {code} in the program's code: the code's is used"
            ));
            code
        }
        _ => table,
    };
    let offsets = RuntimeOffsets {
        goid: corrected("offset of runtime.g.goid", row.offsets.goid, observed.goid),
        curg: corrected("offset of runtime.m.curg", row.offsets.curg, observed.curg),
    };
    let wrapper_id = corrected(
        "funcID of wrappers",
        row.wrapper_id.into(),
        observed.wrapper_id.map(u32::from),
    );
    Resolved {
        version,
        offsets,
        wrapper_id: u8::try_from(wrapper_id).unwrap_or(row.wrapper_id),
        warnings,
        function_data_base: FUNCTION_DATA_BASES
            .into_iter()
            .rfind(|(first_minor, _)| *first_minor <= minor)
            .map_or(FUNCTION_DATA_BASES[0].1, |(_, word)| word),
        inline_nodes: if minor < FIRST_MINOR_WITH_START_LINES {
            NodeLayout::WithFiles
        } else {
            NodeLayout::WithStartLines
        },
    }
}

/// Every word of `moduledata` that has been `gofunc`.
pub(super) fn function_data_bases() -> impl Iterator<Item = u64> {
    FUNCTION_DATA_BASES.into_iter().map(|(_, word)| word)
}

fn unchecked_release(version: &str, minor: u32) -> Option<String> {
    if minor > NEWEST_MINOR {
        return Some(format!(
            "{version} is newer than {}, the newest release this program knows; its offsets are used, checked against the program's code",
            newest_release()
        ));
    }
    version.contains("devel").then(|| {
        format!(
            "{version} is a development version; the offsets of go1.{minor} are used, checked against the program's code"
        )
    })
}

/// The newest row that is not for later releases than `minor`.
fn row_of(minor: u32) -> Row {
    let [oldest, ..] = ROWS;
    ROWS.into_iter()
        .rev()
        .find(|row| row.first_minor <= minor)
        .unwrap_or(oldest)
}

/// The releases that the code and the sections allow, in words, and one of them.
fn guess(observed: ObservedRuntime, evidence: &FileEvidence) -> (String, u32) {
    let fits = |minor: u32| {
        let row = row_of(minor);
        let agrees = observed.goid.is_none_or(|goid| goid == row.offsets.goid)
            && observed.curg.is_none_or(|curg| curg == row.offsets.curg)
            && observed.wrapper_id.is_none_or(|id| id == row.wrapper_id);
        let sections = match evidence {
            FileEvidence {
                has_go_type: true, ..
            } => minor >= 27,
            FileEvidence {
                has_go_module: true,
                ..
            } => minor >= 26,
            FileEvidence {
                has_sections: true, ..
            } => minor <= 25,
            _ => true,
        };
        agrees && sections && evidence.table_of.contains(&minor)
    };
    let candidates: Vec<u32> = (OLDEST_MINOR..=NEWEST_MINOR)
        .filter(|minor| fits(*minor))
        .collect();
    let first = candidates.first().copied().unwrap_or(NEWEST_MINOR);
    let last = candidates.last().copied().unwrap_or(NEWEST_MINOR);
    let words = match (first, last) {
        (first, NEWEST_MINOR) => format!("go1.{first} or newer"),
        (first, last) if first == last => format!("go1.{first}"),
        (first, last) => format!("go1.{first} to go1.{last}"),
    };
    (words, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE_OF_1_26: ObservedRuntime = ObservedRuntime {
        goid: Some(152),
        curg: Some(184),
        wrapper_id: Some(23),
    };

    impl Default for FileEvidence {
        /// Nothing but a table of the newest layout.
        fn default() -> Self {
            Self {
                table_of: 20..=u32::MAX,
                has_sections: false,
                has_go_module: false,
                has_go_type: false,
            }
        }
    }

    fn offsets(goid: u32, curg: u32) -> RuntimeOffsets {
        RuntimeOffsets { goid, curg }
    }

    #[test]
    fn versions_are_understood() {
        for (text, expected) in [
            ("go1.26", Some(26)),
            ("go1.26.8", Some(26)),
            ("go1.27rc1", Some(27)),
            ("go1.26.8 X:nodwarf5", Some(26)),
            ("go1.28-devel_0123abc Mon Jan 1", Some(28)),
            ("devel go1.28-0123abc Mon Jan 1", Some(28)),
            ("unknown", None),
            ("go1.", None),
            ("go1.99999999999999", None),
        ] {
            assert_eq!(minor(text), expected, "{text}");
        }
        assert!(is_too_old("go1.16.15"));
        assert!(!is_too_old("go1.17.0"));
        assert!(!is_too_old("unknown"));
        assert!(!looks_like_version("built with go1.21"));
    }

    #[test]
    fn every_release_has_its_row() {
        let rows = (17..=29).map(|minor| {
            let row = row_of(minor);
            (row.offsets.goid, row.offsets.curg, row.wrapper_id)
        });
        let expected = [
            (152, 192, 22),
            (152, 192, 21),
            (152, 192, 21),
            (152, 192, 21),
            (152, 192, 21),
            (152, 192, 22),
            (160, 192, 22),
            (160, 192, 22),
            (152, 184, 23),
            (152, 184, 23),
            (152, 184, 23),
            (152, 184, 23),
            (152, 184, 23),
        ];
        assert!(rows.eq(expected));
    }

    #[test]
    fn a_release_that_agrees_with_its_code_needs_no_warning() {
        let resolved = resolve(Some("go1.26.8"), CODE_OF_1_26, FileEvidence::default());
        assert_eq!(resolved.version, "go1.26.8");
        assert_eq!(resolved.offsets, offsets(152, 184));
        assert_eq!(resolved.wrapper_id, 23);
        assert_eq!(resolved.warnings, [""; 0]);
        let unseen = ObservedRuntime::default();
        let resolved = resolve(Some("go1.23.1"), unseen, FileEvidence::default());
        assert_eq!(resolved.offsets, offsets(160, 192));
        assert_eq!(resolved.warnings, [""; 0]);
    }

    #[test]
    fn the_code_counts_where_it_differs() {
        let observed = ObservedRuntime {
            goid: Some(168),
            ..CODE_OF_1_26
        };
        let resolved = resolve(Some("go1.26.8"), observed, FileEvidence::default());
        assert_eq!(resolved.offsets, offsets(168, 184));
        let [warning] = resolved.warnings.as_slice() else {
            panic!("one warning: {:?}", resolved.warnings);
        };
        assert!(warning.contains("goid is 152 in the table for go1.26.8, but 168"));
    }

    #[test]
    fn unchecked_releases_are_named() {
        let warnings =
            |version| resolve(Some(version), CODE_OF_1_26, FileEvidence::default()).warnings;
        assert!(warnings("go1.31.2")[0].contains("newer than Go 1.27"));
        assert!(warnings("devel go1.28-abcdef")[0].contains("newer than Go 1.27"));
        assert!(warnings("go1.26-devel_abcdef")[0].contains("development version"));
        assert!(warnings("gccgo 14")[0].contains("\"gccgo 14\" of the file is not known"));
    }

    #[test]
    fn releases_are_told_apart_without_a_version() {
        let sections = FileEvidence {
            has_sections: true,
            ..FileEvidence::default()
        };
        let module = FileEvidence {
            has_go_module: true,
            ..sections.clone()
        };
        let types = FileEvidence {
            has_go_type: true,
            ..module.clone()
        };
        let table_of = |table_of| FileEvidence {
            table_of,
            ..sections.clone()
        };
        let observed = |goid, curg, wrapper_id| ObservedRuntime {
            goid: Some(goid),
            curg: Some(curg),
            wrapper_id: Some(wrapper_id),
        };
        for (observed, evidence, version, expected) in [
            (
                observed(152, 192, 22),
                table_of(16..=17),
                "go1.17",
                (152, 192, 22),
            ),
            (
                observed(152, 192, 21),
                table_of(18..=19),
                "go1.18 to go1.19",
                (152, 192, 21),
            ),
            (
                observed(152, 192, 21),
                sections.clone(),
                "go1.20 to go1.21",
                (152, 192, 21),
            ),
            (
                observed(152, 192, 22),
                sections.clone(),
                "go1.22",
                (152, 192, 22),
            ),
            (
                observed(160, 192, 22),
                sections.clone(),
                "go1.23 to go1.24",
                (160, 192, 22),
            ),
            (CODE_OF_1_26, sections, "go1.25", (152, 184, 23)),
            (CODE_OF_1_26, module, "go1.26 or newer", (152, 184, 23)),
            (CODE_OF_1_26, types, "go1.27 or newer", (152, 184, 23)),
            (
                CODE_OF_1_26,
                FileEvidence::default(),
                "go1.25 or newer",
                (152, 184, 23),
            ),
            (
                ObservedRuntime::default(),
                FileEvidence::default(),
                "go1.20 or newer",
                (152, 184, 23),
            ),
        ] {
            let resolved = resolve(None, observed, evidence);
            assert_eq!(resolved.version, version);
            let (goid, curg, wrapper_id) = expected;
            assert_eq!(resolved.offsets, offsets(goid, curg));
            assert_eq!(resolved.wrapper_id, wrapper_id);
            assert_eq!(resolved.warnings.len(), 1, "{:?}", resolved.warnings);
        }
    }
}
