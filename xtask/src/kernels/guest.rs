//! The virtual machine: all it has is an initramfs with the tests, and what those need, where
//! they were built.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::EMULATOR;
use crate::process::Run;
use crate::workspace;

/// The tests of the package `gofuncgraph` that run in the guest.
pub const TESTS: [&str; 5] = [
    "live_oracle",
    "live_ret",
    "live_already_open",
    "live_promotion",
    "live_probes",
];

/// Commands that `init.sh` and the tests use, all of them the shell's.
const COMMANDS: [&str; 14] = [
    "basename", "cat", "cp", "grep", "kill", "mkdir", "mkfifo", "mount", "poweroff", "rm", "sh",
    "tail", "uname", "usleep",
];

/// Everything is emulated, so it takes its time.
const LONGEST_SECONDS: &str = "3600";

/// What goes into the guest.
pub struct Guest {
    /// Executables of [`TESTS`].
    pub tests: Vec<PathBuf>,
    /// The Go program that measures its calls.
    pub measured: PathBuf,
    /// An executable that is a shell and the commands.
    pub shell: PathBuf,
    /// For the initramfs and the logs.
    pub folder: PathBuf,
}

/// Builds [`TESTS`] and the tracer.
pub fn test_executables() -> Result<Vec<PathBuf>> {
    let mut build = workspace::cargo()?.args(["test", "--no-run", "--package", "gofuncgraph"]);
    for test in TESTS {
        build = build.args(["--test", test]);
    }
    let messages = build.arg("--message-format=json").read()?;
    executables_in(&messages)
}

/// The executables of test programs in what cargo says.
fn executables_in(messages: &str) -> Result<Vec<PathBuf>> {
    let mut executables = Vec::new();
    for test in TESTS {
        let executable = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|message| message["target"]["name"] == test && message["executable"].is_string())
            .and_then(|message| message["executable"].as_str().map(PathBuf::from))
            .with_context(|| format!("cargo names no executable of the test {test}"))?;
        executables.push(executable);
    }
    Ok(executables)
}

impl Guest {
    /// Writes the initramfs.
    pub fn initramfs(&self) -> Result<PathBuf> {
        let staged = self.folder.join("initramfs");
        if staged.exists() {
            fs::remove_dir_all(&staged)
                .with_context(|| format!("cannot remove {}", staged.display()))?;
        }
        let target = workspace::target_dir()?;
        let package = workspace::root()?.join("gofuncgraph");
        let tracer = target.join("debug").join("gofuncgraph");

        for folder in ["bin", "dev", "proc", "sys", "run", "tmp"] {
            fs::create_dir_all(staged.join(folder))?;
        }
        copy_file(&self.shell, &staged.join("bin/busybox"))?;
        for command in COMMANDS {
            symlink("busybox", staged.join("bin").join(command))?;
        }
        let mut files = self.tests.clone();
        files.extend([tracer.clone(), self.measured.clone()]);
        files.extend(libraries(&files)?);
        for file in &files {
            copy_file(file, &inside(&staged, file))?;
        }
        // The tests look for the programs by the hash of their sources.
        for folder in [
            target.join("tmp/go-programs"),
            package.join("tests/programs"),
        ] {
            copy_folder(&folder, &inside(&staged, &folder))?;
        }
        let tests: Vec<String> = (self.tests.iter())
            .map(|test| test.display().to_string())
            .collect();
        let head = format!(
            "#!/bin/sh\nexport PATH=/bin HOME=/run\nFOLDER='{}'\nTRACER='{}'\nMEASURED='{}'\nTESTS='{}'\n",
            package.display(),
            tracer.display(),
            self.measured.display(),
            tests.join(" ")
        );
        let init = staged.join("init");
        fs::write(&init, head + include_str!("init.sh"))?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
        self.pack(&staged)
    }

    fn pack(&self, staged: &Path) -> Result<PathBuf> {
        let archive = self.folder.join("initramfs.cpio");
        let pack = format!(
            "find . | {} cpio -o -H newc",
            self.shell.display().to_string().replace(' ', "\\ ")
        );
        let output = File::create(&archive)
            .with_context(|| format!("cannot write {}", archive.display()))?;
        let status = Run::new("sh")
            .args(["-c", &pack])
            .current_dir(staged)
            .into_command()
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("`{pack}` failed ({status})");
        }
        Ok(archive)
    }

    /// Boots `kernel`, waits until the guest has switched itself off, and gives the file with
    /// what it printed.
    pub fn boot(&self, kernel: &Path, initramfs: &Path) -> Result<PathBuf> {
        let name = kernel
            .strip_prefix(&self.folder)
            .ok()
            .and_then(|path| path.iter().next())
            .or(kernel.file_name())
            .context("a kernel is a file")?;
        let log = self.folder.join(name).with_extension("log");
        Run::new("timeout")
            .args([LONGEST_SECONDS, EMULATOR])
            // With a thread for each CPU (`thread=multi`) programs crash now and then behind an
            // instruction that the kernel single-steps. Neither real processors do that nor one
            // thread: as it looks, stale translations of the page of single steps are executed.
            .args(["-accel", "tcg,thread=single", "-cpu", "max"])
            .args(["-smp", "2", "-m", "3072", "-display", "none"])
            .args(["-monitor", "none", "-no-reboot", "-nic", "none"])
            .arg("-serial")
            .arg(format!("file:{}", log.display()))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .hint(format!("see {}", log.display()))
            .run()?;
        Ok(log)
    }
}

/// The shared libraries of `executables`, and the loader.
fn libraries(executables: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for executable in executables {
        let listing = Run::new("ldd").arg(executable);
        // It fails for a program without any.
        let Ok(listing) = listing.read() else {
            continue;
        };
        libraries.extend(libraries_in(&listing).map(PathBuf::from));
    }
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

/// The paths in the output of `ldd`.
fn libraries_in(listing: &str) -> impl Iterator<Item = &str> {
    listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
}

/// Where `path` goes below `staged`.
fn inside(staged: &Path, path: &Path) -> PathBuf {
    staged.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            copy_file(&entry.path(), &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f01)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        let found: Vec<&str> = libraries_in(listing).collect();
        assert_eq!(found, ["/lib/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn executables_are_those_of_the_tests() {
        let message = |name: &str, path: &str| {
            format!(r#"{{"target":{{"name":"{name}"}},"executable":{path}}}"#)
        };
        let mut messages: Vec<String> = TESTS
            .iter()
            .map(|test| message(test, &format!(r#""/build/{test}-1""#)))
            .collect();
        messages.insert(0, message("live_ret", "null"));
        let found = executables_in(&messages.join("\n")).unwrap();
        assert_eq!(
            found,
            TESTS.map(|test| PathBuf::from(format!("/build/{test}-1")))
        );
        assert!(executables_in(&messages[..2].join("\n")).is_err());
    }
}
