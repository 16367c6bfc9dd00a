//! Building and running the example server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::go;
use crate::workspace;

/// The example server's binary.
pub struct Example {
    binary: PathBuf,
}

impl Example {
    /// Builds `example-go`.
    pub fn build() -> Result<Self> {
        go::ensure()?;
        build_go(&workspace::root()?.join("example-go"), "example-go").map(|binary| Self { binary })
    }

    /// The binary, absolute.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

/// Builds the Go program in `source` as `<target folder>/go/<name>`.
pub fn build_go(source: &Path, name: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("go");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let binary = folder.join(name);
    go::go()
        .current_dir(source)
        // The version control stamp fails where another user owns the clone; without -trimpath
        // every line of a trace would begin with the clone's path.
        .args(["build", "-buildvcs=false", "-trimpath", "-o"])
        .arg(&binary)
        .arg(".")
        .run()?;
    Ok(binary)
}

/// The running server; dropping it ends it.
pub struct ExampleServer {
    child: Child,
    address: SocketAddr,
}

impl ExampleServer {
    /// Starts the server on a free port and waits until it listens.
    pub fn start(example: &Example) -> Result<Self> {
        let name = example.binary.display();
        let mut command = Command::new(&example.binary);
        command
            .args(["-addr", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        end_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take();
        // From here on dropping ends the child, whatever fails.
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut line = String::new();
        BufReader::new(stdout.context("the server's standard output is not a pipe")?)
            .read_line(&mut line)
            .with_context(|| format!("cannot read the first line of {name}"))?;
        server.address = match line.trim_end().parse() {
            Ok(address) => address,
            Err(_) => bail!("{name} printed {line:?} instead of the address it listens on"),
        };
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ExampleServer {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the kernel end the child should this process be killed before it can clean up.
pub fn end_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call and touches no memory
    // of this process.
    unsafe {
        command.pre_exec(|| {
            let signal = rustix::process::Signal::KILL;
            rustix::process::set_parent_process_death_signal(Some(signal))?;
            Ok(())
        });
    }
}
