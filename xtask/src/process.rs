//! Running other programs: each command is printed first, and a failure names it and what to do.

use std::borrow::Cow;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Variables that would leak one toolchain's settings into another one's build.
const TOOLCHAIN_VARIABLES: [&str; 9] = [
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "RUST_RECURSION_COUNT",
    "LD_LIBRARY_PATH",
];

/// Settings of cargo that say where things come from rather than how they are built.
const KEPT_CARGO_PREFIXES: [&str; 5] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
];

/// A command to run, with a sentence about what to do should it fail.
pub struct Run {
    command: Command,
    hint: Option<String>,
}

impl Run {
    /// A command without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
            hint: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of the environment.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs in this folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What the reader of a failure should do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Removes what the cargo and rustup that run us have put into the environment, so that
    /// another toolchain starts from its own defaults.
    pub fn without_toolchain_variables(mut self) -> Self {
        for name in TOOLCHAIN_VARIABLES {
            self.command.env_remove(name);
        }
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let kept = KEPT_CARGO_PREFIXES
                .iter()
                .any(|kept| text.starts_with(kept));
            if text.starts_with("CARGO_") && !kept {
                self.command.env_remove(&name);
            }
        }
        self.command.env_remove("CARGO");
        self
    }

    /// Prints the command, runs it with nothing on its standard input, and fails if it fails.
    pub fn run(mut self) -> Result<()> {
        eprintln!("$ {}", self.line());
        let status = self
            .command
            .stdin(Stdio::null())
            .status()
            .with_context(|| self.cannot_start())?;
        self.check(status, "")
    }

    /// Runs the command silently and returns its standard output without the last line end.
    pub fn read(mut self) -> Result<String> {
        let output = self.output()?;
        self.check(output.status, &String::from_utf8_lossy(&output.stderr))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.trim_end().to_owned())
    }

    /// Runs the command silently; true if it could be started and succeeded.
    pub fn succeeds(mut self) -> bool {
        self.output().is_ok_and(|output| output.status.success())
    }

    /// The command as one would type it.
    pub fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        shell_line(words)
    }

    /// The command itself, for callers that talk to it while it runs.
    pub fn into_command(self) -> Command {
        self.command
    }

    fn output(&mut self) -> Result<Output> {
        self.command
            .stdin(Stdio::null())
            .output()
            .with_context(|| self.cannot_start())
    }

    fn cannot_start(&self) -> String {
        let hint = self.hint.as_deref().unwrap_or("is it installed?");
        format!("cannot start `{}`: {hint}", self.line())
    }

    fn check(&self, status: ExitStatus, stderr: &str) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let said = stderr.trim_end();
        let separator = if said.is_empty() { "" } else { "\n" };
        match &self.hint {
            Some(hint) => bail!(
                "`{}` failed ({status}): {hint}{separator}{said}",
                self.line()
            ),
            None => bail!("`{}` failed ({status}){separator}{said}", self.line()),
        }
    }
}

/// Words joined by blanks, quoted where a shell would need it.
pub fn shell_line<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    words
        .into_iter()
        .map(|word| quote(&word.to_string_lossy()).into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn quote(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// True if this process has root's rights.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes sure that a later `sudo -n` is not refused; does nothing for root.
///
/// Only a person at a terminal is asked for a password.
pub fn prepare_sudo() -> Result<()> {
    if is_root() || Run::new("sudo").args(["-n", "true"]).succeeds() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "tracing needs root and sudo asks for a password: run this as root, \
             at a terminal, or where sudo needs no password"
        );
    }
    eprintln!("$ sudo -v");
    let status = Command::new("sudo")
        .arg("-v")
        .status()
        .context("cannot start `sudo`: run this as root")?;
    if !status.success() {
        bail!("`sudo -v` failed ({status}): run this as root");
    }
    Ok(())
}

/// `program`, run through sudo unless we are root already.
pub fn as_root(program: impl AsRef<OsStr>) -> Run {
    if is_root() {
        Run::new(program)
    } else {
        Run::new("sudo")
            .args([OsString::from("-n"), OsString::from("--")])
            .arg(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let run = Run::new("gofuncgraph").args(["-u", "net/http*", "./bin", "it's", ""]);
        assert_eq!(run.line(), r"gofuncgraph -u 'net/http*' ./bin 'it'\''s' ''");
    }

    #[test]
    fn a_failure_names_the_command_the_status_and_the_next_step() {
        let error = Run::new("false").hint("try `true`").run().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`false` failed (exit status: 1): try `true`"
        );
        let error = Run::new("no-such-command-here").hint("install it").run();
        assert_eq!(
            error.unwrap_err().to_string(),
            "cannot start `no-such-command-here`: install it"
        );
    }
}
