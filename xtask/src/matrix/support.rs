//! docs/SUPPORT.md: what is written there by the command, between two marks.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::modes::MODES;
use super::{RELEASES, Row};
use crate::figures::machine;
use crate::process::Run;
use crate::workspace;

const BEGIN: &str = "<!-- matrix -->\n";
const END: &str = "<!-- /matrix -->\n";

/// Replaces what stands between the marks.
pub fn write(rows: &[Row]) -> Result<()> {
    let path = workspace::root()?.join("docs/SUPPORT.md");
    let old =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let kernel = Run::new("uname").arg("-r").read()?;
    let new = replaced(
        &old,
        BEGIN,
        END,
        &text(rows, &machine::describe()?, &kernel),
    )
    .with_context(|| format!("{} has lost its marks", path.display()))?;
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

/// `old` with `text` between the two marks, which it has to have.
pub fn replaced(old: &str, begin: &str, end: &str, text: &str) -> Option<String> {
    let (before, rest) = old.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

fn text(rows: &[Row], machine: &str, kernel: &str) -> String {
    let mut out = format!("`cargo xtask matrix` on {machine}.\n\n");
    let result = |mode: &str, release: &str| {
        let row = rows
            .iter()
            .find(|row| row.mode == mode && row.release == release);
        row.map_or("–", |row| row.result.word())
    };
    let put = |out: &mut String, cells: Vec<String>| {
        // Strings can be written to.
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    let heads = RELEASES.map(|release| release.trim_start_matches("go").to_owned());
    put(
        &mut out,
        [vec!["build".to_owned()], heads.to_vec()].concat(),
    );
    put(&mut out, vec!["---".to_owned(); RELEASES.len() + 1]);
    for mode in MODES {
        let cells = RELEASES.map(|release| result(mode.name, release).to_owned());
        put(
            &mut out,
            [vec![mode.name.to_owned()], cells.to_vec()].concat(),
        );
    }
    out.push_str("\n| build | how | Go | kernel | result | remarks |\n|---|---|---|---|---|---|\n");
    for mode in MODES {
        for row in rows.iter().filter(|row| row.mode == mode.name) {
            put(
                &mut out,
                vec![
                    row.mode.to_owned(),
                    mode.recipe.to_owned(),
                    row.release.to_owned(),
                    kernel.to_owned(),
                    row.result.word().to_owned(),
                    row.result.remark(),
                ],
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let old = "a\n<!-- matrix -->\nold\n<!-- /matrix -->\nb\n";
        let new = replaced(old, BEGIN, END, "new\n").unwrap();
        assert_eq!(new, "a\n<!-- matrix -->\nnew\n<!-- /matrix -->\nb\n");
        assert_eq!(replaced("a", BEGIN, END, "new\n"), None);
    }

    #[test]
    fn every_row_is_there() {
        let rows = [Row {
            mode: "pie",
            release: "go1.24.9",
            result: Outcome::Exact("7 calls of 2 functions".to_owned()),
        }];
        let text = text(&rows, "a machine", "6.18");
        assert!(text.contains(
            "| pie | `-buildmode=pie` | go1.24.9 | 6.18 | exact | 7 calls of 2 functions |\n"
        ));
        assert!(text.contains("| plain | – | – |"));
    }
}
