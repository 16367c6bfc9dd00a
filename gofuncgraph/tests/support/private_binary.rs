//! Executables under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::go_build::{Flavor, Variant, build};

const OLDEST_GO: &str = "go1.21.13";
const NEWEST_GO: &str = "go1.27.3";

/// The newest supported release, as `go build` links it.
pub const NEWEST: Variant = Variant {
    toolchain: NEWEST_GO,
    flavor: Flavor::Plain,
};

/// The oldest and the newest supported release in a flavor.
pub fn releases(flavor: Flavor) -> [Variant; 2] {
    [OLDEST_GO, NEWEST_GO].map(|toolchain| Variant { toolchain, flavor })
}

/// An executable that no other test runs: probes are placed on files, so tests that shared one
/// would trace each other's processes. Removed when dropped.
pub struct PrivateBinary {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl PrivateBinary {
    /// Builds the program `tests/programs/<name>` as most tests need it.
    pub fn program(name: &str) -> Self {
        Self::program_variant(name, NEWEST)
    }

    /// Builds a variant of the program `tests/programs/<name>`.
    pub fn program_variant(name: &str, variant: Variant) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/programs")
            .join(name);
        Self::copy_of(&build(&source, variant))
    }

    /// Builds the repository's example server.
    pub fn example(variant: Variant) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-go");
        Self::copy_of(&build(&source, variant))
    }

    /// A copy that only the caller knows.
    pub fn copy_of(executable: &Path) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the build's directory for temporary files can be written");
        Self::copy_into(executable, directory)
    }

    /// A copy in a directory that every user can enter.
    pub fn for_every_user(executable: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("temporary files can be made");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))
            .expect("our own directory can be opened to others");
        Self::copy_into(executable, directory)
    }

    // By another process: an executable that this one holds open for writing cannot be run, and
    // a child forked by a test on another thread holds it for a moment longer.
    fn copy_into(executable: &Path, directory: tempfile::TempDir) -> Self {
        let path = directory
            .path()
            .join(executable.file_name().expect("executables are files"));
        let copied = Command::new("cp")
            .arg(executable)
            .arg(&path)
            .status()
            .expect("cp runs");
        assert!(copied.success(), "cp {}: {copied}", executable.display());
        // The kernel lists mappings by paths without symbolic links.
        let path = path.canonicalize().expect("it was just written");
        Self { directory, path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of this name next to it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
