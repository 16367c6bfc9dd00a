//! Kernels, and a shell for the guest, from Debian's archive. Nothing of it is installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Run;

/// Depends on the newest kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// A shell and small commands in one file that needs no libraries.
const SHELL_PACKAGE: &str = "busybox-static";
/// Any release will do for the shell.
const SHELL_SUITE: &str = "stable";

/// Fetches the newest cloud kernel of a suite of Debian into `folder`.
pub fn fetch_kernel(folder: &Path, suite: &str) -> Result<PathBuf> {
    let archive = Archive::open(folder, suite)?;
    let depends = archive.cache(&["depends", "--recurse", "--important", META_PACKAGE])?;
    let packages = kernel_packages(&depends);
    if packages.is_empty() {
        bail!("{META_PACKAGE} of Debian {suite} depends on no kernel: try another --suite");
    }
    let unpacked = archive.unpack(&packages)?;
    find(&unpacked, &|name| name.starts_with("vmlinuz"))
        .with_context(|| format!("there is no vmlinuz in {}", packages.join(", ")))
}

/// Fetches a shell into `folder`.
pub fn fetch_static_shell(folder: &Path) -> Result<PathBuf> {
    let unpacked = Archive::open(folder, SHELL_SUITE)?.unpack(&[SHELL_PACKAGE])?;
    find(&unpacked, &|name| name == "busybox")
        .with_context(|| format!("there is no busybox in {SHELL_PACKAGE}"))
}

/// The packages that can hold the kernel, in the output of `apt-cache depends --recurse`: in newer
/// releases it is a package apart from what installs it.
fn kernel_packages(depends: &str) -> Vec<&str> {
    depends
        .lines()
        .filter(|line| {
            let version = ["linux-image-", "linux-binary-"]
                .iter()
                .find_map(|kind| line.strip_prefix(kind));
            version.is_some_and(|version| {
                version.starts_with(|letter: char| letter.is_ascii_digit())
                    && version.ends_with("-cloud-amd64")
            })
        })
        .collect()
}

/// A suite of Debian, known to an apt of its own.
struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Reads its list of packages.
    fn open(folder: &Path, suite: &str) -> Result<Self> {
        let folder = folder.join(suite);
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("cannot create {}", part.display()))?;
        }
        let sources = format!(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {suite} main\n",
            mirror()?
        );
        fs::write(folder.join("sources.list"), sources)
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        let archive = Self { folder };
        archive
            .apt("apt-get")
            .arg("update")
            .hint(format!("is {suite} a suite of Debian?"))
            .run()?;
        Ok(archive)
    }

    fn apt(&self, command: &str) -> Run {
        let options = [
            ("Dir::Etc::SourceList", self.folder.join("sources.list")),
            ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", self.folder.join("lists")),
            ("Dir::Cache", self.folder.join("cache")),
        ];
        let mut run = Run::new(command).env("LC_ALL", "C");
        for (name, value) in options {
            run = run.arg("-o").arg(format!("{name}={}", value.display()));
        }
        // Another user of apt's own could not write here.
        run.args(["-o", "APT::Sandbox::User=root"])
            .args(["-o", "Acquire::Languages=none"])
    }

    fn cache(&self, arguments: &[&str]) -> Result<String> {
        self.apt("apt-cache").args(arguments).read()
    }

    /// Downloads packages and unpacks them into a folder.
    fn unpack(&self, packages: &[&str]) -> Result<PathBuf> {
        let unpacked = self.folder.join("unpacked");
        // What an earlier run has left there can be another version.
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)
                .with_context(|| format!("cannot remove {}", unpacked.display()))?;
        }
        fs::create_dir_all(&unpacked)
            .with_context(|| format!("cannot create {}", unpacked.display()))?;
        self.apt("apt-get")
            .arg("download")
            .args(packages)
            .current_dir(&unpacked)
            .run()?;
        for entry in fs::read_dir(&unpacked)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                Run::new("dpkg").arg("-x").arg(&path).arg(&unpacked).run()?;
            }
        }
        Ok(unpacked)
    }
}

/// Where this machine gets Debian from.
fn mirror() -> Result<String> {
    let format = ["--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"];
    let targets = Run::new("apt-get")
        .arg("indextargets")
        .args(format)
        .hint("kernels come from Debian's archive; name one of your own with --vmlinuz")
        .read()?;
    debian_mirror(&targets).map(str::to_owned).context(
        "apt of this machine knows no archive of Debian: name kernels of your own with --vmlinuz",
    )
}

/// Not the archive of security updates, which has not every package.
fn debian_mirror(targets: &str) -> Option<&str> {
    targets
        .lines()
        .find_map(|line| line.strip_prefix("Debian|Debian|"))
}

/// The first file in `folder` whose name `is_it`.
fn find(folder: &Path, is_it: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    entries.iter().find_map(|entry| {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return find(&entry.path(), is_it);
        }
        (kind.is_file() && is_it(&entry.file_name().to_string_lossy())).then(|| entry.path())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_from_what_else_is_needed() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-7.2.13+deb14-cloud-amd64\n\
            linux-image-7.2.13+deb14-cloud-amd64\n  Depends: kmod\nlinux-base\n\
            linux-binary-7.2.13+deb14-cloud-amd64\nlinux-modules-7.2.13+deb14-cloud-amd64\n";
        assert_eq!(
            kernel_packages(depends),
            [
                "linux-image-7.2.13+deb14-cloud-amd64",
                "linux-binary-7.2.13+deb14-cloud-amd64"
            ]
        );
    }

    #[test]
    fn the_mirror_is_the_one_that_has_every_package() {
        let targets = "Debian|Debian-Security|mirror/security/\n\
            Other|Other|mirror/other/\nDebian|Debian|mirror/debian/\n";
        assert_eq!(debian_mirror(targets), Some("mirror/debian/"));
        assert_eq!(debian_mirror("Ubuntu|Ubuntu|mirror/\n"), None);
    }
}
